/* The layers of list.h: finding them, making and freeing their states. */
#ifndef DS_REGISTRY_H
#define DS_REGISTRY_H

#include "plugins/plugin.h"

/* Layer number i, or NULL at the end. */
const ds_layer *ds_layer_at(int i);
const ds_layer *ds_layer_find(const char *name);

/* Allocate the state of `layer`, fill it from the section's pairs, run init. On error *state is NULL. */
int ds_layer_new(const ds_layer *layer, const ds_pair *pairs, int n, const char *file, int line, ds_setup *setup,
                 void **state, ds_error *e);
void ds_layer_free(const ds_layer *layer, void *state);

#endif
