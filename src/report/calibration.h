/* What `classifier calibrate` found, for people: which images were used for what, the threshold, what it
 * promises. */
#pragma once

#include "select/answers.h"
#include "select/novelty.h"

/* How images that are none of the classes are told. */
typedef struct ds_calibration_novelty {
    const char *score; /* NULL: they are not */
    const char *train, *path;
    double rate;
    size_t features, trained; /* numbers an image; images of train */
    size_t chosen_on, ranked,
        ranks;      /* calibration images: for the score, for its ranks; see ds_novelty_ranks */
    size_t unknown; /* of the images that set the threshold */
    ds_candidate candidates[DS_NOVELTIES]; /* AUROC */
    int n_candidates;                      /* 0: the score was not chosen */
    size_t outliers, found;                /* those that did not choose; called unknown */
    double auroc;                          /* against the ranked ones */
} ds_calibration_novelty;

/* Texts belong to the caller. */
typedef struct ds_calibration {
    ds_calibration_novelty novelty;
    const char *model; /* NULL: not shown */
    const char *list;
    size_t images, fitted_on; /* all; of them those that serve novelty, temperature, norm and score alone */
    int seed;                 /* of the halves */
    const char *confidence;   /* NULL: unknown */
    ds_candidate candidates[DS_MOST_CANDIDATES];
    int n_candidates;            /* 0: nothing was chosen */
    double temperature, pnorm_p; /* pnorm_p 0: another confidence */
    double nll[2]; /* of the images not fitted on, at temperature 1 and at this one; NAN: not fitted */
    size_t n_nan;  /* images that set the threshold and have no confidence */
    /* what the threshold is for, NAN: not for that: at most `risk` of the accepted are wrong, with
     * probability 1 - delta; at least `coverage` of the images are accepted; rejecting an image costs
     * `cost` errors */
    double risk, delta, coverage, cost;
    ds_cut cut;                       /* of the images that set the threshold */
    const ds_class_promise *promises; /* classes, instead of `risk`; NULL: one threshold for all */
    char *const *names;
    int classes;
} ds_calibration;

/* A number of (0, 1) in percent, all its digits and no more: 0.001 becomes "0.1 %". The digits are the
 * fewest that are read as the same number. rest: 1 minus the number, as one subtracts on paper, "99.9 %". */
enum { DS_PERCENT_TEXT = 400 };
const char *ds_percent_text(double v, bool rest, char text[DS_PERCENT_TEXT]);

/* A line a figure, and the promise in a sentence. */
void ds_calibration_text(FILE *f, const ds_calibration *c);
