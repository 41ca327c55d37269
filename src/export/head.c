/* Probabilities, confidence and verdict as nodes of an ONNX graph: ds_score_row and ds_accepts in floats.
 * Only such nodes as OpenCV reads, too. */
#include "export/private.h"

#include <float.h>

typedef struct head {
    ds_onnx *o;
    const ds_export *x;
    int classes;
    ds_value all, z; /* logits with that of "abstain", and without: n x classes */
} head;

#define OP(type, a, b) ds_onnx_op(h->o, type, a, b, NULL)

static ds_value along(const head *h, const char *type, ds_value v)
{
    v = OP(type, v, NULL);
    ds_onnx_int(h->o, "axis", 1);
    return v;
}

/* v (n x rows) times a matrix that is `factor` everywhere, plus `shift` (columns; NULL: nothing): sums, and
 * one number in every column. ONNX could say so in fewer nodes; OpenCV 4.6 neither spreads nor compares with
 * a constant, and reduces one image alone. */
static ds_value affine(const head *h, ds_value v, int rows, int columns, double factor, const float *shift)
{
    float *m = DS_ALLOC(m, (size_t)rows * (size_t)columns), *s = DS_ALLOC(s, (size_t)columns);
    for (int i = 0; i < rows * columns; i++)
        m[i] = (float)factor;
    for (int i = 0; i < columns; i++)
        s[i] = shift ? shift[i] : 0;
    ds_value matrix = ds_onnx_constant(h->o, 2, (int[]){columns, rows}, ds_onnx_keep(h->o, m));
    v = ds_onnx_op(h->o, "Gemm", v, matrix, ds_onnx_constant(h->o, 1, &columns, ds_onnx_keep(h->o, s)));
    ds_onnx_int(h->o, "transB", 1);
    return v;
}

static ds_value sum(const head *h, ds_value v, double factor)
{
    return affine(h, v, h->classes, 1, factor, NULL);
}

static ds_value spread(const head *h, ds_value v)
{
    return affine(h, v, 1, h->classes, 1, NULL);
}

/* n x 1 */
static ds_value largest(const head *h, ds_value v)
{
    v = OP("Reshape", v, ds_onnx_indices(h->o, 4, (int[]){-1, 1, 1, h->classes}));
    return OP("Reshape", OP("GlobalMaxPool", v, NULL), ds_onnx_indices(h->o, 2, (int[]){-1, 1}));
}

/* 1 where two of one shape are equal. */
static ds_value equal(const head *h, ds_value a, ds_value b)
{
    ds_value v = OP("Cast", OP("Equal", a, b), NULL);
    ds_onnx_int(h->o, "to", DS_ONNX_FLOAT);
    return v;
}

static ds_value columns(const head *h, ds_value v, int from, int to)
{
    static const int axis = 1;
    v = ds_onnx_op(h->o, "Slice", v, ds_onnx_indices(h->o, 1, &from), ds_onnx_indices(h->o, 1, &to));
    ds_onnx_input(h->o, ds_onnx_indices(h->o, 1, &axis));
    return v;
}

static ds_value divided(const head *h, ds_value v, double by)
{
    return by == 1 ? v : OP("Div", v, ds_onnx_number(h->o, by));
}

/* log sum exp: what the largest logit is more than its log-probability. */
static ds_value log_sum(const head *h, ds_value z)
{
    return OP("Sub", largest(h, z), largest(h, along(h, "LogSoftmax", z)));
}

/* [selective] has the logits of another head between, and its own is a sigmoid's. */
static void take_logits(head *h, ds_value in)
{
    const ds_net_info *info = ds_net_get_info(h->x->net);
    const int inputs = h->x->cfg->shapes[info->cost].outputs;
    const char *kind = ds_section_kind(&h->x->cfg->sections[info->cost + 1]);
    h->classes = info->classes;
    h->z = info->abstain ? columns(h, in, 0, h->classes) : in;
    h->all = in;
    if (strcmp(kind, "selective") != 0)
        return;
    ds_value s = OP("Sub", log_sum(h, h->z), columns(h, in, inputs - 1, inputs));
    h->all = OP("Concat", h->z, s);
    ds_onnx_int(h->o, "axis", 1);
}

/* ---- confidences: n x 1 ---- */

/* The largest minus the second, which is nothing where the largest is there twice. */
static ds_value margin(const head *h, ds_value p)
{
    static const float two = 2;
    ds_value top = largest(h, p);
    if (h->classes == 1)
        return top;
    ds_value is = equal(h, p, spread(h, top));
    ds_value rest = largest(h, OP("Sub", p, OP("Mul", is, ds_onnx_number(h->o, 2))));
    ds_value once = OP("Relu", affine(h, is, h->classes, 1, -1, &two), NULL);
    return OP("Mul", OP("Sub", top, rest), once);
}

static ds_value pnorm(const head *h, double p)
{
    ds_value centred = OP("Sub", h->z, spread(h, sum(h, h->z, 1. / h->classes)));
    ds_value size = OP("Abs", centred, NULL), scale = largest(h, size);
    ds_value powers = OP("Pow", OP("Div", size, spread(h, scale)), ds_onnx_number(h->o, p));
    ds_value norm = OP("Pow", sum(h, powers, 1), ds_onnx_number(h->o, 1 / p));
    return OP("Div", OP("Div", largest(h, centred), scale), norm);
}

static ds_value confidence(const head *h)
{
    const ds_score *s = &h->x->reject->score;
    const double t = s->temperature;
    ds_value z = divided(h, h->z, t), p;
    switch (s->kind) {
    case DS_MAXLOGIT:
        return largest(h, z);
    case DS_ENERGY:
        return OP("Mul", log_sum(h, z), ds_onnx_number(h->o, t));
    case DS_PNORM:
        return pnorm(h, s->pnorm_p);
    case DS_ABSTAIN:
        return sum(h, columns(h, along(h, "Softmax", divided(h, h->all, t)), 0, h->classes), 1);
    default:
        p = along(h, "Softmax", z);
    }
    if (s->kind == DS_MARGIN)
        return margin(h, p);
    if (s->kind == DS_ENTROPY)
        return sum(h, OP("Mul", p, along(h, "LogSoftmax", z)), 1);
    return s->kind == DS_GINI ? sum(h, OP("Mul", p, p), 1) : largest(h, p);
}

/* A float is at least a threshold when it is greater than the float before; not a number is neither. Without
 * a threshold (NAN) all numbers are; what is infinite must be finite, for products with 0. */
static float before(double threshold)
{
    float t = isnan(threshold) ? -INFINITY : (float)threshold;
    t = nextafterf(t < threshold ? nextafterf(t, INFINITY) : t, -INFINITY);
    return fminf(fmaxf(t, -FLT_MAX), FLT_MAX);
}

/* n x classes: 1 at the answer, the first of the largest logits. */
static ds_value answer(const head *h)
{
    float *numbers = DS_ALLOC(numbers, (size_t)h->classes);
    for (int i = 0; i < h->classes; i++)
        numbers[i] = (float)i;
    ds_value best = OP("Cast", along(h, "ArgMax", h->z), NULL);
    ds_onnx_int(h->o, "to", DS_ONNX_FLOAT);
    return equal(h, spread(h, best), affine(h, best, 1, h->classes, 0, ds_onnx_keep(h->o, numbers)));
}

static void verdict(const head *h, ds_value sure)
{
    const ds_reject *r = h->x->reject;
    const int n = r->thresholds ? h->classes : 1;
    float *t = ds_onnx_keep(h->o, ds_xcalloc((size_t)n, sizeof *t));
    for (int i = 0; i < n; i++)
        t[i] = before(r->thresholds ? r->thresholds[i] : r->threshold);
    ds_value limit = r->thresholds ? OP("MatMul", answer(h), ds_onnx_constant(h->o, 2, (int[]){n, 1}, t))
                                   : affine(h, sure, 1, 1, 0, t);
    OP("Greater", sure, limit);
}

/* Probabilities, confidence and verdict of them. */
static void add_head(ds_onnx *o, const ds_export *x, ds_value logits)
{
    const ds_net_info *info = ds_net_get_info(x->net);
    head of = {.o = o, .x = x}, *h = &of;
    take_logits(h, logits);
    along(h, "Softmax", divided(h, h->z, info->cost_temperature));
    ds_onnx_port(o, true, ds_onnx_name(o, "probabilities"), DS_ONNX_FLOAT, 1, &h->classes);
    confidence(h);
    ds_value sure = ds_onnx_name(o, "confidence");
    ds_onnx_port(o, true, sure, DS_ONNX_FLOAT, 1, (int[]){1});
    verdict(h, sure);
    ds_onnx_port(o, true, ds_onnx_name(o, "accepted"), DS_ONNX_BOOL, 1, (int[]){1});
}

int ds_export_onnx(const ds_export *x, FILE *f, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(x->net);
    ds_onnx *o = ds_onnx_new();
    ds_value logits;
    ds_onnx_port(o, false, DS_ONNX_INPUT, DS_ONNX_FLOAT, 3, (int[]){info->c, info->h, info->w});
    int rc = ds_onnx_layers(o, x, &logits, e);
    if (!rc) {
        add_head(o, x, logits);
        rc = ds_onnx_write(o, x->cfg->path, f, e);
    }
    ds_onnx_free(o);
    return rc;
}
