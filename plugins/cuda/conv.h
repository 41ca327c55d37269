/* Convolutions by cuDNN's graph API: one plan for each direction of a layer, which deterministic engines
 * alone may give. */
#pragma once

#include "plugins/cuda/gpu.h"

/* Numbers of tensor k x and y: n c h w, stored n h w c; of filters: k r s (c / groups). */
typedef struct ds_gpu_shape {
    int n, c, h, w, k, r, s, oh, ow, stride, pad, groups;
} ds_gpu_shape;

enum { DS_FORWARD, DS_DATA_GRADIENT, DS_FILTER_GRADIENT, DS_DIRECTIONS };

/* Zero-initialise. */
typedef struct ds_gpu_conv {
    void *plan[DS_DIRECTIONS], *pack[DS_DIRECTIONS];
} ds_gpu_conv;

/* A plan for a direction; g->workspace_bytes grows to what it needs. DS_EHOST: cuDNN has none. */
int ds_gpu_conv_plan(ds_gpu *g, const ds_gpu_shape *s, int direction, ds_gpu_conv *c, ds_error *e);
/* Two of the three are read, the third is written, whole. Every call of a direction has the same ones. */
int ds_gpu_conv_run(const ds_gpu *g, ds_gpu_conv *c, int direction, int stream, const void *x, const void *w,
                    const void *y, ds_error *e);
void ds_gpu_conv_free(const ds_gpu *g, ds_gpu_conv *c);
