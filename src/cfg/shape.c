#include "cfg/sections.h"

#include "base/text.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* One layer whose shape is being worked out. */
typedef struct place {
    const ds_cfg *cfg;
    const ds_section *s;
    int index;       /* layer number */
    ds_shape in;     /* what comes in */
    ds_shape *out;   /* what goes out */
    long long batch; /* images that the host computes at once */
    ds_error *e;
} place;

static int __attribute__((format(printf, 3, 4))) bad(const place *p, const char *key, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return ds_fail_at(p->e, DS_EINPUT, p->cfg->path, ds_section_line(p->s, key), "[%s] %s", p->s->name, text);
}

static int get(const place *p, const char *key)
{
    return ds_section_int(p->s, key, 0);
}

/* Product of n factors >= 0, at most INT_MAX + 1: the host counts in int. */
static long long product(int n, const long long *factors)
{
    const long long limit = (long long)INT_MAX + 1;
    long long r = 1;
    for (int i = 0; i < n; i++)
        if (factors[i] <= 0)
            return 0;
    for (int i = 0; i < n; i++) {
        if (factors[i] > limit / r)
            return limit;
        r *= factors[i];
    }
    return r < limit ? r : limit;
}

#define PRODUCT(...) \
    product((int)(sizeof((long long[]){__VA_ARGS__}) / sizeof(long long)), (const long long[]){__VA_ARGS__})

static int check_count(const place *p, const char *what, long long n)
{
    if (n <= INT_MAX)
        return DS_OK;
    return bad(p, "", "is too large: %s is 2^31 or more, expected less", what);
}

/* Set an image shape; refuses empty and huge ones. */
static int set_image(const place *p, long long h, long long w, long long c)
{
    if (h <= 0 || w <= 0 || c <= 0)
        return bad(p, "",
                   "gives an empty output %lld x %lld x %lld from %d x %d x %d (width, height, channels), "
                   "expected 1 or more",
                   w, h, c, p->in.w, p->in.h, p->in.c);
    long long outputs = PRODUCT(h, w, c);
    if (outputs > INT_MAX)
        return check_count(p, "width * height * channels", outputs);
    *p->out = (ds_shape){(int)h, (int)w, (int)c, (int)outputs};
    return DS_OK;
}

static int set_vector(const place *p, long long outputs)
{
    if (outputs > INT_MAX)
        return check_count(p, "the number of outputs", outputs);
    *p->out = (ds_shape){0, 0, 0, (int)outputs};
    return DS_OK;
}

static int need_image(const place *p)
{
    if (p->in.h > 0 && p->in.w > 0 && p->in.c > 0)
        return DS_OK;
    return bad(p, "", "needs an image, expected width, height and channels from the layer before");
}

/* ---- layers with kernels ---- */

static long long padding_of(const place *p)
{
    return get(p, "pad") ? get(p, "size") / 2 : get(p, "padding");
}

static int check_groups(const place *p, int filters)
{
    int groups = get(p, "groups");
    if (filters % groups)
        return bad(p, "groups", "filters=%d is no multiple of groups=%d, expected one", filters, groups);
    if (p->in.c % groups)
        return bad(p, "groups", "%d channels come in, no multiple of groups=%d, expected one", p->in.c,
                   groups);
    return DS_OK;
}

static int shape_convolutional(const place *p)
{
    long long size = get(p, "size"), stride = get(p, "stride"), pad = padding_of(p);
    int filters = get(p, "filters"), rc = need_image(p);
    if (!rc)
        rc = check_groups(p, filters);
    if (!rc && size == 1 && pad > 0)
        rc = bad(p, "padding", "size=1 with padding=%lld, which Darknet computes wrongly, expected padding=0",
                 pad);
    if (!rc)
        rc = set_image(p, (p->in.h + 2 * pad - size) / stride + 1, (p->in.w + 2 * pad - size) / stride + 1,
                       filters);
    return rc ? rc : check_count(p, "the number of weights", PRODUCT(p->in.c, filters, size, size));
}

static int shape_deconvolutional(const place *p)
{
    long long size = get(p, "size"), stride = get(p, "stride"), cut = 2 * padding_of(p);
    int filters = get(p, "filters"), rc = need_image(p);
    if (!rc)
        rc = set_image(p, (p->in.h - 1) * stride + size - cut, (p->in.w - 1) * stride + size - cut, filters);
    return rc ? rc : check_count(p, "the number of weights", PRODUCT(p->in.c, filters, size, size));
}

static int shape_local(const place *p)
{
    long long size = get(p, "size"), stride = get(p, "stride"), pad = get(p, "pad");
    long long less = pad ? 1 : size;
    int filters = get(p, "filters"), rc = need_image(p);
    if (rc)
        return rc;
    long long h = (p->in.h - less) / stride + 1, w = (p->in.w - less) / stride + 1;
    if (p->in.h < less || p->in.w < less || h != (p->in.h + 2 * pad - size) / stride + 1 ||
        w != (p->in.w + 2 * pad - size) / stride + 1)
        return bad(p, "pad",
                   "size=%lld with pad=%lld does not fit %d x %d, expected pad=0, or pad=1 with size=3", size,
                   pad, p->in.w, p->in.h);
    if ((rc = set_image(p, h, w, filters)))
        return rc;
    return check_count(p, "the number of weights", PRODUCT(p->in.c, filters, size, size, h, w));
}

static int shape_maxpool(const place *p)
{
    long long stride = get(p, "stride"), size = ds_section_int(p->s, "size", (int)stride);
    long long pad = ds_section_int(p->s, "padding", (int)size - 1);
    int rc = need_image(p);
    if (rc)
        return rc;
    long long h = (p->in.h + pad - size) / stride + 1, w = (p->in.w + pad - size) / stride + 1;
    if ((rc = set_image(p, h, w, p->in.c)))
        return rc;
    if (pad / 2 >= size || (h - 1) * stride - pad / 2 >= p->in.h || (w - 1) * stride - pad / 2 >= p->in.w)
        return bad(p, "padding",
                   "padding=%lld leaves windows without a pixel, expected size - 1 = %lld or less", pad,
                   size - 1);
    return DS_OK;
}

static int shape_avgpool(const place *p)
{
    int rc = need_image(p);
    return rc ? rc : set_image(p, 1, 1, p->in.c);
}

static int shape_crop(const place *p)
{
    int h = get(p, "crop_height"), w = get(p, "crop_width"), rc = need_image(p);
    if (!rc && (h > p->in.h || w > p->in.w))
        rc = bad(p, h > p->in.h ? "crop_height" : "crop_width",
                 "crops %d x %d from %d x %d, expected at most that", w, h, p->in.w, p->in.h);
    return rc ? rc : set_image(p, h, w, p->in.c);
}

static int shape_connected(const place *p)
{
    int output = get(p, "output");
    int rc = check_count(p, "the number of weights", PRODUCT(p->in.outputs, output));
    return rc ? rc : set_image(p, 1, 1, output);
}

/* ---- layers that move values ---- */

static int shape_reorg(const place *p)
{
    long long s = get(p, "stride"), extra = get(p, "extra"), block = s * s;
    bool flatten = get(p, "flatten"), reverse = get(p, "reverse");
    int rc = need_image(p);
    if (rc)
        return rc;
    if (extra && flatten)
        return bad(p, "extra", "extra with flatten, expected only one of them");
    if (extra)
        return set_vector(p, (long long)p->in.outputs + extra);
    if ((reverse || !flatten) && p->in.c % block)
        return bad(p, "stride", "%d channels come in, expected a multiple of stride * stride = %lld", p->in.c,
                   block);
    if (!reverse && (p->in.h % s || p->in.w % s))
        return bad(p, "stride", "%d x %d comes in, expected multiples of stride=%lld", p->in.w, p->in.h, s);
    return reverse ? set_image(p, p->in.h * s, p->in.w * s, p->in.c / block)
                   : set_image(p, p->in.h / s, p->in.w / s, PRODUCT(p->in.c, s, s));
}

static int shape_upsample(const place *p)
{
    long long s = get(p, "stride");
    int rc = need_image(p);
    if (!rc && s == 0)
        rc = bad(p, "stride", "stride=0, expected a factor other than 0");
    if (rc || s > 0)
        return rc ? rc : set_image(p, p->in.h * s, p->in.w * s, p->in.c);
    if (p->in.h % -s || p->in.w % -s)
        return bad(p, "stride", "%d x %d comes in, expected multiples of %lld", p->in.w, p->in.h, -s);
    return set_image(p, p->in.h / -s, p->in.w / -s, p->in.c);
}

/* Layer number that `value` of `key` means. */
static int resolve(const place *p, const char *key, int value, int *layer)
{
    long long at = value < 0 ? (long long)p->index + value : value;
    *layer = 0;
    if (p->index == 0)
        return bad(p, key, "is the first layer, expected layers before it to refer to");
    if (at < 0 || at >= p->index)
        return bad(p, key, "%s: layer %d does not exist before layer %d, expected %d … %d or -1 … %d", key,
                   value, p->index, 0, p->index - 1, -p->index);
    *layer = (int)at;
    return DS_OK;
}

/* Join one more layer to `sum`. */
static int join(const place *p, int layer, bool first, long long *outputs, ds_shape *sum)
{
    const ds_shape *next = &p->cfg->shapes[layer + 1];
    *outputs += next->outputs;
    if (first) {
        *sum = *next;
        return DS_OK;
    }
    if (next->h != sum->h || next->w != sum->w)
        return bad(p, "layers",
                   "layer %d is %d x %d but the first is %d x %d, expected equal width and height", layer,
                   next->w, next->h, sum->w, sum->h);
    if (sum->c > INT_MAX - next->c)
        return check_count(p, "the number of channels", (long long)sum->c + next->c);
    sum->c += next->c;
    return DS_OK;
}

static int shape_route(const place *p)
{
    ds_numbers layers;
    ds_shape sum = {0};
    long long outputs = 0;
    int rc = ds_section_integers(p->cfg, p->s, "layers", &layers, p->e);
    if (!rc && layers.n == 0)
        rc = bad(p, "", "has no layers, expected layers=-1 or the like");
    for (int i = 0; i < layers.n && !rc; i++) {
        int layer;
        if (!(rc = resolve(p, "layers", (int)layers.v[i], &layer)))
            rc = join(p, layer, i == 0, &outputs, &sum);
    }
    free(layers.v);
    if (!rc)
        rc = check_count(p, "the number of outputs", outputs);
    if (!rc)
        *p->out = (ds_shape){sum.h, sum.w, sum.c, (int)outputs};
    return rc;
}

static bool whole_ratio(const ds_shape *a, const ds_shape *b)
{
    return a->w % b->w == 0 && a->h % b->h == 0 && a->w / b->w == a->h / b->h;
}

static int shape_shortcut(const place *p)
{
    int layer;
    if (!ds_section_get(p->s, "from"))
        return bad(p, "", "has no from, expected from=-3 or the like");
    int rc = resolve(p, "from", get(p, "from"), &layer);
    if (!rc)
        rc = need_image(p);
    if (rc)
        return rc;
    const ds_shape *from = &p->cfg->shapes[layer + 1];
    if (from->h <= 0 || from->w <= 0 || from->c <= 0)
        return bad(p, "from", "layer %d has no width, height and channels, expected an image", layer);
    if (!whole_ratio(from, &p->in) && !whole_ratio(&p->in, from))
        return bad(p, "from",
                   "layer %d is %d x %d and the previous layer %d x %d, expected equal and whole ratios of "
                   "width and height",
                   layer, from->w, from->h, p->in.w, p->in.h);
    return set_image(p, p->in.h, p->in.w, p->in.c);
}

/* ---- layers that keep the shape ---- */

static int shape_same(const place *p)
{
    *p->out = p->in;
    return DS_OK;
}

static int shape_dropout(const place *p)
{
    return p->index == 0 ? bad(p, "", "is the first layer, expected a layer before it") : shape_same(p);
}

static int shape_normalization(const place *p)
{
    int size = get(p, "size"), rc = need_image(p);
    if (!rc && size / 2 > p->in.c)
        rc = bad(p, "size", "size=%d with %d channels, expected at most twice the channels", size, p->in.c);
    return rc ? rc : shape_same(p);
}

static int shape_batchnorm(const place *p)
{
    int rc = need_image(p);
    return rc ? rc : shape_same(p);
}

/* ---- recurrent layers ---- */

static int shape_recurrent(const place *p)
{
    long long output = get(p, "output");
    int rc = check_count(p, "the number of weights", PRODUCT(p->in.outputs, output));
    if (!rc)
        rc = check_count(p, "the number of weights", PRODUCT(output, output));
    return rc ? rc : set_vector(p, output);
}

/* The host swaps height and width here. */
static int shape_crnn(const place *p)
{
    long long hidden = get(p, "hidden_filters"), filters = get(p, "output_filters");
    int rc = need_image(p);
    if (!rc)
        rc = check_count(p, "the number of weights", PRODUCT(9, hidden, hidden > filters ? hidden : filters));
    if (!rc)
        rc = check_count(p, "the number of weights", PRODUCT(9, p->in.c, hidden));
    if (!rc)
        rc = check_count(p, "the state", PRODUCT(p->in.h, p->in.w, hidden, p->batch));
    return rc ? rc : set_image(p, p->in.w, p->in.h, filters);
}

/* ---- ends of a network ---- */

static int shape_softmax(const place *p)
{
    int groups = get(p, "groups");
    if (p->in.outputs % groups)
        return bad(p, "groups", "%d numbers come in, no multiple of groups=%d, expected one", p->in.outputs,
                   groups);
    return set_vector(p, p->in.outputs);
}

static int shape_cost(const place *p)
{
    return set_vector(p, p->in.outputs);
}

static int check_inputs(const place *p, long long expected, const char *formula)
{
    if (expected == p->in.outputs)
        return DS_OK;
    return bad(p, "", "%d numbers come in, expected %s = %lld", p->in.outputs, formula, expected);
}

static int check_anchors(const place *p, long long boxes)
{
    const char *value = ds_section_get(p->s, "anchors");
    long long n = 1;
    for (const char *c = value; c && *c; c++)
        n += *c == ',';
    if (!value || n == 2 * boxes)
        return DS_OK;
    return bad(p, "anchors", "%lld anchors, expected 2 * num = %lld numbers", n, 2 * boxes);
}

static int shape_region(const place *p)
{
    long long num = get(p, "num"), each = (long long)get(p, "classes") + get(p, "coords") + 1;
    int rc = need_image(p);
    if (!rc)
        rc = check_inputs(p, PRODUCT(p->in.h, p->in.w, num, each),
                          "width * height * num * (classes + coords + 1)");
    if (!rc)
        rc = check_count(p, "the truth", PRODUCT(30, get(p, "coords") + 1LL, p->batch));
    if (!rc)
        rc = check_anchors(p, num);
    return rc ? rc : set_image(p, p->in.h, p->in.w, num * each);
}

/* Boxes of this layer: as many as mask names, else all. */
static int yolo_boxes(const place *p, int *boxes)
{
    ds_numbers mask;
    int num = get(p, "num"), rc = ds_section_integers(p->cfg, p->s, "mask", &mask, p->e);
    *boxes = mask.n ? mask.n : num;
    for (int i = 0; i < mask.n && !rc; i++)
        if (mask.v[i] >= num)
            rc = bad(p, "mask", "mask names box %.0f, expected 0 … %d (num=%d)", mask.v[i], num - 1, num);
    free(mask.v);
    return rc;
}

static int shape_yolo(const place *p)
{
    int boxes, rc = need_image(p);
    long long each = (long long)get(p, "classes") + 5;
    if (!rc)
        rc = yolo_boxes(p, &boxes);
    if (!rc)
        rc =
            check_inputs(p, PRODUCT(p->in.h, p->in.w, boxes, each), "width * height * boxes * (classes + 5)");
    if (!rc)
        rc = check_count(p, "the truth", PRODUCT(450, p->batch));
    if (!rc)
        rc = check_anchors(p, get(p, "num"));
    return rc ? rc : set_image(p, p->in.h, p->in.w, boxes * each);
}

static int shape_iseg(const place *p)
{
    long long each = (long long)get(p, "classes") + get(p, "ids");
    int rc = need_image(p);
    if (!rc)
        rc = check_inputs(p, PRODUCT(p->in.h, p->in.w, each), "width * height * (classes + ids)");
    if (!rc)
        rc = check_count(p, "the truth", PRODUCT(90, (long long)p->in.h * p->in.w + 1, p->batch));
    return rc ? rc : set_image(p, p->in.h, p->in.w, each);
}

static int shape_detection(const place *p)
{
    long long side = get(p, "side"), classes = get(p, "classes"), coords = get(p, "coords");
    long long each = PRODUCT(1 + coords, get(p, "num")) + classes;
    int rc = check_inputs(p, PRODUCT(side, side, each), "side * side * ((1 + coords) * num + classes)");
    if (!rc)
        rc = check_count(p, "the truth", PRODUCT(side, side, 1 + coords + classes, p->batch));
    return rc ? rc : set_vector(p, p->in.outputs);
}

/* ---- plugins ---- */

/* Classes of a cost section: one input less where the last logit means "abstain". */
static int classes_of(const ds_section *s, int inputs)
{
    const char *target = ds_section_get(s, "target");
    const ds_option *o = ds_option_find(s->plugin->options, "target");
    if (!target && o)
        target = o->def;
    return target && strcmp(target, "abstain") == 0 ? inputs - 1 : inputs;
}

static int shape_plugin(const place *p)
{
    if (p->s->plugin->role == DS_REJECT)
        return set_vector(p, classes_of(p->s - 1, p->in.outputs));
    int classes = classes_of(p->s, p->in.outputs);
    if (classes < 2)
        return bad(p, "", "%d numbers come in, which makes %d classes, expected 2 or more", p->in.outputs,
                   classes);
    const char *given = ds_section_get(p->s, "classes");
    if (given && ds_section_int(p->s, "classes", 0) != classes)
        return bad(p, "classes", "classes=%s, but %d numbers come in, expected classes=%d", given,
                   p->in.outputs, classes);
    return set_vector(p, p->in.outputs);
}

/* ---- all of them ---- */

static int (*const shape_of[DS_KINDS])(const place *p) = {
    [DS_K_CONVOLUTIONAL] = shape_convolutional,
    [DS_K_DECONVOLUTIONAL] = shape_deconvolutional,
    [DS_K_LOCAL] = shape_local,
    [DS_K_CONNECTED] = shape_connected,
    [DS_K_CROP] = shape_crop,
    [DS_K_MAXPOOL] = shape_maxpool,
    [DS_K_AVGPOOL] = shape_avgpool,
    [DS_K_REORG] = shape_reorg,
    [DS_K_UPSAMPLE] = shape_upsample,
    [DS_K_ROUTE] = shape_route,
    [DS_K_SHORTCUT] = shape_shortcut,
    [DS_K_DROPOUT] = shape_dropout,
    [DS_K_ACTIVATION] = shape_same,
    [DS_K_LOGISTIC] = shape_same,
    [DS_K_L2NORM] = shape_same,
    [DS_K_NORMALIZATION] = shape_normalization,
    [DS_K_BATCHNORM] = shape_batchnorm,
    [DS_K_RNN] = shape_recurrent,
    [DS_K_GRU] = shape_recurrent,
    [DS_K_LSTM] = shape_recurrent,
    [DS_K_CRNN] = shape_crnn,
    [DS_K_SOFTMAX] = shape_softmax,
    [DS_K_COST] = shape_cost,
    [DS_K_REGION] = shape_region,
    [DS_K_YOLO] = shape_yolo,
    [DS_K_ISEG] = shape_iseg,
    [DS_K_DETECTION] = shape_detection,
};

static int shape_layer(const ds_cfg *cfg, int i, long long batch, ds_error *e)
{
    place p = {cfg, &cfg->sections[i], i - 1, cfg->shapes[i - 1], &cfg->shapes[i], batch, e};
    int rc = p.s->plugin ? shape_plugin(&p) : shape_of[ds_kind_find(p.s->name)](&p);
    if (!rc)
        rc = check_count(&p, "outputs * batch", PRODUCT(p.out->outputs, batch));
    return rc;
}

int ds_cfg_read_shapes(ds_cfg *cfg, ds_error *e)
{
    const ds_net_options *n = &cfg->net;
    const long long batch = PRODUCT(n->batch / n->subdivisions, n->time_steps);
    const long long inputs = n->inputs ? n->inputs : PRODUCT(n->height, n->width, n->channels);
    if (!(cfg->shapes = calloc((size_t)cfg->n, sizeof *cfg->shapes)))
        return ds_fail_memory(e);
    place p = {.cfg = cfg, .s = &cfg->sections[0], .e = e};
    int rc = check_count(&p, "inputs * batch", PRODUCT(inputs, batch));
    if (rc)
        return rc;
    cfg->shapes[0] = (ds_shape){n->height, n->width, n->channels, (int)inputs};
    for (int i = 1; i < cfg->n && !rc; i++)
        rc = shape_layer(cfg, i, batch, e);
    return rc;
}
