/* The layers of list.h: finding them, making and freeing their states. */
#ifndef DS_REGISTRY_H
#define DS_REGISTRY_H

#include "plugins/plugin.h"

/* Was the layer built against this plugin.h? The two functions below never return one that was not. */
bool ds_layer_usable(const ds_layer *layer);

/* Layer number i, or NULL at the end. */
const ds_layer *ds_layer_at(int i);
/* The layer of a section name without brackets, or NULL. */
const ds_layer *ds_layer_find(const char *name);

/* Allocate the state of `layer`, fill it from the section's n pairs, run init. `file` and `line` are the
 * section's, for messages. On error *state is NULL, and what had been allocated is freed; setup's answers
 * then mean nothing. */
int ds_layer_new(const ds_layer *layer, const ds_pair *pairs, int n, const char *file, int line,
                 ds_setup *setup, void **state, ds_error *e);
/* Release, then free the options and the state; `state` may be NULL. */
void ds_layer_free(const ds_layer *layer, void *state);

#endif
