/* What the cost layers share: a row of logits seen through its softmax. */
#pragma once

#include "plugins/plugin.h"
#include "select/select.h"

/* z: n logits; p: room for n probabilities, kept by the caller as long as the row. */
static inline ds_row ds_row_make(const float *z, int n, double temperature, double *p)
{
    ds_softmax(z, n, temperature, p);
    int best = ds_argmax(z, n);
    double rest = 0, scale = 1 / temperature;
    for (int j = 0; j < n; j++)
        if (j != best)
            rest += p[j];
    return (ds_row){
        .z = z, .p = p, .n = n, .scale = scale, .top = z[best] * scale, .spread = log1p(rest / p[best])};
}

/* log p_j; j = n: the logit of "abstain" against all C classes together, P_C = 1 / (1 + exp(-that)). */
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

/* gradient (n) = size * (p - onehot(label)): that of `size` times the cross-entropy. */
static inline void ds_row_gradient(const ds_row *r, int label, double size, float *gradient)
{
    for (int j = 0; j < r->n; j++)
        gradient[j] = (float)(size * (r->p[j] - (j == label)));
}

/* The cross-entropy and its gradient: `inputs` numbers, 0 behind the C classes. */
static inline double ds_row_cross_entropy(const ds_row *r, int label, int inputs, float *gradient)
{
    for (int j = r->n; j < inputs; j++)
        gradient[j] = 0;
    ds_row_gradient(r, label, 1, gradient);
    return -ds_row_log(r, label);
}

/* The key of that name, a double of a cost's state. */
#define OPT_TEMPERATURE                                                                                   \
    OPT_REAL("temperature", temperature, "divides the logits of the output, not of the loss", .def = "1", \
             OPT_RANGE(1e-6, 1e6))

/* log(1 + e^x) */
static inline double ds_softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

/* The key `class_weights`, a text, of a cost's table. */
#define OPT_CLASS_WEIGHTS                                                                                   \
    OPT_TEXT(                                                                                               \
        "class_weights", class_weights,                                                                     \
        "factor of the loss of each class, W1,W2,...; balanced, sqrt: like 1/n, 1/sqrt(n) of its n images", \
        .unit = "balanced|sqrt|W,...")
/* Its value (NULL: none) into setup->weights, once setup->classes is known. DS_EINPUT: no list of as many
 * numbers from 0 on, of which one is more. */
DS_PUBLIC int ds_weigh(ds_setup *setup, const char *class_weights, ds_error *e);
