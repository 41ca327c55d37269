/* The images of the next batches, decoded and prepared on the threads of a ring, an image a job. What a batch
 * holds follows from its place in the stream alone: the number of threads changes nothing but the speed. */
#include "data/loader.h"
#include "data/ring.h"

#include <unistd.h>

/* Keeps the order of a class apart from all else. */
enum { DEAL_KEY = 0x6465616c };

/* Larger images than so many bytes for each of the network's numbers are not handed out. */
enum { MOST_SENT = 16 };

/* One image on its way: where it comes from, and what became of it. */
typedef struct job {
    uint64_t draw;  /* the epoch, or where images come several times in it, the position */
    ds_image *own;  /* whose bytes a picture has, and nobody else; NULL: none */
    ds_error error; /* code is not DS_OK: why there are no pixels */
} job;

struct ds_loader {
    ds_loader_setup setup;
    ds_ring *ring;
    uint64_t put;    /* position in the stream */
    uint32_t *order; /* images of `epoch` */
    uint64_t epoch;
    /* setup.balanced: the images, class by class; those of class k of n_classes, which have some, begin at
     * starts[k] */
    uint32_t *members, *starts, n_classes;

    /* One a place of the ring, whose number is a multiple of the batch: a batch lies in one piece. */
    job *jobs;
    float *pixels;        /* places x floats; or */
    ds_picture *pictures; /* places, and */
    unsigned char *bytes; /* places x floats: of those made of large images */
    int *labels;
    uint32_t *ids;
    size_t floats;  /* of one image */
    ds_error error; /* the failure that ended the stream */
};

/* ---- one image, on a thread of the ring ---- */

static size_t bytes_of(const ds_image *im)
{
    return (size_t)im->w * (size_t)im->h * (size_t)im->c;
}

/* The picture of an image of many more bytes than it has numbers: prepared here, as w x h x c bytes. */
static void shrink(ds_loader *l, size_t place, const ds_image *im)
{
    static const ds_draw as_is = {.scale = 1, .aspect = 1, .saturation = 1, .exposure = 1};
    ds_picture *p = &l->pictures[place];
    const size_t n = l->floats, c = (size_t)l->setup.c;
    unsigned char *out = l->bytes + place * n;
    DS_FREED float *px = DS_ALLOC(px, n);
    ds_augment_apply(im, l->setup.augment, &p->draw, px);
    for (size_t i = 0; i < n; i++)
        out[i % (n / c) * c + i / (n / c)] = (unsigned char)(255 * px[i] + .5F);
    *p = (ds_picture){out, l->setup.w, l->setup.h, p->id, false, as_is};
}

/* What becomes of it depends on its size, never on what the cache holds: bits must not. */
static void prepare(ds_loader *l, size_t place, const ds_image *im)
{
    const ds_loader_setup *s = &l->setup;
    const uint32_t id = l->ids[place];
    ds_rng r = ds_rng_make(s->seed, l->jobs[place].draw, id);
    const ds_draw draw = ds_augment_draw(s->augment, im->w, im->h, &r);
    if (s->pictures)
        l->pictures[place] = (ds_picture){im->px, im->w, im->h, id, true, draw};
    else
        ds_augment_apply(im, s->augment, &draw, l->pixels + place * l->floats);
    if (s->pictures && bytes_of(im) > MOST_SENT * l->floats)
        shrink(l, place, im);
}

static void load(void *arg, size_t place)
{
    ds_loader *l = arg;
    job *j = &l->jobs[place];
    const ds_loader_setup *s = &l->setup;
    const uint32_t id = l->ids[place];
    ds_image *own;
    ds_image_free(j->own);
    j->own = NULL;
    const ds_image *im = ds_cache_read(s->cache, id, NULL, s->images->paths[id],
                                       s->c | (s->as_stored ? DS_AS_STORED : 0), &own, &j->error);
    if (im)
        prepare(l, place, im);
    if (own && s->pictures && l->pictures[place].lasting)
        j->own = own;
    else
        ds_image_free(own);
}

/* Groups the images by class. */
static void find_members(ds_loader *l)
{
    const ds_images *images = l->setup.images;
    uint32_t at = 0;
    DS_ALLOC(l->members, (size_t)images->n);
    DS_ALLOC(l->starts, (size_t)l->setup.balanced + 1);
    for (int c = 0; c < l->setup.balanced; c++) {
        l->starts[l->n_classes] = at;
        for (int i = 0; i < images->n; i++)
            if (images->labels[i] == c)
                l->members[at++] = (uint32_t)i;
        l->n_classes += at > l->starts[l->n_classes];
    }
    l->starts[l->n_classes] = at;
}

/* Class k has every n_classes-th place of the epoch, another first one in the next; its images come round
 * after round, each in an order of (seed, round, class). */
static void deal(ds_loader *l, uint64_t epoch, uint32_t k)
{
    const uint32_t n = (uint32_t)l->setup.images->n, classes = l->n_classes,
                   size = l->starts[k + 1] - l->starts[k];
    const uint32_t *members = l->members + l->starts[k];
    uint64_t turn = epoch * ((n + classes - 1) / classes);
    DS_FREED uint32_t *round = DS_ALLOC(round, size);
    for (uint32_t i = (uint32_t)((k + epoch) % classes), first = i; i < n; i += classes, turn++) {
        if (i == first || turn % size == 0) {
            ds_rng r = ds_rng_make(l->setup.seed ^ DEAL_KEY, turn / size, k);
            memcpy(round, members, size * sizeof *round);
            ds_rng_shuffle(&r, round, size);
        }
        l->order[i] = round[turn % size];
    }
}

/* The order of an epoch is a function of (seed, epoch); the last key keeps it apart from augmentation. */
static void shuffle(ds_loader *l, uint64_t epoch)
{
    uint32_t n = (uint32_t)l->setup.images->n;
    for (uint32_t i = 0; i < n; i++)
        l->order[i] = i;
    for (uint32_t k = 0; k < l->n_classes; k++)
        deal(l, epoch, k);
    ds_rng r = ds_rng_make(l->setup.seed, epoch, UINT64_MAX);
    ds_rng_shuffle(&r, l->order, n);
}

/* Past the images of other parts. */
static void skip(ds_loader *l)
{
    const ds_loader_setup *s = &l->setup;
    const uint64_t piece = (uint64_t)s->piece, all = piece * (uint64_t)s->parts;
    const uint64_t at = s->parts > 1 ? (l->put - s->start) % all : 0, first = piece * (uint64_t)s->part;
    if (s->parts > 1 && (at < first || at >= first + piece))
        l->put += at < first ? first - at : all - at + first;
}

static void put_image(ds_loader *l, size_t place)
{
    skip(l);
    uint64_t n = (uint64_t)l->setup.images->n, epoch = l->put / n, i = l->put % n;
    if (epoch != l->epoch)
        shuffle(l, epoch);
    l->epoch = epoch;
    l->ids[place] = l->order[i];
    l->labels[place] = l->setup.images->labels[l->ids[place]];
    l->jobs[place] = (job){.draw = l->n_classes ? l->put : epoch, .own = l->jobs[place].own};
    l->put++;
    ds_ring_put(l->ring);
}

static void put_images(ds_loader *l)
{
    size_t place;
    while (ds_ring_place(l->ring, &place))
        put_image(l, place);
}

/* Another image of the batch takes the place of one that is lost; false: none is there. */
static bool replace(ds_loader *l, size_t first, size_t lost)
{
    size_t good = first, end = first + (size_t)l->setup.batch;
    while (good < end && l->jobs[good].error.code)
        good++;
    if (good == end || !l->setup.lost)
        return false;
    l->setup.lost(l->setup.arg, l->ids[lost], &l->jobs[lost].error);
    l->ids[lost] = l->ids[good];
    l->labels[lost] = l->labels[good];
    if (l->pictures)
        l->pictures[lost] = l->pictures[good];
    else
        memcpy(l->pixels + lost * l->floats, l->pixels + good * l->floats, l->floats * sizeof *l->pixels);
    return true;
}

int ds_loader_next(ds_loader *l, ds_batch *b, ds_error *e)
{
    const size_t n = (size_t)l->setup.batch;
    size_t first = 0;
    if (!l->error.code) {
        put_images(l);
        first = ds_ring_take(l->ring, n);
    }
    for (size_t place = first; place < first + n && !l->error.code; place++)
        if (l->jobs[place].error.code && !replace(l, first, place))
            l->error = l->jobs[place].error;
    *b = (ds_batch){.labels = l->labels + first, .ids = l->ids + first};
    if (l->pictures)
        b->pictures = l->pictures + first;
    else
        b->pixels = l->pixels + first * l->floats;
    return l->error.code ? ds_error_pass(e, &l->error) : DS_OK;
}

int ds_loader_threads(int asked)
{
    enum { MOST = 8 };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (asked > 0)
        return asked;
    return cores < 1 ? 1 : cores > MOST ? MOST : (int)cores;
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
    const size_t places = count_places(s), images = (size_t)s->images->n;
    ds_loader *l = DS_ZALLOC(l, 1);
    l->setup = *s;
    l->put = s->start;
    l->epoch = UINT64_MAX;
    l->floats = (size_t)s->w * (size_t)s->h * (size_t)s->c;
    DS_ALLOC(l->order, images);
    if (s->balanced)
        find_members(l);
    DS_ZALLOC(l->jobs, places);
    if (s->pictures) {
        DS_ALLOC(l->pictures, places);
        DS_ALLOC(l->bytes, places * l->floats);
    } else {
        DS_ALLOC(l->pixels, places * l->floats);
    }
    DS_ALLOC(l->labels, places);
    DS_ALLOC(l->ids, places);
    int rc = ds_ring_new(places, s->threads, load, l, &l->ring, e);
    if (rc)
        ds_loader_free(l);
    else
        put_images(l);
    *loader = rc ? NULL : l;
    return rc;
}

void ds_loader_free(ds_loader *l)
{
    if (!l)
        return;
    ds_ring_free(l->ring);
    for (size_t i = 0; i < count_places(&l->setup); i++)
        ds_image_free(l->jobs[i].own);
    free(l->order);
    free(l->members);
    free(l->starts);
    free(l->jobs);
    free(l->pixels);
    free(l->pictures);
    free(l->bytes);
    free(l->labels);
    free(l->ids);
    free(l);
}
