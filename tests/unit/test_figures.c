#include "base/rng.h"
#include "select/figures.h"

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
    int label[] = {0, 0, 0, 2, 2, 2, 2};
    int prediction[] = {0, 1, 0, 2, 0, 0, 2};
    double confidence[] = {0.9, 0.5, 0.4, 0.8, 0.7, NAN, NAN};
    bool wrong[] = {false, true, false, false, true, true, false};
    ds_answers a = {.n = 7,
                    .classes = 3,
                    .labels = label,
                    .predictions = prediction,
                    .confidences = confidence,
                    .wrong = wrong};
    ds_counts f[3];
    size_t confusion[3 * 4];
    memset(f, 1, sizeof f);
    memset(confusion, 1, sizeof confusion);
    ds_counts_by_class(&a, 0.5, f, confusion);
    const ds_counts expected[] = {{3, 2, 2, 1, 2, 1, 0}, {0, 0, 0, 0, 1, 1, 0}, {4, 2, 2, 1, 1, 0, 0}};
    const size_t cells[] = {1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 2};
    assert_memory_equal(f, expected, sizeof f);
    assert_memory_equal(confusion, cells, sizeof cells);
    const ds_counts all = ds_counts_of(&a, 0.5), expected_all = {.n = 7, 4, 4, 2};
    assert_memory_equal(&all, &expected_all, sizeof all);
    ds_counts_by_class(&a, NAN, f, NULL);
    assert_true(f[0].accepted == 3 && f[0].accepted_wrong == 1 && f[2].accepted == 2);
    ds_counts_by_class(&a, 1, f, confusion);
    assert_true(f[0].accepted + f[2].accepted == 0 && confusion[3] == 3 && confusion[11] == 4);
    a.n = 0;
    ds_counts_by_class(&a, 0.5, f, confusion);
    assert_true(f[0].n + f[1].n + f[2].n + confusion[0] + confusion[11] == 0);
}

static void without_labels_nothing_is_right(void **state)
{
    (void)state;
    const ds_answers a = {.n = 3, .confidences = (double[]){0.9, 0.1, NAN}};
    const ds_counts got = ds_counts_of(&a, 0.5), expected = {.n = 3, 0, 1, 0};
    assert_memory_equal(&got, &expected, sizeof got);
}

/* The areas of a rival are taken from those of the list. */
static void differences_are_of_the_images(void **state)
{
    (void)state;
    double mine[] = {0.9, 0.8, 0.7, 0.6}, its[] = {0.1, 0.8, 0.7, 0.9};
    bool mine_wrong[] = {false, false, true, true}, its_wrong[] = {true, false, true, false};
    const ds_answers a = {.n = 4,
                          .confidences = mine,
                          .wrong = mine_wrong,
                          .labels = (int[4]){0},
                          .predictions = (int[4]){0},
                          .classes = 1},
                     b = {.n = 4, .confidences = its, .wrong = its_wrong, .file = "b"};
    const ds_wish w = {.threshold = 0.7, .coverage = NAN, .risk = NAN, .delta = NAN};
    ds_figures f = ds_figures_of(&a, 1, &b, 1, &w), other = ds_figures_at(&b, &w);
    const ds_rival_figures *v = &f.rivals[0];
    assert_true(f.n_rivals == 1 && f.n_lists == 0 && v->accuracy == 0.5);
    assert_true(v->difference.aurc == f.areas.aurc - other.areas.aurc && v->other.auroc == other.areas.auroc);
    assert_true(v->difference.eaurc == f.areas.eaurc - other.areas.eaurc);
    assert_true(v->mine.accepted == 3 && v->its.accepted == 3 && v->its.errors == 1);
    assert_true(f.classes[0].n == 4 && f.classes[0].accepted_wrong == 1);
    ds_figures_clear(&f);
    ds_figures_clear(&other);
}

/* a: .9 right, .6 wrong, .5 right; b: .8 wrong, .4 right; one without an answer. */
static void a_threshold_of_each_class(void **state)
{
    (void)state;
    double confidences[] = {0.9, 0.6, 0.5, 0.8, 0.4, NAN}, thresholds[] = {0.6, INFINITY};
    bool wrong[] = {false, true, false, true, false, true};
    const ds_answers a = {.n = 6,
                          .confidences = confidences,
                          .wrong = wrong,
                          .labels = (int[]){0, 1, 0, 0, 1, 1},
                          .predictions = (int[]){0, 0, 0, 1, 1, -1},
                          .thresholds = thresholds,
                          .classes = 2};
    const ds_wish w = {.threshold = NAN, .coverage = NAN, .risk = NAN, .delta = NAN};
    ds_figures f = ds_figures_of(&a, 1, NULL, 0, &w);
    assert_true(isnan(f.chosen.threshold) && f.chosen.accepted == 2 && f.chosen.errors == 1);
    assert_true(f.chosen.coverage == 2 / 6.0 && f.chosen.risk == 0.5 && f.rates.reject.value == 4 / 6.0);
    assert_true(f.classes[0].accepted == 1 && f.classes[1].accepted_wrong == 1);
    assert_true(f.classes[0].as == 2 && f.classes[0].as_wrong == 1 && f.classes[1].as == 0);
    ds_figures_clear(&f);
    thresholds[0] = -INFINITY;
    thresholds[1] = 0.5;
    f = ds_figures_at(&a, &w);
    assert_true(f.chosen.accepted == 4 && f.chosen.errors == 2);
    ds_figures_clear(&f);
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

static double auroc(double *in, size_t n_in, double *out, size_t n_out)
{
    const ds_answers a = {.n = n_in, .confidences = in}, b = {.n = n_out, .confidences = out};
    return ds_auroc_two(&a, &b);
}

static void auroc_of_two_lists(void **state)
{
    (void)state;
    ds_rng r = ds_rng_make(71, 0, 0);
    for (int round = 0; round < 100; round++) {
        double in[40], out[40];
        size_t n_in = 1 + (size_t)ds_rng_below(&r, 40), n_out = 1 + (size_t)ds_rng_below(&r, 40);
        for (size_t i = 0; i < 40; i++) {
            in[i] = ds_rng_below(&r, 9) ? (double)ds_rng_below(&r, 20) + 5 : NAN;
            out[i] = ds_rng_below(&r, 9) ? (double)ds_rng_below(&r, 20) : -INFINITY;
            if (round % 2 && !ds_rng_below(&r, 5))
                out[i] = NAN;
        }
        assert_true(fabs(auroc(in, n_in, out, n_out) - by_pairs(in, n_in, out, n_out)) < 1e-12);
    }
}

static void auroc_edges(void **state)
{
    (void)state;
    double low[] = {1, 2}, high[] = {3, 4};
    assert_true(auroc(high, 2, low, 2) == 1);
    assert_true(auroc(low, 2, high, 2) == 0);
    assert_true(isnan(auroc(NULL, 0, low, 2)) && isnan(auroc(low, 2, NULL, 0)) &&
                isnan(auroc(NULL, 0, NULL, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_of_a_small_list),
        cmocka_unit_test(without_labels_nothing_is_right),
        cmocka_unit_test(differences_are_of_the_images),
        cmocka_unit_test(a_threshold_of_each_class),
        cmocka_unit_test(auroc_of_two_lists),
        cmocka_unit_test(auroc_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
