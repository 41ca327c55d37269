#include "plugins/registry.h"

#include <stdlib.h>
#include <string.h>

#define DS_LAYER(name) extern const ds_layer ds_layer_##name;
#include "plugins/list.h"
#undef DS_LAYER

static const ds_layer *const layers[] = {
#define DS_LAYER(name) &ds_layer_##name,
#include "plugins/list.h"
#undef DS_LAYER
};

bool ds_layer_usable(const ds_layer *layer)
{
    return layer->abi == DS_PLUGIN_ABI;
}

const ds_layer *ds_layer_at(int i)
{
    for (size_t k = 0; k < sizeof layers / sizeof *layers; k++)
        if (ds_layer_usable(layers[k]) && i-- == 0)
            return layers[k];
    return NULL;
}

const ds_layer *ds_layer_find(const char *name)
{
    const ds_layer *layer;
    for (int i = 0; (layer = ds_layer_at(i)); i++)
        if (strcmp(layer->name, name) == 0)
            return layer;
    return NULL;
}

/* What init has to say is about the section as a whole, whose place it does not know. */
static void add_place(ds_error *e, const char *file, int line)
{
    if (!e || e->file[0])
        return;
    snprintf(e->file, sizeof e->file, "%s", file ? file : "");
    e->line = line;
}

static int fill_and_init(const ds_layer *layer, const ds_pair *pairs, int n, const char *file, int line,
                         ds_setup *setup, void *state, ds_error *e)
{
    char place[64];
    snprintf(place, sizeof place, "[%s]", layer->name);
    int rc = ds_option_fill(layer->options, state, pairs, n, place, file, e);
    if (!rc && (rc = layer->init(state, setup, e)))
        add_place(e, file, line);
    return rc;
}

int ds_layer_new(const ds_layer *layer, const ds_pair *pairs, int n, const char *file, int line,
                 ds_setup *setup, void **state, ds_error *e)
{
    *state = NULL;
    if (!ds_layer_usable(layer))
        return ds_fail_at(e, DS_EINPUT, file, line, "the layer was built for plugin ABI %d, expected %d",
                          layer->abi, DS_PLUGIN_ABI);
    void *fresh = calloc(1, layer->state_size ? layer->state_size : 1);
    if (!fresh)
        return ds_fail_memory(e);
    int rc = fill_and_init(layer, pairs, n, file, line, setup, fresh, e);
    if (rc)
        ds_layer_free(layer, fresh);
    else
        *state = fresh;
    return rc;
}

void ds_layer_free(const ds_layer *layer, void *state)
{
    if (!state)
        return;
    if (layer->release)
        layer->release(state);
    ds_option_clear(layer->options, state);
    free(state);
}
