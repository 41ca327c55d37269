/* What the cost layers share: a row of logits seen through its softmax, and the checks of a pass. */
#ifndef DS_CROSS_ENTROPY_H
#define DS_CROSS_ENTROPY_H

#include "plugins/plugin.h"
#include "select/select.h"

#include <math.h>

/* Softmax of one row. log p_j = (z_j / T - top) - spread is exact at any gap; log(p_j) would be -inf. */
typedef struct ds_row {
    const float *z;  /* n logits */
    const double *p; /* n probabilities */
    int n;
    double scale;  /* 1 / temperature */
    double top;    /* largest z / T */
    double spread; /* log sum exp(z / T - top), >= 0 */
} ds_row;

/* z: n logits; p: room for n probabilities, kept by the caller as long as the row. */
static inline ds_row ds_row_make(const float *z, int n, double temperature, double *p)
{
    ds_softmax(z, n, temperature, p);
    int best = ds_argmax(z, n);
    double rest = 0, scale = 1 / temperature;
    for (int j = 0; j < n; j++)
        if (j != best)
            rest += p[j];
    return (ds_row){z, p, n, scale, z[best] * scale, log1p(rest / p[best])};
}

static inline double ds_row_log(const ds_row *r, int j)
{
    return (r->z[j] * r->scale - r->top) - r->spread;
}

/* Entropy of the row in nats. */
static inline double ds_row_entropy(const ds_row *r)
{
    double h = 0;
    for (int j = 0; j < r->n; j++)
        h -= r->p[j] * ds_row_log(r, j);
    return h;
}

static inline void ds_store(const double *p, int n, float *out)
{
    for (int j = 0; j < n; j++)
        out[j] = (float)p[j];
}

/* gradient (may be NULL; n) = size * (p - onehot(label)): that of `size` times the cross-entropy. */
static inline void ds_row_gradient(const ds_row *r, int label, double size, float *gradient)
{
    if (!gradient)
        return;
    for (int j = 0; j < r->n; j++)
        gradient[j] = (float)(size * (r->p[j] - (j == label)));
}

/* All labels in 0 … classes-1? */
static inline int ds_check_labels(const ds_pass *pass, int classes, ds_error *e)
{
    for (int b = 0; pass->labels && b < pass->batch; b++)
        if (pass->labels[b] < 0 || pass->labels[b] >= classes)
            return ds_fail(e, DS_EINPUT, "image %d of the batch has label %d, expected 0 to %d", b,
                           pass->labels[b], classes - 1);
    return DS_OK;
}

#endif
