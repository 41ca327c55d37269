/* The only door to libdarknet.so. Behind it: opening the library, lowering and parsing, attaching plugins,
 * the walk over the layers, the list of parameters, weights files. Nothing of <darknet.h> comes out. */
#pragma once

#include "cfg/cfg.h"
#include "plugins/backend.h"
#include "plugins/registry.h"
#include "ranks/ranks.h"

#ifdef DS_WITH_ONEDNN
#define DS_DEFAULT_BACKEND "onednn"
#else
#define DS_DEFAULT_BACKEND "host"
#endif

typedef struct ds_net ds_net; /* opaque */

typedef struct ds_net_setup {
    int batch;         /* images that go through at once; 0: the cfg's batch / subdivisions */
    bool train;        /* gradients wanted */
    bool alone;        /* in the process of others: without libdarknet.so; memory is managed as it was */
    bool features;     /* ds_net_features wanted, and novelty= of [reject] not read; not with `train` */
    size_t samples;    /* training images, 0 without training */
    const int *counts; /* of each class; NULL without training */
    int epochs;        /* total epochs of the run, 0 without training */
    uint64_t seed;     /* of initial weights and dropout */
    int threads;       /* compute threads, 0: all cores */
    /* "onednn", "cuda", "cuda:N" (device N), "host"; NULL: DS_DEFAULT_BACKEND */
    const char *backend;
    /* "f32"; "tf32"; "bf16"; "auto": bf16 where that is faster, else f32; NULL: the cfg's precision= */
    const char *precision;
    const ds_ranks *ranks; /* of a training by several, whose batches are shares; NULL: one */
    bool tune;             /* see ds_graph; DS_EUSAGE: the backend does not */
    bool verbose;          /* notes about layers that the backend leaves to the host */
    ds_notes *notes;       /* may be NULL */
} ds_net_setup;

/* The cfg must outlive the network. The thread's denormals are zero from here on, and its OpenMP has
 * setup->threads. DS_EHOST: no libdarknet.so, DS_EUSAGE: unknown backend, DS_EINPUT: `alone`, and a layer
 * is not the backend's. */
int ds_net_new(const ds_cfg *cfg, const ds_net_setup *setup, ds_net **net, ds_error *e);
void ds_net_free(ds_net *net);

typedef struct ds_net_info {
    int batch;           /* images at once */
    int w, h, c, inputs; /* of one image */
    int layers;
    int cost, reject;        /* layer numbers, -1: none */
    int logits;              /* a row of ds_net_logits: C or C + 1 */
    int classes;             /* C */
    bool abstain;            /* the last logit means abstain */
    double cost_temperature; /* of the output of the cost section */
    int warmup_epochs;       /* of its target (see plugin.h) */
    size_t parameters;
    double flops;        /* as those of its layers */
    int precision;       /* index into ds_precision_names, never that of "auto" */
    int threads;         /* that compute */
    const char *backend; /* "onednn (2.6.3, AVX-512)", "host"; the network's */
} ds_net_info;
const ds_net_info *ds_net_get_info(const ds_net *net);

/* Bytes of the arrays that its passes touch, parameters and the target's history among them, and of
 * libdarknet.so, where that is open: an estimate. */
size_t ds_net_memory(const ds_net *net);

/* That of its [reject]; without one msp and no threshold. */
const ds_reject *ds_net_get_reject(const ds_net *net);
/* The p-values of [reject] novelty= for the n images of the last pass; NULL: there is no novelty=. */
const double *ds_net_novelty(const ds_net *net);

/* One row of the layer table. */
typedef struct ds_layer_row {
    const char *name; /* the cfg's */
    ds_shape in, out;
    size_t parameters;
    double flops; /* multiply-adds times 2, forward, one image */
} ds_layer_row;
ds_layer_row ds_net_layer_row(const ds_net *net, int i);

/* info.layers: the network as a backend sees it. Arrays that are copies (ds_param.resident) need a
 * ds_net_fetch. */
const ds_node *ds_net_nodes(const ds_net *net);

/* Forward without training of n = images, 1 <= n <= info.batch (pixels: n x inputs), at about the cost of
 * n. A backend runs fewer than a whole batch as pieces of 8, 4, 2, 1, say: the first pass with a piece of a
 * size prepares for it, some milliseconds and a copy of the weights. Results of an image do not depend on
 * n, but for rounding. */
int ds_net_forward(ds_net *net, const float *pixels, int images, ds_error *e);
/* n x info.logits, raw logits of the cost section, of the last pass; valid until the next. */
const float *ds_net_logits(const ds_net *net);

/* Features of the images of the last pass, n x (*depths)->row; valid until the next. NULL without
 * setup.features, unless [reject] has a novelty= for them. */
const float *ds_net_features(const ds_net *net, const ds_depths **depths);

/* Are the passes of ds_net_train from now on those of the warm-up? At first they are not. */
void ds_net_set_warming(ds_net *net, bool warming);
/* Are their images mixtures? See ds_pass, whose names these are; NULL: they are not, as at first. */
void ds_net_set_mixture(ds_net *net, const int *others, const float *shares);
/* Does the backend prepare images itself? */
bool ds_net_prepares(const ds_net *net);
/* Those of passes without pixels (NULL) from now on: as in ds_backend_pass, shares those of the mixture. */
void ds_net_set_pictures(ds_net *net, const ds_picture *pictures, const ds_picture *mixed);
/* Forward and backward of one sub-batch; adds to ds_param.gradient, which the caller scales or clears
 * between steps. loss: losses of the batch, of all ranks; labels, ids: batch. Mixtures without ids are a
 * second pass of a step, whose dropout is that of the pass before. DS_ENUMERIC when a loss is not a number.
 * */
int ds_net_train(ds_net *net, const float *pixels, const int *labels, const uint32_t *ids, int epoch,
                 double *loss, ds_error *e);
/* The images of the last ds_net_train, those of all ranks: numbers an image, labels and ids as given there.
 * */
typedef struct ds_trained_images {
    int images;
    const float *logits; /* images x info.logits */
    const int *labels;
    const uint32_t *ids;
} ds_trained_images;
ds_trained_images ds_net_trained(const ds_net *net);
/* Be told, with `arg`, of each layer of which ds_net_train has the gradients, in falling order; NULL: not.
 * */
void ds_net_set_after(ds_net *net, void (*after)(void *arg, int layer), void *arg);
/* Images that went through training before, 0 in a new network: dropout depends on (seed, pass, layer). */
void ds_net_set_seen(ds_net *net, uint64_t seen);
/* The target's memory of the training images (see plugin.h). */
ds_history ds_net_history(const ds_net *net);
/* Weight of the network's own predictions in the target (see plugin.h). */
double ds_net_alpha(const ds_net *net, int epoch);

/* ---- time ---- */

/* Seconds that a layer took since ds_net_profile_start, all passes together, in training those of
 * ds_net_train alone. A backend may compute a layer together with the one before, which then has the time of
 * both. */
typedef struct ds_layer_time {
    double forward, backward;
    double waited; /* of both, for another device than the processor */
} ds_layer_time;
void ds_net_profile_start(ds_net *net);
/* info.layers rows; NULL without start. */
const ds_layer_time *ds_net_profile(const ds_net *net);

/* ---- parameters ---- */

/* Arrays in the order of the .weights file. */
typedef struct ds_param {
    const char *name; /* "weights", "biases", "scales", "means", "variances" */
    int layer;
    float *values;
    /* The host's: -dL/dw summed over the batch, holds the momentum between steps; NULL: not trained. */
    float *gradient;
    size_t n;
    bool decayed;  /* weight decay applies */
    double rate;   /* layer's learning_rate= factor */
    bool resident; /* lives in the backend: values and gradient are copies, and ds_net_update trains it */
} ds_param;
const ds_param *ds_net_params(const ds_net *net, int *n);
/* Of all values. */
uint64_t ds_net_weights_hash(const ds_net *net);
/* Tell the network that its parameters have changed (the functions below do it by themselves). */
void ds_net_changed(ds_net *net);
/* The end of a step: the resident ones are updated (rule->arrays are theirs), the others have been. */
int ds_net_update(ds_net *net, const ds_rule *rule, ds_error *e);
/* Let the copies of the resident ones be what the backend has: before they are read, or changed. */
int ds_net_fetch(const ds_net *net, ds_error *e);

/* ---- batch normalisation ---- */
/* Replace the rolling averages by pooled statistics over `batches` calls: start, add each batch of training
 * images, finish. */
bool ds_net_has_batchnorm(const ds_net *net);
void ds_net_statistics_start(ds_net *net);
int ds_net_statistics_add(ds_net *net, const float *pixels, ds_error *e);
void ds_net_statistics_finish(ds_net *net);

/* ---- weights files ---- */
typedef struct ds_weights_info {
    uint64_t seen; /* images seen, from the header */
    int loaded;    /* layers [0, loaded) that have weights were read; = layers when complete */
} ds_weights_info;
/* Read and check the exact size first; upto < 0: all. A file that ends exactly at a layer border loads what
 * it has (info->loaded < layers). Anything else: DS_EINPUT with expected and found bytes; the network is
 * unchanged. */
int ds_net_load_weights(ds_net *net, const char *path, int upto, ds_weights_info *info, ds_error *e);
/* Write to a temporary name, sync, rename. */
int ds_net_save_weights(const ds_net *net, const char *path, uint64_t seen, ds_error *e);
