/* Layers that join outputs: [shortcut] on its own (where it does not go along with the layer before, or joins different shapes), [route]. */
#include "plugins/onednn/engine.h"

#include <string.h>

/* ---- [shortcut] -------------------------------------------------------------------------------------------- */

/* Different shapes: the smaller number of channels, every `stride`-th place of the larger picture. */
typedef struct overlap {
    int c, h, w, stride_from, stride_to;
} overlap;

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static overlap overlap_of(const ds_tensor *from, const ds_tensor *to)
{
    int down = from->w / to->w, up = to->w / from->w;
    return (overlap){smaller(from->c, to->c), smaller(from->h, to->h), smaller(from->w, to->w),
                     down > 1 ? down : 1, up > 1 ? up : 1};
}

/* to += from where they overlap; one plane of both. */
static void add_overlap(const overlap *o, int channels, int block, const ds_tensor *from, const float *x,
                        const ds_tensor *to, float *y)
{
    for (int r = 0; r < o->h; r++)
        for (int q = 0; q < o->w; q++) {
            const float *a = x + (size_t)(r * o->stride_from * from->w + q * o->stride_from) * (size_t)block;
            float *b = y + (size_t)(r * o->stride_to * to->w + q * o->stride_to) * (size_t)block;
            for (int c = 0; c < channels; c++)
                b[c] += a[c];
        }
}

static void add_tensor(const ds_plan *p, const ds_tensor *from, const float *x, const ds_tensor *to, float *y)
{
    if (ds_tensor_same_shape(from, to)) {
        ds_tensor_add(p, to, x, y);
        return;
    }
    overlap o = overlap_of(from, to);
    int block = p->k->block, blocks = smaller(from->blocks, to->blocks);
#pragma omp parallel for schedule(static)
    for (int b = 0; b < p->graph->batch; b++)
        for (int k = 0; k < blocks; k++)
            add_overlap(&o, smaller(block, o.c - k * block), block, from,
                        x + ((size_t)b * (size_t)from->blocks + (size_t)k) * from->plane, to,
                        y + ((size_t)b * (size_t)to->blocks + (size_t)k) * to->plane);
}

static int shortcut_make(ds_plan *p, ds_step *s, ds_error *e)
{
    (void)e;
    if (s->trains)
        ds_arena_extend(&p->arena, s->out->value_buffer, ds_backward_moment(p, s));
    s->to[0] = ds_target_make(p, s, s->inputs[0], true);
    s->to[1] = ds_target_make(p, s, s->inputs[1], true);
    return DS_OK;
}

/* y = act(y) for a slope. */
static void activate(const ds_plan *p, const ds_step *s)
{
    const ds_tensor *t = s->out;
#pragma omp parallel for schedule(static) if (s->slope != 1)
    for (size_t i = 0; i < (s->slope != 1 ? t->planes : 0); i++)
        p->k->gate(t->value + i * t->plane, t->value + i * t->plane, t->places, s->slope, false,
                   t->value + i * t->plane);
    if (s->odd >= 0)
        ds_odd_activate(p, t, t->value, s->odd);
}

static int shortcut_forward(ds_plan *p, ds_step *s, const ds_backend_pass *pass)
{
    (void)pass;
    memcpy(s->out->value, s->inputs[0]->value, ds_tensor_bytes(s->out));
    add_tensor(p, s->inputs[1], s->inputs[1]->value, s->out, s->out->value);
    activate(p, s);
    return DS_OK;
}

static void give(const ds_plan *p, const ds_step *s, int k, const float *g)
{
    bool add;
    const ds_tensor *t = s->to[k].t;
    if (!t)
        return;
    float *to = ds_target_open(p, &s->to[k], &add);
    if (!add)
        memset(to, 0, ds_tensor_bytes(t));
    add_tensor(p, s->out, g, t, to);
    ds_target_close(p, &s->to[k]);
}

static int shortcut_backward(ds_plan *p, ds_step *s, const ds_backend_pass *pass)
{
    const ds_tensor *t = s->out;
    float *g = ds_tensor_join(p, t);
    (void)pass;
    if (s->odd >= 0)
        ds_odd_gradient(p, t, t->value, s->odd, g);
#pragma omp parallel for schedule(static) if (s->slope != 1)
    for (size_t i = 0; i < (s->slope != 1 ? t->planes : 0); i++)
        p->k->gate(t->value + i * t->plane, g + i * t->plane, t->places, s->slope, false, g + i * t->plane);
    give(p, s, 0, g);
    give(p, s, 1, g);
    return DS_OK;
}

const ds_step_kind ds_step_shortcut = {"shortcut",        false, shortcut_make, shortcut_forward,
                                       shortcut_backward, NULL};

/* ---- [route] ----------------------------------------------------------------------------------------------- */

static int route_make(ds_plan *p, ds_step *s, ds_error *e)
{
    (void)e;
    for (int k = 0; k < s->n_parts; k++)
        s->to_parts[k] = ds_target_make(p, s, s->parts[k], true);
    return DS_OK;
}

/* Channel c of image b. */
static size_t channel_at(const ds_plan *p, const ds_tensor *t, int b, int c)
{
    int block = p->k->block;
    return ((size_t)b * (size_t)t->blocks + (size_t)(c / block)) * t->plane + (size_t)(c % block);
}

/* n <= block channels from channel `at` of x on to channel `to_at` of y, neither of which cross a block's border. */
static void move_channels(const ds_plan *p, int n, size_t places, const float *x, bool add, float *y)
{
    size_t block = (size_t)p->k->block;
    for (size_t i = 0; i < places; i++, x += block, y += block)
        for (int c = 0; c < n; c++)
            y[c] = x[c] + (add ? y[c] : 0);
}

/* Channels [from_at, from_at + n) of one tensor to [to_at, …) of another, image b. */
static void move_range(const ds_plan *p, int b, int n, const ds_tensor *from, const float *x, int from_at,
                       const ds_tensor *to, float *y, int to_at, bool add)
{
    int block = p->k->block;
    for (int done = 0, now; done < n; done += now) {
        now = smaller(block - (from_at + done) % block, block - (to_at + done) % block);
        now = smaller(now, n - done);
        move_channels(p, now, to->places, x + channel_at(p, from, b, from_at + done), add,
                      y + channel_at(p, to, b, to_at + done));
    }
}

/* Padded channels are zero. */
static void clear_tail(const ds_plan *p, const ds_tensor *t, int b, float *v)
{
    int padded = t->blocks * p->k->block - t->c;
    float *last = v + ((size_t)(b + 1) * (size_t)t->blocks - 1) * t->plane;
    for (size_t i = 0; padded && i < t->places; i++)
        memset(last + (i + 1) * (size_t)p->k->block - padded, 0, (size_t)padded * sizeof *v);
}

static int route_forward(ds_plan *p, ds_step *s, const ds_backend_pass *pass)
{
    (void)pass;
#pragma omp parallel for schedule(static)
    for (int b = 0; b < p->graph->batch; b++) {
        int at = 0;
        for (int k = 0; k < s->n_parts; at += s->parts[k]->c, k++)
            move_range(p, b, s->parts[k]->c, s->parts[k], s->parts[k]->value, 0, s->out, s->out->value, at,
                       false);
        clear_tail(p, s->out, b, s->out->value);
    }
    return DS_OK;
}

static int route_backward(ds_plan *p, ds_step *s, const ds_backend_pass *pass)
{
    const float *g = ds_tensor_join(p, s->out);
    int at = 0;
    (void)pass;
    for (int k = 0; k < s->n_parts; at += s->parts[k]->c, k++) {
        const ds_tensor *t = s->parts[k];
        bool add;
        if (!s->to_parts[k].t)
            continue;
        float *to = ds_target_open(p, &s->to_parts[k], &add);
#pragma omp parallel for schedule(static)
        for (int b = 0; b < p->graph->batch; b++) {
            move_range(p, b, t->c, s->out, g, at, t, to, 0, add);
            if (!add)
                clear_tail(p, t, b, to);
        }
        ds_target_close(p, &s->to_parts[k]);
    }
    return DS_OK;
}

const ds_step_kind ds_step_route = {"route", false, route_make, route_forward, route_backward, NULL};
