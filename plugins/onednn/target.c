/* Where gradients of inputs go. */
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
