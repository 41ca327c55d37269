#include "base/rng.h"
#include "select/answers.h"
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

static double fewest(double risk, double level)
{
    return ceil(log(level) / log(1 - risk));
}

/* The level that comes in with the n-th image of `of`. */
static double level_at(size_t n, size_t of, double risk, double delta)
{
    double level = n == of ? delta / 20 : 0;
    int k = 1;
    while (fewest(risk, 0.95 * delta / (k + 1)) * pow(2, k) <= (double)of / 2)
        k++;
    for (int s = 0; s < k; s++)
        level += (double)n == fewest(risk, 0.95 * delta / k) * pow(2, s) ? 0.95 * delta / k : 0;
    return level;
}

/* The largest number of accepted images that passes, 0 for none. Image by image: `due` tells how many are
 * still to come before the next cut, where the last one has passed. */
static size_t by_definition(const double *confidence, const bool *wrong, size_t n, double risk, double delta)
{
    double sorted[400], level = 0;
    size_t best = 0, numbers = 0, due = 0, done = 0;
    memcpy(sorted, confidence, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_confidence);
    while (numbers < n && !isnan(sorted[numbers]))
        numbers++;
    for (size_t rank = 1; rank <= numbers; rank++) {
        bool starts = level_at(rank, numbers, risk, delta) > 0, step = level > 0 && --due == 0;
        if (!starts && !step)
            continue;
        due = numbers / 200 > 1 ? numbers / 200 : 1;
        if (rank <= done)
            continue; /* of the group that was tried last */
        size_t accepted = 0, errors = 0;
        for (size_t i = 0; i < n; i++)
            if (confidence[i] >= sorted[rank - 1]) {
                accepted++;
                errors += wrong[i];
            }
        for (size_t i = done + 1; i <= accepted; i++)
            level += level_at(i, numbers, risk, delta);
        done = accepted;
        if (tail(errors, accepted, risk) <= level)
            best = accepted;
        else
            level = 0;
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
    assert_true(g.cut.coverage == 0 && g.feasible_risk == 0.905); /* 1 - 0.095 */
    g = guarantee_of((double[]){0.5}, (bool[]){false}, 1, 0.905, 0.1);
    assert_true(g.feasible && g.cut.accepted == 1 && g.cut.threshold == 0.5 && g.feasible_risk == 0.905);
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
    assert_true(g.feasible_risk == 0.0233); /* 1 - 0.095^(1/100) = 0.02326 */
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

/* The threshold found on draw number `seed`; NaN when there is none. */
static double threshold_of_draw(const population *p, size_t n, double risk, double delta, uint64_t seed)
{
    double confidence[10000];
    bool wrong[10000];
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
    return g.feasible ? g.cut.threshold : NAN;
}

/* What is promised of n images, and the mean true coverage that it must not cost. */
typedef struct setting {
    population p;
    size_t n;
    double risk, delta, least;
} setting;

enum { DRAWS = 2000 };

/* Fails when there are too many broken promises or too little is accepted; returns the share that is
 * broken. */
static double simulate(const setting *s)
{
    double thresholds[DRAWS], coverage = 0;
    size_t broken = 0, most = DRAWS;
#pragma omp parallel for schedule(dynamic, 8)
    for (int i = 0; i < DRAWS; i++)
        thresholds[i] = threshold_of_draw(&s->p, s->n, s->risk, s->delta, (uint64_t)i);
    for (int i = 0; i < DRAWS; i++)
        if (!isnan(thresholds[i])) {
            broken += true_risk(&s->p, thresholds[i]) > s->risk;
            coverage += (1 - thresholds[i]) / DRAWS;
        }
    while (1 - ds_binomial_cdf(most - 1, DRAWS, s->delta) < 0.001)
        most--;
    if (broken > most || coverage < s->least)
        fail_msg(
            "%s, n = %zu: risk above %g in %zu of %d draws, at most %zu expected; mean coverage %.4f, at "
            "least %g expected",
            s->p.name, s->n, s->risk, broken, DRAWS, most, coverage, s->least);
    return (double)broken / DRAWS;
}

/* The error rates of the twentieths, least sure first, from f(x), x the share of surer images. */
#define BINS_OF(f)                                                                                          \
    {                                                                                                       \
        f(0.975), f(0.925), f(0.875), f(0.825), f(0.775), f(0.725), f(0.675), f(0.625), f(0.575), f(0.525), \
            f(0.475), f(0.425), f(0.375), f(0.325), f(0.275), f(0.225), f(0.175), f(0.125), f(0.075),       \
            f(0.025)                                                                                        \
    }
#define FALLING(x) 0.5 * (x) * (x)
#define STEEP(x) 0.3 * (x) * (x) * (x)
#define LINEAR(x) 0.2 * (x)
#define ABOVE(x) 0.0501 + 0 * (x)
#define BELOW(x) 0.03 + 0 * (x)
#define MISTAKES(x) ((x) < 0.05 ? 0.08 : 0.4 * (x) * (x))
#define HUMP(x) ((x) < 0.2 ? 0.01 : (x) < 0.3 ? 0.2 : (x) < 0.7 ? 0.01 : 0.3)
/* the true risk does not grow with coverage */
#define WORST_FIRST(x) ((x) < 0.1 ? 0.12 : (x) < 0.5 ? 0.03 : 0.4 * (x))

static void the_promise_is_kept(void **state)
{
    (void)state;
    static const setting settings[] = {
        {{"falling", BINS_OF(FALLING), 0, 1}, 1000, 0.05, 0.1, 0.43},
        {{"falling", BINS_OF(FALLING), 0, 1}, 5000, 0.05, 0.1, 0.5},
        {{"falling, tied in 20 groups", BINS_OF(FALLING), 0.05, 1}, 1000, 0.05, 0.1, 0.42},
        {{"linear, half of all in one group", BINS_OF(LINEAR), 0, 0.5}, 1000, 0.05, 0.1, 0.03},
        {{"linear, half of all in one group", BINS_OF(LINEAR), 0, 0.5}, 5000, 0.05, 0.1, 0.03},
        {{"few images for the risk", BINS_OF(STEEP), 0, 1}, 500, 0.02, 0.1, 0.34},
        {{"many images, a low delta", BINS_OF(STEEP), 0, 1}, 10000, 0.02, 0.001, 0.56},
        {{"confident mistakes", BINS_OF(MISTAKES), 0, 1}, 5000, 0.05, 0.1, 0.47},
        {{"just below the risk everywhere", BINS_OF(BELOW), 0, 1}, 1000, 0.05, 0.1, 0.6},
        {{"rising and falling", BINS_OF(HUMP), 0, 1}, 2000, 0.05, 0.1, 0.2},
        {{"the surest are wrong", BINS_OF(WORST_FIRST), 0, 1}, 1000, 0.05, 0.1, 0},
        /* no threshold keeps the promise: each one found is a failure */
        {{"just above the risk everywhere", BINS_OF(ABOVE), 0, 1}, 1000, 0.05, 0.1, 0},
        {{"just above the risk everywhere", BINS_OF(ABOVE), 0, 1}, 5000, 0.05, 0.1, 0},
        {{"just above the risk everywhere, 5 groups", BINS_OF(ABOVE), 0.2, 1}, 1000, 0.05, 0.1, 0},
        {{"just above the risk everywhere, tied by the thousandth", BINS_OF(ABOVE), 0.001, 1},
         5000,
         0.05,
         0.1,
         0},
    };
    double worst = 0;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        worst = fmax(worst, simulate(&settings[i]) / settings[i].delta);
    /* the populations are hard enough to tell */
    assert_true(worst > 0.5);
}

/* Answers of 20 to 1: each class has its own error rates and its own risk; the last is never the answer. */
static void promises_by_class_are_kept(void **state)
{
    (void)state;
    static const population classes[] = {
        {"many", BINS_OF(FALLING), 0, 1}, {"rare", BINS_OF(ABOVE), 0, 1}, {"fewer", BINS_OF(LINEAR), 0, 1}};
    static const double risks[] = {0.05, 0.05, 0.12, 0.05}, delta = 0.2;
    enum { N = 2000, CLASSES = 4, TRIES = 1000 };
    int broken = 0, found[CLASSES] = {0};
#pragma omp parallel for schedule(dynamic, 8) reduction(+ : broken, found)
    for (int i = 0; i < TRIES; i++) {
        double confidence[N], thresholds[CLASSES];
        bool wrong[N], bad = false;
        int answer[N];
        ds_class_promise p[CLASSES];
        ds_rng r = ds_rng_make(33, 0, (uint64_t)i);
        for (int k = 0; k < N; k++) {
            uint64_t kind = ds_rng_below(&r, 21);
            answer[k] = kind == 0 ? 1 : kind < 8 ? 2 : 0;
            confidence[k] = ds_rng_uniform(&r);
            wrong[k] = ds_rng_uniform(&r) < classes[answer[k]].error[(int)(confidence[k] * BINS)];
        }
        const ds_answers a = {
            .n = N, .confidences = confidence, .wrong = wrong, .predictions = answer, .classes = CLASSES};
        for (int c = 0; c < CLASSES; c++)
            p[c] = (ds_class_promise){.risk = risks[c]};
        ds_promise_by_class(&a, delta, p, thresholds);
        for (int c = 0; c < CLASSES; c++) {
            found[c] += p[c].found.feasible;
            bad = bad || (p[c].found.feasible && true_risk(&classes[c], thresholds[c]) > risks[c]);
        }
        broken += bad;
    }
    assert_true(1 - ds_binomial_cdf((size_t)broken - 1, TRIES, delta) > 0.001);
    assert_true(broken > TRIES / 50 && found[0] > TRIES * 0.9 && found[2] > TRIES * 0.9 && found[3] == 0);
}

/* a: three right answers and no promise; b: twenty right ones; c: none. */
static void promises_class_by_class(void **state)
{
    (void)state;
    double confidence[23], thresholds[3];
    bool wrong[23] = {false};
    int answer[23] = {0};
    for (int i = 0; i < 23; i++) {
        confidence[i] = i < 3 ? 0.1 : 0.5 + i / 100.0;
        answer[i] = i >= 3;
    }
    const ds_answers a = {
        .n = 23, .confidences = confidence, .wrong = wrong, .predictions = answer, .classes = 3};
    ds_class_promise p[3] = {{.risk = NAN}, {.risk = 0.15}, {.risk = 0.5}};
    assert_int_equal(ds_promise_by_class(&a, 0.2, p, thresholds), 1);
    assert_true(thresholds[0] == -INFINITY && p[0].answered == 3 && p[0].found.cut.accepted == 3);
    assert_true(p[1].found.feasible && p[1].answered == 20 && thresholds[1] == 0.53);
    assert_true(!p[2].found.feasible && thresholds[2] == INFINITY && isnan(p[2].found.feasible_risk));
    /* at a third of delta 20 right answers are too few: .85^19 = .046 > .95 .1/3 */
    p[0].risk = 0.15;
    assert_int_equal(ds_promise_by_class(&a, 0.1, p, thresholds), 0);
    assert_true(p[1].found.feasible_risk > 0.15 && p[1].found.feasible_risk < 0.17);
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
    assert_true(seconds < 15); /* 1 on a quiet machine */
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
        cmocka_unit_test(promises_by_class_are_kept),
        cmocka_unit_test(promises_class_by_class),
        cmocka_unit_test(ten_million_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
