#include "data/ring.h"

#include "base/thread.h"

struct ds_ring {
    void (*fill)(void *arg, size_t place);
    void *arg;
    size_t places; /* job j has place j % places */
    pthread_t *threads;
    int running;

    uint64_t put, taken;  /* jobs; only the caller changes these two */
    pthread_mutex_t lock; /* of all below, and of `put` for the threads */
    pthread_cond_t came, done;
    uint64_t claimed; /* jobs that threads took on */
    uint64_t ready;   /* jobs before the first that is not done */
    uint64_t wanted;  /* as many as the caller waits for */
    bool *full;       /* places: done, behind one that is not */
    bool stop;
};

static void finish(ds_ring *r, size_t place)
{
    r->full[place] = true;
    for (; r->full[r->ready % r->places]; r->ready++)
        r->full[r->ready % r->places] = false;
    if (r->ready >= r->wanted)
        pthread_cond_signal(&r->done);
}

static void *work(void *argument)
{
    ds_ring *r = argument;
    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        if (r->claimed == r->put) {
            pthread_cond_wait(&r->came, &r->lock);
            continue;
        }
        size_t place = r->claimed++ % r->places;
        pthread_mutex_unlock(&r->lock);
        r->fill(r->arg, place);
        pthread_mutex_lock(&r->lock);
        finish(r, place);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static int start_thread(ds_ring *r, ds_error *e)
{
    const int problem = ds_thread_start(&r->threads[r->running], work, r);
    if (problem)
        return ds_fail(e, DS_ENOMEM, "cannot start a loader thread: %s, expected fewer -loaders",
                       strerror(problem));
    r->running++;
    return DS_OK;
}

int ds_ring_new(size_t places, int threads, void (*fill)(void *arg, size_t place), void *arg, ds_ring **ring,
                ds_error *e)
{
    int rc = DS_OK;
    ds_ring *r = DS_ALLOC(r, 1);
    *r = (ds_ring){.fill = fill, .arg = arg, .places = places};
    DS_ZALLOC(r->full, places);
    DS_ALLOC(r->threads, (size_t)threads);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->came, NULL);
    pthread_cond_init(&r->done, NULL);
    while (!rc && r->running < threads)
        rc = start_thread(r, e);
    *ring = rc ? NULL : r;
    if (rc)
        ds_ring_free(r);
    return rc;
}

void ds_ring_free(ds_ring *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_broadcast(&r->came);
    pthread_mutex_unlock(&r->lock);
    for (int i = 0; i < r->running; i++)
        pthread_join(r->threads[i], NULL);
    pthread_cond_destroy(&r->done);
    pthread_cond_destroy(&r->came);
    pthread_mutex_destroy(&r->lock);
    free(r->threads);
    free(r->full);
    free(r);
}

size_t ds_ring_jobs(const ds_ring *r)
{
    return (size_t)(r->put - r->taken);
}

bool ds_ring_place(const ds_ring *r, size_t *place)
{
    *place = r->put % r->places;
    return ds_ring_jobs(r) < r->places;
}

void ds_ring_put(ds_ring *r)
{
    pthread_mutex_lock(&r->lock);
    r->put++;
    pthread_cond_signal(&r->came);
    pthread_mutex_unlock(&r->lock);
}

size_t ds_ring_take(ds_ring *r, size_t n)
{
    size_t first = r->taken % r->places;
    pthread_mutex_lock(&r->lock);
    r->wanted = r->taken += n;
    while (r->ready < r->wanted)
        pthread_cond_wait(&r->done, &r->lock);
    pthread_mutex_unlock(&r->lock);
    return first;
}
