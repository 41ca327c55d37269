/* Where gradients of inputs go, and the borders to the layers that the host computes. */
#include "plugins/onednn/engine.h"

static int lease(ds_plan *p, int moment, const ds_tensor *t)
{
    return ds_arena_want(&p->arena, ds_tensor_bytes(t), moment, moment);
}

ds_target ds_target_make(ds_plan *p, const ds_step *s, ds_tensor *t, bool can_add)
{
    int now = ds_backward_moment(p, s);
    if (!s->trains || !t->wants_gradient)
        return (ds_target){0};
    ds_target to = {.t = t, .add = can_add && t->contributions > 0};
    to.arrival = ++t->contributions;
    if (to.arrival == 1)
        t->grad_buffer[0] = lease(p, now, t);
    else if (!can_add && !t->grad_buffer[1]) {
        t->grad_buffer[1] = lease(p, now, t);
        to.part = 1;
    } else if (!can_add)
        to.scratch_buffer = lease(p, now, t);
    /* the last to arrive hands a host's tensor over, and needs all parts for that */
    for (int part = 0; part < 2; part++)
        ds_arena_extend(&p->arena, t->grad_buffer[part], now);
    return to;
}

void *ds_target_open(const ds_plan *p, const ds_target *to)
{
    if (!to->t)
        return NULL;
    return to->scratch_buffer ? ds_arena_at(&p->arena, to->scratch_buffer) : to->t->grad[to->part];
}

void ds_target_close(const ds_plan *p, const ds_target *to)
{
    if (!to->t)
        return;
    if (to->scratch_buffer)
        ds_tensor_add(to->t, ds_arena_at(&p->arena, to->scratch_buffer), to->t->grad[to->part]);
    bool last = to->arrival == to->t->contributions; /* a host's tensor is complete: hand it over */
    if (last && to->t->from_host && to->t->delta)
        ds_tensor_to_plain(to->t, ds_tensor_join(to->t), true, to->t->delta);
}

void ds_border_before_forward(const ds_step *s)
{
    for (int k = 0; k < s->n_inputs; k++)
        if (s->inputs[k]->importer == s->number)
            ds_tensor_from_plain(s->inputs[k], s->inputs[k]->plain, s->inputs[k]->value);
}

void ds_border_after_forward(const ds_step *s)
{
    bool measures = s->out->feature && s->out->measurer == s->number;
#pragma omp parallel for schedule(static) if (measures)
    for (size_t i = 0; i < (measures ? s->out->planes : 0); i++)
        ds_tensor_measure(s->out, i);
    if (s->out->to_host)
        ds_tensor_to_plain(s->out, s->out->value, false, s->out->plain);
}

void ds_border_before_backward(const ds_plan *p, const ds_step *s)
{
    void *to = ds_target_open(p, &s->from_host);
    if (to)
        ds_tensor_from_plain(s->out, s->out->delta, to);
    ds_target_close(p, &s->from_host);
}
