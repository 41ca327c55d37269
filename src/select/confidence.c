#include "select/select.h"

#define WORD(number, word, probability, help) word,
#define HELP(number, word, probability, help) help,
#define PROBABILITY(number, word, probability, help) probability,
const char *const ds_confidence_names[DS_CONFIDENCES + 1] = {DS_CONFIDENCE_LIST(WORD) NULL};
const char *const ds_confidence_help[DS_CONFIDENCES] = {DS_CONFIDENCE_LIST(HELP)};
static const bool is_probability[DS_CONFIDENCES] = {DS_CONFIDENCE_LIST(PROBABILITY)};

int ds_score_check(const ds_score *s, int n, bool abstain, ds_error *e)
{
    int classes = abstain ? n - 1 : n;
    if ((int)s->kind < 0 || s->kind >= DS_CONFIDENCES)
        return ds_fail(e, DS_EINPUT, "confidence number %d is unknown, expected 0 to %d", (int)s->kind,
                       DS_CONFIDENCES - 1);
    if (classes < 1)
        return ds_fail(e, DS_EINPUT, "a confidence of %d classes is undefined, expected at least 1", classes);
    if (!(s->temperature > 0) || isinf(s->temperature))
        return ds_fail(e, DS_EINPUT, "temperature=%g, expected a number above 0", s->temperature);
    if (s->kind == DS_PNORM && (!(s->pnorm_p > 0) || isinf(s->pnorm_p)))
        return ds_fail(e, DS_EINPUT, "pnorm_p=%g, expected a number above 0", s->pnorm_p);
    if (s->kind == DS_PNORM && classes < 3)
        return ds_fail(e, DS_EINPUT,
                       "confidence=pnorm is the same for every image of a network of %d classes, expected at "
                       "least 3 classes or another confidence",
                       classes);
    if (s->kind == DS_ABSTAIN && !abstain)
        return ds_fail(e, DS_EINPUT,
                       "confidence=abstain needs an abstain output, expected a cost section that has one "
                       "([gambler], [selective], [sat] with target=abstain) or another confidence");
    return DS_OK;
}

/* What the scores of a softmax need: sums over exp(d_i), d_i = (z_i - max)/T <= 0. */
typedef struct sums {
    double rest;      /* sum of exp(d) without the largest */
    double rest_gini; /* sum of exp(2d) without the largest */
    double rest_d;    /* sum of exp(d) d */
    double second;    /* second largest d, -infinity when there is none */
} sums;

static sums sum_up(const float *z, int n, int best, double temperature)
{
    sums s = {.second = -INFINITY};
    for (int i = 0; i < n; i++) {
        if (i == best)
            continue;
        double d = ((double)z[i] - z[best]) / temperature, x = exp(d);
        s.rest += x;
        s.rest_gini += x * x;
        if (x > 0)
            s.rest_d += x * d;
        if (d > s.second)
            s.second = d;
    }
    return s;
}

static double pnorm(const float *z, int n, int best, double p)
{
    double mean = 0, norm = 0, scale = 0;
    bool equal = true;
    for (int i = 0; i < n; i++) {
        mean += (double)z[i] / n;
        equal = equal && z[i] == z[0];
    }
    if (equal)
        return NAN;
    for (int i = 0; i < n; i++)
        scale = fmax(scale, fabs(z[i] - mean));
    for (int i = 0; i < n; i++)
        norm += pow(fabs(z[i] - mean) / scale, p);
    return (z[best] - mean) / scale / pow(norm, 1 / p);
}

/* 1 - P_last as the sum of the others: nothing cancels when P_last is nearly 1. */
static double not_abstained(const float *z, int n, double temperature)
{
    if (!ds_logits_valid(z, n))
        return NAN;
    int best = ds_argmax(z, n);
    double classes = 0;
    for (int i = 0; i < n - 1; i++)
        classes += exp(((double)z[i] - z[best]) / temperature);
    return classes / (classes + exp(((double)z[n - 1] - z[best]) / temperature));
}

double ds_score_row(const ds_score *score, const float *z, int n, bool abstain)
{
    if (score->kind == DS_ABSTAIN)
        return abstain && n > 1 ? not_abstained(z, n, score->temperature) : NAN;
    n -= abstain;
    if (!ds_logits_valid(z, n))
        return NAN;
    int best = ds_argmax(z, n);
    if (score->kind == DS_MAXLOGIT)
        return z[best] / score->temperature;
    if (score->kind == DS_PNORM)
        return pnorm(z, n, best, score->pnorm_p);
    sums s = sum_up(z, n, best, score->temperature);
    double log_sum = log1p(s.rest), sum = 1 + s.rest;
    switch (score->kind) {
    case DS_MSP:
        return 1 / sum;
    case DS_MARGIN:
        return -expm1(s.second) / sum;
    case DS_ENTROPY:
        return s.rest_d / sum - log_sum;
    case DS_GINI:
        return (1 + s.rest_gini) / (sum * sum);
    case DS_ENERGY:
        return z[best] + score->temperature * log_sum;
    default:
        return NAN;
    }
}

bool ds_score_is_probability(ds_confidence kind)
{
    return is_probability[kind];
}

bool ds_accepts(double confidence, double threshold)
{
    return !isnan(confidence) && (isnan(threshold) || confidence >= threshold);
}

const char *const ds_verdict_names[] = {"unsure", "accepted", "unknown"};

ds_verdict ds_judge(double confidence, double threshold, double novelty, double novelty_rate)
{
    return novelty < novelty_rate ? DS_UNKNOWN : ds_accepts(confidence, threshold) ? DS_ACCEPTED : DS_UNSURE;
}
