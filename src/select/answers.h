/* What a network, or another program, answered to the images of one list: filled by one pass over the list or
 * from a CSV, read by figures, calibration, comparison and everything that is written. */
#pragma once

#include "select/select.h"

/* Zero-initialise; owns all that it points to; release with ds_answers_clear. */
typedef struct ds_answers {
    char *name, *file;   /* what the list is called beside others, and where it is; NULL: unknown */
    size_t n;            /* images */
    char **paths;        /* n; NULL: unknown */
    int *labels;         /* n, 0 … classes-1; NULL: unlabelled */
    int *predictions;    /* n, 0 … classes-1, -1: not-a-number; NULL: unknown (a CSV without labels) */
    double *confidences; /* n; NAN: none, never accepted */
    bool *wrong;         /* n: is the prediction another class than the label? NULL: unlabelled */
    char **names;        /* of the classes */
    int classes;
    ds_quality quality;       /* of the class probabilities; n = 0: there are none */
    bool abstain;             /* the network has one more logit, the last, which means "abstain" */
    float *logits;            /* n x (classes + abstain); NULL: not kept */
    float *features;          /* n x row; NULL: not kept */
    size_t row;               /* of them */
    double *novelty;          /* n: p-values; NULL: nothing is known of strangers */
    double novelty_rate;      /* images whose p-value is below are unknown: NAN for a confidence */
    const double *thresholds; /* classes, not owned: of the answers of each class; NULL: one for all */
} ds_answers;

/* ---- answers.c ---- */

void ds_answers_clear(ds_answers *a);
/* The path of an image, "" when it is unknown. */
const char *ds_answers_path(const ds_answers *a, size_t i);
/* The logits that were kept of an image. */
const float *ds_answers_logits(const ds_answers *a, size_t i);

/* Is image i accepted: by the threshold of its answer's class, or `threshold` where one is for all? */
bool ds_answers_accepts(const ds_answers *a, size_t i, double threshold);

/* Is image i none of the classes? */
bool ds_answers_unknown(const ds_answers *a, size_t i);

/* Room for the answers of a network to n images whose labels, if any, are there; those of before are
 * forgotten. */
void ds_answers_begin(ds_answers *a, bool keep_logits);
/* The answer to image i, whose p-value is there if there are any, from its logits z. `temperature` divides
 * them for the class probabilities; `top`: see ds_quality_add. */
void ds_answers_put(ds_answers *a, size_t i, const float *z, const ds_score *score, double temperature,
                    int top);
/* Confidences by another score, from the logits that were kept. */
void ds_answers_score(ds_answers *a, const ds_score *score);

/* Images i = 0 … n-1 become those that were at order[i]; order: n, a permutation. Path by path, logits
 * too. */
void ds_answers_reorder(ds_answers *a, const uint32_t *order);
/* The images [from, to) with pointers into `a`, which must outlive them: nothing to clear. Without
 * quality. */
ds_answers ds_answers_part(const ds_answers *a, size_t from, size_t to);

/* ---- by_class.c ---- */

/* Of the images that are accepted as a class at most `risk` are wrong. */
typedef struct ds_class_promise {
    double risk;        /* NAN: no promise, all are accepted */
    size_t answered;    /* images answered as the class */
    ds_guarantee found; /* among these */
} ds_class_promise;
/* Keep the promises (classes) all at once with probability 1 - delta, each by a threshold of its own, at
 * an equal part of delta: thresholds (classes) are infinite where it is infeasible, minus that without a
 * promise. Returns how many are feasible. */
int ds_promise_by_class(const ds_answers *a, double delta, ds_class_promise *promises, double *thresholds);

/* ---- match.c ---- */

/* Bring the answers of another program into the order of `a`. Paths that are there k times in both are
 * matched k times, in their order. O(n log n). DS_EINPUT: the images or the texts of their labels differ,
 * or one of the two has no paths. */
int ds_answers_match(const ds_answers *a, ds_answers *other, ds_error *e);

/* ---- temperature.c ---- */

/* The T > 0 that minimises the mean NLL of softmax(z/T) over answers with logits and labels. Images whose
 * NLL is not finite at any T are left out. DS_EINPUT: there is no minimum, because no image is left, all
 * are right (T would be 0), or the logits do not point to the labels (T would be infinite). */
int ds_temperature_fit(const ds_answers *a, double *temperature, ds_error *e);

/* ---- fit.c: score and temperature, fitted on images that have nothing to do with the threshold ---- */

/* Shuffle, seeded, and return how many of the first images are to fit on: half of them, rounded down. */
size_t ds_answers_halve(ds_answers *a, int seed);

/* The temperature of the lowest NLL of `fit`, which must be one that [reject] takes (DS_EINPUT; see
 * ds_temperature_fit too). nll: of `rest`, at temperature 1 and at this one. Both need logits. */
int ds_answers_fit_temperature(const ds_answers *fit, const ds_answers *rest, double *temperature,
                               double nll[2], ds_error *e);

/* The first p of 1 ... 10 whose pnorm has the lowest AURC over the images (Cattelan & Silva 2024); the
 * confidences are lost. */
double ds_answers_fit_pnorm(ds_answers *fit);

typedef struct ds_candidate {
    const char *name; /* of a confidence */
    double aurc;
    double temperature; /* 0: the first, or one that does not change the order */
} ds_candidate;
enum { DS_MOST_CANDIDATES = 2 * DS_CONFIDENCES };
/* Set score->kind and temperature to the first of the lowest AURC over the images, among all scores that can
 * be computed, at each of n <= 2 temperatures; the confidences are lost. candidates: DS_MOST_CANDIDATES
 * places. Returns how many are filled. */
int ds_answers_choose_score(ds_answers *fit, ds_score *score, const double *temperatures, int n,
                            ds_candidate *candidates);
