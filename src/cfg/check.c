#include "cfg/sections.h"

#include "base/text.h"
#include "plugins/registry.h"

#include <string.h>

static bool is_kind(const ds_section *s, ds_kind_id id)
{
    return ds_kind_find(s->name) == (int)id;
}

static bool has_role(const ds_section *s, ds_role role)
{
    return s->plugin && s->plugin->role == role;
}

/* ---- names ---- */

static int check_name(ds_cfg *cfg, int i, ds_error *e)
{
    ds_section *s = &cfg->sections[i];
    int kind = ds_kind_find(s->name);
    if (i == 0 && kind != DS_K_NET)
        return ds_fail_at(e, DS_EINPUT, cfg->path, s->line, "first section is [%.60s], expected [net]",
                          s->name);
    if (i > 0 && kind == DS_K_NET)
        return ds_fail_at(e, DS_EINPUT, cfg->path, s->line, "second [%s], expected one (first in line %d)",
                          s->name, cfg->sections[0].line);
    if (kind < 0)
        s->plugin = ds_layer_find(s->name);
    if (kind >= 0 || s->plugin)
        return DS_OK;
    const char *near = ds_kind_nearest(s->name);
    return ds_fail_at(e, DS_EINPUT, cfg->path, s->line, "unknown section [%.60s], %s%s%s", s->name,
                      near ? "did you mean [" : "expected a layer of Darknet or of `layers`",
                      near ? near : "", near ? "]?" : "");
}

/* ---- keys ---- */

static bool in_words(const char *const *words, const char *word)
{
    for (; words && *words; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}

/* Stock files hold keys that the host does not read: told once each, then gone. */
static void drop_ignored(ds_cfg *cfg, ds_section *s, const ds_kind *kind, ds_notes *notes)
{
    for (int i = s->n - 1; i >= 0; i--) {
        if (!in_words(kind->ignored, s->pairs[i].key))
            continue;
        ds_note(notes, "note: %s:%d: key '%s' is ignored by Darknet", cfg->path, s->pairs[i].line,
                s->pairs[i].key);
        ds_section_drop(s, i);
    }
}

static int check_keys(ds_cfg *cfg, ds_section *s, ds_notes *notes, ds_error *e)
{
    char place[80];
    snprintf(place, sizeof place, "[%s]", s->name);
    int kind = ds_kind_find(s->name);
    if (kind < 0)
        return ds_option_fill(s->plugin->options, NULL, s->pairs, s->n, place, cfg->path, e);
    drop_ignored(cfg, s, &ds_kinds[kind], notes);
    if (kind == DS_K_NET)
        return ds_cfg_read_net(cfg, e);
    return ds_option_fill(ds_kinds[kind].keys, NULL, s->pairs, s->n, place, cfg->path, e);
}

/* ---- the end of the network ---- */

/* What a key of a [softmax] asks for. */
typedef enum wish { NOTHING, PLUGIN, HOST } wish;

/* A softmax has no weights, so their keys mean nothing; neither do the host's own words at their defaults. */
static wish wish_of(const ds_section *s, const char *key, const ds_layer *layer)
{
    static const char *const weights[] = {"dontsave", "dontload",      "numload", "dontloadscales",
                                          "smooth",   "learning_rate", NULL};
    static const char *const words[] = {"spatial", "noloss", "truth", "onlyforward", "stopbackward", NULL};
    if (strcmp(key, "groups") == 0)
        return ds_section_int(s, key, 0) == 1 ? NOTHING : HOST;
    if (in_words(words, key))
        return ds_section_int(s, key, 1) == 0 ? NOTHING : HOST;
    if (in_words(weights, key))
        return NOTHING;
    return ds_option_find(layer->options, key) ? PLUGIN : HOST;
}

/* May the section after a [softmax] stand there if the softmax is the cost of the network? */
static bool may_follow(const ds_cfg *cfg, int i)
{
    if (i == cfg->n)
        return true;
    const ds_section *next = &cfg->sections[i];
    return has_role(next, DS_REJECT) || (is_kind(next, DS_K_COST) && i + 1 == cfg->n);
}

/* A [softmax] at the end becomes the plugin's, if the plugin can do all that it asks for. */
static int adopt_softmax(ds_cfg *cfg, int i, ds_error *e)
{
    ds_section *s = &cfg->sections[i];
    const ds_layer *layer = ds_layer_find("softmax");
    if (!layer || !is_kind(s, DS_K_SOFTMAX) || !may_follow(cfg, i + 1))
        return DS_OK;
    for (int k = 0; k < s->n; k++)
        if (wish_of(s, s->pairs[k].key, layer) == HOST)
            return DS_OK;
    for (int k = s->n - 1; k >= 0; k--)
        if (wish_of(s, s->pairs[k].key, layer) == NOTHING)
            ds_section_drop(s, k);
    s->plugin = layer;
    return ds_option_fill(layer->options, NULL, s->pairs, s->n, "[softmax]", cfg->path, e);
}

static int check_cost(const ds_cfg *cfg, int i, ds_notes *notes, ds_error *e)
{
    const ds_section *s = &cfg->sections[i], *next = s + 1;
    if (i == 1)
        return ds_fail_at(e, DS_EINPUT, cfg->path, s->line,
                          "[%s] is the first layer, expected layers before it", s->name);
    if (i + 1 == cfg->n || (i + 2 == cfg->n && has_role(next, DS_REJECT)))
        return DS_OK;
    bool cost = is_kind(next, DS_K_COST);
    if (cost && is_kind(s, DS_K_SOFTMAX)) {
        ds_note(notes, "note: %s:%d: [cost] after [softmax] takes no part in loss, gradient or output",
                cfg->path, next->line);
        return DS_OK;
    }
    if (cost)
        return ds_fail_at(e, DS_EINPUT, cfg->path, next->line,
                          "[cost] after [%s], expected nothing: [%s] is the cost of the network", s->name,
                          s->name);
    if (has_role(next, DS_REJECT))
        return DS_OK; /* the [reject] itself is told that it must be the last */
    return ds_fail_at(e, DS_EINPUT, cfg->path, next->line,
                      "[%.60s] after [%s], expected only [reject] after it", next->name, s->name);
}

static int check_reject(const ds_cfg *cfg, int i, ds_error *e)
{
    const ds_section *s = &cfg->sections[i];
    if (!has_role(s - 1, DS_COST))
        return ds_fail_at(e, DS_EINPUT, cfg->path, s->line,
                          "[%s] after [%s], expected it directly after [sat] or a plain [softmax]", s->name,
                          s[-1].name);
    if (i + 1 < cfg->n)
        return ds_fail_at(e, DS_EINPUT, cfg->path, s[1].line,
                          "[%.60s] after [%s], expected [%s] to be the last section", s[1].name, s->name,
                          s->name);
    return DS_OK;
}

static int check_order(ds_cfg *cfg, ds_notes *notes, ds_error *e)
{
    int rc = DS_OK;
    for (int i = 1; i < cfg->n && !rc; i++)
        rc = adopt_softmax(cfg, i, e);
    for (int i = 1; i < cfg->n && !rc; i++) {
        if (has_role(&cfg->sections[i], DS_COST))
            rc = check_cost(cfg, i, notes, e);
        else if (has_role(&cfg->sections[i], DS_REJECT))
            rc = check_reject(cfg, i, e);
    }
    return rc;
}

int ds_cfg_check_sections(ds_cfg *cfg, ds_notes *notes, ds_error *e)
{
    int rc = DS_OK;
    for (int i = 0; i < cfg->n && !rc; i++)
        rc = check_name(cfg, i, e);
    for (int i = 0; i < cfg->n && !rc; i++)
        rc = check_keys(cfg, &cfg->sections[i], notes, e);
    if (!rc && cfg->n == 1)
        rc = ds_fail_at(e, DS_EINPUT, cfg->path, cfg->sections[0].line,
                        "[net] has no layers, expected at least one");
    return rc ? rc : check_order(cfg, notes, e);
}

/* ---- questions about a checked network ---- */

int ds_cfg_cost(const ds_cfg *cfg, int *reject)
{
    int cost = -1;
    if (reject)
        *reject = -1;
    for (int i = 1; i < cfg->n; i++) {
        if (has_role(&cfg->sections[i], DS_COST))
            cost = i - 1;
        else if (has_role(&cfg->sections[i], DS_REJECT) && reject)
            *reject = i - 1;
    }
    return cost;
}

bool ds_cfg_needs_plugins(const ds_cfg *cfg)
{
    for (int i = 0; i < cfg->n; i++)
        if (ds_kind_find(cfg->sections[i].name) < 0)
            return true;
    return false;
}
