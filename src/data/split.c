#include "base/rng.h"
#include "data/import.h"

#include <stdlib.h>

/* What is left of each class while the splits are dealt out. */
typedef struct pool {
    int classes;
    int *size;       /* classes: images of the class */
    int *start;      /* classes: where the class begins in `order` */
    int *used;       /* classes: images of it already dealt */
    int *take;       /* classes: images of it for the split at hand */
    uint32_t *order; /* n: image numbers, class by class, shuffled within each */
    struct remainder {
        uint64_t fraction;
        int class;
    } * rank; /* classes */
} pool;

static void pool_release(pool *p)
{
    free(p->size);
    free(p->start);
    free(p->used);
    free(p->take);
    free(p->order);
    free(p->rank);
}

static int pool_alloc(pool *p, int n, int classes, ds_error *e)
{
    size_t k = (size_t)classes + 1;
    *p = (pool){.classes = classes,
                .size = calloc(k, sizeof *p->size),
                .start = calloc(k, sizeof *p->start),
                .used = calloc(k, sizeof *p->used),
                .take = calloc(k, sizeof *p->take),
                .order = malloc(((size_t)n + 1) * sizeof *p->order),
                .rank = malloc(k * sizeof *p->rank)};
    if (p->size && p->start && p->used && p->take && p->order && p->rank)
        return DS_OK;
    pool_release(p);
    return ds_fail_memory(e);
}

static void pool_fill(pool *p, const int *labels, int n, uint64_t seed)
{
    for (int i = 0; i < n; i++)
        p->size[labels[i]]++;
    for (int c = 1; c < p->classes; c++)
        p->start[c] = p->start[c - 1] + p->size[c - 1];
    for (int i = 0; i < n; i++)
        p->order[p->start[labels[i]] + p->used[labels[i]]++] = (uint32_t)i;
    for (int c = 0; c < p->classes; c++) {
        ds_rng r = ds_rng_make(seed, (uint64_t)c, 0);
        ds_rng_shuffle(&r, p->order + p->start[c], (uint32_t)p->size[c]);
        p->used[c] = 0;
    }
}

static int by_fraction(const void *a, const void *b)
{
    const struct remainder *x = a, *y = b;
    if (x->fraction != y->fraction)
        return x->fraction > y->fraction ? -1 : 1;
    return x->class - y->class;
}

/* Largest remainders: the whole part of count * size / n for each class, the rest to the largest
 * fractions. Earlier splits may have rounded a small class up so often that it is used up: others then
 * give its share. */
static void apportion(pool *p, int count, int n)
{
    int missing = count;
    for (int c = 0; c < p->classes; c++) {
        uint64_t product = (uint64_t)count * (uint64_t)p->size[c];
        int whole = (int)(product / (uint64_t)n), left = p->size[c] - p->used[c];
        p->rank[c] = (struct remainder){product % (uint64_t)n, c};
        p->take[c] = whole < left ? whole : left;
        missing -= p->take[c];
    }
    qsort(p->rank, (size_t)p->classes, sizeof *p->rank, by_fraction);
    while (missing > 0)
        for (int i = 0; i < p->classes && missing > 0; i++) {
            int c = p->rank[i].class;
            if (p->take[c] == p->size[c] - p->used[c])
                continue;
            p->take[c]++;
            missing--;
        }
}

static void deal(pool *p, int split, int *part)
{
    for (int c = 0; c < p->classes; c++)
        for (; p->take[c] > 0; p->take[c]--)
            part[p->order[p->start[c] + p->used[c]++]] = split;
}

static int check_counts(int n, const ds_split *splits, int n_splits, ds_error *e)
{
    long long sum = 0;
    for (int s = 0; s < n_splits; s++) {
        if (splits[s].count < 0)
            return ds_fail(e, DS_EINPUT, "split %s=%d, expected a count from 0", splits[s].name,
                           splits[s].count);
        sum += splits[s].count;
    }
    if (sum > n)
        return ds_fail(e, DS_EINPUT, "the splits ask for %lld images, expected at most the %d that there are",
                       sum, n);
    return DS_OK;
}

int ds_split_stratified(const int *labels, int n, int classes, const ds_split *splits, int n_splits,
                        uint64_t seed, int *part, ds_error *e)
{
    int rc = check_counts(n, splits, n_splits, e);
    pool p;
    if (rc || (rc = pool_alloc(&p, n, classes, e)))
        return rc;
    for (int i = 0; i < n; i++)
        part[i] = -1;
    pool_fill(&p, labels, n, seed);
    for (int s = 0; s < n_splits; s++) {
        if (splits[s].count == 0)
            continue;
        apportion(&p, splits[s].count, n);
        deal(&p, s, part);
    }
    pool_release(&p);
    return DS_OK;
}
