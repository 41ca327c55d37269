#include "select/select.h"

/* Sums over the curve, group by group. */
typedef struct walk {
    size_t k, errors;  /* so far */
    double ratios;     /* sum of E_k / k */
    double cumulative; /* sum of E_k */
    double pairs;      /* (right, wrong) in the right order, ties 1/2 */
} walk;

static void walk_group(walk *w, size_t size, size_t wrong)
{
    double base = (double)w->errors;
    double right_before = (double)(w->k - w->errors);
    for (size_t q = 1; q <= size && w->errors + wrong; q++)
        w->ratios += (base + (double)(wrong * q) / (double)size) / (double)(w->k + q);
    w->cumulative += base * (double)size + (double)wrong * ((double)size + 1) / 2;
    w->pairs += (double)wrong * (right_before + (double)(size - wrong) / 2);
    w->k += size;
    w->errors += wrong;
}

/* The aurc of the best order. */
static double oracle(size_t n, size_t wrong)
{
    double sum = 0;
    for (size_t k = n - wrong + 1; k <= n; k++)
        sum += (double)(k - (n - wrong)) / (double)k;
    return sum / (double)n;
}

ds_areas ds_areas_of(const ds_curve *c)
{
    ds_areas a = {NAN, NAN, NAN, NAN};
    if (c->n == 0)
        return a;
    walk w = {0};
    for (size_t g = 0; g < c->groups; g++)
        walk_group(&w, c->accepted[g] - w.k, c->errors[g] - w.errors);
    if (c->n_nan)
        walk_group(&w, c->n_nan, c->wrong - w.errors);
    double n = (double)c->n, wrong = (double)c->wrong;
    a.aurc = w.ratios / n;
    a.eaurc = a.aurc - oracle(c->n, c->wrong);
    a.augrc = (w.cumulative - wrong / 2) / n / n;
    if (c->wrong > 0 && c->wrong < c->n)
        a.auroc = w.pairs / wrong / (n - wrong);
    return a;
}

/* Bin b holds (b/15, (b+1)/15]. (b/15)*15 is exactly b in doubles, but a p just above b/15 may round down to
 * it. */
static int bin_of(double p)
{
    int b = (int)fmin(fmax(ceil(p * DS_BINS) - 1, 0), DS_BINS - 1);
    return b + (b < DS_BINS - 1 && p > (b + 1) / (double)DS_BINS);
}

void ds_quality_add(ds_quality *q, const double *log_p, int classes, int label, int top)
{
    int best = 0, rank = 0;
    double brier = 0;
    for (int i = 0; i < classes; i++) {
        double miss = exp(log_p[i]) - (i == label);
        brier += miss * miss;
        if (log_p[i] > log_p[best])
            best = i;
        rank += log_p[i] > log_p[label] || (i < label && log_p[i] == log_p[label]);
    }
    /* Without numbers there is no answer, so it is not a right one. */
    bool answered = !isnan(log_p[label]);
    bool right = answered && rank == 0;
    double confidence = exp(log_p[best]);
    int bin = bin_of(confidence);
    q->n++;
    q->right += right;
    q->right_top += answered && rank < top;
    q->nll_sum -= log_p[label];
    q->brier_sum += brier;
    q->bin_n[bin]++;
    q->bin_right[bin] += right;
    q->bin_confidence[bin] += confidence;
}

ds_means ds_quality_means(const ds_quality *q)
{
    const double n = q->n ? (double)q->n : NAN;
    double gaps = 0;
    for (int b = 0; b < DS_BINS; b++)
        gaps += fabs((double)q->bin_right[b] - q->bin_confidence[b]);
    return (ds_means){(double)q->right / n, (double)q->right_top / n, q->nll_sum / n, q->brier_sum / n,
                      gaps / n};
}
