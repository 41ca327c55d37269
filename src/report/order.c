#include "report/page.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

static int surest_first(const void *a, const void *b, void *arg)
{
    const double *confidences = arg;
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    double x = confidences[i], y = confidences[j];
    if (isnan(x) != isnan(y))
        return isnan(x) ? 1 : -1;
    if (x > y || x < y)
        return x > y ? -1 : 1;
    return i < j ? -1 : i > j;
}

size_t *ds_page_order(const ds_answers *a)
{
    size_t *order;
    DS_ALLOC(order, a->n);
    for (size_t i = 0; i < a->n; i++)
        order[i] = i;
    qsort_r(order, a->n, sizeof *order, surest_first, a->confidences);
    return order;
}

int ds_steps_make(const ds_curve *c, size_t all, size_t most, size_t keep, ds_steps *s, ds_error *e)
{
    *s = (ds_steps){.thinned = c->n > all && c->groups > most};
    if (!(s->group = malloc((c->groups + 1) * sizeof *s->group)))
        return ds_fail_memory(e);
    double next = 0, stride = (double)c->n / (double)most;
    for (size_t g = 0; g < c->groups; g++) {
        bool needed = c->accepted[g] == keep || g + 1 == c->groups;
        if (s->thinned && (double)c->accepted[g] < next && !needed)
            continue;
        s->group[s->n++] = g;
        while (next <= (double)c->accepted[g])
            next += stride;
    }
    return DS_OK;
}
