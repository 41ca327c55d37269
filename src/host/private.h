/* Inside src/host: what its files share. The only place that includes <darknet.h>. */
#pragma once

#include "host/host.h"
#include "plugins/backend.h"

#include <darknet.h>

/* Of a function that replaces the host's. */
#define EXPORT __attribute__((visibility("default")))

_Static_assert(sizeof(layer) == 1184, "darknet.h is not the one of Debian's package");
_Static_assert(sizeof(network) == 272, "darknet.h is not the one of Debian's package");

/* ---- open.c: the functions of libdarknet.so that we call ---- */

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

/* Denormals are zero, here and in the threads that follow: as the host has it. */
void ds_host_settle(void);
/* DS_EHOST unless `mib` MiB of address space are left, and what OpenMP's threads take: without them libraries
 * of others crash, or end the program. */
int ds_host_room(int mib, ds_error *e);
/* Open the library once a process. */
int ds_host_open(const ds_host **host, ds_error *e);
/* Fill the table from a library that is open already. */
int ds_host_bind(void *handle, ds_host *host, ds_error *e);

/* Numbers of a batch, `per_image` each. */
static inline size_t ds_batch_size(const layer *l, int per_image)
{
    return (size_t)l->batch * (size_t)per_image;
}

/* ---- guard.c: functions of the host that the program replaces ---- */

/* Seed the numbers that initial weights are drawn from. */
void ds_host_seed(uint64_t seed);
/* Run `call(arg)`; when the host ends itself in there, return its message as DS_EHOST instead. */
typedef int ds_guard(void (*call)(void *), void *arg, ds_error *e);
ds_guard ds_host_guard;

/* ---- parse.c ---- */

/* Parse a cfg text in memory, under the guard, without the host's chatter on stderr; NULL guard: the host
 * talks and ends as it likes. */
int ds_host_parse(const ds_host *host, const char *text, ds_guard *guard, network **net, ds_error *e);

/* ---- build.c ---- */

/* The network for answering, batch images at once (0: the cfg's), without the library; NULL where it has a
 * layer that only the host computes, *hosts. Every other layer must get a plugin or a backend. */
network *ds_host_build(const ds_cfg *cfg, int batch, int *hosts);
void ds_host_unbuild(network *net);

/* ---- whole.c: a sub-batch of several ranks ---- */

typedef struct ds_whole ds_whole; /* opaque */
/* share: images of a rank; inputs, outputs: of the cost section. */
ds_whole *ds_whole_new(const ds_ranks *ranks, int share, int inputs, int outputs);
void ds_whole_free(ds_whole *w);
/* A pass over this rank's images becomes one over those of all ranks. */
void ds_whole_gather(ds_whole *w, ds_pass *p);
/* This rank's rows of what that pass has given. */
void ds_whole_keep(const ds_whole *w, float *output, float *gradient);
ds_trained_images ds_whole_images(const ds_whole *w);

/* ---- attach.c: a plugin in the place of a host layer ---- */

/* What a pass needs beyond the host's structs; owned by whoever runs the pass. */
typedef struct ds_context {
    /* What is known of it before a section's turn: labels (NULL without training), ids, mixtures, epochs,
     * loss; features, or NULL where nobody collects them; where the p-values of [reject] go. */
    ds_pass pass;
    ds_whole *whole; /* of several ranks, in training; else NULL */
    int code;        /* first failure of a plugin or of the backend */
    ds_error *error; /* gets its text; may be NULL */
    /* Under LD_PRELOAD, where nobody looks at `code`: does not return; else NULL. */
    void (*fatal)(const ds_error *e);
} ds_context;

/* A pass without training begins. */
void ds_context_start(ds_context *c, ds_error *e);
/* rc: what a step of the pass returned, with `e` if it failed. */
void ds_context_record(ds_context *c, int rc, const ds_error *e);

typedef struct ds_attached {
    ds_instance it;
    int cost; /* layer number of the cost section */
    ds_context *context;
    ds_depths depths;
    float *features; /* where nobody else collects them, */
    double *novelty; /* nor p-values */
    bool checked;    /* novelty is that of the network's weights */
} ds_attached;

/* Give the plugin sections of `cfg` their layers in `net`. setup: samples, epochs, notes, depths. */
int ds_attach(const ds_cfg *cfg, network *net, const ds_setup *setup, ds_context *context, ds_error *e);
/* The plugin of a layer, NULL for a host layer. */
ds_attached *ds_attached_of(const layer *l);
/* Free the plugin of a layer, if any. */
void ds_detach(layer *l);

/* ---- the network ---- */

/* Per layer, beyond the host's struct. */
typedef struct ds_slot {
    int inputs[2];    /* layers that it reads; -1: the pixels. Of [shortcut] both, of [route] neither */
    int last_reader;  /* the last layer that reads its output, -1: none */
    bool shared;      /* another layer than the next reads its output too */
    bool own_buffers; /* output and delta are ours ([dropout]) */
    bool owned;       /* computed by the backend */
    bool plain;       /* the host reads or writes its output: the plain arrays count */
    float *feature;   /* where those of its channels go (features.c), NULL: not wanted */
    int channels;     /* of them */
} ds_slot;

struct ds_net {
    const ds_host *host; /* NULL: `net` is ds_host_build's */
    const ds_cfg *cfg;
    network *net;
    ds_net_info info;
    ds_slot *slots; /* info.layers */
    ds_param *params;
    int n_params;
    ds_context context;
    int first;      /* first layer that trains; nothing before it needs a gradient */
    float *scratch; /* gradient of a shared input: batch x largest output; training only */
    float *taken;   /* pixels that a layer with stride reads, and their gradients */
    bool dropout_active, begun;
    uint64_t seed, step;
    size_t samples;                      /* training images */
    double *loss;                        /* batch, of all ranks */
    const ds_ranks *ranks;               /* NULL: one */
    void (*after)(void *arg, int layer); /* see ds_net_set_after */
    void *after_arg;
    ds_depths depths;
    float *features; /* batch x depths.row, of the last pass; NULL: not wanted */
    double *novelty; /* batch: p-values of [reject], if it has any, of the last pass */
    /* backend.c */
    const ds_backend *backend; /* NULL: the host computes all */
    char backend_name[96];
    ds_graph graph;                     /* what its states are made from */
    ds_node *nodes;                     /* of the graph */
    const ds_picture *pictures, *mixed; /* see ds_net_set_pictures */
    void *whole;                        /* state for a whole batch */
    void *pieces[31];                   /* states for 2^k images at once; NULL: not made yet */
    void *state;                        /* the one at work: `whole` outside ds_net_forward */
    /* walk.c, batchnorm.c */
    ds_layer_time *times; /* info.layers, NULL: not measured */
    size_t statistics_calls;
    double *statistics; /* per channel: sums of mean, mean^2, variance */
};

/* ---- takeover.c: host layers that would crash or go wrong as they are ---- */

/* Mend the parsed network: missing buffers, sizes, dropout's own memory. */
void ds_takeover(ds_net *n);
/* One layer, the host's or taken over; net.input, net.delta and net.index are those of its turn. */
void ds_layer_forward(ds_net *n, layer l, network net);
void ds_layer_backward(ds_net *n, layer l, network net);
/* Does backward add to net.delta? Other layers overwrite it. */
bool ds_layer_adds(const layer *l);

/* ---- backend.c ---- */

/* Choose by name (NULL: the best; "host": none), and its precision. DS_EUSAGE: no such name, or precision. */
int ds_backend_choose(ds_net *n, const ds_net_setup *setup, ds_error *e);
/* Hand its layers to it. */
int ds_backend_attach(ds_net *n, const ds_net_setup *setup, ds_error *e);
void ds_backend_detach(ds_net *n);
/* How many of so many images go through at once: the last so many. */
int ds_backend_piece(const ds_net *n, int images);
/* Let the state for so many images work; it is made when there is none. */
int ds_backend_select(ds_net *n, int images, ds_error *e);
/* Training has moved the rolling averages: the states for pieces must know. */
void ds_backend_moved(const ds_net *n);
/* A layer that is the backend's; errors go to n->context. */
void ds_backend_forward(ds_net *n, int i, const float *pixels, bool train);
void ds_backend_backward(ds_net *n, int i, const float *pixels);
/* Seconds that passes have waited for another device. */
double ds_backend_waited(const ds_net *n);
int ds_backend_fetch(const ds_net *n, ds_fetch what, ds_error *e);

/* ---- walk.c ---- */

/* Who reads whom. */
void ds_walk_plan(ds_net *n, bool train);
/* The layers that layer i reads; -1: the pixels. */
const int *ds_inputs_of(const ds_net *n, int i, int *count);
/* Layers 0 … last; train: batch statistics, dropout. */
void ds_walk_forward(ds_net *n, const float *pixels, int last, bool train);
/* From the cost layer down to the first that trains. */
void ds_walk_backward(ds_net *n, const float *pixels);

/* ---- features.c ---- */

/* Channels, rows and columns of so many numbers; some layers of the host know only how many they have. */
void ds_shape_of(const ds_shape *s, int numbers, int *c, int *h, int *w);
/* Where a network is looked at: the outputs before each pooling or strided layer and the one before the last
 * layer with weights. */
void ds_depths_of(const ds_cfg *cfg, const network *net, ds_depths *d);
/* The feature of each channel of what a layer has put out; image b's go to to[b * row]. */
void ds_measure_output(const layer *l, int channels, float *to, size_t row);
/* Passes without training leave features from now on. */
void ds_features_make(ds_net *n);

/* ---- params.c ---- */

/* How many weights a layer has. */
size_t ds_weights_of(const layer *l);

/* The parameters, and where training begins; n->net is enough. */
void ds_params_collect(ds_net *n);
