/* The average of a run's weights, which is validated and saved in their place: of each step with weights that
 * fade (average=ema), or of the ends of the last epochs (average=swa). Averages of batch normalisation are no
 * part of it: they are estimated anew for it. */
#pragma once

#include "base/safetensors.h"
#include "cfg/cfg.h"
#include "host/host.h"

typedef struct ds_average {
    const ds_net_options *o;
    const ds_param *params; /* n */
    int n;
    float *values; /* `total` numbers: the trained arrays, one after the other; NULL: average=none */
    size_t total;
    uint64_t state[2]; /* how many weights it is the average of; after how many batches the last came */
} ds_average;

/* Room for the average of n arrays; they and `o` must outlive it. average=none: everything below does
 * nothing. */
ds_average ds_average_new(const ds_net_options *o, const ds_param *params, int n);
void ds_average_clear(ds_average *a);
/* DS_EINPUT: fewer than two ends of epochs would be averaged. */
int ds_average_check(const ds_cfg *cfg, int epochs, ds_error *e);

/* The weights after `batch` batches; epoch_end: an epoch ends there. A batch counts once.
 *   ema  a <- d a + (1 - d) w, d = min(ema_alpha, (1 + k) / (10 + k)) after k batches
 *   swa  a <- a + (w - a) / (k + 1) (Izmailov et al. 2018) at ends of epochs behind average_from */
void ds_average_add(ds_average *a, long batch, bool epoch_end);
/* Swap weights and average, once there is one; the caller tells the network. false: nothing was done. */
bool ds_average_swap(ds_average *a);
/* The arrays of a checkpoint; returns how many, at most 2. */
int ds_average_arrays(ds_average *a, ds_saved *arrays);
