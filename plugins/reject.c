/* [reject]: lets the class probabilities of a sure answer pass and turns an unsure one into zeros. */
#include "plugins/registry.h"

typedef struct reject_state {
    ds_score score;
    double threshold;
    ds_numbers thresholds; /* none, or one a class */
    ds_setup shape;
} reject_state;

_Static_assert(sizeof(ds_confidence) == sizeof(int), "an option of words is stored as an int");

#define DS_STATE reject_state
static const ds_option reject_options[] = {
    OPT_ENUM("confidence", score.kind, ds_confidence_names,
             "how sure the network is, from the raw logits of the cost section", .def = "msp"),
    OPT_REAL("threshold", threshold,
             "images of lower confidence are rejected; without it only not-a-number is"),
    OPT_REALS("thresholds", thresholds,
              "instead of one threshold: that of the answer's class, one for each; inf: never accepted",
              OPT_RANGE(-HUGE_VAL, HUGE_VAL)),
    OPT_REAL("temperature", score.temperature,
             "divides the logits of the confidence, not those of the output", .def = "1",
             OPT_RANGE(1e-6, 1e6)),
    OPT_REAL("pnorm_p", score.pnorm_p, "which norm", .def = "2", OPT_FROM(1e-6), .when = "confidence=pnorm"),
    OPT_END,
};

const double *ds_reject_get(const void *state, ds_score *score, double *threshold)
{
    const reject_state *r = state;
    *score = r->score;
    *threshold = r->threshold;
    return r->thresholds.v;
}

static int check_thresholds(const reject_state *r, ds_setup *setup, ds_error *e)
{
    const ds_numbers *t = &r->thresholds;
    setup->key = t->n ? "thresholds" : NULL;
    if (t->n && (t->n != setup->classes || !isnan(r->threshold)))
        return ds_fail(e, DS_EINPUT,
                       "thresholds= has %d numbers%s, expected %d, one for each class, instead of it", t->n,
                       isnan(r->threshold) ? "" : " beside threshold=", setup->classes);
    for (int i = -1; i < t->n && ds_score_is_probability(r->score.kind); i++) {
        double v = i < 0 ? r->threshold : t->v[i];
        if (isfinite(v) && (v < 0 || v > 1))
            return ds_fail(e, DS_EINPUT, "threshold=%g, expected a number from 0 to 1 with confidence=%s", v,
                           ds_confidence_names[r->score.kind]);
    }
    return DS_OK;
}

static int reject_init(void *state, ds_setup *setup, ds_error *e)
{
    reject_state *r = state;
    if (setup->classes < 1 || setup->inputs < setup->classes ||
        setup->logits != setup->classes + setup->abstain)
        return ds_fail(e, DS_EINPUT, "[reject] does not follow a cost section, expected one before it");
    setup->outputs = setup->classes;
    r->shape = *setup;
    DS_TRY(ds_score_check(&r->score, setup->logits, setup->abstain, e));
    return check_thresholds(r, setup, e);
}

static int reject_forward(void *state, const ds_pass *pass, ds_error *e)
{
    const reject_state *r = state;
    const ds_setup *s = &r->shape;
    (void)e;
    for (size_t b = 0; b < (size_t)pass->batch; b++) {
        const float *logits = pass->logits + b * (size_t)s->logits;
        double confidence = ds_score_row(&r->score, logits, s->logits, s->abstain);
        bool accepted = ds_accepts(
            confidence, r->thresholds.n ? r->thresholds.v[ds_argmax(logits, s->classes)] : r->threshold);
        const float *in = pass->input + b * (size_t)s->inputs;
        float *out = pass->output + b * (size_t)s->classes;
        for (int j = 0; j < s->classes; j++)
            out[j] = accepted ? in[j] : 0;
        if (pass->confidence)
            pass->confidence[b] = confidence;
        if (pass->accepted)
            pass->accepted[b] = accepted;
    }
    return DS_OK;
}

const ds_layer ds_layer_reject = {
    .abi = DS_PLUGIN_ABI,
    .name = "reject",
    .help = "class probabilities of an accepted image, zeros for a rejected one",
    .role = DS_REJECT,
    .state_size = sizeof(reject_state),
    .options = reject_options,
    .init = reject_init,
    .forward = reject_forward,
};
