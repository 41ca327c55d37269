#include "select/select.h"

#include <float.h>

static const long double two_pi = 6.28318530717958647692528676655900577L;

/* log(n!) minus Stirling's formula (n + 1/2) log n - n + log(2 pi)/2; n > 0. */
static long double stirling_error(size_t n)
{
    const long double x = (long double)n, s = 1 / (x * x);
    int sign;
    if (n < 16)
        return lgammal_r(x + 1, &sign) - (x + 0.5L) * logl(x) + x - logl(two_pi) / 2;
    return (1 / 12.0L -
            s * (1 / 360.0L - s * (1 / 1260.0L - s * (1 / 1680.0L - s * (1 / 1188.0L - s * 691 / 360360))))) /
           x;
}

/* x log(x/mean) + mean - x without cancellation (Loader 2000); x, mean > 0. */
static long double deviance(long double x, long double mean)
{
    long double v = (x - mean) / (x + mean);
    if (fabsl(v) > 0.5L)
        return x * logl(x / mean) + mean - x;
    long double sum = (x - mean) * v, term = 2 * x * v, before;
    int j = 1;
    do {
        before = sum;
        term *= v * v;
        sum += term / (2 * j++ + 1);
    } while (sum != before);
    return sum;
}

/* Pr[Bin(m, p) = k], k <= m, 0 < p < 1. In long double: the deviances of large m are small differences. */
static double probability_of(size_t k, size_t m, double p)
{
    long double q = 1 - (long double)p, n = (long double)m, x = (long double)k, y = (long double)(m - k);
    if (k == 0)
        return (double)expl(n * log1pl(-(long double)p));
    if (k == m)
        return (double)expl(n * logl(p));
    long double exponent = stirling_error(m) - stirling_error(k) - stirling_error(m - k) -
                           deviance(x, n * p) - deviance(y, n * q);
    return (double)(expl(exponent) * sqrtl(n / (two_pi * x * y)));
}

/* Sums from k on towards 0 or, up, m, for a k on that side of the mean: the terms shrink. */
static double sum_from(size_t k, size_t m, double p, bool up)
{
    double odds = up ? p / (1 - p) : (1 - p) / p, term = probability_of(k, m, p), sum = term;
    while (k != (up ? m : 0) && term > sum * DBL_EPSILON / 16) {
        term *= (up ? (double)(m - k) / (double)(k + 1) : (double)k / (double)(m - k + 1)) * odds;
        sum += term;
        k += up ? 1 : (size_t)-1;
    }
    return sum;
}

double ds_binomial_cdf(size_t k, size_t m, double p)
{
    if (!(p >= 0 && p <= 1))
        return NAN;
    if (k >= m || p == 0)
        return 1;
    if (p == 1)
        return 0;
    return (double)k < (double)m * p ? sum_from(k, m, p, false) : 1 - sum_from(k + 1, m, p, true);
}

/* The p at which a tail is delta: that of at most k hits (upper, falls with p) or of at least k (rises).
 * Newton's method on the logarithm of the tail, inside a bracket. */
static double solve(size_t k, size_t m, double delta, bool upper)
{
    double low = 0, high = 1, p = ((double)k + 0.5) / ((double)m + 1);
    for (int i = 0; i < 1000; i++) {
        double tail = upper                       ? ds_binomial_cdf(k, m, p)
                      : (double)k > (double)m * p ? sum_from(k, m, p, true)
                                                  : 1 - sum_from(k - 1, m, p, false);
        double weight = upper ? -(double)(m - k) / (1 - p) : (double)k / p;
        double step = tail / (weight * probability_of(k, m, p)) * log(delta / tail);
        if (fabs(step) <= 2 * DBL_EPSILON * p)
            break;
        if ((tail > delta) == upper)
            low = p;
        else
            high = p;
        p = p + step > low && p + step < high ? p + step : low + (high - low) / 2;
        if (p == low || p == high)
            break;
    }
    return p;
}

double ds_rate_upper(size_t k, size_t m, double delta)
{
    if (k > m || !(delta > 0 && delta < 1))
        return NAN;
    return k == m ? 1 : solve(k, m, delta, true);
}

double ds_rate_lower(size_t k, size_t m, double delta)
{
    if (k > m || !(delta > 0 && delta < 1))
        return NAN;
    return k == 0 ? 0 : solve(k, m, delta, false);
}

ds_interval ds_rate_interval(size_t k, size_t m, double level)
{
    if (m == 0)
        return (ds_interval){NAN, NAN};
    double delta = (1 - level) / 2;
    return (ds_interval){ds_rate_lower(k, m, delta), ds_rate_upper(k, m, delta)};
}
