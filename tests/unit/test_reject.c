/* [reject]: outputs, verdicts, thresholds. */
#include "plugins/registry.h"
#include "tests/unit/vectors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct bench {
    ds_instance it;
    ds_error e;
    int rc;
    float output[32];
    double confidence[8];
    bool accepted[8];
} bench;

/* `keys` come in turn with their values, up to a NULL; they stand in lines 21, 22, … of x.cfg. */
static bench *open_reject(int classes, bool abstain, const char *const *keys)
{
    bench *t = calloc(1, sizeof *t);
    ds_pair pairs[8];
    int n = 0;
    for (; keys[2 * n]; n++)
        pairs[n] = (ds_pair){(char *)keys[2 * n], (char *)keys[2 * n + 1], 21 + n};
    t->it.layer = ds_layer_find("reject");
    t->it.setup = (ds_setup){
        .inputs = classes + abstain, .logits = classes + abstain, .classes = classes, .abstain = abstain};
    t->rc = ds_instance_init(&t->it, pairs, n, "x.cfg", 20, &t->e);
    return t;
}
#define OPEN(classes, abstain, ...) \
    open_reject(classes, abstain, (const char *const[]){__VA_ARGS__, NULL, NULL})

static void close_reject(bench *t)
{
    ds_instance_release(&t->it);
    free(t);
}

static void pass(bench *t, const float *input, const float *logits, int batch)
{
    ds_pass p = {.batch = batch,
                 .input = input,
                 .logits = logits,
                 .output = t->output,
                 .confidence = t->confidence,
                 .accepted = t->accepted};
    assert_int_equal(t->rc, 0);
    assert_int_equal(ds_instance_forward(&t->it, &p, &t->e), 0);
}

static const float probabilities[2][3] = {{.7f, .2f, .1f}, {.4f, .35f, .25f}};
static const float logits[2][3] = {{3, 1, 0}, {1, .9f, .5f}};

static void passes_or_zeroes(void **unused)
{
    (void)unused;
    static const float none[3] = {0};
    bench *t = OPEN(3, false, "threshold", "0.5");
    pass(t, probabilities[0], logits[0], 2);
    assert_int_equal(t->it.setup.outputs, 3);
    assert_true(t->accepted[0] && !t->accepted[1]);
    assert_memory_equal(t->output, probabilities[0], sizeof none);
    assert_memory_equal(t->output + 3, none, sizeof none);
    double msp = 1 / (1 + exp(-2) + exp(-3));
    assert_true(fabs(t->confidence[0] - msp) < 1e-12);
    close_reject(t);
}

static void threshold_is_met_by_equality(void **unused)
{
    (void)unused;
    static const float z[4] = {3, 3, 5, 5};
    bench *t = OPEN(2, false, "threshold", "0.5");
    pass(t, z, z, 2);
    assert_true(t->accepted[0] && t->accepted[1]);
    close_reject(t);
}

static void without_threshold_all_but_nan(void **unused)
{
    (void)unused;
    static const float z[2][3] = {{-1e4f, 1e4f, 0}, {1, NAN, 0}}, in[2][3] = {{0, 1, 0}, {NAN, NAN, NAN}};
    for (int with = 0; with < 2; with++) {
        bench *t = with ? OPEN(3, false, "threshold", "0") : OPEN(3, false, NULL, NULL);
        pass(t, in[0], z[0], 2);
        assert_true(t->accepted[0] && !t->accepted[1]);
        assert_true(isnan(t->confidence[1]));
        for (int j = 0; j < 3; j++)
            assert_true(t->output[3 + j] == 0 && t->output[j] == in[0][j]);
        close_reject(t);
    }
}

/* Of two images of one confidence that of the answer's class decides. */
static void a_threshold_of_each_class(void **unused)
{
    (void)unused;
    static const float z[4][2] = {{1, 0}, {0, 1}, {0, 0}, {NAN, 1}};
    static const struct {
        const char *word;
        bool accepted[3]; /* equal logits are answered by the first class */
    } cases[] = {{"0.7, 0.8", {true, false, false}},
                 {"0.5,0.7", {true, true, true}},
                 {"inf,-inf", {false, true, false}}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        bench *t = OPEN(2, false, "thresholds", cases[k].word);
        pass(t, z[0], z[0], 4);
        assert_memory_equal(t->accepted, cases[k].accepted, sizeof cases[k].accepted);
        assert_false(t->accepted[3]);
        close_reject(t);
    }
}

/* Input and logits have C + 1 numbers, the output C; msp is over the first C. */
static void abstain_rows(void **unused)
{
    (void)unused;
    static const float in[3][3] = {{.9f, .1f, .3f}, {.2f, .8f, .95f}, {.4f, .6f, .1f}};
    static const float z[3][3] = {{3, 0, 0}, {0, 1, 5}, {0, 1, -2}}, want[6] = {.9f, .1f, 0, 0, .4f, .6f};
    bench *t = OPEN(2, true, "confidence", "abstain", "threshold", "0.5");
    pass(t, in[0], z[0], 3);
    assert_true(t->accepted[0] && !t->accepted[1] && t->accepted[2]);
    assert_memory_equal(t->output, want, sizeof want);
    assert_true(fabs(t->confidence[1] - (1 + exp(1)) / (1 + exp(1) + exp(5))) < 1e-12);
    close_reject(t);
    t = OPEN(2, true, "threshold", "0.5");
    pass(t, in[0], z[0], 2);
    assert_true(fabs(t->confidence[1] - 1 / (1 + exp(-1))) < 1e-12);
    close_reject(t);
}

static void temperature_divides_the_logits(void **unused)
{
    (void)unused;
    bench *t = OPEN(3, false, "temperature", "2");
    pass(t, probabilities[0], logits[0], 1);
    assert_true(fabs(t->confidence[0] - 1 / (1 + exp(-1) + exp(-1.5))) < 1e-12);
    assert_memory_equal(t->output, probabilities[0], sizeof probabilities[0]);
    close_reject(t);
}

static void get(void **unused)
{
    (void)unused;
    bench *t = OPEN(3, false, "confidence", "pnorm", "pnorm_p", "5", "temperature", "2", "threshold", "1.5");
    assert_int_equal(t->rc, 0); /* pnorm is no probability */
    const ds_reject *r = ds_reject_of(t->it.state);
    assert_true(r->score.kind == DS_PNORM && r->score.pnorm_p == 5 && r->score.temperature == 2);
    assert_true(r->threshold == 1.5 && !r->thresholds && !r->novelty && r->images == 0);
    close_reject(t);
    t = OPEN(3, false, NULL, NULL);
    r = ds_reject_of(t->it.state);
    assert_true(r->score.kind == DS_MSP && r->score.temperature == 1 && isnan(r->threshold));
    close_reject(t);
}

/* Every score against its reference numbers, through the layer. */
static void confidence_vectors(void **unused)
{
    (void)unused;
    static const char *const names[] = {"msp", "margin", "entropy", "gini", "maxlogit", "energy"};
    vec_file *f = vec_open("confidence.txt");
    assert_true(vec_next(f) && vec_next(f));
    float *z = vec_floats(f, "logits");
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        bench *t = OPEN(3, false, "confidence", names[k]);
        pass(t, z, z, 6);
        for (int b = 0; b < 6; b++)
            assert_true(fabs(t->confidence[b] - vec_get(f, names[k])->v[b]) < 1e-10);
        close_reject(t);
    }
    free(z);
    vec_close(f);
}

static void refused(bench *t, int line, const char *part)
{
    assert_int_equal(t->rc, DS_EINPUT);
    assert_null(t->it.state);
    if (t->e.line != line || strcmp(t->e.file, "x.cfg") != 0 || !strstr(t->e.text, part))
        fail_msg("%s:%d: %s", t->e.file, t->e.line, t->e.text);
    close_reject(t);
}

static void bad_options(void **unused)
{
    (void)unused;
    refused(OPEN(3, false, "threshold", "1.5"), 20,
            "threshold=1.5, expected a number from 0 to 1 with confidence=msp");
    refused(OPEN(3, false, "confidence", "gini", "threshold", "-0.1"), 20, "confidence=gini");
    refused(OPEN(3, false, "confidence", "gini", "thresholds", "inf,0.5,1.1"), 22, "threshold=1.1");
    refused(OPEN(3, false, "thresholds", "1,0.5"), 21,
            "thresholds= has 2 numbers, expected 3, one for each class");
    refused(OPEN(2, false, "threshold", "1", "thresholds", "1,0.5"), 22,
            "thresholds= has 2 numbers beside threshold=");
    refused(OPEN(2, false, "thresholds", "1,infinity"), 21,
            "thresholds=1,infinity, expected numbers with commas, inf or -inf");
    refused(OPEN(3, false, "threshold", "nan"), 21, "threshold=nan");
    refused(OPEN(3, false, "confidence", "mps"), 21, "did you mean 'msp'");
    refused(OPEN(3, false, "treshold", "0.5"), 21, "did you mean 'threshold'");
    refused(OPEN(3, false, "temperature", "0"), 21, "temperature=0");
    refused(OPEN(3, false, "pnorm_p", "3"), 21, "'pnorm_p' goes with confidence=pnorm");
    refused(OPEN(2, false, "confidence", "pnorm"), 20, "pnorm");
    refused(OPEN(3, false, "confidence", "abstain"), 20, "abstain");
    refused(OPEN(0, false, NULL, NULL), 20, "cost section");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_or_zeroes),
        cmocka_unit_test(threshold_is_met_by_equality),
        cmocka_unit_test(without_threshold_all_but_nan),
        cmocka_unit_test(a_threshold_of_each_class),
        cmocka_unit_test(abstain_rows),
        cmocka_unit_test(temperature_divides_the_logits),
        cmocka_unit_test(get),
        cmocka_unit_test(confidence_vectors),
        cmocka_unit_test(bad_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
