#include "cfg/sections.h"

#include <stdlib.h>
#include <string.h>

static const char *const refused[DS_KINDS] = {
    [DS_K_L2NORM] = "Darknet computes its gradient wrongly, expected a network without it",
    [DS_K_LOGISTIC] = "it is no classifier's cost, expected [sat] or [softmax] as the last section",
    [DS_K_REGION] = "it detects objects, expected an image classifier",
    [DS_K_YOLO] = "it detects objects, expected an image classifier",
    [DS_K_DETECTION] = "it detects objects, expected an image classifier",
    [DS_K_ISEG] = "it separates instances, expected an image classifier",
    [DS_K_RNN] = "it is for sequences, expected an image classifier",
    [DS_K_GRU] = "it is for sequences, expected an image classifier",
    [DS_K_LSTM] = "it is for sequences, expected an image classifier",
    [DS_K_CRNN] = "it is for sequences, expected an image classifier",
};

static int refuse(const ds_cfg *cfg, const ds_section *s, const char *key, const char *why, ds_error *e)
{
    return ds_fail_at(e, DS_EINPUT, cfg->path, ds_section_line(s, key), "[%s] cannot be trained here: %s",
                      s->name, why);
}

static int check_input(const ds_cfg *cfg, ds_error *e)
{
    const ds_net_options *n = &cfg->net;
    const ds_section *s = &cfg->sections[0];
    if (!n->channels)
        return ds_fail_at(e, DS_EINPUT, cfg->path, ds_section_line(s, "inputs"),
                          "[net] has inputs but no image, expected width, height and channels");
    if (n->channels != 1 && n->channels != 3)
        return ds_fail_at(e, DS_EINPUT, cfg->path, ds_section_line(s, "channels"),
                          "channels=%d, expected 1 (grey) or 3 (colour) to train on images", n->channels);
    if (n->time_steps != 1)
        return ds_fail_at(e, DS_EINPUT, cfg->path, ds_section_line(s, "time_steps"),
                          "time_steps=%d, expected 1 to train on images", n->time_steps);
    return DS_OK;
}

static int check_end(const ds_cfg *cfg, ds_error *e)
{
    const ds_section *last = &cfg->sections[cfg->n - 1];
    if (ds_cfg_cost(cfg, NULL) >= 0)
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, cfg->path, last->line,
                      "the network ends with [%s], expected [sat] or [softmax] as the last section",
                      last->name);
}

/* A [softmax] that no plugin took. */
static int check_softmax(const ds_cfg *cfg, int i, ds_error *e)
{
    static const char *const keys[] = {"groups", "tree",        "spatial",     "noloss",
                                       "truth",  "onlyforward", "stopbackward"};
    const ds_section *s = &cfg->sections[i];
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const char *value = ds_section_get(s, keys[k]);
        if (value && strcmp(value, k ? "0" : "1") != 0)
            return ds_fail_at(e, DS_EINPUT, cfg->path, ds_section_line(s, keys[k]),
                              "[%s] cannot be trained here with %s=%s, expected [sat] or a plain [softmax]",
                              s->name, keys[k], value);
    }
    return refuse(cfg, s, "", "a softmax can only be the cost, expected it at the end of the network", e);
}

/* Layer i is a [crop], which has no place for a gradient. */
static bool is_crop(const ds_cfg *cfg, int layer)
{
    return layer >= 0 && ds_kind_find(cfg->sections[layer + 1].name) == DS_K_CROP;
}

static int check_reference(const ds_cfg *cfg, int i, const char *key, int value, ds_error *e)
{
    const ds_section *s = &cfg->sections[i];
    int layer = value < 0 ? i - 1 + value : value;
    return is_crop(cfg, layer)
               ? refuse(cfg, s, key, "it reads a [crop], which takes no gradient, expected another layer", e)
               : DS_OK;
}

static int check_references(const ds_cfg *cfg, int i, ds_error *e)
{
    const ds_section *s = &cfg->sections[i];
    int kind = ds_kind_find(s->name), rc = DS_OK;
    if (kind == DS_K_SHORTCUT)
        return is_crop(cfg, i - 2)
                   ? refuse(cfg, s, "", "it reads a [crop], which takes no gradient, expected another layer",
                            e)
                   : check_reference(cfg, i, "from", ds_section_int(s, "from", -1), e);
    if (kind != DS_K_ROUTE)
        return DS_OK;
    ds_numbers layers;
    rc = ds_section_integers(cfg, s, "layers", &layers, e);
    for (int k = 0; k < layers.n && !rc; k++)
        rc = check_reference(cfg, i, "layers", (int)layers.v[k], e);
    free(layers.v);
    return rc;
}

static int check_layer(const ds_cfg *cfg, int i, ds_error *e)
{
    const ds_section *s = &cfg->sections[i];
    int kind = ds_kind_find(s->name);
    if (kind < 0 || s->plugin)
        return DS_OK;
    if (refused[kind])
        return refuse(cfg, s, "", refused[kind], e);
    if (kind == DS_K_SOFTMAX)
        return check_softmax(cfg, i, e);
    if (kind == DS_K_COST && (!s[-1].plugin || i + 1 < cfg->n))
        return refuse(cfg, s, "",
                      "it is no classifier's cost, expected [sat] or [softmax] as the last section", e);
    if (kind == DS_K_CROP && i > 1)
        return refuse(cfg, s, "", "it passes no gradient on, expected it as the first layer", e);
    if (ds_section_int(s, "truth", 0))
        return refuse(cfg, s, "truth", "truth=1 replaces the labels, expected truth=0", e);
    return check_references(cfg, i, e);
}

/* ---- batch normalisation over few values ---- */

static int check_batchnorm(const ds_cfg *cfg, ds_notes *notes, ds_error *e)
{
    const ds_net_options *n = &cfg->net;
    const ds_section *net = &cfg->sections[0];
    bool any = false;
    if (n->batch / n->subdivisions > 1)
        return DS_OK;
    for (int i = 1; i < cfg->n; i++) {
        const ds_section *s = &cfg->sections[i];
        if (s->plugin || !ds_section_int(s, "batch_normalize", 0))
            continue;
        any = true;
        if (cfg->shapes[i].h * cfg->shapes[i].w == 1)
            return ds_fail_at(e, DS_EINPUT, cfg->path, ds_section_line(s, "batch_normalize"),
                              "batch_normalize=1 over a single value a channel (batch=%d subdivisions=%d, a "
                              "map of 1 x 1), expected 2 images or more in each subdivision",
                              n->batch, n->subdivisions);
    }
    if (any)
        ds_note(notes,
                "warning: %s:%d: batch=%d subdivisions=%d normalises over single images (batch_normalize=1): "
                "training needs more images at once, stock files have such lines under '# Training'",
                cfg->path, ds_section_line(net, "batch"), n->batch, n->subdivisions);
    return DS_OK;
}

static void tell(const ds_cfg *cfg, ds_notes *notes)
{
    const ds_section *net = &cfg->sections[0];
    if (ds_section_int(net, "random", 0))
        ds_note(notes, "note: %s:%d: random=1 has no effect here, images keep one size", cfg->path,
                ds_section_line(net, "random"));
    for (int i = 1; i < cfg->n; i++) {
        const ds_section *s = &cfg->sections[i];
        if (ds_kind_find(s->name) == DS_K_CONVOLUTIONAL && ds_section_int(s, "size", 0) == 1 &&
            ds_section_int(s, "stride", 0) > 1)
            ds_note(notes,
                    "note: %s:%d: stock Darknet on a CPU reads other pixels in a 1x1 convolution with a "
                    "stride, and predicts differently from these weights",
                    cfg->path, ds_section_line(s, "stride"));
    }
}

int ds_cfg_check_training(const ds_cfg *cfg, ds_notes *notes, ds_error *e)
{
    int rc = check_input(cfg, e);
    for (int i = 1; i < cfg->n && !rc; i++)
        rc = check_layer(cfg, i, e);
    if (!rc)
        rc = check_end(cfg, e);
    if (!rc)
        rc = check_batchnorm(cfg, notes, e);
    if (!rc)
        tell(cfg, notes);
    return rc;
}
