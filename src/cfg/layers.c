/* The layers of the host that a classifier can have: their keys, and the shape that leaves each. */
#include "cfg/sections.h"

#include "plugins/registry.h"

#include <limits.h>

static const char *const activations[] = {"logistic", "loggy", "relu",    "elu",   "selu",
                                          "relie",    "plse",  "hardtan", "lhtan", "linear",
                                          "ramp",     "leaky", "tanh",    "stair", NULL};
static const char *const cost_types[] = {"seg", "sse", "masked", "smooth", "L1", "wgan", NULL};

/* Keys that the host reads in every layer, and the end of each table. */
#define COMMON                                                                                   \
    OPT_BOOL("truth", truth, "the output is the truth of later layers"),                         \
        OPT_CHECK(DS_BOOL, "onlyforward", "no gradient"),                                        \
        OPT_CHECK(DS_BOOL, "stopbackward", "the gradient ends here"),                            \
        OPT_BOOL("dontsave", dontsave, "weights are not saved"),                                 \
        OPT_BOOL("dontload", dontload, "weights are not loaded"),                                \
        OPT_INT("numload", numload, "load that many filters", OPT_FROM(0)),                      \
        OPT_BOOL("dontloadscales", dontloadscales, "scales are not loaded"),                     \
        OPT_REAL("learning_rate", learning_rate, "factor of the rate", .def = "1", OPT_FROM(0)), \
        OPT_CHECK(DS_REAL, "smooth", "label smoothing"), OPT_END
#define KERNEL                                                                            \
    OPT_INT("filters", filters, "channels out", .def = "1", OPT_FROM(1)),                 \
        OPT_INT("size", size, "height and width of the kernel", .def = "1", OPT_FROM(1)), \
        OPT_INT("stride", stride, "step of the kernel", .def = "1", OPT_FROM(1)), ACTIVATION("logistic")
#define ACTIVATION(def_) OPT_ENUM("activation", activation, activations, "activation function", .def = def_)
#define BATCH_NORMALIZE OPT_BOOL("batch_normalize", batch_normalize, "normalise over the batch")

#define DS_STATE ds_keys
static const ds_option convolutional_keys[] = {
    KERNEL,
    OPT_BOOL("pad", half, "padding is half the size"),
    OPT_INT("padding", padding, "rows and columns of zeros on each side", OPT_FROM(0)),
    OPT_INT("groups", groups, "groups of channels", .def = "1", OPT_FROM(1)),
    BATCH_NORMALIZE,
    OPT_BOOL("binary", binary, "binary weights"),
    OPT_BOOL("xnor", xnor, "binary weights and inputs"),
    OPT_BOOL("flipped", flipped, "weights are transposed after loading"),
    OPT_CHECK(DS_REAL, "dot", "weight of the orthogonality term"),
    COMMON,
};

static const ds_option deconvolutional_keys[] = {
    KERNEL,
    OPT_BOOL("pad", half, "padding is half the size"),
    OPT_INT("padding", padding, "rows and columns cut off each side", OPT_FROM(0)),
    BATCH_NORMALIZE,
    COMMON,
};

static const ds_option local_keys[] = {
    KERNEL,
    OPT_INT("pad", pad, "rows and columns of zeros on each side", OPT_FROM(0)),
    COMMON,
};

static const ds_option connected_keys[] = {
    OPT_INT("output", output, "numbers out", .def = "1", OPT_FROM(1)),
    ACTIVATION("logistic"),
    BATCH_NORMALIZE,
    COMMON,
};

static const ds_option crop_keys[] = {
    OPT_INT("crop_height", crop_height, "height out", .def = "1", OPT_FROM(1)),
    OPT_INT("crop_width", crop_width, "width out", .def = "1", OPT_FROM(1)),
    OPT_CHECK(DS_BOOL, "flip", "mirror at random"),
    OPT_CHECK(DS_REAL, "angle", "largest rotation"),
    OPT_CHECK(DS_REAL, "saturation", "largest change of saturation"),
    OPT_CHECK(DS_REAL, "exposure", "largest change of exposure"),
    OPT_CHECK(DS_BOOL, "noadjust", "keep the range 0 to 1"),
    OPT_CHECK(DS_REAL, "shift", "largest shift"),
    COMMON,
};

static const ds_option maxpool_keys[] = {
    OPT_INT("stride", stride, "step of the window", .def = "1", OPT_FROM(1)),
    OPT_INT("size", size, "height and width of the window, default the stride", OPT_FROM(1)),
    OPT_INT("padding", padding, "rows and columns around, both sides together, default size - 1",
            OPT_FROM(0)),
    COMMON,
};

static const ds_option reorg_keys[] = {
    OPT_INT("stride", stride, "block size", .def = "1", OPT_FROM(1)),
    OPT_BOOL("reverse", reverse, "channels to space"),
    OPT_BOOL("flatten", flatten, "change the order only"),
    OPT_INT("extra", extra, "numbers to append", OPT_FROM(0)),
    COMMON,
};

static const ds_option upsample_keys[] = {
    OPT_INT("stride", stride, "factor, negative: shrink", .def = "2"),
    OPT_CHECK(DS_REAL, "scale", "factor of the values"),
    COMMON,
};

static const ds_option route_keys[] = {
    OPT_INTS("layers", layers, "layers to join, negative: counted from here"),
    COMMON,
};

static const ds_option shortcut_keys[] = {
    OPT_INT("from", from, "layer to add, negative: counted from here"),
    ACTIVATION("linear"),
    OPT_REAL("alpha", alpha, "factor of the previous layer", .def = "1"),
    OPT_REAL("beta", beta, "factor of the other layer", .def = "1"),
    COMMON,
};

static const ds_option dropout_keys[] = {
    OPT_REAL("probability", probability, "share of values to drop", .def = ".5", OPT_RANGE(0, 0.999999)),
    COMMON,
};

static const ds_option normalization_keys[] = {
    OPT_CHECK(DS_REAL, "alpha", "factor of the squares"),
    OPT_CHECK(DS_REAL, "beta", "exponent"),
    OPT_CHECK(DS_REAL, "kappa", "constant"),
    OPT_INT("size", size, "channels of the window", .def = "5", OPT_FROM(1)),
    COMMON,
};

static const ds_option softmax_keys[] = {
    OPT_INT("groups", groups, "groups of outputs", .def = "1", OPT_FROM(1)),
    OPT_CHECK(DS_REAL, "temperature", "divides the logits", OPT_FROM(1e-6)),
    OPT_CHECK(DS_TEXT, "tree", "file of a class tree"),
    OPT_CHECK(DS_TEXT, "class_weights", "ours, of the cost"),
    OPT_CHECK(DS_BOOL, "spatial", "one softmax for each place of the image"),
    OPT_CHECK(DS_BOOL, "noloss", "no loss"),
    COMMON,
};

static const ds_option cost_keys[] = {
    OPT_CHECK(DS_ENUM, "type", "kind of loss", .names = cost_types),
    OPT_CHECK(DS_REAL, "scale", "factor of the loss"),
    OPT_CHECK(DS_REAL, "ratio", "share of the largest differences that count"),
    OPT_CHECK(DS_REAL, "noobj", "factor where there is no object"),
    OPT_CHECK(DS_REAL, "thresh", "smallest difference that counts"),
    COMMON,
};

static const ds_option activation_keys[] = {ACTIVATION("linear"), COMMON};
static const ds_option plain_keys[] = {COMMON};

struct ds_place {
    const ds_cfg *cfg;
    ds_section *s;
    const ds_keys *k;
    int index;     /* layer number */
    ds_shape in;   /* what comes in */
    ds_shape *out; /* what goes out */
    ds_error *e;
};

#define bad(p, key, format, ...) \
    ds_section_fail((p)->cfg, (p)->s, key, (p)->e, "[%s] " format, (p)->s->name, ##__VA_ARGS__)

/* The host counts in int. n: a product of whole numbers, exact up to 2^53. */
static int check_count(const ds_place *p, const char *what, double n)
{
    if (n <= INT_MAX)
        return DS_OK;
    return bad(p, "", "is too large: %s is 2^31 or more, expected less", what);
}

/* Set an image shape; refuses empty and huge ones. */
static int set_image(const ds_place *p, long long h, long long w, long long c)
{
    if (h <= 0 || w <= 0 || c <= 0)
        return bad(p, "",
                   "gives an empty output %lld x %lld x %lld from %d x %d x %d (width, height, channels), "
                   "expected 1 or more",
                   w, h, c, p->in.w, p->in.h, p->in.c);
    const double outputs = (double)h * (double)w * (double)c;
    DS_TRY(check_count(p, "width * height * channels", outputs));
    *p->out = (ds_shape){(int)h, (int)w, (int)c, (int)outputs};
    return DS_OK;
}

static int set_vector(const ds_place *p, long long outputs)
{
    DS_TRY(check_count(p, "the number of outputs", (double)outputs));
    *p->out = (ds_shape){0, 0, 0, (int)outputs};
    return DS_OK;
}

static bool is_image(const ds_shape *s)
{
    return s->h > 0 && s->w > 0 && s->c > 0;
}

/* h x w windows of size x size in c channels: the host numbers what they see, pooling takes as many steps. */
static int check_windows(const ds_place *p, long long h, long long w, long long c, long long size)
{
    return check_count(p, "the number of values in all its windows",
                       (double)h * (double)w * (double)c * (double)(size * size));
}

static int check_weights(const ds_place *p)
{
    const ds_keys *k = p->k;
    return check_count(p, "the number of weights", (double)p->in.c * k->filters * k->size * k->size);
}

static int shape_convolutional(const ds_place *p)
{
    const ds_keys *k = p->k;
    const long long size = k->size, pad = k->half ? size / 2 : k->padding;
    if (k->numload > k->filters)
        return bad(p, "numload", "numload=%d, expected at most the %d filters", k->numload, k->filters);
    if (k->filters % k->groups)
        return bad(p, "groups", "filters=%d is no multiple of groups=%d, expected one", k->filters,
                   k->groups);
    if (p->in.c % k->groups)
        return bad(p, "groups", "%d channels come in, no multiple of groups=%d, expected one", p->in.c,
                   k->groups);
    if (size == 1 && pad > 0)
        return bad(p, "padding",
                   "size=1 with padding=%lld, which Darknet computes wrongly, expected padding=0", pad);
    DS_TRY(set_image(p, (p->in.h + 2 * pad - size) / k->stride + 1,
                     (p->in.w + 2 * pad - size) / k->stride + 1, k->filters));
    DS_TRY(check_windows(p, p->out->h, p->out->w, p->in.c / k->groups, size));
    return check_weights(p);
}

static int shape_deconvolutional(const ds_place *p)
{
    const ds_keys *k = p->k;
    const long long size = k->size, stride = k->stride, cut = 2LL * (k->half ? k->size / 2 : k->padding);
    DS_TRY(
        set_image(p, (p->in.h - 1) * stride + size - cut, (p->in.w - 1) * stride + size - cut, k->filters));
    DS_TRY(check_windows(p, p->in.h, p->in.w, k->filters, size));
    return check_weights(p);
}

static int shape_local(const ds_place *p)
{
    const long long size = p->k->size, stride = p->k->stride, pad = p->k->pad, less = pad ? 1 : size;
    long long h = (p->in.h - less) / stride + 1, w = (p->in.w - less) / stride + 1;
    if (p->in.h < less || p->in.w < less || h != (p->in.h + 2 * pad - size) / stride + 1 ||
        w != (p->in.w + 2 * pad - size) / stride + 1)
        return bad(p, "pad",
                   "size=%lld with pad=%lld does not fit %d x %d, expected pad=0, or pad=1 with size=3", size,
                   pad, p->in.w, p->in.h);
    DS_TRY(set_image(p, h, w, p->k->filters));
    return check_count(p, "the number of weights", (double)p->out->outputs * p->in.c * (double)(size * size));
}

static int shape_maxpool(const ds_place *p)
{
    const long long stride = p->k->stride, size = p->k->size ? p->k->size : stride;
    const long long pad = ds_section_get(p->s, "padding") ? p->k->padding : size - 1;
    long long h = (p->in.h + pad - size) / stride + 1, w = (p->in.w + pad - size) / stride + 1;
    DS_TRY(set_image(p, h, w, p->in.c));
    DS_TRY(check_windows(p, h, w, p->in.c, size));
    if (pad / 2 >= size || (h - 1) * stride - pad / 2 >= p->in.h || (w - 1) * stride - pad / 2 >= p->in.w)
        return bad(p, "padding",
                   "padding=%lld leaves windows without a pixel, expected size - 1 = %lld or less", pad,
                   size - 1);
    return DS_OK;
}

static int shape_avgpool(const ds_place *p)
{
    return set_image(p, 1, 1, p->in.c);
}

static int shape_crop(const ds_place *p)
{
    int h = p->k->crop_height, w = p->k->crop_width;
    if (h > p->in.h || w > p->in.w)
        return bad(p, h > p->in.h ? "crop_height" : "crop_width",
                   "crops %d x %d from %d x %d, expected at most that", w, h, p->in.w, p->in.h);
    return set_image(p, h, w, p->in.c);
}

static int shape_connected(const ds_place *p)
{
    DS_TRY(check_count(p, "the number of weights", (double)p->in.outputs * p->k->output));
    return set_image(p, 1, 1, p->k->output);
}

/* ---- layers that move values ---- */

static int shape_reorg(const ds_place *p)
{
    const ds_keys *k = p->k;
    const long long s = k->stride, block = s * s;
    if (k->extra && k->flatten)
        return bad(p, "extra", "extra with flatten, expected only one of them");
    if (k->extra)
        return set_vector(p, (long long)p->in.outputs + k->extra);
    if ((k->reverse || !k->flatten) && p->in.c % block)
        return bad(p, "stride", "%d channels come in, expected a multiple of stride * stride = %lld", p->in.c,
                   block);
    if (!k->reverse && (p->in.h % s || p->in.w % s))
        return bad(p, "stride", "%d x %d comes in, expected multiples of stride=%lld", p->in.w, p->in.h, s);
    return k->reverse ? set_image(p, p->in.h * s, p->in.w * s, p->in.c / block)
                      : set_image(p, p->in.h / s, p->in.w / s, p->in.c * block);
}

static int shape_upsample(const ds_place *p)
{
    const long long s = p->k->stride;
    if (s == 0)
        return bad(p, "stride", "stride=0, expected a factor other than 0");
    if (s > 0)
        return set_image(p, p->in.h * s, p->in.w * s, p->in.c);
    if (p->in.h % -s || p->in.w % -s)
        return bad(p, "stride", "%d x %d comes in, expected multiples of %lld", p->in.w, p->in.h, -s);
    return set_image(p, p->in.h / -s, p->in.w / -s, p->in.c);
}

/* What leaves the layer that `value` of `key` means. */
static int resolve(const ds_place *p, const char *key, int value, int *layer, const ds_shape **shape)
{
    long long at = value < 0 ? (long long)p->index + value : value;
    if (p->index == 0)
        return bad(p, key, "is the first layer, expected layers before it to refer to");
    if (at < 0 || at >= p->index)
        return bad(p, key, "%s: layer %d does not exist before layer %d, expected %d … %d or -1 … %d", key,
                   value, p->index, 0, p->index - 1, -p->index);
    *layer = (int)at;
    *shape = &p->cfg->shapes[at + 1];
    return DS_OK;
}

static int shape_route(const ds_place *p)
{
    const ds_numbers *layers = &p->k->layers;
    const ds_shape *next = NULL;
    ds_shape sum = {0};
    long long outputs = 0, channels = 0;
    if (layers->n == 0)
        return bad(p, "", "has no layers, expected layers=-1 or the like");
    for (int i = 0, layer = 0; i < layers->n; i++) {
        DS_TRY(resolve(p, "layers", (int)layers->v[i], &layer, &next));
        if (i == 0)
            sum = *next;
        if (next->h != sum.h || next->w != sum.w)
            return bad(p, "layers",
                       "layer %d is %d x %d but the first is %d x %d, expected equal width and height", layer,
                       next->w, next->h, sum.w, sum.h);
        outputs += next->outputs;
        channels += next->c;
    }
    DS_TRY(check_count(p, "the number of channels", (double)channels));
    DS_TRY(check_count(p, "the number of outputs", (double)outputs));
    *p->out = (ds_shape){sum.h, sum.w, (int)channels, (int)outputs};
    return DS_OK;
}

static bool whole_ratio(const ds_shape *a, const ds_shape *b)
{
    return a->w % b->w == 0 && a->h % b->h == 0 && a->w / b->w == a->h / b->h;
}

static int shape_shortcut(const ds_place *p)
{
    int layer = 0;
    const ds_shape *from = NULL;
    if (!ds_section_get(p->s, "from"))
        return bad(p, "", "has no from, expected from=-3 or the like");
    DS_TRY(resolve(p, "from", p->k->from, &layer, &from));
    if (!is_image(from))
        return bad(p, "from", "layer %d has no width, height and channels, expected an image", layer);
    if (!whole_ratio(from, &p->in) && !whole_ratio(&p->in, from))
        return bad(p, "from",
                   "layer %d is %d x %d and the previous layer %d x %d, expected equal and whole ratios of "
                   "width and height",
                   layer, from->w, from->h, p->in.w, p->in.h);
    return set_image(p, p->in.h, p->in.w, p->in.c);
}

/* ---- layers that keep the shape, and ends of a network ---- */

static int shape_same(const ds_place *p)
{
    *p->out = p->in;
    return DS_OK;
}

static int shape_dropout(const ds_place *p)
{
    return p->index == 0 ? bad(p, "", "is the first layer, expected a layer before it") : shape_same(p);
}

static int shape_normalization(const ds_place *p)
{
    int size = p->k->size;
    if (size / 2 > p->in.c)
        return bad(p, "size", "size=%d with %d channels, expected at most twice the channels", size, p->in.c);
    return shape_same(p);
}

static int shape_softmax(const ds_place *p)
{
    if (p->in.outputs % p->k->groups)
        return bad(p, "groups", "%d numbers come in, no multiple of groups=%d, expected one", p->in.outputs,
                   p->k->groups);
    return set_vector(p, p->in.outputs);
}

static int shape_cost(const ds_place *p)
{
    return set_vector(p, p->in.outputs);
}

/* A plugin says itself what it makes of its input. */
static int shape_plugin(const ds_place *p)
{
    ds_instance it = {.layer = p->s->plugin, .setup = {.inputs = p->in.outputs}};
    if (it.layer->role == DS_REJECT) {
        const ds_setup *cost = &p->s[-1].setup;
        it.setup.logits = cost->logits;
        it.setup.classes = cost->classes;
        it.setup.abstain = cost->abstain;
    }
    DS_TRY(ds_instance_init(&it, p->s->pairs, p->s->n, p->cfg->path, p->s->line, p->e));
    ds_instance_release(&it);
    p->s->setup = it.setup;
    return set_vector(p, it.setup.outputs);
}

static const ds_kind kinds[] = {
    {"net", "network", ds_net_keys, NULL, false, NULL},
    {"convolutional", "conv", convolutional_keys, shape_convolutional, true, NULL},
    {"deconvolutional", "deconv", deconvolutional_keys, shape_deconvolutional, true, NULL},
    {"local", NULL, local_keys, shape_local, true, NULL},
    {"connected", "conn", connected_keys, shape_connected, false, NULL},
    {"crop", NULL, crop_keys, shape_crop, true, NULL},
    {"maxpool", "max", maxpool_keys, shape_maxpool, true, NULL},
    {"avgpool", "avg", plain_keys, shape_avgpool, true, NULL},
    {"reorg", NULL, reorg_keys, shape_reorg, true, NULL},
    {"upsample", NULL, upsample_keys, shape_upsample, true, NULL},
    {"route", NULL, route_keys, shape_route, false, NULL},
    {"shortcut", NULL, shortcut_keys, shape_shortcut, true, NULL},
    {"dropout", NULL, dropout_keys, shape_dropout, false, NULL},
    {"activation", NULL, activation_keys, shape_same, false, NULL},
    {"logistic", NULL, plain_keys, shape_same, false, DS_NO_COST},
    {"l2norm", NULL, plain_keys, shape_same, false,
     "Darknet computes its gradient wrongly, expected a network without it"},
    {"normalization", "lrn", normalization_keys, shape_normalization, true, NULL},
    {"batchnorm", NULL, plain_keys, shape_same, true, NULL},
    {"softmax", "soft", softmax_keys, shape_softmax, false, NULL},
    {"cost", NULL, cost_keys, shape_cost, false, NULL},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

const ds_kind *ds_kind_find(const char *name)
{
    for (const ds_kind *k = kinds; k < kinds + KINDS; k++)
        if (strcmp(name, k->name) == 0 || (k->alias && strcmp(name, k->alias) == 0))
            return k;
    return NULL;
}

const ds_option *ds_section_keys(const char *name)
{
    const ds_kind *k = ds_kind_find(name);
    return k ? k->keys : NULL;
}

const char *ds_kind_nearest(const char *name)
{
    enum { PLUGINS = 64 };
    const char *words[2 * KINDS + PLUGINS] = {NULL};
    const ds_layer *layer;
    int n = 0;
    for (const ds_kind *k = kinds; k < kinds + KINDS; k++) {
        words[n++] = k->name;
        words[n++] = k->alias;
    }
    for (int i = 0; i < PLUGINS && (layer = ds_layer_at(i)); i++)
        words[n++] = layer->name;
    return ds_nearest(name, words, n);
}

/* batch: images that the host computes at once */
static int shape_layer(const ds_cfg *cfg, int i, double batch, ds_error *e)
{
    ds_section *s = &cfg->sections[i];
    ds_place p = {cfg, s, s->keys, i - 1, cfg->shapes[i - 1], &cfg->shapes[i], e};
    if (s->kind && s->kind->image && !is_image(&p.in))
        return bad(&p, "", "needs an image, expected width, height and channels from the layer before");
    DS_TRY(s->plugin ? shape_plugin(&p) : s->kind->shape(&p));
    return check_count(&p, "outputs * batch", p.out->outputs * batch);
}

static int read_shapes(ds_cfg *cfg, int *i, ds_error *e)
{
    const ds_net_options *n = &cfg->net;
    const double batch = (double)(n->batch / n->subdivisions) * n->time_steps;
    const double inputs = n->inputs ? n->inputs : (double)n->height * n->width * n->channels;
    ds_place p = {.cfg = cfg, .s = &cfg->sections[0], .e = e};
    DS_TRY(check_count(&p, "inputs * batch", inputs * batch));
    DS_ZALLOC(cfg->shapes, (size_t)cfg->n);
    cfg->shapes[0] = (ds_shape){n->height, n->width, n->channels, (int)inputs};
    for (*i = 1; *i < cfg->n && !cfg->sections[*i].broken; ++*i)
        DS_TRY(shape_layer(cfg, *i, batch, e));
    return DS_OK;
}

int ds_cfg_read_shapes(ds_cfg *cfg, ds_notes *notes, ds_error *e)
{
    int i = 0;
    DS_TRY(cfg->sections[0].broken ? DS_OK : read_shapes(cfg, &i, e));
    if (i < cfg->n - 1)
        ds_note(notes, "note: %s:%d: whether the layers fit together is not known from here on", cfg->path,
                cfg->sections[i].line);
    return DS_OK;
}

bool ds_cfg_has_shapes(const ds_cfg *cfg)
{
    return cfg && cfg->shapes && cfg->shapes[cfg->n - 1].outputs > 0;
}
