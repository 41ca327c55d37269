/* Names and keys of all sections, and how a network may end. */
#include "cfg/sections.h"

#include "plugins/registry.h"

/* Sections that no classifier has, and the command of stock Darknet that takes networks with them. */
static const char *const foreign[][2] = {
    {"yolo", "detector"}, {"region", "detector"}, {"detection", "yolo"}, {"iseg", "isegmenter"},
    {"rnn", "rnn"},       {"gru", "rnn"},         {"lstm", "rnn"},       {"crnn", "rnn"},
};

/* Sections, keys and activations of AlexeyAB's fork that the host has not. */
static const char forked[] =
    "Gaussian_yolo|sam|scale_channels|local_avgpool|conv_lstm|contrastive|implicit_add|implicit_mul|"
    "mosaic|cutmix|blur|gaussian_noise|letter_box|dynamic_minibatch|adversarial_lr|attention|"
    "label_smooth_eps|dilation|stride_x|stride_y|antialiasing|assisted_excitation|share_index|sway|"
    "rotate|stretch|stretch_sway|deform|weights_type|weights_normalization|group_id|maxpool_depth|"
    "out_channels|sgdr_cycle|sgdr_mult|seq_scales|optimized_memory|workspace_size_limit_MB|mish|"
    "hard_mish|swish|relu6|gelu|sgdr";

/* Keys of the section that are his alone, or have a value of his: told, and taken out. */
static int refuse_forked(const ds_cfg *cfg, ds_section *s, ds_error *e)
{
    const ds_option *table = s->kind ? s->kind->keys : s->plugin->options;
    for (int i = s->n - 1; i >= 0; i--) {
        const ds_pair *p = &s->pairs[i];
        const ds_option *o = ds_option_find(table, p->key);
        if (o ? o->type != DS_ENUM || !ds_has_word(forked, p->value) : !ds_has_word(forked, p->key))
            continue;
        DS_TRY(ds_keep(e, ds_fail_at(e, DS_EINPUT, cfg->path, p->line,
                                     "%s=%s is of AlexeyAB's fork of Darknet, which this is not, expected a "
                                     "cfg without it",
                                     p->key, p->value)));
        ds_section_drop(s, i);
    }
    return DS_OK;
}

static int unknown_section(const ds_cfg *cfg, const ds_section *s, ds_error *e)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (strcmp(s->name, foreign[i][0]) == 0)
            return ds_section_fail(cfg, s, "", e,
                                   "[%s] has no place in a classifier, expected a cfg without it; "
                                   "'/usr/bin/darknet %s' takes it",
                                   s->name, foreign[i][1]);
    if (ds_has_word(forked, s->name))
        return ds_section_fail(cfg, s, "", e,
                               "[%s] is of AlexeyAB's fork of Darknet, expected a cfg without it", s->name);
    const char *near = ds_kind_nearest(s->name);
    return ds_section_fail(cfg, s, "", e, "unknown section [%.60s], %s%s%s", s->name,
                           near ? "did you mean [" : "expected a layer of Darknet or of `layers`",
                           near ? near : "", near ? "]?" : "");
}

const ds_layer *ds_section_plugin(const char *name)
{
    return ds_kind_find(name) ? NULL : ds_layer_find(name);
}

static bool is_known(const ds_section *s)
{
    return s->kind || s->plugin;
}

static int check_name(const ds_cfg *cfg, ds_section *s, ds_error *e)
{
    bool first = s == cfg->sections;
    s->kind = ds_kind_find(s->name);
    s->plugin = ds_section_plugin(s->name);
    bool net = ds_section_is(s, "net"), unread = s->broken && !is_known(s);
    s->broken |= first != net || !is_known(s);
    if (first && !net)
        return ds_section_fail(cfg, s, "", e, "first section is [%.60s], expected [net]", s->name);
    if (!first && net)
        return ds_section_fail(cfg, s, "", e, "second [%s], expected one (first in line %d)", s->name,
                               cfg->sections[0].line);
    return is_known(s) || unread ? DS_OK : unknown_section(cfg, s, e);
}

static int check_keys(ds_cfg *cfg, ds_section *s, ds_notes *notes, ds_error *e)
{
    char place[80];
    snprintf(place, sizeof place, "[%s]", s->name);
    bool net = ds_section_is(s, "net");
    if ((net && s != cfg->sections) || !is_known(s))
        return DS_OK; /* which has been told */
    DS_TRY(refuse_forked(cfg, s, e));
    if (net)
        return ds_cfg_read_net(cfg, notes, e);
    if (s->kind)
        DS_ZALLOC(s->keys, 1);
    const ds_option *table = s->kind ? s->kind->keys : s->plugin->options;
    int rc = ds_option_fill(table, s->keys, s->pairs, s->n, place, cfg->path, e);
    s->broken |= rc != DS_OK;
    return rc;
}

/* ---- the end of the network ---- */

const ds_pair *ds_softmax_obstacle(const ds_section *s)
{
    for (const ds_pair *p = s->pairs; p < s->pairs + s->n; p++)
        if (strcmp(p->key, "tree") == 0 || (strcmp(p->key, "groups") == 0 && s->keys->groups != 1) ||
            (ds_has_word("spatial|noloss|truth|onlyforward|stopbackward", p->key) &&
             strcmp(p->value, "0") != 0))
            return p;
    return NULL;
}

/* A [softmax] at the end becomes the plugin's, if that can do all that it asks for. It has no weights, so
 * their keys mean nothing, and neither do the host's own words at their defaults. */
static int adopt_softmax(const ds_cfg *cfg, int i, ds_error *e)
{
    ds_section *s = &cfg->sections[i], *next = s + 1;
    const ds_layer *layer = ds_layer_find("softmax");
    const bool last = i + 1 == cfg->n || ds_section_has_role(next, DS_REJECT) ||
                      (i + 2 == cfg->n && ds_section_is(next, "cost"));
    if (!layer || !ds_section_is(s, "softmax") || !last || ds_softmax_obstacle(s))
        return DS_OK;
    for (int k = s->n - 1; k >= 0; k--)
        if (strcmp(s->pairs[k].key, "groups") == 0 || !ds_option_find(layer->options, s->pairs[k].key))
            ds_section_drop(s, k);
    s->plugin = layer;
    if (s->broken)
        return DS_OK;
    return ds_option_fill(layer->options, NULL, s->pairs, s->n, "[softmax]", cfg->path, e);
}

static int check_cost(const ds_cfg *cfg, int i, ds_notes *notes, ds_error *e)
{
    const ds_section *s = &cfg->sections[i], *next = s + 1;
    if (i == 1)
        return ds_section_fail(cfg, s, "", e, "[%s] is the first layer, expected layers before it", s->name);
    /* a [reject] that is not the last is told so itself */
    if (i + 1 == cfg->n || ds_section_has_role(next, DS_REJECT))
        return DS_OK;
    if (!ds_section_is(next, "cost"))
        return ds_section_fail(cfg, next, "", e, "[%.60s] after [%s], expected only [reject] after it",
                               next->name, s->name);
    if (!ds_section_is(s, "softmax"))
        return ds_section_fail(cfg, next, "", e,
                               "[cost] after [%s], expected nothing: [%s] is the cost of the network",
                               s->name, s->name);
    ds_note(notes, "note: %s:%d: [cost] after [softmax] takes no part in loss, gradient or output", cfg->path,
            next->line);
    return DS_OK;
}

static int check_reject(const ds_cfg *cfg, int i, ds_error *e)
{
    const ds_section *s = &cfg->sections[i];
    if (!ds_section_has_role(s - 1, DS_COST) && is_known(s - 1))
        return ds_section_fail(
            cfg, s, "", e,
            "[%s] after [%s], expected it directly after a cost section ([sat], or a plain [softmax])",
            s->name, s[-1].name);
    if (i + 1 < cfg->n)
        return ds_section_fail(cfg, s + 1, "", e, "[%.60s] after [%s], expected [%s] to be the last section",
                               s[1].name, s->name, s->name);
    return DS_OK;
}

static int check_order(const ds_cfg *cfg, ds_notes *notes, ds_error *e)
{
    for (int i = 1; i < cfg->n; i++)
        DS_TRY(ds_keep(e, adopt_softmax(cfg, i, e)));
    for (int i = 1; i < cfg->n; i++) {
        ds_section *s = &cfg->sections[i];
        int rc = ds_section_has_role(s, DS_COST)     ? check_cost(cfg, i, notes, e)
                 : ds_section_has_role(s, DS_REJECT) ? check_reject(cfg, i, e)
                                                     : DS_OK;
        s->broken |= rc != DS_OK;
        DS_TRY(ds_keep(e, rc));
    }
    return DS_OK;
}

int ds_cfg_check_sections(ds_cfg *cfg, ds_notes *notes, ds_error *e)
{
    const int before = ds_failures(e);
    for (int i = 0; i < cfg->n; i++)
        DS_TRY(ds_keep(e, check_name(cfg, &cfg->sections[i], e)));
    for (int i = 0; i < cfg->n; i++)
        DS_TRY(ds_keep(e, check_keys(cfg, &cfg->sections[i], notes, e)));
    if (cfg->n == 1)
        return ds_section_fail(cfg, cfg->sections, "", e, "[net] has no layers, expected at least one");
    DS_TRY(check_order(cfg, notes, e));
    return ds_failed_since(e, before);
}
