/* Layers that join outputs, or pass one on: [shortcut] on its own (where it does not go along with the layer
 * before, or joins different shapes) and [activation], a sum of one; [route]. */
#include "plugins/onednn/engine.h"

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* ---- [shortcut], [activation] ---- */

/* y += x where both overlap, one plane each. Different shapes: every `stride`-th place of the larger picture.
 * Channels that only x has end in the padding of y. */
static void add_overlap(const ds_tensor *from, const char *x, const ds_tensor *to, char *y)
{
    int down = from->w / to->w, up = to->w / from->w;
    size_t step_x = (down > 1 ? (size_t)down : 1) * from->extent.next;
    size_t step_y = (up > 1 ? (size_t)up : 1) * to->extent.next;
    ds_extent row = {(size_t)smaller(from->w, to->w), step_x};
    for (int i = 0; i < smaller(from->h, to->h); i++) {
        from->k->move(x, row, true, y, step_y);
        x += step_x * (size_t)from->w * from->k->size;
        y += step_y * (size_t)to->w * to->k->size;
    }
}

static void add_tensor(const ds_plan *p, const ds_tensor *from, const void *x, const ds_tensor *to, void *y)
{
    if (ds_tensor_same_shape(from, to)) {
        ds_tensor_add(to, x, y);
        return;
    }
    int blocks = smaller(from->blocks, to->blocks);
#pragma omp parallel for schedule(static)
    for (int b = 0; b < p->graph->batch; b++)
        for (int k = 0; k < blocks; k++)
            add_overlap(from, ds_plane_at(from, x, (size_t)(b * from->blocks + k)), to,
                        ds_plane_at(to, y, (size_t)(b * to->blocks + k)));
    ds_tensor_clear_padding(to, y);
}

/* to = from act'(y), for a slope; y, from and to like the step's output. */
static void gate(const ds_step *s, const void *y, const void *from, void *to)
{
    const ds_tensor *t = s->out;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++)
        t->k->gate(ds_plane_at(t, y, i), ds_plane_at(t, from, i), t->extent, s->slope, false,
                   ds_plane_at(t, to, i));
}

static int sum_forward(const ds_plan *p, ds_step *s)
{
    void *y = s->out->value;
    memcpy(y, s->inputs[0]->value, ds_tensor_bytes(s->out));
    for (int k = 1; k < s->n_inputs; k++)
        add_tensor(p, s->inputs[k], s->inputs[k]->value, s->out, y);
    if (s->slope != 1)
        gate(s, y, y, y);
    ds_odd_activate(p, s);
    return DS_OK;
}

static int sum_backward(const ds_plan *p, ds_step *s)
{
    void *g = ds_tensor_join(s->out);
    ds_odd_gradient(p, s, g);
    if (s->slope != 1)
        gate(s, s->out->value, g, g);
    for (int k = 0; k < s->n_inputs; k++) {
        const ds_target *target = &s->to[k];
        void *to = ds_target_open(p, target);
        if (to && !target->add)
            memset(to, 0, ds_tensor_bytes(target->t));
        if (to)
            add_tensor(p, s->out, g, target->t, to);
        ds_target_close(p, target);
    }
    return DS_OK;
}

const ds_step_kind ds_step_shortcut = {
    .name = "shortcut", .reads_output = true, .forward = sum_forward, .backward = sum_backward};
const ds_step_kind ds_step_activation = {
    .name = "activation", .reads_output = true, .forward = sum_forward, .backward = sum_backward};

/* ---- [route] ---- */

/* Channel c of image b in v. */
static char *channel_at(const ds_tensor *t, const void *v, int b, int c)
{
    int block = t->k->block;
    return (char *)ds_plane_at(t, v, (size_t)(b * t->blocks + c / block)) + (size_t)(c % block) * t->k->size;
}

/* n channels from one place in x to one in y, neither of which cross a block's border. */
static void move_channels(const ds_tensor *from, const char *x, int n, bool add, const ds_tensor *to, char *y)
{
    size_t size = to->k->size;
    for (size_t i = 0; i < to->extent.places; i++) {
        if (add)
            to->k->add(x, n, y);
        else
            memcpy(y, x, (size_t)n * size);
        x += from->extent.next * size;
        y += to->extent.next * size;
    }
}

/* Channels [from_at, from_at + n) of one tensor to [to_at, …) of another, image by image. */
static void move_range(const ds_plan *p, int n, const ds_tensor *from, const void *x, int from_at,
                       const ds_tensor *to, void *y, int to_at, bool add)
{
    int block = p->k->block;
#pragma omp parallel for schedule(static)
    for (int b = 0; b < p->graph->batch; b++)
        for (int done = 0, now; done < n; done += now) {
            const char *a = channel_at(from, x, b, from_at + done);
            char *c = channel_at(to, y, b, to_at + done);
            now = smaller(block - (from_at + done) % block, block - (to_at + done) % block);
            now = smaller(now, n - done);
            if (now == block)
                to->k->move(a, from->extent, add, c, to->extent.next);
            else
                move_channels(from, a, now, add, to, c);
        }
}

static int route_forward(const ds_plan *p, ds_step *s)
{
    void *y = s->out->value;
    for (int k = 0, at = 0; k < s->n_inputs; at += s->inputs[k]->c, k++)
        move_range(p, s->inputs[k]->c, s->inputs[k], s->inputs[k]->value, 0, s->out, y, at, false);
    ds_tensor_clear_padding(s->out, y);
    return DS_OK;
}

static int route_backward(const ds_plan *p, ds_step *s)
{
    const void *g = ds_tensor_join(s->out);
    for (int k = 0, at = 0; k < s->n_inputs; at += s->inputs[k]->c, k++) {
        const ds_target *target = &s->to[k];
        void *to = ds_target_open(p, target);
        if (!to)
            continue;
        move_range(p, target->t->c, s->out, g, at, target->t, to, 0, target->add);
        if (!target->add)
            ds_tensor_clear_padding(target->t, to);
        ds_target_close(p, target);
    }
    return DS_OK;
}

const ds_step_kind ds_step_route = {.name = "route", .forward = route_forward, .backward = route_backward};
