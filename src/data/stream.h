/* Any number of images in the order of their paths, decoded and prepared on threads of their own in constant
 * memory. An image that cannot be read is an item like any other. */
#pragma once

#include "data/paths.h"

typedef struct ds_stream ds_stream; /* opaque */

typedef struct ds_stream_setup {
    ds_paths *paths;            /* must outlive the stream, which alone uses them */
    int w, h, c;                /* of the network; c is 1 or 3 */
    bool as_stored;             /* images are not turned upright (image.h) */
    int most;                   /* images a batch */
    int threads;                /* >= 1 */
    struct ds_cache *cache;     /* the k-th path is its image first + k; NULL: none is kept */
    size_t first;
    struct ds_sandbox *decoder; /* of untrusted images (image.h); NULL: the threads decode */
} ds_stream_setup;

typedef struct ds_stream_item {
    char *path;
    size_t number; /* of paths before it */
    ds_error error; /* code is DS_OK: the image is among the pixels */
} ds_stream_item;

/* Valid until the next call. */
typedef struct ds_stream_batch {
    const ds_stream_item *const *items; /* n, in order */
    int n;                              /* <= most; 0: the end */
    int images;                         /* items without an error */
    const float *pixels;                /* images x c x h x w; room for `most` of them */
} ds_stream_batch;

int ds_stream_new(const ds_stream_setup *s, ds_stream **stream, ds_error *e);
/* Waits for a whole batch, or, where paths come slowly, for as many images as some milliseconds bring. After
 * the last batch: the error that ended the paths (DS_EIO, DS_EINPUT), if any. It stays one on later calls. */
int ds_stream_next(ds_stream *s, ds_stream_batch *b, ds_error *e);
void ds_stream_free(ds_stream *s);
