/* Layers without parameters. */
#include "plugins/cuda/engine.h"

static int add(ds_engine *x, const ds_gpu_tensor *t, void *part, ds_error *e)
{
    const size_t n = ds_gpu_numbers(t) / (size_t)x->gpu.vector;
    const sum_args a = {.dy = part, .da = t->grad[0], .n = (long long)n, .add_a = 1};
    return ds_gpu_run(&x->gpu, DS_K_sum_backward, n, &a, e);
}

int ds_gpu_join(ds_engine *x, const ds_gpu_tensor *t, ds_error *e)
{
    return t->grad[1] ? add(x, t, t->grad[1], e) : DS_OK;
}

int ds_gpu_deliver(ds_engine *x, const ds_gpu_target *to, ds_error *e)
{
    return to->t && to->scratch ? add(x, to->t, x->scratch, e) : DS_OK;
}

/* ---- [maxpool], [avgpool] ---- */

static pool_args pool_of(const ds_engine *x, const ds_gpu_step *s)
{
    const ds_gpu_tensor *in = s->in[0], *out = s->out;
    return (pool_args){in->value,     out->grad[0],    out->value,      s->to[0].at, NULL,   x->graph.batch,
                       in->cp,        in->c,           in->h,           in->w,       out->h, out->w,
                       s->node->size, s->node->stride, s->node->offset, s->to[0].add};
}

static size_t vectors_of(const ds_engine *x, const ds_gpu_tensor *t)
{
    return ds_gpu_numbers(t) / (size_t)x->gpu.vector;
}

static int max_forward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    const pool_args a = pool_of(x, s);
    return ds_gpu_run(&x->gpu, DS_K_max_forward, vectors_of(x, s->out), &a, e);
}

static int max_backward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    const pool_args a = pool_of(x, s);
    return a.dx ? ds_gpu_run(&x->gpu, DS_K_max_backward, vectors_of(x, s->in[0]), &a, e) : DS_OK;
}

const ds_gpu_kind ds_gpu_maxpool = {.forward = max_forward, .backward = max_backward};

/* Means for the host alone, logits say, stay floats. */
static int average_forward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    pool_args a = pool_of(x, s);
    a.plain = s->out->to_host ? s->out->plain : NULL;
    return ds_gpu_launch(&x->gpu, DS_K_average_forward, x->graph.batch, 256, false, &a, e);
}

static int average_backward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    const pool_args a = pool_of(x, s);
    return a.dx ? ds_gpu_run(&x->gpu, DS_K_average_backward, vectors_of(x, s->in[0]), &a, e) : DS_OK;
}

const ds_gpu_kind ds_gpu_avgpool = {.forward = average_forward, .backward = average_backward};

/* ---- [dropout] ---- */

static int drop(ds_engine *x, const ds_gpu_step *s, const void *from, void *to, bool add, ds_error *e)
{
    const ds_gpu_tensor *t = s->out;
    const float p = s->node->probability;
    const drop_args a = {
        from,        to,  x->drop, x->graph.seed, (unsigned long long)s->layer, x->graph.batch, t->cp, t->c,
        t->h * t->w, add, p,       1 / (1 - p)};
    return ds_gpu_run(&x->gpu, DS_K_drop, ds_gpu_numbers(t), &a, e);
}

static int drop_forward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    return drop(x, s, s->in[0]->value, s->out->value, false, e);
}

static int drop_backward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    return s->to[0].t ? drop(x, s, s->out->grad[0], s->to[0].at, s->to[0].add, e) : DS_OK;
}

const ds_gpu_kind ds_gpu_dropout = {.forward = drop_forward, .backward = drop_backward};

/* ---- [shortcut], [activation] ---- */

static int sum_forward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    const size_t n = vectors_of(x, s->out);
    const void *b = s->n_inputs > 1 ? s->in[1]->value : NULL;
    const sum_args a = {
        .a = s->in[0]->value, .b = b, .y = s->out->value, .n = (long long)n, .slope = s->slope};
    return ds_gpu_run(&x->gpu, DS_K_sum_forward, n, &a, e);
}

static int sum_backward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    const size_t n = vectors_of(x, s->out);
    const ds_gpu_target *second = s->n_inputs > 1 ? &s->to[1] : &(ds_gpu_target){0};
    const sum_args a = {NULL,       NULL,         s->out->grad[0], s->out->value, s->to[0].at,
                        second->at, (long long)n, s->slope,        s->to[0].add,  second->add};
    return ds_gpu_run(&x->gpu, DS_K_sum_backward, n, &a, e);
}

const ds_gpu_kind ds_gpu_sum = {.forward = sum_forward, .backward = sum_backward};

/* ---- [route] ---- */

static int copy(ds_engine *x, const copy_args *a, ds_error *e)
{
    return ds_gpu_run(&x->gpu, DS_K_copy_channels, (size_t)a->places * (size_t)a->n, a, e);
}

static int route_forward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    copy_args a = {.to = s->out->value, .to_c = s->out->cp, .places = (int)s->out->places};
    for (int k = 0; k < s->n_inputs; a.to_at += a.n, k++) {
        a.from = s->in[k]->value;
        a.from_c = s->in[k]->cp;
        a.n = s->in[k]->c;
        DS_TRY(copy(x, &a, e));
    }
    return DS_OK;
}

static int route_backward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    copy_args a = {.from = s->out->grad[0], .from_c = s->out->cp, .places = (int)s->out->places};
    for (int k = 0; k < s->n_inputs; a.from_at += a.n, k++) {
        a.to = s->to[k].at;
        a.to_c = s->in[k]->cp;
        a.n = s->in[k]->c;
        a.add = s->to[k].add;
        if (a.to)
            DS_TRY(copy(x, &a, e));
    }
    return DS_OK;
}

const ds_gpu_kind ds_gpu_route = {.forward = route_forward, .backward = route_backward};
