/* Layers that work number by number: [activation], [dropout], and the host's activations that no slope describes. */
#include "plugins/onednn/engine.h"

#include "base/rng.h"

#include <string.h>

/* ---- the host's activations -------------------------------------------------------------------------------- */

/* Channels beyond the last one, which an activation may have made something else than zero. */
static void clear_padding(const ds_plan *p, const ds_tensor *t, size_t plane, float *v)
{
    size_t block = (size_t)p->k->block, first = plane % (size_t)t->blocks * block;
    size_t real = (size_t)t->c - first;
    for (size_t i = 0; real < block && i < t->places; i++)
        memset(v + i * block + real, 0, (block - real) * sizeof *v);
}

void ds_odd_activate(const ds_plan *p, const ds_tensor *t, float *x, int activation)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++) {
        p->graph->activate(p->graph->host, x + i * t->plane, (int)t->plane, activation);
        clear_padding(p, t, i, x + i * t->plane);
    }
}

void ds_odd_gradient(const ds_plan *p, const ds_tensor *t, const float *y, int activation, float *grad)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++) {
        p->graph->gradient(p->graph->host, y + i * t->plane, (int)t->plane, activation, grad + i * t->plane);
        clear_padding(p, t, i, grad + i * t->plane);
    }
}

/* ---- [activation] ------------------------------------------------------------------------------------------ */

static int activation_make(ds_plan *p, ds_step *s, ds_error *e)
{
    (void)e;
    if (s->trains)
        ds_arena_extend(&p->arena, s->out->value_buffer, ds_backward_moment(p, s));
    s->to[0] = ds_target_make(p, s, s->inputs[0], true);
    return DS_OK;
}

static int activation_forward(ds_plan *p, ds_step *s, const ds_backend_pass *pass)
{
    const ds_tensor *t = s->out;
    const float *x = s->inputs[0]->value;
    (void)pass;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++)
        p->k->gate(x + i * t->plane, x + i * t->plane, t->places, s->slope, false, t->value + i * t->plane);
    if (s->odd >= 0)
        ds_odd_activate(p, t, t->value, s->odd);
    return DS_OK;
}

static int activation_backward(ds_plan *p, ds_step *s, const ds_backend_pass *pass)
{
    const ds_tensor *t = s->out;
    float *g = ds_tensor_join(p, t);
    bool add;
    (void)pass;
    if (!s->to[0].t)
        return DS_OK;
    if (s->odd >= 0)
        ds_odd_gradient(p, t, t->value, s->odd, g);
    float *to = ds_target_open(p, &s->to[0], &add);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++)
        p->k->gate(t->value + i * t->plane, g + i * t->plane, t->places, s->slope, add, to + i * t->plane);
    ds_target_close(p, &s->to[0]);
    return DS_OK;
}

const ds_step_kind ds_step_activation = {"activation",        false, activation_make, activation_forward,
                                         activation_backward, NULL};

/* ---- [dropout] --------------------------------------------------------------------------------------------- */

static int dropout_make(ds_plan *p, ds_step *s, ds_error *e)
{
    (void)e;
    ds_lease_index(p, s);
    s->to[0] = ds_target_make(p, s, s->inputs[0], true);
    return DS_OK;
}

static float dropout_scale(const ds_step *s)
{
    return 1 / (1 - s->node->probability);
}

static void draw(const ds_plan *p, const ds_step *s, uint64_t step, size_t plane, uint8_t *keep)
{
    ds_rng r = ds_rng_make(p->graph->seed, step, ((uint64_t)s->layer << 32) + plane);
    for (size_t i = 0; i < s->out->plane; i++)
        keep[i] = ds_rng_uniform(&r) >= s->node->probability;
}

static int dropout_forward(ds_plan *p, ds_step *s, const ds_backend_pass *pass)
{
    const ds_tensor *t = s->out;
    const float *x = s->inputs[0]->value;
    uint8_t *keep = ds_arena_at(&p->arena, s->index_buffer);
    if (!pass->train || !pass->drop) {
        memcpy(t->value, x, ds_tensor_bytes(t));
        return DS_OK;
    }
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++) {
        draw(p, s, pass->step, i, keep + i * t->plane);
        p->k->mask(x + i * t->plane, keep + i * t->plane, t->places, dropout_scale(s), false,
                   t->value + i * t->plane);
    }
    return DS_OK;
}

static int dropout_backward(ds_plan *p, ds_step *s, const ds_backend_pass *pass)
{
    const ds_tensor *t = s->out;
    const uint8_t *keep = ds_arena_at(&p->arena, s->index_buffer);
    const float *g = ds_tensor_join(p, t);
    bool add;
    (void)pass;
    if (!s->to[0].t)
        return DS_OK;
    float *to = ds_target_open(p, &s->to[0], &add);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++)
        p->k->mask(g + i * t->plane, keep + i * t->plane, t->places, dropout_scale(s), add,
                   to + i * t->plane);
    ds_target_close(p, &s->to[0]);
    return DS_OK;
}

const ds_step_kind ds_step_dropout = {"dropout",        false, dropout_make, dropout_forward,
                                      dropout_backward, NULL};
