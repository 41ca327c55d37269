/* Pooling on its own, where it does not go along with the layer before. */
#include "plugins/onednn/engine.h"

/* ---- [maxpool] --------------------------------------------------------------------------------------------- */

static int max_make(ds_plan *p, ds_step *s, ds_error *e)
{
    (void)e;
    ds_lease_index(p, s);
    s->to[0] = ds_target_make(p, s, s->inputs[0], true);
    return DS_OK;
}

static int max_forward(ds_plan *p, ds_step *s, const ds_backend_pass *pass)
{
    static const float one[16]
        __attribute__((aligned(64))) = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const float zero[16] __attribute__((aligned(64))) = {0};
    const ds_affine same = {.scale = one, .shift = zero, .slope = 1};
    const ds_tensor *in = s->inputs[0], *out = s->out;
    uint8_t *index = ds_arena_at(&p->arena, s->index_buffer);
    (void)pass;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < out->planes; i++)
        p->k->normalize_pool(in->value + i * in->plane, &s->pool, &same, out->value + i * out->plane,
                             index ? index + i * out->plane : NULL);
    return DS_OK;
}

static void clear(float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = 0;
}

static int max_backward(ds_plan *p, ds_step *s, const ds_backend_pass *pass)
{
    const ds_tensor *in = s->inputs[0], *out = s->out;
    const uint8_t *index = ds_arena_at(&p->arena, s->index_buffer);
    const float *g = ds_tensor_join(p, out);
    bool add;
    (void)pass;
    if (!s->to[0].t)
        return DS_OK;
    float *to = ds_target_open(p, &s->to[0], &add);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < out->planes; i++) {
        float *dx = to + i * in->plane;
        if (!add)
            clear(dx, in->plane);
        p->k->pool_gradient(g + i * out->plane, index + i * out->plane, &s->pool, dx);
    }
    ds_target_close(p, &s->to[0]);
    return DS_OK;
}

const ds_step_kind ds_step_maxpool = {"maxpool", false, max_make, max_forward, max_backward, NULL};

/* ---- [avgpool] --------------------------------------------------------------------------------------------- */

static int average_make(ds_plan *p, ds_step *s, ds_error *e)
{
    (void)e;
    s->to[0] = ds_target_make(p, s, s->inputs[0], true);
    return DS_OK;
}

static int average_forward(ds_plan *p, ds_step *s, const ds_backend_pass *pass)
{
    const ds_tensor *in = s->inputs[0];
    (void)pass;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < in->planes; i++)
        p->k->average(in->value + i * in->plane, in->places, s->out->value + i * s->out->plane);
    return DS_OK;
}

static int average_backward(ds_plan *p, ds_step *s, const ds_backend_pass *pass)
{
    const ds_tensor *in = s->inputs[0];
    const float *g = ds_tensor_join(p, s->out);
    bool add;
    (void)pass;
    if (!s->to[0].t)
        return DS_OK;
    float *to = ds_target_open(p, &s->to[0], &add);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < in->planes; i++)
        p->k->average_gradient(g + i * s->out->plane, in->places, add, to + i * in->plane);
    ds_target_close(p, &s->to[0]);
    return DS_OK;
}

const ds_step_kind ds_step_avgpool = {"avgpool",        false, average_make, average_forward,
                                      average_backward, NULL};
