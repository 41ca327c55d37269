/* All that a layer plugin needs. A plugin is one `const ds_layer` at the end of one file of this folder and
 * one line of list.h; it sees arrays, never Darknet. README.md beside this file shows how to add one. */
#ifndef DS_PLUGIN_H
#define DS_PLUGIN_H

#include "base/error.h"
#include "base/option.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DS_PLUGIN_ABI 1

typedef enum ds_role {
    DS_COST,   /* logits in, class probabilities out, loss and gradient in training */
    DS_REJECT, /* follows a cost; decides image by image whether the answer stands */
} ds_role;

/* What `init` is told, and what it answers. */
typedef struct ds_setup {
    int inputs;      /* numbers an image that come in, > 0 */
    int logits;      /* logits of the cost section (DS_REJECT); a cost's own inputs */
    size_t samples;  /* images of the training list; 0: no training */
    int epochs;      /* total epochs of the run; 0: no training */
    ds_notes *notes; /* for warnings; may be NULL */
    /* answers */
    int classes;  /* C. A DS_REJECT gets that of its cost section */
    bool abstain; /* the last logit means "abstain": inputs = C + 1 */
    int outputs;  /* numbers an image that go out */
} ds_setup;

/* One sub-batch on its way. All arrays belong to the caller; image b starts at b times the row length. */
typedef struct ds_pass {
    int batch;
    int epoch, epochs;   /* of this batch, from 0; of the run */
    const float *input;  /* batch x setup.inputs */
    const float *logits; /* batch x setup.logits: raw, of the cost section (for a cost: its input) */
    float *output;       /* batch x setup.outputs, written */
    const int *labels;   /* batch, 0 … C-1; NULL: no loss is wanted */
    const uint32_t *ids; /* batch: which image of the training list; NULL: no history is touched, and a
                          * target that needs one is refused */
    float *gradient;     /* batch x inputs: dL_i/dz, not divided by the batch; NULL: not wanted */
    double *loss;        /* batch: loss of each image; NULL: not wanted */
    double *confidence;  /* batch, DS_REJECT only: higher means surer; NULL: not wanted */
    bool *accepted;      /* batch, DS_REJECT only; NULL: not wanted */
} ds_pass;

/* Where the training target stands in an epoch. */
typedef struct ds_progress {
    bool warming; /* still in the warm-up of a target that needs one: such epochs cannot be the best */
    double alpha; /* weight of the network's own predictions in the target, NAN where that has no meaning */
} ds_progress;

typedef struct ds_layer {
    int abi;          /* DS_PLUGIN_ABI */
    const char *name; /* section name without brackets */
    const char *help; /* one line */
    ds_role role;
    const char *host_section; /* stock section that stands in for it in the lowered cfg */
    const char *host_keys;    /* keys of that section, "key=value" lines, "" for none */
    size_t state_size;        /* zeroed and filled from `options` before init */
    const ds_option *options;
    /* Check the options against the shape, fill the answers, allocate. */
    int (*init)(void *state, ds_setup *setup, ds_error *e);
    /* Outputs; loss, gradient and history when pass has labels (and ids). */
    int (*forward)(void *state, const ds_pass *pass, ds_error *e);
    /* (optional) Where the target stands in `epoch` of `epochs`; without it: not warming, alpha NAN. */
    void (*progress)(const void *state, int epoch, int epochs, ds_progress *out);
    /* (optional) Free what init allocated; also called after a failed init. The registry frees options. */
    void (*release)(void *state);
} ds_layer;

#endif
