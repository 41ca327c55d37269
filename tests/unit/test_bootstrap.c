#include "base/rng.h"
#include "select/figures.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum { MOST = 60, REPLICATES = 101, FIGURES = 6 };

typedef struct model {
    double confidence[MOST];
    bool wrong[MOST];
} model;

/* `kind` 0: continuous, 1: ties and NaN, 2: all right, 3: all wrong, 4: all tied, 5: all NaN. */
static void draw(ds_rng *r, int kind, model *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double u = ds_rng_uniform(r);
        m->confidence[i] = kind == 1 ? floor(5 * u) : kind == 4 ? 3 : u;
        if (kind == 5 || (kind == 1 && u < 0.1))
            m->confidence[i] = NAN;
        m->wrong[i] = kind == 3 || (kind != 2 && ds_rng_uniform(r) < 0.5 * (1.2 - u));
    }
}

static ds_answers answers_of(model *m, size_t n)
{
    return (ds_answers){.n = n, .confidences = m->confidence, .wrong = m->wrong};
}

/* ---- the slow way: resampled arrays, sorted anew ---- */

static void figures_of(const model *m, size_t n, const size_t *images, double coverage, double *figures)
{
    model resampled;
    size_t right = 0;
    for (size_t i = 0; i < n; i++) {
        resampled.confidence[i] = m->confidence[images[i]];
        resampled.wrong[i] = m->wrong[images[i]];
        right += !resampled.wrong[i];
    }
    ds_curve c = ds_curve_of(resampled.confidence, resampled.wrong, n);
    ds_areas a = ds_areas_of(&c);
    double risk = ds_cut_at_coverage(&c, coverage).risk;
    ds_curve_clear(&c);
    memcpy(figures, (double[]){a.aurc, a.eaurc, a.augrc, a.auroc, (double)right / (double)n, risk},
           FIGURES * sizeof *figures);
}

/* Image i of replicate r, from the upper half of the product of a 64-bit number and n, digit by digit. */
static size_t image_of(ds_rng *r, size_t n)
{
    uint64_t bits = ds_rng_next(r), low = (bits & UINT32_MAX) * n >> 32;
    return (size_t)(((bits >> 32) * n + low) >> 32);
}

/* Differences of b from a, or figures of a; values: FIGURES x REPLICATES. */
static void resample_slowly(const model *a, const model *b, size_t n, double coverage, uint64_t seed,
                            double *values)
{
    for (uint64_t r = 0; r < REPLICATES; r++) {
        size_t images[MOST];
        double of_a[FIGURES], of_b[FIGURES] = {0};
        ds_rng rng = ds_rng_make(seed, r, 0);
        for (size_t i = 0; i < n; i++)
            images[i] = image_of(&rng, n);
        figures_of(a, n, images, coverage, of_a);
        if (b)
            figures_of(b, n, images, coverage, of_b);
        for (int f = 0; f < FIGURES; f++)
            values[(size_t)f * REPLICATES + r] = of_a[f] - of_b[f];
    }
}

/* The value with `place` values below it, linear between neighbours, by counting. */
static double at_place(const double *values, size_t n, double place)
{
    double below = floor(place), result = 0;
    for (size_t i = 0; i < n; i++) {
        size_t smaller = 0;
        for (size_t j = 0; j < n; j++)
            smaller += values[j] < values[i] || (values[j] == values[i] && j < i);
        if ((double)smaller == below)
            result += values[i] * (1 - (place - below));
        if ((double)smaller == below + 1)
            result += values[i] * (place - below);
    }
    return result;
}

static void check_interval(const double *values, double level, ds_interval got)
{
    double valid[REPLICATES];
    size_t n = 0;
    for (int r = 0; r < REPLICATES; r++)
        if (!isnan(values[r]))
            valid[n++] = values[r];
    if (!n) {
        assert_true(isnan(got.low) && isnan(got.high));
        return;
    }
    double last = (double)(n - 1);
    double low = at_place(valid, n, last * (1 - level) / 2),
           high = at_place(valid, n, last * (1 + level) / 2);
    if (!(fabs(got.low - low) < 1e-12 && fabs(got.high - high) < 1e-12))
        fail_msg("got [%.17g, %.17g], expected [%.17g, %.17g]", got.low, got.high, low, high);
}

static void check_bootstrap(const double *values, double level, const ds_bootstrap *got)
{
    const ds_interval intervals[FIGURES] = {got->aurc,  got->eaurc,    got->augrc,
                                            got->auroc, got->accuracy, got->risk};
    for (int f = 0; f < FIGURES; f++)
        check_interval(values + f * REPLICATES, level, intervals[f]);
    assert_int_equal(got->replicates, REPLICATES);
}

static void one_model_equals_the_slow_way(void **state)
{
    (void)state;
    ds_rng r = ds_rng_make(51, 0, 0);
    for (int round = 0; round < 60; round++) {
        model m;
        double values[FIGURES * REPLICATES], level = 0.5 + 0.49 * ds_rng_uniform(&r);
        size_t n = round < 12 ? 1 + (size_t)round / 6 : 1 + (size_t)ds_rng_below(&r, MOST);
        draw(&r, round % 6, &m, n);
        double coverage = 0.05 + 0.95 * ds_rng_uniform(&r);
        resample_slowly(&m, NULL, n, coverage, (uint64_t)round, values);
        ds_answers a = answers_of(&m, n);
        ds_bootstrap b = ds_bootstrap_of(&a, NULL, coverage, REPLICATES, level, (uint64_t)round);
        check_bootstrap(values, level, &b);
    }
}

static double p_of(const double *differences)
{
    double below = 0, above = 0;
    for (int r = 0; r < REPLICATES; r++) {
        below += differences[r] <= 0 ? 1 : 0;
        above += differences[r] >= 0 ? 1 : 0;
    }
    return fmin(1, 2 * (fmin(below, above) + 1) / (REPLICATES + 1));
}

static void pairs_equal_the_slow_way(void **state)
{
    (void)state;
    ds_rng r = ds_rng_make(52, 0, 0);
    for (int round = 0; round < 72; round++) {
        model a, b;
        double values[FIGURES * REPLICATES];
        size_t n = 1 + (size_t)ds_rng_below(&r, MOST);
        draw(&r, round % 6, &a, n);
        draw(&r, round / 6 % 6, &b, n);
        double coverage = (double[]){0.05, 0.5, 0.8, 1}[round % 4];
        resample_slowly(&a, &b, n, coverage, (uint64_t)round, values);
        ds_answers x = answers_of(&a, n), y = answers_of(&b, n);
        ds_bootstrap p = ds_bootstrap_of(&x, &y, coverage, REPLICATES, 0.9, (uint64_t)round);
        check_bootstrap(values, 0.9, &p);
        assert_true(fabs(p.p_aurc - p_of(values)) < 1e-12);
    }
}

/* Of the four resamples of two images three hold the first, of which the models disagree: a is right there. */
static void risks_of_two_images_by_hand(void **state)
{
    (void)state;
    double confidence[] = {0.9, 0.1}, nan[] = {NAN, NAN}, one[] = {NAN, 0.5};
    bool first_right[] = {false, true}, first_wrong[] = {true, false};
    const ds_answers a = {.n = 2, .confidences = confidence, .wrong = first_right},
                     b = {.n = 2, .confidences = confidence, .wrong = first_wrong},
                     none = {.n = 2, .confidences = nan, .wrong = first_right},
                     half = {.n = 2, .confidences = one, .wrong = first_right};
    ds_interval v = ds_bootstrap_of(&a, &b, 0.5, 2000, 0.2, 7).risk;
    assert_true(v.low == -1 && v.high == -1);
    v = ds_bootstrap_of(&a, &b, 0.5, 2000, 0.6, 7).risk;
    assert_true(v.low == -1 && v.high == 1);
    v = ds_bootstrap_of(&a, &a, 0.5, 2000, 0.95, 7).risk;
    assert_true(v.low == 0 && v.high == 0);
    v = ds_bootstrap_of(&none, &a, 1, 100, 0.9, 7).risk; /* undefined in every resample */
    assert_true(isnan(v.low) && isnan(v.high));
    v = ds_bootstrap_of(&half, NULL, 1, 100, 0.9, 7).risk; /* in some: they are left out */
    assert_true(v.low == 1 && v.high == 1);
}

/* ---- what the numbers mean ---- */

enum { MANY = 2000 };

static void draw_many(double *confidence, bool *wrong, double skill)
{
    ds_rng r = ds_rng_make(54, 0, 0), noise = ds_rng_make(55, 0, 0);
    for (int i = 0; i < MANY; i++) {
        wrong[i] = ds_rng_uniform(&r) < 0.2;
        confidence[i] = ds_rng_normal(&noise) - (wrong[i] ? skill : 0);
    }
}

static void intervals_have_the_right_width(void **state)
{
    (void)state;
    static double confidence[MANY];
    static bool wrong[MANY];
    draw_many(confidence, wrong, 1);
    size_t right = 0;
    for (int i = 0; i < MANY; i++)
        right += !wrong[i];
    const ds_answers a = {.n = MANY, .confidences = confidence, .wrong = wrong};
    ds_bootstrap b = ds_bootstrap_of(&a, NULL, 1, 2000, 0.95, 3);
    ds_interval exact = ds_rate_interval(right, MANY, 0.95);
    double width = exact.high - exact.low;
    assert_true(fabs(b.accuracy.low - exact.low) < 0.1 * width);
    assert_true(fabs(b.accuracy.high - exact.high) < 0.1 * width);
    /* Hanley and McNeil 1982: the standard error for normal scores one deviation apart, 400 of 2000 wrong */
    assert_true(fabs(b.auroc.high - b.auroc.low - 2 * 1.96 * 0.0132) < 0.005);
    assert_true(b.aurc.low < b.aurc.high && b.eaurc.low > 0 && b.augrc.high < 0.1);
}

static void better_models_are_told_apart(void **state)
{
    (void)state;
    static double good[MANY], poor[MANY];
    static bool wrong[MANY];
    draw_many(poor, wrong, 0.5);
    draw_many(good, wrong, 1);
    const ds_answers a = {.n = MANY, .confidences = good, .wrong = wrong},
                     b = {.n = MANY, .confidences = poor, .wrong = wrong};
    ds_bootstrap p = ds_bootstrap_of(&a, &b, 1, 500, 0.95, 3),
                 same = ds_bootstrap_of(&a, &a, 1, 500, 0.95, 3);
    assert_true(p.aurc.high < 0 && p.auroc.low > 0 && p.p_aurc == 2.0 / 501);
    assert_true(p.accuracy.low == 0 && p.accuracy.high == 0);
    assert_true(same.p_aurc == 1 && same.aurc.low == 0 && same.aurc.high == 0);
}

static void threads_and_seeds(void **state)
{
    (void)state;
    static double confidence[MANY];
    static bool wrong[MANY];
    draw_many(confidence, wrong, 1);
    const ds_answers a = {.n = MANY, .confidences = confidence, .wrong = wrong};
    ds_bootstrap first = ds_bootstrap_of(&a, NULL, 1, 50, 0.9, 3), other;
#ifdef _OPENMP
    int before = omp_get_max_threads();
    for (int threads = 1; threads < 6; threads++) {
        omp_set_num_threads(threads);
        other = ds_bootstrap_of(&a, NULL, 1, 50, 0.9, 3);
        assert_memory_equal(&first, &other, offsetof(ds_bootstrap, p_aurc));
    }
    omp_set_num_threads(before);
#endif
    other = ds_bootstrap_of(&a, NULL, 1, 50, 0.9, 4);
    assert_true(first.aurc.low != other.aurc.low && first.auroc.high != other.auroc.high);
}

static void assert_undefined(ds_interval i)
{
    assert_true(isnan(i.low) && isnan(i.high));
}

static void edges(void **state)
{
    (void)state;
    double confidence[] = {0.5, 0.6};
    bool wrong[] = {true, false};
    ds_answers a = {.n = 2, .confidences = confidence, .wrong = wrong}, none = {0};
    ds_bootstrap b = ds_bootstrap_of(&none, NULL, 1, 10, 0.95, 1);
    assert_undefined(b.aurc);
    assert_undefined(b.accuracy);
    b = ds_bootstrap_of(&none, &none, 1, 10, 0.95, 1);
    assert_true(isnan(b.p_aurc) && b.replicates == 0);
    assert_undefined(ds_bootstrap_of(&a, NULL, 1, 0, 0.95, 1).accuracy);
    /* a resample has an auroc only when it holds both images, and then it is 1 */
    b = ds_bootstrap_of(&a, NULL, 1, 200, 0.95, 1);
    assert_true(b.auroc.low == 1 && b.auroc.high == 1 && b.accuracy.low == 0 && b.accuracy.high == 1);
    a.n = 1;
    b = ds_bootstrap_of(&a, NULL, 1, 10, 0.95, 1);
    assert_undefined(b.auroc);
    assert_true(b.aurc.low == 1 && b.accuracy.high == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_model_equals_the_slow_way),
        cmocka_unit_test(pairs_equal_the_slow_way),
        cmocka_unit_test(risks_of_two_images_by_hand),
        cmocka_unit_test(intervals_have_the_right_width),
        cmocka_unit_test(better_models_are_told_apart),
        cmocka_unit_test(threads_and_seeds),
        cmocka_unit_test(edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
