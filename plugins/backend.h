/* All that a backend needs: it computes layers of a network in the place of the host, usually faster. It sees
 * a graph of plain descriptions and arrays, never Darknet. README.md beside this file has the rules. */
#pragma once

#include "base/error.h"
#include "base/pixel.h"

typedef enum ds_op {
    DS_OP_HOST, /* no backend's business: computed by the host on plain arrays */
    DS_OP_CONVOLUTION,
    DS_OP_CONNECTED,
    DS_OP_BATCHNORM,
    DS_OP_MAXPOOL,
    DS_OP_AVGPOOL, /* global */
    DS_OP_DROPOUT,
    DS_OP_SHORTCUT, /* activation(inputs[0] + inputs[1]) */
    DS_OP_ROUTE,    /* channels of all inputs, one after the other */
    DS_OP_ACTIVATION,
} ds_op;

/* Of activations, their gradients, and convolutions' weights inside the backend. Plain arrays, sums,
 * parameters and their gradients, statistics of batch normalisation are floats in any case. */
typedef enum ds_precision {
    DS_F32,
    DS_BF16, /* bfloat16: 8 bits of exponent, 8 of mantissa */
    DS_TF32, /* floats, of which products of convolutions use 11 bits of mantissa */
} ds_precision;

/* One layer. Plain arrays are batch x c x h x w. */
typedef struct ds_node {
    ds_op op;
    int c, h, w;             /* of the first input, one image */
    int out_c, out_h, out_w; /* connected: c = outputs, h = w = 1 */
    const int *inputs;       /* layers whose outputs are read; -1: the pixels */
    int n_inputs;
    int size, stride, pad, groups; /* of convolution; pad on every side */
    int offset;                    /* of maxpool: first row and column of the first window, <= 0 */
    float probability;             /* of dropout: that a number is dropped */
    int activation;                /* the host's number, for ds_graph.activate and gradient */
    /* y = x > 0 ? x : slope x describes the activation (linear 1, leaky .1, relu 0); NAN: it does not. */
    float slope;
    bool normalized; /* batch normalisation between the product and the bias */
    /* The host's arrays. `output` is read by layers that the host computes, `delta` gets their gradient
     * (minus dL/dy, zeroed before). */
    float *output, *delta;
    /* For every pass without training: the mean of each channel over its places plus their standard
     * deviation, image b's channel c at feature[b * feature_row + c]. NULL: not wanted. */
    float *feature;
    size_t feature_row;
    float *weights, *biases, *scales, *mean, *variance, *rolling_mean, *rolling_variance;
    /* Gradients are added; NULL: not trained. */
    float *weight_updates, *bias_updates, *scale_updates;
} ds_node;

typedef struct ds_graph {
    const ds_node *nodes;
    int n, batch;
    int device; /* N of `-backend NAME:N` */
    bool train; /* training passes will come, besides inference */
    bool tune;  /* choose by measuring, and keep what was chosen; of backends that have `tunes` */
    ds_precision precision;
    int part, parts; /* the batch is the part-th of a larger one, of `parts`; 0, 1 */
    /* Numbers become the sums of those of all parts: statistics of batch normalisation are those of the
     * larger batch, forward and backward; parameters' gradients stay the part's. NULL: statistics are its
     * own. */
    void (*sum)(double *values, size_t n);
    int first; /* first layer that trains: outputs of layers before it need no gradient */
    uint64_t seed;
    /* The host's activations, in place, where `slope` does not do: x = f(x); delta *= f'(y), y = f(x). */
    void (*activate)(const void *host, float *x, int n, int activation);
    void (*gradient)(const void *host, const float *y, int n, int activation, float *delta);
    const void *host; /* their first argument */
    ds_notes *notes;  /* which layers stay with the host, and why; may be NULL */
} ds_graph;

typedef struct ds_backend_pass {
    const float *pixels; /* images x c x h x w; NULL: */
    /* images: to be prepared as base/pixel.h says. With `mixed`: shares[i] of pictures[i] and the rest of
     * mixed[i]. */
    const ds_picture *pictures, *mixed;
    const float *shares;
    int images;    /* of the batch that count; fewer than the state's only where `whole` is set */
    bool train;    /* batch statistics; needed before backward */
    bool drop;     /* dropout drops */
    uint64_t step; /* key of the dropout masks besides the seed */
} ds_backend_pass;

/* A trained array, and what Adam remembers of it. */
typedef struct ds_trained {
    float *values, *gradient; /* the host's, as in ds_node */
    float *moments;           /* Adam: n of m, then n of v; else NULL */
    size_t n;
    bool decayed;
    float rate; /* factor of ds_rule.rate */
} ds_trained;

/* One step of learning; the formulas are ds_optimizer_step's (src/train/optimizer.h). */
typedef struct ds_rule {
    const ds_trained *arrays; /* n, the same at every step */
    int n;
    bool adam;
    int batch; /* images of the step, all sub-batches together */
    float rate, momentum, decay, clip;
    double B1, B2, eps;
    uint64_t t; /* steps done, this one included */
} ds_rule;

typedef enum ds_fetch {
    DS_FETCH_ALL,
    DS_FETCH_STATISTICS, /* mean and variance of the last training pass alone */
} ds_fetch;

typedef struct ds_backend {
    const char *name; /* value of -backend */
    bool devices;     /* there may be several: `-backend NAME:N` */
    bool tunes;       /* knows ds_graph.tune */
    /* Fewer images than a batch are no states of their own: a whole batch is computed, in which the others
     * mean nothing. */
    bool whole;
    /* Version, instruction set and precision, for reports. Static memory. */
    const char *(*describe)(ds_precision precision, int device);
    /* Why this machine cannot compute in a precision, or would be slower than in DS_F32; NULL: it can. */
    const char *(*lacks)(ds_precision precision, int device);
    /* Plan and allocate. The graph's nodes and arrays must outlive the state; the graph itself need not.
     * owned: n answers, which layers will be computed here. Smaller batches are states of their own, made
     * later from the same graph without training: they use the first images of the same arrays, and `owned`
     * must not depend on the batch. */
    int (*create)(const ds_graph *g, bool *owned, void **state, ds_error *e);
    void (*free)(void *state);
    /* Layer i, owned; layers come in order from 0. Outputs that layers of the host read are in their plain
     * arrays afterwards. */
    int (*forward)(void *state, int i, const ds_backend_pass *pass, ds_error *e);
    /* (optional) Will it take pictures instead of pixels? */
    bool (*prepares)(const void *state);
    /* Layers come in falling order, down to `first`. Gradients of parameters are added; those of a host
     * layer's output are added to its plain delta. */
    int (*backward)(void *state, int i, const ds_backend_pass *pass, ds_error *e);
    /* The host's arrays of parameters have changed since the last pass, by other hands than `update`. */
    void (*changed)(void *state);
    /* (optional, both or none) Parameters, gradients, moments and statistics of the layers owned live in the
     * backend; the host's arrays are copies, newer after `changed`, older after `update` and training passes,
     * the same after `fetch`. A copy that is older must be fetched before it is changed. */
    int (*update)(void *state, const ds_rule *rule, ds_error *e);
    int (*fetch)(void *state, ds_fetch what, ds_error *e);
    /* (optional) Seconds that its passes have waited for another device. */
    double (*waited)(const void *state);
    /* Bytes that a state has beyond the graph's arrays. */
    size_t (*memory)(const void *state);
} ds_backend;

/* Every backend that was built in, best first; ends with NULL. */
const ds_backend *const *ds_backends(void);
