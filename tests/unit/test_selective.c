/* [selective]: reference vectors, finite differences over a sub-batch, the logits of answers, errors. */
#include "tests/unit/gradient.h"
#include "tests/unit/vectors.h"

enum { MOST = 1024 };

typedef struct bench {
    ds_instance it;
    float output[MOST], gradient[MOST];
    double loss[16];
} bench;

static void open_layer(bench *t, const char *options, int inputs)
{
    ds_error e = {0};
    ds_pair pairs[8];
    char *text;
    const int n = pairs_of(options, 1, pairs, &text);
    *t = (bench){
        .it = {.layer = ds_layer_find("selective"), .setup = {.inputs = inputs, .samples = 99, .epochs = 9}}};
    if (ds_instance_init(&t->it, pairs, n, "x.cfg", 1, &e))
        fail_msg("%s", e.text);
    free(text);
}

/* Returns the mean loss. */
static double pass(bench *t, const float *z, int batch, const int *labels)
{
    ds_error e = {0};
    double sum = 0;
    const ds_pass p = {.batch = batch,
                       .epochs = 9,
                       .input = z,
                       .logits = z,
                       .output = t->output,
                       .labels = labels,
                       .gradient = t->gradient,
                       .loss = t->loss};
    assert_true(batch <= 16 && batch * t->it.setup.inputs <= MOST);
    if (ds_instance_forward(&t->it, &p, &e))
        fail_msg("%s", e.text);
    for (int b = 0; b < batch; b++)
        sum += t->loss[b];
    return sum / batch;
}

static void near(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fmax(fabs(want), 1e-3)))
        fail_msg("got %.17g, want %.17g", got, want);
}

/* What answers are made of: the own confidence is the selection, the prediction that of the classes. */
static void check_answers(bench *t, const vec_file *f)
{
    const vec_item *p = vec_get(f, "prob"), *g = vec_get(f, "selection");
    const ds_score own = {DS_ABSTAIN, 1, 2}, msp = {DS_MSP, 1, 2};
    for (int b = 0; b < p->rows; b++) {
        const float *z = t->it.logits + b * (p->cols + 1);
        double top = 0;
        for (int j = 0; j < p->cols; j++) {
            near(t->output[b * (p->cols + 1) + j], p->v[b * p->cols + j], 1e-5);
            top = fmax(top, p->v[b * p->cols + j]);
        }
        near(t->output[b * (p->cols + 1) + p->cols], 1 - g->v[b], 1e-4);
        near(ds_score_row(&own, z, p->cols + 1, true), g->v[b], 1e-4);
        near(ds_score_row(&msp, z, p->cols + 1, true), top, 1e-6);
    }
}

static void vectors(void **state)
{
    (void)state;
    vec_file *f = vec_open("selective.txt");
    int cases = 0;
    for (; vec_next(f); cases++) {
        char options[160];
        int labels[16];
        bench t;
        const vec_item *logits = vec_get(f, "logits"), *want = vec_get(f, "grad");
        snprintf(options, sizeof options, "coverage=%.17g lambda=%.17g alpha=%.17g auxiliary=%d",
                 vec_number(f, "coverage"), vec_number(f, "selective_lambda"),
                 vec_number(f, "selective_alpha"), (int)vec_number(f, "auxiliary"));
        for (int b = 0; b < logits->rows; b++)
            labels[b] = (int)vec_get(f, "labels")->v[b];
        open_layer(&t, options, logits->cols);
        assert_int_equal(t.it.setup.classes, vec_number(f, "classes"));
        assert_true(t.it.setup.abstain && t.it.setup.logits == t.it.setup.classes + 1);
        float *z = vec_floats(f, "logits");
        for (int twice = 0; twice < 2; twice++) /* nothing is left of the pass before */
            near(pass(&t, z, logits->rows, labels), vec_number(f, "loss"), 1e-10);
        for (int i = 0; i < want->n; i++)
            near(t.gradient[i], want->v[i], 1e-6);
        pass(&t, z, logits->rows, NULL);
        check_answers(&t, f);
        ds_instance_release(&t.it);
        free(z);
    }
    vec_close(f);
    assert_int_equal(cases, 6);
}

/* A sub-batch of four images as one row. */
typedef struct whole {
    bench *t;
    int inputs;
} whole;

static const int labels_of_four[4] = {0, 2, 1, 0};

static double whole_loss(const double *z, int n, void *context)
{
    const whole *w = context;
    float input[GRADIENT_MOST];
    for (int i = 0; i < n; i++)
        input[i] = (float)z[i];
    return 4 * pass(w->t, input, n / w->inputs, labels_of_four);
}

static void differences(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        int inputs;
    } cases[] = {
        {"coverage=0.9", 4}, {"coverage=0.1", 4}, {"auxiliary=1 alpha=0.3 coverage=0.7 lambda=2", 7}};
    for (int k = 0; k < 3; k++) {
        bench t;
        double z[GRADIENT_MOST];
        float gradient[GRADIENT_MOST];
        const int n = 4 * cases[k].inputs;
        whole w = {&t, cases[k].inputs};
        open_layer(&t, cases[k].options, cases[k].inputs);
        for (int i = 0; i < n; i++)
            z[i] = ((i * 7 + k * 5) % 17 - 8) / 8.0;
        whole_loss(z, n, &w);
        memcpy(gradient, t.gradient, sizeof gradient);
        check_row(whole_loss, &w, z, n, gradient);
        ds_instance_release(&t.it);
    }
}

static void extreme_logits(void **state)
{
    (void)state;
    static const float z[8] = {1e4f, -1e4f, 0, 50, -1e4f, -1e4f, 1e4f, 1e4f};
    bench t;
    open_layer(&t, "", 4);
    pass(&t, z, 2, (int[]){1, 0});
    for (int i = 0; i < 8; i++)
        assert_true(isfinite(t.gradient[i]) && isfinite(t.output[i]) && isfinite(t.loss[i / 4]));
    ds_instance_release(&t.it);
}

/* Fewer images than before leave the logits where they are. */
static void room(void **state)
{
    (void)state;
    static const float z[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    bench t;
    open_layer(&t, "", 4);
    ds_instance_reserve(&t.it, 2);
    const float *logits = t.it.logits;
    pass(&t, z, 1, NULL);
    pass(&t, z, 2, NULL);
    assert_ptr_equal(t.it.logits, logits);
    assert_true(logits[6] == 7 && logits[3] != 4);
    ds_instance_release(&t.it);
}

static void errors(void **state)
{
    (void)state;
    refused("selective", "coverage=0", 5, 9, 5, 11, "coverage=0");
    refused("selective", "coverage=1.1", 5, 9, 5, 11, "coverage=1.1");
    refused("selective", "lambda=-1", 5, 9, 5, 11, "lambda=-1");
    refused("selective", "alpha=2", 5, 9, 5, 11, "alpha=2");
    refused("selective", "auxilary=1", 5, 9, 5, 11, "did you mean 'auxiliary'");
    refused("selective", "auxiliary=1", 6, 9, 5, 11,
            "6 numbers come in, expected two for each class and one");
    refused("selective", "auxiliary=0", 2, 9, 5, 10, "1 classes, expected 2 or more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors), cmocka_unit_test(differences), cmocka_unit_test(extreme_logits),
        cmocka_unit_test(room),    cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
