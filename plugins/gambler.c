/* [gambler]: Deep Gamblers (Ziyin et al. 2019). Each image is a bet on its class, of which the last of C + 1
 * logits keeps a part back: L = -log(P_y + P_C / reward), P = softmax over C + 1. In the warm-up it is
 * cross-entropy over the first C. */
#include "plugins/cross_entropy.h"

typedef struct gambler_state {
    double reward, temperature;
    int warmup_epochs;
    char *class_weights;
} gambler_state;

#define DS_STATE gambler_state
static const ds_option gambler_options[] = {
    OPT_REAL("reward", reward,
             "what a right bet pays; the less, the more is kept back; at most C makes sense", .def = "2.2",
             OPT_RANGE(1.000001, 1e6)),
    OPT_INT("warmup_epochs", warmup_epochs, "epochs of cross-entropy before", .def = "5", OPT_RANGE(0, 1e6)),
    OPT_CLASS_WEIGHTS,
    OPT_TEMPERATURE,
    OPT_END,
};

static int gambler_init(void *state, ds_setup *setup, ds_error *e)
{
    const gambler_state *s = state;
    setup->abstain = true;
    setup->classes = setup->inputs - 1;
    setup->temperature = s->temperature;
    DS_TRY(ds_weigh(setup, s->class_weights, e));
    setup->warmup_epochs = s->warmup_epochs;
    if (!setup->samples || setup->epochs < 1 || setup->epochs > s->warmup_epochs)
        return DS_OK;
    setup->key = "warmup_epochs";
    return ds_fail(e, DS_EINPUT,
                   "the run has %d epochs and warmup_epochs=%d: nothing would ever be bet, expected less",
                   setup->epochs, s->warmup_epochs);
}

/* Of S = P_y + P_C / reward, `bet` is the share of P_y; log S is counted from the larger of the two. */
static double gambler_row(void *state, const ds_row *r, int y, float *gradient)
{
    const gambler_state *s = state;
    const double lead = ds_row_log(r, r->n), all = 1 / (1 + exp(lead)); /* of the classes: 1 - P_C */
    if (r->pass->warming)
        return ds_row_cross_entropy(r, y, r->n + 1, gradient);
    const double gap = lead - log(s->reward) - ds_row_log(r, y), bet = 1 / (1 + exp(gap));
    for (int j = 0; j < r->n; j++)
        gradient[j] = (float)(r->p[j] * all - (j == y ? bet : 0));
    gradient[r->n] = (float)(1 / (1 + exp(-lead)) - 1 / (1 + exp(-gap)));
    return gap > 0 ? ds_softplus(-lead) + log(s->reward) - ds_softplus(-gap)
                   : ds_softplus(lead) - ds_row_log(r, y) - ds_softplus(gap);
}

const ds_layer ds_layer_gambler = {
    .abi = DS_PLUGIN_ABI,
    .name = "gambler",
    .help = "Deep Gamblers: one more output keeps back what an unsure network does not bet",
    .role = DS_COST,
    .state_size = sizeof(gambler_state),
    .options = gambler_options,
    .init = gambler_init,
    .row = gambler_row,
};
