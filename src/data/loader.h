/* The endless stream of training images, in batches that are prefetched on threads of their own: each image
 * once an epoch, in a seeded order; batches cross the borders of epochs. */
#pragma once

#include "data/data.h"
#include "data/image.h"

typedef struct ds_loader ds_loader; /* opaque */

/* Decoding threads for the flag -loaders: `asked`, or when that is 0 one a core, 8 at most. */
int ds_loader_threads(int asked);

typedef struct ds_loader_setup {
    const ds_images *images; /* must outlive the loader */
    int w, h, c;             /* >= 1; c 1 or 3 */
    bool pictures;           /* batches are of ds_picture instead of pixels */
    bool as_stored;          /* images are not turned upright (image.h) */
    int batch;               /* images at a time */
    /* The stream is shared: of each parts x piece images in a row, the part-th `piece` is this one's. parts 0
     * or 1: all are. */
    int part, parts, piece;
    int threads;               /* >= 1 */
    ds_cache *cache;           /* of the images, which has room for others behind them; NULL: none */
    const ds_augment *augment; /* to w x h; must outlive the loader */
    /* How many classes there are, each of which that has images comes equally often, its images in turn; 0:
     * each image once an epoch. */
    int balanced;
    uint64_t seed;
    uint64_t start; /* position in the stream: images seen before */
    /* Told of an undecodable image, which another of its batch then replaces, unless all of them are bad;
     * NULL: such an image is an error. */
    void (*lost)(void *arg, uint32_t id, const ds_error *why);
    void *arg;
} ds_loader_setup;

typedef struct ds_batch {
    const float *pixels;        /* batch x c x h x w, valid until the next call */
    const int *labels;          /* batch */
    const uint32_t *ids;        /* batch: index into images */
    const ds_picture *pictures; /* batch, instead of pixels; the same draws, pixels within 1 / 255 */
} ds_batch;

int ds_loader_new(const ds_loader_setup *s, ds_loader **loader, ds_error *e);
/* Next batch in order. Blocks until it is there; an undecodable image is an error here (it stays one on later
 * calls). Bit-equal for any number of threads. */
int ds_loader_next(ds_loader *l, ds_batch *b, ds_error *e);
void ds_loader_free(ds_loader *l);
/* Bytes that one takes, without decoded images. */
size_t ds_loader_memory(const ds_loader_setup *s);
