/* Tensors: their shape, and passes over a whole one. */
#include "plugins/onednn/engine.h"

#include <string.h>

ds_tensor ds_tensor_shape(const ds_plan *p, int c, int h, int w)
{
    int blocks = (c + p->k->block - 1) / p->k->block;
    size_t places = (size_t)h * (size_t)w;
    return (ds_tensor){.c = c,
                       .h = h,
                       .w = w,
                       .blocks = blocks,
                       .places = places,
                       .plane = places * p->block,
                       .planes = (size_t)p->graph->batch * (size_t)blocks,
                       .importer = -1};
}

size_t ds_tensor_bytes(const ds_tensor *t)
{
    return t->planes * t->plane * sizeof(float);
}

bool ds_tensor_same_shape(const ds_tensor *a, const ds_tensor *b)
{
    return a->c == b->c && a->h == b->h && a->w == b->w;
}

/* Channels of plane i of a tensor. */
static int channels_of(const ds_plan *p, const ds_tensor *t, size_t i)
{
    int left = t->c - (int)(i % (size_t)t->blocks) * p->k->block;
    return left < p->k->block ? left : p->k->block;
}

static size_t plain_at(const ds_plan *p, const ds_tensor *t, size_t i)
{
    size_t image = i / (size_t)t->blocks, first = i % (size_t)t->blocks * p->block;
    return (image * (size_t)t->c + first) * t->places;
}

void ds_tensor_from_plain(const ds_plan *p, const ds_tensor *t, const float *plain, float *to)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++)
        p->k->to_plane(plain + plain_at(p, t, i), channels_of(p, t, i), t->places, to + i * t->plane);
}

void ds_tensor_to_plain(const ds_plan *p, const ds_tensor *t, const float *from, bool add, float *plain)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++)
        p->k->from_plane(from + i * t->plane, channels_of(p, t, i), t->places, add,
                         plain + plain_at(p, t, i));
}

void ds_tensor_add(const ds_plan *p, const ds_tensor *t, const float *from, float *to)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++)
        p->k->add(from + i * t->plane, t->places, to + i * t->plane);
}

float *ds_tensor_join(const ds_plan *p, const ds_tensor *t)
{
    if (t->grad[1])
        ds_tensor_add(p, t, t->grad[1], t->grad[0]);
    return t->grad[0];
}

void ds_tensor_clear_padding(const ds_plan *p, const ds_tensor *t, float *v)
{
    size_t padded = (size_t)t->blocks * p->block - (size_t)t->c, blocks = (size_t)t->blocks;
#pragma omp parallel for schedule(static) if (padded > 0)
    for (size_t i = blocks - 1; i < (padded ? t->planes : 0); i += blocks)
        for (size_t place = 1; place <= t->places; place++)
            memset(v + i * t->plane + place * p->block - padded, 0, padded * sizeof *v);
}

void ds_tensor_average(const ds_plan *p, const ds_tensor *t, size_t i)
{
    _Alignas(64) float mean[16];
    size_t image = i / (size_t)t->blocks, first = i % (size_t)t->blocks * p->block;
    p->k->average(t->value + i * t->plane, t->places, mean);
    memcpy(t->average + image * t->average_row + first, mean, (size_t)channels_of(p, t, i) * sizeof *mean);
}

void ds_odd_activate(const ds_plan *p, const ds_step *s)
{
    const ds_graph *g = p->graph;
    const ds_tensor *t = s->out;
    if (s->odd < 0)
        return;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++)
        g->activate(g->host, t->value + i * t->plane, (int)t->plane, s->odd);
    ds_tensor_clear_padding(p, t, t->value);
}

void ds_odd_gradient(const ds_plan *p, const ds_step *s, float *grad)
{
    const ds_graph *g = p->graph;
    const ds_tensor *t = s->out;
    if (s->odd < 0)
        return;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++)
        g->gradient(g->host, t->value + i * t->plane, (int)t->plane, s->odd, grad + i * t->plane);
    ds_tensor_clear_padding(p, t, grad);
}
