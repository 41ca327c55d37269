/* A network as a whole: its making in three steps (text to sections, names and keys, shapes), and
 * questions to it. */
#include "cfg/sections.h"

#include "base/file.h"

#include <sys/stat.h>

static int parse(ds_cfg *cfg, const char *text, ds_notes *notes, ds_error *e)
{
    const int before = ds_failures(e);
    DS_TRY(ds_keep(e, ds_cfg_read_sections(cfg, text, e)));
    DS_TRY(cfg->n ? ds_keep(e, ds_cfg_check_sections(cfg, notes, e)) : DS_OK);
    DS_TRY(cfg->n ? ds_keep(e, ds_cfg_read_shapes(cfg, notes, e)) : DS_OK);
    return ds_failed_since(e, before);
}

int ds_cfg_parse(const char *text, const char *path, ds_cfg **out, ds_notes *notes, ds_error *e)
{
    ds_cfg *cfg = *out = ds_xcalloc(1, sizeof *cfg);
    cfg->path = ds_strdup(path);
    int rc = parse(cfg, text, notes, e);
    if (rc && !ds_collects(e)) {
        ds_cfg_free(cfg);
        *out = NULL;
    }
    return rc;
}

int ds_cfg_read(const char *path, ds_cfg **cfg, ds_notes *notes, ds_error *e)
{
    DS_FREED char *text = NULL;
    *cfg = NULL;
    DS_TRY(ds_file_read_text(path, "a network .cfg", &text, e));
    return ds_cfg_parse(text, path, cfg, notes, e);
}

void ds_cfg_free(ds_cfg *cfg)
{
    if (!cfg)
        return;
    for (int i = 0; i < cfg->n; i++) {
        ds_section *s = &cfg->sections[i];
        while (s->n)
            ds_section_drop(s, s->n - 1);
        if (s->keys)
            ds_option_clear(s->kind->keys, s->keys);
        free(s->keys);
        free(s->pairs);
        free(s->name);
    }
    ds_option_clear(ds_net_keys, &cfg->net);
    free(cfg->sections);
    free(cfg->shapes);
    free(cfg->path);
    free(cfg);
}

void ds_cfg_free_at(ds_cfg **cfg)
{
    ds_cfg_free(*cfg);
}

static int layer_of_role(const ds_cfg *cfg, ds_role role)
{
    int i = cfg->n - 1;
    while (i > 0 && !ds_section_has_role(&cfg->sections[i], role))
        i--;
    return i > 0 ? i - 1 : -1;
}

int ds_cfg_cost(const ds_cfg *cfg)
{
    return layer_of_role(cfg, DS_COST);
}

int ds_cfg_reject(const ds_cfg *cfg)
{
    return layer_of_role(cfg, DS_REJECT);
}

char *ds_cfg_base(const ds_cfg *cfg)
{
    const char *name = ds_path_base(cfg->path);
    return ds_strndup(name, strcspn(name, "."));
}

const ds_layer *ds_cfg_file_plugin(const char *path, int *line)
{
    enum { LONGEST_CFG = 4 << 20 }; /* weights and videos are not worth reading */
    struct stat st;
    DS_FREED char *text = NULL;
    char *rest, *next, name[64];
    const ds_layer *found = NULL;
    *line = 0;
    if (stat(path, &st) || !S_ISREG(st.st_mode) || st.st_size > LONGEST_CFG ||
        ds_file_read_text(path, "a cfg file", &text, NULL))
        return NULL;
    for (rest = text; !found && (next = strsep(&rest, "\n")); ++*line)
        if (sscanf(next, " [ %63[a-z0-9_]", name) == 1)
            found = ds_section_plugin(name);
    return found;
}

/* ---- the text for the host ---- */

static bool is_replaced(const ds_pair *p, int batch)
{
    return ds_word_index(ds_net_own_keys, -1, p->key) >= 0 || strcmp(p->key, "seen") == 0 ||
           strcmp(p->value, ds_policy_names[DS_COSINE]) == 0 ||
           (batch > 0 && (strcmp(p->key, "batch") == 0 || strcmp(p->key, "subdivisions") == 0));
}

static void lower_net(const ds_section *s, int batch, int subdivisions, FILE *out)
{
    fputs("[net]\n", out);
    if (batch > 0)
        fprintf(out, "batch=%d\nsubdivisions=%d\n", batch, subdivisions > 0 ? subdivisions : 1);
    for (int i = 0; i < s->n; i++)
        if (!is_replaced(&s->pairs[i], batch))
            fprintf(out, "%s=%s\n", s->pairs[i].key, s->pairs[i].value);
}

/* Stand-ins have no weights, so that weights files stay exchangeable with stock Darknet. */
static void lower_layer(const ds_section *s, FILE *out)
{
    static const char *const stand_ins[] = {
        [DS_COST] = "[softmax]\ngroups=1", [DS_REJECT] = "[route]\nlayers=-1"};
    if (s->plugin)
        fprintf(out, "\n%s\n", stand_ins[s->plugin->role]);
    else
        fprintf(out, "\n[%s]\n", s->kind->name);
    for (int i = 0; s->kind && i < s->n; i++)
        fprintf(out, "%s=%s\n", s->pairs[i].key, s->pairs[i].value);
}

char *ds_cfg_lower(const ds_cfg *cfg, int batch, int subdivisions)
{
    char *text;
    FILE *out = ds_memstream(&text, NULL);
    lower_net(&cfg->sections[0], batch, subdivisions, out);
    for (int i = 1; i < cfg->n; i++)
        lower_layer(&cfg->sections[i], out);
    fclose(out);
    return text;
}
