/* The images of calib= in two parts: one to fit temperature and confidence on, one for the threshold alone. A part is
 * given by its borders: [0, n_fit) is the first, [n_fit, n) the second. */
#ifndef DS_CLI_HALVES_H
#define DS_CLI_HALVES_H

#include "base/error.h"
#include "report/calibration.h"
#include "select/select.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ds_halves {
    size_t n, n_fit;    /* images; of them those to fit on, 0: all are for the threshold */
    int row, classes;   /* logits of an image; the first ones that are classes */
    bool abstain;       /* the last logit means "abstain" */
    const int *labels;  /* n, the caller's */
    float *logits;      /* n x row, to be filled by the caller; owned */
    uint32_t *order;    /* n: which image stands where; owned */
    double *confidence; /* n: of the images in that order, by ds_halves_score; owned */
    bool *wrong;        /* n: the same; owned */
} ds_halves;

/* Room for n > 0 images. `fit`: a half of them, by a seeded order, is to fit on (of one image none). DS_ENOMEM; release
 * it then too. */
int ds_halves_init(ds_halves *h, size_t n, int row, int classes, bool abstain, const int *labels, bool fit,
                   int seed, ds_error *e);
void ds_halves_release(ds_halves *h);

/* The temperature of the lowest NLL of the first part, which must be one that [reject] takes (DS_EINPUT). nll_before,
 * nll_after: of the second part, at temperature 1 and at this one. */
int ds_halves_fit_temperature(const ds_halves *h, double *temperature, double *nll_before, double *nll_after,
                              ds_error *e);

/* Set score->kind to the first of the lowest AURC over the first part, among all scores that can be computed.
 * candidates: DS_CONFIDENCES places, *n of them filled. */
int ds_halves_choose(ds_halves *h, ds_score *score, ds_candidate *candidates, int *n, ds_error *e);

/* Confidences and errors of the images [from, to). */
void ds_halves_score(ds_halves *h, const ds_score *score, size_t from, size_t to);

#endif
