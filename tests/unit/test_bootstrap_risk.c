#include "select/resample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

typedef struct model {
    const double *confidence;
    const bool *wrong;
} model;

static ds_interval interval_of(model a, model b, size_t n, double coverage, int replicates, double level)
{
    ds_interval v;
    ds_error e = {0};
    if (ds_bootstrap_risk_difference(a.confidence, a.wrong, b.confidence, b.wrong, n, coverage, replicates,
                                     level, 7, &v, &e))
        fail_msg("%s", e.text);
    return v;
}

static void assert_interval(ds_interval v, double low, double high)
{
    if (v.low != low || v.high != high)
        fail_msg("[%g, %g], expected [%g, %g]", v.low, v.high, low, high);
}

/* Of the four resamples of two images three hold the first, of which the models disagree: a is right there. */
static void two_images_by_hand(void **state)
{
    (void)state;
    static const double confidence[] = {0.9, 0.1};
    const model a = {confidence, (bool[]){false, true}}, b = {confidence, (bool[]){true, false}};
    assert_interval(interval_of(a, b, 2, 0.5, 2000, 0.2), -1, -1);
    assert_interval(interval_of(a, b, 2, 0.5, 2000, 0.6), -1, 1);
    assert_interval(interval_of(b, a, 2, 0.5, 2000, 0.2), 1, 1);
    assert_interval(interval_of(a, a, 2, 0.5, 2000, 0.95), 0, 0);
}

static void undefined_risks_are_left_out(void **state)
{
    (void)state;
    const bool wrong[] = {false, true};
    const model none = {(double[]){NAN, NAN}, wrong}, one = {(double[]){NAN, 0.5}, wrong},
                both = {(double[]){0.5, 0.5}, (bool[]){false, false}};
    ds_interval v = interval_of(none, both, 2, 1, 100, 0.9);
    assert_true(isnan(v.low) && isnan(v.high));
    assert_interval(interval_of(one, both, 2, 1, 100, 0.9), 1, 1);
    v = interval_of(both, both, 0, 1, 100, 0.9);
    assert_true(isnan(v.low) && isnan(v.high));
}

static double risk_of(const double *confidence, const bool *wrong, size_t n, double coverage)
{
    ds_curve c;
    assert_int_equal(ds_curve_make(confidence, wrong, n, &c, NULL), 0);
    double risk = ds_cut_at_coverage(&c, coverage).risk;
    ds_curve_clear(&c);
    return risk;
}

enum { N = 60, REPLICATES = 40 };

/* A resample written out, and cut by the function that cuts everything else. */
static double difference_of(const double *a, const bool *wrong_a, const double *b, const bool *wrong_b, int r,
                            double coverage)
{
    double ca[N], cb[N];
    bool wa[N], wb[N];
    ds_rng rng = ds_resample_rng(7, r);
    for (int i = 0; i < N; i++) {
        size_t k = ds_resample_draw(&rng, N);
        ca[i] = a[k];
        cb[i] = b[k];
        wa[i] = wrong_a[k];
        wb[i] = wrong_b[k];
    }
    return risk_of(ca, wa, N, coverage) - risk_of(cb, wb, N, coverage);
}

static void every_resample_is_cut_as_images_are(void **state)
{
    (void)state;
    double a[N], b[N], values[REPLICATES];
    bool wrong_a[N], wrong_b[N];
    ds_rng rng = ds_rng_make(3, 0, 0);
    for (int i = 0; i < N; i++) { /* few different confidences: ties; some NaN */
        a[i] = ds_rng_below(&rng, 12) ? (double)ds_rng_below(&rng, 9) / 8 : NAN;
        b[i] = (double)ds_rng_below(&rng, 30) / 30;
        wrong_a[i] = ds_rng_below(&rng, 3) == 0;
        wrong_b[i] = ds_rng_uniform(&rng) > b[i];
    }
    const double coverages[] = {0.05, 0.5, 0.8, 1};
    for (int k = 0; k < 4; k++) {
        for (int r = 0; r < REPLICATES; r++)
            values[r] = difference_of(a, wrong_a, b, wrong_b, r, coverages[k]);
        ds_interval expected = ds_resample_interval(values, REPLICATES, 0.5);
        assert_true(expected.low < expected.high);
        assert_interval(
            interval_of((model){a, wrong_a}, (model){b, wrong_b}, N, coverages[k], REPLICATES, 0.5),
            expected.low, expected.high);
    }
}

static void bad_numbers_are_refused(void **state)
{
    (void)state;
    ds_interval v;
    const double c = 0.5;
    const bool w = false;
    assert_int_equal(ds_bootstrap_risk_difference(&c, &w, &c, &w, 1, 1, 0, 0.9, 1, &v, NULL), DS_EINPUT);
    assert_int_equal(ds_bootstrap_risk_difference(&c, &w, &c, &w, 1, 1, 5, 1, 1, &v, NULL), DS_EINPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_images_by_hand),
        cmocka_unit_test(undefined_risks_are_left_out),
        cmocka_unit_test(every_resample_is_cut_as_images_are),
        cmocka_unit_test(bad_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
