/* What the files of the backend share. A *plan* is one way to run the graph: one for training, one for inference. It has *tensors*, the
 * blocked outputs of layers, and *steps*: each computes a layer, or a few together (convolution, batch normalisation, activation, then a
 * shortcut or a pooling). Step s runs forward at moment s, backward at moment 2 n_steps - 1 - s; buffers live from moment to moment. */
#ifndef DS_ONEDNN_ENGINE_H
#define DS_ONEDNN_ENGINE_H

#include "plugins/backend.h"
#include "plugins/onednn/arena.h"
#include "plugins/onednn/dnnl.h"
#include "plugins/onednn/kernels.h"

/* The output of a layer: batch x blocks planes. Padded channels are zero. */
typedef struct ds_tensor {
    int c, h, w, blocks;
    size_t places; /* h w */
    size_t plane;  /* floats of a plane: places x block */
    size_t planes; /* batch x blocks */
    /* borders: the host's arrays, NULL where it neither writes nor reads the tensor */
    float *plain, *delta;
    bool from_host; /* written by the host (or the pixels) */
    bool to_host;   /* read by the host */
    int importer;   /* from_host: the step that copies it, -1: none needs a copy */
    bool wants_gradient;
    int contributions; /* gradients that will arrive in a pass */
    int value_buffer, grad_buffer[2];
    /* set when the arena has its memory */
    float *value, *grad[2]; /* grad[1]: a second part, still to be added; NULL: none */
} ds_tensor;

/* Where a step leaves the gradient of one of its inputs. */
typedef struct ds_target {
    ds_tensor *t;       /* NULL: not wanted */
    int part;           /* of t->grad */
    bool add;           /* the part holds something already */
    int scratch_buffer; /* for a step that can only write, when it must add */
    int arrival;        /* of t->contributions, from 1 on, in the order of their steps */
} ds_target;

typedef struct ds_plan ds_plan;
typedef struct ds_step ds_step;
typedef struct ds_product ds_product; /* product.c */

/* How a kind of step works. All return 0 or a negative ds_err. */
typedef struct ds_step_kind {
    const char *name;
    bool reads_input_backward;
    /* Targets of the gradients, buffers. DS_EHOST: this layer cannot be computed here. */
    int (*make)(ds_plan *p, ds_step *s, ds_error *e);
    int (*forward)(ds_plan *p, ds_step *s, const ds_backend_pass *pass);
    int (*backward)(ds_plan *p, ds_step *s, const ds_backend_pass *pass);
    void (*release)(ds_step *s); /* (optional) */
} ds_step_kind;

/* What follows a product: batch normalisation, bias, activation. Arrays of blocks x block numbers, zero in padded channels. */
typedef struct ds_finish {
    float *scale, *shift, *mean, *a, *b, *c;
    float *parts; /* planes x 2 x block: reductions of each plane */
} ds_finish;

struct ds_step {
    const ds_step_kind *kind;
    const ds_node *node;     /* of the first layer */
    int number, layer, tail; /* layers [layer, tail] */
    bool trains;             /* has a backward pass */
    ds_tensor *inputs[2];    /* shortcut, fused or not: [1] is the other one */
    ds_tensor *out;
    ds_tensor **parts; /* route: all inputs */
    int n_parts;
    ds_target to[2], *to_parts;
    ds_target from_host; /* the host's part of the gradient of `out` */
    /* after the product */
    ds_tensor product; /* its own memory, or that of `out` (in_place) or of the input (batchnorm) */
    bool plain_input;  /* the product starts from the host's array */
    bool in_place, pooled;
    bool shares_gradient; /* the other input of a shortcut takes the memory of out's gradient over */
    bool conv_activates;  /* inference: the activation is the convolution's */
    bool add_in_place;    /* inference: the product is added to the other input where that lies */
    ds_pool pool;
    float slope; /* 1 when odd */
    int odd;     /* activation for graph.activate; -1: slope says it all */
    int scratch_buffer, index_buffer;
    ds_product *linear;
    ds_finish finish;
};

struct ds_plan {
    const ds_graph *graph;
    ds_dnnl *dnnl;
    const ds_kernels *k;
    bool train, fresh;     /* fresh: weights are in the convolutions' layouts */
    ds_tensor *tensors;    /* n + 1: [i + 1] is written by layer i, [0] the pixels */
    ds_tensor **output_of; /* n + 1: where an output lies; a [route] to one layer has none of its own */
    ds_step *steps;
    ds_step **step_of; /* n: the step that starts with a layer, else NULL */
    int n_steps;
    bool *owned; /* n */
    ds_arena arena;
};

/* ---- plan.c ---- */

/* refused: n layers that the host keeps. *culprit: the layer that failed with DS_EHOST. */
int ds_plan_make(ds_plan *p, const ds_graph *g, bool train, const bool *refused, int *culprit, ds_error *e);
void ds_plan_release(ds_plan *p);
static inline int ds_backward_moment(const ds_plan *p, const ds_step *s)
{
    return 2 * p->n_steps - 1 - s->number;
}
ds_tensor ds_tensor_shape(const ds_plan *p, int c, int h, int w);
size_t ds_tensor_bytes(const ds_tensor *t);
bool ds_tensor_same_shape(const ds_tensor *a, const ds_tensor *b);
/* A byte for each number that the step puts out, for the backward pass; training only. */
void ds_lease_index(ds_plan *p, ds_step *s);

/* ---- border.c: gradients' targets, and what the host reads and writes ---- */

/* The next gradient of t comes from this step; can_add: it can add as well as write. */
ds_target ds_target_make(ds_plan *p, const ds_step *s, ds_tensor *t, bool can_add);
/* Memory to write to, or, when *add, to add to. */
float *ds_target_open(const ds_plan *p, const ds_target *to, bool *add);
void ds_target_close(const ds_plan *p, const ds_target *to);
/* Copies for the first step that reads; results for the host. */
void ds_border_before_forward(const ds_plan *p, const ds_step *s);
void ds_border_after_forward(const ds_plan *p, const ds_step *s);
void ds_border_before_backward(const ds_plan *p, const ds_step *s);
/* Between a blocked tensor like t and a plain array (add: added to it). */
void ds_tensor_from_plain(const ds_plan *p, const ds_tensor *t, const float *plain, float *to);
void ds_tensor_to_plain(const ds_plan *p, const ds_tensor *t, const float *from, bool add, float *plain);
/* to += from, both like t. */
void ds_tensor_add(const ds_plan *p, const ds_tensor *t, const float *from, float *to);
/* grad[0] += grad[1], if there is one. */
float *ds_tensor_join(const ds_plan *p, const ds_tensor *t);

/* ---- product.c: convolution and connected ---- */
int ds_product_make(ds_plan *p, ds_step *s, ds_error *e);
int ds_product_forward(ds_plan *p, ds_step *s);
int ds_product_backward(ds_plan *p, ds_step *s, const float *grad);
/* The parameters have changed. */
int ds_product_refresh(ds_plan *p, ds_step *s);
void ds_product_free(ds_product *l);

/* ---- the kinds of steps ---- */
extern const ds_step_kind ds_step_layer;                       /* layer.c: with parameters */
extern const ds_step_kind ds_step_maxpool, ds_step_avgpool;    /* pool.c */
extern const ds_step_kind ds_step_shortcut, ds_step_route;     /* join.c */
extern const ds_step_kind ds_step_activation, ds_step_dropout; /* point.c */

/* The host's activations on a whole tensor; padded channels stay zero. */
void ds_odd_activate(const ds_plan *p, const ds_tensor *t, float *x, int activation);
void ds_odd_gradient(const ds_plan *p, const ds_tensor *t, const float *y, int activation, float *grad);

#endif
