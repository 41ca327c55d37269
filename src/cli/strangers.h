/* `calibrate -novelty`: images that are none of the classes, found by features of the training images. */
#pragma once

#include "cli/flags.h"
#include "report/calibration.h"

typedef struct ds_strangers_flags {
    double rate; /* NAN: not asked for */
    int score;   /* ds_novelty_kind, -1: not given */
    char *list;  /* of images that are strange, NULL: none */
} ds_strangers_flags;

#define DS_STRANGERS_OPTIONS                                                                                 \
    OPT_REAL("novelty", strangers.rate,                                                                      \
             "reject images of none of the classes as unknown, and at most this share of others; with -out", \
             .unit = "A"),                                                                                   \
        OPT_ENUM("novelty-score", strangers.score, ds_novelty_names,                                         \
                 "how strange an image is; without it joint, or the best one on half of -outliers"),         \
        OPT_TEXT("outliers", strangers.list,                                                                 \
                 "images that are none of the classes: one half chooses the score, the other is reported",   \
                 .unit = "LIST")

/* Zero-initialise; release with ds_strangers_clear. */
typedef struct ds_strangers {
    const ds_strangers_flags *flags;
    ds_novelty novelty;
    ds_answers outliers;
    bool mean;  /* of several answers: they say nothing of novelty */
    char *path; /* of the .novelty file */
} ds_strangers;

/* Do the flags go together? out: -out. s->path is set. DS_EUSAGE. */
int ds_strangers_check(ds_strangers *s, const ds_strangers_flags *flags, const char *out, ds_error *e);
/* Learn from train=, answer calib= (a) and the outliers, with features. run->features was set for `m`. */
int ds_strangers_learn(ds_strangers *s, ds_model *m, const ds_run_flags *run, ds_answers *a,
                       ds_calibration_novelty *found, ds_error *e);
/* Choose the score and rank it among the first n images of `a`, then tell the p-values of all.
 * DS_EINFEASIBLE: too few for the rate. */
int ds_strangers_rank(ds_strangers *s, ds_answers *a, size_t n, ds_calibration_novelty *found, ds_error *e);
void ds_strangers_clear(ds_strangers *s);
