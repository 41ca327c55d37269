/* Decoded images stay on the device as bytes, once they have been there and while there is room; the others
 * come with each batch. A kernel makes pixels of them. */
#include "plugins/cuda/engine.h"

/* Of one allocation; what stays free for cuDNN, which loads code as it goes. */
static const size_t chunk_bytes = (size_t)64 << 20, reserve = (size_t)1 << 30;

static size_t bytes_of(const ds_engine *x, const ds_picture *p)
{
    return (size_t)p->w * (size_t)p->h * (size_t)x->graph.nodes[0].c;
}

/* What the main stream clears, the copies come after. */
static int make_room(ds_engine *x, size_t bytes, unsigned char **place, ds_error *e)
{
    DS_TRY(ds_gpu_room(&x->gpu, bytes, place, e));
    return ds_gpu_order(&x->gpu, DS_GPU_MAIN, DS_GPU_COPY, e);
}

/* Room for at most n bytes of new images: for good, or until the next batch. */
static int find_room(ds_engine *x, size_t n, ds_error *e)
{
    ds_gpu_store *s = &x->store;
    const size_t chunk = n > chunk_bytes ? n : chunk_bytes;
    size_t left = 0, all = 0;
    if (n > s->pinned_bytes)
        DS_TRY(ds_gpu_pinned(&x->gpu, s->pinned_bytes = 2 * n, &s->pinned, e));
    if (n > s->left && !s->full) {
        DS_TRY(DS_CU(&x->gpu, cuMemGetInfo_v2, &left, &all));
        s->full = left < chunk + reserve;
        s->left = s->full ? 0 : chunk;
        DS_TRY(s->full ? DS_OK : make_room(x, chunk, &s->chunk, e));
    }
    return s->full && n > s->passing_bytes ? make_room(x, s->passing_bytes = 2 * n, &s->passing, e) : DS_OK;
}

/* Where image `id` is; NULL: nowhere yet. */
static const unsigned char **known(ds_gpu_store *s, unsigned id)
{
    const size_t n = s->n_known, more = 2 * (size_t)id + 1024;
    if (id >= n) {
        s->known = ds_xrealloc(s->known, more, sizeof *s->known);
        memset(s->known + n, 0, (more - n) * sizeof *s->known);
        s->n_known = more;
    }
    return &s->known[id];
}

static size_t missing(ds_engine *x, const ds_picture *p, int n)
{
    size_t sum = 0;
    for (int i = 0; p && i < n; i++)
        sum += p[i].lasting && *known(&x->store, p[i].id) ? 0 : bytes_of(x, &p[i]);
    return sum;
}

/* The pictures with addresses of the device; new bytes go behind the *used. */
static void list(ds_engine *x, const ds_picture *p, int n, unsigned char *to, size_t *used, ds_picture *out)
{
    ds_gpu_store *s = &x->store;
    for (int i = 0; p && i < n; i++) {
        const unsigned char **at = known(s, p[i].id), *place = p[i].lasting ? *at : NULL;
        if (!place) {
            memcpy(s->pinned + *used, p[i].px, bytes_of(x, &p[i]));
            place = to + *used;
            *used += bytes_of(x, &p[i]);
        }
        if (p[i].lasting && !s->full)
            *at = place;
        out[i] = p[i];
        out[i].px = place;
    }
}

int ds_gpu_prepare(ds_engine *x, const ds_backend_pass *pass, ds_error *e)
{
    ds_gpu_store *s = &x->store;
    const ds_gpu_tensor *t = &x->tensors[0];
    const int n = pass->images, pixels = t->h * t->w, threads = pixels < 512 ? (pixels + 63) / 64 * 64 : 512;
    const size_t batch = (size_t)x->graph.batch, bytes = batch * (2 * sizeof(ds_picture) + sizeof(float));
    if (!s->list) {
        DS_TRY(ds_gpu_pinned(&x->gpu, bytes, &s->list, e));
        DS_TRY(make_room(x, bytes, (unsigned char **)&s->listed, e));
    }
    DS_TRY(find_room(x, missing(x, pass->pictures, n) + missing(x, pass->mixed, n), e));
    unsigned char *to = s->full ? s->passing : s->chunk;
    size_t used = 0;
    list(x, pass->pictures, n, to, &used, s->list);
    list(x, pass->mixed, n, to, &used, s->list + batch);
    if (pass->mixed)
        memcpy(s->list + 2 * batch, pass->shares, (size_t)n * sizeof(float));
    s->chunk += s->full ? 0 : used;
    s->left -= s->full ? 0 : used;
    void *stream = x->gpu.streams[DS_GPU_COPY];
    if (used)
        DS_TRY(DS_CU(&x->gpu, cuMemcpyHtoDAsync_v2, to, s->pinned, used, stream));
    DS_TRY(DS_CU(&x->gpu, cuMemcpyHtoDAsync_v2, s->listed, s->list, bytes, stream));
    DS_TRY(ds_gpu_order(&x->gpu, DS_GPU_COPY, DS_GPU_MAIN, e));
    const picture_args a = {s->listed,
                            pass->mixed ? s->listed + batch : NULL,
                            (float *)(s->listed + 2 * batch),
                            t->value,
                            t->c,
                            t->h,
                            t->w,
                            t->cp};
    return ds_gpu_launch(&x->gpu, DS_K_prepare, n, threads, false, &a, e);
}
