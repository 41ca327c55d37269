#include "select/watch.h"

#include <math.h>

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
