/* A network .cfg: reading, checking, lowering to text that stock Darknet understands. Knows nothing of
 * libdarknet. */
#pragma once

#include "base/option.h"
#include "plugins/plugin.h"

typedef struct ds_section {
    char *name; /* without brackets, as written; "conv" and "convolutional" are the same kind */
    int line;
    ds_pair *pairs; /* n, in the order of the file; blanks inside key and value are gone, as in the host */
    int n;
    const struct ds_kind *kind; /* sections.h; NULL: the host does not know it */
    struct ds_keys *keys;       /* of a layer of the host, owned */
    /* The plugin that handles it, NULL for a section of the host alone. A [softmax] that ends the network
     * has one too, unless it uses groups, tree, spatial or noloss; its pairs are then only those that the
     * plugin knows. */
    const ds_layer *plugin;
    ds_setup setup; /* of a plugin, with the answers of its init: what it is without training */
    bool broken;    /* what it says cannot be told; shapes end before it */
} ds_section;

/* Shape that leaves a layer; h = w = c = 0 where there is no image shape. */
typedef struct ds_shape {
    int h, w, c, outputs;
} ds_shape;

/* The options of [net] that we use ourselves. Names and defaults are the host's, but for ds_net_own_keys. */
typedef struct ds_net_options {
    int batch, subdivisions, time_steps;
    int height, width, channels, inputs; /* inputs 0: height * width * channels */
    double learning_rate, momentum, decay, power, gamma, scale, clip;
    int policy;    /* index into ds_policy_names */
    int precision; /* index into ds_precision_names */
    int step, burn_in, max_batches;
    ds_numbers steps, scales;
    bool adam;
    double B1, B2, eps;
    int max_crop, min_crop;      /* 0: 2 * width, width */
    double max_ratio, min_ratio; /* NAN: from max_crop, min_crop */
    bool center, flip, random;
    double angle, aspect, saturation, exposure, hue;
    int cutout, shift;
    bool mixup, regmixup, sync_batchnorm;
    double mixup_alpha;                           /* NAN: see ds_net_keys */
    int sampling;                                 /* 0: each image once an epoch, 1: balanced */
    int average;                                  /* ds_average_kind */
    double ema_alpha, average_from, average_rate; /* average_rate NAN: the rate that there is */
} ds_net_options;

typedef enum ds_policy {
    DS_CONSTANT,
    DS_STEP,
    DS_EXP,
    DS_POLY,
    DS_STEPS,
    DS_SIGMOID,
    DS_RANDOM,
    DS_COSINE, /* ours */
} ds_policy;
typedef enum ds_average_kind { DS_AVERAGE_NONE, DS_AVERAGE_EMA, DS_AVERAGE_SWA } ds_average_kind;
extern const char *const ds_policy_names[];    /* in the order of ds_policy, NULL-terminated */
extern const char *const ds_precision_names[]; /* by ds_precision, then "auto", NULL */

typedef struct ds_cfg {
    char *path;
    ds_section *sections; /* [0] is [net] or [network]; layer i is sections[i + 1] */
    int n;
    ds_net_options net;
    ds_shape *shapes; /* n: shapes[0] is the network's input, shapes[i + 1] leaves layer i */
} ds_cfg;

/* Read and check everything that can be known before parsing: sections, keys, values, references,
 * shapes. Every error has file:line. Notes tell of what is accepted but has no part (a stock [cost]
 * after [softmax]). On failure *cfg is NULL, unless `e` collects: then it is what could be read. */
int ds_cfg_read(const char *path, ds_cfg **cfg, ds_notes *notes, ds_error *e);
/* The same from text in memory; `path` is for messages. */
int ds_cfg_parse(const char *text, const char *path, ds_cfg **cfg, ds_notes *notes, ds_error *e);
void ds_cfg_free(ds_cfg *cfg);
void ds_cfg_free_at(ds_cfg **cfg); /* for DS_FINALLY */

/* Is the shape of every layer known, so that a network can be made? It is, unless reading failed. */
bool ds_cfg_has_shapes(const ds_cfg *cfg);

/* Name of the section without aliases: "convolutional" for [conv], "net" for [network], "sat" for [sat]. */
const char *ds_section_kind(const ds_section *s);
/* Value of a key, or NULL where it is not given. */
const char *ds_section_get(const ds_section *s, const char *key);
/* Line of a key, else of the section. */
int ds_section_line(const ds_section *s, const char *key);
/* The plugin of a section name that stock Darknet does not know ("sat", not "softmax"), or NULL. */
const ds_layer *ds_section_plugin(const char *name);

/* Such a plugin of a section in the file, NULL where there is none or no cfg; *line: of that section. */
const ds_layer *ds_cfg_file_plugin(const char *path, int *line);

/* The keys that the host reads in its sections of that name ("conv", "net"), or NULL. */
const ds_option *ds_section_keys(const char *name);
/* The nearest section name, of the host or a plugin; NULL: none is near. */
const char *ds_kind_nearest(const char *name);

/* The keys of [net], stored in ds_net_options, and the names of those that the host does not have. */
extern const ds_option ds_net_keys[];
extern const char *const ds_net_own_keys[]; /* NULL ends them */

/* The text for the host's parser: plugin sections lowered, keys of our own left out, `batch` and
 * `subdivisions` replaced when batch > 0. Fresh memory. */
char *ds_cfg_lower(const ds_cfg *cfg, int batch, int subdivisions);

/* Layer number of the cost section that ends the network ([sat], [softmax]), or -1. */
int ds_cfg_cost(const ds_cfg *cfg);
/* That of the [reject] behind it, or -1. */
int ds_cfg_reject(const ds_cfg *cfg);

/* Can `classifier train` train this network rightly? Refuses sections whose gradient the host gets wrong or
 * that have no place in a classifier; warns of batch=1 with batch normalisation. `cfg` may be broken. */
int ds_cfg_check_training(const ds_cfg *cfg, ds_notes *notes, ds_error *e);

/* What is asked of a key, whose value is replaced in its place (a new key goes below the section's last one);
 * value NULL: it goes; key NULL: its section goes. */
typedef struct ds_edit {
    int section; /* of cfg->sections */
    const char *key, *value;
} ds_edit;
/* A copy of `text`, which cfg was parsed from, with n edits; every other byte stays. *edited: fresh memory.
 * The errors of ds_cfg_parse, of the copy. */
int ds_cfg_edit(const ds_cfg *cfg, const char *text, const ds_edit *edits, int n, char **edited, ds_error *e);
/* A copy of `text`, a whole cfg, whose [reject] has the n pairs (their lines mean nothing): the value of a
 * key that stands there is replaced in its place, a new key goes below the section's last one, a key with
 * the value NULL is taken out. Without [reject] one is put at the end; a [cost] after [softmax], which may
 * not stand before it and does nothing, becomes comments. Every other byte stays. *edited: fresh memory.
 * The errors of ds_cfg_parse, of the text and of its copy. */
int ds_cfg_edit_reject(const char *text, const char *path, const ds_pair *pairs, int n, char **edited,
                       ds_error *e);

/* recipe.c: a cfg for images of somebody's own. */
typedef struct ds_network {
    const char *name, *text; /* of its cfg */
    int multiple;            /* of which its input's side is */
    bool pools;              /* [maxpool] sections are left out where images are small */
} ds_network;
/* One that comes with the program, "small", or NULL. */
const ds_network *ds_network_find(const char *name);
#define DS_NETWORKS "small, resnet18, vgg16"

typedef struct ds_recipe {
    int images, classes; /* for training */
    int size, channels;  /* of the input: size x size pixels, 1 or 3 */
    bool ours;           /* the network is one of ds_network: cropped and mirrored as they are */
    bool flip, pools;    /* pools: those of ds_network */
    bool unequal;        /* classes are: their losses are weighed */
} ds_recipe;
int ds_recipe_epochs(int images);
/* `text`, a whole cfg, fitted to these images: outputs of the layer before its cost section, input, batch,
 * rate (the text's, scaled by the batch), length, parts of a batch so that they fit memory. Comments go.
 * *made: fresh memory. DS_EINPUT: no layer there that has the outputs; the errors of ds_cfg_parse. */
int ds_recipe_apply(const char *text, const char *path, const ds_recipe *r, char **made, ds_error *e);

/* "BASE" of results: the file's name up to its first dot, as in the host. Fresh memory. */
char *ds_cfg_base(const ds_cfg *cfg);
