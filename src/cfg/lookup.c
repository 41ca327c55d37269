#include "cfg/sections.h"

#include "base/text.h"
#include "plugins/registry.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int ds_kind_find(const char *name)
{
    for (int i = 0; i < DS_KINDS; i++)
        if (strcmp(name, ds_kinds[i].name) == 0 ||
            (ds_kinds[i].alias && strcmp(name, ds_kinds[i].alias) == 0))
            return i;
    return -1;
}

const char *ds_kind_nearest(const char *name)
{
    enum { PLUGINS = 64 };
    const char *words[2 * DS_KINDS + PLUGINS] = {NULL};
    int n = 0;
    for (int i = 0; i < DS_KINDS; i++) {
        words[n++] = ds_kinds[i].name;
        words[n++] = ds_kinds[i].alias;
    }
    const ds_layer *layer;
    for (int i = 0; i < PLUGINS && (layer = ds_layer_at(i)); i++)
        words[n++] = layer->name;
    return ds_nearest(name, words, n);
}

const char *ds_section_kind(const ds_section *s)
{
    int kind = ds_kind_find(s->name);
    return kind < 0 ? s->name : ds_kinds[kind].name;
}

const char *ds_section_get(const ds_section *s, const char *key)
{
    for (int i = 0; i < s->n; i++)
        if (strcmp(s->pairs[i].key, key) == 0)
            return s->pairs[i].value;
    return NULL;
}

int ds_section_line(const ds_section *s, const char *key)
{
    for (int i = 0; i < s->n; i++)
        if (strcmp(s->pairs[i].key, key) == 0)
            return s->pairs[i].line;
    return s->line;
}

static const ds_option *option_of(const ds_section *s, const char *key)
{
    int kind = ds_kind_find(s->name);
    return kind < 0 ? NULL : ds_option_find(ds_kinds[kind].keys, key);
}

int ds_section_int(const ds_section *s, const char *key, int absent)
{
    const char *value = ds_section_get(s, key);
    const ds_option *o = option_of(s, key);
    long long v;
    if (!value && o)
        value = o->def;
    return value && ds_parse_int(value, &v) && v >= INT_MIN && v <= INT_MAX ? (int)v : absent;
}

int ds_section_integers(const ds_cfg *cfg, const ds_section *s, const char *key, ds_numbers *out, ds_error *e)
{
    const char *value = ds_section_get(s, key);
    const ds_option *o = option_of(s, key);
    *out = (ds_numbers){0};
    if (!value || !o)
        return DS_OK;
    ds_option here = *o;
    here.offset = 0;
    int line = ds_section_line(s, key);
    int rc = ds_option_set(&here, out, value, cfg->path, line, e);
    for (int i = 0; i < out->n && !rc; i++)
        if (out->v[i] != floor(out->v[i]) || fabs(out->v[i]) > INT_MAX)
            rc = ds_fail_at(e, DS_EINPUT, cfg->path, line, "%s=%s, expected whole numbers with commas", key,
                            value);
    if (rc) {
        free(out->v);
        *out = (ds_numbers){0};
    }
    return rc;
}
