/* [softmax]: cross-entropy from logits. The baseline, and a cure for the host's loss, which is infinite at a
 * gap of about 100. */
#include "plugins/cross_entropy.h"

#include <stdlib.h>

typedef struct softmax_state {
    double temperature;
    int classes;
    double *p; /* classes: the row at work */
} softmax_state;

static const ds_option softmax_options[] = {
    {"temperature", DS_REAL, offsetof(softmax_state, temperature), "1", 1e-6, 1e6, NULL, NULL, NULL,
     "divides the logits of the output, not of the loss (stock Darknet divides those too)"},
    {"groups", DS_INT, DS_UNSTORED, "1", 1, 1, NULL, NULL, NULL,
     "one softmax over all inputs; more are left to the host"},
    {0},
};

static int softmax_init(void *state, ds_setup *setup, ds_error *e)
{
    softmax_state *s = state;
    if (setup->inputs < 2)
        return ds_fail(e, DS_EINPUT,
                       "[softmax] gets %d number an image, expected one for each of at least 2 classes",
                       setup->inputs);
    s->classes = setup->classes = setup->outputs = setup->inputs;
    setup->abstain = false;
    s->p = malloc((size_t)s->classes * sizeof *s->p);
    return s->p ? DS_OK : ds_fail_memory(e);
}

static void train_row(softmax_state *s, const ds_pass *pass, int b)
{
    size_t at = (size_t)b * (size_t)s->classes;
    ds_row row = ds_row_make(pass->input + at, s->classes, 1, s->p);
    if (pass->loss)
        pass->loss[b] = -ds_row_log(&row, pass->labels[b]);
    ds_row_gradient(&row, pass->labels[b], 1, pass->gradient ? pass->gradient + at : NULL);
}

static int softmax_forward(void *state, const ds_pass *pass, ds_error *e)
{
    softmax_state *s = state;
    int rc = ds_check_labels(pass, s->classes, e);
    for (int b = 0; b < pass->batch && !rc; b++) {
        size_t at = (size_t)b * (size_t)s->classes;
        if (pass->labels)
            train_row(s, pass, b);
        if (!pass->labels || s->temperature != 1)
            ds_softmax(pass->input + at, s->classes, s->temperature, s->p);
        ds_store(s->p, s->classes, pass->output + at);
    }
    return rc;
}

static void softmax_release(void *state)
{
    softmax_state *s = state;
    free(s->p);
}

const ds_layer ds_layer_softmax = {
    .abi = DS_PLUGIN_ABI,
    .name = "softmax",
    .help = "cross-entropy of the given label; the baseline",
    .role = DS_COST,
    .host_section = "softmax",
    .host_keys = "groups=1\n",
    .state_size = sizeof(softmax_state),
    .options = softmax_options,
    .init = softmax_init,
    .forward = softmax_forward,
    .release = softmax_release,
};
