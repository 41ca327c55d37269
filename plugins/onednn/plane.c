/* Layers of one input that work plane by plane: [maxpool] and [avgpool], where they do not go along with the
 * layer before, and [dropout]. */
#include "plugins/onednn/engine.h"

#include "base/rng.h"

#include <string.h>

static int forward(const ds_plan *p, ds_step *s)
{
    const ds_tensor *in = s->inputs[0], *out = s->out;
    bool averages = in->average && in->averager == s->number;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < out->planes; i++) {
        s->kind->plane(p, s, i, in->value + i * in->plane, out->value + i * out->plane);
        if (averages)
            ds_tensor_average(p, in, i);
    }
    return DS_OK;
}

static int backward(const ds_plan *p, ds_step *s)
{
    const ds_tensor *in = s->inputs[0], *out = s->out;
    const float *g = ds_tensor_join(p, out);
    float *to = ds_target_open(p, &s->to[0]);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < (to ? out->planes : 0); i++)
        s->kind->plane_gradient(p, s, i, g + i * out->plane, s->to[0].add, to + i * in->plane);
    ds_target_close(p, &s->to[0]);
    return DS_OK;
}

/* ---- [maxpool] ---- */

static void largest(const ds_plan *p, const ds_step *s, size_t i, const float *x, float *y)
{
    _Alignas(64) static const float zero[16] = {0};
    _Alignas(64) static const float one[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const ds_affine same = {.scale = one, .shift = zero, .slope = 1};
    p->k->normalize_pool(x, &s->pool, &same, y, ds_index_at(p, s, i));
}

static void largest_gradient(const ds_plan *p, const ds_step *s, size_t i, const float *g, bool add,
                             float *dx)
{
    if (!add)
        memset(dx, 0, s->inputs[0]->plane * sizeof *dx);
    p->k->pool_gradient(g, ds_index_at(p, s, i), &s->pool, dx);
}

const ds_step_kind ds_step_maxpool = {.name = "maxpool",
                                      .keeps_index = true,
                                      .forward = forward,
                                      .backward = backward,
                                      .plane = largest,
                                      .plane_gradient = largest_gradient};

/* ---- [avgpool] ---- */

static void average(const ds_plan *p, const ds_step *s, size_t i, const float *x, float *y)
{
    (void)i;
    p->k->average(x, s->inputs[0]->places, y);
}

static void average_gradient(const ds_plan *p, const ds_step *s, size_t i, const float *g, bool add,
                             float *dx)
{
    (void)i;
    p->k->average_gradient(g, s->inputs[0]->places, add, dx);
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

static void drop(const ds_plan *p, const ds_step *s, size_t i, const float *x, float *y)
{
    const ds_tensor *t = s->out;
    uint8_t *keep = ds_index_at(p, s, i);
    if (!p->pass->train || !p->pass->drop) {
        memcpy(y, x, t->plane * sizeof *y);
        return;
    }
    ds_rng r = ds_rng_make(p->graph->seed, p->pass->step, ((uint64_t)s->layer << 32) + i);
    for (size_t q = 0; q < t->plane; q++)
        keep[q] = ds_rng_uniform(&r) >= s->node->probability;
    p->k->mask(x, keep, t->places, dropout_scale(s), false, y);
}

static void drop_gradient(const ds_plan *p, const ds_step *s, size_t i, const float *g, bool add, float *dx)
{
    p->k->mask(g, ds_index_at(p, s, i), s->out->places, dropout_scale(s), add, dx);
}

const ds_step_kind ds_step_dropout = {.name = "dropout",
                                      .keeps_index = true,
                                      .forward = forward,
                                      .backward = backward,
                                      .plane = drop,
                                      .plane_gradient = drop_gradient};
