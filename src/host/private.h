/* Inside src/host: what its files share. The only place, with its .c files, that sees <darknet.h>. */
#ifndef DS_HOST_PRIVATE_H
#define DS_HOST_PRIVATE_H

#include "host/host.h"
#include "plugins/backend.h"
#include "plugins/registry.h"
#include "select/select.h"

#include <darknet.h>

_Static_assert(sizeof(layer) == 1184, "darknet.h is not the one of Debian's package");
_Static_assert(sizeof(network) == 272, "darknet.h is not the one of Debian's package");

/* ---- open.c, bind.c: the functions of libdarknet.so that we call ---- */

#define DS_HOST_FUNCTIONS(X)                                        \
    X(network *, parse_network_cfg, (char *))                       \
    X(void, free_network, (network *))                              \
    X(void, free_layer, (layer))                                    \
    X(void, activate_array, (float *, const int, const ACTIVATION)) \
    X(void, gradient_array, (const float *, const int, const ACTIVATION, float *))

typedef struct ds_host {
#define DS_HOST_MEMBER(type, name, args) type(*name) args;
    DS_HOST_FUNCTIONS(DS_HOST_MEMBER)
#undef DS_HOST_MEMBER
} ds_host;

/* Open the library once a process. */
int ds_host_open(const ds_host **host, ds_error *e);
/* Fill the table from a library that is open already. */
int ds_host_bind(void *handle, ds_host *host, ds_error *e);

/* ---- parse.c ---- */

/* Parse a cfg text in memory. With `quiet` the host's chatter on stderr is dropped. */
int ds_host_parse(const ds_host *host, const char *text, bool quiet, network **net, ds_error *e);

/* ---- guard.c: functions of the host that the program replaces ---- */

/* Seed the numbers that initial weights are drawn from. */
void ds_host_seed(uint64_t seed);
/* Run `call(arg)`; when the host ends itself in there, return its message as DS_EHOST instead. */
int ds_host_guard(void (*call)(void *), void *arg, ds_error *e);

/* ---- attach.c: a plugin in the place of a host layer ---- */

/* What a pass needs beyond the host's structs; owned by whoever runs the pass. */
typedef struct ds_context {
    const int *labels; /* NULL without training */
    const uint32_t *ids;
    int epoch, epochs;
    double *loss;
    int code; /* first failure of a plugin */
    ds_error *error;
    void (*fatal)(
        const ds_error *e); /* under LD_PRELOAD, where nobody looks at `code`: does not return; else NULL */
} ds_context;

typedef struct ds_attached {
    ds_instance it;
    int cost; /* layer number of the cost section */
    ds_context *context;
} ds_attached;

/* Give the plugin sections of `cfg` their layers in `net`. setup: samples, epochs, notes. */
int ds_attach(const ds_cfg *cfg, network *net, const ds_setup *setup, ds_context *context, ds_error *e);
/* The plugin of a layer, NULL for a host layer. */
ds_attached *ds_attached_of(const layer *l);
/* Free the plugin of a layer, if any. */
void ds_detach(layer *l);

/* ---- takeover.c: host layers that would crash or go wrong as they are ---- */

/* Per layer, beyond the host's struct. */
typedef struct ds_slot {
    int last_reader;  /* the last layer that reads its output, -1: none */
    bool shared;      /* another layer than the next reads its output too */
    bool own_buffers; /* output and delta are ours ([dropout]) */
    bool owned;       /* computed by the backend */
    bool plain;       /* the host reads or writes its output: the plain arrays count */
} ds_slot;

/* Room that the convolutions of a network share, for so many threads. */
typedef struct ds_work {
    float *v;
    int threads;
} ds_work;

struct ds_net {
    const ds_host *host;
    const ds_cfg *cfg;
    network *net;
    ds_net_info info;
    ds_slot *slots; /* info.layers */
    ds_param *params;
    int n_params;
    ds_context context;
    int first;                 /* first layer that trains; nothing before it needs a gradient */
    float *scratch;            /* gradient of a shared input: batch x largest output */
    ds_work work;              /* of the convolutions */
    const ds_backend *backend; /* NULL: the host computes all */
    ds_graph graph;            /* what its states are made from */
    void *whole, *pieces[31];  /* states for the whole batch and for 2^k images at once; NULL: not made yet */
    void *state;               /* the one at work: `whole` outside ds_net_forward */
    ds_node *nodes;            /* of the graph */
    int *backend_inputs;       /* of the nodes */
    char backend_name[64];
    bool dropout_active;
    uint64_t seed, step;
    double *loss;         /* batch */
    ds_layer_time *times; /* info.layers, NULL: not measured */
    bool times_held;
    size_t statistics_calls;
    double *statistics; /* per channel: sums of mean, mean^2, variance */
};

/* Mend the parsed network: missing buffers, sizes, dropout's own memory. */
int ds_takeover(ds_net *n, ds_error *e);
/* Room for the convolutions that are not the backend's. */
int ds_takeover_work(ds_net *n, bool train, ds_error *e);
void ds_takeover_release(ds_net *n);
/* Forward and backward of one layer, host's or taken over. net.input and net.delta are set by the walk. */
void ds_layer_forward(ds_net *n, int i, network net);
void ds_layer_backward(ds_net *n, int i, network net);

/* ---- gemm.c, im2col.c: exported in the place of the host's ---- */

/* C = beta C + alpha A B; ta, tb: A, B are given transposed. */
void gemm(int ta, int tb, int m, int n, int k, float alpha, float *a, int lda, float *b, int ldb, float beta,
          float *c, int ldc);
void im2col_cpu(float *im, int channels, int height, int width, int size, int stride, int pad, float *col);
void col2im_cpu(float *col, int channels, int height, int width, int size, int stride, int pad, float *im);

/* ---- batchnorm.c ---- */

/* Channel f of the whole batch: l->output is normalised in place (train: by its own statistics, which are kept with l->x). */
void ds_batchnorm_channel_forward(const layer *l, int f, bool train);
/* l->delta in place; scale and bias gradients are added. */
void ds_batchnorm_channel_backward(const layer *l, int f);

/* ---- convolution.c ---- */

/* Floats of work that the calls below need. */
size_t ds_convolution_work(const layer *l, int threads, bool train);
/* input: batch x c x h x w. */
void ds_convolution_forward(const ds_host *host, const layer *l, const float *input, bool train,
                            const ds_work *work);
/* Adds to weight_updates, …, and to delta (batch x c x h x w; NULL: not wanted). */
void ds_convolution_backward(const ds_host *host, const layer *l, const float *input, float *delta,
                             const ds_work *work);

/* ---- backend.c ---- */

/* NULL name: the best that was built in. *backend NULL: the host. DS_EUSAGE: no such backend. */
int ds_backend_find(const char *name, const ds_backend **backend, ds_error *e);
int ds_backend_attach(ds_net *n, const ds_net_setup *setup, ds_error *e);
void ds_backend_detach(ds_net *n);
/* How many of so many images go through at once. */
int ds_backend_piece(const ds_net *n, int images);
/* Let the state for so many images work; it is made when there is none. */
int ds_backend_select(ds_net *n, int images, ds_error *e);
/* Training has moved the rolling averages: the states for pieces must know. */
void ds_backend_moved(const ds_net *n);
/* A layer that is the backend's; errors go to n->context. */
void ds_backend_forward(ds_net *n, int i, const float *pixels, bool train);
void ds_backend_backward(ds_net *n, int i, const float *pixels);

/* ---- profile.c ---- */
double ds_profile_now(const ds_net *n);
/* The time since `start` belongs to layer i. */
void ds_profile_add(ds_net *n, int i, bool backward, double start);

/* ---- walk.c ---- */

/* Who reads whom, where training begins. */
int ds_walk_plan(ds_net *n, bool train, ds_error *e);
/* Layers 0 … last; train: batch statistics, dropout. */
void ds_walk_forward(ds_net *n, const float *pixels, int last, bool train);
/* From the cost layer down to the first that trains. */
void ds_walk_backward(ds_net *n, const float *pixels);

/* ---- params.c ---- */
int ds_params_list(ds_net *n, ds_error *e);

#endif
