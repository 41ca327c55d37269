/* What the host and the kernels agree on: arguments of each kernel, by value. Tensors are [place][channel],
 * place = (image, row, column), channels padded with zeros to whole vectors of 16 bytes; T is float, or
 * bfloat16. Gradients have the host's sign, minus dL/d. */
#pragma once

#ifndef __CUDACC_RTC__ /* which gets it in front */
#include "base/pixel.h"
#endif

/* One vector of 16 bytes and one place, or window of 2 x 2, make a unit of work. */
typedef struct norm_args {
    const void *x;             /* places x c: the product */
    const void *other;         /* units x c: added before the activation; NULL: none */
    const void *dy, *dy2;      /* units x c: gradient of y, and a second part of it or NULL */
    void *y, *dx;              /* units x c; places x c */
    void *dother;              /* units x c: gradient of other; NULL: not wanted */
    const float *scale, *bias; /* c; scale NULL: no normalisation; bias NULL: zero */
    float *statistics;     /* c means, c variances: of the batch, then averages; in inference these first */
    float *dscale, *dbias; /* c; NULL: not wanted */
    float *partial;        /* blocks x 2 x width of a slice */
    unsigned *sync;        /* for each slice: blocks that arrived, generation; zero at first */
    int c, places, h, w;
    int units;     /* places, or windows */
    int lanes_log; /* a slice of channels is 2^lanes_log vectors wide */
    float slope;   /* of the activation below 0 */
} norm_args;

typedef struct pool_args {
    const void *x, *dy;
    void *y, *dx;
    float *plain; /* avgpool: n x real_c floats besides y; or NULL */
    int n, c, real_c, h, w, oh, ow, size, stride, offset, add;
} pool_args;

/* y = f(a + b); da (+)= dy f'(y), db likewise. n vectors. b, da, db may be NULL. */
typedef struct sum_args {
    const void *a, *b, *dy;
    void *y, *da, *db;
    long long n;
    float slope;
    int add_a, add_b;
} sum_args;

/* Channels [from_at, from_at + n) of one tensor to [to_at, …) of another. */
typedef struct copy_args {
    const void *from;
    void *to;
    int from_c, to_c, from_at, to_at, n, places, add;
} copy_args;

/* y = x times 0 or `scale`; the k-th number of image b in the host's order by the k-th draw of a key. */
typedef struct drop_args {
    const void *x;
    void *y;
    const unsigned long long *step; /* a place of the device: step, and whether to drop at all */
    unsigned long long seed, layer;
    int n, c, real_c, hw, add;
    float probability, scale;
} drop_args;

/* Plain n x c x hw floats and a tensor n x hw x cp. */
typedef struct plain_args {
    float *plain;
    void *x;
    int n, c, hw, cp;
} plain_args;

/* Pictures, their bytes on the device, to a tensor h x w x cp an image. */
typedef struct picture_args {
    const ds_picture *pictures, *mixed; /* mixed NULL: none; else shares[i] of pictures[i], the rest of it */
    const float *shares;
    void *x;
    int c, h, w, cp;
} picture_args;

typedef struct level_args {
    const void *x;
    float *feature; /* n x c */
    int n, c, cp, hw;
} level_args;

/* Filters of the host, k x c x rs, and of the device, rows of rs x cp. */
typedef struct filter_args {
    float *host, *row;
    int k, c, rs, cp;
} filter_args;

/* Batch normalisation of inference goes into filters, `per` numbers for each of norm.c, and bias, c. */
typedef struct fold_args {
    norm_args norm;
    float *w, *bias;
    int per;
} fold_args;

/* One row of parameters: those that convolutions multiply first, the others from n_products on. */
typedef struct learn_args {
    float *w, *u, *m, *v; /* values; gradients with momentum; Adam */
    const void *g;        /* T: gradients of the first n_products */
    const float *gf;      /* of the others; g, gf: NULL: already added to u */
    void *copy;           /* T: values of the first n_products */
    int from, to, n_products, adam;
    float rate, batch, momentum, decay, clip; /* clip: INFINITY where there is none */
    float B1, rest1, B2, rest2, unbias, eps;
} learn_args;

/* Kernels: name, arguments, does it meet barriers? */
#define DS_CUDA_KERNELS(X)                                                                           \
    X(norm_forward, norm_args, 1)                                                                    \
    X(norm_backward, norm_args, 1)                                                                   \
    X(norm_apply, norm_args, 0)                                                                      \
    X(prepare, picture_args, 1)                                                                      \
    X(pooled_forward, norm_args, 1)                                                                  \
    X(pooled_backward, norm_args, 1)                                                                 \
    X(pooled_apply, norm_args, 0)                                                                    \
    X(max_forward, pool_args, 0)                                                                     \
    X(max_backward, pool_args, 0)                                                                    \
    X(average_forward, pool_args, 1) X(average_backward, pool_args, 0) X(sum_forward, sum_args, 0)   \
        X(sum_backward, sum_args, 0) X(copy_channels, copy_args, 0) X(drop, drop_args, 0)            \
            X(from_plain, plain_args, 0) X(to_plain, plain_args, 0) X(level, level_args, 0)          \
                X(filters_in, filter_args, 0) X(filters_out, filter_args, 0) X(learn, learn_args, 0) \
                    X(gather, learn_args, 0) X(narrow, learn_args, 0) X(fold_filters, fold_args, 0)
