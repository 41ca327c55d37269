/* The product of a step: a convolution by oneDNN, or the matrix product of a connected layer. */
#include "plugins/onednn/engine.h"

/* Numbers of buffers, 0: none. */
struct ds_product {
    /* convolution; weights in the layouts of forward and grad_data, which may be the same */
    ds_conv *forward, *grad_data, *grad_weights;
    int weights, weights_back;
    int bias; /* inference: of the folded batch normalisation */
    int forward_scratch, data_scratch, weights_scratch, grad_buffer;
    ds_tensor framed; /* the input within its padding, for grad_weights, where that needs it */
    int framed_buffer;
    int narrow; /* the gradient of a product of floats in bfloat16 */
    /* connected, rows of floats: the input, unless the host has it so, backward then its gradient; the
     * output, backward then its gradient */
    int rows, out_rows;
};

/* ---- convolution: making ---- */

static ds_conv_spec spec_of(const ds_plan *p, const ds_step *s, ds_conv_kind kind)
{
    const ds_node *node = s->node;
    bool infer = kind == DS_CONV_INFER;
    return (ds_conv_spec){.kind = kind,
                          .bf16 = p->bf16,
                          .wide_output = p->bf16 && s->product.k == p->k,
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
                          .plain_input = s->plain_input,
                          .add = infer && s->add_in_place,
                          .activate = infer && s->conv_activates && s->slope != 1,
                          .slope = s->slope};
}

/* Winograd's F(4x4, 3x3) needs 4 times fewer multiplications and, measured with oneDNN 2.6 and AVX-512, up to
 * 2.6 times less time. It loses where tiles stick out far, and, but for the gradient of the weights, where
 * few channels are summed or one tile is the whole picture. */
static bool winograd_pays(const ds_conv_spec *s)
{
    enum { FEW_IMAGES = 8, FEW_CHANNELS = 32 };
    int summed = s->kind == DS_CONV_GRAD_DATA ? s->n : s->c;
    int tiles = ((s->out_h + 3) / 4) * ((s->out_w + 3) / 4); /* of 4 x 4 places */
    bool possible = s->size == 3 && s->stride == 1 && s->pad <= 1 && s->groups == 1 && s->c % 16 == 0 &&
                    s->n % 16 == 0 && !s->bf16;
    if (!possible || 16.0 * tiles / (s->out_h * s->out_w) > 1.8)
        return false;
    /* a few images do not pay for transforming the weights beforehand */
    if (s->kind == DS_CONV_INFER && s->batch < FEW_IMAGES)
        return false;
    return s->kind == DS_CONV_GRAD_WEIGHTS || (summed >= FEW_CHANNELS && s->out_h > 3 && s->out_w > 3);
}

/* oneDNN's direct convolutions fill the 16 rows of a tile of AMX from one row of a picture. Measured (2.6,
 * two threads, 128 images, 512 channels), direct and lowered: of 2 x 2 places forward 16 and 4 ms, gradients
 * of input and weights 35 and 5, 68 and 5; of 4 x 4 30 and 17, 55 and 16, 90 and 20; of 8 x 8 (256 channels)
 * 14 and 17, 21 and 19, 45 and 20. 3.7 differs little. */
static bool lowering_pays(const ds_conv_spec *s)
{
    enum { NARROW = 4, NARROW_WEIGHTS = 8, FEW_ROWS = 64 };
    bool back = s->kind == DS_CONV_GRAD_DATA, weights = s->kind == DS_CONV_GRAD_WEIGHTS;
    long h = back ? s->h : s->out_h, w = back ? s->w : s->out_w;
    if (!s->bf16 || s->groups > 1 || (back && s->stride > 1))
        return false;
    /* oneDNN lays the weights out anew for each product */
    if (!back && !weights && s->batch * h * w < FEW_ROWS)
        return false;
    if (s->size == 1 && s->stride == 1 && (back || weights))
        return true;
    return w <= (weights && s->stride > 1 ? NARROW_WEIGHTS : NARROW);
}

/* In the same way the gradient of the weights, direct and by tiles, of 8 x 8 places (128 channels) 10 and 5
 * ms, of 16 x 16 (64 channels) 7 and 4, of 32 x 32 (64 channels) 16 and 16. */
static bool tiles_pay(const ds_conv_spec *s)
{
    enum { WIDE = 16 };
    return s->bf16 && s->kind == DS_CONV_GRAD_WEIGHTS && s->groups == 1 && s->stride == 1 && s->size > 1 &&
           s->out_w <= WIDE;
}

/* Another algorithm than the direct one where it pays and oneDNN has it; it may not have it with a leaky
 * activation, which then is a pass of its own. */
static int conv_make(const ds_plan *p, ds_step *s, ds_conv_kind kind, ds_conv **conv, ds_error *e)
{
    ds_conv_spec spec = spec_of(p, s, kind), bare = spec;
    bare.activate = false;
    if (winograd_pays(&spec))
        bare.algorithm = spec.algorithm = DS_CONV_WINOGRAD;
    else if (lowering_pays(&spec))
        bare.algorithm = spec.algorithm = DS_CONV_LOWERED;
    else if (tiles_pay(&spec))
        bare.algorithm = spec.algorithm = DS_CONV_TILES;
    if (spec.algorithm && !ds_conv_new(p->dnnl, &spec, conv, NULL))
        return DS_OK;
    if (spec.algorithm && spec.activate && !ds_conv_new(p->dnnl, &bare, conv, NULL)) {
        s->conv_activates = false;
        return DS_OK;
    }
    spec.algorithm = DS_CONV_DIRECT;
    return ds_conv_new(p->dnnl, &spec, conv, e);
}

static int lease_scratch(ds_plan *p, const ds_conv *c, int moment)
{
    size_t bytes = ds_conv_scratch_bytes(c);
    return bytes ? ds_arena_want(&p->arena, bytes, moment, moment) : 0;
}

static int make_grad_data(ds_plan *p, ds_step *s, ds_error *e)
{
    ds_product *l = s->linear;
    DS_TRY(conv_make(p, s, DS_CONV_GRAD_DATA, &l->grad_data, e));
    s->to[0] = ds_target_make(p, s, s->inputs[0], false);
    l->data_scratch = lease_scratch(p, l->grad_data, ds_backward_moment(p, s));
    l->weights_back = l->weights;
    if (!ds_conv_same_weights(l->forward, l->grad_data))
        l->weights_back = ds_lease_always(p, ds_conv_weights_bytes(l->grad_data));
    return DS_OK;
}

/* Where the filter is larger than the picture oneDNN may refuse (with AVX2), but not when the padding is part
 * of the picture. */
static int make_framed(ds_plan *p, ds_step *s, ds_error *e)
{
    ds_product *l = s->linear;
    int now = ds_backward_moment(p, s);
    ds_conv_spec spec = spec_of(p, s, DS_CONV_GRAD_WEIGHTS);
    spec.h += 2 * spec.pad;
    spec.w += 2 * spec.pad;
    spec.pad = 0;
    DS_TRY(ds_conv_new(p->dnnl, &spec, &l->grad_weights, e));
    l->framed = ds_tensor_shape(p, spec.c, spec.h, spec.w);
    l->framed_buffer = ds_arena_want(&p->arena, ds_tensor_bytes(&l->framed), now, now);
    return DS_OK;
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
    ds_product *l = s->linear;
    DS_TRY(conv_make(p, s, p->train ? DS_CONV_TRAIN : DS_CONV_INFER, &l->forward, e));
    l->forward_scratch = lease_scratch(p, l->forward, s->number);
    l->weights = ds_lease_always(p, ds_conv_weights_bytes(l->forward));
    l->bias = p->train ? 0 : ds_lease_always(p, (size_t)s->product.blocks * p->block * sizeof(float));
    if (s->trains && p->bf16 && s->product.k == p->k) {
        int now = ds_backward_moment(p, s);
        l->narrow = ds_arena_want(&p->arena, ds_tensor_bytes(&s->product), now, now);
    }
    if (s->trains && s->inputs[0]->wants_gradient)
        DS_TRY(make_grad_data(p, s, e));
    if (s->trains && s->node->weight_updates)
        DS_TRY(make_grad_weights(p, s, e));
    return DS_OK;
}

/* ---- convolution: running ---- */

static const void *input_of(const ds_step *s)
{
    return s->plain_input ? s->inputs[0]->plain : s->inputs[0]->value;
}

static int convolution_forward(const ds_plan *p, ds_step *s)
{
    const ds_product *l = s->linear;
    return ds_conv_run(l->forward, &(ds_conv_args){.input = input_of(s),
                                                   .output = s->product.value,
                                                   .weights = ds_arena_at(&p->arena, l->weights),
                                                   .bias = ds_arena_at(&p->arena, l->bias),
                                                   .scratch = ds_arena_at(&p->arena, l->forward_scratch)});
}

static const void *framed_input(const ds_plan *p, const ds_step *s)
{
    const ds_tensor *in = s->inputs[0], *out = &s->linear->framed;
    char *v = ds_arena_at(&p->arena, s->linear->framed_buffer);
    const char *from = in->value;
    size_t place = in->extent.next * in->k->size, row = (size_t)in->w * place, wide = (size_t)out->w * place;
    size_t corner = (size_t)s->node->pad * (wide + place), rows = (size_t)in->h;
    memset(v, 0, ds_tensor_bytes(out));
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < ds_tensor_bytes(in) / (rows * row); i++)
        for (size_t r = 0; r < rows; r++)
            memcpy(v + corner + (i * (size_t)out->h + r) * wide, from + (i * rows + r) * row, row);
    return v;
}

static int convolution_grad_weights(const ds_plan *p, ds_step *s, const void *grad)
{
    const ds_product *l = s->linear;
    void *to = ds_arena_at(&p->arena, l->grad_buffer);
    DS_TRY(ds_conv_run(l->grad_weights,
                       &(ds_conv_args){.input = l->framed_buffer ? framed_input(p, s) : input_of(s),
                                       .output = grad,
                                       .weights = to,
                                       .scratch = ds_arena_at(&p->arena, l->weights_scratch)}));
    return ds_conv_add_weights(l->grad_weights, to, s->node->weight_updates);
}

static int convolution_backward(const ds_plan *p, ds_step *s, const void *grad)
{
    const ds_product *l = s->linear;
    if (l->narrow) {
        void *narrow = ds_arena_at(&p->arena, l->narrow);
        ds_to_bf16(grad, ds_tensor_bytes(&s->product) / sizeof(float), narrow);
        grad = narrow;
    }
    if (l->grad_weights)
        DS_TRY(convolution_grad_weights(p, s, grad));
    if (l->grad_data)
        DS_TRY(
            ds_conv_run(l->grad_data, &(ds_conv_args){.input = ds_target_open(p, &s->to[0]),
                                                      .output = grad,
                                                      .weights = ds_arena_at(&p->arena, l->weights_back),
                                                      .scratch = ds_arena_at(&p->arena, l->data_scratch)}));
    ds_target_close(p, &s->to[0]);
    return DS_OK;
}

/* Weights and bias with the batch normalisation in them: w scale / d, bias - mean scale / d, d =
 * sqrt(variance) + 1e-6. */
static int fold(const ds_plan *p, const ds_product *l, const ds_node *node)
{
    size_t each = (size_t)(node->c / node->groups) * (size_t)(node->size * node->size);
    DS_FREED float *w = DS_ALLOC(w, (size_t)node->out_c * each);
    float *bias = ds_arena_at(&p->arena, l->bias);
    for (int f = 0; f < node->out_c; f++) {
        float factor = node->normalized ? node->scales[f] / (sqrtf(node->rolling_variance[f]) + .000001f) : 1;
        bias[f] = node->biases[f] - (node->normalized ? node->rolling_mean[f] * factor : 0);
        for (size_t i = (size_t)f * each; i < ((size_t)f + 1) * each; i++)
            w[i] = node->weights[i] * factor;
    }
    return ds_conv_weights_in(l->forward, w, ds_arena_at(&p->arena, l->weights));
}

static int convolution_refresh(const ds_plan *p, const ds_product *l, const ds_node *node)
{
    if (!p->train)
        return fold(p, l, node);
    DS_TRY(ds_conv_weights_in(l->forward, node->weights, ds_arena_at(&p->arena, l->weights)));
    if (!l->grad_data || l->weights_back == l->weights)
        return DS_OK;
    return ds_conv_weights_in(l->grad_data, node->weights, ds_arena_at(&p->arena, l->weights_back));
}

/* The input is a matrix of batch x inputs, the product one of batch x outputs, both of floats. */
static size_t inputs_of(const ds_step *s)
{
    return (size_t)s->inputs[0]->c * s->inputs[0]->extent.places;
}

static void connected_make(ds_plan *p, ds_step *s)
{
    int last = s->trains ? ds_backward_moment(p, s) : s->number;
    size_t batch = (size_t)p->graph->batch;
    s->linear->rows = ds_arena_want(&p->arena, batch * inputs_of(s) * sizeof(float), s->number, last);
    s->linear->out_rows =
        ds_arena_want(&p->arena, batch * (size_t)s->product.c * sizeof(float), s->number, last);
    s->to[0] = ds_target_make(p, s, s->inputs[0], false);
}

static const float *rows_of(const ds_plan *p, const ds_step *s)
{
    return s->plain_input ? s->inputs[0]->plain : ds_arena_at(&p->arena, s->linear->rows);
}

static int connected_forward(const ds_plan *p, ds_step *s)
{
    const ds_tensor *in = s->inputs[0], *out = &s->product;
    size_t n = inputs_of(s), outputs = (size_t)out->c;
    float *rows = ds_arena_at(&p->arena, s->linear->out_rows);
    if (!s->plain_input)
        ds_tensor_to_plain(in, in->value, false, ds_arena_at(&p->arena, s->linear->rows));
    DS_TRY(ds_dnnl_gemm(false, true, (size_t)p->graph->batch, outputs, n, rows_of(p, s), n, s->node->weights,
                        n, 0, rows, outputs));
    ds_tensor_from_plain(out, rows, out->value);
    return DS_OK;
}

static int connected_backward(const ds_plan *p, ds_step *s, const void *g)
{
    size_t n = inputs_of(s), outputs = (size_t)s->product.c, batch = (size_t)p->graph->batch;
    float *rows = ds_arena_at(&p->arena, s->linear->rows),
          *grad = ds_arena_at(&p->arena, s->linear->out_rows);
    void *to = ds_target_open(p, &s->to[0]);
    ds_tensor_to_plain(&s->product, g, false, grad);
    if (s->node->weight_updates)
        DS_TRY(ds_dnnl_gemm(true, false, outputs, n, batch, grad, outputs, rows_of(p, s), n, 1,
                            s->node->weight_updates, n));
    if (!to)
        return DS_OK;
    DS_TRY(ds_dnnl_gemm(false, false, batch, n, outputs, grad, outputs, s->node->weights, n, 0, rows, n));
    ds_tensor_from_plain(s->inputs[0], rows, to);
    ds_target_close(p, &s->to[0]);
    return DS_OK;
}

int ds_product_make(ds_plan *p, ds_step *s, ds_error *e)
{
    DS_ZALLOC(s->linear, 1);
    if (s->node->op == DS_OP_CONVOLUTION)
        return convolution_make(p, s, e);
    connected_make(p, s);
    return DS_OK;
}

int ds_product_forward(const ds_plan *p, ds_step *s)
{
    return s->linear->forward ? convolution_forward(p, s) : connected_forward(p, s);
}

int ds_product_backward(const ds_plan *p, ds_step *s, const void *grad)
{
    return s->linear->forward ? convolution_backward(p, s, grad) : connected_backward(p, s, grad);
}

int ds_product_refresh(const ds_plan *p, const ds_step *s)
{
    return s->linear && s->linear->forward ? convolution_refresh(p, s->linear, s->node) : DS_OK;
}

void ds_product_free(ds_product *l)
{
    if (!l)
        return;
    ds_conv_free(l->forward);
    ds_conv_free(l->grad_data);
    ds_conv_free(l->grad_weights);
    free(l);
}
