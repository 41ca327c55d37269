#include "select/select.h"

#include <math.h>

int ds_argmax(const float *z, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (z[i] > z[best] || (isnan(z[best]) && !isnan(z[i])))
            best = i;
    return best;
}

bool ds_logits_valid(const float *z, int n)
{
    for (int i = 0; i < n; i++)
        if (isnan(z[i]) || z[i] == INFINITY)
            return false;
    return n > 0 && z[ds_argmax(z, n)] > -INFINITY;
}

/* log of sum exp((z - max)/T): the largest term is exactly 1, so log1p keeps what the others add. */
static double log_rest(const float *z, int n, int best, double temperature)
{
    double rest = 0;
    for (int i = 0; i < n; i++)
        if (i != best)
            rest += exp(((double)z[i] - z[best]) / temperature);
    return log1p(rest);
}

double ds_logsumexp(const float *z, int n, double temperature)
{
    if (!ds_logits_valid(z, n))
        return NAN;
    int best = ds_argmax(z, n);
    return z[best] / temperature + log_rest(z, n, best, temperature);
}

void ds_log_softmax(const float *z, int n, double temperature, double *log_p)
{
    bool valid = ds_logits_valid(z, n);
    int best = valid ? ds_argmax(z, n) : 0;
    double rest = valid ? log_rest(z, n, best, temperature) : NAN;
    for (int i = 0; i < n; i++)
        log_p[i] = valid ? ((double)z[i] - z[best]) / temperature - rest : NAN;
}

void ds_softmax(const float *z, int n, double temperature, double *p)
{
    ds_log_softmax(z, n, temperature, p);
    for (int i = 0; i < n; i++)
        p[i] = exp(p[i]);
}
