/* Layers without parameters. */
#include "plugins/cuda/engine.h"

int ds_gpu_join(ds_engine *x, const ds_gpu_tensor *t, ds_error *e)
{
    const size_t n = ds_gpu_numbers(t) / (size_t)x->gpu.vector;
    const sum_args a = {.dy = t->grad[1], .da = t->grad[0], .n = (long long)n, .add_a = 1};
    return t->grad[1] ? ds_gpu_run(&x->gpu, DS_K_sum_backward, n, &a, e) : DS_OK;
}

int ds_gpu_deliver(ds_engine *x, const ds_gpu_target *to, ds_error *e)
{
    if (!to->t || !to->scratch)
        return DS_OK;
    const size_t n = ds_gpu_numbers(to->t) / (size_t)x->gpu.vector;
    const sum_args a = {.dy = x->scratch, .da = to->t->grad[0], .n = (long long)n, .add_a = 1};
    return ds_gpu_run(&x->gpu, DS_K_sum_backward, n, &a, e);
}

/* ---- [maxpool], [avgpool] ---- */

static pool_args pool_of(const ds_engine *x, const ds_gpu_step *s)
{
    const ds_gpu_tensor *in = s->in[0], *out = s->out;
    return (pool_args){.x = in->value,
                       .dy = out->grad[0],
                       .y = out->value,
                       .dx = s->to[0].at,
                       .n = x->graph.batch,
                       .c = in->cp,
                       .real_c = in->c,
                       .h = in->h,
                       .w = in->w,
                       .oh = out->h,
                       .ow = out->w,
                       .size = s->node->size,
                       .stride = s->node->stride,
                       .offset = s->node->offset,
                       .add = s->to[0].add};
}

static size_t vectors_of(const ds_engine *x, const ds_gpu_tensor *t)
{
    return ds_gpu_numbers(t) / (size_t)x->gpu.vector;
}

static int max_forward(ds_engine *x, ds_gpu_step *s, bool train, ds_error *e)
{
    const pool_args a = pool_of(x, s);
    (void)train;
    return ds_gpu_run(&x->gpu, DS_K_max_forward, vectors_of(x, s->out), &a, e);
}

static int max_backward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    const pool_args a = pool_of(x, s);
    return a.dx ? ds_gpu_run(&x->gpu, DS_K_max_backward, vectors_of(x, s->in[0]), &a, e) : DS_OK;
}

const ds_gpu_kind ds_gpu_maxpool = {.name = "maxpool", .forward = max_forward, .backward = max_backward};

/* Means for the host alone, logits say, stay floats. */
static int average_forward(ds_engine *x, ds_gpu_step *s, bool train, ds_error *e)
{
    pool_args a = pool_of(x, s);
    (void)train;
    a.plain = s->out->to_host ? s->out->plain : NULL;
    return ds_gpu_launch(&x->gpu, DS_K_average_forward, x->graph.batch, 256, false, &a, e);
}

static int average_backward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    const pool_args a = pool_of(x, s);
    return a.dx ? ds_gpu_run(&x->gpu, DS_K_average_backward, vectors_of(x, s->in[0]), &a, e) : DS_OK;
}

const ds_gpu_kind ds_gpu_avgpool = {
    .name = "avgpool", .forward = average_forward, .backward = average_backward};

/* ---- [dropout] ---- */

static int drop(ds_engine *x, const ds_gpu_step *s, const void *from, void *to, bool add, ds_error *e)
{
    const ds_gpu_tensor *t = s->out;
    const drop_args a = {.x = from,
                         .y = to,
                         .step = x->drop,
                         .seed = x->graph.seed,
                         .layer = (unsigned long long)s->layer,
                         .n = x->graph.batch,
                         .c = t->cp,
                         .real_c = t->c,
                         .hw = t->h * t->w,
                         .add = add,
                         .probability = s->node->probability,
                         .scale = 1 / (1 - s->node->probability)};
    return ds_gpu_run(&x->gpu, DS_K_drop, ds_gpu_numbers(t), &a, e);
}

static int drop_forward(ds_engine *x, ds_gpu_step *s, bool train, ds_error *e)
{
    (void)train;
    return drop(x, s, s->in[0]->value, s->out->value, false, e);
}

static int drop_backward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    return s->to[0].t ? drop(x, s, s->out->grad[0], s->to[0].at, s->to[0].add, e) : DS_OK;
}

const ds_gpu_kind ds_gpu_dropout = {.name = "dropout", .forward = drop_forward, .backward = drop_backward};

/* ---- [shortcut], [activation] ---- */

static int sum_forward(ds_engine *x, ds_gpu_step *s, bool train, ds_error *e)
{
    const size_t n = vectors_of(x, s->out);
    const sum_args a = {.a = s->in[0]->value,
                        .b = s->n_inputs > 1 ? s->in[1]->value : NULL,
                        .y = s->out->value,
                        .n = (long long)n,
                        .slope = s->slope};
    (void)train;
    return ds_gpu_run(&x->gpu, DS_K_sum_forward, n, &a, e);
}

static int sum_backward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    const size_t n = vectors_of(x, s->out);
    const ds_gpu_target *second = s->n_inputs > 1 ? &s->to[1] : &(ds_gpu_target){0};
    const sum_args a = {.dy = s->out->grad[0],
                        .y = s->out->value,
                        .da = s->to[0].at,
                        .db = second->at,
                        .n = (long long)n,
                        .slope = s->slope,
                        .add_a = s->to[0].add,
                        .add_b = second->add};
    return ds_gpu_run(&x->gpu, DS_K_sum_backward, n, &a, e);
}

const ds_gpu_kind ds_gpu_sum = {.name = "sum", .forward = sum_forward, .backward = sum_backward};

/* ---- [route] ---- */

static int copy(ds_engine *x, const copy_args *a, ds_error *e)
{
    return ds_gpu_run(&x->gpu, DS_K_copy_channels, (size_t)a->places * (size_t)a->n, a, e);
}

static int route_forward(ds_engine *x, ds_gpu_step *s, bool train, ds_error *e)
{
    copy_args a = {.to = s->out->value, .to_c = s->out->cp, .places = (int)s->out->places};
    (void)train;
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

const ds_gpu_kind ds_gpu_route = {.name = "route", .forward = route_forward, .backward = route_backward};
