/* Prefetching: threads claim batches in order and fill the slots of a ring; the caller takes them in
 * order. What a batch holds follows from its number alone, so the number of threads changes nothing
 * but the speed. */
#include "base/rng.h"
#include "base/clock.h"
#include "data/data.h"
#include "data/thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct slot {
    float *pixels;
    int *labels;
    uint32_t *ids;
    bool full;
    int rc; /* DS_OK or why the batch could not be filled */
    ds_error error;
} slot;

struct ds_loader {
    ds_loader_setup setup;
    ds_augment augment;
    size_t floats;              /* of one image */
    uint64_t batches;           /* of a list that is not endless */
    _Atomic(ds_image *) *cache; /* one place an image; NULL: not decoded yet or no room */
    atomic_size_t cached;       /* bytes */

    pthread_mutex_t lock; /* of all below and of slots' full */
    pthread_cond_t filled, emptied;
    uint64_t claimed; /* batches that threads took on */
    uint64_t taken;   /* batches that the caller got */
    atomic_bool stop;
    int n_slots;
    slot *slots; /* batch b uses slot b % n_slots */

    pthread_t *threads;
    int running;
    double waited;
    int rc; /* the failure that ended the stream */
    ds_error error;
};

/* What a thread keeps for itself. */
typedef struct worker {
    ds_loader *l;
    ds_scratch scratch;
    uint32_t *order; /* permutation of `epoch` */
    uint64_t epoch;
} worker;

/* ---- one image ---- */

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

static int prepare(worker *w, const ds_image *im, uint64_t epoch, uint32_t id, float *out, ds_error *e)
{
    const ds_loader_setup *s = &w->l->setup;
    if (s->augment)
        return ds_prepare_augmented(im, &w->l->augment, s->seed, epoch, id, out, &w->scratch, e);
    return ds_prepare_center(im, s->w, s->h, out, &w->scratch, e);
}

static int load(worker *w, uint64_t epoch, uint32_t id, float *out, ds_error *e)
{
    ds_loader *l = w->l;
    ds_image *im = atomic_load(&l->cache[id]);
    if (im)
        return prepare(w, im, epoch, id, out, e);
    if (!(im = calloc(1, sizeof *im)))
        return ds_fail_memory(e);
    int rc = ds_image_read(l->setup.images->paths[id], l->setup.c, im, e);
    if (!rc)
        rc = prepare(w, im, epoch, id, out, e);
    if (rc || !keep(l, id, im))
        free_image(im);
    return rc;
}

/* ---- one batch ---- */

/* The order of an epoch is a function of (seed, epoch); the last key keeps it apart from augmentation. */
static int find_order(worker *w, uint64_t epoch, ds_error *e)
{
    uint32_t n = (uint32_t)w->l->setup.images->n;
    if (w->order && w->epoch == epoch)
        return DS_OK;
    if (!w->order && !(w->order = malloc(n * sizeof *w->order)))
        return ds_fail_memory(e);
    for (uint32_t i = 0; i < n; i++)
        w->order[i] = i;
    ds_rng r = ds_rng_make(w->l->setup.seed, epoch, UINT64_MAX);
    ds_rng_shuffle(&r, w->order, n);
    w->epoch = epoch;
    return DS_OK;
}

static int fill_one(worker *w, slot *s, int i, uint64_t position)
{
    ds_loader *l = w->l;
    uint64_t n = (uint64_t)l->setup.images->n, epoch = 0, id = position;
    if (l->setup.endless) {
        int rc = find_order(w, epoch = position / n, &s->error);
        if (rc)
            return rc;
        id = w->order[position % n];
    }
    s->ids[i] = (uint32_t)id;
    s->labels[i] = l->setup.images->labels[id];
    return load(w, epoch, (uint32_t)id, s->pixels + (size_t)i * l->floats, &s->error);
}

/* Images of batch b that are no padding. */
static int batch_size(const ds_loader *l, uint64_t b)
{
    uint64_t batch = (uint64_t)l->setup.batch, n = (uint64_t)l->setup.images->n;
    return (int)(!l->setup.endless && (b + 1) * batch > n ? n - b * batch : batch);
}

static int fill_batch(worker *w, slot *s, uint64_t b)
{
    ds_loader *l = w->l;
    uint64_t first = b * (uint64_t)l->setup.batch + (l->setup.endless ? l->setup.start : 0);
    int n = batch_size(l, b);
    for (int i = 0; i < n && !atomic_load(&l->stop); i++) {
        int rc = fill_one(w, s, i, first + (uint64_t)i);
        if (rc)
            return rc;
    }
    for (int i = n; i < l->setup.batch && !atomic_load(&l->stop); i++) {
        s->ids[i] = s->ids[n - 1];
        s->labels[i] = s->labels[n - 1];
        memcpy(s->pixels + (size_t)i * l->floats, s->pixels + (size_t)(n - 1) * l->floats,
               l->floats * sizeof(float));
    }
    return DS_OK;
}

/* ---- threads ---- */

/* The slot of the batch that the caller got last is still in use. */
static bool may_claim(const ds_loader *l)
{
    uint64_t in_use = l->taken ? l->taken - 1 : 0;
    return l->claimed < l->batches && l->claimed < in_use + (uint64_t)l->n_slots;
}

static void *work(void *argument)
{
    worker w = {.l = argument};
    ds_loader *l = w.l;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!atomic_load(&l->stop) && !may_claim(l))
            pthread_cond_wait(&l->emptied, &l->lock);
        if (atomic_load(&l->stop))
            break;
        uint64_t b = l->claimed++;
        slot *s = &l->slots[b % (uint64_t)l->n_slots];
        pthread_mutex_unlock(&l->lock);
        int rc = fill_batch(&w, s, b);
        pthread_mutex_lock(&l->lock);
        s->rc = rc;
        s->full = true;
        pthread_cond_signal(&l->filled);
    }
    pthread_mutex_unlock(&l->lock);
    free(w.scratch.v);
    free(w.order);
    return NULL;
}

/* ---- the loader ---- */

static int check(const ds_loader_setup *s, ds_error *e)
{
    if (s->images->n < 1)
        return ds_fail_at(e, DS_EINPUT, s->images->list, 0, "has no images left, expected at least one");
    if (s->batch < 1 || s->threads < 1 || s->w < 1 || s->h < 1)
        return ds_fail(e, DS_EINPUT, "batch %d, %d loaders, %d x %d pixels, expected at least 1 of each",
                       s->batch, s->threads, s->w, s->h);
    if (s->c != 1 && s->c != 3)
        return ds_fail(e, DS_EINPUT, "channels=%d, expected 1 or 3 for images from files", s->c);
    return DS_OK;
}

static int make_slots(ds_loader *l, ds_error *e)
{
    size_t batch = (size_t)l->setup.batch;
    if (!(l->slots = calloc((size_t)l->n_slots, sizeof *l->slots)))
        return ds_fail_memory(e);
    for (int i = 0; i < l->n_slots; i++) {
        slot *s = &l->slots[i];
        s->pixels = malloc(batch * l->floats * sizeof *s->pixels);
        s->labels = malloc(batch * sizeof *s->labels);
        s->ids = malloc(batch * sizeof *s->ids);
        if (!s->pixels || !s->labels || !s->ids)
            return ds_fail_memory(e);
    }
    return DS_OK;
}

static int make_parts(ds_loader *l, ds_error *e)
{
    size_t n = (size_t)l->setup.images->n;
    l->cache = calloc(n, sizeof *l->cache);
    l->threads = calloc((size_t)l->setup.threads, sizeof *l->threads);
    int rc = l->cache && l->threads ? make_slots(l, e) : ds_fail_memory(e);
    while (!rc && l->running < l->setup.threads)
        if (!(rc = ds_thread_start(&l->threads[l->running], work, l, e)))
            l->running++;
    return rc;
}

int ds_loader_threads(int asked)
{
    enum { MOST = 8 };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (asked > 0)
        return asked;
    return cores < 1 ? 1 : cores > MOST ? MOST : (int)cores;
}

int ds_loader_new(const ds_loader_setup *s, ds_loader **loader, ds_error *e)
{
    *loader = NULL;
    int rc = check(s, e);
    if (rc)
        return rc;
    ds_loader *l = calloc(1, sizeof *l);
    if (!l)
        return ds_fail_memory(e);
    l->setup = *s;
    if (s->augment) {
        l->augment = *s->augment;
        l->augment.w = s->w;
        l->augment.h = s->h;
    }
    l->floats = (size_t)s->w * (size_t)s->h * (size_t)s->c;
    l->batches =
        s->endless ? UINT64_MAX : ((uint64_t)s->images->n + (uint64_t)s->batch - 1) / (uint64_t)s->batch;
    l->n_slots = s->threads + 2;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->filled, NULL);
    pthread_cond_init(&l->emptied, NULL);
    if ((rc = make_parts(l, e)))
        ds_loader_free(l);
    else
        *loader = l;
    return rc;
}

/* Give the slot of the batch before back and wait for the next one. */
static slot *take(ds_loader *l)
{
    pthread_mutex_lock(&l->lock);
    slot *s = &l->slots[l->taken++ % (uint64_t)l->n_slots];
    pthread_cond_broadcast(&l->emptied);
    if (!s->full) {
        double start = ds_now();
        while (!s->full)
            pthread_cond_wait(&l->filled, &l->lock);
        l->waited += ds_now() - start;
    }
    s->full = false;
    pthread_mutex_unlock(&l->lock);
    return s;
}

int ds_loader_next(ds_loader *l, ds_batch *b, ds_error *e)
{
    *b = (ds_batch){0};
    if (!l->rc) {
        if (l->taken == l->batches)
            return DS_OK;
        uint64_t number = l->taken;
        slot *s = take(l);
        *b = (ds_batch){s->pixels, s->labels, s->ids, batch_size(l, number),
                        number * (uint64_t)l->setup.batch + (l->setup.endless ? l->setup.start : 0)};
        l->rc = s->rc;
        if (s->rc)
            l->error = s->error;
    }
    if (l->rc) {
        *b = (ds_batch){0};
        if (e)
            *e = l->error;
    }
    return l->rc;
}

double ds_loader_waited(const ds_loader *l)
{
    return l->waited;
}

void ds_loader_free(ds_loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    atomic_store(&l->stop, true);
    pthread_cond_broadcast(&l->emptied);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->running; i++)
        pthread_join(l->threads[i], NULL);
    for (int i = 0; l->slots && i < l->n_slots; i++) {
        free(l->slots[i].pixels);
        free(l->slots[i].labels);
        free(l->slots[i].ids);
    }
    for (int i = 0; l->cache && i < l->setup.images->n; i++)
        free_image(atomic_load(&l->cache[i]));
    free(l->cache);
    free(l->slots);
    free(l->threads);
    pthread_cond_destroy(&l->emptied);
    pthread_cond_destroy(&l->filled);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* ---- probing ---- */

typedef struct probe {
    const ds_images *images;
    int channels;
    bool *bad;
    char **reasons;
    atomic_int next, found;
    atomic_int failed; /* out of memory */
} probe;

static void probe_one(probe *p, int i)
{
    ds_image im;
    ds_error e = {0};
    int rc = ds_image_read(p->images->paths[i], p->channels, &im, &e);
    ds_image_clear(&im);
    if (rc == DS_ENOMEM) {
        atomic_store(&p->failed, rc);
    } else if (rc) {
        p->bad[i] = true;
        atomic_fetch_add(&p->found, 1);
        if (!(p->reasons[i] = strdup(e.text)))
            atomic_store(&p->failed, DS_ENOMEM);
    }
}

static void *run_probe(void *argument)
{
    probe *p = argument;
    int i;
    while (!atomic_load(&p->failed) && (i = atomic_fetch_add(&p->next, 1)) < p->images->n)
        probe_one(p, i);
    return NULL;
}

/* This thread works as well; threads that cannot be started are done without. */
int ds_images_probe(const ds_images *images, int channels, int threads, bool *bad, char **reasons,
                    ds_error *e)
{
    probe p = {.images = images, .channels = channels, .bad = bad, .reasons = reasons};
    pthread_t *others = calloc((size_t)(threads > 1 ? threads - 1 : 1), sizeof *others);
    int running = 0;
    if (!others)
        return ds_fail_memory(e);
    memset(bad, 0, (size_t)images->n * sizeof *bad);
    memset(reasons, 0, (size_t)images->n * sizeof *reasons);
    while (running < threads - 1 && !ds_thread_start(&others[running], run_probe, &p, NULL))
        running++;
    run_probe(&p);
    for (int i = 0; i < running; i++)
        pthread_join(others[i], NULL);
    free(others);
    return atomic_load(&p.failed) ? ds_fail_memory(e) : atomic_load(&p.found);
}
