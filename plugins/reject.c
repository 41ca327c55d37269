/* [reject]: lets the class probabilities of a sure answer pass and turns an unsure one into zeros. */
#include "plugins/registry.h"
#include "base/file.h"

#include <inttypes.h>
#include <limits.h>

typedef struct reject_state {
    ds_reject is;
    ds_numbers thresholds; /* none, or one a class */
    ds_numbers rejected;   /* none, or K and N */
    char *file;            /* of `novelty`, NULL: none */
    char *hash;            /* of what is in it, NULL: not said */
    int precision;         /* index into precisions, -1: not said */
    ds_novelty novelty;    /* is.novelty, where it was read */
    ds_setup shape;
} reject_state;

_Static_assert(sizeof(ds_confidence) == sizeof(int), "an option of words is stored as an int");

static const char *const precisions[] = {"f32", "bf16", "tf32", NULL};

#define DS_STATE reject_state
static const ds_option reject_options[] = {
    OPT_ENUM("confidence", is.score.kind, ds_confidence_names,
             "how sure the network is, from the raw logits of the cost section", .def = "msp"),
    OPT_REAL("threshold", is.threshold,
             "images of lower confidence are rejected; without it only not-a-number is"),
    OPT_REALS("thresholds", thresholds,
              "instead of one threshold: that of the answer's class, one for each; inf: never accepted",
              OPT_RANGE(-HUGE_VAL, HUGE_VAL)),
    OPT_TEXT("novelty", file,
             "file of `calibrate -novelty`: an image that is none of the classes is rejected as unknown",
             .unit = "FILE"),
    OPT_TEXT("novelty_hash", hash, "of what is in that file, which no other one may replace", .unit = "HEX"),
    OPT_REAL("novelty_rate", is.novelty_rate,
             "share of images of the classes that may be called unknown, with novelty", OPT_RANGE(0, 1)),
    OPT_INTS("rejected", rejected,
             "how many of how many calibration images were rejected: predict warns when it rejects far more",
             OPT_RANGE(0, INT_MAX), .unit = "K,N"),
    OPT_CHECK(
        DS_INT, "views",
        "for the mean of the answers to N views of each image (`predict --help`), by `classifier` alone",
        .def = "1", OPT_RANGE(1, 10)),
    OPT_CHECK(DS_TEXT, "with",
              "for the mean with more networks; files lie beside the cfg, or in the current folder",
              .unit = "CFG,WEIGHTS,..."),
    OPT_CHECK(DS_TEXT, "aim", "what `calibrate` was asked for, for people", .unit = "NAME=VALUE,..."),
    OPT_CHECK(DS_TEXT, "weights",
              "hash of the weights that the thresholds were found with; of others `classifier` warns",
              .unit = "HEX"),
    OPT_ENUM("precision", precision, precisions,
             "what the thresholds were found with; answers by another come with a warning"),
    OPT_REAL("temperature", is.score.temperature,
             "divides the logits of the confidence, not those of the output", .def = "1",
             OPT_RANGE(1e-6, 1e6)),
    OPT_REAL("pnorm_p", is.score.pnorm_p, "which norm", .def = "2", OPT_FROM(1e-6),
             .when = "confidence=pnorm"),
    OPT_END,
};

const ds_reject *ds_reject_of(const void *state)
{
    return &((const reject_state *)state)->is;
}

static int check_thresholds(reject_state *r, ds_setup *setup, ds_error *e)
{
    const ds_numbers *t = &r->thresholds;
    r->is.thresholds = t->v;
    setup->key = t->n ? "thresholds" : NULL;
    if (t->n && (t->n != setup->classes || !isnan(r->is.threshold)))
        return ds_fail(e, DS_EINPUT,
                       "thresholds= has %d numbers%s, expected %d, one for each class, instead of it", t->n,
                       isnan(r->is.threshold) ? "" : " beside threshold=", setup->classes);
    for (int i = -1; i < t->n && ds_score_is_probability(r->is.score.kind); i++) {
        double v = i < 0 ? r->is.threshold : t->v[i];
        if (isfinite(v) && (v < 0 || v > 1))
            return ds_fail(e, DS_EINPUT, "threshold=%g, expected a number from 0 to 1 with confidence=%s", v,
                           ds_confidence_names[r->is.score.kind]);
    }
    return DS_OK;
}

/* The file lies beside the cfg, or counts from the current folder. */
static int read_novelty(reject_state *r, ds_setup *setup, ds_error *e)
{
    const ds_numbers *n = &r->rejected;
    setup->key = "rejected";
    if (n->n && (n->n != 2 || n->v[0] > n->v[1]))
        return ds_fail(e, DS_EINPUT, "rejected= expected two numbers K,N with K at most N");
    if (n->n) {
        r->is.rejected = (size_t)n->v[0];
        r->is.images = (size_t)n->v[1];
    }
    setup->key = r->file ? "novelty" : "novelty_rate";
    if ((r->file == NULL) != (isnan(r->is.novelty_rate) != 0))
        return ds_fail(e, DS_EINPUT, "%s= alone, expected novelty= and novelty_rate=", setup->key);
    setup->key = NULL;
    if (!r->file || !setup->depths)
        return DS_OK;
    r->novelty.depths = *setup->depths;
    r->novelty.classes = setup->classes;
    DS_FREED char *folder = ds_path_dir(setup->cfg), *path = ds_path_join(folder, r->file);
    DS_TRY(ds_novelty_read(&r->novelty, r->file[0] == '/' || !ds_path_exists(path) ? r->file : path, e));
    r->is.novelty = &r->novelty;
    const ds_score score = {(ds_confidence)(r->novelty.kind - DS_NOVELTY_CONFIDENCES), 1, 2};
    if (r->novelty.kind >= DS_NOVELTY_CONFIDENCES)
        DS_TRY(ds_score_check(&score, setup->logits, setup->abstain, e));
    DS_FREED char *hash = ds_format("%016" PRIx64, ds_novelty_hash(&r->novelty));
    if (!r->hash || strcmp(r->hash, hash) == 0)
        return DS_OK;
    setup->key = "novelty";
    return ds_fail(e, DS_EINPUT,
                   "novelty=%s is another file than novelty_hash=%s says, expected the one that `calibrate` "
                   "wrote with this cfg",
                   r->file, r->hash);
}

static void warn(const reject_state *r, const ds_setup *setup)
{
    const char *then = r->precision < 0 ? NULL : precisions[r->precision], *now = setup->precision;
    if (then && now && strcmp(then, now) != 0)
        ds_note(setup->notes,
                "warning: %s: the threshold was found with precision %s, the answers are computed with %s "
                "(-precision %s computes as then, `calibrate -precision %s` finds one for these)",
                setup->cfg, then, now, then, now);
}

static int reject_init(void *state, ds_setup *setup, ds_error *e)
{
    reject_state *r = state;
    if (setup->classes < 1 || setup->inputs < setup->classes ||
        setup->logits != setup->classes + setup->abstain)
        return ds_fail(e, DS_EINPUT, "[reject] does not follow a cost section, expected one before it");
    setup->outputs = setup->classes;
    r->shape = *setup;
    DS_TRY(ds_score_check(&r->is.score, setup->logits, setup->abstain, e));
    DS_TRY(check_thresholds(r, setup, e));
    warn(r, setup);
    return read_novelty(r, setup, e);
}

static void reject_release(void *state)
{
    ds_novelty_clear(&((reject_state *)state)->novelty);
}

/* The p-values of a pass; false: nothing is known of strangers. */
static bool find_novelty(const reject_state *r, const ds_pass *pass, double *p)
{
    const ds_novelty *v = r->is.novelty;
    const ds_setup *s = &r->shape;
    const size_t n = (size_t)pass->batch;
    if (!v || !pass->features)
        return false;
    ds_novelty_scores(v, v->kind, pass->features, pass->logits, s->logits, s->abstain, n, p);
    for (size_t b = 0; b < n; b++)
        p[b] = ds_novelty_p(v, p[b]);
    return true;
}

static int reject_forward(void *state, const ds_pass *pass, ds_error *e)
{
    const reject_state *r = state;
    const ds_setup *s = &r->shape;
    const bool known = find_novelty(r, pass, pass->novelty);
    (void)e;
    for (size_t b = 0; b < (size_t)pass->batch; b++) {
        const float *logits = pass->logits + b * (size_t)s->logits;
        double confidence = ds_score_row(&r->is.score, logits, s->logits, s->abstain);
        bool accepted = ds_accepts(
            confidence, r->thresholds.n ? r->thresholds.v[ds_argmax(logits, s->classes)] : r->is.threshold);
        accepted = accepted && !(known && pass->novelty[b] < r->is.novelty_rate);
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
    .release = reject_release,
};
