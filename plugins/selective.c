/* [selective]: SelectiveNet (Geifman & El-Yaniv 2019). C logits f, with auxiliary=1 C more, h, and the last,
 * s: g = sigmoid(s) is how much an image counts. l: cross-entropy of f; means over the images of a sub-batch,
 * phi = mean g:
 *
 *   L = alpha (mean(l g) / phi + lambda max(0, coverage - phi)^2) + (1-alpha) mean cross-entropy of h
 *
 * without h: of f. Answers have 1 - g as the probability of "abstain". */
#include "plugins/cross_entropy.h"

typedef struct selective_state {
    double coverage, lambda, alpha, temperature;
    bool auxiliary;
    int inputs, classes;
    double *heads; /* n: cross-entropy of h, or of f, of the rows so far */
    int n;
    double *p; /* classes: room */
} selective_state;

#define DS_STATE selective_state
static const ds_option selective_options[] = {
    OPT_REAL("coverage", coverage, "share of the images that is to be selected", .def = "0.8",
             OPT_RANGE(0.001, 1)),
    OPT_REAL("lambda", lambda, "weight of a coverage that is too low", .def = "32", OPT_FROM(0)),
    OPT_REAL("alpha", alpha, "weight of the selective loss against that of all images", .def = "0.5",
             OPT_RANGE(0, 1)),
    OPT_BOOL(
        "auxiliary", auxiliary,
        "a second head of C logits, between the classes' and the selection's, has the loss of all images"),
    OPT_TEMPERATURE,
    OPT_END,
};

static int selective_init(void *state, ds_setup *setup, ds_error *e)
{
    selective_state *s = state;
    s->inputs = setup->inputs;
    s->classes = setup->classes = (setup->inputs - 1) / (1 + s->auxiliary);
    setup->logits = setup->outputs = s->classes + 1;
    setup->abstain = setup->bound = true;
    setup->temperature = s->temperature;
    setup->key = "auxiliary";
    if (s->auxiliary && setup->inputs != 2 * s->classes + 1)
        return ds_fail(
            e, DS_EINPUT,
            "auxiliary=1: %d numbers come in, expected two for each class and one of the selection",
            setup->inputs);
    setup->key = NULL;
    DS_ALLOC(s->p, (size_t)s->classes);
    return DS_OK;
}

/* The logit beside which sigmoid(s) is left for the classes: log sum exp(f) - s. */
static void selective_logits(const void *state, const float *z, float *logits)
{
    const selective_state *s = state;
    const ds_row f = ds_row_make(z, s->classes, 1, s->p);
    for (int j = 0; j < s->classes; j++)
        logits[j] = z[j];
    logits[s->classes] = (float)(f.top + f.spread - z[s->inputs - 1]);
}

static int selective_check(void *state, const ds_pass *pass, ds_error *e)
{
    (void)pass;
    (void)e;
    ((selective_state *)state)->n = 0;
    return DS_OK;
}

/* Cross-entropies and their gradients; selective_finish weighs them. */
static double selective_row(void *state, const ds_row *r, int y, float *gradient)
{
    selective_state *s = state;
    double loss = -ds_row_log(r, y), head = loss;
    ds_row_gradient(r, y, 1, gradient);
    if (s->auxiliary) {
        const float *z = r->pass->input + (size_t)r->b * (size_t)s->inputs;
        const ds_row h = ds_row_make(z + s->classes, s->classes, 1, s->p);
        ds_row_gradient(&h, y, 1 - s->alpha, gradient + s->classes);
        head = -ds_row_log(&h, y);
    }
    DS_PUSH(s->heads, s->n, head);
    return loss;
}

static double selection(const selective_state *s, const ds_pass *pass, int b)
{
    return 1 / (1 + exp(-(double)pass->input[(size_t)(b + 1) * (size_t)s->inputs - 1]));
}

static void selective_finish(void *state, const ds_pass *pass)
{
    const selective_state *s = state;
    double sum = 0, risk = 0;
    for (int b = 0; b < pass->batch; b++) {
        sum += selection(s, pass, b);
        risk += selection(s, pass, b) * pass->loss[b];
    }
    const double phi = sum / pass->batch, lack = fmax(0, s->coverage - phi);
    for (int b = 0; b < pass->batch; b++) {
        const double g = selection(s, pass, b), part = s->alpha * g / phi;
        float *gradient = pass->gradient + (size_t)b * (size_t)s->inputs;
        for (int j = 0; j < s->classes; j++)
            gradient[j] = (float)(gradient[j] * (part + (s->auxiliary ? 0 : 1 - s->alpha)));
        gradient[s->inputs - 1] =
            (float)(s->alpha * ((pass->loss[b] - risk / sum) / phi - 2 * s->lambda * lack) * g * (1 - g));
        pass->loss[b] =
            part * pass->loss[b] + s->alpha * s->lambda * lack * lack + (1 - s->alpha) * s->heads[b];
    }
}

static void selective_release(void *state)
{
    selective_state *s = state;
    free(s->heads);
    free(s->p);
}

const ds_layer ds_layer_selective = {
    .abi = DS_PLUGIN_ABI,
    .name = "selective",
    .help = "SelectiveNet: one more output selects the images that count, for a wanted coverage",
    .role = DS_COST,
    .state_size = sizeof(selective_state),
    .options = selective_options,
    .init = selective_init,
    .logits = selective_logits,
    .row = selective_row,
    .check = selective_check,
    .finish = selective_finish,
    .release = selective_release,
};
