#include "cfg/sections.h"

#include "base/file.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static bool replaced(const char *key, int batch)
{
    return strcmp(key, "flip") == 0 ||
           (batch > 0 && (strcmp(key, "batch") == 0 || strcmp(key, "subdivisions") == 0));
}

static void lower_net(const ds_section *s, int batch, int subdivisions, FILE *out)
{
    fputs("[net]\n", out);
    if (batch > 0)
        fprintf(out, "batch=%d\nsubdivisions=%d\n", batch, subdivisions > 0 ? subdivisions : 1);
    for (int i = 0; i < s->n; i++)
        if (!replaced(s->pairs[i].key, batch))
            fprintf(out, "%s=%s\n", s->pairs[i].key, s->pairs[i].value);
}

static void lower_layer(const ds_section *s, FILE *out)
{
    const char *name = s->plugin ? s->plugin->host_section : ds_section_kind(s);
    fprintf(out, "\n[%s]\n", name);
    if (s->plugin && *s->plugin->host_keys) {
        size_t n = strlen(s->plugin->host_keys);
        fprintf(out, "%s%s", s->plugin->host_keys, s->plugin->host_keys[n - 1] == '\n' ? "" : "\n");
    }
    if (s->plugin && ds_kind_find(s->name) < 0)
        return;
    for (int i = 0; i < s->n; i++)
        fprintf(out, "%s=%s\n", s->pairs[i].key, s->pairs[i].value);
}

int ds_cfg_lower(const ds_cfg *cfg, int batch, int subdivisions, char **text, ds_error *e)
{
    size_t size;
    *text = NULL;
    FILE *out = open_memstream(text, &size);
    if (!out)
        return ds_fail_memory(e);
    lower_net(&cfg->sections[0], batch, subdivisions, out);
    for (int i = 1; i < cfg->n; i++)
        lower_layer(&cfg->sections[i], out);
    bool failed = ferror(out);
    if (fclose(out) || failed) {
        free(*text);
        *text = NULL;
        return ds_fail_memory(e);
    }
    return DS_OK;
}

char *ds_cfg_base(const ds_cfg *cfg)
{
    const char *name = ds_path_base(cfg->path);
    return ds_strndup(name, strcspn(name, "."));
}
