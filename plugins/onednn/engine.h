/* What the files of the backend share. A *plan* is one way to run the graph: one for training, one for
 * inference. It has *tensors*, the blocked outputs of layers, and *steps*: each computes a layer, or a few
 * together (convolution, batch normalisation, activation, then a shortcut or a pooling). Step s runs forward
 * at moment s, backward at moment 2 n_steps - 1 - s; buffers live from moment to moment. A file uses those
 * above it in this header. */
#pragma once

#include "plugins/backend.h"
#include "plugins/onednn/arena.h"
#include "plugins/onednn/dnnl.h"
#include "plugins/onednn/kernels.h"

/* The output of a layer: batch x blocks planes. Padded channels are zero. Blocked, one plane lies behind the
 * other; in bfloat16 (which oneDNN computes fast in no other way) a place has all channels of its image. */
typedef struct ds_tensor {
    int c, h, w, blocks;
    size_t planes;       /* batch x blocks */
    ds_extent extent;    /* of a plane: h w places */
    size_t block, image; /* numbers from one block of an image to the next, from one image to the next */
    const ds_kernels *k; /* for its numbers, of k->size bytes: floats, or bfloat16 */
    /* borders: the host's arrays, NULL where it neither writes nor reads the tensor */
    float *plain, *delta;
    bool from_host; /* written by the host (or the pixels) */
    bool to_host;   /* read by the host */
    int importer;   /* from_host: the step that copies it, -1: none needs a copy */
    float *feature; /* see ds_node; NULL: not wanted in this plan */
    size_t feature_row;
    int measurer; /* the step that takes it */
    bool wants_gradient;
    int contributions; /* gradients that will arrive in a pass */
    int value_buffer, grad_buffer[2];
    /* set when the arena has its memory */
    void *value, *grad[2]; /* grad[1]: a second part, still to be added; NULL: none */
} ds_tensor;

/* Plane i of v, an array like t; NULL of NULL. */
static inline void *ds_plane_at(const ds_tensor *t, const void *v, size_t i)
{
    size_t blocks = (size_t)t->blocks, number = i / blocks * t->image + i % blocks * t->block;
    return v ? (char *)v + number * t->k->size : NULL;
}

/* Where a step leaves the gradient of one of its inputs. */
typedef struct ds_target {
    ds_tensor *t;       /* NULL: not wanted */
    int part;           /* of t->grad */
    bool add;           /* the memory holds something already: add to it */
    int scratch_buffer; /* for a step that can only write, when it must add */
    int arrival;        /* of t->contributions, from 1 on, in the order of their steps */
} ds_target;

typedef struct ds_plan ds_plan;
typedef struct ds_step ds_step;
typedef struct ds_product ds_product; /* product.c */

/* How a kind of step works. All return 0 or a negative ds_err. */
typedef struct ds_step_kind {
    const char *name;
    bool reads_input, reads_output; /* in its backward pass */
    bool keeps_index;               /* a byte for each number of the output, for the backward pass */
    bool only_adds;                 /* its plane_gradient */
    /* (optional) Targets of the gradients, buffers; default: a target for each input, to write or add to.
     * DS_EHOST: this layer cannot be computed here. */
    int (*make)(ds_plan *p, ds_step *s, ds_error *e);
    int (*forward)(const ds_plan *p, ds_step *s);
    int (*backward)(const ds_plan *p, ds_step *s);
    /* A step of one input that works plane by plane (plane.c): plane i of the output from that of the input,
     * and dx = (add ? dx : 0) + the gradient of the input. */
    void (*plane)(const ds_plan *p, const ds_step *s, size_t i, const void *x, void *y);
    void (*plane_gradient)(const ds_plan *p, const ds_step *s, size_t i, const void *g, bool add, void *dx);
} ds_step_kind;

struct ds_step {
    const ds_step_kind *kind;
    const ds_node *node;     /* of the first layer */
    int number, layer, tail; /* layers [layer, tail] */
    bool trains;             /* has a backward pass */
    /* n_inputs, and place for one more; [1] is the other one of a shortcut, fused or not, else NULL */
    ds_tensor **inputs;
    ds_target *to; /* of each input */
    int n_inputs;
    ds_tensor *out;
    ds_target from_host; /* the host's part of the gradient of `out` */
    int index_buffer;
    ds_pool pool;
    float slope; /* 1 when odd */
    int odd;     /* activation for graph.activate; -1: slope says it all */
    /* a layer with parameters */
    ds_product *linear; /* NULL: [batchnorm] */
    ds_tensor product;  /* its own memory, or that of `out` (in_place) or of the input (batchnorm) */
    bool plain_input;   /* the product starts from the host's array */
    bool in_place, pooled;
    bool shares_gradient; /* the other input of a shortcut takes the memory of out's gradient over */
    bool conv_activates;  /* inference: the activation is the convolution's */
    bool add_in_place;    /* inference: the product is added to the other input where that lies */
    int scratch_buffer, finish_buffer;
};

struct ds_plan {
    const ds_graph *graph;
    ds_dnnl *dnnl;
    const ds_kernels *k;
    const ds_kernels *bf16; /* of tensors, but for those that tensor.c says; NULL: all are of floats */
    size_t block;           /* of both */
    bool train, fresh;      /* fresh: weights are in the convolutions' layouts */
    ds_tensor *tensors;     /* n + 1: [i + 1] is written by layer i, [0] the pixels */
    ds_tensor **output_of;  /* n + 1: where an output lies; a [route] to one layer has none of its own */
    ds_step *steps;
    ds_step **step_of; /* n: the step that starts with a layer, else NULL */
    int n_steps;
    bool *owned; /* n */
    int culprit; /* the layer that could not be made, -1: none */
    ds_arena arena;
    const ds_backend_pass *pass; /* that is running */
};

static inline int ds_backward_moment(const ds_plan *p, const ds_step *s)
{
    return 2 * p->n_steps - 1 - s->number;
}

/* Memory for as long as the plan lives, zero at first. */
static inline int ds_lease_always(ds_plan *p, size_t bytes)
{
    return ds_arena_want(&p->arena, bytes, 0, 2 * p->n_steps - 1);
}

/* The bytes of a plane of the step's output; NULL where none are kept. */
static inline uint8_t *ds_index_at(const ds_plan *p, const ds_step *s, size_t plane)
{
    uint8_t *index = ds_arena_at(&p->arena, s->index_buffer);
    return index ? index + plane * s->out->extent.places * p->block : NULL;
}

/* ---- tensor.c: shapes, and passes over whole tensors ---- */

ds_tensor ds_tensor_shape(const ds_plan *p, int c, int h, int w);
size_t ds_tensor_bytes(const ds_tensor *t);
bool ds_tensor_same_shape(const ds_tensor *a, const ds_tensor *b);
/* Between a blocked tensor like t and a plain array (add: added to it). */
void ds_tensor_from_plain(const ds_tensor *t, const float *plain, void *to);
void ds_tensor_to_plain(const ds_tensor *t, const void *from, bool add, float *plain);
/* to += from, both like t. */
void ds_tensor_add(const ds_tensor *t, const void *from, void *to);
/* Padded channels of v, an array like t, become zero. */
void ds_tensor_clear_padding(const ds_tensor *t, void *v);
/* grad[0] += grad[1], if there is one. */
void *ds_tensor_join(const ds_tensor *t);
/* The feature of each channel of plane i of t. */
void ds_tensor_measure(const ds_tensor *t, size_t i);
/* The host's activation of a step, where no slope describes it: of its output, of the gradient g. */
void ds_odd_activate(const ds_plan *p, const ds_step *s);
void ds_odd_gradient(const ds_plan *p, const ds_step *s, void *g);

/* ---- target.c: where gradients of inputs go ---- */

/* The next gradient of t comes from this step; can_add: it can add as well as write. */
ds_target ds_target_make(ds_plan *p, const ds_step *s, ds_tensor *t, bool can_add);
/* Memory to write to, or, with to->add, to add to; NULL where no gradient is wanted. */
void *ds_target_open(const ds_plan *p, const ds_target *to);
void ds_target_close(const ds_plan *p, const ds_target *to);

/* ---- product.c: convolution and connected ---- */

int ds_product_make(ds_plan *p, ds_step *s, ds_error *e);
int ds_product_forward(const ds_plan *p, ds_step *s);
int ds_product_backward(const ds_plan *p, ds_step *s, const void *grad);
/* The parameters have changed. */
int ds_product_refresh(const ds_plan *p, const ds_step *s);
void ds_product_free(ds_product *l);

/* ---- the kinds of steps ---- */

extern const ds_step_kind ds_step_layer;                                       /* layer.c: with parameters */
extern const ds_step_kind ds_step_maxpool, ds_step_avgpool, ds_step_dropout;   /* plane.c */
extern const ds_step_kind ds_step_shortcut, ds_step_activation, ds_step_route; /* join.c */

/* ---- plan.c ---- */

/* refused: n layers that the host keeps. DS_EHOST: p->culprit is one that it must keep too. */
int ds_plan_make(ds_plan *p, const ds_graph *g, bool train, const bool *refused, ds_error *e);
void ds_plan_release(ds_plan *p);
