/* [gambler]: reference vectors, finite differences, the warm-up, extreme logits, errors. */
#include "tests/unit/gradient.h"
#include "tests/unit/vectors.h"

enum { MOST = 1024 };

typedef struct bench {
    ds_instance it;
    float output[MOST], gradient[MOST];
    double loss[16];
} bench;

static void open_layer(bench *t, ds_pair *pairs, int n, int inputs)
{
    ds_error e = {0};
    *t = (bench){
        .it = {.layer = ds_layer_find("gambler"), .setup = {.inputs = inputs, .samples = 99, .epochs = 9}}};
    if (ds_instance_init(&t->it, pairs, n, "x.cfg", 1, &e))
        fail_msg("%s", e.text);
}

static void pass(bench *t, const float *z, int batch, const int *labels, int epoch)
{
    ds_error e = {0};
    const ds_pass p = {.batch = batch,
                       .epoch = epoch,
                       .epochs = 9,
                       .warming = epoch < t->it.setup.warmup_epochs,
                       .input = z,
                       .logits = z,
                       .output = t->output,
                       .labels = labels,
                       .gradient = t->gradient,
                       .loss = t->loss};
    assert_true(batch <= 16 && batch * t->it.setup.inputs <= MOST);
    if (ds_instance_forward(&t->it, &p, &e))
        fail_msg("%s", e.text);
}

static void near(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fmax(fabs(want), 1e-3)))
        fail_msg("got %.17g, want %.17g", got, want);
}

static void vectors(void **state)
{
    (void)state;
    vec_file *f = vec_open("gambler.txt");
    int cases = 0;
    for (; vec_next(f); cases++) {
        char reward[40];
        int labels[16];
        double sum = 0;
        bench t;
        const vec_item *logits = vec_get(f, "logits"), *want = vec_get(f, "grad"),
                       *each = vec_get(f, "per_sample");
        snprintf(reward, sizeof reward, "%.17g", vec_number(f, "reward"));
        for (int b = 0; b < logits->rows; b++)
            labels[b] = (int)vec_get(f, "labels")->v[b];
        open_layer(&t, (ds_pair[]){{"reward", reward, 2}, {"warmup_epochs", "0", 3}}, 2, logits->cols);
        assert_int_equal(t.it.setup.classes, vec_number(f, "classes"));
        float *z = vec_floats(f, "logits");
        pass(&t, z, logits->rows, labels, 0);
        for (int i = 0; i < want->n; i++)
            near(t.gradient[i], want->v[i], 1e-6);
        for (int b = 0; b < each->n; b++) {
            near(t.loss[b], each->v[b], 1e-10);
            sum += t.loss[b];
        }
        near(sum / each->n, vec_number(f, "loss"), 1e-10);
        ds_instance_release(&t.it);
        free(z);
    }
    vec_close(f);
    assert_int_equal(cases, 4);
}

static void differences(void **state)
{
    (void)state;
    check_gradient("gambler", "", 5);
    check_gradient("gambler", "warmup_epochs=0", 5);
    check_gradient("gambler", "warmup_epochs=0 reward=6 temperature=2", 8);
}

static const float row[4] = {1.5f, -.5f, .25f, .75f};

/* The first C alone, as [softmax] has it. */
static void warm_up(void **state)
{
    (void)state;
    const float classes[3] = {row[0], row[1], row[2]};
    bench t;
    double p[3];
    open_layer(&t, (ds_pair[]){{"warmup_epochs", "2", 1}}, 1, 4);
    pass(&t, row, 1, (int[]){1}, 1);
    ds_softmax(classes, 3, 1, p);
    near(t.loss[0], -log(p[1]), 1e-12);
    for (int j = 0; j < 3; j++)
        near(t.gradient[j], p[j] - (j == 1), 1e-6);
    assert_true(t.gradient[3] == 0);
    pass(&t, row, 1, (int[]){1}, 2);
    assert_true(t.gradient[3] != 0);
    ds_instance_release(&t.it);
}

/* Class probabilities, and that of keeping back. */
static void output(void **state)
{
    (void)state;
    bench t;
    double p[4];
    open_layer(&t, NULL, 0, 4);
    pass(&t, row, 1, NULL, 0);
    assert_true(t.it.setup.abstain && t.it.setup.outputs == 4);
    ds_softmax(row, 4, 1, p);
    near(t.output[3], p[3], 1e-6);
    ds_softmax(row, 3, 1, p);
    for (int j = 0; j < 3; j++)
        near(t.output[j], p[j], 1e-6);
    ds_instance_release(&t.it);
}

static void extreme_logits(void **state)
{
    (void)state;
    static const float z[12] = {1e4f, -1e4f, 0, 5, -1e4f, -1e4f, -1e4f, 1e4f, 1e4f, 0, 0, -1e4f};
    bench t;
    open_layer(&t, (ds_pair[]){{"warmup_epochs", "0", 1}}, 1, 4);
    pass(&t, z, 3, (int[]){1, 0, 0}, 0);
    near(t.loss[0], 9995 + log(2.2), 1e-12); /* kept back: all of the rest */
    near(t.loss[1], log(2.2), 1e-12);
    near(t.loss[2], 0, 1e-12);
    for (int i = 0; i < 12; i++)
        assert_true(isfinite(t.gradient[i]) && isfinite(t.output[i]));
    ds_instance_release(&t.it);
}

static void errors(void **state)
{
    (void)state;
    refused("gambler", "reward=1", 5, 9, 5, 11, "reward=1");
    refused("gambler", "reward=nan", 5, 9, 5, 11, "reward=nan");
    refused("gambler", "rewards=2", 5, 9, 5, 11, "did you mean 'reward'");
    refused("gambler", "warmup_epochs=5", 5, 9, 5, 11, "5 epochs and warmup_epochs=5");
    refused("gambler", "warmup_epochs=0", 2, 9, 5, 10, "1 classes, expected 2 or more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors), cmocka_unit_test(differences),    cmocka_unit_test(warm_up),
        cmocka_unit_test(output),  cmocka_unit_test(extreme_logits), cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
