/* One step of learning over all parameters: the host's SGD with momentum and decay, or Adam. */
#pragma once

#include "cfg/cfg.h"
#include "host/host.h"

typedef struct ds_optimizer ds_optimizer; /* opaque */

/* params: n arrays; they and `o` must outlive the optimizer and keep their lengths. batch: images a step,
 * all sub-batches together. Uses momentum, decay, clip, adam, B1, B2 and eps of `o`. With adam=1 it
 * allocates two floats a parameter. Release with ds_optimizer_free. */
ds_optimizer *ds_optimizer_new(const ds_net_options *o, const ds_param *params, int n, int batch);

/* Update every trained array w that is not resident from its gradient array u (the host's: minus dL/dw,
 * summed over the images of the step), on as many threads as ds_net_new set for OpenMP; their number changes
 * no bit. r = rate times the array's own rate factor; decay only where the array is `decayed`.
 *
 *   SGD, bit for bit the host's:
 *     u += -decay batch w;  w += r/batch u;  u *= momentum
 *   Adam (Kingma & Ba 2015) at step t = 1, 2, …:
 *     g = -u/batch + decay w;  m = B1 m + (1-B1) g;  v = B2 v + (1-B2) g²
 *     w -= r (m / (1-B1^t)) / (sqrt(v / (1-B2^t)) + eps);  u = 0
 *
 * Then, with clip > 0, decayed arrays are clamped to [-clip, clip]; what is not a number stays so. */
void ds_optimizer_step(ds_optimizer *optimizer, float rate);
/* The same step for the resident arrays, for ds_net_update; valid until the next. */
ds_rule ds_optimizer_rule(const ds_optimizer *optimizer, float rate);
/* What it remembers beside the gradients, for checkpoints: Adam's m, then its v, of array i (2 n floats;
 * NULL: none); the steps done. */
float *ds_optimizer_moments(const ds_optimizer *optimizer, int i);
uint64_t *ds_optimizer_steps(ds_optimizer *optimizer);
void ds_optimizer_free(ds_optimizer *optimizer);
