/* The product of a step: a convolution by oneDNN, or the matrix product of a connected layer. */
#include "plugins/onednn/engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ds_product {
    ds_conv *forward, *grad_data, *grad_weights; /* convolution */
    float *weights, *weights_back;               /* in their layouts; weights_back may be weights */
    float *bias;                                 /* inference: of the folded batch normalisation */
    int forward_scratch, data_scratch, weights_scratch, grad_buffer;
    ds_tensor framed; /* the input within its padding, for grad_weights; framed_buffer 0: not needed */
    int framed_buffer;
    int flat_buffer, flat_grad_buffer; /* connected: the input as rows, where it is not so already */
};

static float *aligned_floats(size_t bytes)
{
    return aligned_alloc(64, (bytes + 64) / 64 * 64);
}

/* ---- convolution: making ----------------------------------------------------------------------------------- */

static ds_conv_spec spec_of(const ds_plan *p, const ds_step *s, ds_conv_kind kind)
{
    const ds_node *node = s->node;
    ds_conv_spec spec = {.kind = kind,
                         .block = p->k->block,
                         .batch = p->graph->batch,
                         .groups = node->groups,
                         .c = node->c,
                         .h = node->h,
                         .w = node->w,
                         .n = node->out_c,
                         .out_h = s->product.h,
                         .out_w = s->product.w,
                         .size = node->size,
                         .stride = node->stride,
                         .pad = node->pad,
                         .plain_input = s->plain_input};
    if (kind == DS_CONV_INFER) {
        spec.add = s->add_in_place;
        spec.activate = s->conv_activates && s->slope != 1;
        spec.slope = s->slope;
    }
    return spec;
}

/* Places that tiles of 4 x 4 cover, over the places that there are. */
static double waste(const ds_conv_spec *s)
{
    int tiles = ((s->out_h + 3) / 4) * ((s->out_w + 3) / 4);
    return 16.0 * tiles / (s->out_h * s->out_w);
}

/* Winograd's F(4x4, 3x3) needs 4 times fewer multiplications and, measured with oneDNN 2.6 and AVX-512, up to 2.6 times less time. It loses
 * where tiles stick out far, and, but for the gradient of the weights, where few channels are summed or one tile is the whole picture. */
static bool winograd_pays(const ds_conv_spec *s)
{
    enum { FEW_IMAGES = 8, FEW_CHANNELS = 32 };
    int summed = s->kind == DS_CONV_GRAD_DATA ? s->n : s->c;
    bool possible =
        s->size == 3 && s->stride == 1 && s->pad <= 1 && s->groups == 1 && s->c % 16 == 0 && s->n % 16 == 0;
    if (!possible || waste(s) > 1.8)
        return false;
    /* a few images do not pay for transforming the weights beforehand */
    if (s->kind == DS_CONV_INFER && s->batch < FEW_IMAGES)
        return false;
    return s->kind == DS_CONV_GRAD_WEIGHTS || (summed >= FEW_CHANNELS && s->out_h > 3 && s->out_w > 3);
}

/* Winograd's, where it pays and oneDNN has it; it may not have it with a leaky activation, which then is a pass of its own. */
static int conv_make(ds_plan *p, ds_step *s, ds_conv_kind kind, ds_conv **conv, ds_error *e)
{
    ds_conv_spec spec = spec_of(p, s, kind);
    spec.winograd = winograd_pays(&spec);
    if (spec.winograd && !ds_conv_new(p->dnnl, &spec, conv, e))
        return DS_OK;
    ds_conv_spec bare = spec;
    bare.activate = false;
    if (spec.winograd && spec.activate && !ds_conv_new(p->dnnl, &bare, conv, e)) {
        s->conv_activates = false;
        return DS_OK;
    }
    spec.winograd = false;
    return ds_conv_new(p->dnnl, &spec, conv, e);
}

static int lease_scratch(ds_plan *p, const ds_conv *c, int moment)
{
    size_t bytes = ds_conv_scratch_bytes(c);
    return bytes ? ds_arena_want(&p->arena, bytes, moment, moment) : 0;
}

static int make_forward(ds_plan *p, ds_step *s, ds_error *e)
{
    ds_product *l = s->linear;
    int rc = conv_make(p, s, p->train ? DS_CONV_TRAIN : DS_CONV_INFER, &l->forward, e);
    if (rc)
        return rc;
    l->forward_scratch = lease_scratch(p, l->forward, s->number);
    l->weights = aligned_floats(ds_conv_weights_bytes(l->forward));
    l->bias = aligned_floats((size_t)s->node->out_c * sizeof(float));
    return l->weights && l->bias ? DS_OK : ds_fail_memory(e);
}

static int make_grad_data(ds_plan *p, ds_step *s, ds_error *e)
{
    ds_product *l = s->linear;
    int rc = conv_make(p, s, DS_CONV_GRAD_DATA, &l->grad_data, e);
    if (rc)
        return rc;
    s->to[0] = ds_target_make(p, s, s->inputs[0], false);
    l->data_scratch = lease_scratch(p, l->grad_data, ds_backward_moment(p, s));
    bool same = ds_conv_same_weights(l->forward, l->grad_data);
    l->weights_back = same ? l->weights : aligned_floats(ds_conv_weights_bytes(l->grad_data));
    return l->weights_back ? DS_OK : ds_fail_memory(e);
}

/* Where the filter is larger than the picture oneDNN may refuse (with AVX2), but not when the padding is part of the picture. */
static int make_framed(ds_plan *p, ds_step *s, ds_error *e)
{
    ds_product *l = s->linear;
    int now = ds_backward_moment(p, s);
    ds_conv_spec spec = spec_of(p, s, DS_CONV_GRAD_WEIGHTS);
    spec.h += 2 * spec.pad;
    spec.w += 2 * spec.pad;
    l->framed = ds_tensor_shape(p, spec.c, spec.h, spec.w);
    spec.pad = 0;
    int rc = ds_conv_new(p->dnnl, &spec, &l->grad_weights, e);
    if (!rc)
        l->framed_buffer = ds_arena_want(&p->arena, ds_tensor_bytes(&l->framed), now, now);
    return rc;
}

static int make_grad_weights(ds_plan *p, ds_step *s, ds_error *e)
{
    ds_product *l = s->linear;
    int now = ds_backward_moment(p, s), rc = conv_make(p, s, DS_CONV_GRAD_WEIGHTS, &l->grad_weights, e);
    if (rc == DS_EHOST && s->node->pad > 0 && !s->plain_input)
        rc = make_framed(p, s, e);
    if (rc)
        return rc;
    l->weights_scratch = lease_scratch(p, l->grad_weights, now);
    l->grad_buffer = ds_arena_want(&p->arena, ds_conv_weights_bytes(l->grad_weights), now, now);
    return DS_OK;
}

static int convolution_make(ds_plan *p, ds_step *s, ds_error *e)
{
    int rc = make_forward(p, s, e);
    if (!rc && s->trains && s->inputs[0]->wants_gradient)
        rc = make_grad_data(p, s, e);
    if (!rc && s->trains && s->node->weight_updates)
        rc = make_grad_weights(p, s, e);
    return rc;
}

/* ---- convolution: running ---------------------------------------------------------------------------------- */

static const float *input_of(const ds_step *s)
{
    return s->plain_input ? s->inputs[0]->plain : s->inputs[0]->value;
}

static int convolution_forward(ds_plan *p, ds_step *s)
{
    const ds_product *l = s->linear;
    return ds_conv_run(l->forward, &(ds_conv_args){.input = input_of(s),
                                                   .output = s->product.value,
                                                   .weights = l->weights,
                                                   .bias = l->bias,
                                                   .scratch = ds_arena_at(&p->arena, l->forward_scratch)});
}

static const float *framed_input(const ds_plan *p, const ds_step *s)
{
    const ds_tensor *in = s->inputs[0], *out = &s->linear->framed;
    float *v = ds_arena_at(&p->arena, s->linear->framed_buffer);
    size_t row = (size_t)in->w * (size_t)p->k->block, wide = (size_t)out->w * (size_t)p->k->block;
    size_t corner = (size_t)s->node->pad * (wide + (size_t)p->k->block);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < in->planes; i++) {
        memset(v + i * out->plane, 0, out->plane * sizeof *v);
        for (int r = 0; r < in->h; r++)
            memcpy(v + i * out->plane + corner + (size_t)r * wide,
                   in->value + i * in->plane + (size_t)r * row, row * sizeof *v);
    }
    return v;
}

static int convolution_grad_weights(ds_plan *p, ds_step *s, const float *grad)
{
    const ds_product *l = s->linear;
    float *to = ds_arena_at(&p->arena, l->grad_buffer);
    int rc = ds_conv_run(l->grad_weights,
                         &(ds_conv_args){.input = l->framed_buffer ? framed_input(p, s) : input_of(s),
                                         .output = grad,
                                         .weights = to,
                                         .scratch = ds_arena_at(&p->arena, l->weights_scratch)});
    return rc ? rc : ds_conv_add_weights(l->grad_weights, to, s->node->weight_updates);
}

static int convolution_grad_data(ds_plan *p, ds_step *s, const float *grad)
{
    const ds_product *l = s->linear;
    bool add;
    float *to = ds_target_open(p, &s->to[0], &add);
    int rc = ds_conv_run(l->grad_data, &(ds_conv_args){.input = to,
                                                       .output = grad,
                                                       .weights = l->weights_back,
                                                       .scratch = ds_arena_at(&p->arena, l->data_scratch)});
    ds_target_close(p, &s->to[0]);
    return rc;
}

static int convolution_backward(ds_plan *p, ds_step *s, const float *grad)
{
    const ds_product *l = s->linear;
    int rc = l->grad_weights ? convolution_grad_weights(p, s, grad) : DS_OK;
    return !rc && l->grad_data ? convolution_grad_data(p, s, grad) : rc;
}

/* Weights and bias with the batch normalisation in them: w scale / d, bias - mean scale / d, d = sqrt(variance) + 1e-6. */
static int fold(ds_product *l, const ds_node *node)
{
    size_t each = (size_t)(node->c / node->groups) * (size_t)(node->size * node->size);
    float *w = malloc((size_t)node->out_c * each * sizeof *w);
    if (!w)
        return DS_ENOMEM;
    for (int f = 0; f < node->out_c; f++) {
        float factor = node->normalized ? node->scales[f] / (sqrtf(node->rolling_variance[f]) + .000001f) : 1;
        l->bias[f] = node->biases[f] - (node->normalized ? node->rolling_mean[f] * factor : 0);
        for (size_t i = (size_t)f * each; i < ((size_t)f + 1) * each; i++)
            w[i] = node->weights[i] * factor;
    }
    int rc = ds_conv_weights_in(l->forward, w, l->weights);
    free(w);
    return rc;
}

static int convolution_refresh(const ds_plan *p, ds_step *s)
{
    ds_product *l = s->linear;
    if (!p->train)
        return fold(l, s->node);
    int rc = ds_conv_weights_in(l->forward, s->node->weights, l->weights);
    if (!rc && l->grad_data && l->weights_back != l->weights)
        rc = ds_conv_weights_in(l->grad_data, s->node->weights, l->weights_back);
    return rc;
}

/* ---- connected --------------------------------------------------------------------------------------------- */

/* A matrix of batch rows, `stride` floats apart. */
typedef struct rows {
    float *v;
    size_t columns, stride;
} rows;

static bool are_rows(const ds_tensor *t)
{
    return t->places == 1;
}

static rows rows_of(const ds_plan *p, const ds_tensor *t, const float *v)
{
    return (rows){(float *)v, (size_t)t->c, (size_t)t->blocks * (size_t)p->k->block};
}

static rows flat(const ds_tensor *t, float *v)
{
    size_t n = (size_t)t->c * t->places;
    return (rows){v, n, n};
}

/* Padded columns are zero in every tensor. */
static void clear_padding(const ds_plan *p, rows r)
{
    for (int b = 0; r.columns < r.stride && b < p->graph->batch; b++)
        memset(r.v + (size_t)b * r.stride + r.columns, 0, (r.stride - r.columns) * sizeof(float));
}

static int connected_make(ds_plan *p, ds_step *s)
{
    ds_product *l = s->linear;
    ds_tensor *in = s->inputs[0];
    size_t bytes = (size_t)p->graph->batch * (size_t)in->c * in->places * sizeof(float);
    int now = ds_backward_moment(p, s);
    if (!s->plain_input && !are_rows(in))
        l->flat_buffer = ds_arena_want(&p->arena, bytes, s->number, s->trains ? now : s->number);
    if (!s->trains || !in->wants_gradient || s->plain_input)
        return DS_OK;
    s->to[0] = ds_target_make(p, s, in, false);
    if (!are_rows(in))
        l->flat_grad_buffer = ds_arena_want(&p->arena, bytes, now, now);
    return DS_OK;
}

static rows connected_input(const ds_plan *p, const ds_step *s)
{
    const ds_tensor *in = s->inputs[0];
    if (s->plain_input)
        return flat(in, in->plain);
    return are_rows(in) ? rows_of(p, in, in->value)
                        : flat(in, ds_arena_at(&p->arena, s->linear->flat_buffer));
}

static int connected_forward(ds_plan *p, ds_step *s)
{
    rows in = connected_input(p, s), out = rows_of(p, &s->product, s->product.value);
    if (s->linear->flat_buffer)
        ds_tensor_to_plain(p, s->inputs[0], s->inputs[0]->value, false, in.v);
    clear_padding(p, out);
    return ds_dnnl_gemm(false, true, (size_t)p->graph->batch, out.columns, in.columns, in.v, in.stride,
                        s->node->weights, in.columns, 0, out.v, out.stride);
}

/* x = beta x + out W. */
static int times_weights(const ds_plan *p, const ds_step *s, rows out, float beta, rows x)
{
    return ds_dnnl_gemm(false, false, (size_t)p->graph->batch, x.columns, out.columns, out.v, out.stride,
                        s->node->weights, x.columns, beta, x.v, x.stride);
}

static int connected_grad_input(ds_plan *p, ds_step *s, rows out)
{
    ds_tensor *in = s->inputs[0];
    bool add, direct = are_rows(in);
    if (s->plain_input) /* the host's array takes it as it is */
        return in->wants_gradient && in->delta ? times_weights(p, s, out, 1, flat(in, in->delta)) : DS_OK;
    if (!s->to[0].t)
        return DS_OK;
    float *to = ds_target_open(p, &s->to[0], &add);
    rows x = direct ? rows_of(p, in, to) : flat(in, ds_arena_at(&p->arena, s->linear->flat_grad_buffer));
    clear_padding(p, x);
    int rc = times_weights(p, s, out, 0, x);
    if (!direct)
        ds_tensor_from_plain(p, in, x.v, to);
    ds_target_close(p, &s->to[0]);
    return rc;
}

static int connected_backward(ds_plan *p, ds_step *s, const float *grad)
{
    rows in = connected_input(p, s), out = rows_of(p, &s->product, grad);
    int rc = DS_OK;
    if (s->node->weight_updates)
        rc = ds_dnnl_gemm(true, false, out.columns, in.columns, (size_t)p->graph->batch, out.v, out.stride,
                          in.v, in.stride, 1, s->node->weight_updates, in.columns);
    return rc ? rc : connected_grad_input(p, s, out);
}

/* ---- both -------------------------------------------------------------------------------------------------- */

int ds_product_make(ds_plan *p, ds_step *s, ds_error *e)
{
    if (!(s->linear = calloc(1, sizeof *s->linear)))
        return ds_fail_memory(e);
    return s->node->op == DS_OP_CONVOLUTION ? convolution_make(p, s, e) : connected_make(p, s);
}

int ds_product_forward(ds_plan *p, ds_step *s)
{
    return s->linear->forward ? convolution_forward(p, s) : connected_forward(p, s);
}

int ds_product_backward(ds_plan *p, ds_step *s, const float *grad)
{
    return s->linear->forward ? convolution_backward(p, s, grad) : connected_backward(p, s, grad);
}

int ds_product_refresh(ds_plan *p, ds_step *s)
{
    return s->linear && s->linear->forward ? convolution_refresh(p, s) : DS_OK;
}

void ds_product_free(ds_product *l)
{
    if (!l)
        return;
    ds_conv_free(l->forward);
    ds_conv_free(l->grad_data);
    ds_conv_free(l->grad_weights);
    if (l->weights_back != l->weights)
        free(l->weights_back);
    free(l->weights);
    free(l->bias);
    free(l);
}
