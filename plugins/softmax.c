/* [softmax]: cross-entropy from logits. The baseline, and a cure for the host's loss, which is infinite at a
 * gap of about 100. */
#include "plugins/cross_entropy.h"

typedef struct softmax_state {
    double temperature;
    char *class_weights;
} softmax_state;

#define DS_STATE softmax_state
static const ds_option softmax_options[] = {
    OPT_REAL("temperature", temperature,
             "divides the logits of the output, not of the loss (stock Darknet divides those too)",
             .def = "1", OPT_RANGE(1e-6, 1e6)),
    OPT_CLASS_WEIGHTS,
    OPT_CHECK(DS_INT, "groups", "one softmax over all inputs; more are left to the host", .def = "1",
              OPT_RANGE(1, 1)),
    OPT_END,
};

static int softmax_init(void *state, ds_setup *setup, ds_error *e)
{
    const softmax_state *s = state;
    setup->temperature = s->temperature;
    return ds_weigh(setup, s->class_weights, e);
}

static double softmax_row(void *state, const ds_row *r, int label, float *gradient)
{
    (void)state;
    return ds_row_cross_entropy(r, label, r->n, gradient);
}

const ds_layer ds_layer_softmax = {
    .abi = DS_PLUGIN_ABI,
    .name = "softmax",
    .help = "cross-entropy of the given label; the baseline",
    .role = DS_COST,
    .state_size = sizeof(softmax_state),
    .options = softmax_options,
    .init = softmax_init,
    .row = softmax_row,
};
