/* [sat] and [softmax]: reference vectors, finite differences, options, history, extreme logits. */
#include "tests/unit/gradient.h"
#include "tests/unit/vectors.h"

enum { MOST = 4096 };

/* A layer and room for one pass. */
typedef struct bench {
    ds_instance it;
    ds_notes notes;
    ds_error e;
    int rc;
    float output[MOST], gradient[MOST];
    double loss[64];
} bench;

/* "target=ema momentum=.5": the words are lines 11, 12, … of the file x.cfg, whose section begins in
 * line 10. */
static bench *open_layer(const char *name, const char *options, int inputs, size_t samples, int epochs)
{
    bench *t = calloc(1, sizeof *t);
    char *text;
    ds_pair pairs[8];
    int n = pairs_of(options, 11, pairs, &text);
    t->it.layer = ds_layer_find(name);
    t->it.setup = (ds_setup){.inputs = inputs, .samples = samples, .epochs = epochs, .notes = &t->notes};
    t->rc = ds_instance_init(&t->it, pairs, n, "x.cfg", 10, &t->e);
    free(text);
    return t;
}

static void close_layer(bench *t)
{
    ds_instance_release(&t->it);
    ds_notes_clear(&t->notes);
    free(t);
}

static int pass(bench *t, const float *z, int batch, const int *labels, const uint32_t *ids, int epoch,
                int epochs)
{
    assert_true(batch <= 64 && batch * t->it.setup.inputs <= MOST);
    for (int i = 0; i < MOST; i++) /* what a pass forgets to write must show */
        t->output[i] = t->gradient[i] = NAN;
    for (int b = 0; b < 64; b++)
        t->loss[b] = NAN;
    ds_pass p = {.batch = batch,
                 .epoch = epoch,
                 .epochs = epochs,
                 .warming = epoch < t->it.setup.warmup_epochs,
                 .input = z,
                 .logits = z,
                 .output = t->output,
                 .labels = labels,
                 .ids = ids,
                 .gradient = t->gradient,
                 .loss = t->loss};
    return ds_instance_forward(&t->it, &p, &t->e);
}

static void near(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fmax(fabs(want), 1e-3)))
        fail_msg("got %.17g, want %.17g", got, want);
}

static void near_all(const float *got, const vec_item *want, double relative)
{
    for (int i = 0; i < want->n; i++)
        near(got[i], want->v[i], relative);
}

/* ---- reference vectors ---- */

static void integers(const vec_item *v, int *out)
{
    for (int i = 0; i < v->n; i++)
        out[i] = (int)v->v[i];
}

static void near_losses(const bench *t, const vec_file *f, double relative)
{
    const vec_item *each = vec_get(f, "per_sample");
    double sum = 0;
    for (int b = 0; b < each->n; b++) {
        near(t->loss[b], each->v[b], relative);
        sum += t->loss[b];
    }
    near(sum / each->n, vec_number(f, "loss"), relative);
}

/* A file holds series of cases, NAME_SERIES_STEP; `names` (blanks between) stand for the whole series. */
typedef struct series {
    int number, n;
    double said[64];
} series;

/* The step of the case; fails when a case says other things of its series than the one before. */
static int step_of(const vec_file *f, const char *names, series *s)
{
    series now = {0};
    int step;
    char *copy = strdup(names), *rest = copy, *name;
    assert_int_equal(sscanf(vec_case(f), "%*[a-z]_%d_%d", &now.number, &step), 2);
    while ((name = strsep(&rest, " "))) {
        const vec_item *item = vec_get(f, name);
        for (int i = 0; i < item->n; i++)
            now.said[now.n++] = item->v[i];
    }
    free(copy);
    if (now.number == s->number)
        assert_memory_equal(&now, s, sizeof now);
    *s = now;
    return step;
}

static void blend_vectors(void **unused)
{
    (void)unused;
    vec_file *f = vec_open("sat_blend.txt");
    int cases = 0;
    for (; vec_next(f); cases++) {
        char options[80];
        const vec_item *logits = vec_get(f, "logits");
        int labels[64];
        snprintf(options, sizeof options, "alpha_start=%.17g alpha_end=1 warmup_epochs=9",
                 vec_number(f, "alpha"));
        integers(vec_get(f, "labels"), labels);
        float *z = vec_floats(f, "logits");
        bench *t = open_layer("sat", options, logits->cols, 10, 20);
        assert_int_equal(pass(t, z, logits->rows, labels, NULL, 3, 20), 0);
        near_losses(t, f, 1e-10);
        near_all(t->gradient, vec_get(f, "grad"), 1e-6);
        near_all(t->output, vec_get(f, "prob"), 1e-6);
        close_layer(t);
        free(z);
    }
    vec_close(f);
    assert_true(cases >= 8);
}

static void alpha_vectors(void **unused)
{
    (void)unused;
    vec_file *f = vec_open("sat_alpha.txt");
    series s = {.number = -1};
    int cases = 0;
    for (; vec_next(f); cases++) {
        char options[120];
        snprintf(options, sizeof options, "alpha_start=%.17g alpha_end=%.17g warmup_epochs=%d",
                 vec_number(f, "alpha_start"), vec_number(f, "alpha_end"),
                 (int)vec_number(f, "warmup_epochs"));
        bench *t = open_layer("sat", options, 3, 0, 0);
        assert_int_equal(step_of(f, "alpha_start alpha_end warmup_epochs total_epochs", &s),
                         vec_number(f, "epoch"));
        near(t->it.layer->alpha(t->it.state, (int)vec_number(f, "epoch"), (int)vec_number(f, "total_epochs")),
             vec_number(f, "alpha"), 1e-12);
        assert_int_equal(t->it.setup.warmup_epochs, 0);
        close_layer(t);
    }
    vec_close(f);
    assert_true(cases >= 40);
}

/* Each number that is kept of each image; an image that ema has not seen has zeros instead of its label. */
static void near_history(const bench *t, const vec_file *f)
{
    const bool from_label = !vec_find(f, "elr_beta");
    const vec_item *want = vec_get(f, "history"), *all = vec_get(f, "all_labels");
    const ds_history h = t->it.layer->history(t->it.state);
    assert_int_equal(h.row, want->cols);
    assert_int_equal(want->rows, all->n);
    for (int i = 0; i < want->n; i++) {
        const int image = i / want->cols, class = i % want->cols;
        const float *row = (const float *)h.values + image * want->cols;
        bool seen = h.wide;
        for (int j = 0; j < want->cols && !seen; j++)
            seen = row[j] != 0;
        if (h.wide)
            near(((const double *)h.values)[i], want->v[i], 1e-12);
        else
            near(seen || !from_label ? row[class] : class == all->v[image], want->v[i], 1e-6);
    }
}

/* One step of a series that shares its history: the state lives from step 0 of the series on. */
static void history_step(vec_file *f, bench *t, int step)
{
    const vec_item *index = vec_get(f, "index"), *all = vec_get(f, "all_labels");
    int labels[64], epoch = (int)vec_number(f, "epoch");
    uint32_t ids[64];
    for (int b = 0; b < index->n; b++) {
        ids[b] = (uint32_t)index->v[b];
        labels[b] = (int)all->v[ids[b]];
    }
    float *z = vec_floats(f, "logits");
    assert_int_equal(epoch, step / ((all->n + index->n - 1) / index->n));
    assert_int_equal(all->n, vec_number(f, "samples"));
    assert_int_equal(pass(t, z, index->n, labels, ids, epoch, 100), 0);
    const bool elr = vec_find(f, "elr_beta") != NULL; /* which divides by what is left of 1 */
    bool exact =
        t->it.layer->history(t->it.state).wide || (!elr && epoch < (int)vec_number(f, "warmup_epochs"));
    const vec_item *gradient = vec_get(f, "grad");
    near_losses(t, f, exact ? 1e-10 : elr ? 1e-5 : 1e-6);
    if (exact)
        near_all(t->gradient, gradient, 1e-6);
    for (int i = 0; i < gradient->n; i++) /* p - t, where ema's t is a float */
        assert_float_equal(t->gradient[i], gradient->v[i], elr ? 1e-5 : 5e-7);
    near_history(t, f);
    free(z);
}

/* said: what stands for a whole series. */
static void history_vectors(const char *file, const char *target, const char *said)
{
    series s = {.number = -1};
    vec_file *f = vec_open(file);
    bench *t = NULL;
    int cases = 0;
    for (; vec_next(f); cases++) {
        const int step = step_of(f, said, &s);
        const vec_item *beta = vec_find(f, "beta");
        char options[160], entropy[40] = "";
        if (beta)
            snprintf(entropy, sizeof entropy, "entropy=%.17g", beta->v[0]);
        if (vec_find(f, "elr_beta"))
            snprintf(options, sizeof options, "target=elr beta=%.17g lambda=%.17g", vec_number(f, "elr_beta"),
                     vec_number(f, "elr_lambda"));
        else
            snprintf(options, sizeof options, "target=%s momentum=%.17g warmup_epochs=%d %s", target,
                     vec_number(f, "momentum"), (int)vec_number(f, "warmup_epochs"), entropy);
        if (step == 0) {
            if (t)
                close_layer(t);
            t = open_layer("sat", options, vec_get(f, "logits")->cols, (size_t)vec_number(f, "samples"), 100);
            assert_int_equal(t->rc, 0);
        }
        history_step(f, t, step);
    }
    close_layer(t);
    vec_close(f);
    assert_true(cases >= 28);
}

static void ema_vectors(void **unused)
{
    (void)unused;
    history_vectors("sat_ema.txt", "ema", "samples momentum warmup_epochs all_labels");
}

static void abstain_vectors(void **unused)
{
    (void)unused;
    history_vectors("sat_abstain.txt", "abstain", "samples momentum warmup_epochs all_labels classes beta");
}

static void elr_vectors(void **unused)
{
    (void)unused;
    history_vectors("sat_elr.txt", "elr", "samples elr_beta elr_lambda all_labels");
}

/* ---- finite differences, the target held ---- */

static double log_p(const double *z, int n, int j)
{
    double top = z[0], sum = 0;
    for (int i = 1; i < n; i++)
        top = fmax(top, z[i]);
    for (int i = 0; i < n; i++)
        sum += exp(z[i] - top);
    return z[j] - top - log(sum);
}

static double cross_entropy(const double *z, int n, const double *target)
{
    double loss = 0;
    for (int j = 0; j < n; j++)
        loss -= target[j] * log_p(z, n, j);
    return loss;
}

static double entropy(const double *z, int n)
{
    double h = 0;
    for (int j = 0; j < n; j++)
        h -= exp(log_p(z, n, j)) * log_p(z, n, j);
    return h;
}

/* weight * cross-entropy(target) + beta * H(first C) */
typedef struct held {
    const double *target;
    double weight, beta;
    int classes;
} held;

static double held_loss(const double *z, int n, void *context)
{
    const held *h = context;
    return h->weight * cross_entropy(z, n, h->target) + h->beta * entropy(z, h->classes);
}

/* Loss and gradient of row b (n logits) against those of the held target. */
static void against_differences(const bench *t, const float *row, int n, const double *target, double weight,
                                int classes, double beta, int b)
{
    held h = {target, weight, beta, classes};
    double z[16] = {0};
    for (int j = 0; j < n; j++)
        z[j] = row[j];
    near(t->loss[b], held_loss(z, n, &h), 1e-6);
    check_row(held_loss, &h, z, n, t->gradient + b * n);
}

static const float rows[3][5] = {
    {.3f, -1.2f, 2.1f, .4f, -.7f}, {1.5f, .2f, -.3f, -2.f, .9f}, {-.4f, .8f, .1f, 1.1f, 2.f}};
static const int row_labels[3] = {2, 0, 1};
static const uint32_t row_ids[3] = {4, 0, 4};

static void softmax_of(const float *row, int n, double *p)
{
    double z[16];
    for (int j = 0; j < n; j++)
        z[j] = row[j];
    for (int j = 0; j < n; j++)
        p[j] = exp(log_p(z, n, j));
}

static void own_differences(void **unused)
{
    (void)unused;
    check_gradient("softmax", "", 5);
    check_gradient("softmax", "temperature=3", 2);
    check_gradient("softmax", "class_weights=0.5,2,0,3,1", 5);
    check_gradient("gambler", "class_weights=0.5,2,0,3 warmup_epochs=0", 5);
    check_gradient("sat", "target=ema", 5);
    check_gradient("sat", "target=abstain entropy=0.3", 5);
}

static void blend_differences(void **unused)
{
    (void)unused;
    bench *t = open_layer("sat", "alpha_end=0.8 warmup_epochs=0", 5, 9, 10);
    assert_int_equal(pass(t, rows[0], 3, row_labels, row_ids, 5, 10), 0);
    for (int b = 0; b < 3; b++) {
        double target[5];
        softmax_of(rows[b], 5, target);
        for (int j = 0; j < 5; j++)
            target[j] = .4 * target[j] + .6 * (j == row_labels[b]);
        against_differences(t, rows[b], 5, target, 1, 5, 0, b);
    }
    close_layer(t);
}

static void ema_differences(void **unused)
{
    (void)unused;
    bench *t = open_layer("sat", "target=ema momentum=0.6 warmup_epochs=0", 5, 9, 10);
    double history[9][5] = {{0}}, target[3][5], weight[3], sum = 0;
    assert_int_equal(pass(t, rows[0], 3, row_labels, row_ids, 0, 10), 0);
    history[0][0] = history[4][2] = 1; /* the third row is image 4 again: its label counts no more */
    for (int b = 0; b < 3; b++) {
        double p[5], *h = history[row_ids[b]];
        softmax_of(rows[b], 5, p);
        weight[b] = 0;
        for (int j = 0; j < 5; j++) {
            target[b][j] = h[j] = .6 * h[j] + .4 * p[j];
            weight[b] = fmax(weight[b], h[j]);
        }
        sum += weight[b];
    }
    for (int b = 0; b < 3; b++)
        against_differences(t, rows[b], 5, target[b], weight[b] * 3 / sum, 5, 0, b);
    close_layer(t);
}

static void abstain_differences(void **unused)
{
    (void)unused;
    bench *t = open_layer("sat", "target=abstain momentum=0.6 warmup_epochs=2 entropy=0.3", 5, 9, 10);
    double history[9] = {[0] = 1, [4] = 1};
    for (int epoch = 1; epoch < 4; epoch++) {
        assert_int_equal(pass(t, rows[0], 3, row_labels, row_ids, epoch, 10), 0);
        for (int b = 0; b < 3 && epoch >= 2; b++) {
            double q[4], *h = &history[row_ids[b]], target[5] = {0};
            softmax_of(rows[b], 4, q);
            *h = .6 * *h + .4 * q[row_labels[b]];
            target[row_labels[b]] = *h;
            target[4] = 1 - *h;
            against_differences(t, rows[b], 5, target, 1, 4, .3, b);
        }
    }
    close_layer(t);
}

/* Cross-entropy of the label + 2 log(1 - <p,t>), t the held target; p far from its bounds. */
typedef struct held_elr {
    double target[5];
    int label;
} held_elr;

static double held_elr_loss(const double *z, int n, void *context)
{
    const held_elr *h = context;
    double overlap = 0;
    for (int j = 0; j < n; j++)
        overlap += exp(log_p(z, n, j)) * h->target[j];
    return 2 * log(1 - overlap) - log_p(z, n, h->label);
}

static void elr_differences(void **unused)
{
    (void)unused;
    bench *t = open_layer("sat", "target=elr beta=0.6 lambda=2", 5, 9, 10);
    double history[9][5] = {{0}};
    for (int epoch = 0; epoch < 3; epoch++) {
        assert_int_equal(pass(t, rows[0], 3, row_labels, row_ids, epoch, 10), 0);
        for (int b = 0; b < 3; b++) {
            double p[5], z[5], *h = history[row_ids[b]];
            held_elr own = {.label = row_labels[b]};
            softmax_of(rows[b], 5, p);
            for (int j = 0; j < 5; j++) {
                own.target[j] = h[j] = .6 * h[j] + .4 * p[j];
                z[j] = rows[b][j];
            }
            near(t->loss[b], held_elr_loss(z, 5, &own), 1e-6);
            check_row(held_elr_loss, &own, z, 5, t->gradient + 5 * b);
        }
    }
    close_layer(t);
}

/* ---- outputs ---- */

static void abstain_output(void **unused)
{
    (void)unused;
    for (int trained = 0; trained < 2; trained++) {
        bench *t = open_layer("sat", "target=abstain temperature=2 warmup_epochs=0", 5, 9, 10);
        double q[4], p[5];
        float half[5];
        for (int j = 0; j < 5; j++)
            half[j] = rows[0][j] / 2;
        softmax_of(half, 4, q);
        softmax_of(half, 5, p);
        assert_int_equal(pass(t, rows[0], 1, trained ? row_labels : NULL, trained ? row_ids : NULL, 0, 10),
                         0);
        for (int j = 0; j < 4; j++)
            near(t->output[j], q[j], 1e-6);
        near(t->output[4], p[4], 1e-6);
        assert_int_equal(t->it.setup.classes, 4);
        assert_int_equal(t->it.setup.outputs, 5);
        assert_true(t->it.setup.abstain);
        close_layer(t);
    }
}

/* temperature changes the output and nothing else. */
static void temperature_spares_the_loss(const char *name, const char *options)
{
    char cool[80];
    snprintf(cool, sizeof cool, "%s temperature=3", options);
    bench *a = open_layer(name, options, 5, 9, 10), *b = open_layer(name, cool, 5, 9, 10);
    for (int epoch = 0; epoch < 3; epoch++) {
        assert_int_equal(pass(a, rows[0], 3, row_labels, row_ids, epoch, 10), 0);
        assert_int_equal(pass(b, rows[0], 3, row_labels, row_ids, epoch, 10), 0);
        assert_memory_equal(a->loss, b->loss, 3 * sizeof *a->loss);
        assert_memory_equal(a->gradient, b->gradient, 15 * sizeof *a->gradient);
        assert_true(b->output[2] < a->output[2] - .1f);
    }
    close_layer(a);
    close_layer(b);
}

static void temperature(void **unused)
{
    (void)unused;
    temperature_spares_the_loss("sat", "warmup_epochs=0");
    temperature_spares_the_loss("sat", "target=ema warmup_epochs=1");
    temperature_spares_the_loss("sat", "target=abstain warmup_epochs=1");
    temperature_spares_the_loss("sat", "target=elr");
    temperature_spares_the_loss("softmax", "");
}

/* Loss and gradient of each image are those without weights times that of its class; outputs are the same. */
static void class_weights(const char *name, const char *options, const char *weights, const int *counts,
                          const double *want)
{
    char with[120];
    bench *plain = open_layer(name, options, 5, 9, 10);
    snprintf(with, sizeof with, "%s class_weights=%s", options, weights);
    char *text;
    ds_pair pairs[8];
    const int n = pairs_of(with, 11, pairs, &text);
    bench *t = calloc(1, sizeof *t);
    t->it = (ds_instance){
        .layer = plain->it.layer,
        .setup = {.inputs = 5, .samples = 9, .epochs = 10, .counts = counts, .notes = &t->notes}};
    assert_int_equal(ds_instance_init(&t->it, pairs, n, "x.cfg", 10, &t->e), 0);
    free(text);
    for (int epoch = 0; epoch < 3; epoch++) {
        assert_int_equal(pass(plain, rows[0], 3, row_labels, row_ids, epoch, 10), 0);
        assert_int_equal(pass(t, rows[0], 3, row_labels, row_ids, epoch, 10), 0);
        assert_memory_equal(t->output, plain->output, 15 * sizeof *t->output);
        for (int i = 0; i < 15; i++) {
            const double weight = want[row_labels[i / 5]];
            near(t->gradient[i], weight * plain->gradient[i], 1e-6);
            near(t->loss[i / 5], weight * plain->loss[i / 5], 1e-12);
        }
    }
    close_layer(t);
    close_layer(plain);
}

static void weights_of_classes(void **unused)
{
    (void)unused;
    static const int counts[5] = {8, 1, 2, 0, 5}; /* 16 images, 5 classes */
    static const int squares[5] = {16, 1, 4, 0, 9}; /* roots: 4, 1, 2, 0, 3 */
    static const double balanced[5] = {.4, 3.2, 1.6, 1, .64}, list[5] = {.25, 3, 0, 1, 2};
    static const double root[5] = {.75, 3, 1.5, 1, 1};
    class_weights("softmax", "", "balanced", counts, balanced);
    class_weights("softmax", "", "sqrt", squares, root);
    class_weights("softmax", "", "0.25,3,0,1,2", NULL, list);
    class_weights("sat", "target=ema warmup_epochs=1", "balanced", counts, balanced);
    class_weights("sat", "target=elr", "0.25,3,0,1,2", NULL, list);
}

/* ±1e4: everything finite, the losses exact. */
static void extreme_logits(void **unused)
{
    (void)unused;
    static const float z[2][4] = {{1e4f, -1e4f, 0, 5}, {-1e4f, -1e4f, -1e4f, 1e4f}};
    static const char *const options[] = {"alpha_end=0.5 warmup_epochs=0", "target=ema warmup_epochs=0",
                                          "target=abstain warmup_epochs=0 entropy=1",
                                          "target=abstain warmup_epochs=9", "target=elr"};
    static const int labels[2] = {1, 0};
    static const uint32_t ids[2] = {0, 1};
    for (int k = 0; k < 5; k++) {
        bench *t = open_layer("sat", options[k], 4, 2, 10);
        for (int epoch = 0; epoch < 3; epoch++) {
            assert_int_equal(pass(t, z[0], 2, labels, ids, epoch, 10), 0);
            for (int i = 0; i < 8; i++)
                assert_true(isfinite(t->gradient[i]) && isfinite(t->output[i]) && isfinite(t->loss[i / 4]));
        }
        close_layer(t);
    }
    bench *t = open_layer("softmax", "", 4, 2, 10);
    assert_int_equal(pass(t, z[0], 2, labels, ids, 0, 10), 0);
    near(t->loss[0], 2e4, 1e-15);
    near(t->loss[1], 2e4, 1e-15);
    close_layer(t);
}

/* A loss near 0 keeps its digits: log(1 + 3 exp(-30)). */
static void small_loss(void **unused)
{
    (void)unused;
    static const float z[4] = {30, 0, 0, 0};
    bench *t = open_layer("softmax", "", 4, 2, 10);
    assert_int_equal(pass(t, z, 1, (int[]){0}, NULL, 0, 10), 0);
    assert_true(fabs(t->loss[0] / log1p(3 * exp(-30)) - 1) < 1e-12);
    close_layer(t);
}

static void nan_logits_show_in_the_loss(void **unused)
{
    (void)unused;
    static const float z[4] = {0, NAN, 1, 2};
    bench *t = open_layer("sat", "", 4, 2, 10);
    assert_int_equal(pass(t, z, 1, (int[]){0}, NULL, 0, 10), 0);
    assert_true(isnan(t->loss[0]));
    close_layer(t);
}

/* ---- history ---- */

/* Passes of one image; what they do to the history shows in the loss of the next one. */
static double loss_after(const char *options, int warm_passes, int passes, bool twice_in_one)
{
    bench *t = open_layer("sat", options, 5, 9, 10);
    float z[10];
    memcpy(z, rows[0], sizeof rows[0]);
    memcpy(z + 5, rows[0], sizeof rows[0]);
    for (int i = 0; i < warm_passes; i++)
        assert_int_equal(pass(t, z, 1, (int[]){1}, (uint32_t[]){3}, 0, 10), 0);
    for (int i = 0; i < passes; i++)
        assert_int_equal(pass(t, z, 1, (int[]){1}, (uint32_t[]){3}, 1, 10), 0);
    if (twice_in_one)
        assert_int_equal(pass(t, z, 2, (int[]){1, 1}, (uint32_t[]){3, 3}, 1, 10), 0);
    double loss = t->loss[twice_in_one];
    close_layer(t);
    return loss;
}

static void warm_up_leaves_the_history_alone(void **unused)
{
    (void)unused;
    const char *options = "target=abstain warmup_epochs=1";
    assert_true(loss_after(options, 0, 1, false) == loss_after(options, 5, 1, false));
    assert_true(loss_after(options, 0, 1, false) != loss_after(options, 0, 2, false));
}

static void same_image_twice_in_a_batch(void **unused)
{
    (void)unused;
    const char *options = "target=abstain warmup_epochs=1";
    assert_true(loss_after(options, 0, 0, true) == loss_after(options, 0, 2, false));
}

static void bad_passes(void **unused)
{
    (void)unused;
    bench *t = open_layer("sat", "target=ema warmup_epochs=0", 5, 9, 10);
    assert_int_equal(pass(t, rows[0], 1, (int[]){5}, (uint32_t[]){0}, 0, 10), DS_EINPUT);
    assert_string_equal(t->e.text, "image 0 of the batch has label 5, expected 0 to 4");
    assert_int_equal(pass(t, rows[0], 2, (int[]){0, -1}, (uint32_t[]){0, 1}, 0, 10), DS_EINPUT);
    assert_int_equal(pass(t, rows[0], 2, (int[]){0, 1}, (uint32_t[]){0, 9}, 0, 10), DS_EINPUT);
    assert_string_equal(t->e.text, "image 1 of the batch has number 9, expected below 9");
    assert_int_equal(pass(t, rows[0], 1, (int[]){0}, NULL, 0, 10), DS_EINPUT);
    close_layer(t);
    t = open_layer("softmax", "", 5, 9, 10);
    assert_int_equal(pass(t, rows[0], 1, (int[]){5}, NULL, 0, 10), DS_EINPUT);
    close_layer(t);
    t = open_layer("sat", "target=abstain", 5, 0, 0); /* no training: no history, but outputs */
    assert_int_equal(pass(t, rows[0], 1, NULL, NULL, 0, 0), 0);
    assert_int_equal(pass(t, rows[0], 1, (int[]){0}, (uint32_t[]){0}, 9, 10), DS_EINPUT);
    close_layer(t);
}

/* ---- options ---- */

static void bad_options(void **unused)
{
    (void)unused;
    refused("sat", "target=ema alpha_end=0.5", 5, 9, 10, 12, "'alpha_end' goes with target=blend");
    refused("sat", "target=abstain alpha_start=0", 5, 9, 10, 12, "'alpha_start'");
    refused("sat", "momentum=0.9", 5, 9, 10, 11, "'momentum' goes with target=ema|abstain");
    refused("sat", "target=ema entropy=0.1", 5, 9, 10, 12, "'entropy' goes with target=abstain");
    refused("sat", "target=ema target=ema", 5, 9, 10, 12, "duplicate key 'target'");
    refused("sat", "target=emma", 5, 9, 10, 11, "did you mean 'ema'");
    refused("sat", "momentun=0.9", 5, 9, 10, 11, "did you mean 'momentum'");
    refused("sat", "target=ema momentum=1", 5, 9, 10, 12, "momentum=1");
    refused("sat", "alpha_end=1.1", 5, 9, 10, 11, "alpha_end=1.1");
    refused("sat", "temperature=0", 5, 9, 10, 11, "temperature=0");
    refused("sat", "warmup_epochs=-1", 5, 9, 10, 11, "warmup_epochs=-1");
    refused("sat", "warmup_epochs=autp", 5, 9, 10, 11, "did you mean 'auto'?");
    refused("sat", "warmup_epochs=99999999999", 5, 9, 10, 11, "warmup_epochs");
    refused("sat", "target=abstain entropy=-1", 5, 9, 10, 12, "entropy=-1");
    refused("sat", "target=elr warmup_epochs=3", 5, 9, 10, 12,
            "'warmup_epochs' goes with target=blend|ema|abstain");
    refused("sat", "target=elr momentum=0.9", 5, 9, 10, 12, "'momentum' goes with target=ema|abstain");
    refused("sat", "target=ema lambda=3", 5, 9, 10, 12, "'lambda' goes with target=elr");
    refused("sat", "beta=0.5", 5, 9, 10, 11, "'beta' goes with target=elr");
    refused("sat", "target=elr beta=1", 5, 9, 10, 12, "beta=1");
    refused("sat", "target=elr lambda=-1", 5, 9, 10, 12, "lambda=-1");
    refused("softmax", "class_weights=1,2", 5, 9, 10, 11,
            "class_weights=1,2, expected balanced, sqrt, or a number from 0 for each of 5");
    refused("softmax", "class_weights=1,2,3,4,-5", 5, 9, 10, 11, "class_weights=1,2,3,4,-5");
    refused("softmax", "class_weights=0,0,0,0,0", 5, 9, 10, 11, "class_weights=0,0,0,0,0");
    refused("softmax", "class_weights=even", 5, 9, 10, 11, "class_weights=even");
    refused("sat", "target=abstain class_weights=1,2,3,4,5", 5, 9, 10, 12, "each of 4 classes");
    refused("sat", "class_weights=balanced target=ema warmup_epochs=7", 5, 9, 5, 10, "warmup_epochs=7");
    refused("softmax", "groups=2", 5, 9, 10, 11, "groups=2");
    refused("softmax", "temperature=-1", 5, 9, 10, 11, "temperature=-1");
}

static void bad_shapes(void **unused)
{
    (void)unused;
    refused("sat", "classes=10", 12, 9, 10, 11,
            "classes=10, but 12 numbers come in, expected filters= or output=10 of the layer before, or "
            "classes=12");
    refused(
        "sat", "target=abstain classes=10", 10, 9, 10, 12,
        "expected filters= or output=11 of the layer before (one for each class and one for 'abstain'), or "
        "classes=9");
    refused("sat", "classes=1", 1, 9, 10, 10, "1 classes, expected 2 or more");
    refused("sat", "target=abstain", 2, 9, 10, 10, "1 classes, expected 2 or more");
    refused("softmax", "", 1, 9, 10, 10, "1 classes, expected 2 or more");
    bench *t = open_layer("sat", "target=abstain classes=4", 5, 9, 10);
    assert_int_equal(t->rc, 0);
    close_layer(t);
}

static void warm_up_as_long_as_the_run(void **unused)
{
    (void)unused;
    refused("sat", "target=ema warmup_epochs=5", 5, 9, 5, 10,
            "target=ema: the run has 5 epochs and warmup_epochs=5: the target would never be used, expected "
            "warmup_epochs < 5");
    refused("sat", "target=abstain warmup_epochs=7", 5, 9, 5, 10, "the run has 5 epochs and warmup_epochs=7");
    bench *t = open_layer("sat", "", 5, 9, 5);
    assert_int_equal(t->rc, 0);
    assert_int_equal(t->notes.n, 1);
    assert_memory_equal(t->notes.text[0], "warning: ", 9);
    close_layer(t);
    t = open_layer("sat", "target=ema warmup_epochs=5", 5, 9, 6);
    assert_int_equal(t->rc, 0);
    close_layer(t);
    t = open_layer("sat", "target=ema", 5, 9, 1); /* auto: the run finds a time */
    assert_int_equal(t->rc, 0);
    assert_int_equal(t->it.setup.warmup_epochs, DS_WARMUP_AUTO);
    close_layer(t);
    for (int epochs = 6; epochs <= 7; epochs++) { /* alpha moves in the second epoch after the warm-up */
        t = open_layer("sat", "", 5, 9, epochs);
        assert_int_equal(t->notes.n, t->it.layer->alpha(t->it.state, epochs - 1, epochs) == 0);
        assert_int_equal(t->notes.n, epochs == 6);
        close_layer(t);
    }
    t = open_layer("sat", "target=ema", 5, 0, 0);
    assert_int_equal(t->rc, 0);
    close_layer(t);
}

static void absurd_history(void **unused)
{
    (void)unused;
    refused("sat", "target=ema", 1000, (size_t)1 << 40, 10, 10, "target=abstain keeps 1 number an image");
    refused("sat", "target=ema", 1000, SIZE_MAX, 10, 10, "memory of this machine");
    refused("sat", "target=abstain", 1000, SIZE_MAX / 2, 10, 10, "memory of this machine");
}

static void what_the_run_is_told(void **unused)
{
    (void)unused;
    bench *t = open_layer("sat", "target=abstain warmup_epochs=3", 5, 9, 10);
    assert_int_equal(t->it.setup.warmup_epochs, 3);
    assert_true(isnan(t->it.layer->alpha(t->it.state, 3, 10)));
    close_layer(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blend_vectors),
        cmocka_unit_test(alpha_vectors),
        cmocka_unit_test(ema_vectors),
        cmocka_unit_test(abstain_vectors),
        cmocka_unit_test(own_differences),
        cmocka_unit_test(blend_differences),
        cmocka_unit_test(ema_differences),
        cmocka_unit_test(abstain_differences),
        cmocka_unit_test(weights_of_classes),
        cmocka_unit_test(elr_vectors),
        cmocka_unit_test(elr_differences),
        cmocka_unit_test(abstain_output),
        cmocka_unit_test(temperature),
        cmocka_unit_test(extreme_logits),
        cmocka_unit_test(small_loss),
        cmocka_unit_test(nan_logits_show_in_the_loss),
        cmocka_unit_test(warm_up_leaves_the_history_alone),
        cmocka_unit_test(same_image_twice_in_a_batch),
        cmocka_unit_test(bad_passes),
        cmocka_unit_test(bad_options),
        cmocka_unit_test(bad_shapes),
        cmocka_unit_test(warm_up_as_long_as_the_run),
        cmocka_unit_test(absurd_history),
        cmocka_unit_test(what_the_run_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
