/* The passes between the convolutions, one plane at a time: `block` channels of one image side by side,
 * all its rows and columns (places) one after the other. Built from kernel_body.h for float planes with
 * SSE2, AVX2 and AVX-512, and for planes of bfloat16, whose sums and arithmetic are floats as well.
 * Nothing here knows a network or starts a thread. Channel arrays (scale, shift, …) hold `block` floats;
 * planes and channel arrays are aligned to `block` of their numbers. A slope describes an activation: 1
 * linear, .1 leaky, 0 relu: act(v) = v > 0 ? v : slope v. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A plane: `places` places, each `next` numbers behind the one before: `block`, or all channels of an image
 * where those lie together. */
typedef struct ds_extent {
    size_t places, next;
} ds_extent;

/* Darknet's pooling: window (oy, ox) covers the size x size places from (oy stride + offset, ox stride +
 * offset) that lie inside. */
typedef struct ds_pool {
    int h, w, out_h, out_w;
    int size, stride, offset; /* offset <= 0; size <= 15 */
    size_t next;              /* as in ds_extent, of both planes */
} ds_pool;

/* x -> act(scale x + shift); the mean of x is for reductions alone. */
typedef struct ds_affine {
    const float *scale, *shift, *mean;
    float slope;
} ds_affine;

/* What a gradient that comes back becomes: a g' + b + c x. */
typedef struct ds_mix {
    const float *a, *b, *c;
} ds_mix;

/* What a plane's reductions give, `block` numbers each. */
typedef struct ds_sums {
    float *sum; /* of g' */
    float *dot; /* of g' (x - mean) */
} ds_sums;

typedef struct ds_kernels {
    const char *name; /* "SSE2", "AVX2", "AVX-512", "bf16" */
    int block;
    size_t size; /* bytes of a plane's number */

    /* mean[c] over the plane and m2[c] = sum of (x - mean[c])^2: two passes over a plane, which stays in the
     * cache, float sums with several independent accumulators. */
    void (*moments)(const void *x, ds_extent n, float *mean, float *m2);

    /* y = act(scale x + shift + add). add: a plane or NULL; y may be x or add. */
    void (*normalize)(const void *x, const void *add, ds_extent n, const ds_affine *f, void *y);

    /* y (out places): the largest act(scale x + shift) of each window; index (out places x block): which of
     * the size^2 places of the window, row by row, the first of equals. index may be NULL. A window with no
     * place inside gives -FLT_MAX, index 0. */
    void (*normalize_pool)(const void *x, const ds_pool *p, const ds_affine *f, void *y, uint8_t *index);

    /* g' = (g + g2) act'(v), v = the affine of x, or y where y is not NULL (the sign of an output is that of
     * its v). g2 may be NULL. out->sum, out->dot are written (float sums, several accumulators). keep: g' is
     * written there, NULL: not wanted; may be g or g2. */
    void (*reduce)(const void *x, const void *y, const void *g, const void *g2, ds_extent n,
                   const ds_affine *f, const ds_sums *out, void *keep);

    /* dx = a g act'(v) + b + c x; v as above (y may be NULL). dx may be g. */
    void (*gradient)(const void *x, const void *y, const void *g, ds_extent n, const ds_affine *f,
                     const ds_mix *m, void *dx);

    /* The same two for normalize_pool with windows that do not overlap (stride >= size): g is the gradient of
     * the pooled plane, and reaches the place that `index` names. A window without places inside passes
     * nothing on. dx covers every place of the plane. */
    void (*reduce_pool)(const void *x, const void *g, const uint8_t *index, const ds_pool *p,
                        const ds_affine *f, const ds_sums *out);
    void (*gradient_pool)(const void *x, const void *g, const uint8_t *index, const ds_pool *p,
                          const ds_affine *f, const ds_mix *m, void *dx);

    /* dx += the gradient of a pooled plane, any stride. */
    void (*pool_gradient)(const void *g, const uint8_t *index, const ds_pool *p, void *dx);

    /* dx = (add ? dx : 0) + g act'(y). */
    void (*gate)(const void *y, const void *g, ds_extent n, float slope, bool add, void *dx);

    /* to = (add ? to : 0) + from; places of `to` are `next` numbers apart. */
    void (*move)(const void *from, ds_extent n, bool add, void *to, size_t next);
    /* to += from, n numbers side by side, of any alignment; slow. */
    void (*add)(const void *from, int n, void *to);

    /* The gradient of a plane's mean: dx (+)= g[c] / places. */
    void (*average_gradient)(const float *g, ds_extent n, bool add, void *dx);

    /* y = keep[i] ? scale x : 0; keep: places x block bytes, 0 or 1; y may be x. add: y += instead. */
    void (*mask)(const void *x, const uint8_t *keep, ds_extent n, float scale, bool add, void *y);

    /* Between the host's layout and a plane: `channels` (<= block) arrays of n.places floats, one after the
     * other. to_plane fills missing channels with zeros; from_plane writes, or with add adds to, the plain
     * arrays. */
    void (*to_plane)(const float *plain, int channels, ds_extent n, void *plane);
    void (*from_plane)(const void *plane, int channels, ds_extent n, bool add, float *plain);
} ds_kernels;

/* Set number i = 0, 1, … of those that the machine has and the environment allows, the slowest first, that of
 * ds_dnnl_isa() last; NULL after it. */
const ds_kernels *ds_kernels_get(int i);
/* Planes of bfloat16, blocks of 16; NULL where the machine has no instructions for them. */
const ds_kernels *ds_kernels_bf16(void);
/* y[i] = x[i], rounded to the nearest, ties to even; only where ds_kernels_bf16() is not NULL. */
void ds_to_bf16(const float *x, size_t n, void *y);
