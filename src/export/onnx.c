/* The messages of an ONNX model, and their bytes; all by protobuf-c from Debian's onnx.proto. */
#include "export/private.h"

#include <onnx.pb-c.h>

#define OPSET 17

struct ds_onnx {
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto set;
    Onnx__NodeProto *last;
    void **kept;
    size_t n_kept;
};

void *ds_onnx_keep(ds_onnx *o, void *p)
{
    DS_PUSH(o->kept, o->n_kept, p);
    return p;
}

/* A message that goes with the model. */
#define MADE(o, type, init) \
    ((type *)ds_onnx_keep(o, memcpy(ds_xmalloc(sizeof(type)), &(type)init, sizeof(type))))

static char *text(ds_onnx *o, const char *s)
{
    return ds_onnx_keep(o, ds_strdup(s));
}

ds_onnx *ds_onnx_new(void)
{
    ds_onnx *o = DS_ZALLOC(o, 1);
    o->model = (Onnx__ModelProto)ONNX__MODEL_PROTO__INIT;
    o->graph = (Onnx__GraphProto)ONNX__GRAPH_PROTO__INIT;
    o->set = (Onnx__OperatorSetIdProto)ONNX__OPERATOR_SET_ID_PROTO__INIT;
    o->set.domain = text(o, "");
    o->set.has_version = o->model.has_ir_version = true;
    o->set.version = OPSET;
    o->model.ir_version = 8; /* that of opset 17 */
    o->model.producer_name = text(o, "darknet-sat");
    o->model.graph = &o->graph;
    o->graph.name = text(o, "classifier");
    Onnx__OperatorSetIdProto *set = &o->set;
    DS_PUSH(o->model.opset_import, o->model.n_opset_import, set);
    return o;
}

void ds_onnx_free(ds_onnx *o)
{
    for (size_t i = 0; i < o->graph.n_node; i++) {
        free(o->graph.node[i]->input);
        free(o->graph.node[i]->output);
        free(o->graph.node[i]->attribute);
    }
    ds_free_texts((char **)o->kept, o->n_kept);
    free(o->graph.node);
    free(o->graph.initializer);
    free(o->graph.input);
    free(o->graph.output);
    free(o->model.opset_import);
    free(o);
}

void ds_onnx_input(ds_onnx *o, ds_value v)
{
    DS_PUSH(o->last->input, o->last->n_input, (char *)v);
}

ds_value ds_onnx_name(ds_onnx *o, const char *name)
{
    return o->last->output[0] = text(o, name);
}

ds_value ds_onnx_op(ds_onnx *o, const char *type, ds_value a, ds_value b, ds_value c)
{
    const ds_value inputs[] = {a, b, c};
    o->last = MADE(o, Onnx__NodeProto, ONNX__NODE_PROTO__INIT);
    char *name = ds_onnx_keep(o, ds_format("%s_%zu", type, o->graph.n_node));
    o->last->op_type = text(o, type);
    o->last->name = name;
    DS_PUSH(o->last->output, o->last->n_output, name);
    for (int i = 0; i < 3 && inputs[i]; i++)
        ds_onnx_input(o, inputs[i]);
    DS_PUSH(o->graph.node, o->graph.n_node, o->last);
    return name;
}

static Onnx__AttributeProto *attribute(ds_onnx *o, const char *name, Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto *a = MADE(o, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);
    a->name = text(o, name);
    a->has_type = true;
    a->type = type;
    DS_PUSH(o->last->attribute, o->last->n_attribute, a);
    return a;
}

void ds_onnx_int(ds_onnx *o, const char *name, int v)
{
    Onnx__AttributeProto *a = attribute(o, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    a->has_i = true;
    a->i = v;
}

void ds_onnx_float(ds_onnx *o, const char *name, float v)
{
    Onnx__AttributeProto *a = attribute(o, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    a->has_f = true;
    a->f = v;
}

static int64_t *wide(ds_onnx *o, int n, const int *v)
{
    int64_t *to = DS_ALLOC(to, (size_t)n + 1);
    for (int i = 0; i < n; i++)
        to[i] = v[i];
    return ds_onnx_keep(o, to);
}

void ds_onnx_ints(ds_onnx *o, const char *name, int n, const int *v)
{
    Onnx__AttributeProto *a = attribute(o, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    a->n_ints = (size_t)n;
    a->ints = wide(o, n, v);
}

static ds_value constant(ds_onnx *o, int type, int n, const int *dims, const void *bytes, size_t size)
{
    Onnx__TensorProto *t = MADE(o, Onnx__TensorProto, ONNX__TENSOR_PROTO__INIT);
    t->name = ds_onnx_keep(o, ds_format("constant_%zu", o->graph.n_initializer));
    t->has_data_type = t->has_raw_data = true;
    t->data_type = type;
    t->n_dims = (size_t)n;
    t->dims = wide(o, n, dims);
    t->raw_data =
        (ProtobufCBinaryData){size, (uint8_t *)bytes}; /* little-endian, as all machines of oneDNN */
    DS_PUSH(o->graph.initializer, o->graph.n_initializer, t);
    return t->name;
}

ds_value ds_onnx_constant(ds_onnx *o, int n, const int *dims, const float *values)
{
    size_t size = sizeof *values;
    for (int i = 0; i < n; i++)
        size *= (size_t)dims[i];
    return constant(o, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, n, dims, values, size);
}

ds_value ds_onnx_number(ds_onnx *o, double v)
{
    float *value = ds_onnx_keep(o, ds_xmalloc(sizeof *value));
    *value = (float)v;
    return ds_onnx_constant(o, 0, NULL, value);
}

ds_value ds_onnx_indices(ds_onnx *o, int n, const int *v)
{
    return constant(o, ONNX__TENSOR_PROTO__DATA_TYPE__INT64, 1, &n, wide(o, n, v),
                    (size_t)n * sizeof(int64_t));
}

static void add_dim(ds_onnx *o, Onnx__TensorShapeProto *shape, int length)
{
    Onnx__TensorShapeProto__Dimension *d =
        MADE(o, Onnx__TensorShapeProto__Dimension, ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT);
    d->value_case = length ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
                           : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    if (length)
        d->dim_value = length;
    else
        d->dim_param = text(o, "N");
    shape->dim[shape->n_dim++] = d;
}

void ds_onnx_port(ds_onnx *o, bool out, ds_value name, int type, int n, const int *dims)
{
    Onnx__TensorShapeProto *shape = MADE(o, Onnx__TensorShapeProto, ONNX__TENSOR_SHAPE_PROTO__INIT);
    Onnx__TypeProto__Tensor *tensor = MADE(o, Onnx__TypeProto__Tensor, ONNX__TYPE_PROTO__TENSOR__INIT);
    Onnx__TypeProto *kind = MADE(o, Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
    Onnx__ValueInfoProto *info = MADE(o, Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);
    shape->dim = ds_onnx_keep(o, ds_xcalloc((size_t)n + 1, sizeof *shape->dim));
    add_dim(o, shape, 0);
    for (int i = 0; i < n; i++)
        add_dim(o, shape, dims[i]);
    tensor->has_elem_type = true;
    tensor->elem_type = type;
    tensor->shape = shape;
    kind->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    kind->tensor_type = tensor;
    info->name = text(o, name);
    info->type = kind;
    if (out)
        DS_PUSH(o->graph.output, o->graph.n_output, info);
    else
        DS_PUSH(o->graph.input, o->graph.n_input, info);
}

typedef struct sink {
    ProtobufCBuffer base;
    FILE *f;
} sink;

static void append(ProtobufCBuffer *buffer, size_t n, const uint8_t *bytes)
{
    fwrite(bytes, 1, n, ((sink *)buffer)->f);
}

int ds_onnx_write(ds_onnx *o, const char *path, FILE *f, ds_error *e)
{
    sink to = {.base = {append}, .f = f};
    size_t size = 0;
    for (size_t i = 0; i < o->graph.n_initializer; i++)
        size += o->graph.initializer[i]->raw_data.len;
    if (size >= ((size_t)1 << 31) - ((size_t)1 << 24))
        return ds_fail_at(e, DS_EINPUT, path, 0,
                          "has %zu MiB of parameters, expected less than 2 GiB, the most that ONNX holds",
                          size >> 20);
    protobuf_c_message_pack_to_buffer(&o->model.base, &to.base);
    return DS_OK;
}
