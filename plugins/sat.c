/* [sat]: self-adaptive training. The target of an image moves from its given label towards what the network
 * itself says.
 *
 *   blend    target (1-a) onehot(y) + a softmax(z), held constant: cross-entropy with a shrinking step
 *   ema      target t <- m t + (1-m) softmax(z) for each image, weighted by its largest entry
 *            (Huang et al. 2020, Algorithm 1)
 *   abstain  one more logit, "abstain"; t_y <- m t_y + (1-m) q_y for each image
 *            (Huang et al. 2020, selective classification) */
#include "plugins/cross_entropy.h"

#include <stdlib.h>
#include <unistd.h>

enum { BLEND, EMA, ABSTAIN };
static const char *const target_names[] = {"blend", "ema", "abstain", NULL};

typedef struct sat_state {
    int target, wanted_classes, warmup_epochs;
    double alpha_start, alpha_end, momentum, entropy, temperature;
    int inputs, classes; /* logits an image; C */
    size_t samples;
    float *history; /* ema: samples x C, a row of zeros: not visited yet; abstain: samples; NULL: no training,
                       or blend */
    double *p;      /* C: the row at work */
    double *weights; /* room: ema's weights of the sub-batch at work */
    int room;
} sat_state;

#define AT(field) offsetof(sat_state, field)
static const ds_option sat_options[] = {
    {"target", DS_ENUM, AT(target), "blend", 0, 0, NULL, target_names, NULL,
     "what the network is trained towards"},
    {"warmup_epochs", DS_INT, AT(warmup_epochs), "5", 0, 1e6, NULL, NULL, NULL,
     "epochs before the target moves; they must end before the network memorises wrong labels"},
    {"alpha_start", DS_REAL, AT(alpha_start), "0", 0, 1, NULL, NULL, "target=blend",
     "weight of the network's own predictions at first"},
    {"alpha_end", DS_REAL, AT(alpha_end), "0.9", 0, 1, NULL, NULL, "target=blend",
     "the same in the end, reached in equal steps after the warm-up"},
    {"momentum", DS_REAL, AT(momentum), "0.9", 0, 0.999999, NULL, NULL, "target=ema|abstain",
     "share of the old target that each visit keeps"},
    {"entropy", DS_REAL, AT(entropy), "0", 0, HUGE_VAL, NULL, NULL, "target=abstain",
     "weight of the entropy of the class probabilities in the loss"},
    {"classes", DS_INT, AT(wanted_classes), "0", 0, 1e6, NULL, NULL, NULL,
     "only checked: what the layer before must give (one more for target=abstain); 0 for what it gives"},
    {"temperature", DS_REAL, AT(temperature), "1", 1e-6, 1e6, NULL, NULL, NULL,
     "divides the logits of the output, not of the loss"},
    {0},
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
    for (int j = 0; gradient && j < r->n; j++)
        gradient[j] = (float)(r->p[j] - t[j]);
    return loss;
}

static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

/* Logit of "abstain" against all C classes of the row together: P_C = 1 / (1 + exp(-lead)). */
static double abstain_lead(const ds_row *r)
{
    return (r->z[r->n] * r->scale - r->top) - r->spread;
}

/* t: what the label keeps, 1-t goes to "abstain". Softmax over C+1 is P_j = q_j (1 - P_C). */
static double abstain_row(const ds_row *r, int y, double t, float *gradient)
{
    double lead = abstain_lead(r), kept = 1 / (1 + exp(lead));
    for (int j = 0; gradient && j < r->n; j++)
        gradient[j] = (float)(r->p[j] * kept - (j == y ? t : 0));
    if (gradient)
        gradient[r->n] = (float)(1 / (1 + exp(-lead)) - (1 - t));
    return t * (softplus(lead) - ds_row_log(r, y)) + (1 - t) * softplus(-lead);
}

/* Add the gradient of beta * H(q) and return it. */
static double entropy_row(const ds_row *r, double beta, float *gradient)
{
    double h = ds_row_entropy(r);
    for (int j = 0; gradient && j < r->n; j++)
        gradient[j] -= (float)(beta * r->p[j] * (ds_row_log(r, j) + h));
    return beta * h;
}

/* ---- a pass ---- */

static bool adapting(const sat_state *s, int epoch)
{
    return s->target != BLEND && epoch >= s->warmup_epochs;
}

static double warmup_row(const sat_state *s, const ds_row *r, int y, float *gradient)
{
    ds_row_gradient(r, y, 1, gradient);
    if (gradient && s->target == ABSTAIN)
        gradient[s->classes] = 0;
    return -ds_row_log(r, y);
}

static double ema_step(const sat_state *s, const ds_row *r, const ds_pass *pass, int b, float *gradient)
{
    float *t = s->history + (size_t)pass->ids[b] * (size_t)s->classes;
    s->weights[b] = ema_update(r, pass->labels[b], s->momentum, t);
    return ema_row(r, t, gradient);
}

static double abstain_step(const sat_state *s, const ds_row *r, const ds_pass *pass, int b, float *gradient)
{
    float *t = s->history + pass->ids[b];
    *t = (float)(s->momentum * *t + (1 - s->momentum) * r->p[pass->labels[b]]);
    return abstain_row(r, pass->labels[b], *t, gradient);
}

static void train_row(const sat_state *s, const ds_row *r, const ds_pass *pass, int b)
{
    float *gradient = pass->gradient ? pass->gradient + (size_t)b * (size_t)s->inputs : NULL;
    int y = pass->labels[b];
    double loss;
    if (s->target == BLEND)
        loss = blend_row(r, y, alpha_at(s, pass->epoch, pass->epochs), gradient);
    else if (!adapting(s, pass->epoch))
        loss = warmup_row(s, r, y, gradient);
    else if (s->target == EMA)
        loss = ema_step(s, r, pass, b, gradient);
    else
        loss = abstain_step(s, r, pass, b, gradient);
    if (s->target == ABSTAIN && s->entropy > 0)
        loss += entropy_row(r, s->entropy, gradient);
    if (pass->loss)
        pass->loss[b] = loss;
}

/* ema's weights w_i B / sum w need the whole sub-batch. */
static void apply_weights(const sat_state *s, const ds_pass *pass)
{
    double sum = 0;
    for (int b = 0; b < pass->batch; b++)
        sum += s->weights[b];
    for (int b = 0; b < pass->batch; b++) {
        double weight = s->weights[b] * pass->batch / sum;
        if (pass->loss)
            pass->loss[b] *= weight;
        float *gradient = pass->gradient ? pass->gradient + (size_t)b * (size_t)s->inputs : NULL;
        for (int j = 0; gradient && j < s->inputs; j++)
            gradient[j] = (float)(gradient[j] * weight);
    }
}

/* Class probabilities, then that of "abstain" among all C+1. */
static void write_output(const sat_state *s, const ds_row *r, float *out)
{
    ds_store(r->p, s->classes, out);
    if (s->target == ABSTAIN)
        out[s->classes] = (float)(1 / (1 + exp(-abstain_lead(r))));
}

static int check_ids(const sat_state *s, const ds_pass *pass, ds_error *e)
{
    if (!s->history || !pass->ids)
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

/* All checks of a training pass come before the first change of the history. */
static int prepare(sat_state *s, const ds_pass *pass, ds_error *e)
{
    int rc = ds_check_labels(pass, s->classes, e);
    if (!rc && adapting(s, pass->epoch))
        rc = check_ids(s, pass, e);
    if (rc || s->target != EMA || pass->batch <= s->room)
        return rc;
    double *grown = realloc(s->weights, (size_t)pass->batch * sizeof *grown);
    if (!grown)
        return ds_fail_memory(e);
    s->weights = grown;
    s->room = pass->batch;
    return DS_OK;
}

static int sat_forward(void *state, const ds_pass *pass, ds_error *e)
{
    sat_state *s = state;
    int rc = pass->labels ? prepare(s, pass, e) : DS_OK;
    if (rc)
        return rc;
    for (int b = 0; b < pass->batch; b++) {
        size_t at = (size_t)b * (size_t)s->inputs;
        ds_row row = ds_row_make(pass->input + at, s->classes, pass->labels ? 1 : s->temperature, s->p);
        if (pass->labels)
            train_row(s, &row, pass, b);
        if (pass->labels && s->temperature != 1)
            row = ds_row_make(pass->input + at, s->classes, s->temperature, s->p);
        write_output(s, &row, pass->output + at);
    }
    if (pass->labels && s->target == EMA && adapting(s, pass->epoch))
        apply_weights(s, pass);
    return DS_OK;
}

/* ---- making and freeing ---- */

static int take_shape(sat_state *s, ds_setup *setup, ds_error *e)
{
    int extra = s->target == ABSTAIN;
    const char *each = extra ? "one for each class and one for 'abstain'" : "one for each class";
    if (s->wanted_classes && setup->inputs != s->wanted_classes + extra)
        return ds_fail(e, DS_EINPUT, "[sat] with classes=%d gets %d number%s an image, expected %d (%s)",
                       s->wanted_classes, setup->inputs, setup->inputs == 1 ? "" : "s",
                       s->wanted_classes + extra, each);
    if (setup->inputs < 2 + extra)
        return ds_fail(e, DS_EINPUT,
                       "[sat] gets %d number%s an image, expected at least %d (%s, of 2 classes or more)",
                       setup->inputs, setup->inputs == 1 ? "" : "s", 2 + extra, each);
    s->inputs = setup->outputs = setup->inputs;
    s->classes = setup->classes = setup->inputs - extra;
    setup->abstain = extra;
    return DS_OK;
}

/* A target that never comes into play is a mistake, not a choice. */
static int check_epochs(const sat_state *s, ds_setup *setup, ds_error *e)
{
    if (!setup->samples || setup->epochs < 1 || setup->epochs > s->warmup_epochs)
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

static double machine_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (double)pages * (double)size : HUGE_VAL;
}

static int fail_history(const sat_state *s, size_t row, ds_error *e)
{
    double bytes = (double)s->samples * (double)row * sizeof *s->history;
    return ds_fail(
        e, DS_ENOMEM,
        "target=%s keeps %zu numbers for each of %zu images, %.1f GiB, expected at most the memory of this "
        "machine%s",
        target_names[s->target], row, s->samples, bytes / 0x1p30,
        s->target == EMA ? " (target=abstain keeps 1 number an image)" : "");
}

static int make_history(sat_state *s, size_t samples, ds_error *e)
{
    size_t row = s->target == EMA ? (size_t)s->classes : 1;
    s->samples = samples;
    if (!samples || s->target == BLEND)
        return DS_OK;
    if ((double)samples * (double)row * sizeof *s->history > machine_memory())
        return fail_history(s, row, e);
    s->history = calloc(samples, row * sizeof *s->history);
    if (!s->history)
        return fail_history(s, row, e);
    for (size_t i = 0; s->target == ABSTAIN && i < samples; i++)
        s->history[i] = 1;
    return DS_OK;
}

static int sat_init(void *state, ds_setup *setup, ds_error *e)
{
    sat_state *s = state;
    int rc = take_shape(s, setup, e);
    if (!rc)
        rc = check_epochs(s, setup, e);
    if (s->target == BLEND && s->alpha_end < s->alpha_start)
        ds_note(setup->notes,
                "warning: alpha_end=%g is below alpha_start=%g: alpha drops to it after the warm-up",
                s->alpha_end, s->alpha_start);
    if (!rc && !(s->p = malloc((size_t)s->classes * sizeof *s->p)))
        rc = ds_fail_memory(e);
    return rc ? rc : make_history(s, setup->samples, e);
}

static void sat_progress(const void *state, int epoch, int epochs, ds_progress *out)
{
    const sat_state *s = state;
    bool blend = s->target == BLEND;
    out->warming = !blend && epoch < s->warmup_epochs;
    out->alpha = blend ? alpha_at(s, epoch, epochs) : NAN;
}

static void sat_release(void *state)
{
    sat_state *s = state;
    free(s->history);
    free(s->p);
    free(s->weights);
}

const ds_layer ds_layer_sat = {
    .abi = DS_PLUGIN_ABI,
    .name = "sat",
    .help =
        "self-adaptive training: the target moves from the given label towards the network's own predictions",
    .role = DS_COST,
    .host_section = "softmax",
    .host_keys = "groups=1\n",
    .state_size = sizeof(sat_state),
    .options = sat_options,
    .init = sat_init,
    .forward = sat_forward,
    .progress = sat_progress,
    .release = sat_release,
};
