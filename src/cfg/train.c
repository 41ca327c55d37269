/* Can this network be trained rightly? */
#include "cfg/sections.h"

#include <limits.h>

static int refuse(const ds_cfg *cfg, const ds_section *s, const char *key, const char *why, ds_error *e)
{
    return ds_section_fail(cfg, s, key, e, "[%s] cannot be trained here: %s", s->name, why);
}

static int check_input(const ds_cfg *cfg, ds_error *e)
{
    const ds_net_options *n = &cfg->net;
    const ds_section *s = &cfg->sections[0];
    if (!n->channels)
        return ds_section_fail(cfg, s, "inputs", e,
                               "[net] has inputs but no image, expected width, height and channels");
    if (n->channels != 1 && n->channels != 3)
        return ds_section_fail(cfg, s, "channels", e,
                               "channels=%d, expected 1 (grey) or 3 (colour) to train on images",
                               n->channels);
    if (n->time_steps != 1)
        return ds_section_fail(cfg, s, "time_steps", e, "time_steps=%d, expected 1 to train on images",
                               n->time_steps);
    if (cfg->shapes && (long long)n->batch * cfg->shapes[0].outputs > INT_MAX)
        return ds_section_fail(cfg, s, "batch", e,
                               "batch=%d images of %d numbers, expected less than 2^31 in all", n->batch,
                               cfg->shapes[0].outputs);
    return DS_OK;
}

static int check_end(const ds_cfg *cfg, ds_error *e)
{
    const ds_section *last = &cfg->sections[cfg->n - 1];
    if (ds_cfg_cost(cfg) >= 0 || last->broken)
        return DS_OK;
    return ds_section_fail(
        cfg, last, "", e,
        "the network ends with [%s], expected a cost section ([softmax], [sat]) as the last one", last->name);
}

/* A [softmax] that no plugin took. */
static int check_softmax(const ds_cfg *cfg, const ds_section *s, ds_error *e)
{
    const ds_pair *p = ds_softmax_obstacle(s);
    if (!p)
        return refuse(cfg, s, "", "a softmax can only be the cost, expected it at the end of the network", e);
    return ds_section_fail(
        cfg, s, p->key, e,
        "[%s] cannot be trained here with %s=%s, expected another cost section or a plain [softmax]", s->name,
        p->key, p->value);
}

/* No layer but the next may read a [crop], which has no place for a gradient. */
static int check_reference(const ds_cfg *cfg, int i, const char *key, int value, ds_error *e)
{
    int layer = value < 0 ? i - 1 + value : value;
    if (layer < 0 || layer >= cfg->n - 1 || !ds_section_is(&cfg->sections[layer + 1], "crop"))
        return DS_OK;
    return refuse(cfg, &cfg->sections[i], key,
                  "it reads a [crop], which takes no gradient, expected another layer", e);
}

static int check_references(const ds_cfg *cfg, int i, ds_error *e)
{
    const ds_section *s = &cfg->sections[i];
    if (ds_section_is(s, "shortcut")) {
        DS_TRY(check_reference(cfg, i, "", -1, e));
        DS_TRY(check_reference(cfg, i, "from", s->keys->from, e));
    }
    for (int k = 0; k < s->keys->layers.n; k++)
        DS_TRY(check_reference(cfg, i, "layers", (int)s->keys->layers.v[k], e));
    return DS_OK;
}

static int check_layer(const ds_cfg *cfg, int i, ds_error *e)
{
    const ds_section *s = &cfg->sections[i];
    if (s->plugin || !s->keys)
        return DS_OK;
    if (s->kind->refuse)
        return refuse(cfg, s, "", s->kind->refuse, e);
    if (ds_section_is(s, "softmax"))
        return check_softmax(cfg, s, e);
    if (ds_section_is(s, "cost") && (!s[-1].plugin || i + 1 < cfg->n))
        return refuse(cfg, s, "", DS_NO_COST, e);
    if (ds_section_is(s, "crop") && i > 1)
        return refuse(cfg, s, "", "it passes no gradient on, expected it as the first layer", e);
    if (s->keys->truth)
        return refuse(cfg, s, "truth", "truth=1 replaces the labels, expected truth=0", e);
    return check_references(cfg, i, e);
}

static int check_mixup(const ds_cfg *cfg, ds_error *e)
{
    const ds_net_options *n = &cfg->net;
    const ds_section *net = cfg->sections, *cost = &net[ds_cfg_cost(cfg) + 1];
    const char *key = n->mixup ? "mixup" : "regmixup";
    if (n->mixup && n->regmixup)
        return ds_section_fail(cfg, net, "regmixup", e, "regmixup=1 and mixup=1, expected one of the two");
    if (!n->mixup && !n->regmixup)
        return isnan(n->mixup_alpha)
                   ? DS_OK
                   : ds_section_fail(cfg, net, "mixup_alpha", e,
                                     "mixup_alpha=%g, expected mixup=1 or regmixup=1 too", n->mixup_alpha);
    if (n->batch < 2)
        return ds_section_fail(cfg, net, key, e, "%s=1 mixes images of a batch, expected batch=2 or more",
                               key);
    if (!n->mixup || !cost->setup.bound)
        return DS_OK;
    return ds_section_fail(cfg, net, key, e,
                           "mixup=1: the loss of [%s] in line %d needs more than an image and its label, "
                           "expected regmixup=1, or [softmax], [sat] target=blend or [gambler]",
                           cost->name, cost->line);
}

static void tell_batchnorm(const ds_cfg *cfg, ds_notes *notes)
{
    const ds_net_options *n = &cfg->net;
    bool any = false;
    for (int i = 1; i < cfg->n; i++)
        any |= cfg->sections[i].keys && cfg->sections[i].keys->batch_normalize;
    if (any && n->batch / n->subdivisions == 1)
        ds_note(notes,
                "warning: %s:%d: batch=%d subdivisions=%d normalises over single images (batch_normalize=1): "
                "training needs more images at once, stock files have such lines under '# Training'",
                cfg->path, ds_section_line(cfg->sections, "batch"), n->batch, n->subdivisions);
}

static void tell(const ds_cfg *cfg, ds_notes *notes)
{
    if (cfg->net.random)
        ds_note(notes, "note: %s:%d: random=1 has no effect here, images keep one size", cfg->path,
                ds_section_line(cfg->sections, "random"));
    for (int i = 1; i < cfg->n; i++) {
        const ds_section *s = &cfg->sections[i];
        if (ds_section_is(s, "convolutional") && s->keys->size == 1 && s->keys->stride > 1)
            ds_note(notes,
                    "note: %s:%d: stock Darknet on a CPU reads other pixels in a 1x1 convolution with a "
                    "stride, and predicts differently from these weights",
                    cfg->path, ds_section_line(s, "stride"));
    }
}

int ds_cfg_check_training(const ds_cfg *cfg, ds_notes *notes, ds_error *e)
{
    const int before = ds_failures(e);
    if (!cfg->n || cfg->sections[0].broken)
        return DS_OK;
    DS_TRY(ds_keep(e, check_input(cfg, e)));
    for (int i = 1; i < cfg->n; i++)
        DS_TRY(ds_keep(e, check_layer(cfg, i, e)));
    DS_TRY(ds_keep(e, check_end(cfg, e)));
    DS_TRY(ds_keep(e, check_mixup(cfg, e)));
    tell_batchnorm(cfg, notes);
    tell(cfg, notes);
    return ds_failed_since(e, before);
}
