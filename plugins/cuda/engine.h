/* What the files of the backend share. Consecutive layers that are the backend's form a *segment*: its first
 * layer computes all of them, so that the host meets the device at the borders of segments alone. *Steps* are
 * layers, or a few together (product, batch normalisation, a shortcut's other input, activation, pooling). */
#pragma once

#include "plugins/cuda/conv.h"

/* The output of a layer, places x cp; the channels from c on are zero. */
typedef struct ds_gpu_tensor {
    int c, cp, h, w;
    size_t places; /* batch h w */
    void *value;
    void *grad[2];  /* [1]: a second part, still to be added; NULL: none */
    float *plain;   /* batch x c x h x w, of the device: on the way to or from the host; NULL: no border */
    bool from_host; /* written by the host */
    bool to_host;   /* read by the host */
    bool wants_gradient;
    int contributions; /* gradients that arrive in a pass */
    int reader;        /* from_host: the first layer of ours that reads it, -1: none */
} ds_gpu_tensor;

/* Where a step leaves the gradient of one of its inputs. */
typedef struct ds_gpu_target {
    ds_gpu_tensor *t; /* NULL: not wanted */
    void *at;
    bool add;     /* something is there: add to it */
    bool scratch; /* `at` is scratch memory, to be added to grad[0] */
} ds_gpu_target;

typedef struct ds_engine ds_engine;
typedef struct ds_gpu_step ds_gpu_step;

typedef struct ds_gpu_kind {
    int (*forward)(ds_engine *x, ds_gpu_step *s, ds_error *e);
    int (*backward)(ds_engine *x, ds_gpu_step *s, ds_error *e);
    bool only_writes; /* its gradient of an input cannot be added */
} ds_gpu_kind;

struct ds_gpu_step {
    const ds_gpu_kind *kind;
    const ds_node *node; /* of the first layer */
    int layer, tail;     /* layers [layer, tail] */
    bool trains;         /* has a backward pass */
    ds_gpu_tensor **in;  /* n_inputs */
    ds_gpu_target *to;
    int n_inputs;
    ds_gpu_tensor *other; /* of a shortcut that goes along; NULL: none */
    ds_gpu_target to_other, from_host;
    ds_gpu_tensor *out;
    float slope;
    bool pooled;
    /* a layer with parameters */
    bool linear; /* convolution or connected; else [batchnorm] */
    ds_gpu_shape shape;
    ds_gpu_conv conv;
    ds_gpu_tensor product;
    size_t w_at, o_at; /* of filters in the row; of scales, then biases, among the others */
    size_t s_at;       /* of its statistics: mean, variance, both rolling */
    norm_args norm;    /* of training */
};

typedef struct ds_gpu_segment {
    int first, last; /* layers */
    void *graphs[3]; /* of training, inference, backward; NULL: not recorded yet */
    int runs[3];
} ds_gpu_segment;

/* A host's array of parameters and its place on the device. */
typedef struct ds_gpu_array {
    float *values, *gradient; /* the host's; gradient NULL: not trained */
    size_t n;
    enum { DS_ROW_FILTERS, DS_ROW_OTHERS, DS_ROW_STATISTICS } where;
    size_t at;        /* in row->w; statistics: in row->statistics */
    int k, c, rs, cp; /* filters, which are stored in another order */
    bool of_batch;    /* mean or variance of the last pass */
} ds_gpu_array;

typedef struct ds_gpu_run {
    size_t from, to; /* of the row, with one learning rate */
    float rate;
} ds_gpu_range;

/* One row of parameters: filters of all layers, from n_products on scales and biases; n numbers. */
typedef struct ds_gpu_row {
    size_t n_products, n, n_statistics;
    float *w, *u, *m, *v, *gf, *statistics;
    void *g, *copy;
    ds_gpu_array *arrays;
    int n_arrays;
    ds_gpu_range *runs; /* made at the first update */
    int n_runs;
    const ds_trained *trained; /* n_trained, of the last rule: their moments are fetched */
    int n_trained;
    bool pending;                                 /* g and gf are not in u yet */
    bool host_newer, device_newer, moments_newer; /* moments_newer: the host's, than those of the device */
    float *staging;                               /* as many floats as the largest filters have */
    size_t staged;                                /* so many */
} ds_gpu_row;

/* Decoded images on the device; zero at first. */
typedef struct ds_gpu_store {
    const unsigned char **known; /* n_known: where the image of a number is; NULL: not here */
    size_t n_known;
    unsigned char *chunk, *passing; /* room for the next image that stays; for those of one batch */
    size_t left, passing_bytes;
    bool full;             /* no image stays any more */
    unsigned char *pinned; /* of the host: on their way */
    size_t pinned_bytes;
    ds_picture *list, *listed; /* of a batch, then those mixed in, then shares: of the host, of the device */
} ds_gpu_store;

struct ds_engine {
    ds_graph graph;
    ds_gpu gpu;
    bool training;             /* the forward pass */
    ds_gpu_tensor *tensors;    /* n + 1: [i + 1] is written by layer i, [0] the pixels */
    ds_gpu_tensor **output_of; /* n + 1: a [route] to one layer has no tensor of its own */
    bool *owned;               /* n */
    ds_gpu_step *steps;
    int n_steps;
    ds_gpu_segment *segments;
    int n_segments;
    ds_gpu_row row;
    float *partial;           /* see norm_args */
    float *levels, *features; /* of one layer, of the device and locked of the host; NULL: none wanted */
    unsigned *sync;
    unsigned long long *drop; /* of the device: step, drop */
    void *scratch;
    size_t scratch_bytes;
    ds_gpu_store store;
    float *pixels; /* locked memory of the host, for one batch */
    int culprit;   /* the layer that could not be made, -1: none */
};

/* ---- layer.c: with parameters ---- */

extern const ds_gpu_kind ds_gpu_layer;
/* Its product's plans; DS_EHOST: it cannot be computed here. */
int ds_gpu_layer_plan(ds_engine *x, ds_gpu_step *s, ds_error *e);
/* Its memory, once the row is there. */
int ds_gpu_layer_bind(ds_engine *x, ds_gpu_step *s, ds_error *e);
/* Where one plan computes all of it: fresh filters and biases take its batch normalisation in. */
int ds_gpu_layer_fold(ds_engine *x, const ds_gpu_step *s, ds_error *e);

/* ---- simple.c: the others ---- */

extern const ds_gpu_kind ds_gpu_maxpool, ds_gpu_avgpool, ds_gpu_dropout, ds_gpu_sum, ds_gpu_route;
/* The gradient of a tensor, its parts together, in grad[0]. */
int ds_gpu_join(ds_engine *x, const ds_gpu_tensor *t, ds_error *e);
/* Memory for a gradient that is only written; after it was, ds_gpu_deliver. NULL: not wanted. */
static inline void *ds_gpu_place(const ds_engine *x, const ds_gpu_target *to)
{
    return to->scratch ? x->scratch : to->at;
}
int ds_gpu_deliver(ds_engine *x, const ds_gpu_target *to, ds_error *e);
static inline size_t ds_gpu_numbers(const ds_gpu_tensor *t)
{
    return t->places * (size_t)t->cp;
}

/* ---- row.c: parameters ---- */

/* Room in the row for the arrays of a step. */
void ds_row_add(ds_engine *x, ds_gpu_step *s);
int ds_row_make(ds_engine *x, ds_error *e);
void ds_row_free(ds_gpu_row *r);
/* What the host has newer goes to the device. */
int ds_row_upload(ds_engine *x, ds_error *e);
/* Gradients of the last backward pass go into u, before the next one overwrites them. */
int ds_row_gather(ds_engine *x, ds_error *e);
int ds_row_update(ds_engine *x, const ds_rule *rule, ds_error *e);
int ds_row_fetch(ds_engine *x, ds_fetch what, ds_error *e);

/* ---- picture.c ---- */

/* The pass's pictures become pixels, which the main stream has then. */
int ds_gpu_prepare(ds_engine *x, const ds_backend_pass *pass, ds_error *e);

/* ---- plan.c ---- */

/* refused: n layers that the host keeps. DS_EHOST: x->culprit is one that it must keep too. */
int ds_engine_plan(ds_engine *x, const bool *refused, ds_error *e);
void ds_engine_unplan(ds_engine *x);
