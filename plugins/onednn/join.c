/* Layers that join outputs, or pass one on: [shortcut] on its own (where it does not go along with the layer
 * before, or joins different shapes) and [activation], a sum of one; [route]. */
#include "plugins/onednn/engine.h"

#include <string.h>

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* ---- [shortcut], [activation] ---- */

/* y += x where both overlap, channels [0, n) of one plane each. Different shapes: every `stride`-th place of
 * the larger picture. */
static void add_overlap(const ds_plan *p, int n, const ds_tensor *from, const float *x, const ds_tensor *to,
                        float *y)
{
    int down = from->w / to->w, up = to->w / from->w;
    size_t step_x = (down > 1 ? (size_t)down : 1) * p->block, step_y = (up > 1 ? (size_t)up : 1) * p->block;
    for (int row = 0; row < smaller(from->h, to->h); row++) {
        const float *a = x + (size_t)row * step_x * (size_t)from->w;
        float *b = y + (size_t)row * step_y * (size_t)to->w;
        for (int i = 0; i < smaller(from->w, to->w); i++, a += step_x, b += step_y)
            for (int c = 0; c < n; c++)
                b[c] += a[c];
    }
}

static void add_tensor(const ds_plan *p, const ds_tensor *from, const float *x, const ds_tensor *to, float *y)
{
    if (ds_tensor_same_shape(from, to)) {
        ds_tensor_add(p, to, x, y);
        return;
    }
    int channels = smaller(from->c, to->c), blocks = smaller(from->blocks, to->blocks);
#pragma omp parallel for schedule(static)
    for (int b = 0; b < p->graph->batch; b++)
        for (int k = 0; k < blocks; k++)
            add_overlap(p, smaller(p->k->block, channels - k * p->k->block), from,
                        x + ((size_t)b * (size_t)from->blocks + (size_t)k) * from->plane, to,
                        y + ((size_t)b * (size_t)to->blocks + (size_t)k) * to->plane);
}

/* to = from act'(y), for a slope; y, from and to like the step's output. */
static void gate(const ds_plan *p, const ds_step *s, const float *y, const float *from, float *to)
{
    const ds_tensor *t = s->out;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++)
        p->k->gate(y + i * t->plane, from + i * t->plane, t->places, s->slope, false, to + i * t->plane);
}

static int sum_forward(const ds_plan *p, ds_step *s)
{
    float *y = s->out->value;
    memcpy(y, s->inputs[0]->value, ds_tensor_bytes(s->out));
    for (int k = 1; k < s->n_inputs; k++)
        add_tensor(p, s->inputs[k], s->inputs[k]->value, s->out, y);
    if (s->slope != 1)
        gate(p, s, y, y, y);
    ds_odd_activate(p, s);
    return DS_OK;
}

static int sum_backward(const ds_plan *p, ds_step *s)
{
    float *g = ds_tensor_join(p, s->out);
    ds_odd_gradient(p, s, g);
    if (s->slope != 1)
        gate(p, s, s->out->value, g, g);
    for (int k = 0; k < s->n_inputs; k++) {
        const ds_target *target = &s->to[k];
        float *to = ds_target_open(p, target);
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

/* Channel c of image b. */
static size_t channel_at(const ds_plan *p, const ds_tensor *t, int b, int c)
{
    int block = p->k->block;
    return ((size_t)b * (size_t)t->blocks + (size_t)(c / block)) * t->plane + (size_t)(c % block);
}

/* n channels from one place in x to one in y, neither of which cross a block's border. */
static void move_channels(const ds_plan *p, int n, size_t places, const float *x, bool add, float *y)
{
    for (size_t i = 0; i < places; i++, x += p->block, y += p->block)
        for (int c = 0; c < n; c++)
            y[c] = x[c] + (add ? y[c] : 0);
}

/* Channels [from_at, from_at + n) of one tensor to [to_at, …) of another, image by image. */
static void move_range(const ds_plan *p, int n, const ds_tensor *from, const float *x, int from_at,
                       const ds_tensor *to, float *y, int to_at, bool add)
{
    int block = p->k->block;
#pragma omp parallel for schedule(static)
    for (int b = 0; b < p->graph->batch; b++)
        for (int done = 0, now; done < n; done += now) {
            now = smaller(block - (from_at + done) % block, block - (to_at + done) % block);
            now = smaller(now, n - done);
            move_channels(p, now, to->places, x + channel_at(p, from, b, from_at + done), add,
                          y + channel_at(p, to, b, to_at + done));
        }
}

static int route_forward(const ds_plan *p, ds_step *s)
{
    float *y = s->out->value;
    for (int k = 0, at = 0; k < s->n_inputs; at += s->inputs[k]->c, k++)
        move_range(p, s->inputs[k]->c, s->inputs[k], s->inputs[k]->value, 0, s->out, y, at, false);
    ds_tensor_clear_padding(p, s->out, y);
    return DS_OK;
}

static int route_backward(const ds_plan *p, ds_step *s)
{
    const float *g = ds_tensor_join(p, s->out);
    for (int k = 0, at = 0; k < s->n_inputs; at += s->inputs[k]->c, k++) {
        const ds_target *target = &s->to[k];
        float *to = ds_target_open(p, target);
        if (!to)
            continue;
        move_range(p, target->t->c, s->out, g, at, target->t, to, 0, target->add);
        if (!target->add)
            ds_tensor_clear_padding(p, target->t, to);
        ds_target_close(p, target);
    }
    return DS_OK;
}

const ds_step_kind ds_step_route = {.name = "route", .forward = route_forward, .backward = route_backward};
