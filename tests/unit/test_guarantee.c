#include "base/rng.h"
#include "select/select.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/resource.h>
#include <cmocka.h>

static ds_curve curve_of(const double *confidence, const bool *wrong, size_t n)
{
    return ds_curve_of(confidence, wrong, n);
}

static ds_guarantee guarantee_of(const double *confidence, const bool *wrong, size_t n, double risk,
                                 double delta)
{
    ds_curve c = curve_of(confidence, wrong, n);
    ds_guarantee g = ds_guarantee_at(&c, risk, delta);
    ds_curve_clear(&c);
    return g;
}

static void assert_nothing_accepted(const ds_guarantee *g)
{
    assert_false(g->feasible);
    assert_true(g->cut.threshold == INFINITY && g->cut.accepted == 0 && g->cut.errors == 0);
    assert_true(isnan(g->cut.risk));
}

/* ---- against the definition, word by word ---- */

static int by_confidence(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y))
        return isnan(x) - isnan(y);
    return (x < y) - (x > y);
}

/* The sum of the probabilities of 0 … k. */
static double tail(size_t k, size_t m, double p)
{
    double sum = 0;
    for (size_t j = 0; j <= k; j++)
        sum += exp(lgamma((double)m + 1) - lgamma((double)j + 1) - lgamma((double)(m - j) + 1) +
                   (double)j * log(p) + (double)(m - j) * log1p(-p));
    return sum;
}

/* The largest number of accepted images that passes, 0 for none. */
static size_t by_definition(const double *confidence, const bool *wrong, size_t n, double risk, double delta)
{
    double sorted[400];
    size_t best = 0, step = n / 100 > 1 ? n / 100 : 1;
    size_t m0 = (size_t)ceil(log(delta / 4) / log(1 - risk));
    memcpy(sorted, confidence, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_confidence);
    for (int s = 0; s < 4; s++)
        for (size_t rank = m0 << s; rank <= n && !isnan(sorted[rank - 1]); rank += step) {
            size_t accepted = 0, errors = 0;
            for (size_t i = 0; i < n; i++)
                if (confidence[i] >= sorted[rank - 1]) {
                    accepted++;
                    errors += wrong[i];
                }
            if (tail(errors, accepted, risk) > delta / 4)
                break;
            best = accepted > best ? accepted : best;
        }
    return best;
}

/* Surer images are wrong less often; `kind` 0: continuous, 1: tied in tens, 2: ties of all sizes and NaN. */
static void draw(ds_rng *r, int kind, double *confidence, bool *wrong, size_t n)
{
    double top = 0.5 * ds_rng_uniform(r);
    for (size_t i = 0; i < n; i++) {
        double u = ds_rng_uniform(r);
        wrong[i] = ds_rng_uniform(r) < top * (1 - u);
        confidence[i] = kind == 0 ? u : kind == 1 ? ceil(u * (double)n / 10) : floor(9 * u * u);
        if (kind == 2 && ds_rng_below(r, 10) == 0)
            confidence[i] = NAN;
    }
}

static void chains_follow_the_definition(void **state)
{
    (void)state;
    ds_rng r = ds_rng_make(21, 0, 0);
    int feasible = 0, rounds = 600;
    for (int round = 0; round < rounds; round++) {
        double confidence[400], risk = 0.02 + 0.3 * ds_rng_uniform(&r), delta = 0.4 * ds_rng_uniform(&r);
        bool wrong[400];
        size_t n = 1 + (size_t)ds_rng_below(&r, 400);
        draw(&r, round % 3, confidence, wrong, n);
        ds_guarantee g = guarantee_of(confidence, wrong, n, risk, delta);
        size_t accepted = by_definition(confidence, wrong, n, risk, delta), counted = 0;
        assert_int_equal(g.cut.accepted, accepted);
        assert_int_equal(g.feasible, accepted > 0);
        for (size_t i = 0; i < n; i++)
            counted += ds_accepts(confidence[i], g.cut.threshold);
        assert_int_equal(counted, accepted);
        feasible += g.feasible;
    }
    assert_in_range(feasible, rounds / 5, rounds * 4 / 5);
}

static void what_would_be_feasible(void **state)
{
    (void)state;
    ds_rng r = ds_rng_make(22, 0, 0);
    int found = 0;
    for (int round = 0; round < 60; round++) {
        double confidence[300], asked = 0.0005 + 0.02 * ds_rng_uniform(&r);
        bool wrong[300];
        size_t n = 1 + (size_t)ds_rng_below(&r, 300);
        draw(&r, round % 3, confidence, wrong, n);
        ds_guarantee g = guarantee_of(confidence, wrong, n, asked, 0.1);
        if (g.feasible) {
            assert_true(g.feasible_risk == asked);
            continue;
        }
        /* three digits, none of them feasible before it */
        double unit = 100000, before = asked;
        for (double i = 50; i < unit; i += i < 1000 ? 1 : i < 10000 ? 10 : 100) {
            if (i / unit <= asked)
                continue;
            bool feasible = by_definition(confidence, wrong, n, i / unit, 0.1) > 0;
            assert_int_equal(feasible, i / unit == g.feasible_risk);
            if (feasible) {
                found++;
                assert_true(guarantee_of(confidence, wrong, n, g.feasible_risk, 0.1).feasible);
                g = guarantee_of(confidence, wrong, n, before, 0.1);
                assert_true(!g.feasible && g.feasible_risk == i / unit);
                break;
            }
            before = i / unit;
        }
    }
    assert_true(found > 20);
}

/* ---- edges ---- */

static void too_few_images(void **state)
{
    (void)state;
    ds_guarantee g = guarantee_of(NULL, NULL, 0, 0.05, 0.1);
    assert_nothing_accepted(&g);
    assert_true(isnan(g.cut.coverage) && isnan(g.feasible_risk));
    g = guarantee_of((double[]){0.5}, (bool[]){false}, 1, 0.05, 0.1);
    assert_nothing_accepted(&g);
    assert_true(g.cut.coverage == 0 && g.feasible_risk == 0.976);
    g = guarantee_of((double[]){0.5}, (bool[]){false}, 1, 0.976, 0.1);
    assert_true(g.feasible && g.cut.accepted == 1 && g.cut.threshold == 0.5 && g.feasible_risk == 0.976);
    g = guarantee_of((double[]){0.5}, (bool[]){true}, 1, 0.05, 0.1);
    assert_nothing_accepted(&g);
    assert_true(isnan(g.feasible_risk));
}

static void outside_of_the_range(void **state)
{
    (void)state;
    const double odd[] = {0, 1, -0.1, 1.5, NAN};
    double confidence[100] = {0};
    bool wrong[100] = {false};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        ds_guarantee g = guarantee_of(confidence, wrong, 100, odd[i], 0.1);
        assert_nothing_accepted(&g);
        g = guarantee_of(confidence, wrong, 100, 0.5, odd[i]);
        assert_nothing_accepted(&g);
    }
    ds_guarantee g = guarantee_of(confidence, wrong, 100, 1e-300, 0.1);
    assert_nothing_accepted(&g);
    assert_true(g.feasible_risk == 0.0363); /* 1 - 0.025^(1/100) = 0.03621 */
}

/* All of one kind: right, wrong, tied, NaN. */
static void one_kind(void **state)
{
    (void)state;
    enum { N = 1000 };
    double rising[N], equal[N], none[N];
    bool right[N] = {false}, wrong[N], some[N];
    for (int i = 0; i < N; i++) {
        rising[i] = i;
        equal[i] = 0.25;
        none[i] = NAN;
        wrong[i] = true;
        some[i] = i % 100 == 0;
    }
    ds_guarantee g = guarantee_of(rising, right, N, 0.05, 0.1);
    assert_true(g.feasible && g.cut.coverage > 0.99 && g.cut.risk == 0);
    g = guarantee_of(rising, wrong, N, 0.05, 0.1);
    assert_nothing_accepted(&g);
    assert_true(isnan(g.feasible_risk));
    g = guarantee_of(equal, some, N, 0.05, 0.1);
    assert_true(g.feasible && g.cut.accepted == N && g.cut.errors == 10 && g.cut.threshold == 0.25);
    g = guarantee_of(equal, some, N, 0.01, 0.1);
    assert_nothing_accepted(&g);
    assert_true(g.feasible_risk > 0.01 && g.feasible_risk < 0.03);
    g = guarantee_of(none, right, N, 0.05, 0.1);
    assert_nothing_accepted(&g);
    assert_true(g.cut.coverage == 0 && isnan(g.feasible_risk));
}

static void nan_is_never_accepted(void **state)
{
    (void)state;
    double confidence[1000];
    bool wrong[1000] = {false};
    for (int i = 0; i < 1000; i++)
        confidence[i] = i % 2 ? NAN : 7;
    ds_guarantee g = guarantee_of(confidence, wrong, 1000, 0.05, 0.1);
    assert_true(g.feasible && g.cut.accepted == 500 && g.cut.threshold == 7 && g.cut.coverage == 0.5);
    for (int i = 0; i < 1000; i++)
        confidence[i] = i % 2 ? -INFINITY : INFINITY;
    g = guarantee_of(confidence, wrong, 1000, 0.05, 0.1);
    assert_true(g.cut.accepted == 1000 && g.cut.threshold == -INFINITY);
}

/* ---- the promise, in simulation ---- */

enum { BINS = 20 };

/* Confidences are uniform in [0, 1), or that rounded down; the error rate is constant in each twentieth, so
 * that the true risk above a threshold is known. */
typedef struct population {
    const char *name;
    double error[BINS]; /* least sure first */
    double width;       /* of a tie group; 0: no ties */
    double top;         /* confidences from here on are all equal */
} population;

static double confidence_from(const population *p, double u)
{
    if (u >= p->top)
        return p->top;
    return p->width > 0 ? floor(u / p->width + 1e-9) * p->width : u;
}

static double true_risk(const population *p, double threshold)
{
    double errors = 0;
    for (int b = 0; b < BINS; b++) {
        double low = fmax(b / (double)BINS, threshold), high = (b + 1) / (double)BINS;
        errors += high > low ? (high - low) * p->error[b] : 0;
    }
    return errors / (1 - threshold);
}

/* The true risk of the threshold found on draw number `seed`; NaN when there is none. */
static double risk_of_draw(const population *p, size_t n, double risk, double delta, uint64_t seed)
{
    double confidence[5000];
    bool wrong[5000];
    ds_rng r = ds_rng_make(31, n, seed);
    for (size_t i = 0; i < n; i++) {
        /* 32 bits for each: quick to draw, and to sort */
        uint64_t bits = ds_rng_next(&r);
        double u = (double)(bits >> 32) * 0x1p-32, v = (double)(bits & UINT32_MAX) * 0x1p-32;
        confidence[i] = confidence_from(p, u);
        wrong[i] = v < p->error[(int)(u * BINS)];
    }
    ds_curve c = ds_curve_of(confidence, wrong, n);
    ds_guarantee g = ds_guarantee_at(&c, risk, delta);
    ds_curve_clear(&c);
    return g.feasible ? true_risk(p, g.cut.threshold) : NAN;
}

typedef struct outcome {
    size_t broken, feasible;
    double risk_sum; /* true risks of the feasible */
} outcome;

static outcome simulate(const population *p, size_t n, double risk, double delta, int draws)
{
    size_t broken = 0, feasible = 0;
    double *risks = malloc((size_t)draws * sizeof *risks), sum = 0;
#pragma omp parallel for schedule(dynamic, 8)
    for (int i = 0; i < draws; i++)
        risks[i] = risk_of_draw(p, n, risk, delta, (uint64_t)i);
    for (int i = 0; i < draws; i++) {
        broken += risks[i] > risk;
        feasible += !isnan(risks[i]);
        sum += isnan(risks[i]) ? 0 : risks[i];
    }
    free(risks);
    return (outcome){broken, feasible, sum};
}

/* Error rate from (1-u)^power scaled to `most`. */
#define FALLING(most, x) (most) * (x) * (x)
#define BINS_OF(f, most)                                                                                    \
    {                                                                                                       \
        f(most, 0.975), f(most, 0.925), f(most, 0.875), f(most, 0.825), f(most, 0.775), f(most, 0.725),     \
            f(most, 0.675), f(most, 0.625), f(most, 0.575), f(most, 0.525), f(most, 0.475), f(most, 0.425), \
            f(most, 0.375), f(most, 0.325), f(most, 0.275), f(most, 0.225), f(most, 0.175), f(most, 0.125), \
            f(most, 0.075), f(most, 0.025)                                                                  \
    }
#define LINEAR(most, x) (most) * (x)
#define FLAT(most, x) (most) + 0 * (x)

static void the_promise_is_kept(void **state)
{
    (void)state;
    static const population populations[] = {
        {"falling, tied in 20 groups", BINS_OF(FALLING, 0.5), 0.05, 1},
        {"linear, half of all in one group", BINS_OF(LINEAR, 0.2), 0, 0.5},
        /* no threshold keeps the promise: each one found is a failure */
        {"just above the risk everywhere", BINS_OF(FLAT, 0.0501), 0, 1},
        {"just above the risk everywhere, 5 groups", BINS_OF(FLAT, 0.0501), 0.2, 1},
        {"just above the risk everywhere, groups of a thousandth", BINS_OF(FLAT, 0.0501), 0.001, 1},
        /* the true risk does not grow with coverage */
        {"the surest are wrong",
         {0.4,  0.4,  0.3,  0.3,  0.3,  0.2,  0.2,  0.1,  0.1,  0.06,
          0.03, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03, 0.12, 0.12},
         0,
         1},
    };
    const size_t sizes[] = {1000, 5000};
    enum { DRAWS = 2000 };
    const double risk = 0.05, delta = 0.1;
    size_t most = DRAWS;
    while (1 - ds_binomial_cdf(most - 1, DRAWS, delta) < 0.001)
        most--;
    assert_in_range(most, 230, 250);
    size_t worst = 0;
    for (size_t i = 0; i < sizeof populations / sizeof *populations; i++)
        for (int s = 0; s < 2; s++) {
            outcome o = simulate(&populations[i], sizes[s], risk, delta, DRAWS);
            if (o.broken > most)
                fail_msg("%s, n = %zu: risk above %g in %zu of %d draws, at most %zu expected",
                         populations[i].name, sizes[s], risk, o.broken, DRAWS, most);
            worst = o.broken > worst ? o.broken : worst;
        }
    /* the populations are hard enough to tell */
    assert_true(worst > DRAWS * delta / 4);
}

static void not_needlessly_cautious(void **state)
{
    (void)state;
    static const population populations[] = {
        {"falling", BINS_OF(FALLING, 0.5), 0, 1},
        {"falling, many errors", BINS_OF(FALLING, 0.9), 0, 1},
        {"linear", BINS_OF(LINEAR, 0.2), 0, 1},
    };
    enum { DRAWS = 500, N = 5000 };
    const double risk = 0.05, delta = 0.05;
    for (size_t i = 0; i < sizeof populations / sizeof *populations; i++) {
        assert_true(true_risk(&populations[i], 0) >= 2 * risk - 1e-12);
        outcome o = simulate(&populations[i], N, risk, delta, DRAWS);
        double mean = o.risk_sum / (double)o.feasible;
        if (o.feasible < 0.95 * DRAWS || mean < 0.7 * risk)
            fail_msg("%s: feasible in %zu of %d draws, mean risk %g", populations[i].name, o.feasible, DRAWS,
                     mean);
    }
}

/* ---- speed ---- */

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static void ten_million_images(void **state)
{
    (void)state;
    size_t n = 10000000;
    double *confidence = malloc(n * sizeof *confidence);
    bool *wrong = malloc(n * sizeof *wrong);
    ds_rng r = ds_rng_make(41, 0, 0);
    for (size_t i = 0; i < n; i++) {
        confidence[i] = ds_rng_uniform(&r);
        wrong[i] = ds_rng_uniform(&r) < 0.5 * (1 - confidence[i]);
    }
    double start = cpu_seconds();
    ds_curve c = curve_of(confidence, wrong, n);
    ds_areas a = ds_areas_of(&c);
    ds_guarantee g = ds_guarantee_at(&c, 0.05, 0.01), none = ds_guarantee_at(&c, 1e-9, 0.01);
    double seconds = cpu_seconds() - start;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    assert_true(g.feasible && g.cut.risk < 0.05 && g.cut.coverage > 0.18 && g.cut.coverage < 0.2);
    assert_true(!none.feasible && none.feasible_risk < 0.01 && fabs(a.augrc - 0.0833) < 0.001);
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    assert_true(seconds < 5);
    assert_true(usage.ru_maxrss < 1024 * 1024);
#else
    (void)seconds;
#endif
    ds_curve_clear(&c);
    free(confidence);
    free(wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_follow_the_definition),
        cmocka_unit_test(what_would_be_feasible),
        cmocka_unit_test(too_few_images),
        cmocka_unit_test(outside_of_the_range),
        cmocka_unit_test(one_kind),
        cmocka_unit_test(nan_is_never_accepted),
        cmocka_unit_test(the_promise_is_kept),
        cmocka_unit_test(not_needlessly_cautious),
        cmocka_unit_test(ten_million_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
