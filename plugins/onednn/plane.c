/* Layers of one input that work plane by plane: [maxpool] and [avgpool], where they do not go along with the
 * layer before, and [dropout]. */
#include "plugins/onednn/engine.h"

#include "base/rng.h"

static int forward(const ds_plan *p, ds_step *s)
{
    const ds_tensor *in = s->inputs[0], *out = s->out;
    bool measures = in->feature && in->measurer == s->number;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < out->planes; i++) {
        s->kind->plane(p, s, i, ds_plane_at(in, in->value, i), ds_plane_at(out, out->value, i));
        if (measures)
            ds_tensor_measure(in, i);
    }
    return DS_OK;
}

static int backward(const ds_plan *p, ds_step *s)
{
    const ds_tensor *in = s->inputs[0], *out = s->out;
    const void *g = ds_tensor_join(out);
    void *to = ds_target_open(p, &s->to[0]);
    if (to && s->kind->only_adds && !s->to[0].add)
        memset(to, 0, ds_tensor_bytes(in));
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < (to ? out->planes : 0); i++)
        s->kind->plane_gradient(p, s, i, ds_plane_at(out, g, i), s->to[0].add, ds_plane_at(in, to, i));
    ds_target_close(p, &s->to[0]);
    return DS_OK;
}

/* ---- [maxpool] ---- */

static void largest(const ds_plan *p, const ds_step *s, size_t i, const void *x, void *y)
{
    _Alignas(64) static const float zero[16] = {0};
    _Alignas(64) static const float one[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const ds_affine same = {.scale = one, .shift = zero, .slope = 1};
    s->out->k->normalize_pool(x, &s->pool, &same, y, ds_index_at(p, s, i));
}

static void largest_gradient(const ds_plan *p, const ds_step *s, size_t i, const void *g, bool add, void *dx)
{
    (void)add;
    s->out->k->pool_gradient(g, ds_index_at(p, s, i), &s->pool, dx);
}

const ds_step_kind ds_step_maxpool = {.name = "maxpool",
                                      .keeps_index = true,
                                      .only_adds = true,
                                      .forward = forward,
                                      .backward = backward,
                                      .plane = largest,
                                      .plane_gradient = largest_gradient};

/* ---- [avgpool] ---- */

enum { BLOCK_MOST = 16 };

/* Input and output may have numbers of different types. */
static void average(const ds_plan *p, const ds_step *s, size_t i, const void *x, void *y)
{
    _Alignas(64) float mean[BLOCK_MOST], m2[BLOCK_MOST];
    (void)i;
    s->inputs[0]->k->moments(x, s->inputs[0]->extent, mean, m2);
    s->out->k->to_plane(mean, (int)p->block, s->out->extent, y);
}

static void average_gradient(const ds_plan *p, const ds_step *s, size_t i, const void *g, bool add, void *dx)
{
    _Alignas(64) float sum[BLOCK_MOST];
    (void)i;
    s->out->k->from_plane(g, (int)p->block, s->out->extent, false, sum);
    s->inputs[0]->k->average_gradient(sum, s->inputs[0]->extent, add, dx);
}

const ds_step_kind ds_step_avgpool = {.name = "avgpool",
                                      .forward = forward,
                                      .backward = backward,
                                      .plane = average,
                                      .plane_gradient = average_gradient};

/* ---- [dropout] ---- */

static float dropout_scale(const ds_step *s)
{
    return 1 / (1 - s->node->probability);
}

static void drop(const ds_plan *p, const ds_step *s, size_t i, const void *x, void *y)
{
    const ds_tensor *t = s->out;
    uint8_t *keep = ds_index_at(p, s, i);
    if (!p->pass->train || !p->pass->drop) {
        t->k->move(x, t->extent, false, y, t->extent.next);
        return;
    }
    const uint64_t plane = (uint64_t)p->graph->part * t->planes + i;
    ds_rng r = ds_rng_make(p->graph->seed, p->pass->step, ((uint64_t)s->layer << 32) + plane);
    for (size_t q = 0; q < t->extent.places * p->block; q++)
        keep[q] = ds_rng_uniform(&r) >= s->node->probability;
    t->k->mask(x, keep, t->extent, dropout_scale(s), false, y);
}

static void drop_gradient(const ds_plan *p, const ds_step *s, size_t i, const void *g, bool add, void *dx)
{
    s->out->k->mask(g, ds_index_at(p, s, i), s->out->extent, dropout_scale(s), add, dx);
}

const ds_step_kind ds_step_dropout = {.name = "dropout",
                                      .keeps_index = true,
                                      .forward = forward,
                                      .backward = backward,
                                      .plane = drop,
                                      .plane_gradient = drop_gradient};
