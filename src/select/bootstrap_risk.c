#include "select/resample.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One model's images, surest first; those that it can accept. */
typedef struct place {
    double confidence;
    uint32_t image;
    bool wrong, last; /* last of its group of equal confidences */
} place;

typedef struct ranking {
    place *v; /* n */
    size_t n;
} ranking;

static int by_confidence(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->confidence != y->confidence)
        return x->confidence > y->confidence ? -1 : 1;
    return x->image < y->image ? -1 : x->image > y->image;
}

static int rank(const double *confidence, const bool *wrong, size_t n, ranking *r, ds_error *e)
{
    *r = (ranking){malloc((n + 1) * sizeof *r->v), 0};
    if (!r->v)
        return ds_fail_memory(e);
    for (size_t i = 0; i < n; i++)
        if (!isnan(confidence[i]))
            r->v[r->n++] = (place){confidence[i], (uint32_t)i, wrong[i], false};
    qsort(r->v, r->n, sizeof *r->v, by_confidence);
    for (size_t k = 0; k < r->n; k++)
        r->v[k].last = k + 1 == r->n || r->v[k + 1].confidence != r->v[k].confidence;
    return DS_OK;
}

/* As ds_cut_at_coverage does it, image i being there times[i] times. */
static double risk_at(const ranking *r, const uint32_t *times, double wanted)
{
    size_t accepted = 0, errors = 0;
    for (size_t k = 0; k < r->n; k++) {
        const place *p = &r->v[k];
        accepted += times[p->image];
        errors += p->wrong ? times[p->image] : 0;
        if (p->last && accepted && (double)accepted >= wanted)
            break;
    }
    return accepted ? (double)errors / (double)accepted : NAN;
}

static void resample(uint32_t *times, size_t n, uint64_t seed, int replicate)
{
    ds_rng rng = ds_resample_rng(seed, replicate);
    memset(times, 0, n * sizeof *times);
    for (size_t i = 0; i < n; i++)
        times[ds_resample_draw(&rng, n)]++;
}

/* differences: replicates. */
static int resample_all(const ranking *a, const ranking *b, size_t n, double wanted, int replicates,
                        uint64_t seed, double *differences, ds_error *e)
{
    bool failed = false;
#pragma omp parallel reduction(|| : failed)
    {
        uint32_t *times = malloc(n * sizeof *times);
        failed = !times;
#pragma omp for schedule(dynamic)
        for (int r = 0; r < replicates; r++) {
            if (!times)
                continue;
            resample(times, n, seed, r);
            differences[r] = risk_at(a, times, wanted) - risk_at(b, times, wanted);
        }
        free(times);
    }
    return failed ? ds_fail_memory(e) : DS_OK;
}

int ds_bootstrap_risk_difference(const double *confidence_a, const bool *wrong_a, const double *confidence_b,
                                 const bool *wrong_b, size_t n, double coverage, int replicates, double level,
                                 uint64_t seed, ds_interval *out, ds_error *e)
{
    ranking a = {0}, b = {0};
    /* 0.8 of 10 images are 8, whatever the rounding */
    double wanted = coverage * (double)n * (1 - 8 * DBL_EPSILON);
    int rc = ds_resample_check(n, replicates, level, e);
    double *differences = rc ? NULL : malloc((size_t)replicates * sizeof *differences);
    if (!rc && !differences)
        rc = ds_fail_memory(e);
    if (!rc)
        rc = rank(confidence_a, wrong_a, n, &a, e);
    if (!rc)
        rc = rank(confidence_b, wrong_b, n, &b, e);
    *out = (ds_interval){NAN, NAN};
    if (!rc && n)
        rc = resample_all(&a, &b, n, wanted, replicates, seed, differences, e);
    if (!rc && n)
        *out = ds_resample_interval(differences, replicates, level);
    free(differences);
    free(a.v);
    free(b.v);
    return rc;
}
