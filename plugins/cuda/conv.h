/* Convolutions by cuDNN's graph API: one plan for each direction of a layer, which deterministic engines
 * alone may give. */
#pragma once

#include "plugins/cuda/gpu.h"

/* Numbers of tensor k x and y: n c h w, stored n h w c; of filters: k r s (c / groups). */
typedef struct ds_gpu_shape {
    int n, c, h, w, k, r, s, oh, ow, stride, pad, groups;
    bool other; /* of DS_FUSED: is there one? Below 0 its sum is multiplied by `slope` */
    float slope;
} ds_gpu_shape;

/* DS_FUSED: y = act(w x + bias + other), for inference. */
enum { DS_FORWARD, DS_DATA_GRADIENT, DS_FILTER_GRADIENT, DS_FUSED, DS_DIRECTIONS };
/* What a direction reads and writes: x, w, y; of DS_FUSED also k floats, and a tensor like y or NULL. */
enum { DS_X, DS_W, DS_Y, DS_BIAS, DS_OTHER, DS_PLACES };

/* Zero-initialise. */
typedef struct ds_gpu_conv {
    void *plan[DS_DIRECTIONS], *pack[DS_DIRECTIONS];
} ds_gpu_conv;

/* A plan for a direction; g->workspace_bytes grows to what it needs. DS_EHOST: cuDNN has none. */
int ds_gpu_conv_plan(ds_gpu *g, const ds_gpu_shape *s, int direction, ds_gpu_conv *c, ds_error *e);
/* Of x, w and y two are read, the third is written, whole. Every call of a direction has the same places. */
int ds_gpu_conv_run(const ds_gpu *g, ds_gpu_conv *c, int direction, int stream,
                    const void *const places[DS_PLACES], ds_error *e);
void ds_gpu_conv_free(const ds_gpu *g, ds_gpu_conv *c);
