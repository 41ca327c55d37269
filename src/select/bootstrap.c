#include "base/rng.h"
#include "select/figures.h"

enum { AURC, EAURC, AUGRC, AUROC, ACCURACY, RISK, FIGURES };

/* Images by cell: 2 x group + wrong, groups of equal confidence, surest first, NaN last. All that the figures
 * need of a resample is the number of images in each cell, so that nothing is sorted again. */
typedef struct sample {
    size_t n, groups; /* groups with the NaN one */
    uint32_t *cell;   /* n */
} sample;

static sample sample_of(const ds_answers *a)
{
    DS_FINALLY(ds_curve_clear) ds_curve c = ds_curve_of(a->confidences, a->wrong, a->n);
    sample s = {.n = a->n, .groups = c.groups + 1};
    DS_ALLOC(s.cell, a->n);
    for (size_t i = 0; i < a->n; i++) {
        double confidence = a->confidences[i];
        size_t group = isnan(confidence) ? c.groups : ds_curve_groups_at(&c, confidence) - 1;
        s.cell[i] = (uint32_t)(2 * group + a->wrong[i]);
    }
    return s;
}

/* What a thread needs for a resample: images in each cell of the samples, and a curve of the larger one. */
typedef struct scratch {
    uint32_t *count[2];
    ds_curve curve;
} scratch;

static scratch scratch_make(const sample *samples, int n_samples)
{
    scratch t = {0};
    size_t most = 0;
    for (int k = 0; k < n_samples; k++) {
        DS_ALLOC(t.count[k], 2 * samples[k].groups);
        most = samples[k].groups > most ? samples[k].groups : most;
    }
    DS_ZALLOC(t.curve.threshold, most); /* stay 0: nobody asks for them */
    DS_ALLOC(t.curve.accepted, most);
    DS_ALLOC(t.curve.errors, most);
    return t;
}

/* Replicate r, the same images of both samples: a function of (seed, r). The bias of a draw is below n /
 * 2^64. */
static void draw_counts(const sample *samples, int n_samples, uint64_t seed, int r, scratch *t)
{
    size_t n = samples[0].n;
    ds_rng rng = ds_rng_make(seed, (uint64_t)r, 0);
    for (int k = 0; k < n_samples; k++)
        memset(t->count[k], 0, 2 * samples[k].groups * sizeof *t->count[k]);
    for (size_t i = 0; i < n; i++) {
        size_t image = (size_t)((unsigned __int128)ds_rng_next(&rng) * n >> 64);
        for (int k = 0; k < n_samples; k++)
            t->count[k][samples[k].cell[image]]++;
    }
}

static void curve_of_counts(const sample *s, const uint32_t *count, ds_curve *c)
{
    size_t last = s->groups - 1, accepted = 0;
    c->n = s->n;
    c->groups = c->wrong = 0;
    for (size_t g = 0; g < last; g++) {
        if (count[2 * g] + count[2 * g + 1] == 0)
            continue;
        accepted += count[2 * g] + count[2 * g + 1];
        c->wrong += count[2 * g + 1];
        c->accepted[c->groups] = accepted;
        c->errors[c->groups++] = c->wrong;
    }
    c->n_nan = s->n - accepted;
    c->wrong += count[2 * last + 1];
}

/* Adds `sign` times the figures of a resample. values: FIGURES x replicates, `values` at its replicate. */
static void add_figures(const ds_curve *c, double coverage, double sign, double *values, int replicates)
{
    ds_areas a = ds_areas_of(c);
    double accuracy = 1 - (double)c->wrong / (double)c->n,
           risk = coverage > 0 ? ds_cut_at_coverage(c, coverage).risk : NAN;
    double figures[FIGURES] = {a.aurc, a.eaurc, a.augrc, a.auroc, accuracy, risk};
    for (int f = 0; f < FIGURES; f++)
        values[(size_t)f * (size_t)replicates] += sign * figures[f];
}

/* Figures of each resample of one sample, or differences of two; values: FIGURES x replicates, zeroed. */
static void resample(const sample *samples, int n_samples, double coverage, int replicates, uint64_t seed,
                     double *values)
{
#pragma omp parallel
    {
        scratch t = scratch_make(samples, n_samples);
#pragma omp for schedule(dynamic)
        for (int r = 0; r < replicates; r++) {
            draw_counts(samples, n_samples, seed, r, &t);
            for (int k = 0; k < n_samples; k++) {
                curve_of_counts(&samples[k], t.count[k], &t.curve);
                add_figures(&t.curve, coverage, k ? -1 : 1, values + r, replicates);
            }
        }
        free(t.count[0]);
        free(t.count[1]);
        ds_curve_clear(&t.curve);
    }
}

/* Linear between the order statistics: the smallest at 0, the largest at 1. */
static double quantile(const double *sorted, size_t n, double share)
{
    double place = share * (double)(n - 1), below = floor(place);
    size_t i = (size_t)below;
    return i + 1 < n ? sorted[i] + (place - below) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

/* Of the values that are numbers, undefined when none is; the order of the values is lost. */
static ds_interval interval_of(double *values, int replicates, double level)
{
    size_t n = 0;
    for (int r = 0; r < replicates; r++)
        if (!isnan(values[r]))
            values[n++] = values[r];
    if (!n)
        return (ds_interval){NAN, NAN};
    qsort(values, n, sizeof *values, ds_ascending);
    return (ds_interval){quantile(values, n, (1 - level) / 2), quantile(values, n, (1 + level) / 2)};
}

static double p_of(const double *values, int replicates)
{
    int at_most = 1, at_least = 1;
    for (int r = 0; r < replicates; r++) {
        at_most += values[r] <= 0;
        at_least += values[r] >= 0;
    }
    return fmin(1, 2.0 * (at_most < at_least ? at_most : at_least) / (replicates + 1));
}

ds_bootstrap ds_bootstrap_of(const ds_answers *a, const ds_answers *b, double coverage, int replicates,
                             double level, uint64_t seed)
{
    const ds_interval none = {NAN, NAN};
    ds_bootstrap out = {none, none, none, none, none, none, NAN, 0};
    ds_interval *intervals[FIGURES] = {&out.aurc,  &out.eaurc,    &out.augrc,
                                       &out.auroc, &out.accuracy, &out.risk};
    if (a->n == 0 || replicates == 0)
        return out;
    DS_FREED double *values = DS_ZALLOC(values, FIGURES * (size_t)replicates);
    sample samples[2] = {sample_of(a), b ? sample_of(b) : (sample){0}};
    resample(samples, b ? 2 : 1, coverage, replicates, seed, values);
    if (b)
        out.p_aurc = p_of(values + AURC * (size_t)replicates, replicates);
    for (int f = 0; f < FIGURES; f++)
        *intervals[f] = interval_of(values + (size_t)f * (size_t)replicates, replicates, level);
    out.replicates = replicates;
    free(samples[0].cell);
    free(samples[1].cell);
    return out;
}
