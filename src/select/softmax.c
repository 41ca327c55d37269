#include "select/select.h"

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

/* The largest term of sum exp((z - max)/T) is exactly 1, so log1p keeps what the others add. */
void ds_log_softmax(const float *z, int n, double temperature, double *log_p)
{
    bool valid = ds_logits_valid(z, n);
    int best = valid ? ds_argmax(z, n) : 0;
    double rest = 0;
    for (int i = 0; i < n; i++) {
        log_p[i] = valid ? ((double)z[i] - z[best]) / temperature : NAN;
        rest += i == best ? 0 : exp(log_p[i]);
    }
    const double log_rest = log1p(rest);
    for (int i = 0; i < n; i++)
        log_p[i] -= log_rest;
}

/* log(exp(a) + exp(b)) */
static double log_add(double a, double b)
{
    const double most = a > b ? a : b;
    return isinf(most) ? most : most + log1p(exp((a > b ? b : a) - most));
}

void ds_pool_add(double *pool, bool first, const float *z, int n, double temperature)
{
    double *log_p = pool + n, norm = NAN;
    ds_log_softmax(z, n, temperature, log_p);
    if (ds_logits_valid(z, n))
        norm = z[ds_argmax(z, n)] / temperature - log_p[ds_argmax(z, n)];
    pool[2 * n] = first ? norm : pool[2 * n] + norm;
    for (int i = 0; i < n; i++)
        pool[i] = first ? log_p[i] : log_add(pool[i], log_p[i]);
}

void ds_pool_logits(const double *pool, int answers, int n, double temperature, float *z)
{
    for (int i = 0; i < n; i++)
        z[i] = (float)(temperature * (pool[i] - log(answers) + pool[2 * n] / answers));
}

void ds_softmax(const float *z, int n, double temperature, double *p)
{
    ds_log_softmax(z, n, temperature, p);
    for (int i = 0; i < n; i++)
        p[i] = exp(p[i]);
}
