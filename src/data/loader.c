/* The images of the next batches, decoded and prepared on the threads of a ring, an image a job. What a batch
 * holds follows from its place in the stream alone: the number of threads changes nothing but the speed. */
#include "base/memory.h"
#include "base/rng.h"
#include "data/loader.h"
#include "data/ring.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One image on its way: where it comes from, and what became of it. */
typedef struct job {
    uint64_t epoch;
    int rc; /* DS_OK or why there are no pixels */
    ds_error error;
} job;

struct ds_loader {
    ds_loader_setup setup;
    ds_augment augment;
    ds_ring *ring;
    uint64_t put, taken, end; /* positions in the stream */
    uint32_t *order;          /* endless: permutation of the epoch that `put` is in */

    /* One a place of the ring, whose number is a multiple of the batch: a batch lies in one piece. */
    job *jobs;
    float *pixels; /* places x floats */
    int *labels;
    uint32_t *ids;
    size_t floats; /* of one image */

    _Atomic(ds_image *) *cache; /* one place an image; NULL: not decoded yet or no room */
    atomic_size_t cached;       /* bytes */
    int rc;                     /* the failure that ended the stream */
    ds_error error;
};

/* ---- one image, on a thread of the ring ---- */

static void free_image(ds_image *im)
{
    if (im)
        ds_image_clear(im);
    free(im);
}

/* Give the image to the cache when there is room; false: it stays the caller's. */
static bool keep(ds_loader *l, uint32_t id, ds_image *im)
{
    size_t bytes = (size_t)im->w * (size_t)im->h * (size_t)im->c + sizeof *im;
    if (atomic_fetch_add(&l->cached, bytes) + bytes <= l->setup.cache_bytes) {
        ds_image *none = NULL;
        if (atomic_compare_exchange_strong(&l->cache[id], &none, im))
            return true;
    }
    atomic_fetch_sub(&l->cached, bytes);
    return false;
}

static void prepare(const ds_loader *l, const ds_image *im, size_t place)
{
    const ds_loader_setup *s = &l->setup;
    float *out = l->pixels + place * l->floats;
    if (s->augment)
        ds_prepare_augmented(im, &l->augment, s->seed, l->jobs[place].epoch, l->ids[place], out);
    else
        ds_prepare_center(im, s->w, s->h, false, out);
}

static void load(void *arg, size_t place)
{
    ds_loader *l = arg;
    job *j = &l->jobs[place];
    uint32_t id = l->ids[place];
    ds_image *im = atomic_load(&l->cache[id]);
    if (im) {
        prepare(l, im, place);
        return;
    }
    DS_ALLOC(im, 1);
    j->rc = ds_image_read(l->setup.images->paths[id], l->setup.c, im, &j->error);
    if (!j->rc)
        prepare(l, im, place);
    if (j->rc || !keep(l, id, im))
        free_image(im);
}

/* ---- the stream ---- */

/* The order of an epoch is a function of (seed, epoch); the last key keeps it apart from augmentation. */
static void shuffle(ds_loader *l, uint64_t epoch)
{
    uint32_t n = (uint32_t)l->setup.images->n;
    for (uint32_t i = 0; i < n; i++)
        l->order[i] = i;
    ds_rng r = ds_rng_make(l->setup.seed, epoch, UINT64_MAX);
    ds_rng_shuffle(&r, l->order, n);
}

static void put_image(ds_loader *l, size_t place)
{
    uint64_t n = (uint64_t)l->setup.images->n, epoch = l->put / n, i = l->put % n;
    if (l->order && (i == 0 || l->put == l->setup.start))
        shuffle(l, epoch);
    l->ids[place] = l->order ? l->order[i] : (uint32_t)i;
    l->labels[place] = l->setup.images->labels ? l->setup.images->labels[l->ids[place]] : -1;
    l->jobs[place].epoch = epoch;
    l->jobs[place].rc = DS_OK;
    l->put++;
    ds_ring_put(l->ring);
}

static void put_images(ds_loader *l)
{
    size_t place;
    while (l->put < l->end && ds_ring_place(l->ring, &place))
        put_image(l, place);
}

static void copy(ds_loader *l, size_t from, size_t to)
{
    l->ids[to] = l->ids[from];
    l->labels[to] = l->labels[from];
    memcpy(l->pixels + to * l->floats, l->pixels + from * l->floats, l->floats * sizeof *l->pixels);
}

/* What is missing of the last batch becomes its last image. */
static void pad(ds_loader *l, size_t first, int n)
{
    size_t last = first + (size_t)n - 1;
    for (size_t place = last + 1; place < first + (size_t)l->setup.batch; place++)
        copy(l, last, place);
}

/* Another image of the batch takes the place of one that is lost; false: none is there. */
static bool replace(ds_loader *l, size_t first, int n, size_t lost)
{
    size_t good = first, end = first + (size_t)n;
    while (good < end && l->jobs[good].rc)
        good++;
    if (good == end || !l->setup.lost)
        return false;
    l->setup.lost(l->setup.arg, l->ids[lost], &l->jobs[lost].error);
    copy(l, good, lost);
    return true;
}

static int fail(const ds_loader *l, ds_batch *b, ds_error *e)
{
    *b = (ds_batch){0};
    return ds_error_pass(e, &l->error);
}

int ds_loader_next(ds_loader *l, ds_batch *b, ds_error *e)
{
    *b = (ds_batch){0};
    if (l->rc)
        return fail(l, b, e);
    put_images(l);
    uint64_t left = l->end - l->taken;
    int n = left < (uint64_t)l->setup.batch ? (int)left : l->setup.batch;
    if (n == 0)
        return DS_OK;
    size_t first = ds_ring_take(l->ring, (size_t)n);
    *b = (ds_batch){l->pixels + first * l->floats, l->labels + first, l->ids + first, n};
    l->taken += (uint64_t)n;
    for (size_t place = first; place < first + (size_t)n; place++)
        if (l->jobs[place].rc && !replace(l, first, n, place)) {
            l->rc = l->jobs[place].rc;
            l->error = l->jobs[place].error;
            return fail(l, b, e);
        }
    pad(l, first, n);
    return DS_OK;
}

/* ---- making and freeing ---- */

int ds_loader_threads(int asked)
{
    enum { MOST = 8 };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (asked > 0)
        return asked;
    return cores < 1 ? 1 : cores > MOST ? MOST : (int)cores;
}

static ds_loader *make(const ds_loader_setup *s)
{
    ds_loader *l = DS_ZALLOC(l, 1);
    l->setup = *s;
    if (s->augment) {
        l->augment = *s->augment;
        l->augment.w = s->w;
        l->augment.h = s->h;
    }
    l->put = l->taken = s->endless ? s->start : 0;
    l->end = s->endless ? UINT64_MAX : (uint64_t)s->images->n;
    l->floats = (size_t)s->w * (size_t)s->h * (size_t)s->c;
    if (s->endless)
        DS_ALLOC(l->order, (size_t)s->images->n);
    DS_ZALLOC(l->cache, (size_t)s->images->n);
    return l;
}

/* Two batches under way while the caller has one, and a job for every thread. */
static size_t count_places(const ds_loader_setup *s)
{
    size_t batch = (size_t)s->batch;
    return (2 + ((size_t)s->threads + batch - 1) / batch) * batch;
}

size_t ds_loader_memory(const ds_loader_setup *s)
{
    const size_t pixels = (size_t)s->w * (size_t)s->h * (size_t)s->c * sizeof(float);
    return count_places(s) * (pixels + sizeof(job));
}

int ds_loader_new(const ds_loader_setup *s, ds_loader **loader, ds_error *e)
{
    *loader = NULL;
    if (s->images->n < 1)
        return ds_fail_at(e, DS_EINPUT, s->images->list, 0, "has no images left, expected at least one");
    ds_loader *l = make(s);
    size_t places = count_places(s);
    DS_ALLOC(l->jobs, places);
    DS_ALLOC(l->pixels, places * l->floats);
    DS_ALLOC(l->labels, places);
    DS_ALLOC(l->ids, places);
    int rc = ds_ring_new(places, s->threads, load, l, &l->ring, e);
    if (rc) {
        ds_loader_free(l);
        return rc;
    }
    put_images(l);
    *loader = l;
    return DS_OK;
}

void ds_loader_free(ds_loader *l)
{
    if (!l)
        return;
    ds_ring_free(l->ring);
    for (int i = 0; i < l->setup.images->n; i++)
        free_image(atomic_load(&l->cache[i]));
    free(l->cache);
    free(l->order);
    free(l->jobs);
    free(l->pixels);
    free(l->labels);
    free(l->ids);
    free(l);
}
