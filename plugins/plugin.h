/* All that a layer plugin needs. A plugin is one `const ds_layer` at the end of one file of this folder and
 * one line of list.h; it sees arrays, never Darknet. README.md beside this file shows how to add one. */
#pragma once

#include "base/option.h"

#define DS_PLUGIN_ABI 8

typedef enum ds_role {
    DS_COST,   /* logits in, class probabilities out, loss and gradient in training */
    DS_REJECT, /* follows a cost; decides image by image whether the answer stands */
} ds_role;

/* A warm-up that lasts until the run sees its end. */
enum { DS_WARMUP_AUTO = -1 };

/* What `init` is told, and what it answers. */
typedef struct ds_setup {
    int inputs;            /* numbers an image that come in, > 0 */
    int logits;            /* logits of the cost section (DS_REJECT) */
    size_t samples;        /* images of the training list; 0: no training */
    int epochs;            /* total epochs of the run; 0: no training */
    const int *counts;     /* classes: images of the training list; NULL: no training */
    ds_notes *notes;       /* for warnings; may be NULL */
    const char *cfg;       /* the file that the section stands in; files that it names lie beside it */
    const char *precision; /* "f32", "bf16", "tf32": what the answers are computed with; NULL: unknown */
    /* Where the network's features come from; NULL: it will give none, files that need them are not read. */
    const struct ds_depths *depths;
    /* Answers. A cost finds those of a plain one here (C = outputs = inputs, no abstain, temperature 1), a
     * DS_REJECT the classes and abstain of its cost section. A cost that gives `logits` answers how many in
     * `logits`. */
    int classes;        /* C */
    bool abstain;       /* the last logit means "abstain": logits = C + 1 */
    int outputs;        /* numbers an image that go out */
    double temperature; /* of a cost: divides the logits of the output, not of the loss */
    double *weights;   /* of a cost: classes factors of loss and gradient, fresh memory (ds_weigh); NULL: 1 */
    int warmup_epochs; /* of a cost: how long the passes of a run are `warming`, or
                         * DS_WARMUP_AUTO; 0: never */
    bool bound;        /* of a cost: `row` needs more than logits and a label, such as a history, `check` or
                         * `finish`: it takes no mixed labels */
    const char *key;   /* which key an error is about, for its line; NULL: the section as a whole */
} ds_setup;

/* One sub-batch on its way. All arrays belong to the caller; image b starts at b times the row length. */
typedef struct ds_pass {
    int batch;
    int epoch, epochs;     /* of this batch, from 0; of the run */
    bool warming;          /* the target does not move yet: the run says when it does */
    const float *input;    /* batch x setup.inputs */
    const float *logits;   /* batch x setup.logits: raw, of the cost section (for a cost: its input) */
    float *output;         /* batch x setup.outputs, written */
    const int *labels;     /* batch, 0 … C-1; NULL: neither loss nor gradient is wanted, else both are */
    const uint32_t *ids;   /* batch: which image of the training list; NULL: no history is touched, and a
                          * target that needs one is refused */
    const int *others;     /* batch, with labels: images are mixtures, these the labels of their other part;
                         * NULL: they are not */
    const float *shares;   /* batch, with others: the part that is of `labels` */
    float *gradient;       /* batch x inputs: dL_i/dz, not divided by the batch */
    double *loss;          /* batch: loss of each image */
    double *confidence;    /* batch, DS_REJECT only: higher means surer; NULL: not wanted */
    bool *accepted;        /* batch, DS_REJECT only; NULL: not wanted */
    const float *features; /* batch x depths->row, DS_REJECT only; NULL with setup.depths alone */
    double *novelty;       /* batch, with features: p-values of novelty= */
} ds_pass;

/* One image of a training pass, its C logits seen through their softmax. log p_j = (z_j / T - top) -
 * spread is exact at any gap (ds_row_log of cross_entropy.h); log(p_j) would be -inf. */
typedef struct ds_row {
    const float *z;  /* C logits, and that of "abstain" where there is one */
    const double *p; /* C probabilities */
    int n;           /* C */
    double scale;    /* 1 / temperature */
    double top;      /* largest z / T */
    double spread;   /* log sum exp(z / T - top), >= 0 */
    const ds_pass *pass;
    int b; /* which image of the pass */
} ds_row;

/* What a target remembers of each training image: samples x row numbers. */
typedef struct ds_history {
    void *values; /* doubles where `wide`, else floats; NULL: nothing is remembered */
    size_t row;
    bool wide;
} ds_history;

typedef struct ds_layer {
    int abi;          /* DS_PLUGIN_ABI */
    const char *name; /* section name without brackets */
    const char *help; /* one line */
    ds_role role;
    size_t state_size; /* zeroed and filled from `options` before init */
    const ds_option *options;
    /* (optional) Check the options against the shape, fill the answers, allocate. */
    int (*init)(void *state, ds_setup *setup, ds_error *e);
    /* (optional) A cost: the logits that answers are made of, C and that of "abstain", from what comes in for
     * an image; without it they are what comes in. The first C are always the first C that come in. */
    void (*logits)(const void *state, const float *input, float *logits);
    /* A cost: loss of one image of a training pass; gradient (inputs) is written. The outputs are the
     * registry's. Of a mixture it is called for each label, in a pass with neither `check` nor `finish`;
     * where that has no ids the loss is cross-entropy. */
    double (*row)(void *state, const ds_row *row, int label, float *gradient);
    /* (optional, with row) Before the first row of a training pass: all of it that can fail. */
    int (*check)(void *state, const ds_pass *pass, ds_error *e);
    /* (optional, with row) After its last one: what needs the whole sub-batch. */
    void (*finish)(void *state, const ds_pass *pass);
    /* Without row, the whole pass: outputs; loss, gradient and history when it has labels (and ids). */
    int (*forward)(void *state, const ds_pass *pass, ds_error *e);
    /* (optional) Weight of the network's own predictions in the target in `epoch` of `epochs`; NAN: that has
     * no meaning. */
    double (*alpha)(const void *state, int epoch, int epochs);
    /* (optional) For checkpoints; may be read and written between passes. A new image's numbers are those
     * that init gave it. */
    ds_history (*history)(const void *state);
    /* (optional) Free what init allocated; also called after a failed init. The registry frees options. */
    void (*release)(void *state);
} ds_layer;
