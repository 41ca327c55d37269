#include "base/rng.h"
#include "select/watch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const double alpha = 0.01, run_length = 1e6;

/* ---- errors among accepted images ---- */

/* Of a few images, step by step. */
static void wealth_follows_its_formula(void **state)
{
    (void)state;
    static const bool wrong[] = {false, true, true, false, true};
    ds_watch_risk w = {.risk = 0.1};
    double e = 1, s = 0, errors = 0;
    for (int i = 0; i < 5; i++) {
        double m = (errors + 0.1) / (i + 1), gain = m - 0.1, lambda = gain / (m * (1 - m) + gain * gain);
        lambda = lambda < 0 ? 0 : lambda > 5 ? 5 : lambda;
        double least = 0.1 / (0.2 * 0.8 + 0.01), larger = lambda > least ? lambda : least;
        e *= 1 + lambda * (wrong[i] - 0.1);
        s = (s + 1) * (1 + larger * (wrong[i] - 0.1));
        errors += wrong[i];
        ds_watch_label(&w, wrong[i], alpha, run_length);
        assert_true(fabs(exp(w.evidence.log_e) / e - 1) < 1e-12);
        assert_true(fabs(w.evidence.s / s - 1) < 1e-12);
    }
    assert_true(w.images == 5 && w.wrong == 3 && w.evidence.e_at == 0 && w.evidence.s_at == 0);
}

/* The risk of image i of a stream; none breaks a promise of 2 %. */
static double kept(int population, int i)
{
    return population == 0 ? 0.02 : population == 1 ? 0.01 : i % 400 < 200 ? 0.02 : 0.002;
}

static void a_kept_promise_raises_few_alarms(void **state)
{
    (void)state;
    enum { STREAMS = 2000, IMAGES = 3000 };
    for (int population = 0; population < 3; population++) {
        int alarms = 0, late = 0;
        for (uint64_t stream = 0; stream < STREAMS; stream++) {
            ds_rng r = ds_rng_make(7, (uint64_t)population, stream);
            ds_watch_risk w = {.risk = 0.02};
            for (int i = 0; i < IMAGES; i++)
                ds_watch_label(&w, ds_rng_uniform(&r) < kept(population, i), 0.05, 1e5);
            alarms += w.evidence.e_at > 0;
            late += w.evidence.s_at > 0;
        }
        print_message("population %d: E %d, S %d of %d\n", population, alarms, late, STREAMS);
        assert_true(alarms <= 0.05 * STREAMS);
        assert_true(late <= STREAMS * IMAGES / 1e5);
    }
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of 501 streams whose risk is `before` for `quiet` images and `after` from then on: how long E and S take. */
static void median_delays(double before, int quiet, double after, double *e, double *s)
{
    enum { STREAMS = 501 };
    double by_e[STREAMS], by_s[STREAMS];
    for (uint64_t stream = 0; stream < STREAMS; stream++) {
        ds_rng r = ds_rng_make(9, 0, stream);
        ds_watch_risk w = {.risk = 0.02};
        for (int i = 0; i < quiet + 6000; i++)
            ds_watch_label(&w, ds_rng_uniform(&r) < (i < quiet ? before : after), alpha, run_length);
        by_e[stream] = w.evidence.e_at > 0 ? w.evidence.e_at - quiet : INFINITY;
        by_s[stream] = w.evidence.s_at > 0 ? w.evidence.s_at - quiet : INFINITY;
    }
    qsort(by_e, STREAMS, sizeof *by_e, by_size);
    qsort(by_s, STREAMS, sizeof *by_s, by_size);
    *e = by_e[STREAMS / 2];
    *s = by_s[STREAMS / 2];
    print_message("from %g to %g after %d images: E %g, S %g\n", before, after, quiet, *e, *s);
}

static void a_broken_promise_is_found(void **state)
{
    (void)state;
    double e, s;
    median_delays(0, 0, 0.04, &e, &s);
    assert_true(e <= 950);
    median_delays(0.01, 20000, 0.06, &e, &s); /* late: by S */
    assert_true(s <= 1500 && e > s);
}

/* ---- scores without labels ---- */

/* A confidence of one of three populations; all are as before where `power` is 1. */
static double draw(ds_rng *r, int population, double power)
{
    const double u = pow(ds_rng_uniform(r), power);
    if (population == 0)
        return u;
    if (population == 1) /* few values, most of them equal */
        return fmin(floor(8 * u) / 4, 1);
    return u < 0.1 ? NAN : 1 - pow(1 - u, 6);
}

static void begin_score(ds_watch_score *w, ds_rng *r, int population, size_t n)
{
    double values[1000];
    for (size_t i = 0; i < n; i++)
        values[i] = draw(r, population, 1);
    ds_watch_score_begin(w, values, n, 5);
}

/* Each stream has a calibration set of its own, as small as the first. */
static void unchanged_scores_raise_few_alarms(void **state)
{
    (void)state;
    enum { STREAMS = 2000, IMAGES = 400 };
    static const size_t sizes[] = {30, 200, 500};
    for (int population = 0; population < 3; population++) {
        int alarms = 0, late = 0;
        for (uint64_t stream = 0; stream < STREAMS; stream++) {
            ds_rng r = ds_rng_make(11, (uint64_t)population, stream);
            ds_watch_score w;
            begin_score(&w, &r, population, sizes[population]);
            for (int i = 0; i < IMAGES; i++)
                ds_watch_score_add(&w, draw(&r, population, 1), stream, 0.05, 1e4);
            alarms += w.evidence.e_at > 0;
            late += w.evidence.s_at > 0;
        }
        print_message("population %d: E %d, S %d of %d\n", population, alarms, late, STREAMS);
        assert_true(alarms <= 0.05 * STREAMS);
        assert_true(late <= STREAMS * IMAGES / 1e4);
    }
}

static void changed_scores_are_found(void **state)
{
    (void)state;
    for (int population = 0; population < 3; population++)
        for (int late = 0; late < 2; late++) {
            const double quiet = late ? 2000 : 0;
            ds_rng r = ds_rng_make(13, (uint64_t)population, 0);
            ds_watch_score w;
            begin_score(&w, &r, population, 1000);
            for (int i = 0; i < quiet + 400; i++)
                ds_watch_score_add(&w, draw(&r, population, i < quiet ? 1 : 2), 1, alpha, run_length);
            print_message("population %d after %g: E %g, S %g\n", population, quiet, w.evidence.e_at,
                          w.evidence.s_at);
            assert_true(w.evidence.s_at > quiet);
            assert_true(late || w.evidence.e_at > 0);
        }
}

/* Money is neither made nor lost: the factors of a bet, weighted by the bins' probabilities, sum to 1. */
static void bets_are_fair(void **state)
{
    (void)state;
    ds_rng r = ds_rng_make(17, 0, 0);
    ds_watch_score w, after;
    begin_score(&w, &r, 0, 120);
    assert_true(w.bins == DS_WATCH_BINS && w.calib == 120);
    for (int i = 0; i < 200; i++) {
        double mean[DS_WATCH_BETS] = {0}, sum = 0;
        for (int k = 0; k < DS_WATCH_BINS; k++) {
            const double p = (w.gaps[k] + w.counts[k]) / (w.calib + 1 + w.images);
            after = w;
            const double inside = k == 0                   ? w.bound[0] / 2
                                  : k + 1 == DS_WATCH_BINS ? w.bound[k - 1] + 1
                                                           : (w.bound[k - 1] + w.bound[k]) / 2;
            ds_watch_score_add(&after, inside, 1, alpha, run_length);
            assert_true(after.counts[k] == w.counts[k] + 1);
            sum += p;
            for (int b = 0; b < DS_WATCH_BETS; b++)
                mean[b] += p * exp(after.log_e[b] - w.log_e[b]);
        }
        assert_true(fabs(sum - 1) < 1e-12);
        for (int b = 0; b < DS_WATCH_BETS; b++)
            assert_true(fabs(mean[b] - 1) < 1e-12);
        ds_watch_score_add(&w, draw(&r, 0, 1.5), 1, alpha, run_length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wealth_follows_its_formula),
        cmocka_unit_test(a_kept_promise_raises_few_alarms),
        cmocka_unit_test(a_broken_promise_is_found),
        cmocka_unit_test(bets_are_fair),
        cmocka_unit_test(unchanged_scores_raise_few_alarms),
        cmocka_unit_test(changed_scores_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
