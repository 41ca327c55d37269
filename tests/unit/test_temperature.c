#include "base/rng.h"
#include "select/answers.h"
#include "tests/unit/vectors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static double fit(const float *z, const int *labels, size_t n, int row, int classes)
{
    double temperature = NAN;
    ds_error e = {0};
    const ds_answers a = {
        .n = n, .logits = (float *)z, .labels = (int *)labels, .classes = classes, .abstain = row > classes};
    if (ds_temperature_fit(&a, &temperature, &e))
        fail_msg("%s", e.text);
    return temperature;
}

static void assert_near(double got, double expected, double relative)
{
    if (!(fabs(got - expected) <= relative * expected))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

/* The derivative of the NLL by log T, in units of T, to 19 digits: negative below the minimum. */
static long double slope(const vec_file *f, const float *z, double temperature)
{
    const vec_item *logits = vec_get(f, "logits"), *label = vec_get(f, "labels");
    long double sum = 0;
    for (int i = 0; i < logits->rows; i++) {
        const float *row = z + i * logits->cols;
        long double parts = 0, mean = 0;
        for (int j = 0; j < logits->cols; j++) {
            long double part = expl(((long double)row[j] - row[ds_argmax(row, logits->cols)]) / temperature);
            parts += part;
            mean += part * row[j];
        }
        sum += row[(int)label->v[i]] - mean / parts;
    }
    return sum;
}

static void temperatures_equal_the_reference(void **state)
{
    (void)state;
    int cases = 0;
    vec_file *f = vec_open("calibration.txt");
    for (; vec_next(f); cases++) {
        const vec_item *logits = vec_get(f, "logits"), *label = vec_get(f, "labels");
        float *z = vec_floats(f, "logits");
        int *labels = malloc((size_t)label->n * sizeof *labels);
        for (int i = 0; i < label->n; i++)
            labels[i] = (int)label->v[i];
        double t = fit(z, labels, (size_t)label->n, logits->cols, logits->cols);
        /* The file's numbers come from comparing values of the NLL, which is flat to half of the digits at
         * its minimum. */
        assert_near(t, vec_number(f, "temperature"), 1e-7);
        assert_true(slope(f, z, t * (1 - 1e-13)) < 0 && slope(f, z, t * (1 + 1e-13)) > 0);
        free(labels);
        free(z);
    }
    vec_close(f);
    assert_true(cases > 0);
}

enum { N = 500, ROW = 5 };

/* Logits that are three times too large for their labels, beside an output of another kind. */
static void draw(float *z, int *labels)
{
    ds_rng r = ds_rng_make(61, 0, 0);
    for (int i = 0; i < N; i++) {
        double p[ROW - 1], u = ds_rng_uniform(&r);
        for (int j = 0; j < ROW - 1; j++)
            z[i * ROW + j] = (float)(2 * ds_rng_normal(&r));
        ds_softmax(z + i * ROW, ROW - 1, 1, p);
        labels[i] = 0;
        while (labels[i] < ROW - 2 && (u -= p[labels[i]]) > 0)
            labels[i]++;
        for (int j = 0; j < ROW - 1; j++)
            z[i * ROW + j] *= 3;
        z[i * ROW + ROW - 1] = 1000;
    }
}

static double nll(const float *z, const int *labels, double temperature)
{
    double sum = 0, log_p[ROW - 1];
    for (int i = 0; i < N; i++) {
        ds_log_softmax(z + i * ROW, ROW - 1, temperature, log_p);
        sum -= log_p[labels[i]];
    }
    return sum;
}

static void it_is_the_minimum(void **state)
{
    (void)state;
    float z[N * ROW];
    int labels[N];
    draw(z, labels);
    double t = fit(z, labels, N, ROW, ROW - 1), least = nll(z, labels, t);
    assert_near(t, 3, 0.15);
    for (int i = 1; i < 8; i++)
        assert_true(nll(z, labels, t * (1 + pow(10, -i / 2.0))) > least &&
                    nll(z, labels, t * (1 - pow(10, -i / 2.0))) > least);
}

static void it_scales_with_the_logits(void **state)
{
    (void)state;
    float z[N * ROW];
    int labels[N];
    draw(z, labels);
    double t = fit(z, labels, N, ROW, ROW - 1);
    for (int exponent = -100; exponent <= 100; exponent += 50) {
        float scaled[N * ROW];
        for (int i = 0; i < N * ROW; i++)
            scaled[i] = ldexpf(z[i], exponent);
        assert_near(fit(scaled, labels, N, ROW, ROW - 1), ldexp(t, exponent), 1e-12);
    }
}

static void images_without_a_likelihood_are_left_out(void **state)
{
    (void)state;
    float z[N * ROW];
    int labels[N];
    draw(z, labels);
    double t = fit(z + 2 * ROW, labels + 2, N - 2, ROW, ROW - 1);
    z[0] = NAN;
    z[ROW + labels[1]] = -INFINITY;
    assert_true(fabs(fit(z, labels, N, ROW, ROW - 1) - t) < 1e-12);
    /* an impossible class that is not the label does no harm */
    float with[] = {1, 0, -INFINITY, 0, 2, -INFINITY, 0, 1, -INFINITY};
    float without[] = {1, 0, 0, 2, 0, 1};
    int label[] = {0, 1, 0};
    assert_near(fit(with, label, 3, 3, 3), fit(without, label, 3, 2, 2), 1e-13);
}

static void check_refused(const float *z, const int *labels, size_t n, const char *words)
{
    ds_error e = {0};
    double temperature = 7;
    const ds_answers a = {.n = n, .logits = (float *)z, .labels = (int *)labels, .classes = 2};
    assert_int_equal(ds_temperature_fit(&a, &temperature, &e), DS_EINPUT);
    assert_non_null(strstr(e.text, words));
    assert_true(temperature == 7);
}

static void without_a_minimum(void **state)
{
    (void)state;
    check_refused(NULL, NULL, 0, "without images");
    check_refused((float[]){NAN, 1}, (int[]){1}, 1, "without images");
    check_refused((float[]){2, 1, 3, 0}, (int[]){0, 0}, 2, "all right");
    check_refused((float[]){1, 1}, (int[]){0}, 1, "all right");
    check_refused((float[]){2, 1, 3, 0}, (int[]){1, 1}, 2, "do not point");
    check_refused((float[]){2, 1, 3, 2}, (int[]){1, 0}, 2, "do not point");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temperatures_equal_the_reference),
        cmocka_unit_test(it_is_the_minimum),
        cmocka_unit_test(it_scales_with_the_logits),
        cmocka_unit_test(images_without_a_likelihood_are_left_out),
        cmocka_unit_test(without_a_minimum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
