#include "plugins/onednn/dnnl.h"

#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the two C APIs ---------------------------------------------------------------------------------------- */

/* Version 2 has memory descriptors as structs, 3 as handles. `view` is what both query and take; `desc` is what we make. */
#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t view;
typedef dnnl_memory_desc_t desc;
#define VIEW(d) (d)

static dnnl_status_t desc_make(desc *d, int n, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(d, n, dims, dnnl_f32, tag);
}

static void desc_free(desc *d)
{
    if (*d)
        dnnl_memory_desc_destroy(*d);
}

static dnnl_status_t append_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef);
}

static dnnl_status_t append_leaky(dnnl_post_ops_t ops, float slope)
{
    return dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_relu, slope, 0);
}

#else
typedef const dnnl_memory_desc_t *view;
typedef dnnl_memory_desc_t desc;
#define VIEW(d) (&(d))

static dnnl_status_t desc_make(desc *d, int n, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(d, n, dims, dnnl_f32, tag);
}

static void desc_free(desc *d)
{
    (void)d;
}

static dnnl_status_t append_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1);
}

static dnnl_status_t append_leaky(dnnl_post_ops_t ops, float slope)
{
    return dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, slope, 0);
}
#endif

/* What a convolution is made from, whichever direction. */
typedef struct shape {
    desc source, weights, bias, destination;
    dnnl_dims_t strides, dilates, padding;
    dnnl_alg_kind_t algorithm;
    bool has_bias;
} shape;

#if DNNL_VERSION_MAJOR >= 3
static dnnl_status_t make_forward(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_prop_kind_t kind,
                                  const shape *s, dnnl_primitive_attr_t attr)
{
    return dnnl_convolution_forward_primitive_desc_create(
        pd, engine, kind, s->algorithm, s->source, s->weights, s->has_bias ? s->bias : NULL, s->destination,
        s->strides, s->dilates, s->padding, s->padding, attr);
}

static dnnl_status_t make_backward(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, bool data, const shape *s,
                                   dnnl_primitive_desc_t hint, dnnl_primitive_attr_t attr)
{
    if (data)
        return dnnl_convolution_backward_data_primitive_desc_create(
            pd, engine, s->algorithm, s->source, s->weights, s->destination, s->strides, s->dilates,
            s->padding, s->padding, hint, attr);
    return dnnl_convolution_backward_weights_primitive_desc_create(
        pd, engine, s->algorithm, s->source, s->weights, NULL, s->destination, s->strides, s->dilates,
        s->padding, s->padding, hint, attr);
}
#else
static dnnl_status_t make_forward(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_prop_kind_t kind,
                                  const shape *s, dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t op;
    dnnl_status_t rc = dnnl_dilated_convolution_forward_desc_init(
        &op, kind, s->algorithm, &s->source, &s->weights, s->has_bias ? &s->bias : NULL, &s->destination,
        s->strides, s->dilates, s->padding, s->padding);
    return rc ? rc : dnnl_primitive_desc_create(pd, &op, attr, engine, NULL);
}

static dnnl_status_t make_backward(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, bool data, const shape *s,
                                   dnnl_primitive_desc_t hint, dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t op;
    dnnl_status_t rc =
        data ? dnnl_dilated_convolution_backward_data_desc_init(&op, s->algorithm, &s->source, &s->weights,
                                                                &s->destination, s->strides, s->dilates,
                                                                s->padding, s->padding)
             : dnnl_dilated_convolution_backward_weights_desc_init(&op, s->algorithm, &s->source, &s->weights,
                                                                   NULL, &s->destination, s->strides,
                                                                   s->dilates, s->padding, s->padding);
    return rc ? rc : dnnl_primitive_desc_create(pd, &op, attr, engine, hint);
}
#endif

/* ---- engine ------------------------------------------------------------------------------------------------ */

struct ds_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};

static int fail(dnnl_status_t status, const char *what, ds_error *e)
{
    return status == dnnl_out_of_memory ? ds_fail_memory(e)
                                        : ds_fail(e, DS_EHOST, "oneDNN: %s: status %d", what, (int)status);
}

int ds_dnnl_new(ds_dnnl **out, ds_error *e)
{
    ds_dnnl *d = calloc(1, sizeof *d);
    *out = d;
    if (!d)
        return ds_fail_memory(e);
    dnnl_status_t rc = dnnl_engine_create(&d->engine, dnnl_cpu, 0);
    if (!rc)
        rc = dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags);
    if (!rc)
        return DS_OK;
    ds_dnnl_free(d);
    *out = NULL;
    return fail(rc, "cannot start", e);
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

static const char *isa_name(void)
{
    int isa = (int)dnnl_get_effective_cpu_isa();
    if ((isa & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core)
        return "AVX-512";
    if ((isa & dnnl_cpu_isa_avx2) == dnnl_cpu_isa_avx2)
        return "AVX2";
    return "SSE4.1";
}

const char *ds_dnnl_describe(void)
{
    static char text[48];
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d, %s", v->major, v->minor, v->patch, isa_name());
    return text;
}

int ds_dnnl_block(void)
{
    return strcmp(isa_name(), "AVX-512") == 0 ? 16 : 8;
}

/* ---- making a convolution ---------------------------------------------------------------------------------- */

enum { MAX_ARGS = 5 };

/* One side of a convolution: its memory object, whose handle changes from call to call. */
struct ds_conv {
    ds_dnnl *d;
    ds_conv_kind kind;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    dnnl_memory_t source, weights, bias, destination, scratch;
    desc plain; /* the host's layout of the weights */
    dnnl_primitive_t reorder, reorder_add;
    dnnl_memory_t plain_memory;
    const char *name;
};

static view query(const ds_conv *c, dnnl_query_t what)
{
    return dnnl_primitive_desc_query_md(c->pd, what, 0);
}

static view weights_view(const ds_conv *c)
{
    return query(c, c->kind == DS_CONV_GRAD_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md);
}

static view source_view(const ds_conv *c)
{
    return query(c, c->kind == DS_CONV_GRAD_DATA ? dnnl_query_diff_src_md : dnnl_query_src_md);
}

static bool is_forward(const ds_conv *c)
{
    return c->kind == DS_CONV_TRAIN || c->kind == DS_CONV_INFER;
}

static view destination_view(const ds_conv *c)
{
    return query(c, is_forward(c) ? dnnl_query_dst_md : dnnl_query_diff_dst_md);
}

static void set(dnnl_dims_t d, dnnl_dim_t a, dnnl_dim_t b)
{
    memset(d, 0, sizeof(dnnl_dims_t));
    d[0] = a;
    d[1] = b;
}

static dnnl_status_t shape_make(const ds_conv_spec *s, shape *out)
{
    dnnl_format_tag_t blocked = ds_dnnl_block() == 16 ? dnnl_nChw16c : dnnl_nChw8c;
    const dnnl_dims_t source = {s->batch, s->c, s->h, s->w};
    const dnnl_dims_t destination = {s->batch, s->n, s->out_h, s->out_w};
    const dnnl_dims_t one = {s->n, s->c, s->size, s->size};
    const dnnl_dims_t grouped = {s->groups, s->n / s->groups, s->c / s->groups, s->size, s->size};
    const dnnl_dims_t bias = {s->n};
    memset(out, 0, sizeof *out);
    out->algorithm = s->winograd ? dnnl_convolution_winograd : dnnl_convolution_direct;
    out->has_bias = s->bias;
    set(out->strides, s->stride, s->stride);
    set(out->dilates, 0, 0);
    set(out->padding, s->pad, s->pad);
    dnnl_status_t rc = desc_make(&out->source, 4, source, s->plain_input ? dnnl_nchw : blocked);
    if (!rc)
        rc = desc_make(&out->destination, 4, destination, blocked);
    if (!rc)
        rc = s->groups > 1 ? desc_make(&out->weights, 5, grouped, dnnl_format_tag_any)
                           : desc_make(&out->weights, 4, one, dnnl_format_tag_any);
    return rc ? rc : desc_make(&out->bias, 1, bias, dnnl_x);
}

static void shape_free(shape *s)
{
    desc_free(&s->source);
    desc_free(&s->weights);
    desc_free(&s->bias);
    desc_free(&s->destination);
}

static dnnl_status_t make_attributes(const ds_conv_spec *s, dnnl_primitive_attr_t *attr)
{
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t rc = dnnl_primitive_attr_create(attr);
    if (!rc)
        rc = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    if (!rc)
        rc = dnnl_post_ops_create(&ops);
    if (!rc && s->add)
        rc = append_sum(ops);
    if (!rc && s->activate)
        rc = append_leaky(ops, s->slope);
    if (!rc)
        rc = dnnl_primitive_attr_set_post_ops(*attr, ops);
    if (ops)
        dnnl_post_ops_destroy(ops);
    return rc;
}

/* For inference Winograd's would keep transformed weights, four times as large and slow to make, for a gain of a few percent; the one for
 * training transforms them as it goes. The backward directions want to know the forward one, which is chosen here as it would be for training. */
static dnnl_status_t make_descriptor(ds_conv *c, const shape *s, dnnl_primitive_attr_t attr)
{
    bool constant = c->kind == DS_CONV_INFER && s->algorithm == dnnl_convolution_direct;
    dnnl_prop_kind_t kind = constant ? dnnl_forward_inference : dnnl_forward_training;
    if (is_forward(c))
        return make_forward(&c->pd, c->d->engine, kind, s, attr);
    shape direct = *s;
    dnnl_primitive_desc_t hint = NULL;
    direct.algorithm = dnnl_convolution_direct;
    dnnl_status_t rc = make_forward(&hint, c->d->engine, kind, s, NULL);
    if (rc)
        rc = make_forward(&hint, c->d->engine, kind, &direct, NULL);
    if (!rc)
        rc = make_backward(&c->pd, c->d->engine, c->kind == DS_CONV_GRAD_DATA, s, hint, attr);
    if (hint)
        dnnl_primitive_desc_destroy(hint);
    return rc;
}

static dnnl_status_t make_memory(const ds_conv *c, view v, dnnl_memory_t *m)
{
    return dnnl_memory_create(m, v, c->d->engine, DNNL_MEMORY_NONE);
}

static dnnl_status_t make_memories(ds_conv *c)
{
    view bias = is_forward(c) ? dnnl_primitive_desc_query_md(c->pd, dnnl_query_weights_md, 1) : NULL;
    dnnl_status_t rc = make_memory(c, source_view(c), &c->source);
    if (!rc)
        rc = make_memory(c, weights_view(c), &c->weights);
    if (!rc)
        rc = make_memory(c, destination_view(c), &c->destination);
    if (!rc && bias)
        rc = make_memory(c, bias, &c->bias);
    return rc ? rc : make_memory(c, query(c, dnnl_query_scratchpad_md), &c->scratch);
}

static dnnl_status_t make_reorder(const ds_conv *c, view from, view to, bool add, dnnl_primitive_t *reorder)
{
    const ds_conv_spec s = {.add = add};
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t rc = dnnl_primitive_attr_create(&attr);
    if (!rc && add) {
        dnnl_primitive_attr_destroy(attr);
        attr = NULL;
        rc = make_attributes(&s, &attr);
    }
    if (!rc)
        rc = dnnl_reorder_primitive_desc_create(&pd, from, c->d->engine, to, c->d->engine, attr);
    if (!rc)
        rc = dnnl_primitive_create(reorder, pd);
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return rc;
}

static dnnl_status_t make_reorders(ds_conv *c, const ds_conv_spec *s)
{
    const dnnl_dims_t one = {s->n, s->c, s->size, s->size};
    const dnnl_dims_t grouped = {s->groups, s->n / s->groups, s->c / s->groups, s->size, s->size};
    dnnl_status_t rc = s->groups > 1 ? desc_make(&c->plain, 5, grouped, dnnl_goihw)
                                     : desc_make(&c->plain, 4, one, dnnl_oihw);
    if (!rc)
        rc = make_memory(c, VIEW(c->plain), &c->plain_memory);
    if (rc)
        return rc;
    if (c->kind != DS_CONV_GRAD_WEIGHTS)
        return make_reorder(c, VIEW(c->plain), weights_view(c), false, &c->reorder);
    rc = make_reorder(c, weights_view(c), VIEW(c->plain), false, &c->reorder);
    return rc ? rc : make_reorder(c, weights_view(c), VIEW(c->plain), true, &c->reorder_add);
}

static dnnl_status_t make(ds_conv *c, const ds_conv_spec *s)
{
    shape sh;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t rc = shape_make(s, &sh);
    if (!rc)
        rc = make_attributes(s, &attr);
    if (!rc)
        rc = make_descriptor(c, &sh, attr);
    if (!rc)
        rc = dnnl_primitive_desc_query(c->pd, dnnl_query_impl_info_str, 0, (void *)&c->name);
    if (!rc && strncmp(c->name, "ref", 3) == 0)
        rc = dnnl_unimplemented;
    if (!rc)
        rc = dnnl_primitive_create(&c->primitive, c->pd);
    if (!rc)
        rc = make_memories(c);
    if (!rc)
        rc = make_reorders(c, s);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    shape_free(&sh);
    return rc;
}

int ds_conv_new(ds_dnnl *d, const ds_conv_spec *spec, ds_conv **out, ds_error *e)
{
    ds_conv *c = *out = calloc(1, sizeof *c);
    if (!c)
        return ds_fail_memory(e);
    c->d = d;
    c->kind = spec->kind;
    dnnl_status_t rc = make(c, spec);
    if (!rc)
        return DS_OK;
    ds_conv_free(c);
    *out = NULL;
    return fail(rc, "no fast convolution of this shape", e);
}

void ds_conv_free(ds_conv *c)
{
    if (!c)
        return;
    dnnl_memory_t memories[] = {c->source, c->weights, c->bias, c->destination, c->scratch, c->plain_memory};
    dnnl_primitive_t primitives[] = {c->primitive, c->reorder, c->reorder_add};
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++)
        if (memories[i])
            dnnl_memory_destroy(memories[i]);
    for (size_t i = 0; i < sizeof primitives / sizeof *primitives; i++)
        if (primitives[i])
            dnnl_primitive_destroy(primitives[i]);
    desc_free(&c->plain);
    if (c->pd)
        dnnl_primitive_desc_destroy(c->pd);
    free(c);
}

const char *ds_conv_implementation(const ds_conv *c)
{
    return c->name;
}

size_t ds_conv_weights_bytes(const ds_conv *c)
{
    return dnnl_memory_desc_get_size(weights_view(c));
}

size_t ds_conv_scratch_bytes(const ds_conv *c)
{
    return dnnl_memory_desc_get_size(query(c, dnnl_query_scratchpad_md));
}

bool ds_conv_same_weights(const ds_conv *a, const ds_conv *b)
{
    return dnnl_memory_desc_equal(weights_view(a), weights_view(b));
}

/* ---- running ----------------------------------------------------------------------------------------------- */

/* Setting a handle makes oneDNN clear the padding of the memory, so only a new one is set. */
static dnnl_status_t point(dnnl_memory_t m, const void *to)
{
    void *now = NULL;
    dnnl_status_t rc = m ? dnnl_memory_get_data_handle(m, &now) : dnnl_success;
    return rc || !m || now == to ? rc : dnnl_memory_set_data_handle(m, (void *)to);
}

int ds_conv_run(ds_conv *c, const ds_conv_args *a)
{
    static const int names[][3] = {{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                   {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                   {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                                   {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    const int *name = names[c->kind];
    const dnnl_exec_arg_t args[MAX_ARGS] = {{name[0], c->source},
                                            {name[1], c->weights},
                                            {name[2], c->destination},
                                            {DNNL_ARG_SCRATCHPAD, c->scratch},
                                            {DNNL_ARG_BIAS, c->bias}};
    dnnl_status_t rc = point(c->source, a->input);
    if (!rc)
        rc = point(c->weights, a->weights);
    if (!rc)
        rc = point(c->destination, a->output);
    if (!rc)
        rc = point(c->scratch, a->scratch);
    if (!rc)
        rc = point(c->bias, a->bias);
    if (!rc)
        rc = dnnl_primitive_execute(c->primitive, c->d->stream, c->bias ? MAX_ARGS : MAX_ARGS - 1, args);
    if (!rc)
        rc = dnnl_stream_wait(c->d->stream);
    return rc ? DS_EHOST : DS_OK;
}

static int move(ds_conv *c, dnnl_primitive_t reorder, dnnl_memory_t from, dnnl_memory_t to,
                const void *from_handle, void *to_handle)
{
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    dnnl_status_t rc = point(from, from_handle);
    if (!rc)
        rc = point(to, to_handle);
    if (!rc)
        rc = dnnl_primitive_execute(reorder, c->d->stream, 2, args);
    if (!rc)
        rc = dnnl_stream_wait(c->d->stream);
    return rc ? DS_EHOST : DS_OK;
}

int ds_conv_weights_in(ds_conv *c, const float *plain, void *weights)
{
    return move(c, c->reorder, c->plain_memory, c->weights, plain, weights);
}

int ds_conv_weights_out(ds_conv *c, const void *weights, bool add, float *plain)
{
    return move(c, add ? c->reorder_add : c->reorder, c->weights, c->plain_memory, weights, plain);
}

int ds_dnnl_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
                 size_t ldb, float beta, float *c, size_t ldc)
{
    dnnl_status_t rc = dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k,
                                  1, a, (dnnl_dim_t)lda, b, (dnnl_dim_t)ldb, beta, c, (dnnl_dim_t)ldc);
    return rc ? DS_EHOST : DS_OK;
}
