/* One step of learning over all parameters: the host's SGD with momentum and decay, or Adam. */
#ifndef DS_TRAIN_OPTIMIZER_H
#define DS_TRAIN_OPTIMIZER_H

#include "base/isa.h"
#include "cfg/cfg.h"
#include "host/host.h"

typedef struct ds_optimizer ds_optimizer; /* opaque */

/* The work of a step is shared out in chunks of this many parameters, whatever arrays they belong to. */
enum { DS_OPTIMIZER_CHUNK = 1 << 14 };

/* params: n arrays, must outlive the optimizer and keep their lengths; batch: images a step, all sub-batches
 * together; threads: 0 for all cores. Results depend neither on it nor on the instruction set, bit for bit.
 * Uses momentum, decay, clip, adam, B1, B2 and eps of `o`. With adam=1 it allocates two floats a parameter. */
int ds_optimizer_new(const ds_net_options *o, const ds_param *params, int n, int batch, int threads,
                     ds_optimizer **optimizer, ds_error *e);

/* Update every trained array w from its gradient array u (the host's: minus dL/dw, summed over the images of
 * the step). r = rate times the array's own rate factor; decay only where the array is `decayed`.
 *
 *   SGD, bit for bit the host's:
 *     u += -decay batch w;  w += r/batch u;  u *= momentum
 *   Adam (Kingma & Ba 2015) at step t = 1, 2, …:
 *     g = -u/batch + decay w;  m = B1 m + (1-B1) g;  v = B2 v + (1-B2) g²
 *     w -= r (m / (1-B1^t)) / (sqrt(v / (1-B2^t)) + eps);  u = 0
 *
 * Then, with clip > 0, decayed arrays are clamped to [-clip, clip]. */
void ds_optimizer_step(ds_optimizer *optimizer, float rate);
/* Compute with this set, not above ds_isa_best(), which is the default. */
void ds_optimizer_use(ds_optimizer *optimizer, ds_isa isa);
void ds_optimizer_free(ds_optimizer *optimizer);

#endif
