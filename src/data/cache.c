#include "data/image.h"

#include <stdatomic.h>

struct ds_cache {
    _Atomic(ds_image *) *images; /* n; NULL: not decoded yet, or no room */
    size_t n, most;
    atomic_size_t bytes;
};

ds_cache *ds_cache_new(size_t images, size_t most)
{
    ds_cache *c = DS_ZALLOC(c, 1);
    c->n = images;
    c->most = most;
    DS_ZALLOC(c->images, images);
    return c;
}

static size_t bytes_of(const ds_image *im)
{
    return (size_t)im->w * (size_t)im->h * (size_t)im->c + sizeof *im;
}

void ds_cache_forget(ds_cache *c, size_t first)
{
    for (size_t i = first; i < c->n; i++) {
        ds_image *im = atomic_exchange(&c->images[i], NULL);
        atomic_fetch_sub(&c->bytes, im ? bytes_of(im) : 0);
        ds_image_free(im);
    }
}

void ds_cache_free(ds_cache *c)
{
    if (!c)
        return;
    ds_cache_forget(c, 0);
    free(c->images);
    free(c);
}

/* False: it stays the caller's. */
static bool keep(ds_cache *c, size_t i, ds_image *im)
{
    const size_t bytes = bytes_of(im);
    ds_image *none = NULL;
    size_t sum = atomic_load(&c->bytes);
    do
        if (sum + bytes > c->most)
            return false;
    while (!atomic_compare_exchange_weak(&c->bytes, &sum, sum + bytes));
    if (atomic_compare_exchange_strong(&c->images[i], &none, im))
        return true;
    atomic_fetch_sub(&c->bytes, bytes); /* another thread's is there by now */
    return false;
}

const ds_image *ds_cache_read(ds_cache *c, size_t i, struct ds_sandbox *decoder, const char *path,
                              int channels, ds_image **own, ds_error *e)
{
    const ds_image *kept = c ? atomic_load(&c->images[i]) : NULL;
    *own = NULL;
    if (kept)
        return kept;
    ds_image *im = DS_ZALLOC(im, 1);
    if (ds_image_read_by(decoder, path, channels, im, e)) {
        ds_image_free(im);
        return NULL;
    }
    if (!c || !keep(c, i, im))
        *own = im;
    return im;
}
