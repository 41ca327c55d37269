#include "data/stream.h"

#include "base/clock.h"
#include "data/image.h"
#include "data/ring.h"

struct ds_stream {
    ds_stream_setup setup;
    ds_ring *ring;
    size_t floats;  /* of one image */
    size_t asked;   /* for so many paths */
    bool ended;     /* the paths */
    ds_error error; /* and why, if they failed */

    /* One a place of the ring. */
    ds_stream_item *places;
    float *pixels; /* places x floats */

    /* The batch that the caller has, `most` of each. */
    const ds_stream_item **items;
    float *batch;
};

/* On a thread of the ring. */
static void fill(void *arg, size_t place)
{
    const ds_stream *s = arg;
    ds_stream_item *item = &s->places[place];
    const ds_stream_setup *o = &s->setup;
    ds_image *own;
    if (item->error.code)
        return;
    const ds_image *im = ds_cache_read(o->cache, o->first + item->number, o->decoder, item->path,
                                       o->c | (o->as_stored ? DS_AS_STORED : 0), &own, &item->error);
    if (im)
        ds_prepare_center(im, o->w, o->h, s->pixels + place * s->floats);
    ds_image_free(own);
}

/* Milliseconds to wait for the next path: any number for the first image of a batch, until `end` for the
 * others, none for those of the batch after it. */
static int patience(const ds_stream *s, double end)
{
    size_t jobs = ds_ring_jobs(s->ring);
    double left = 1e3 * (end - ds_now());
    return jobs == 0 ? -1 : jobs < (size_t)s->setup.most && left > 0 ? (int)left + 1 : 0;
}

/* The paths of a batch, and of the one after it while they are there at once: that is decoded while the
 * network is busy. */
static void ask(ds_stream *s)
{
    const double most_seconds = .005;
    double end = ds_now() + most_seconds;
    size_t place;
    while (!s->ended && ds_ring_place(s->ring, &place)) {
        bool first = ds_ring_jobs(s->ring) == 0;
        ds_path path;
        s->ended =
            ds_paths_next(s->setup.paths, patience(s, end), &path, &s->error) || path.kind == DS_PATH_END;
        if (path.kind == DS_PATH_LATER && !first)
            break;
        if (s->ended || path.kind != DS_PATH_FOUND)
            continue;
        if (first)
            end = ds_now() + most_seconds;
        free(s->places[place].path);
        s->places[place] = (ds_stream_item){path.path, s->asked++, path.error};
        ds_ring_put(s->ring);
    }
}

int ds_stream_next(ds_stream *s, ds_stream_batch *b, ds_error *e)
{
    size_t places = 2 * (size_t)s->setup.most;
    ask(s);
    size_t n = ds_ring_jobs(s->ring);
    *b = (ds_stream_batch){.items = s->items, .pixels = s->batch};
    if (n == 0)
        return s->error.code ? ds_error_pass(e, &s->error) : DS_OK;
    b->n = n < (size_t)s->setup.most ? (int)n : s->setup.most;
    size_t first = ds_ring_take(s->ring, (size_t)b->n);
    for (int i = 0; i < b->n; i++) {
        size_t place = (first + (size_t)i) % places;
        s->items[i] = &s->places[place];
        if (!s->items[i]->error.code)
            memcpy(s->batch + (size_t)b->images++ * s->floats, s->pixels + place * s->floats,
                   s->floats * sizeof *s->batch);
    }
    return DS_OK;
}

int ds_stream_new(const ds_stream_setup *setup, ds_stream **stream, ds_error *e)
{
    size_t most = (size_t)setup->most;
    ds_stream *s = DS_ZALLOC(s, 1);
    s->setup = *setup;
    s->floats = (size_t)setup->w * (size_t)setup->h * (size_t)setup->c;
    DS_ZALLOC(s->places, 2 * most);
    DS_ALLOC(s->pixels, 2 * most * s->floats);
    DS_ALLOC(s->items, most);
    DS_ZALLOC(s->batch, most * s->floats); /* who computes a whole batch reads all of it */
    int rc = ds_ring_new(2 * most, setup->threads, fill, s, &s->ring, e);
    if (rc)
        ds_stream_free(s);
    *stream = rc ? NULL : s;
    return rc;
}

void ds_stream_free(ds_stream *s)
{
    if (!s)
        return;
    ds_ring_free(s->ring);
    for (size_t i = 0; i < 2 * (size_t)s->setup.most; i++)
        free(s->places[i].path);
    free(s->places);
    free(s->pixels);
    free(s->items);
    free(s->batch);
    free(s);
}
