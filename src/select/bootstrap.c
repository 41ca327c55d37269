#include "select/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AURC, EAURC, AUGRC, AUROC, ACCURACY, FIGURES };

/* A model's images by cell: 2 x group + wrong, groups of equal confidence, surest first, NaN last. All that
 * the figures need of a resample is the number of images in each cell, so that nothing is sorted again. */
typedef struct sample {
    size_t n, groups; /* groups with the NaN one */
    uint32_t *cell;   /* n */
    ds_areas areas;
} sample;

/* What a thread needs for a resample. */
typedef struct scratch {
    uint32_t *count[2];        /* images in each cell, a sample each */
    size_t *accepted, *errors; /* of the larger sample */
} scratch;

/* The first group whose threshold `confidence` reaches; all groups for NaN. */
static size_t group_of(const ds_curve *c, double confidence)
{
    size_t low = 0, high = c->groups;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (confidence >= c->threshold[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int sample_make(sample *s, const double *confidence, const bool *wrong, size_t n, ds_error *e)
{
    ds_curve c;
    *s = (sample){.n = n};
    int rc = ds_curve_make(confidence, wrong, n, &c, e);
    if (rc)
        return rc;
    s->groups = c.groups + 1;
    s->areas = ds_areas_of(&c);
    s->cell = malloc((n + 1) * sizeof *s->cell);
    for (size_t i = 0; i < n && s->cell; i++)
        s->cell[i] = (uint32_t)(2 * group_of(&c, confidence[i]) + wrong[i]);
    ds_curve_clear(&c);
    return s->cell ? DS_OK : ds_fail_memory(e);
}

static bool scratch_make(scratch *t, const sample *samples, int n_samples)
{
    size_t most = 0;
    bool ok = true;
    *t = (scratch){0};
    for (int k = 0; k < n_samples; k++) {
        t->count[k] = malloc(2 * samples[k].groups * sizeof *t->count[k]);
        ok = ok && t->count[k];
        most = samples[k].groups > most ? samples[k].groups : most;
    }
    t->accepted = malloc(most * sizeof *t->accepted);
    t->errors = malloc(most * sizeof *t->errors);
    return ok && t->accepted && t->errors;
}

static void scratch_release(scratch *t)
{
    free(t->count[0]);
    free(t->count[1]);
    free(t->accepted);
    free(t->errors);
}

static void draw_counts(const sample *samples, int n_samples, ds_rng r, scratch *t)
{
    size_t n = samples[0].n;
    for (int k = 0; k < n_samples; k++)
        memset(t->count[k], 0, 2 * samples[k].groups * sizeof *t->count[k]);
    for (size_t i = 0; i < n; i++) {
        size_t image = ds_resample_draw(&r, n);
        for (int k = 0; k < n_samples; k++)
            t->count[k][samples[k].cell[image]]++;
    }
}

static ds_areas areas_of_counts(const sample *s, const uint32_t *count, scratch *t, size_t *wrong)
{
    ds_curve c = {.n = s->n, .accepted = t->accepted, .errors = t->errors};
    size_t last = s->groups - 1, accepted = 0;
    for (size_t g = 0; g < last; g++) {
        if (count[2 * g] + count[2 * g + 1] == 0)
            continue;
        accepted += count[2 * g] + count[2 * g + 1];
        c.wrong += count[2 * g + 1];
        c.accepted[c.groups] = accepted;
        c.errors[c.groups++] = c.wrong;
    }
    c.n_nan = s->n - accepted;
    c.wrong += count[2 * last + 1];
    *wrong = c.wrong;
    return ds_areas_of(&c);
}

/* Adds `sign` times the figures of a resample. values: FIGURES x replicates, `values` at its replicate. */
static void add_figures(const sample *s, const uint32_t *count, scratch *t, double sign, double *values,
                        int replicates)
{
    size_t wrong;
    ds_areas a = areas_of_counts(s, count, t, &wrong);
    double figures[FIGURES] = {a.aurc, a.eaurc, a.augrc, a.auroc, 1 - (double)wrong / (double)s->n};
    for (int f = 0; f < FIGURES; f++)
        values[(size_t)f * (size_t)replicates] += sign * figures[f];
}

/* Figures of each resample of one sample, or differences of two; values: FIGURES x replicates. */
static int resample(const sample *samples, int n_samples, int replicates, uint64_t seed, double *values,
                    ds_error *e)
{
    bool failed = false;
#pragma omp parallel
    {
        scratch t;
        bool ok = scratch_make(&t, samples, n_samples);
#pragma omp for schedule(dynamic)
        for (int r = 0; r < replicates; r++) {
            if (!ok) {
#pragma omp atomic write
                failed = true;
                continue;
            }
            draw_counts(samples, n_samples, ds_resample_rng(seed, r), &t);
            for (int k = 0; k < n_samples; k++)
                add_figures(&samples[k], t.count[k], &t, k ? -1 : 1, values + r, replicates);
        }
        scratch_release(&t);
    }
    return failed ? ds_fail_memory(e) : DS_OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linear between the order statistics: the smallest at 0, the largest at 1. */
static double quantile(const double *sorted, size_t n, double share)
{
    double place = share * (double)(n - 1), below = floor(place);
    size_t i = (size_t)below;
    return i + 1 < n ? sorted[i] + (place - below) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

ds_interval ds_resample_interval(double *values, int replicates, double level)
{
    size_t n = 0;
    for (int r = 0; r < replicates; r++)
        if (!isnan(values[r]))
            values[n++] = values[r];
    if (!n)
        return (ds_interval){NAN, NAN};
    qsort(values, n, sizeof *values, ascending);
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

static void intervals_of(double *values, int replicates, double level, ds_bootstrap *out)
{
    ds_interval *intervals[FIGURES] = {&out->aurc, &out->eaurc, &out->augrc, &out->auroc, &out->accuracy};
    for (int f = 0; f < FIGURES; f++)
        *intervals[f] = ds_resample_interval(values + (size_t)f * (size_t)replicates, replicates, level);
    out->replicates = replicates;
}

/* p_aurc may be NULL. */
static int run(const sample *samples, int n_samples, int replicates, double level, uint64_t seed,
               ds_bootstrap *out, double *p_aurc, ds_error *e)
{
    double *values = calloc(FIGURES * (size_t)replicates, sizeof *values);
    if (!values)
        return ds_fail_memory(e);
    int rc = resample(samples, n_samples, replicates, seed, values, e);
    if (!rc && p_aurc)
        *p_aurc = samples[0].n ? p_of(values + AURC * (size_t)replicates, replicates) : NAN;
    if (!rc)
        intervals_of(values, replicates, level, out);
    free(values);
    return rc;
}

int ds_resample_check(size_t n, int replicates, double level, ds_error *e)
{
    if (n > UINT32_MAX / 2 - 1)
        return ds_fail(e, DS_EINPUT, "%zu images are too many for a bootstrap", n);
    if (replicates < 1)
        return ds_fail(e, DS_EINPUT, "%d bootstrap replicates, expected at least 1", replicates);
    if (!(level > 0 && level < 1))
        return ds_fail(e, DS_EINPUT, "a bootstrap interval at level %g, expected a number between 0 and 1",
                       level);
    return DS_OK;
}

int ds_bootstrap_areas(const double *confidence, const bool *wrong, size_t n, int replicates, double level,
                       uint64_t seed, ds_bootstrap *out, ds_error *e)
{
    sample s = {0};
    int rc = ds_resample_check(n, replicates, level, e);
    if (!rc)
        rc = sample_make(&s, confidence, wrong, n, e);
    if (!rc)
        rc = run(&s, 1, replicates, level, seed, out, NULL, e);
    free(s.cell);
    return rc;
}

static ds_areas minus(ds_areas a, ds_areas b)
{
    return (ds_areas){a.aurc - b.aurc,
                      a.aurc_trapezoid - b.aurc_trapezoid,
                      a.aurc_oracle - b.aurc_oracle,
                      a.eaurc - b.eaurc,
                      a.augrc - b.augrc,
                      a.auroc - b.auroc};
}

int ds_bootstrap_paired(const double *confidence_a, const bool *wrong_a, const double *confidence_b,
                        const bool *wrong_b, size_t n, int replicates, double level, uint64_t seed,
                        ds_paired *out, ds_error *e)
{
    sample s[2] = {0};
    int rc = ds_resample_check(n, replicates, level, e);
    if (!rc)
        rc = sample_make(&s[0], confidence_a, wrong_a, n, e);
    if (!rc)
        rc = sample_make(&s[1], confidence_b, wrong_b, n, e);
    if (!rc)
        rc = run(s, 2, replicates, level, seed, &out->interval, &out->p_aurc, e);
    if (!rc)
        out->difference = minus(s[0].areas, s[1].areas);
    free(s[0].cell);
    free(s[1].cell);
    return rc;
}
