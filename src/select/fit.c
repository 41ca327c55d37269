#include "base/rng.h"
#include "select/answers.h"

size_t ds_answers_halve(ds_answers *a, int seed)
{
    DS_FREED uint32_t *order = DS_ALLOC(order, a->n);
    for (size_t i = 0; i < a->n; i++)
        order[i] = (uint32_t)i;
    ds_rng rng = ds_rng_make((uint64_t)seed, 0, 0);
    ds_rng_shuffle(&rng, order, (uint32_t)a->n);
    ds_answers_reorder(a, order);
    return a->n / 2;
}

static double nll_at(const ds_answers *a, double temperature)
{
    double sum = 0;
    DS_FREED double *log_p = DS_ALLOC(log_p, (size_t)a->classes);
    for (size_t i = 0; i < a->n; i++) {
        ds_log_softmax(ds_answers_logits(a, i), a->classes, temperature, log_p);
        sum -= log_p[a->labels[i]];
    }
    return sum / (double)a->n;
}

int ds_answers_fit_temperature(const ds_answers *fit, const ds_answers *rest, double *temperature,
                               double nll[2], ds_error *e)
{
    double t;
    DS_TRY(ds_temperature_fit(fit, &t, e));
    if (!(t >= 1e-6 && t <= 1e6))
        return ds_fail(e, DS_EINPUT,
                       "the temperature of the lowest NLL is %g, expected one from 1e-06 to 1000000 "
                       "(-temperature T sets one)",
                       t);
    *temperature = t;
    nll[0] = nll_at(rest, 1);
    nll[1] = nll_at(rest, t);
    return DS_OK;
}

static double aurc_of(ds_answers *a, const ds_score *score)
{
    ds_answers_score(a, score);
    DS_FINALLY(ds_curve_clear) ds_curve curve = ds_curve_of(a->confidences, a->wrong, a->n);
    return ds_areas_of(&curve).aurc;
}

double ds_answers_fit_pnorm(ds_answers *fit)
{
    double best = INFINITY, found = 1;
    for (int p = 1; p <= 10; p++) {
        const double aurc = aurc_of(fit, &(ds_score){DS_PNORM, 1, p});
        if (aurc < best)
            found = p;
        best = fmin(best, aurc);
    }
    return found;
}

int ds_answers_choose_score(ds_answers *fit, ds_score *score, const double *temperatures, int n,
                            ds_candidate *candidates)
{
    double best = INFINITY;
    ds_score tried = *score;
    int count = 0;
    for (int k = 0; k < n * DS_CONFIDENCES; k++) {
        const int t = k / DS_CONFIDENCES;
        tried.kind = (ds_confidence)(k % DS_CONFIDENCES);
        tried.temperature = temperatures[t];
        const bool same = t && (tried.kind == DS_MAXLOGIT || tried.kind == DS_PNORM); /* order */
        if (same || ds_score_check(&tried, fit->classes + fit->abstain, fit->abstain, NULL))
            continue;
        const double aurc = aurc_of(fit, &tried);
        candidates[count++] =
            (ds_candidate){ds_confidence_names[tried.kind], aurc, t ? tried.temperature : 0};
        if (aurc < best)
            *score = tried;
        best = fmin(best, aurc);
    }
    return count;
}
