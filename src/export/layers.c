/* The layers of the host as nodes of an ONNX graph. Every value between them is n x c x h x w. */
#include "export/private.h"

typedef struct walk {
    ds_onnx *o;
    const ds_export *x;
    const ds_node *nodes;
    ds_value *values; /* that leaves each layer */
    int i;            /* the layer at work */
    ds_error *e;
} walk;

int ds_export_refuse(const ds_export *x, int i, const char *why, ds_error *e)
{
    const ds_section *s = &x->cfg->sections[i + 1];
    return ds_fail_at(e, DS_EINPUT, x->cfg->path, s->line, "layer %d, [%s], cannot be exported: %s", i,
                      s->name, why);
}

/* Batch normalisation of channel k in a pass without training: x * scale + bias. The host adds to the
 * deviation, not to the variance. */
static double folded_scale(const ds_node *node, int k)
{
    return node->normalized ? node->scales[k] / (sqrt((double)node->rolling_variance[k]) + .000001) : 1;
}

static double folded_bias(const ds_node *node, int k)
{
    return node->normalized ? node->biases[k] - node->rolling_mean[k] * folded_scale(node, k)
                            : node->biases[k];
}

const char *ds_activation_of(const ds_export *x, int i)
{
    const ds_section *s = &x->cfg->sections[i + 1];
    const char *given = ds_section_get(s, "activation"), *kind = ds_section_kind(s);
    bool weighted = strcmp(kind, "convolutional") == 0 || strcmp(kind, "connected") == 0;
    return given ? given : weighted ? "logistic" : "linear";
}

static ds_value input_of(const walk *w, int k)
{
    const int from = w->nodes[w->i].inputs[k];
    return from < 0 ? DS_ONNX_INPUT : w->values[from];
}

/* NULL: there is none of that name. */
static ds_value activate(ds_onnx *o, ds_value v, const char *name)
{
    static const struct {
        const char *name, *op;
        float slope;
    } same[] = {{"logistic", "Sigmoid", 0}, {"relu", "Relu", 0},         {"elu", "Elu", 0},
                {"tanh", "Tanh", 0},        {"leaky", "LeakyRelu", .1f}, {"relie", "LeakyRelu", .01f}};
    for (size_t k = 0; k < sizeof same / sizeof *same; k++)
        if (strcmp(name, same[k].name) == 0) {
            v = ds_onnx_op(o, same[k].op, v, NULL, NULL);
            if (same[k].slope > 0)
                ds_onnx_float(o, "alpha", same[k].slope);
            return v;
        }
    if (strcmp(name, "hardtan") == 0)
        return ds_onnx_op(o, "Clip", v, ds_onnx_number(o, -1), ds_onnx_number(o, 1));
    if (strcmp(name, "ramp") == 0)
        return ds_onnx_op(o, "Add", ds_onnx_op(o, "Relu", v, NULL, NULL),
                          ds_onnx_op(o, "Mul", v, ds_onnx_number(o, .1), NULL), NULL);
    return strcmp(name, "linear") == 0 ? v : NULL;
}

static int finish(walk *w, ds_value v)
{
    const char *name = ds_activation_of(w->x, w->i);
    w->values[w->i] = activate(w->o, v, name);
    if (w->values[w->i])
        return DS_OK;
    DS_FREED char *why = ds_format("activation=%s has no counterpart", name);
    return ds_export_refuse(w->x, w->i, why, w->e);
}

static ds_value biases(const walk *w, const ds_node *node)
{
    float *b = DS_ALLOC(b, (size_t)node->out_c);
    for (int k = 0; k < node->out_c; k++)
        b[k] = (float)folded_bias(node, k);
    return ds_onnx_constant(w->o, 1, &node->out_c, ds_onnx_keep(w->o, b));
}

/* per: weights of a filter */
static ds_value weights(const walk *w, const ds_node *node, const int dims[4])
{
    const size_t per = (size_t)dims[1] * (size_t)dims[2] * (size_t)dims[3];
    if (!node->normalized)
        return ds_onnx_constant(w->o, 4, dims, node->weights);
    float *v = DS_ALLOC(v, per * (size_t)dims[0]);
    for (size_t k = 0; k < per * (size_t)dims[0]; k++)
        v[k] = (float)(node->weights[k] * folded_scale(node, (int)(k / per)));
    return ds_onnx_constant(w->o, 4, dims, ds_onnx_keep(w->o, v));
}

/* A connected layer is a convolution with one window, the whole input. */
static int product(walk *w, const ds_node *node)
{
    const bool whole = node->op == DS_OP_CONNECTED;
    const int h = whole ? node->h : node->size, wide = whole ? node->w : node->size;
    const int pad = whole ? 0 : node->pad, stride = whole ? 1 : node->stride,
              groups = whole ? 1 : node->groups;
    const int dims[4] = {node->out_c, node->c / groups, h, wide};
    ds_value v = ds_onnx_op(w->o, "Conv", input_of(w, 0), weights(w, node, dims), biases(w, node));
    ds_onnx_ints(w->o, "kernel_shape", 2, dims + 2);
    ds_onnx_ints(w->o, "pads", 4, (int[]){pad, pad, pad, pad});
    ds_onnx_ints(w->o, "strides", 2, (int[]){stride, stride});
    ds_onnx_int(w->o, "group", groups);
    return finish(w, v);
}

/* A convolution of each channel alone, whose weights are 1. */
static int batchnorm(walk *w, const ds_node *node)
{
    const int dims[4] = {node->c, 1, 1, 1};
    float *scales = DS_ALLOC(scales, (size_t)node->c);
    for (int k = 0; k < node->c; k++)
        scales[k] = (float)folded_scale(node, k);
    ds_value v = ds_onnx_constant(w->o, 4, dims, ds_onnx_keep(w->o, scales));
    w->values[w->i] = ds_onnx_op(w->o, "Conv", input_of(w, 0), v, biases(w, node));
    ds_onnx_int(w->o, "group", node->c);
    return DS_OK;
}

static ds_value pool(ds_onnx *o, ds_value v, int size, int stride, const int pads[4])
{
    v = ds_onnx_op(o, "MaxPool", v, NULL, NULL);
    ds_onnx_ints(o, "kernel_shape", 2, (int[]){size, size});
    ds_onnx_ints(o, "strides", 2, (int[]){stride, stride});
    ds_onnx_ints(o, "pads", 4, pads);
    return v;
}

/* Rows that the last window has beyond the image. */
static int beyond(const ds_node *n, int in, int out)
{
    const int end = n->offset + (out - 1) * n->stride + n->size;
    return end > in ? end - in : 0;
}

static int maxpool(walk *w, const ds_node *n)
{
    const int pads[4] = {-n->offset, -n->offset, beyond(n, n->h, n->out_h), beyond(n, n->w, n->out_w)};
    w->values[w->i] = pool(w->o, input_of(w, 0), n->size, n->stride, pads);
    return DS_OK;
}

static int avgpool(walk *w, const ds_node *node __attribute__((unused)))
{
    w->values[w->i] = ds_onnx_op(w->o, "GlobalAveragePool", input_of(w, 0), NULL, NULL);
    return DS_OK;
}

static int nothing(walk *w, const ds_node *node __attribute__((unused)))
{
    w->values[w->i] = input_of(w, 0);
    return DS_OK;
}

static int activation(walk *w, const ds_node *node __attribute__((unused)))
{
    return finish(w, input_of(w, 0));
}

static ds_value slice(ds_onnx *o, ds_value v, int n, const int *from, const int *to, const int *axes)
{
    v = ds_onnx_op(o, "Slice", v, ds_onnx_indices(o, n, from), ds_onnx_indices(o, n, to));
    ds_onnx_input(o, ds_onnx_indices(o, n, axes));
    return v;
}

/* The other layer may have more rows, of which every so-manieth counts, and other channels, of which the
 * first count. */
static int shortcut(walk *w, const ds_node *node)
{
    static const int none[8] = {0}, channels = 1;
    const ds_node *from = node->inputs[1] < 0 ? NULL : &w->nodes[node->inputs[1]];
    const int c = from ? from->out_c : w->nodes[0].c, h = from ? from->out_h : w->nodes[0].h;
    ds_value v = input_of(w, 1);
    if (h < node->out_h)
        return ds_export_refuse(w->x, w->i, "the other layer is smaller", w->e);
    if (h > node->out_h)
        v = pool(w->o, v, 1, h / node->out_h, none);
    if (c > node->out_c)
        v = slice(w->o, v, 1, none, &node->out_c, &channels);
    if (c < node->out_c) {
        const int pads[8] = {[5] = node->out_c - c};
        v = ds_onnx_op(w->o, "Pad", v, ds_onnx_indices(w->o, 8, pads), NULL);
    }
    return finish(w, ds_onnx_op(w->o, "Add", input_of(w, 0), v, NULL));
}

static int route(walk *w, const ds_node *node)
{
    if (node->n_inputs == 1)
        return nothing(w, node);
    ds_value v = ds_onnx_op(w->o, "Concat", NULL, NULL, NULL);
    for (int k = 0; k < node->n_inputs; k++)
        ds_onnx_input(w->o, input_of(w, k));
    ds_onnx_int(w->o, "axis", 1);
    w->values[w->i] = v;
    return DS_OK;
}

/* [crop] is the host's alone: the middle, from 0 … 1 to -1 … 1. */
static int host_layer(walk *w, const ds_node *n)
{
    const ds_section *s = &w->x->cfg->sections[w->i + 1];
    const char *plain = ds_section_get(s, "noadjust");
    const int axes[2] = {2, 3}, from[2] = {(n->h - n->out_h) / 2, (n->w - n->out_w) / 2};
    if (strcmp(ds_section_kind(s), "crop") != 0)
        return ds_export_refuse(w->x, w->i, "it has no counterpart", w->e);
    ds_value v = slice(w->o, input_of(w, 0), 2, from, (int[]){from[0] + n->out_h, from[1] + n->out_w}, axes);
    if (!plain || strcmp(plain, "0") == 0)
        v = ds_onnx_op(w->o, "Add", ds_onnx_op(w->o, "Mul", v, ds_onnx_number(w->o, 2), NULL),
                       ds_onnx_number(w->o, -1), NULL);
    w->values[w->i] = v;
    return DS_OK;
}

int ds_onnx_layers(ds_onnx *o, const ds_export *x, ds_value *logits, ds_error *e)
{
    static int (*const kinds[])(walk *, const ds_node *) = {
        [DS_OP_HOST] = host_layer,      [DS_OP_CONVOLUTION] = product, [DS_OP_CONNECTED] = product,
        [DS_OP_BATCHNORM] = batchnorm,  [DS_OP_MAXPOOL] = maxpool,     [DS_OP_AVGPOOL] = avgpool,
        [DS_OP_DROPOUT] = nothing,      [DS_OP_SHORTCUT] = shortcut,   [DS_OP_ROUTE] = route,
        [DS_OP_ACTIVATION] = activation};
    const ds_node *nodes = ds_net_nodes(x->net);
    const int cost = ds_net_get_info(x->net)->cost;
    DS_FREED ds_value *values = DS_ZALLOC(values, (size_t)cost + 1);
    walk w = {o, x, nodes, values, 0, e};
    for (; w.i < cost; w.i++)
        DS_TRY(kinds[nodes[w.i].op](&w, &nodes[w.i]));
    *logits = ds_onnx_op(o, "Reshape", input_of(&w, 0),
                         ds_onnx_indices(o, 2, (int[]){-1, x->cfg->shapes[cost].outputs}), NULL);
    return DS_OK;
}
