#include "select/select.h"

#include <math.h>

enum { CHAINS = 4 };

static size_t acceptable(const ds_curve *c)
{
    return c->groups ? c->accepted[c->groups - 1] : 0;
}

static bool passes(const ds_curve *c, size_t groups, double risk, double level)
{
    return ds_binomial_cdf(c->errors[groups - 1], c->accepted[groups - 1], risk) <= level;
}

/* m0: with fewer accepted even no error at all proves nothing. Too many for the curve: acceptable + 1. */
static size_t first_rank(const ds_curve *c, double risk, double level)
{
    double m0 = ceil(log(level) / log1p(-risk));
    return m0 <= (double)acceptable(c) ? (size_t)m0 : acceptable(c) + 1;
}

/* The groups of the largest cut that passes before the first failure, 0 for none. */
static size_t walk_chain(const ds_curve *c, size_t rank, double risk, double level)
{
    size_t passed = 0, step = c->n < 200 ? 1 : c->n / 100;
    for (; rank <= acceptable(c); rank += step) {
        size_t groups = ds_curve_groups_of(c, (double)rank);
        if (groups == passed)
            continue;
        if (!passes(c, groups, risk, level))
            break;
        passed = groups;
    }
    return passed;
}

/* Does any chain pass its first cut? */
static bool feasible(const ds_curve *c, double risk, double level)
{
    size_t rank = first_rank(c, risk, level);
    for (int s = 0; s < CHAINS; s++)
        if (rank << s <= acceptable(c) && passes(c, ds_curve_groups_of(c, (double)(rank << s)), risk, level))
            return true;
    return false;
}

/* Larger risks have other chains, so that a feasible one may have an infeasible one above it: the steps are
 * tried one by one. */
static double smallest_feasible(const ds_curve *c, double above, double level)
{
    if (!acceptable(c))
        return NAN;
    /* below this m0 exceeds the images */
    double floor_risk = fmax(above, -expm1(log(level) / (double)acceptable(c)));
    int exponent = 2 - (int)floor(log10(floor_risk));
    double unit = pow(10, exponent), digits = floor(floor_risk * unit), risk;
    for (; (risk = digits / unit) < 1; digits++) {
        if (digits >= 1000) {
            digits = 100;
            unit /= 10;
        }
        if (risk > above && feasible(c, risk, level))
            return risk;
    }
    return NAN;
}

ds_guarantee ds_guarantee_at(const ds_curve *c, double risk, double delta)
{
    double level = delta / CHAINS;
    ds_guarantee g = {.feasible_risk = NAN};
    g.cut = (ds_cut){.threshold = INFINITY, .coverage = c->n ? 0 : NAN, .risk = NAN};
    if (!(risk > 0 && risk < 1 && delta > 0 && delta < 1))
        return g;
    size_t rank = first_rank(c, risk, level), groups = 0;
    for (int s = 0; s < CHAINS; s++) {
        size_t passed = walk_chain(c, rank << s, risk, level);
        groups = passed > groups ? passed : groups;
    }
    g.feasible = groups > 0;
    if (g.feasible)
        g.cut = ds_cut_at_threshold(c, c->threshold[groups - 1]);
    g.feasible_risk = g.feasible ? risk : smallest_feasible(c, risk, level);
    return g;
}
