/* Gradients of several ranks become their sums, while the backward pass goes on. */
#pragma once

#include "host/host.h"

typedef struct ds_gradients ds_gradients; /* opaque */

/* Of n arrays, which must outlive it. NULL, for which everything below does nothing: `ranks` is. */
ds_gradients *ds_gradients_new(const ds_ranks *ranks, const ds_param *params, int n);
void ds_gradients_free(ds_gradients *g);
/* The last sub-batch of a step: ds_net_train sends what it has, in parts of 4 MiB. */
void ds_gradients_begin(ds_gradients *g, ds_net *net);
/* The sums, in the place of the rank's own; the same bits on each of them. */
void ds_gradients_end(ds_gradients *g, ds_net *net);
/* The parameters are updated, or read: what their gradients keep for the next step (momentum) stays with
 * rank 0, so that the next sums have it once. */
void ds_gradients_clear(ds_gradients *g);
