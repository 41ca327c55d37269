/* Tensors: their shape, and passes over a whole one. */
#include "plugins/onednn/engine.h"

ds_tensor ds_tensor_shape(const ds_plan *p, int c, int h, int w)
{
    size_t places = (size_t)h * (size_t)w, blocks = ((size_t)c + p->block - 1) / p->block;
    ds_tensor t = {.c = c,
                   .h = h,
                   .w = w,
                   .blocks = (int)blocks,
                   .planes = (size_t)p->graph->batch * blocks,
                   .extent = {places, p->bf16 ? blocks * p->block : p->block},
                   .block = p->bf16 ? p->block : places * p->block,
                   .image = places * blocks * p->block,
                   .k = p->bf16 ? p->bf16 : p->k,
                   .importer = -1};
    return t;
}

size_t ds_tensor_bytes(const ds_tensor *t)
{
    return t->planes * t->extent.places * (size_t)t->k->block * t->k->size;
}

bool ds_tensor_same_shape(const ds_tensor *a, const ds_tensor *b)
{
    return a->c == b->c && a->h == b->h && a->w == b->w;
}

/* Channels of plane i of a tensor. */
static int channels_of(const ds_tensor *t, size_t i)
{
    int left = t->c - (int)(i % (size_t)t->blocks) * t->k->block;
    return left < t->k->block ? left : t->k->block;
}

static size_t plain_at(const ds_tensor *t, size_t i)
{
    size_t image = i / (size_t)t->blocks, first = i % (size_t)t->blocks * (size_t)t->k->block;
    return (image * (size_t)t->c + first) * t->extent.places;
}

void ds_tensor_from_plain(const ds_tensor *t, const float *plain, void *to)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++)
        t->k->to_plane(plain + plain_at(t, i), channels_of(t, i), t->extent, ds_plane_at(t, to, i));
}

void ds_tensor_to_plain(const ds_tensor *t, const void *from, bool add, float *plain)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++)
        t->k->from_plane(ds_plane_at(t, from, i), channels_of(t, i), t->extent, add, plain + plain_at(t, i));
}

void ds_tensor_add(const ds_tensor *t, const void *from, void *to)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++)
        t->k->move(ds_plane_at(t, from, i), t->extent, true, ds_plane_at(t, to, i), t->extent.next);
}

void *ds_tensor_join(const ds_tensor *t)
{
    if (t->grad[1])
        ds_tensor_add(t, t->grad[1], t->grad[0]);
    return t->grad[0];
}

void ds_tensor_clear_padding(const ds_tensor *t, void *v)
{
    size_t padded = (size_t)t->blocks * (size_t)t->k->block - (size_t)t->c, blocks = (size_t)t->blocks;
#pragma omp parallel for schedule(static) if (padded > 0)
    for (size_t i = blocks - 1; i < (padded ? t->planes : 0); i += blocks) {
        char *end = (char *)ds_plane_at(t, v, i) + (size_t)t->k->block * t->k->size;
        for (size_t place = 0; place < t->extent.places; place++, end += t->extent.next * t->k->size)
            memset(end - padded * t->k->size, 0, padded * t->k->size);
    }
}

/* Plane i of v as channels one after the other, to an array of places x block floats and back. */
static float *plain_plane(const ds_tensor *t, const void *v, size_t i, float *to)
{
    t->k->from_plane(ds_plane_at(t, v, i), channels_of(t, i), t->extent, false, to);
    return to;
}

void ds_tensor_measure(const ds_tensor *t, size_t i)
{
    _Alignas(64) float level[16], m2[16];
    size_t image = i / (size_t)t->blocks, first = i % (size_t)t->blocks * (size_t)t->k->block;
    t->k->moments(ds_plane_at(t, t->value, i), t->extent, level, m2);
    for (int c = 0; c < channels_of(t, i); c++)
        level[c] += sqrtf(m2[c] / (float)t->extent.places);
    memcpy(t->feature + image * t->feature_row + first, level, (size_t)channels_of(t, i) * sizeof *level);
}

void ds_odd_activate(const ds_plan *p, const ds_step *s)
{
    const ds_graph *g = p->graph;
    const ds_tensor *t = s->out;
#pragma omp parallel if (s->odd >= 0)
    {
        float *y = s->odd < 0 ? NULL : ds_xmalloc(t->extent.places * p->block * sizeof *y);
#pragma omp for schedule(static)
        for (size_t i = 0; i < (y ? t->planes : 0); i++) {
            int channels = channels_of(t, i);
            plain_plane(t, t->value, i, y);
            g->activate(g->host, y, channels * (int)t->extent.places, s->odd);
            t->k->to_plane(y, channels, t->extent, ds_plane_at(t, t->value, i));
        }
        free(y);
    }
}

void ds_odd_gradient(const ds_plan *p, const ds_step *s, void *grad)
{
    const ds_graph *g = p->graph;
    const ds_tensor *t = s->out;
#pragma omp parallel if (s->odd >= 0)
    {
        size_t n = t->extent.places * p->block;
        float *y = s->odd < 0 ? NULL : ds_xmalloc(2 * n * sizeof *y), *delta = y ? y + n : NULL;
#pragma omp for schedule(static)
        for (size_t i = 0; i < (y ? t->planes : 0); i++) {
            int channels = channels_of(t, i);
            plain_plane(t, t->value, i, y);
            plain_plane(t, grad, i, delta);
            g->gradient(g->host, y, channels * (int)t->extent.places, s->odd, delta);
            t->k->to_plane(delta, channels, t->extent, ds_plane_at(t, grad, i));
        }
        free(y);
    }
}
