/* The mean of several answers to each image: of views of it, by one network or more. */
#pragma once

#include "cfg/cfg.h"
#include "host/host.h"

enum { DS_MOST_NETS = 8 };

/* One network and one view: {.nets = {net}, .n = 1, .views = 1}. */
typedef struct ds_ensemble {
    /* n >= 1, not owned, of the same batch. The first one's are classes and temperature of the mean, and the
     * features and p-values: those of the image itself (view 0). */
    ds_net *nets[DS_MOST_NETS];
    int n, views;
    bool flip; /* view 1 is the mirror image: that of all networks */
    /* Of the last pass, to be freed. */
    float *view, *logits;
    double *pools;
} ds_ensemble;

/* One network more, views being set; DS_EINPUT: its input or its outputs are not those of the first, or it is
 * one too many, or with its flip= there are fewer views. */
int ds_ensemble_add(ds_ensemble *s, ds_net *net, const ds_cfg *cfg, ds_error *e);
bool ds_ensemble_is_mean(const ds_ensemble *s);
/* As ds_net_forward and ds_net_logits. Class probabilities are averaged (ds_pool_logits). */
int ds_ensemble_forward(ds_ensemble *s, const float *pixels, int images, ds_error *e);
const float *ds_ensemble_logits(const ds_ensemble *s);