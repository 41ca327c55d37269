#include "base/rng.h"
#include "import/import.h"

/* What is left of a class while the splits are dealt out. */
typedef struct pool {
    int size, used;     /* images of the class, and how many of them are dealt */
    uint32_t *images;   /* size: their numbers, shuffled */
    int take;           /* for the split at hand */
    uint64_t remainder; /* of the class's share in it */
} pool;

/* Fresh pools, one a class; the images of pools[0] are the block of all n. */
static pool *fill_pools(const int *labels, int n, int classes, uint64_t seed)
{
    pool *pools = DS_ZALLOC(pools, (size_t)classes);
    uint32_t *images = DS_ALLOC(images, (size_t)n);
    for (int i = 0; i < n; i++)
        pools[labels[i]].size++;
    for (int c = 0; c < classes; images += pools[c++].size)
        pools[c].images = images;
    for (int i = 0; i < n; i++) {
        pool *p = &pools[labels[i]];
        p->images[p->used++] = (uint32_t)i;
    }
    for (int c = 0; c < classes; c++) {
        ds_rng r = ds_rng_make(seed, (uint64_t)c, 0);
        ds_rng_shuffle(&r, pools[c].images, (uint32_t)pools[c].size);
        pools[c].used = 0;
    }
    return pools;
}

static int by_remainder(const void *a, const void *b)
{
    const pool *x = *(pool *const *)a, *y = *(pool *const *)b;
    if (x->remainder != y->remainder)
        return x->remainder > y->remainder ? -1 : 1;
    return x < y ? -1 : 1; /* in the order of classes */
}

/* Largest remainders: the whole part of count * size / n for each class, the rest to the largest
 * fractions. Earlier splits may have rounded a small class up so often that it is used up: others then
 * give its share. order: the pools, in any order. */
static void apportion(pool **order, int classes, int count, int n)
{
    int missing = count;
    for (int i = 0; i < classes; i++) {
        pool *p = order[i];
        uint64_t product = (uint64_t)count * (uint64_t)p->size;
        int whole = (int)(product / (uint64_t)n), left = p->size - p->used;
        p->remainder = product % (uint64_t)n;
        p->take = whole < left ? whole : left;
        missing -= p->take;
    }
    qsort(order, (size_t)classes, sizeof *order, by_remainder);
    for (int i = 0; missing > 0; i = (i + 1) % classes)
        if (order[i]->take < order[i]->size - order[i]->used) {
            order[i]->take++;
            missing--;
        }
}

void ds_split_stratified(const int *labels, int n, int classes, const ds_split *splits, int n_splits,
                         uint64_t seed, int *part)
{
    DS_FREED pool *pools = fill_pools(labels, n, classes, seed);
    DS_FREED pool **order = DS_ALLOC(order, (size_t)classes);
    for (int c = 0; c < classes; c++)
        order[c] = &pools[c];
    for (int i = 0; i < n; i++)
        part[i] = -1;
    for (int s = 0; s < n_splits; s++) {
        apportion(order, classes, splits[s].count, n);
        for (pool *p = pools; p < pools + classes; p++)
            for (; p->take > 0; p->take--)
                part[p->images[p->used++]] = s;
    }
    free(pools[0].images);
}
