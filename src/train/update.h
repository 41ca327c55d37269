/* The arithmetic of one step of SGD or Adam over a stretch of parameters, built for each instruction set. All builds give the same bits:
 * every operation is rounded by itself (-std=c11 contracts nothing), and no element depends on another. */
#ifndef DS_TRAIN_UPDATE_H
#define DS_TRAIN_UPDATE_H

#include "base/isa.h"

#include <stdbool.h>
#include <stddef.h>

/* limit: weights end within [-limit, limit]; INFINITY: no limit. A weight that is not a number stays so. */
typedef struct ds_sgd {
    bool decayed; /* not the same as decay 0: -0 + 0 w is 0 */
    float decay;  /* -decay batch */
    float rate;   /* r / batch */
    float momentum, limit;
} ds_sgd;

typedef struct ds_adam {
    float inverse, decay; /* g = inverse u + decay w */
    float B1, rest1, B2, rest2;
    float step;   /* r / (1 - B1^t) */
    float unbias; /* 1 / (1 - B2^t) */
    float eps, limit;
} ds_adam;

/* w: values, u: gradients, m, v: first and second moments, n of each, any alignment, none overlaps another. */
typedef struct ds_update {
    void (*sgd)(ds_sgd c, float *w, float *u, size_t n);
    void (*adam)(ds_adam c, float *w, float *u, float *m, float *v, size_t n);
} ds_update;

/* The build for `isa`, which must not be above what the machine has. */
const ds_update *ds_update_get(ds_isa isa);

#endif
