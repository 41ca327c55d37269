#include "cli/halves.h"

#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int ds_halves_init(ds_halves *h, size_t n, int row, int classes, bool abstain, const int *labels, bool fit,
                   int seed, ds_error *e)
{
    *h = (ds_halves){.n = n, .row = row, .classes = classes, .abstain = abstain, .labels = labels};
    h->logits = malloc(n * (size_t)row * sizeof *h->logits);
    h->order = malloc(n * sizeof *h->order);
    h->confidence = malloc(n * sizeof *h->confidence);
    h->wrong = malloc(n * sizeof *h->wrong);
    if (!h->logits || !h->order || !h->confidence || !h->wrong)
        return ds_fail_memory(e);
    for (size_t i = 0; i < n; i++)
        h->order[i] = (uint32_t)i;
    if (fit) {
        ds_rng rng = ds_rng_make((uint64_t)seed, 0, 0);
        ds_rng_shuffle(&rng, h->order, (uint32_t)n);
        h->n_fit = n / 2;
    }
    return DS_OK;
}

void ds_halves_release(ds_halves *h)
{
    free(h->logits);
    free(h->order);
    free(h->confidence);
    free(h->wrong);
    *h = (ds_halves){0};
}

static const float *logits_at(const ds_halves *h, size_t i)
{
    return h->logits + (size_t)h->order[i] * (size_t)h->row;
}

static int label_at(const ds_halves *h, size_t i)
{
    return h->labels[h->order[i]];
}

void ds_halves_score(ds_halves *h, const ds_score *score, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const float *z = logits_at(h, i);
        h->confidence[i] = ds_score_row(score, z, h->row, h->abstain);
        h->wrong[i] = ds_argmax(z, h->classes) != label_at(h, i);
    }
}

/* ---- temperature ---- */

/* Of the second part. log_p: scratch, a number a class. */
static double nll_at(const ds_halves *h, double temperature, double *log_p)
{
    double sum = 0;
    for (size_t i = h->n_fit; i < h->n; i++) {
        ds_log_softmax(logits_at(h, i), h->classes, temperature, log_p);
        sum -= log_p[label_at(h, i)];
    }
    return sum / (double)(h->n - h->n_fit);
}

/* The fit wants logits and labels of its images one after the other. */
static int fit_first_part(const ds_halves *h, double *temperature, ds_error *e)
{
    size_t row = (size_t)h->row;
    float *z = malloc(h->n_fit * row * sizeof *z);
    int *labels = malloc(h->n_fit * sizeof *labels), rc = z && labels ? DS_OK : ds_fail_memory(e);
    for (size_t i = 0; i < h->n_fit && !rc; i++) {
        memcpy(z + i * row, logits_at(h, i), row * sizeof *z);
        labels[i] = label_at(h, i);
    }
    if (!rc)
        rc = ds_temperature_fit(z, labels, h->n_fit, h->row, h->classes, temperature, e);
    free(z);
    free(labels);
    return rc;
}

int ds_halves_fit_temperature(const ds_halves *h, double *temperature, double *nll_before, double *nll_after,
                              ds_error *e)
{
    double *log_p = malloc((size_t)h->classes * sizeof *log_p), t = 1;
    int rc = log_p ? fit_first_part(h, &t, e) : ds_fail_memory(e);
    if (!rc && !(t >= 1e-6 && t <= 1e6))
        rc = ds_fail(e, DS_EINPUT,
                     "the temperature of the lowest NLL is %g, expected one from 1e-06 to 1000000 "
                     "(-temperature T sets "
                     "one)",
                     t);
    if (!rc) {
        *temperature = t;
        *nll_before = nll_at(h, 1, log_p);
        *nll_after = nll_at(h, t, log_p);
    }
    free(log_p);
    return rc;
}

/* ---- confidence ---- */

static int aurc_of_first_part(ds_halves *h, const ds_score *score, double *aurc, ds_error *e)
{
    ds_curve curve = {0};
    ds_halves_score(h, score, 0, h->n_fit);
    int rc = ds_curve_make(h->confidence, h->wrong, h->n_fit, &curve, e);
    *aurc = ds_areas_of(&curve).aurc;
    ds_curve_clear(&curve);
    return rc;
}

int ds_halves_choose(ds_halves *h, ds_score *score, ds_candidate *candidates, int *n, ds_error *e)
{
    double best = INFINITY;
    ds_score tried = *score;
    int rc = DS_OK;
    *n = 0;
    for (int k = 0; k < DS_CONFIDENCES && !rc; k++) {
        double aurc;
        tried.kind = (ds_confidence)k;
        if (ds_score_check(&tried, h->row, h->abstain, NULL))
            continue;
        rc = aurc_of_first_part(h, &tried, &aurc, e);
        candidates[(*n)++] = (ds_candidate){ds_confidence_names[k], aurc};
        if (aurc < best) {
            best = aurc;
            score->kind = tried.kind;
        }
    }
    return rc;
}
