#include "select/select.h"
#include "select/search.h"

#include <float.h>

typedef struct place {
    double confidence;
    bool wrong;
} place;

static int surest_first(const void *a, const void *b)
{
    double x = ((const place *)a)->confidence, y = ((const place *)b)->confidence;
    return (x < y) - (x > y);
}

/* Sorted images to groups of equal confidence. */
static void add_groups(ds_curve *c, const place *sorted, size_t n)
{
    size_t errors = 0;
    for (size_t i = 0; i < n; i++) {
        errors += sorted[i].wrong;
        if (i + 1 < n && sorted[i + 1].confidence == sorted[i].confidence)
            continue;
        c->threshold[c->groups] = sorted[i].confidence + 0.0; /* -0 becomes 0 */
        c->accepted[c->groups] = i + 1;
        c->errors[c->groups++] = errors;
    }
}

ds_curve ds_curve_of(const double *confidence, const bool *wrong, size_t n)
{
    ds_curve c = {.n = n};
    size_t numbers = 0;
    DS_FREED place *images = DS_ALLOC(images, n);
    for (size_t i = 0; i < n; i++) {
        c.wrong += wrong[i];
        if (!isnan(confidence[i]))
            images[numbers++] = (place){confidence[i], wrong[i]};
    }
    c.n_nan = n - numbers;
    qsort(images, numbers, sizeof *images, surest_first);
    DS_ALLOC(c.threshold, numbers);
    DS_ALLOC(c.accepted, numbers);
    DS_ALLOC(c.errors, numbers);
    add_groups(&c, images, numbers);
    return c;
}

void ds_curve_clear(ds_curve *curve)
{
    free(curve->threshold);
    free(curve->accepted);
    free(curve->errors);
    *curve = (ds_curve){0};
}

/* Accepting the first `groups` groups. */
static ds_cut cut_of(const ds_curve *c, size_t groups)
{
    ds_cut cut = {.threshold = INFINITY};
    if (groups) {
        cut.threshold = c->threshold[groups - 1];
        cut.accepted = c->accepted[groups - 1];
        cut.errors = c->errors[groups - 1];
    }
    cut.coverage = c->n ? (double)cut.accepted / (double)c->n : NAN;
    cut.risk = cut.accepted ? (double)cut.errors / (double)cut.accepted : NAN;
    return cut;
}

size_t ds_curve_groups_at(const ds_curve *c, double threshold)
{
    return DS_FIRST(g, c->groups, !ds_accepts(c->threshold[g], threshold));
}

size_t ds_curve_groups_of(const ds_curve *c, double images)
{
    const size_t last = DS_FIRST(g, c->groups, !((double)c->accepted[g] < images));
    return last < c->groups ? last + 1 : c->groups;
}

ds_cut ds_cut_at_threshold(const ds_curve *c, double threshold)
{
    ds_cut cut = cut_of(c, ds_curve_groups_at(c, threshold));
    cut.threshold = threshold;
    return cut;
}

/* fraction * count has two roundings; a product this far off an integer is meant to be that integer. */
static const double slack = 8 * DBL_EPSILON;

ds_cut ds_cut_at_coverage(const ds_curve *c, double coverage)
{
    return cut_of(c, ds_curve_groups_of(c, coverage * (double)c->n * (1 - slack)));
}

ds_cut ds_cut_at_risk(const ds_curve *c, double risk)
{
    size_t groups = c->groups;
    while (groups && (double)c->errors[groups - 1] > risk * (double)c->accepted[groups - 1] * (1 + slack))
        groups--;
    return cut_of(c, groups);
}
