/* Threads take a path each, in turn, and a slot of a ring with it; the caller takes slots in order. */
#include "data/stream.h"

#include "data/data.h"
#include "data/thread.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct slot {
    char *path;
    float *pixels;
    int rc; /* DS_OK, or why there are no pixels */
    ds_error error;
    bool full;
} slot;

struct ds_stream {
    ds_stream_setup setup;
    size_t floats; /* of one image */
    int n_slots;
    slot *slots; /* image i uses slot i % n_slots */

    pthread_mutex_t turn; /* of the thread that asks for the next path */
    pthread_mutex_t lock; /* of all below and of the slots' full */
    pthread_cond_t filled, emptied;
    uint64_t claimed; /* images that threads took on */
    uint64_t ready;   /* images before the first that is not full */
    uint64_t taken;   /* images that the caller got */
    bool idle;        /* the next path is waited for */
    bool ended, stop;
    int rc; /* what ended the paths */
    ds_error error;

    int wake; /* an eventfd that ends the wait for a path */
    pthread_t *threads;
    int running;

    ds_stream_item *items; /* of the batch that the caller has, `most` of each */
    char **paths;
    ds_error *errors;
    float *pixels;
};

/* ---- the next path ---- */

static bool may_take(const ds_stream *s)
{
    uint64_t ready = s->ready - s->taken;
    if (ready >= (uint64_t)s->setup.most)
        return true;
    return s->ready == s->claimed && (s->ended || (s->idle && ready));
}

static void set_idle(ds_stream *s, bool idle)
{
    pthread_mutex_lock(&s->lock);
    s->idle = idle;
    if (may_take(s))
        pthread_cond_signal(&s->filled);
    pthread_mutex_unlock(&s->lock);
}

/* False: stopped, or all paths were given out. */
static bool wait_for_room(ds_stream *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->stop && !s->ended && s->claimed - s->taken == (uint64_t)s->n_slots)
        pthread_cond_wait(&s->emptied, &s->lock);
    bool go = !s->stop && !s->ended;
    pthread_mutex_unlock(&s->lock);
    return go;
}

static bool is_stopped(ds_stream *s)
{
    pthread_mutex_lock(&s->lock);
    bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

static int ask(ds_stream *s, ds_path *p, ds_error *e)
{
    int rc;
    while (!(rc = ds_paths_next(s->setup.paths, p, e)) && p->kind == DS_PATH_LATER && !is_stopped(s)) {
        set_idle(s, true);
        ds_paths_wait(s->setup.paths, s->wake);
        set_idle(s, false);
    }
    return rc;
}

/* The slot of the path, or NULL at the end. */
static slot *place(ds_stream *s, const ds_path *p, int rc, const ds_error *e)
{
    slot *t = NULL;
    pthread_mutex_lock(&s->lock);
    if (rc || p->kind == DS_PATH_END || p->kind == DS_PATH_LATER) {
        s->ended = true;
        if ((s->rc = rc))
            s->error = *e;
        pthread_cond_signal(&s->filled);
    } else {
        t = &s->slots[s->claimed++ % (uint64_t)s->n_slots];
        t->path = p->path;
        t->rc = p->kind == DS_PATH_BAD ? (int)p->error.code : DS_OK;
        if (t->rc)
            t->error = p->error;
    }
    pthread_mutex_unlock(&s->lock);
    return t;
}

static slot *claim(ds_stream *s)
{
    slot *t = NULL;
    ds_path p;
    ds_error e;
    pthread_mutex_lock(&s->turn);
    if (wait_for_room(s)) {
        int rc = ask(s, &p, &e);
        t = place(s, &p, rc, &e);
    }
    pthread_mutex_unlock(&s->turn);
    return t;
}

/* ---- threads ---- */

static void fill(const ds_stream *s, slot *t)
{
    ds_image im = {0};
    if (!t->rc)
        t->rc = ds_image_read(t->path, s->setup.c, &im, &t->error);
    if (!t->rc)
        ds_prepare_center(&im, s->setup.w, s->setup.h, t->pixels);
    ds_image_clear(&im);
}

static void hand_over(ds_stream *s, slot *t)
{
    pthread_mutex_lock(&s->lock);
    t->full = true;
    while (s->ready < s->claimed && s->slots[s->ready % (uint64_t)s->n_slots].full)
        s->ready++;
    if (may_take(s))
        pthread_cond_signal(&s->filled);
    pthread_mutex_unlock(&s->lock);
}

static void *work(void *argument)
{
    ds_stream *s = argument;
    slot *t;
    while ((t = claim(s))) {
        fill(s, t);
        hand_over(s, t);
    }
    return NULL;
}

/* ---- the caller ---- */

/* What was taken before is given up; the slot's path moves to the batch. */
static int take(ds_stream *s, slot *t, ds_stream_batch *b)
{
    int i = b->n++;
    free(s->paths[i]);
    s->paths[i] = t->path;
    s->items[i] = (ds_stream_item){t->path, NULL};
    t->path = NULL;
    if (t->rc) {
        s->errors[i] = t->error;
        s->items[i].error = &s->errors[i];
        return t->rc == DS_ENOMEM ? DS_ENOMEM : DS_OK;
    }
    memcpy(s->pixels + (size_t)b->images++ * s->floats, t->pixels, s->floats * sizeof *t->pixels);
    return DS_OK;
}

static int wait_for_batch(ds_stream *s, int *n)
{
    pthread_mutex_lock(&s->lock);
    while (!may_take(s))
        pthread_cond_wait(&s->filled, &s->lock);
    uint64_t ready = s->ready - s->taken;
    *n = ready < (uint64_t)s->setup.most ? (int)ready : s->setup.most;
    int rc = *n ? DS_OK : s->rc;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* Only now threads may fill the slots again. */
static bool release(ds_stream *s, int n)
{
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < n; i++)
        s->slots[s->taken++ % (uint64_t)s->n_slots].full = false;
    bool last = s->ended && s->taken == s->claimed;
    pthread_cond_signal(&s->emptied);
    pthread_mutex_unlock(&s->lock);
    return last;
}

int ds_stream_next(ds_stream *s, ds_stream_batch *b, ds_error *e)
{
    *b = (ds_stream_batch){.items = s->items, .pixels = s->pixels};
    int n, rc = wait_for_batch(s, &n);
    if (rc && e)
        *e = s->error;
    for (int i = 0; i < n && !rc; i++)
        rc = take(s, &s->slots[(s->taken + (uint64_t)i) % (uint64_t)s->n_slots], b);
    if (rc == DS_ENOMEM)
        ds_fail_memory(e);
    if (rc)
        b->n = 0;
    else
        b->last = release(s, n);
    return rc;
}

/* ---- making and freeing ---- */

static int make_slots(ds_stream *s, ds_error *e)
{
    size_t most = (size_t)s->setup.most;
    s->slots = calloc((size_t)s->n_slots, sizeof *s->slots);
    s->items = calloc(most, sizeof *s->items);
    s->paths = calloc(most, sizeof *s->paths);
    s->errors = calloc(most, sizeof *s->errors);
    s->pixels = malloc(most * s->floats * sizeof *s->pixels);
    if (!s->slots || !s->items || !s->paths || !s->errors || !s->pixels)
        return ds_fail_memory(e);
    for (int i = 0; i < s->n_slots; i++)
        if (!(s->slots[i].pixels = malloc(s->floats * sizeof(float))))
            return ds_fail_memory(e);
    return DS_OK;
}

static int make_parts(ds_stream *s, ds_error *e)
{
    int rc = make_slots(s, e);
    if (!rc && (s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        rc = ds_fail(e, DS_EIO, "cannot make an event descriptor, expected fewer open files");
    if (!rc && !(s->threads = calloc((size_t)s->setup.threads, sizeof *s->threads)))
        rc = ds_fail_memory(e);
    while (!rc && s->running < s->setup.threads)
        if (!(rc = ds_thread_start(&s->threads[s->running], work, s, e)))
            s->running++;
    return rc;
}

int ds_stream_new(const ds_stream_setup *setup, ds_stream **stream, ds_error *e)
{
    *stream = NULL;
    ds_stream *s = calloc(1, sizeof *s);
    if (!s)
        return ds_fail_memory(e);
    s->setup = *setup;
    s->wake = -1;
    s->floats = (size_t)setup->w * (size_t)setup->h * (size_t)setup->c;
    s->n_slots = 2 * setup->most + setup->threads;
    pthread_mutex_init(&s->turn, NULL);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->filled, NULL);
    pthread_cond_init(&s->emptied, NULL);
    int rc = make_parts(s, e);
    if (rc)
        ds_stream_free(s);
    else
        *stream = s;
    return rc;
}

static void stop_threads(ds_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->emptied);
    pthread_mutex_unlock(&s->lock);
    if (s->wake >= 0)
        eventfd_write(s->wake, 1);
    for (int i = 0; i < s->running; i++)
        pthread_join(s->threads[i], NULL);
    if (s->wake >= 0)
        close(s->wake);
}

void ds_stream_free(ds_stream *s)
{
    if (!s)
        return;
    stop_threads(s);
    for (int i = 0; s->slots && i < s->n_slots; i++) {
        free(s->slots[i].path);
        free(s->slots[i].pixels);
    }
    for (int i = 0; s->paths && i < s->setup.most; i++)
        free(s->paths[i]);
    free(s->threads);
    free(s->slots);
    free(s->items);
    free(s->paths);
    free(s->errors);
    free(s->pixels);
    pthread_cond_destroy(&s->emptied);
    pthread_cond_destroy(&s->filled);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->turn);
    free(s);
}
