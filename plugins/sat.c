/* [sat]: self-adaptive training. The target of an image moves from its given label towards what the network
 * itself says.
 *
 *   blend    target (1-a) onehot(y) + a softmax(z), held constant: cross-entropy with a shrinking step
 *   ema      target t <- m t + (1-m) softmax(z) for each image, weighted by its largest entry
 *            (Huang et al. 2020, Algorithm 1)
 *   abstain  one more logit, "abstain"; t_y <- m t_y + (1-m) q_y for each image
 *            (Huang et al. 2020, selective classification)
 *   elr      cross-entropy + lambda log(1 - <p,t>), t <- beta t + (1-beta) p for each image, from zeros: what
 *            the network believed early weighs against a label (Liu et al. 2020) */
#include "plugins/cross_entropy.h"

#include <unistd.h>

enum { BLEND, EMA, ABSTAIN, ELR };
static const char *const target_names[] = {"blend", "ema", "abstain", "elr", NULL};
static const char *const warmup_words[] = {"auto", NULL};

typedef struct sat_state {
    int target, wanted_classes, warmup_epochs;
    char *class_weights;
    double alpha_start, alpha_end, momentum, entropy, lambda, beta, temperature;
    int inputs, classes; /* logits an image; C */
    size_t samples;
    /* What is kept of the images, NULL where it is not. Targets of one number are doubles: gradient and loss
     * are their small differences to 1 and to P_y. */
    float *targets;  /* ema, elr: samples x C, zeros: not visited yet */
    double *kept;    /* abstain: samples */
    double *weights; /* n_weights: ema's of the rows so far */
    int n_weights;
} sat_state;

#define DS_STATE sat_state
static const ds_option sat_options[] = {
    OPT_ENUM("target", target, target_names, "what the network is trained towards", .def = "blend"),
    OPT_INT(
        "warmup_epochs", warmup_epochs,
        "epochs before the target moves; auto: until the nll of valid= (without it: of a tenth of train=, "
        "kept out) rises, three fifths of the run at most; blend: 5",
        .def = "auto", .names = warmup_words, OPT_RANGE(0, 1e6), .when = "target=blend|ema|abstain"),
    OPT_REAL("alpha_start", alpha_start, "weight of the network's own predictions at first", .def = "0",
             OPT_RANGE(0, 1), .when = "target=blend"),
    OPT_REAL("alpha_end", alpha_end,
             "the same after the last epoch: alpha grows in equal steps from the warm-up on", .def = "0.9",
             OPT_RANGE(0, 1), .when = "target=blend"),
    OPT_REAL("momentum", momentum, "share of the old target that each visit keeps", .def = "0.9",
             OPT_RANGE(0, 0.999999), .when = "target=ema|abstain"),
    OPT_REAL("entropy", entropy, "weight of the entropy of the class probabilities in the loss", .def = "0",
             OPT_FROM(0), .when = "target=abstain"),
    OPT_REAL("lambda", lambda, "weight of the target in the loss", .def = "3", OPT_FROM(0),
             .when = "target=elr"),
    OPT_REAL("beta", beta, "share of the old target that each visit keeps", .def = "0.7",
             OPT_RANGE(0, 0.999999), .when = "target=elr"),
    OPT_INT(
        "classes", wanted_classes,
        "only checked: what the layer before must give (one more for target=abstain); 0 for what it gives",
        .def = "0", OPT_RANGE(0, 1e6)),
    OPT_CLASS_WEIGHTS,
    OPT_TEMPERATURE,
    OPT_END,
};

/* ---- the losses of one image ---- */

static double alpha_at(const sat_state *s, int epoch, int epochs)
{
    if (epoch < s->warmup_epochs)
        return s->alpha_start;
    int span = epochs - s->warmup_epochs > 1 ? epochs - s->warmup_epochs : 1;
    double alpha = s->alpha_start + (s->alpha_end - s->alpha_start) * (epoch - s->warmup_epochs) / span;
    return alpha < s->alpha_end ? alpha : s->alpha_end;
}

static double blend_row(const ds_row *r, int y, double alpha, float *gradient)
{
    ds_row_gradient(r, y, 1 - alpha, gradient);
    double loss = -(1 - alpha) * ds_row_log(r, y);
    return alpha > 0 ? loss + alpha * ds_row_entropy(r) : loss;
}

/* Move the target t (C) towards the row; returns its largest entry. */
static double ema_update(const ds_row *r, int y, double momentum, float *t)
{
    int seen = 0;
    double top = 0;
    while (seen < r->n && t[seen] == 0)
        seen++;
    if (seen == r->n)
        t[y] = 1;
    for (int j = 0; j < r->n; j++) {
        t[j] = (float)(momentum * t[j] + (1 - momentum) * r->p[j]);
        top = t[j] > top ? t[j] : top;
    }
    return top;
}

/* Cross-entropy against the soft target t (C), not weighted yet. */
static double ema_row(const ds_row *r, const float *t, float *gradient)
{
    double loss = 0;
    for (int j = 0; j < r->n; j++)
        loss -= t[j] * ds_row_log(r, j);
    for (int j = 0; j < r->n; j++)
        gradient[j] = (float)(r->p[j] - t[j]);
    return loss;
}

/* t: what the label keeps, 1-t goes to "abstain". Softmax over C+1 is P_j = q_j (1 - P_C). */
static double abstain_step(const sat_state *s, const ds_row *r, int y, float *gradient)
{
    double *own = s->kept + r->pass->ids[r->b], lead = ds_row_log(r, r->n), kept = 1 / (1 + exp(lead));
    const double t = *own = s->momentum * *own + (1 - s->momentum) * r->p[y];
    for (int j = 0; j < r->n; j++)
        gradient[j] = (float)(r->p[j] * kept - (j == y ? t : 0));
    gradient[r->n] = (float)(1 / (1 + exp(-lead)) - (1 - t));
    return t * (ds_softplus(lead) - ds_row_log(r, y)) + (1 - t) * ds_softplus(-lead);
}

/* Add the gradient of beta * H(q) and return it. */
static double entropy_row(const ds_row *r, double beta, float *gradient)
{
    double h = ds_row_entropy(r);
    for (int j = 0; j < r->n; j++)
        gradient[j] -= (float)(beta * r->p[j] * (ds_row_log(r, j) + h));
    return beta * h;
}

/* As the authors' code: probabilities are kept off 0 and 1, where they are so none has a gradient. */
static double elr_bound(double p)
{
    return p < 1e-4 ? 1e-4 : p > 1 - 1e-4 ? 1 - 1e-4 : p;
}

static void elr_update(const ds_row *r, double beta, float *t)
{
    double sum = 0;
    for (int j = 0; j < r->n; j++)
        sum += elr_bound(r->p[j]);
    for (int j = 0; j < r->n; j++)
        t[j] = (float)(beta * t[j] + (1 - beta) * elr_bound(r->p[j]) / sum);
}

static double elr_row(const ds_row *r, int y, const float *t, double lambda, float *gradient)
{
    double overlap = 0, free = 0; /* <p,t>, and of those p that are not bounded */
    for (int j = 0; j < r->n; j++) {
        overlap += elr_bound(r->p[j]) * t[j];
        free += elr_bound(r->p[j]) == r->p[j] ? r->p[j] * t[j] : 0;
    }
    for (int j = 0; j < r->n; j++) {
        const double own = elr_bound(r->p[j]) == r->p[j] ? t[j] : 0;
        gradient[j] = (float)(r->p[j] - (j == y) - lambda * r->p[j] * (own - free) / (1 - overlap));
    }
    return lambda * log1p(-overlap) - ds_row_log(r, y);
}

static bool adapting(const sat_state *s, const ds_pass *pass)
{
    return s->target != BLEND && !pass->warming;
}

static double soft_step(sat_state *s, const ds_row *r, int y, float *gradient)
{
    float *t = s->targets + (size_t)r->pass->ids[r->b] * (size_t)s->classes;
    if (s->target == ELR) {
        elr_update(r, s->beta, t);
        return elr_row(r, y, t, s->lambda, gradient);
    }
    DS_PUSH(s->weights, s->n_weights, ema_update(r, y, s->momentum, t));
    return ema_row(r, t, gradient);
}

static double sat_row(void *state, const ds_row *r, int y, float *gradient)
{
    sat_state *s = state;
    double loss;
    if (s->target == BLEND)
        loss = blend_row(r, y, alpha_at(s, r->pass->epoch, r->pass->epochs), gradient);
    else if (!adapting(s, r->pass))
        loss = ds_row_cross_entropy(r, y, s->inputs, gradient);
    else if (s->target == ABSTAIN)
        loss = abstain_step(s, r, y, gradient);
    else
        loss = soft_step(s, r, y, gradient);
    return s->entropy > 0 ? loss + entropy_row(r, s->entropy, gradient) : loss;
}

/* ema's weights w_i B / sum w need the whole sub-batch. */
static void sat_finish(void *state, const ds_pass *pass)
{
    sat_state *s = state;
    double sum = 0;
    for (int b = 0; b < s->n_weights; b++)
        sum += s->weights[b];
    for (int b = 0; b < s->n_weights; b++) {
        double weight = s->weights[b] * pass->batch / sum;
        float *gradient = pass->gradient + (size_t)b * (size_t)s->inputs;
        pass->loss[b] *= weight;
        for (int j = 0; j < s->inputs; j++)
            gradient[j] = (float)(gradient[j] * weight);
    }
}

static int sat_check(void *state, const ds_pass *pass, ds_error *e)
{
    sat_state *s = state;
    s->n_weights = 0;
    if (!adapting(s, pass))
        return DS_OK;
    if ((!s->targets && !s->kept) || !pass->ids)
        return ds_fail(e, DS_EINPUT,
                       "target=%s needs the number of each training image after the warm-up; train with "
                       "'classifier train'",
                       target_names[s->target]);
    for (int b = 0; b < pass->batch; b++)
        if (pass->ids[b] >= s->samples)
            return ds_fail(e, DS_EINPUT, "image %d of the batch has number %lu, expected below %zu", b,
                           (unsigned long)pass->ids[b], s->samples);
    return DS_OK;
}

static int take_shape(sat_state *s, ds_setup *setup, ds_error *e)
{
    setup->abstain = s->target == ABSTAIN;
    setup->bound = s->target != BLEND;
    s->inputs = setup->inputs;
    s->classes = setup->classes = setup->inputs - setup->abstain;
    setup->temperature = s->temperature;
    setup->warmup_epochs = s->target == BLEND ? 0 : s->warmup_epochs;
    if (!s->wanted_classes || s->wanted_classes == s->classes)
        return DS_OK;
    setup->key = "classes";
    return ds_fail(e, DS_EINPUT,
                   "[sat] classes=%d, but %d numbers come in, expected filters= or output=%d of the layer "
                   "before%s, or classes=%d",
                   s->wanted_classes, setup->inputs, s->wanted_classes + setup->abstain,
                   setup->abstain ? " (one for each class and one for 'abstain')" : "", s->classes);
}

/* A target that never comes into play is a mistake, not a choice. */
static int check_epochs(const sat_state *s, const ds_setup *setup, ds_error *e)
{
    /* blend's first epoch after the warm-up still has alpha_start */
    if (!setup->samples || setup->epochs < 1 || setup->epochs > s->warmup_epochs + (s->target == BLEND) ||
        s->warmup_epochs == DS_WARMUP_AUTO)
        return DS_OK;
    const char *target = target_names[s->target], *plural = setup->epochs == 1 ? "" : "s";
    if (s->target != BLEND)
        return ds_fail(
            e, DS_EINPUT,
            "target=%s: the run has %d epoch%s and warmup_epochs=%d: the target would never be used, "
            "expected warmup_epochs < %d",
            target, setup->epochs, plural, s->warmup_epochs, setup->epochs);
    ds_note(setup->notes,
            "warning: target=%s: the run has %d epoch%s and warmup_epochs=%d: alpha stays at alpha_start=%g",
            target, setup->epochs, plural, s->warmup_epochs, s->alpha_start);
    return DS_OK;
}

static int make_history(sat_state *s, size_t samples, ds_error *e)
{
    const bool one = s->target == ABSTAIN;
    const size_t row = one ? 1 : (size_t)s->classes;
    const size_t size = row * (one ? sizeof *s->kept : sizeof *s->targets);
    const double bytes = (double)samples * (double)size;
    s->samples = samples;
    if (!samples || s->target == BLEND)
        return DS_OK;
    const double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    void *history = bytes <= memory || memory < 0 ? calloc(samples, size) : NULL;
    if (!history)
        return ds_fail(
            e, DS_ENOMEM,
            "target=%s keeps %zu numbers for each of %zu images, %.1f GiB, expected at most the memory "
            "of this machine%s",
            target_names[s->target], row, samples, bytes / 0x1p30,
            one ? "" : " (target=abstain keeps 1 number an image)");
    if (one)
        s->kept = history;
    else
        s->targets = history;
    for (size_t i = 0; s->kept && i < samples; i++)
        s->kept[i] = 1;
    return DS_OK;
}

static int sat_init(void *state, ds_setup *setup, ds_error *e)
{
    sat_state *s = state;
    s->warmup_epochs = s->target == ELR ? 0 : s->warmup_epochs;
    if (s->target == BLEND && s->warmup_epochs == DS_WARMUP_AUTO)
        s->warmup_epochs = 5;
    DS_TRY(take_shape(s, setup, e));
    DS_TRY(ds_weigh(setup, s->class_weights, e));
    DS_TRY(check_epochs(s, setup, e));
    if (s->target == BLEND && s->alpha_end < s->alpha_start)
        ds_note(setup->notes,
                "warning: alpha_end=%g is below alpha_start=%g: alpha drops to it after the warm-up",
                s->alpha_end, s->alpha_start);
    return make_history(s, setup->samples, e);
}

static double sat_alpha(const void *state, int epoch, int epochs)
{
    const sat_state *s = state;
    return s->target == BLEND ? alpha_at(s, epoch, epochs) : NAN;
}

static ds_history sat_history(const void *state)
{
    const sat_state *s = state;
    return s->kept ? (ds_history){s->kept, 1, true} : (ds_history){s->targets, (size_t)s->classes, false};
}

static void sat_release(void *state)
{
    sat_state *s = state;
    free(s->targets);
    free(s->kept);
    free(s->weights);
}

const ds_layer ds_layer_sat = {
    .abi = DS_PLUGIN_ABI,
    .name = "sat",
    .help =
        "self-adaptive training: the target moves from the given label towards the network's own predictions",
    .role = DS_COST,
    .state_size = sizeof(sat_state),
    .options = sat_options,
    .init = sat_init,
    .row = sat_row,
    .check = sat_check,
    .finish = sat_finish,
    .alpha = sat_alpha,
    .history = sat_history,
    .release = sat_release,
};
