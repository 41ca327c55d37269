/* libcudnn.so.9's graph API for one convolution, alone or with a bias, another tensor and an activation behind it, computed by loops in double. Of three engines the first one says that its results vary. */
#include "tests/gpu/mock.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Sizes n c h w of x, k c r s of w, n k oh ow of y; where each lies. */
typedef struct problem {
    int64_t t[3][4], pad, stride;
    int bf16, direction;
    int bias, other, sloped; /* what follows the convolution */
    double slope;
} problem;

typedef struct tensor {
    int64_t id, sizes[4];
    int type, nowhere;
} tensor;

enum { POINTWISE = 0, OP_POINTWISE = 13, GRAPH = 15, FLOATS = 0, RELU = 100 };
enum { CONVOLUTION = 1, CONFIG = 3, HEURISTICS = 4, PLAN = 5, OP_FORWARD = 10, OP_FILTER = 11, OP_DATA = 12, TENSOR = 17 };

/* What each knows is copied on, since a plan outlives what it was made from. */
typedef struct descriptor {
    int type, finished, number;
    problem p;
    void *places[5];
    int64_t n_places;
    int mode, refused;
    tensor x, b, y; /* of a pointwise operation; y of a convolution or a tensor, too */
} descriptor;

int cudnnCreate(void **h)
{
    if (mock_fails(__func__))
        return 1;
    *h = malloc(1);
    mock_live(1);
    return 0;
}

int cudnnDestroy(void *h)
{
    free(h);
    mock_live(-1);
    return 0;
}

int cudnnSetStream(void *h, void *s)
{
    (void)h, (void)s;
    return mock_fails(__func__);
}

size_t cudnnGetVersion(void)
{
    const char *version = getenv("MOCK_CUDNN");
    return version ? (size_t)atol(version) : 91900;
}

void cudnnGetLastErrorString(char *text, size_t n)
{
    snprintf(text, n, "a mock's error");
}

int cudnnBackendCreateDescriptor(int type, void **d)
{
    if (mock_fails(__func__))
        return 1;
    descriptor *made = calloc(1, sizeof *made);
    made->type = type;
    *d = made;
    mock_live(1);
    return 0;
}

int cudnnBackendDestroyDescriptor(void *d)
{
    free(d);
    mock_live(-1);
    return 0;
}

int cudnnBackendFinalize(void *d)
{
    ((descriptor *)d)->finished = 1;
    return mock_fails(__func__) || ((descriptor *)d)->refused;
}

static void set_operation(descriptor *d, int name, const void *value)
{
    static const int at[3][4] = {{704, 703, 705, 702}, {716, 715, 717, 714}, {710, 709, 711, 708}};
    const descriptor *from = *(void *const *)value;
    d->p.direction = d->type - OP_FORWARD;
    for (int i = 0; i < 3; i++)
        if (name == at[d->type - OP_FORWARD][i]) {
            d->y = i == 2 ? from->y : d->y;
            memcpy(d->p.t[i], from->p.t[0], sizeof d->p.t[0]);
            d->p.bf16 |= from->p.bf16; /* a result in no memory is of floats */
        }
    if (name == at[d->type - OP_FORWARD][3]) {
        d->p.pad = from->p.pad;
        d->p.stride = from->p.stride;
    }
}

static void set_pointwise(descriptor *d, int name, const void *value)
{
    const descriptor *from = *(void *const *)value;
    if (name == 750) {
        d->mode = from->mode;
        d->p.slope = from->p.slope;
    } else
        *(name == 751 ? &d->x : name == 752 ? &d->b : &d->y) = from->y;
}

/* What follows operation `from`, whose result is in no memory: 1 that is not what a layer needs. */
static int follow(problem *p, const descriptor *from, const descriptor *op)
{
    const int64_t *y = from->y.sizes, *b = op->b.sizes;
    if (op->type != OP_POINTWISE || op->x.id != from->y.id || !from->y.nowhere || from->y.type != FLOATS || op->y.id == op->x.id ||
        memcmp(op->y.sizes, y, sizeof op->y.sizes) != 0)
        return 1;
    if (op->mode == RELU) {
        p->sloped = 1;
        p->slope = op->p.slope;
        return 0;
    }
    if (op->b.id == 4)
        p->bias = op->b.type == FLOATS && b[0] == 1 && b[1] == y[1] && b[2] == 1 && b[3] == 1;
    else
        p->other = op->b.id == 5 && memcmp(b, y, sizeof op->b.sizes) == 0 && op->b.type == (p->bf16 ? 9 : 0);
    return op->mode != 0 || op->b.nowhere || p->sloped || !p->bias;
}

static void set_graph(descriptor *d, int64_t n, const descriptor *const *ops)
{
    d->p = ops[0]->p;
    for (int64_t i = 1; i < n; i++)
        d->refused |= follow(&d->p, ops[i - 1], ops[i]);
    d->refused |= ops[n - 1]->y.nowhere || (n > 1 && ops[n - 1]->y.id != 3);
}

int cudnnBackendSetAttribute(void *p, int name, int type, int64_t n, const void *value)
{
    descriptor *d = p;
    if (mock_fails(__func__) || d->finished)
        return 1;
    if (d->type == POINTWISE && name == 0)
        d->mode = *(const int *)value;
    if (d->type == POINTWISE && name == 5)
        d->p.slope = *(const double *)value;
    if (d->type == OP_POINTWISE)
        set_pointwise(d, name, value);
    if (name == 901)
        d->p.bf16 = (d->y.type = *(const int *)value) == 9;
    if (name == 902) {
        memcpy(d->p.t[0], value, sizeof d->p.t[0]);
        memcpy(d->y.sizes, value, sizeof d->y.sizes);
    }
    if (name == 906)
        d->y.id = *(const int64_t *)value;
    if (name == 907)
        d->y.nowhere = *(const char *)value;
    if (name == 103)
        d->p.stride = *(const int64_t *)value;
    if (name == 104)
        d->p.pad = *(const int64_t *)value;
    if (d->type >= OP_FORWARD && d->type <= OP_DATA && type == 15)
        set_operation(d, name, value);
    if (name == 801)
        set_graph(d, n, value);
    if (name == 201 || name == 401) {
        d->p = (*(descriptor *const *)value)->p;
        d->number = (*(descriptor *const *)value)->number;
    }
    if (name == 1001)
        memcpy(d->places, value, (size_t)(d->n_places = n) * sizeof *d->places);
    return 0;
}

int cudnnBackendGetAttribute(void *p, int name, int type, int64_t most, int64_t *n, void *value)
{
    descriptor *d = p, **out = value;
    (void)type, (void)most;
    if (mock_fails(__func__))
        return 1;
    *n = 1;
    switch (name) {
    case 202: /* configurations */
        *n = 3;
        for (int i = 0; i < 3; i++) {
            out[i]->p = d->p;
            out[i]->number = i;
        }
        return 0;
    case 300: /* its engine */
        out[0]->number = d->number;
        return 0;
    case 1303: /* notes: NONDETERMINISTIC */
        *n = d->number == 0;
        *(int *)value = 4;
        return 0;
    case 402: /* workspace */
        *(int64_t *)value = 1000;
        return 0;
    default:
        return 1;
    }
}

/* ---- convolution ---- */

static double get(const void *p, size_t i, int bf16)
{
    if (!bf16)
        return ((const float *)p)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static void put(void *p, size_t i, int bf16, double v)
{
    const float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (bf16)
        ((uint16_t *)p)[i] = (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    else
        ((float *)p)[i] = f;
}

/* a: the sizes in memory order, n h w c and k r s c. */
static double *load(const problem *p, int i, const void *place, size_t *n)
{
    *n = (size_t)(p->t[i][0] * p->t[i][1] * p->t[i][2] * p->t[i][3]);
    double *v = calloc(*n, sizeof *v);
    for (size_t k = 0; place && k < *n; k++)
        v[k] = get(place, k, p->bf16);
    return v;
}

/* One image, output place and place of the filter. */
static void multiply(const problem *p, double *x, double *w, double *y, int64_t k0, int64_t per_group)
{
    const int64_t c = p->t[1][1];
    for (int64_t k = k0; k < k0 + per_group; k++)
        for (int64_t i = 0; i < c; i++) {
            double *f = w + k * p->t[1][2] * p->t[1][3] * c + i;
            if (p->direction == 0)
                y[k] += x[i] * *f;
            else if (p->direction == 1)
                *f += x[i] * y[k];
            else
                x[i] += y[k] * *f;
        }
}

static void convolve(const problem *p, double *x, double *w, double *y)
{
    const int64_t c = p->t[0][1], h = p->t[0][2], width = p->t[0][3], k = p->t[1][0], r = p->t[1][2], s = p->t[1][3];
    const int64_t oh = p->t[2][2], ow = p->t[2][3], groups = c / p->t[1][1];
    for (int64_t o = 0; o < p->t[0][0] * oh * ow; o++)
        for (int64_t f = 0; f < r * s; f++) {
            const int64_t row = o / ow % oh * p->stride - p->pad + f / s, column = o % ow * p->stride - p->pad + f % s;
            if (row < 0 || column < 0 || row >= h || column >= width)
                continue;
            double *from = x + ((o / (oh * ow) * h + row) * width + column) * c;
            for (int64_t g = 0; g < groups; g++)
                multiply(p, from + g * p->t[1][1], w + f * p->t[1][1], y + o * k, g * (k / groups), k / groups);
        }
}

typedef struct work {
    problem p;
    int number;
    void *places[5];
} work;

static double finished(const work *d, double y, size_t i)
{
    const problem *p = &d->p;
    y += p->bias ? ((const float *)d->places[3])[i % (size_t)p->t[1][0]] : 0;
    y += p->other ? get(d->places[4], i, p->bf16) : 0;
    return p->sloped && y < 0 ? p->slope * y : y;
}

static void execute(void *data)
{
    const work *d = data;
    const int result = (int[]){2, 1, 0}[d->p.direction];
    double *v[3];
    size_t n[3];
    mock_plan = d->number;
    if (d->number == mock_slow)
        usleep(1000);
    for (int i = 0; i < 3; i++)
        v[i] = load(&d->p, i, i == result ? NULL : d->places[i], &n[i]);
    convolve(&d->p, v[0], v[1], v[2]);
    for (size_t k = 0; k < n[result]; k++)
        put(d->places[result], k, d->p.bf16, finished(d, v[result][k], k));
    for (int i = 0; i < 3; i++)
        free(v[i]);
}

int cudnnBackendExecute(void *h, void *plan, void *pack)
{
    work d = {.p = ((descriptor *)plan)->p, .number = ((descriptor *)plan)->number};
    (void)h;
    memcpy(d.places, ((descriptor *)pack)->places, sizeof d.places);
    if (mock_fails(__func__) || ((descriptor *)pack)->n_places != 3 + d.p.bias + d.p.other)
        return 1;
    mock_fused += d.p.bias;
    mock_do(execute, &d, sizeof d);
    return 0;
}
