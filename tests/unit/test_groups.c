#include "base/rng.h"
#include "select/select.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void figures_of_a_small_list(void **state)
{
    (void)state;
    const int label[] = {0, 0, 0, 2, 2, 2, 2};
    const int prediction[] = {0, 1, 0, 2, 0, 0, 2};
    const double confidence[] = {0.9, 0.5, 0.4, 0.8, 0.7, NAN, NAN};
    ds_class_figures f[3];
    size_t confusion[3 * 4];
    memset(f, 1, sizeof f);
    memset(confusion, 1, sizeof confusion);
    ds_class_figures_of(label, prediction, confidence, 7, 3, 0.5, f, confusion);
    const ds_class_figures expected[] = {{3, 2, 2, 1}, {0, 0, 0, 0}, {4, 2, 2, 1}};
    const size_t cells[] = {1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 2};
    assert_memory_equal(f, expected, sizeof f);
    assert_memory_equal(confusion, cells, sizeof cells);
    ds_class_figures_of(label, prediction, confidence, 7, 3, NAN, f, NULL);
    assert_true(f[0].accepted == 3 && f[0].accepted_wrong == 1 && f[2].accepted == 2);
    ds_class_figures_of(label, prediction, confidence, 7, 3, 1, f, confusion);
    assert_true(f[0].accepted + f[2].accepted == 0 && confusion[3] == 3 && confusion[11] == 4);
    ds_class_figures_of(NULL, NULL, NULL, 0, 3, 0.5, f, confusion);
    assert_true(f[0].n + f[1].n + f[2].n + confusion[0] + confusion[11] == 0);
}

static double by_pairs(const double *in, size_t n_in, const double *out, size_t n_out)
{
    double sum = 0;
    for (size_t i = 0; i < n_in; i++)
        for (size_t j = 0; j < n_out; j++) {
            if (isnan(in[i]) || isnan(out[j]))
                sum += (isnan(out[j]) + !isnan(in[i])) / 2.0;
            else
                sum += in[i] > out[j] ? 1 : in[i] == out[j] ? 0.5 : 0;
        }
    return sum / (double)n_in / (double)n_out;
}

static void auroc_of_two_lists(void **state)
{
    (void)state;
    ds_rng r = ds_rng_make(71, 0, 0);
    for (int round = 0; round < 100; round++) {
        double in[40], out[40], auroc;
        size_t n_in = 1 + (size_t)ds_rng_below(&r, 40), n_out = 1 + (size_t)ds_rng_below(&r, 40);
        for (size_t i = 0; i < 40; i++) {
            in[i] = ds_rng_below(&r, 9) ? (double)ds_rng_below(&r, 20) + 5 : NAN;
            out[i] = ds_rng_below(&r, 9) ? (double)ds_rng_below(&r, 20) : -INFINITY;
            if (round % 2 && !ds_rng_below(&r, 5))
                out[i] = NAN;
        }
        assert_int_equal(ds_auroc_two(in, n_in, out, n_out, &auroc, NULL), 0);
        assert_true(fabs(auroc - by_pairs(in, n_in, out, n_out)) < 1e-12);
    }
}

static void auroc_edges(void **state)
{
    (void)state;
    double auroc = 0;
    const double low[] = {1, 2}, high[] = {3, 4};
    assert_int_equal(ds_auroc_two(high, 2, low, 2, &auroc, NULL), 0);
    assert_true(auroc == 1);
    assert_int_equal(ds_auroc_two(low, 2, high, 2, &auroc, NULL), 0);
    assert_true(auroc == 0);
    assert_int_equal(ds_auroc_two(NULL, 0, low, 2, &auroc, NULL), 0);
    assert_true(isnan(auroc));
    auroc = 0;
    assert_int_equal(ds_auroc_two(low, 2, NULL, 0, &auroc, NULL), 0);
    assert_true(isnan(auroc));
    auroc = 0;
    assert_int_equal(ds_auroc_two(NULL, 0, NULL, 0, &auroc, NULL), 0);
    assert_true(isnan(auroc));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_of_a_small_list),
        cmocka_unit_test(auroc_of_two_lists),
        cmocka_unit_test(auroc_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
