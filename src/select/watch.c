#include "select/watch.h"
#include "base/memory.h"
#include "base/rng.h"

#include <float.h>

static const double most = 1e300; /* of S, which is not to overflow after its alarm */

/* True: one of the two has got there now. */
static bool weigh(ds_evidence *v, double images, double alpha, double run_length)
{
    const bool e = v->e_at == 0 && v->log_e >= -log(alpha), s = v->s_at == 0 && v->s >= run_length;
    if (e)
        v->e_at = images;
    if (s)
        v->s_at = images;
    return e || s;
}

static double stake(double mean, double risk)
{
    const double gain = mean - risk, variance = mean * (1 - mean);
    return gain > 0 ? fmin(gain / (variance + gain * gain), 0.5 / risk) : 0;
}

bool ds_watch_label(ds_watch_risk *w, bool wrong, double alpha, double run_length)
{
    ds_evidence *v = &w->evidence;
    const double lambda = stake((w->wrong + w->risk) / (w->images + 1), w->risk);
    const double least = stake(fmin(2 * w->risk, (1 + w->risk) / 2), w->risk);
    const double surprise = wrong - w->risk;
    v->log_e += log1p(lambda * surprise);
    v->s = fmin((v->s + 1) * (1 + fmax(lambda, least) * surprise), most);
    w->images++;
    w->wrong += wrong;
    return weigh(v, w->images, alpha, run_length);
}

typedef struct place {
    double value, tie;
} place;

static int by_place(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return (x->tie > y->tie) - (x->tie < y->tie);
}

static place place_of(double value, uint64_t seed, bool stream, double image)
{
    ds_rng r = ds_rng_make(seed, stream, (uint64_t)image);
    return (place){isnan(value) ? -DBL_MAX : value, ds_rng_uniform(&r)};
}

void ds_watch_score_begin(ds_watch_score *w, const double *values, size_t n, uint64_t seed)
{
    DS_FREED place *sorted = DS_ALLOC(sorted, n);
    for (size_t i = 0; i < n; i++)
        sorted[i] = place_of(values[i], seed, false, (double)i);
    qsort(sorted, n, sizeof *sorted, by_place);
    const size_t bins = n + 1 < DS_WATCH_BINS ? n + 1 : DS_WATCH_BINS;
    *w = (ds_watch_score){.calib = (double)n, .bins = (double)bins};
    for (size_t k = 0, before = 0; k < bins; k++) {
        const size_t end = (k + 1) * (n + 1) / bins; /* gaps up to here, so `end` - 1 is the place behind */
        w->gaps[k] = (double)(end - before);
        if (k + 1 < bins) {
            w->bound[k] = sorted[end - 1].value;
            w->tie[k] = sorted[end - 1].tie;
        }
        before = end;
    }
}

static int bin_of(const ds_watch_score *w, const place *at)
{
    int k = 0;
    while (k + 1 < w->bins && by_place(at, &(place){w->bound[k], w->tie[k]}) >= 0)
        k++;
    return k;
}

/* By how much each bet multiplies when an image falls into bin k. */
static void multiply(const ds_watch_score *w, int k, double factor[DS_WATCH_BETS])
{
    static const double tilts[] = {-1, -0.3, 0.3, 1}, tail = 0.1, smoothing = 50;
    const double total = w->calib + 1 + w->images, own = (w->gaps[k] + w->counts[k]) / total;
    double below = 0, low = 0, high = 0, memory = 0, position = 0;
    bool is_low = false, is_high = false;
    for (int j = 0; j < w->bins; j++) {
        const double p = (w->gaps[j] + w->counts[j]) / total, middle = below + p / 2;
        const bool lowest = j == 0 || middle < tail, highest = j + 1 == w->bins || middle > 1 - tail;
        below += p;
        low += lowest ? p : 0;
        high += highest ? p : 0;
        memory += w->recent[j];
        if (j != k)
            continue;
        position = 2 * middle - 1;
        is_low = lowest;
        is_high = highest;
    }
    for (int i = 0; i < 4; i++)
        factor[i] = 1 + tilts[i] * position;
    factor[4] = 0.5 + (is_low ? 0.5 / low : 0);
    factor[5] = 0.5 + (is_high ? 0.5 / high : 0);
    factor[6] = (w->recent[k] / own + smoothing) / (memory + smoothing);
}

bool ds_watch_score_add(ds_watch_score *w, double value, uint64_t seed, double alpha, double run_length)
{
    static const double kept = 1 - 1.0 / 500;
    const place at = place_of(value, seed, true, w->images);
    const int k = bin_of(w, &at);
    ds_evidence *v = &w->evidence;
    double factor[DS_WATCH_BETS], best = -INFINITY, sum = 0;
    multiply(w, k, factor);
    v->s = 0;
    for (int i = 0; i < DS_WATCH_BETS; i++) {
        w->log_e[i] += log(factor[i]);
        w->s[i] = fmin((w->s[i] + 1.0 / DS_WATCH_BETS) * factor[i], most);
        v->s += w->s[i];
        best = fmax(best, w->log_e[i]);
    }
    for (int i = 0; i < DS_WATCH_BETS; i++)
        sum += exp(w->log_e[i] - best);
    v->log_e = best + log(sum / DS_WATCH_BETS);
    for (int j = 0; j < w->bins; j++)
        w->recent[j] *= kept;
    w->recent[k]++;
    w->counts[k]++;
    w->images++;
    return weigh(v, w->images, alpha, run_length);
}
