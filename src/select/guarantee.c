#include "select/select.h"

/* Why delta is kept. Cuts are tried from the surest on, each at the sum of the levels that came in since
 * the last failure (the fallback procedure, Wiens & Dmitrienko 2005). So the first cut that is too risky,
 * and each one that is tried after a too risky one has failed, has its own part of delta: with probability
 * at most delta one of them passes, if each test keeps its level. It does: let t be the confidence below
 * which the true risk is above R. Given how many images are surer than t, their errors are independent, of
 * rate R, and those of the images behind them are as likely or more, if the risk grows with coverage: all
 * errors of a too risky cut are at least as many as Bin(accepted, R) has. Which cuts are tried at which
 * levels is a matter of n, R, delta and the confidences, never of labels. Ties, and risks that rise and
 * fall, are simulated in test_guarantee.c. */

enum { MOST = 64 };
static const double whole = 0.05; /* of delta, for the cut that accepts all */

/* The cuts that bring a level with them, in the order of their ranks; the last accepts all. */
typedef struct starts {
    size_t rank[MOST + 1];
    double level[MOST + 1];
    int n;
} starts;

static size_t acceptable(const ds_curve *c)
{
    return c->groups ? c->accepted[c->groups - 1] : 0;
}

/* m0: with fewer accepted even no error at all proves nothing. */
static double fewest(double risk, double level)
{
    return ceil(log(level) / log1p(-risk));
}

/* m0 2^s for as many s as begin in the first half of the images, at least one, and all images. */
static starts starts_of(const ds_curve *c, double risk, double delta)
{
    const double n = (double)acceptable(c), share = delta * (1 - whole);
    starts s = {.n = 1};
    while (s.n < MOST && ldexp(fewest(risk, share / (s.n + 1)), s.n) <= n / 2)
        s.n++;
    double first = fewest(risk, share / s.n);
    for (int i = 0; i < s.n; i++) {
        s.rank[i] = first <= n ? (size_t)first << i : acceptable(c) + 1;
        s.level[i] = share / s.n;
    }
    s.rank[s.n] = acceptable(c);
    s.level[s.n++] = delta * whole;
    return s;
}

/* The groups of the largest cut that passes, 0 for none. */
static size_t walk(const ds_curve *c, double risk, double delta)
{
    const starts s = starts_of(c, risk, delta);
    const size_t n = acceptable(c), step = n < 400 ? 1 : n / 200;
    size_t best = 0, tried = 0, next;
    double carried = 0;
    int used = 0;
    for (size_t rank = s.rank[0]; rank <= n; rank = next) {
        const size_t groups = ds_curve_groups_of(c, (double)rank), accepted = c->accepted[groups - 1];
        for (; used < s.n && s.rank[used] <= accepted; used++)
            carried += s.level[used];
        if (groups != tried && ds_binomial_cdf(c->errors[groups - 1], accepted, risk) <= carried)
            best = groups;
        else if (groups != tried)
            carried = 0;
        tried = groups;
        next = carried > 0 ? rank + step : SIZE_MAX;
        if (used < s.n && s.rank[used] < next)
            next = s.rank[used];
    }
    return best;
}

/* Larger risks have other starts, so that a feasible one may have an infeasible one above it: the steps are
 * tried one by one. */
static double smallest_feasible(const ds_curve *c, double above, double delta)
{
    if (!acceptable(c))
        return NAN;
    /* below this m0 exceeds the images */
    double floor_risk = fmax(above, -expm1(log(delta * (1 - whole)) / (double)acceptable(c)));
    int exponent = 2 - (int)floor(log10(floor_risk));
    double unit = pow(10, exponent), digits = floor(floor_risk * unit), risk;
    for (; (risk = digits / unit) < 1; digits++) {
        if (digits >= 1000) {
            digits = 100;
            unit /= 10;
        }
        if (risk > above && walk(c, risk, delta))
            return risk;
    }
    return NAN;
}

ds_guarantee ds_guarantee_at(const ds_curve *c, double risk, double delta)
{
    ds_guarantee g = {.feasible_risk = NAN};
    g.cut = (ds_cut){.threshold = INFINITY, .coverage = c->n ? 0 : NAN, .risk = NAN};
    if (!(risk > 0 && risk < 1 && delta > 0 && delta < 1))
        return g;
    const size_t groups = walk(c, risk, delta);
    g.feasible = groups > 0;
    if (g.feasible)
        g.cut = ds_cut_at_threshold(c, c->threshold[groups - 1]);
    g.feasible_risk = g.feasible ? risk : smallest_feasible(c, risk, delta);
    return g;
}
