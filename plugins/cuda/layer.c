/* A layer with parameters: product by cuDNN, then one pass of our own over it. Batch normalisation is the
 * host's formula; kernels.cu states it. */
#include "plugins/cuda/engine.h"

/* A [connected] layer is a convolution whose filters are as large as the picture. */
static void set_shape(const ds_engine *x, ds_gpu_step *s)
{
    const ds_node *node = s->node;
    const ds_gpu_tensor *in = s->in[0];
    s->linear = node->op != DS_OP_BATCHNORM;
    s->shape = (ds_gpu_shape){
        x->graph.batch, in->cp,       in->h,        in->w,     s->product.cp, node->size,       node->size,
        s->product.h,   s->product.w, node->stride, node->pad, node->groups,  s->other != NULL, s->slope};
    if (node->op == DS_OP_CONNECTED) {
        s->shape.r = in->h;
        s->shape.s = in->w;
        s->shape.oh = s->shape.ow = s->shape.stride = s->shape.groups = 1;
        s->shape.pad = 0;
    }
}

int ds_gpu_layer_plan(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    set_shape(x, s);
    if (!s->linear)
        return DS_OK;
    /* code that is compiled at each start: worth it where -tune says that much is to come */
    if (x->gpu.tune && !x->graph.train && !ds_gpu_conv_plan(&x->gpu, &s->shape, DS_FUSED, &s->conv, NULL))
        return DS_OK;
    DS_TRY(ds_gpu_conv_plan(&x->gpu, &s->shape, DS_FORWARD, &s->conv, e));
    if (s->trains && s->node->weight_updates)
        DS_TRY(ds_gpu_conv_plan(&x->gpu, &s->shape, DS_FILTER_GRADIENT, &s->conv, e));
    return s->to[0].t ? ds_gpu_conv_plan(&x->gpu, &s->shape, DS_DATA_GRADIENT, &s->conv, e) : DS_OK;
}

static int log_of_lanes(const ds_engine *x, int channels)
{
    const int vectors = channels / x->gpu.vector;
    return vectors % 4 == 0 ? 2 : vectors % 2 == 0;
}

int ds_gpu_layer_bind(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    const ds_node *node = s->node;
    const ds_gpu_row *r = &x->row;
    ds_gpu_tensor *p = &s->product;
    const size_t c = (size_t)p->cp, bytes = ds_gpu_numbers(p) * x->gpu.size;
    float *others = r->w + r->n_products + s->o_at, *gradients = r->gf ? r->gf + s->o_at : NULL;
    p->value = s->conv.plan[DS_FUSED] ? s->out->value : s->in[0]->value;
    if (s->linear && (s->pooled || !s->conv.plan[DS_FUSED]))
        DS_TRY(ds_gpu_room(&x->gpu, bytes, &p->value, e));
    p->grad[0] = NULL;
    if (s->linear && s->trains)
        DS_TRY(ds_gpu_room(&x->gpu, bytes, &p->grad[0], e));
    s->norm = (norm_args){.x = p->value,
                          .other = s->other ? s->other->value : NULL,
                          .dy = s->out->grad[0],
                          .dy2 = s->out->grad[1],
                          .y = s->out->value,
                          .dx = s->linear ? p->grad[0] : ds_gpu_place(x, &s->to[0]),
                          .dother = ds_gpu_place(x, &s->to_other),
                          .scale = node->normalized ? others : NULL,
                          .bias = node->biases ? others + c : NULL,
                          .dscale = node->normalized && node->scale_updates ? gradients : NULL,
                          .dbias = node->bias_updates ? gradients + c : NULL,
                          .statistics = r->statistics + s->s_at,
                          .partial = x->partial,
                          .sync = x->sync,
                          .c = p->cp,
                          .places = (int)p->places,
                          .h = p->h,
                          .w = p->w,
                          .units = (int)s->out->places,
                          .lanes_log = log_of_lanes(x, p->cp),
                          .slope = s->slope};
    return DS_OK;
}

/* ---- the pass of our own ---- */

/* Blocks as many as there are chunks of work, but no more than are resident at once where they meet; fewer
 * threads where there is little to do. */
static int meet(ds_engine *x, int kernel, int held, const norm_args *a, ds_error *e)
{
    const int slices = a->c / (x->gpu.vector << a->lanes_log);
    int threads = 512;
    while (threads > 64 && a->units <= (threads / 2 >> a->lanes_log) * held)
        threads /= 2;
    const int chunk = (threads >> a->lanes_log) * held, want = (a->units + chunk - 1) / chunk;
    const int most = x->gpu.resident[kernel] * x->gpu.sms / slices;
    int parts = want < most ? want : most;
    parts = parts < 1 ? 1 : parts;
    return ds_gpu_launch(&x->gpu, kernel, slices * parts, threads, parts > 1, a, e);
}

static const void *filters_of(const ds_engine *x, const ds_gpu_step *s)
{
    return (const char *)x->row.copy + s->w_at * x->gpu.size;
}

static float *bias_of(const ds_engine *x, const ds_gpu_step *s)
{
    return x->row.w + x->row.n_products + s->o_at + s->norm.c;
}

int ds_gpu_layer_fold(ds_engine *x, const ds_gpu_step *s, ds_error *e)
{
    if (!s->conv.plan[DS_FUSED] || !s->norm.scale)
        return DS_OK;
    const int per = s->shape.r * s->shape.s * (s->shape.c / s->shape.groups);
    const fold_args a = {s->norm, x->row.w + s->w_at, bias_of(x, s), per};
    return ds_gpu_run(&x->gpu, DS_K_fold_filters, (size_t)per * (size_t)a.norm.c, &a, e);
}

static int forward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    norm_args a = s->norm;
    const bool fused = s->conv.plan[DS_FUSED] != NULL;
    const void *const places[DS_PLACES] = {s->in[0]->value, filters_of(x, s), s->product.value,
                                           fused ? bias_of(x, s) : NULL, fused ? a.other : NULL};
    if (s->linear)
        DS_TRY(ds_gpu_conv_run(&x->gpu, &s->conv, fused ? DS_FUSED : DS_FORWARD, DS_GPU_MAIN, places, e));
    if (fused) { /* what is left is the pooling */
        a = (norm_args){.x = a.x, .y = a.y, .c = a.c, .h = a.h, .w = a.w, .units = a.units, .slope = 1};
        const size_t left = s->pooled ? (size_t)a.units * (size_t)(a.c / x->gpu.vector) : 0;
        return ds_gpu_run(&x->gpu, DS_K_pooled_apply, left, &a, e);
    }
    if (x->training && a.scale)
        return meet(x, s->pooled ? DS_K_pooled_forward : DS_K_norm_forward, s->pooled ? 2 : 8, &a, e);
    a.statistics += 2 * a.c;
    const size_t work = (size_t)a.units * (size_t)(a.c / x->gpu.vector);
    return ds_gpu_run(&x->gpu, s->pooled ? DS_K_pooled_apply : DS_K_norm_apply, work, &a, e);
}

static int backward_product(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    const void *in = s->in[0]->value, *dy = s->product.grad[0];
    if (s->conv.plan[DS_FILTER_GRADIENT]) {
        void *g = (char *)x->row.g + s->w_at * x->gpu.size;
        DS_TRY(ds_gpu_order(&x->gpu, DS_GPU_MAIN, DS_GPU_SIDE, e));
        DS_TRY(ds_gpu_conv_run(&x->gpu, &s->conv, DS_FILTER_GRADIENT, DS_GPU_SIDE,
                               (const void *[DS_PLACES]){in, g, dy}, e));
    }
    if (s->to[0].t)
        DS_TRY(ds_gpu_conv_run(&x->gpu, &s->conv, DS_DATA_GRADIENT, DS_GPU_MAIN,
                               (const void *[DS_PLACES]){ds_gpu_place(x, &s->to[0]), filters_of(x, s), dy},
                               e));
    return DS_OK;
}

static int backward(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    const int kernel = s->pooled ? DS_K_pooled_backward : DS_K_norm_backward;
    if (s->linear || s->to[0].t || s->norm.dbias || s->norm.dscale)
        DS_TRY(meet(x, kernel, s->pooled ? 1 : 8, &s->norm, e));
    DS_TRY(ds_gpu_deliver(x, &s->to_other, e));
    if (s->linear)
        DS_TRY(backward_product(x, s, e));
    return ds_gpu_deliver(x, &s->to[0], e);
}

const ds_gpu_kind ds_gpu_layer = {.forward = forward, .backward = backward, .only_writes = true};
