/* What the files of this folder share: the layers of the host, and the steps of reading a network. */
#pragma once

#include "base/problem.h"
#include "cfg/cfg.h"

/* The keys of the host's layers that are needed; 0 where a layer has none of that name. */
typedef struct ds_keys {
    int filters, size, stride, pad, padding, groups, output, crop_height, crop_width, extra, from, numload;
    bool half; /* pad=1 of a convolution: half the size */
    bool batch_normalize, reverse, flatten, truth, binary, xnor, flipped, dontload, dontloadscales, dontsave;
    int activation; /* a ds_activation, or another number */
    double learning_rate, probability, alpha, beta;
    ds_numbers layers;
} ds_keys;

/* Activations that are told apart, by their places in the list of layers.c. */
typedef enum ds_activation { DS_RELU = 2, DS_LINEAR = 9, DS_LEAKY = 11 } ds_activation;

typedef struct ds_place ds_place; /* one layer whose shape is being worked out */

/* A section that the host knows. */
typedef struct ds_kind {
    const char *name, *alias; /* alias NULL: there is none */
    const ds_option *keys;    /* all keys that the host reads there */
    int (*shape)(const ds_place *p);
    bool image;         /* an image must come in */
    const char *refuse; /* why it cannot be trained; NULL: it can */
} ds_kind;

/* Why [logistic] and a [cost] alone cannot be trained. */
#define DS_NO_COST "it is no classifier's cost, expected a cost section ([softmax], [sat]) as the last one"

/* The kind whose name or alias it is, or NULL. */
const ds_kind *ds_kind_find(const char *name);
bool ds_section_is(const ds_section *s, const char *kind);
bool ds_section_has_role(const ds_section *s, ds_role role);
/* DS_EINPUT at the line of the key, else of the section. */
#define ds_section_fail(cfg, s, key, e, ...) \
    ds_fail_at(e, DS_EINPUT, (cfg)->path, ds_section_line(s, key), __VA_ARGS__)
/* Take pair `i` out. */
void ds_section_drop(ds_section *s, int i);
/* The pair that keeps a [softmax] of the host's from being the plugin's, or NULL. */
const ds_pair *ds_softmax_obstacle(const ds_section *s);

/* Text into cfg->sections: syntax only. */
int ds_cfg_read_sections(ds_cfg *cfg, const char *text, ds_error *e);
/* Names and keys of all sections, [net] into cfg->net, plugins found, order of the last sections. */
int ds_cfg_check_sections(ds_cfg *cfg, ds_notes *notes, ds_error *e);
/* [net] into cfg->net. */
int ds_cfg_read_net(ds_cfg *cfg, ds_notes *notes, ds_error *e);
/* cfg->shapes, and the setup of plugin sections, up to the first that is broken. */
int ds_cfg_read_shapes(ds_cfg *cfg, ds_notes *notes, ds_error *e);
