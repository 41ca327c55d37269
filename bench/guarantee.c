/* How much coverage does a promise cost? Mean true coverage of thresholds found on draws of calibration
 * images from populations whose risk above each threshold is known: ours against four other methods, each
 * written again here from its paper. Usage: guarantee [DRAWS]; a table in Markdown to standard output. */
#include "base/memory.h"
#include "base/rng.h"
#include "select/select.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BINS = 20 };

/* Images have u in [0, 1), uniform; an image of the share x = 1-u of surer ones is wrong at a rate that is
 * constant in each twentieth, error(x) at its middle. The confidence grows with u. */
typedef struct population {
    const char *name;
    double (*error)(double x);
    double width; /* of a group of equal confidences; 0: none */
    double top;   /* u from here on have equal confidences */
    size_t n;
    double risk, delta;
} population;

static double smooth(double x)
{
    return 0.5 * x * x;
}
static double linear(double x)
{
    return 0.2 * x;
}
static double steep(double x)
{
    return 0.3 * x * x * x;
}
static double mistakes(double x)
{
    return x < 0.05 ? 0.08 : 0.4 * x * x;
}
static double clothes(double x) /* the demo's network, roughly */
{
    return x < 0.65 ? 0.004 : x < 0.75 ? 0.04 : x < 0.85 ? 0.11 : x < 0.95 ? 0.25 : 0.45;
}
static double flat(double x)
{
    return 0.03 + 0 * x;
}
static double surest_worst(double x)
{
    return 0.08 * (1 - x);
}
static double hump(double x)
{
    return x < 0.2 ? 0.01 : x < 0.3 ? 0.2 : x < 0.7 ? 0.01 : 0.3;
}
static double none(double x)
{
    return 0 * x;
}

static const population populations[] = {
    {"errors fall with confidence", smooth, 0, 1, 1000, 0.05, 0.1},
    {"the same", smooth, 0, 1, 5000, 0.05, 0.1},
    {"the same, tied in 20 groups", smooth, 0.05, 1, 1000, 0.05, 0.1},
    {"the same", smooth, 0.05, 1, 5000, 0.05, 0.1},
    {"half of all tied at the top", linear, 0, 0.5, 5000, 0.05, 0.1},
    {"few images for the risk", steep, 0, 1, 500, 0.02, 0.1},
    {"many images, a low delta", smooth, 0, 1, 10000, 0.02, 0.001},
    {"as the demo's network", clothes, 0, 1, 10000, 0.02, 0.001},
    {"the same", clothes, 0, 1, 1000, 0.05, 0.05},
    {"confident mistakes", mistakes, 0, 1, 5000, 0.05, 0.1},
    {"the same", mistakes, 0, 1, 1000, 0.05, 0.1},
    {"the surest are the worst", surest_worst, 0, 1, 2000, 0.05, 0.1},
    {"confidence tells nothing", flat, 0, 1, 1000, 0.05, 0.1},
    {"no errors", none, 0, 1, 1000, 0.05, 0.1},
    {"errors fall, rise, fall and rise", hump, 0, 1, 5000, 0.05, 0.1},
};

/* The u from which on images have the confidence of u. */
static double group_of(const population *p, double u)
{
    u = fmin(u, p->top);
    return p->width > 0 ? floor(u / p->width + 1e-9) * p->width : u;
}

/* As those of trained networks, confidences crowd near 1: this matters to MAPIE alone. */
static double confidence_of(double u)
{
    return 1 - pow(1 - u, 4);
}

static double uniform(double confidence)
{
    return 1 - pow(1 - confidence, 0.25);
}

static double true_risk(const population *p, double u)
{
    double errors = 0;
    for (int b = 0; b < BINS; b++) {
        double low = fmax(b / (double)BINS, u), high = (b + 1) / (double)BINS;
        errors += high > low ? (high - low) * p->error(1 - (b + 0.5) / BINS) : 0;
    }
    return errors / (1 - u);
}

/* ---- the methods: groups of the curve that are accepted, 0 for none ---- */

static bool passes(const ds_curve *c, size_t groups, double risk, double level)
{
    return ds_binomial_cdf(c->errors[groups - 1], c->accepted[groups - 1], risk) <= level;
}

static size_t ours(const ds_curve *c, double risk, double delta)
{
    ds_guarantee g = ds_guarantee_at(c, risk, delta);
    return g.feasible ? ds_curve_groups_of(c, (double)g.cut.accepted) : 0;
}

/* Learn-then-Test by one fixed sequence (Angelopoulos et al. 2021), from the fewest that can pass on. */
static size_t single_chain(const ds_curve *c, double risk, double delta)
{
    size_t best = 0, step = c->n < 200 ? 1 : c->n / 100;
    for (size_t rank = (size_t)ceil(log(delta) / log1p(-risk)); rank <= c->n; rank += step) {
        size_t groups = ds_curve_groups_of(c, (double)rank);
        if (!passes(c, groups, risk, delta))
            break;
        best = groups;
    }
    return best;
}

/* SGR (Geifman & El-Yaniv 2017): binary search over ranks, each at delta / steps. */
static size_t sgr(const ds_curve *c, double risk, double delta)
{
    size_t best = 0, low = 1, high = c->n;
    int steps = (int)ceil(log2((double)c->n));
    for (int i = 0; i < steps; i++) {
        size_t middle = (low + high + 1) / 2, groups = ds_curve_groups_of(c, (double)middle);
        bool pass = passes(c, groups, risk, delta / steps);
        best = pass && groups > best ? groups : best;
        *(pass ? &low : &high) = middle;
    }
    return best;
}

/* Exact (Clopper-Pearson) tests of 100 coverages, each at delta / 100. */
static size_t bonferroni(const ds_curve *c, double risk, double delta)
{
    for (int i = 100; i > 0; i--) {
        size_t groups = ds_curve_groups_of(c, (double)c->n * i / 100);
        if (passes(c, groups, risk, delta / 100))
            return groups;
    }
    return 0;
}

/* MAPIE 1's "fixed_sequence": thresholds .99, .98, ..., 0 until the first that fails. */
static size_t mapie(const ds_curve *c, double risk, double delta)
{
    size_t best = 0, groups = 0;
    for (int i = 99; i >= 0; i--) {
        while (groups < c->groups && c->threshold[groups] >= i / 100.0)
            groups++;
        if (!groups || !passes(c, groups, risk, delta))
            break;
        best = groups;
    }
    return best;
}

/* The same for confidences that are spread evenly. */
static size_t mapie_even(const ds_curve *c, double risk, double delta)
{
    ds_curve even = *c;
    DS_ALLOC(even.threshold, c->groups);
    for (size_t g = 0; g < c->groups; g++)
        even.threshold[g] = uniform(c->threshold[g]);
    size_t groups = mapie(&even, risk, delta);
    free(even.threshold);
    return groups;
}

enum { METHODS = 6 };
static size_t (*const methods[METHODS])(const ds_curve *, double,
                                        double) = {ours, single_chain, sgr, bonferroni, mapie, mapie_even};

/* ---- draws ---- */

static ds_curve draw(const population *p, int number, double *u)
{
    double *confidence = malloc(p->n * sizeof *confidence);
    bool *wrong = malloc(p->n * sizeof *wrong);
    ds_rng r = ds_rng_make(51, (uint64_t)(p - populations), (uint64_t)number);
    for (size_t i = 0; i < p->n; i++) {
        u[i] = ds_rng_uniform(&r);
        wrong[i] = ds_rng_uniform(&r) < p->error(1 - (floor(u[i] * BINS) + 0.5) / BINS);
        u[i] = group_of(p, u[i]);
        confidence[i] = confidence_of(u[i]);
    }
    ds_curve c = ds_curve_of(confidence, wrong, p->n);
    free(confidence);
    free(wrong);
    return c;
}

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static void row(const population *p, int draws)
{
    double coverage[METHODS] = {0}, broken[METHODS] = {0}, best = 0;
#pragma omp parallel for schedule(dynamic, 8) reduction(+ : coverage, broken)
    for (int i = 0; i < draws; i++) {
        double *u = malloc(p->n * sizeof *u);
        ds_curve c = draw(p, i, u);
        qsort(u, p->n, sizeof *u, falling);
        for (int m = 0; m < METHODS; m++) {
            size_t groups = methods[m](&c, p->risk, p->delta);
            if (!groups)
                continue;
            double least = u[c.accepted[groups - 1] - 1];
            coverage[m] += (1 - least) / draws;
            broken[m] += (true_risk(p, least) > p->risk + 1e-12) / (double)draws;
        }
        ds_curve_clear(&c);
        free(u);
    }
    for (int m = 0; m < METHODS; m++)
        best = fmax(best, coverage[m]);
    printf("| %s | %zu | %g | %g |", p->name, p->n, p->risk, p->delta);
    for (int m = 0; m < METHODS; m++)
        printf(" %.3f (%.3f) |", coverage[m], broken[m]);
    printf(" %.3f |\n", coverage[0] - best);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int draws = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 2000;
    puts("| population | n | R | D | ours | single chain | SGR | Bonferroni | MAPIE | MAPIE, even | ours - "
         "best |\n"
         "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (size_t i = 0; i < sizeof populations / sizeof *populations; i++)
        row(&populations[i], draws);
    return 0;
}
