#include "plugins/onednn/dnnl.h"
#include "plugins/onednn/lower.h"
#include "plugins/onednn/tiles.h"

#include <dnnl.h>

/* ---- the two C APIs ---- */

/* Version 2 has memory descriptors as structs, 3 as handles. `view` is what both query and take; `desc` is
 * what we make. Zeros are no descriptor in both. */
typedef dnnl_memory_desc_t desc;
#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t view;
#define VIEW(d) (d)
#define DESC_MAKE(d, n, dims, type, tag) dnnl_memory_desc_create_with_tag(d, n, dims, type, tag)
#define DESC_MAKE_STRIDED(d, n, dims, type, strides) \
    dnnl_memory_desc_create_with_strides(d, n, dims, type, strides)
#define DESC_FREE(d) dnnl_memory_desc_destroy(d)
#define APPEND_SUM(ops) dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef)
#define APPEND_LEAKY(ops, slope) dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_relu, slope, 0)
#else
typedef const dnnl_memory_desc_t *view;
#define VIEW(d) (&(d))
#define DESC_MAKE(d, n, dims, type, tag) dnnl_memory_desc_init_by_tag(d, n, dims, type, tag)
#define DESC_MAKE_STRIDED(d, n, dims, type, strides) \
    dnnl_memory_desc_init_by_strides(d, n, dims, type, strides)
#define DESC_FREE(d) ((void)(d))
#define APPEND_SUM(ops) dnnl_post_ops_append_sum(ops, 1)
#define APPEND_LEAKY(ops, slope) dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, slope, 0)
#endif

/* What a convolution is made from, whichever direction. */
typedef struct shape {
    dnnl_engine_t engine;
    desc source, weights, bias, destination;
    desc plain; /* the host's layout of the weights */
    desc ours;  /* lowered, tiles: theirs */
    desc hint;  /* weights for `forward` of a backward direction */
    dnnl_dims_t strides, dilates, padding;
    dnnl_alg_kind_t algorithm;
    dnnl_primitive_attr_t attributes;
    dnnl_primitive_desc_t forward; /* which the backward directions want to know */
} shape;

#define STEPS(s) (s)->strides, (s)->dilates, (s)->padding, (s)->padding

#if DNNL_VERSION_MAJOR >= 3
static dnnl_status_t describe(dnnl_primitive_desc_t *pd, dnnl_prop_kind_t kind, const shape *s,
                              dnnl_primitive_attr_t attr)
{
    if (kind == dnnl_backward_data)
        return dnnl_convolution_backward_data_primitive_desc_create(
            pd, s->engine, s->algorithm, s->source, s->weights, s->destination, STEPS(s), s->forward, attr);
    if (kind == dnnl_backward_weights)
        return dnnl_convolution_backward_weights_primitive_desc_create(pd, s->engine, s->algorithm, s->source,
                                                                       s->weights, NULL, s->destination,
                                                                       STEPS(s), s->forward, attr);
    return dnnl_convolution_forward_primitive_desc_create(
        pd, s->engine, kind, s->algorithm, s->source, s->weights, s->bias, s->destination, STEPS(s), attr);
}

static int describe_product(dnnl_primitive_desc_t *pd, const shape *s)
{
    return dnnl_matmul_primitive_desc_create(pd, s->engine, s->source, s->weights, s->bias, s->destination,
                                             s->attributes);
}
#else
static dnnl_status_t describe(dnnl_primitive_desc_t *pd, dnnl_prop_kind_t kind, const shape *s,
                              dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t op;
    dnnl_status_t rc;
    if (kind == dnnl_backward_data)
        rc = dnnl_dilated_convolution_backward_data_desc_init(&op, s->algorithm, &s->source, &s->weights,
                                                              &s->destination, STEPS(s));
    else if (kind == dnnl_backward_weights)
        rc = dnnl_dilated_convolution_backward_weights_desc_init(&op, s->algorithm, &s->source, &s->weights,
                                                                 NULL, &s->destination, STEPS(s));
    else
        rc = dnnl_dilated_convolution_forward_desc_init(&op, kind, s->algorithm, &s->source, &s->weights,
                                                        &s->bias, &s->destination, STEPS(s));
    return rc ? rc : dnnl_primitive_desc_create(pd, &op, attr, s->engine, s->forward);
}

static int describe_product(dnnl_primitive_desc_t *pd, const shape *s)
{
    dnnl_matmul_desc_t op;
    dnnl_status_t rc = dnnl_matmul_desc_init(&op, &s->source, &s->weights, &s->bias, &s->destination);
    return rc ? rc : dnnl_primitive_desc_create(pd, &op, s->attributes, s->engine, NULL);
}
#endif

struct ds_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};

static int fail(dnnl_status_t status, const char *what, ds_error *e)
{
    if (status == dnnl_out_of_memory)
        return ds_fail(e, DS_ENOMEM, "oneDNN: %s: out of memory", what);
    return ds_fail(e, DS_EHOST, "oneDNN: %s: status %d", what, (int)status);
}

int ds_dnnl_new(ds_dnnl **out, ds_error *e)
{
    ds_dnnl *d = DS_ZALLOC(*out, 1);
    dnnl_status_t rc = dnnl_engine_create(&d->engine, dnnl_cpu, 0);
    if (!rc)
        rc = dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags);
    return rc ? fail(rc, "cannot start", e) : DS_OK;
}

void ds_dnnl_free(ds_dnnl *d)
{
    if (!d)
        return;
    if (d->stream)
        dnnl_stream_destroy(d->stream);
    if (d->engine)
        dnnl_engine_destroy(d->engine);
    free(d);
}

bool ds_dnnl_has_amx(void)
{
    int isa = (int)dnnl_get_effective_cpu_isa();
    return (isa & dnnl_cpu_isa_avx512_core_amx) == dnnl_cpu_isa_avx512_core_amx;
}

ds_isa ds_dnnl_isa(void)
{
    int isa = (int)dnnl_get_effective_cpu_isa();
    if ((isa & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core)
        return DS_AVX512;
    return (isa & dnnl_cpu_isa_avx2) == dnnl_cpu_isa_avx2 ? DS_AVX2 : DS_SSE2;
}

const char *ds_dnnl_describe(bool bf16)
{
    static const char *const names[] = {"SSE4.1", "AVX2", "AVX-512"};
    static _Thread_local char text[48];
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d, %s", v->major, v->minor, v->patch,
             bf16 ? "AMX" : names[ds_dnnl_isa()]);
    return text;
}

/* The memory of a convolution, as in ds_conv_args. */
enum { INPUT, WEIGHTS, OUTPUT, SCRATCH, BIAS, SIDES };

struct ds_conv {
    ds_dnnl *d;
    ds_conv_kind kind;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive, reorder; /* reorder: between the host's layout of the weights and ours */
    dnnl_memory_t memory[SIDES];         /* their handles change from call to call */
    dnnl_memory_t plain, ours;           /* the weights, as the reorder sees them */
    ds_conv_algorithm algorithm;
    ds_windows windows; /* lowered: of the input; of the gradient of the output for GRAD_DATA */
    ds_tiles tiles;
    /* The host's weights are `filters` rows; padded: of ours more and longer ones. */
    bool padded;
    int filters;
    size_t row, padded_row, padded_bytes;
};

/* By algorithm, kind and side, 0: there is none. */
static const int arguments[2][4][SIDES] = {
    {
        [DS_CONV_TRAIN] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD},
        [DS_CONV_INFER] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD, DNNL_ARG_BIAS},
        [DS_CONV_GRAD_DATA] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST, DNNL_ARG_SCRATCHPAD},
        [DS_CONV_GRAD_WEIGHTS] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST,
                                  DNNL_ARG_SCRATCHPAD},
    },
    {
        [DS_CONV_TRAIN] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD},
        [DS_CONV_INFER] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD, DNNL_ARG_BIAS},
        [DS_CONV_GRAD_DATA] = {DNNL_ARG_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_SRC, DNNL_ARG_SCRATCHPAD},
        [DS_CONV_GRAD_WEIGHTS] = {DNNL_ARG_SRC, DNNL_ARG_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_SCRATCHPAD},
    }};

static int argument(const ds_conv *c, int side)
{
    return arguments[c->algorithm == DS_CONV_LOWERED][c->kind][side];
}

static view layout(const ds_conv *c, int side)
{
    return dnnl_primitive_desc_query_md(c->pd, dnnl_query_exec_arg_md, argument(c, side));
}

static int describe_weights(desc *d, const ds_conv_spec *s, dnnl_data_type_t type, dnnl_format_tag_t grouped,
                            dnnl_format_tag_t one)
{
    const dnnl_dims_t by_group = {s->groups, s->n / s->groups, s->c / s->groups, s->size, s->size};
    const dnnl_dims_t all = {s->n, s->c, s->size, s->size};
    return s->groups > 1 ? DESC_MAKE(d, 5, by_group, type, grouped) : DESC_MAKE(d, 4, all, type, one);
}

static int make_attributes(bool add, bool activate, float slope, dnnl_primitive_attr_t *attr)
{
    dnnl_post_ops_t ops = NULL;
    int rc = dnnl_primitive_attr_create(attr);
    if (!rc)
        rc = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    if (!rc)
        rc = dnnl_post_ops_create(&ops);
    if (!rc && add)
        rc = APPEND_SUM(ops);
    if (!rc && activate)
        rc = APPEND_LEAKY(ops, slope);
    if (!rc)
        rc = dnnl_primitive_attr_set_post_ops(*attr, ops);
    dnnl_post_ops_destroy(ops);
    return rc;
}

static int make_shape(const ds_conv_spec *s, shape *out)
{
    dnnl_format_tag_t layout = s->bf16 ? dnnl_nhwc : s->block == 16 ? dnnl_nChw16c : dnnl_nChw8c;
    dnnl_data_type_t type = s->bf16 ? dnnl_bf16 : dnnl_f32;
    const dnnl_dims_t source = {s->batch, s->c, s->h, s->w}, bias = {s->n};
    const dnnl_dims_t destination = {s->batch, s->n, s->out_h, s->out_w};
    out->algorithm = s->algorithm == DS_CONV_WINOGRAD ? dnnl_convolution_winograd : dnnl_convolution_direct;
    out->strides[0] = out->strides[1] = s->stride;
    out->padding[0] = out->padding[1] = s->pad;
    bool forward = s->kind == DS_CONV_TRAIN || s->kind == DS_CONV_INFER;
    DS_TRY(DESC_MAKE(&out->source, 4, source, type, s->plain_input ? dnnl_nchw : layout));
    DS_TRY(DESC_MAKE(&out->destination, 4, destination, s->wide_output && forward ? dnnl_f32 : type, layout));
    DS_TRY(describe_weights(&out->weights, s, s->kind == DS_CONV_GRAD_WEIGHTS ? dnnl_f32 : type,
                            dnnl_format_tag_any, dnnl_format_tag_any));
    DS_TRY(describe_weights(&out->hint, s, type, dnnl_format_tag_any, dnnl_format_tag_any));
    DS_TRY(describe_weights(&out->plain, s, dnnl_f32, dnnl_goihw, dnnl_oihw));
    if (s->kind == DS_CONV_INFER)
        DS_TRY(DESC_MAKE(&out->bias, 1, bias, dnnl_f32, dnnl_x));
    return make_attributes(s->add, s->activate, s->slope, &out->attributes);
}

/* Windows x filters, or x input channels for the gradient of the input. Our weights are (row, column, input
 * channel) x filter, or (row, column, filter) x input channel. */
static int make_product_shape(const ds_conv_spec *s, shape *out)
{
    bool back = s->kind == DS_CONV_GRAD_DATA, weights = s->kind == DS_CONV_GRAD_WEIGHTS;
    long places = (long)s->size * s->size, from = back ? s->n : s->c, to = back ? s->c : s->n;
    if (!s->bf16 || s->groups > 1 || (back && s->stride > 1))
        return dnnl_unimplemented;
    long rows = (long)s->batch * (back ? (long)s->h * s->w : (long)s->out_h * s->out_w);
    dnnl_data_type_t of_weights = weights ? dnnl_f32 : dnnl_bf16;
    dnnl_data_type_t of_output = weights || (s->wide_output && !back) ? dnnl_f32 : dnnl_bf16;
    const dnnl_dims_t windows = {rows, places * from}, windows_back = {places * from, rows},
                      filters = {places * from, to}, products = {rows, to}, bias = {1, to};
    const dnnl_dims_t host = {s->n, s->c, s->size, s->size};
    const dnnl_dims_t strides = {back ? to : 1, back ? 1 : to, s->size * from * to, from * to};
    DS_TRY(
        DESC_MAKE(&out->source, 2, weights ? windows_back : windows, dnnl_bf16, weights ? dnnl_ba : dnnl_ab));
    DS_TRY(DESC_MAKE(&out->weights, 2, weights ? products : filters, dnnl_bf16, dnnl_ab));
    DS_TRY(DESC_MAKE(&out->destination, 2, weights ? filters : products, of_output, dnnl_ab));
    DS_TRY(DESC_MAKE(&out->plain, 4, host, dnnl_f32, dnnl_oihw));
    DS_TRY(DESC_MAKE_STRIDED(&out->ours, 4, host, of_weights, strides));
    if (s->kind == DS_CONV_INFER)
        DS_TRY(DESC_MAKE(&out->bias, 2, bias, dnnl_f32, dnnl_ab));
    return make_attributes(s->add, s->activate, s->slope, &out->attributes);
}

static ds_windows windows_of(const ds_conv_spec *s)
{
    bool back = s->kind == DS_CONV_GRAD_DATA;
    return (ds_windows){.images = (size_t)s->batch,
                        .bytes = (size_t)(back ? s->n : s->c) * 2,
                        .h = back ? s->out_h : s->h,
                        .w = back ? s->out_w : s->w,
                        .out_h = back ? s->h : s->out_h,
                        .out_w = back ? s->w : s->out_w,
                        .size = s->size,
                        .stride = s->stride,
                        .first = back ? s->pad : -s->pad,
                        .step = back ? -1 : 1};
}

static void free_shape(shape *s)
{
    DESC_FREE(s->source);
    DESC_FREE(s->weights);
    DESC_FREE(s->bias);
    DESC_FREE(s->destination);
    DESC_FREE(s->plain);
    DESC_FREE(s->ours);
    DESC_FREE(s->hint);
    dnnl_primitive_attr_destroy(s->attributes);
    dnnl_primitive_desc_destroy(s->forward);
}

/* For inference Winograd's would keep transformed weights, four times as large and slow to make, for a gain
 * of a few percent; the one for training transforms them as it goes. The backward directions want to know the
 * forward one, which is chosen here as it would be for training. */
static int make_descriptor(ds_conv *c, shape *s)
{
    bool constant = c->kind == DS_CONV_INFER && s->algorithm == dnnl_convolution_direct;
    if (c->kind == DS_CONV_TRAIN || c->kind == DS_CONV_INFER)
        return describe(&c->pd, constant ? dnnl_forward_inference : dnnl_forward_training, s, s->attributes);
    shape hint = *s;
    hint.weights = s->hint;
    if (describe(&s->forward, dnnl_forward_training, &hint, NULL)) {
        hint.algorithm = dnnl_convolution_direct;
        DS_TRY(describe(&s->forward, dnnl_forward_training, &hint, NULL));
    }
    return describe(&c->pd, c->kind == DS_CONV_GRAD_DATA ? dnnl_backward_data : dnnl_backward_weights, s,
                    s->attributes);
}

static int make_memory(const ds_conv *c, view v, dnnl_memory_t *m)
{
    return dnnl_memory_create(m, v, c->d->engine, DNNL_MEMORY_NONE);
}

/* To our layout of the weights; from that of their gradient, which is added. */
static int make_reorder(ds_conv *c, const shape *s)
{
    bool out = c->kind == DS_CONV_GRAD_WEIGHTS;
    view plain = VIEW(s->plain),
         ours = c->pd && c->algorithm != DS_CONV_LOWERED ? layout(c, WEIGHTS) : VIEW(s->ours);
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    int rc = make_attributes(out, false, 0, &attr);
    if (!rc)
        rc = dnnl_reorder_primitive_desc_create(&pd, out ? ours : plain, s->engine, out ? plain : ours,
                                                s->engine, attr);
    if (!rc)
        rc = dnnl_primitive_create(&c->reorder, pd);
    dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_attr_destroy(attr);
    if (!rc)
        rc = make_memory(c, plain, &c->plain);
    return rc ? rc : make_memory(c, ours, &c->ours);
}

static int make_tiles(ds_conv *c, const ds_conv_spec *spec, shape *s)
{
    c->tiles = (ds_tiles){spec->batch, spec->c,     spec->h,    spec->w,  spec->n,
                          spec->out_h, spec->out_w, spec->size, spec->pad};
    if (spec->kind != DS_CONV_GRAD_WEIGHTS || spec->stride > 1 || !ds_dnnl_has_amx() ||
        !ds_tiles_can(&c->tiles))
        return dnnl_unimplemented;
    DS_TRY(make_product_shape(spec, s));
    return make_reorder(c, s);
}

static int make(ds_conv *c, const ds_conv_spec *spec, shape *s)
{
    const char *name;
    c->algorithm = spec->algorithm;
    if (c->algorithm == DS_CONV_TILES)
        return make_tiles(c, spec, s);
    if (c->algorithm == DS_CONV_LOWERED) {
        c->windows = windows_of(spec);
        DS_TRY(make_product_shape(spec, s));
        DS_TRY(describe_product(&c->pd, s));
    } else {
        DS_TRY(make_shape(spec, s));
        DS_TRY(make_descriptor(c, s));
    }
    DS_TRY(dnnl_primitive_desc_query(c->pd, dnnl_query_impl_info_str, 0, (void *)&name));
    if (strncmp(name, "ref", 3) == 0)
        return dnnl_unimplemented;
    DS_TRY(dnnl_primitive_create(&c->primitive, c->pd));
    for (int i = 0; i < SIDES; i++)
        if (argument(c, i))
            DS_TRY(make_memory(c, layout(c, i), &c->memory[i]));
    return make_reorder(c, s);
}

static int rounded(int channels, int block)
{
    return (channels + block - 1) / block * block;
}

/* Channels of a bfloat16 convolution are whole blocks; what is added has weights 0. */
static int pad(ds_conv *c, ds_conv_spec *s)
{
    c->filters = s->n;
    c->row = (size_t)(s->c / s->groups) * (size_t)(s->size * s->size);
    if (!s->bf16)
        return dnnl_success;
    if (s->groups > 1 && (s->c % s->block || s->n % s->block))
        return dnnl_unimplemented;
    int channels = rounded(s->c, s->block), filters = rounded(s->n, s->block);
    c->padded = channels != s->c || filters != s->n;
    s->c = channels;
    s->n = filters;
    c->padded_row = (size_t)(channels / s->groups) * (size_t)(s->size * s->size);
    c->padded_bytes = (size_t)filters * c->padded_row * sizeof(float);
    return dnnl_success;
}

/* There oneDNN 2.6 adds to gradients of weights what it has never written, or its code for strides of
 * hundreds of places crashes. */
static bool is_broken(const ds_conv_spec *s)
{
    enum { FAR = 256 };
    if (s->bf16 && s->stride > FAR)
        return true;
    return s->bf16 && s->algorithm == DS_CONV_DIRECT && s->kind == DS_CONV_GRAD_WEIGHTS && s->pad > 0 &&
           (s->h < s->stride || s->w < s->stride);
}

int ds_conv_new(ds_dnnl *d, const ds_conv_spec *wanted, ds_conv **out, ds_error *e)
{
    ds_conv *c = DS_ZALLOC(*out, 1);
    shape s = {.engine = d->engine};
    ds_conv_spec spec = *wanted;
    c->d = d;
    c->kind = spec.kind;
    int rc = is_broken(&spec) ? dnnl_unimplemented : pad(c, &spec);
    if (!rc)
        rc = make(c, &spec, &s);
    free_shape(&s);
    if (!rc)
        return DS_OK;
    ds_conv_free(c);
    *out = NULL;
    return fail((dnnl_status_t)rc, "no fast convolution of this shape", e);
}

void ds_conv_free(ds_conv *c)
{
    if (!c)
        return;
    for (int i = 0; i < SIDES; i++)
        dnnl_memory_destroy(c->memory[i]);
    dnnl_memory_destroy(c->plain);
    dnnl_memory_destroy(c->ours);
    dnnl_primitive_destroy(c->primitive);
    dnnl_primitive_destroy(c->reorder);
    dnnl_primitive_desc_destroy(c->pd);
    free(c);
}

static view weights_of(const ds_conv *c)
{
    view v = NULL;
    dnnl_memory_get_memory_desc(c->ours, &v);
    return v;
}

size_t ds_conv_weights_bytes(const ds_conv *c)
{
    return dnnl_memory_desc_get_size(weights_of(c));
}

size_t ds_conv_scratch_bytes(const ds_conv *c)
{
    if (c->algorithm == DS_CONV_TILES)
        return ds_tiles_scratch_bytes(&c->tiles);
    size_t windows = c->algorithm == DS_CONV_LOWERED ? ds_windows_bytes(&c->windows) : 0;
    return windows + dnnl_memory_desc_get_size(layout(c, SCRATCH));
}

bool ds_conv_same_weights(const ds_conv *a, const ds_conv *b)
{
    return dnnl_memory_desc_equal(weights_of(a), weights_of(b));
}

/* Setting a handle makes oneDNN clear the padding of the memory, so only a new one is set. */
static int point(dnnl_memory_t m, const void *to)
{
    void *now = NULL;
    DS_TRY(dnnl_memory_get_data_handle(m, &now));
    return now == to ? dnnl_success : dnnl_memory_set_data_handle(m, (void *)to);
}

static int execute(const ds_conv *c, dnnl_primitive_t primitive, int n, const dnnl_exec_arg_t *args)
{
    bool done = dnnl_primitive_execute(primitive, c->d->stream, n, args) == dnnl_success &&
                dnnl_stream_wait(c->d->stream) == dnnl_success;
    return done ? DS_OK : DS_EHOST;
}

/* The windows come first in the scratch memory. */
static void lower(const ds_conv *c, const void *handles[])
{
    int seen = c->kind == DS_CONV_GRAD_DATA ? OUTPUT : INPUT;
    char *matrix = (char *)handles[SCRATCH];
    size_t bytes = ds_windows_bytes(&c->windows);
    if (!bytes)
        return;
    ds_lower(&c->windows, handles[seen], matrix);
    handles[seen] = matrix;
    handles[SCRATCH] = matrix + bytes;
}

int ds_conv_run(ds_conv *c, const ds_conv_args *a)
{
    const void *handles[] = {a->input, a->weights, a->output, a->scratch, a->bias};
    dnnl_exec_arg_t args[SIDES];
    int n = 0;
    if (c->algorithm == DS_CONV_TILES) {
        ds_tiles_grad_weights(&c->tiles, a->input, a->output, (void *)a->scratch, (float *)a->weights);
        return DS_OK;
    }
    if (c->algorithm == DS_CONV_LOWERED)
        lower(c, handles);
    for (int i = 0; i < SIDES; i++)
        if (argument(c, i)) {
            if (point(c->memory[i], handles[i]))
                return DS_EHOST;
            args[n++] = (dnnl_exec_arg_t){argument(c, i), c->memory[i]};
        }
    return execute(c, c->primitive, n, args);
}

static int move(ds_conv *c, dnnl_memory_t from, const void *from_handle, dnnl_memory_t to, void *to_handle)
{
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    if (point(from, from_handle) || point(to, to_handle))
        return DS_EHOST;
    return execute(c, c->reorder, 2, args);
}

/* Padded weights in the host's layout are a copy. */
static float *copy_of(const ds_conv *c)
{
    float *copy = ds_xmalloc(c->padded_bytes);
    memset(copy, 0, c->padded_bytes);
    return copy;
}

int ds_conv_weights_in(ds_conv *c, const float *plain, void *weights)
{
    DS_FREED float *copy = c->padded ? copy_of(c) : NULL;
    for (size_t f = 0; copy && f < (size_t)c->filters; f++)
        memcpy(copy + f * c->padded_row, plain + f * c->row, c->row * sizeof *copy);
    return move(c, c->plain, copy ? copy : plain, c->ours, weights);
}

int ds_conv_add_weights(ds_conv *c, const void *weights, float *plain)
{
    DS_FREED float *copy = c->padded ? copy_of(c) : NULL;
    DS_TRY(move(c, c->ours, weights, c->plain, copy ? copy : plain));
    for (size_t f = 0; copy && f < (size_t)c->filters; f++)
        for (size_t i = 0; i < c->row; i++)
            plain[f * c->row + i] += copy[f * c->padded_row + i];
    return DS_OK;
}

int ds_dnnl_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
                 size_t ldb, float beta, float *c, size_t ldc)
{
    dnnl_status_t rc = dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k,
                                  1, a, (dnnl_dim_t)lda, b, (dnnl_dim_t)ldb, beta, c, (dnnl_dim_t)ldc);
    return rc ? DS_EHOST : DS_OK;
}
