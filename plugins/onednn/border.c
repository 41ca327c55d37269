/* Where gradients of inputs go, and the borders to the layers that the host computes. */
#include "plugins/onednn/engine.h"

static int lease(ds_plan *p, const ds_step *s, const ds_tensor *t)
{
    int now = ds_backward_moment(p, s);
    return ds_arena_want(&p->arena, ds_tensor_bytes(t), now, now);
}

ds_target ds_target_make(ds_plan *p, const ds_step *s, ds_tensor *t, bool can_add)
{
    if (!s->trains || !t->wants_gradient)
        return (ds_target){0};
    ds_target to = {.t = t, .add = t->contributions > 0};
    if (t->contributions == 0)
        t->grad_buffer[0] = lease(p, s, t);
    else if (!can_add && !t->grad_buffer[1]) {
        t->grad_buffer[1] = lease(p, s, t);
        to.part = 1;
        to.add = false;
    } else if (!can_add)
        to.scratch_buffer = lease(p, s, t);
    to.arrival = ++t->contributions;
    /* the last to arrive hands a host's tensor over, and needs all parts for that */
    for (int part = 0; part < 2; part++)
        ds_arena_extend(&p->arena, t->grad_buffer[part], ds_backward_moment(p, s));
    return to;
}

float *ds_target_open(const ds_plan *p, const ds_target *to, bool *add)
{
    *add = to->add && !to->scratch_buffer;
    return to->scratch_buffer ? ds_arena_at(&p->arena, to->scratch_buffer) : to->t->grad[to->part];
}

/* ---- whole tensors ----------------------------------------------------------------------------------------- */

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

/* Channels of plane i of a tensor. */
static int channels_of(const ds_plan *p, const ds_tensor *t, size_t i)
{
    int left = t->c - (int)(i % (size_t)t->blocks) * p->k->block;
    return left < p->k->block ? left : p->k->block;
}

static size_t plain_at(const ds_plan *p, const ds_tensor *t, size_t i)
{
    size_t image = i / (size_t)t->blocks, first = i % (size_t)t->blocks * (size_t)p->k->block;
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

/* ---- borders ----------------------------------------------------------------------------------------------- */

void ds_target_close(const ds_plan *p, const ds_target *to)
{
    if (!to->t)
        return;
    if (to->scratch_buffer)
        ds_tensor_add(p, to->t, ds_arena_at(&p->arena, to->scratch_buffer), to->t->grad[to->part]);
    bool last = to->arrival == to->t->contributions; /* a host's tensor is complete: hand it over */
    if (last && to->t->from_host && to->t->delta)
        ds_tensor_to_plain(p, to->t, ds_tensor_join(p, to->t), true, to->t->delta);
}

static void import_for(const ds_plan *p, const ds_step *s, const ds_tensor *t)
{
    if (t && t->importer == s->number)
        ds_tensor_from_plain(p, t, t->plain, t->value);
}

void ds_border_before_forward(const ds_plan *p, const ds_step *s)
{
    import_for(p, s, s->inputs[0]);
    if (s->inputs[1] != s->inputs[0])
        import_for(p, s, s->inputs[1]);
    for (int j = 0; j < s->n_parts; j++)
        import_for(p, s, s->parts[j]);
}

void ds_border_after_forward(const ds_plan *p, const ds_step *s)
{
    if (s->out->to_host)
        ds_tensor_to_plain(p, s->out, s->out->value, false, s->out->plain);
}

void ds_border_before_backward(const ds_plan *p, const ds_step *s)
{
    bool add;
    if (!s->from_host.t)
        return;
    float *to = ds_target_open(p, &s->from_host, &add);
    ds_tensor_from_plain(p, s->out, s->out->delta, to);
    ds_target_close(p, &s->from_host);
}
