#include "base/rng.h"
#include "select/select.h"
#include "tests/unit/vectors.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void near(const char *what, double got, double expected, double relative)
{
    if (!(fabs(got - expected) <= relative * fabs(expected)))
        fail_msg("%s: got %.17g, expected %.17g", what, got, expected);
}

static void bounds_equal_the_reference(void **state)
{
    (void)state;
    int cases = 0;
    vec_file *f = vec_open("bounds.txt");
    for (; vec_next(f); cases++) {
        size_t k = (size_t)vec_number(f, "k"), m = (size_t)vec_number(f, "m");
        double delta = vec_number(f, "delta");
        near(vec_case(f), ds_rate_upper(k, m, delta), vec_number(f, "upper"), 1e-10);
        near(vec_case(f), ds_rate_lower(k, m, delta), vec_number(f, "lower"), 1e-10);
        ds_interval i = ds_rate_interval(k, m, 1 - 2 * delta);
        near(vec_case(f), i.high, vec_number(f, "upper"), 1e-10);
        near(vec_case(f), i.low, vec_number(f, "lower"), 1e-10);
    }
    vec_close(f);
    assert_true(cases > 0);
}

/* From sums with 40 digits. */
static void tails_of_large_samples(void **state)
{
    (void)state;
    static const struct {
        size_t k, m;
        double p, tail;
    } known[] = {
        {4700, 100000, 0.05, 5.7839164936756724e-6},
        {49000, 1000000, 0.05, 2.1131824147902199e-6},
        {498500, 10000000, 0.05, 0.014758309338193816},
        {4990000, 10000000, 0.5, 1.2724002455775865e-10},
        {5000000, 10000000, 0.5, 0.50012615662294709},
        {5004000, 10000000, 0.5, 0.99429912402319043},
        {9999000, 10000000, 0.9999, 0.50420587494617857},
        {10, 10000000, 1e-06, 0.58303975019299599},
        {3, 10000000, 2e-06, 3.2036730612691165e-6},
        {0, 10000000, 1e-06, 4.5399702763252225e-5},
        {17, 1000, 0.05, 3.4788745807586754e-8},
        {900, 1000, 0.95, 8.4102510848777028e-11},
        {15, 31, 0.5, 0.5},
        {16, 200000, 0.0005, 2.0749864029836427e-25},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        near("tail", ds_binomial_cdf(known[i].k, known[i].m, known[i].p), known[i].tail, 1e-12);
}

/* Pr[Bin(m, p) = 0 … m] by adding trial after trial: no logarithm, no factorial. */
static void distribution(double *probability, size_t m, double p)
{
    probability[0] = 1;
    for (size_t trial = 1; trial <= m; trial++) {
        probability[trial] = probability[trial - 1] * p;
        for (size_t k = trial - 1; k > 0; k--)
            probability[k] = probability[k] * (1 - p) + probability[k - 1] * p;
        probability[0] *= 1 - p;
    }
}

static void tails_of_small_samples(void **state)
{
    (void)state;
    const double rates[] = {1e-12, 0.001, 0.05, 0.3, 0.5, 0.875, 0.999};
    for (size_t m = 0; m <= 60; m++)
        for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
            double probability[61], sum = 0;
            distribution(probability, m, rates[i]);
            for (size_t k = 0; k <= m; k++) {
                sum += probability[k];
                near("tail", ds_binomial_cdf(k, m, rates[i]), k == m ? 1 : sum, 1e-12);
            }
        }
}

/* Does a tail cross delta within some last digits of p? `slack`: relative error of the tail. */
static void crosses(size_t k, size_t m, double p, double delta, double slack, bool upper)
{
    double below = p * (1 - 4 * DBL_EPSILON), above = fmin(p * (1 + 4 * DBL_EPSILON), 1);
    double first = upper ? ds_binomial_cdf(k, m, below) : 1 - ds_binomial_cdf(k - 1, m, above);
    double second = upper ? ds_binomial_cdf(k, m, above) : 1 - ds_binomial_cdf(k - 1, m, below);
    if (!(first >= delta * (1 - slack) && second <= delta * (1 + slack)))
        fail_msg("%zu of %zu at %.17g: tails %.17g, %.17g, expected %.17g", k, m, p, first, second, delta);
}

static void bounds_are_where_the_tails_are_delta(void **state)
{
    (void)state;
    ds_rng r = ds_rng_make(4, 0, 0);
    for (int i = 0; i < 500; i++) {
        size_t m = 21 + (size_t)ds_rng_below(&r, i % 10 ? 5000 : 10000000);
        size_t k = 1 + (size_t)ds_rng_below(&r, i % 3 ? m - 1 : 20);
        double delta = pow(10, -9 * ds_rng_uniform(&r));
        double upper = ds_rate_upper(k, m, delta), lower = ds_rate_lower(k, m, delta);
        crosses(k, m, upper, delta, 1e-12, true);
        crosses(k, m, lower, delta, 1e-12 + 1e-15 / delta, false);
        near("mirror", ds_rate_upper(m - k, m, delta), 1 - lower, 1e-14 / (1 - lower));
    }
}

static void edges(void **state)
{
    (void)state;
    assert_true(ds_binomial_cdf(0, 0, 0.3) == 1 && ds_binomial_cdf(9, 5, 0.3) == 1);
    assert_true(ds_binomial_cdf(0, 5, 0) == 1 && ds_binomial_cdf(4, 5, 1) == 0 &&
                ds_binomial_cdf(5, 5, 1) == 1);
    assert_true(isnan(ds_binomial_cdf(1, 5, -0.1)) && isnan(ds_binomial_cdf(1, 5, 1.1)));
    assert_true(isnan(ds_binomial_cdf(1, 5, NAN)));
    assert_true(ds_binomial_cdf(0, 10000000, 0.5) == 0 && ds_binomial_cdf(9999999, 10000000, 0.5) == 1);
    assert_true(ds_rate_upper(0, 0, 0.1) == 1 && ds_rate_lower(0, 0, 0.1) == 0);
    near("upper", ds_rate_upper(0, 1, 0.1), 0.9, 1e-15);
    near("lower", ds_rate_lower(10000000, 10000000, 1e-9), exp(log(1e-9) / 1e7), 1e-14);
    near("upper", ds_rate_upper(0, 10000000, 1e-9), -expm1(log(1e-9) / 1e7), 1e-14);
    assert_true(isnan(ds_rate_upper(3, 2, 0.1)) && isnan(ds_rate_lower(3, 2, 0.1)));
    assert_true(isnan(ds_rate_upper(1, 2, 0)) && isnan(ds_rate_lower(1, 2, 1)) &&
                isnan(ds_rate_upper(1, 2, NAN)));
    ds_interval none = ds_rate_interval(0, 0, 0.95), right = ds_rate_interval(7, 7, 0.95);
    assert_true(isnan(none.low) && isnan(none.high));
    assert_true(right.high == 1);
    near("all right", right.low, pow(0.025, 1 / 7.0), 1e-13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_equal_the_reference),
        cmocka_unit_test(tails_of_large_samples),
        cmocka_unit_test(tails_of_small_samples),
        cmocka_unit_test(bounds_are_where_the_tails_are_delta),
        cmocka_unit_test(edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
