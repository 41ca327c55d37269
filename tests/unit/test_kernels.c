/* Every kernel of every set of this machine against plain loops in double. The inputs are multiples of 1/16, so that an affine
 * value, its sign and which place of a window is the largest are the same in float and double, ties included. */
#include "plugins/onednn/kernels.h"
#include "plugins/onednn/dnnl.h"
#include "base/rng.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { GUARD = 256, FILL = 0x5a };

static const size_t sizes[] = {1, 2, 3, 7, 16, 49, 1024};
static const float slopes[] = {1, .1f, 0};
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* `bytes` bytes between two guards, all of them FILL. */
static void *memory(size_t bytes)
{
    size_t padded = (bytes + 63) / 64 * 64;
    char *all = aligned_alloc(64, GUARD + padded + GUARD);
    memset(all, FILL, GUARD + padded + GUARD);
    return all + GUARD;
}

static void release(void *p, size_t bytes)
{
    const unsigned char *first = (unsigned char *)p - GUARD, *behind = (unsigned char *)p + bytes;
    for (int i = 0; i < GUARD; i++)
        if (first[i] != FILL || behind[i] != FILL)
            fail_msg("written outside of an array, %d bytes from its %s", first[i] != FILL ? GUARD - i : i,
                     first[i] != FILL ? "begin" : "end");
    free((char *)p - GUARD);
}

/* Multiples of 1/16 in [-4, 4); coarse: -1, 0 or 1. */
static float *numbers(size_t n, uint64_t seed, bool coarse)
{
    float *v = memory(n * sizeof *v);
    ds_rng r = ds_rng_make(seed, 7, 0);
    for (size_t i = 0; i < n; i++) {
        double u = ds_rng_uniform(&r);
        v[i] = coarse ? (float)floor(u * 3) - 1 : (float)floor(u * 128) / 16 - 4;
    }
    return v;
}

static float *copy(const float *from, size_t n)
{
    float *v = memory(n * sizeof *v);
    memcpy(v, from, n * sizeof *v);
    return v;
}

static void drop(float *p, size_t n)
{
    release(p, n * sizeof *p);
}

static void within(const ds_kernels *k, const char *what, size_t at, double got, double want,
                   double tolerance)
{
    if (got != want && !(fabs(got - want) <= tolerance))
        fail_msg("%s %s: %.9g, expected %.9g at %zu", k->name, what, got, want, at);
}

/* A float that a pass gives, a number of a plane. */
static void close_to(const ds_kernels *k, const char *what, size_t at, double got, double want, double size)
{
    within(k, what, at, got, want, 1e-5 * size);
}

static void number_close_to(const ds_kernels *k, const char *what, size_t at, double got, double want,
                            double size)
{
    within(k, what, at, got, want, (k->size == 2 ? 1. / 256 : 1e-5) * size);
}

/* ---- planes of a set: float arrays [places][block] as a pass wants them, and back ---- */

typedef struct planes {
    const ds_kernels *k;
    int n;
    float *v[8];
    void *own[8];
    size_t places[8];
} planes;

/* A place has the channels of this plane and as many of another, which nobody may touch. */
static size_t next_of(const ds_kernels *k)
{
    return 2 * (size_t)k->block;
}

static ds_extent extent_of(const ds_kernels *k, size_t places)
{
    return (ds_extent){places, next_of(k)};
}

static void pack_number(const ds_kernels *k, float v, void *to, size_t i)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (k->size == 4)
        ((float *)to)[i] = v;
    else
        ((uint16_t *)to)[i] = (uint16_t)(bits >> 16); /* fixtures are exact in bfloat16 */
}

static float unpack_number(const ds_kernels *k, const void *from, size_t i)
{
    uint32_t bits;
    float v;
    if (k->size == 4)
        return ((const float *)from)[i];
    bits = (uint32_t)((const uint16_t *)from)[i] << 16;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static size_t plane_bytes(const planes *q, size_t places)
{
    return places * next_of(q->k) * q->k->size;
}

/* NULL of NULL; the same again for the same array. */
static void *plane(planes *q, const float *v, size_t places)
{
    for (int i = 0; i < q->n; i++)
        if (q->v[i] == v)
            return q->own[i];
    if (!v)
        return NULL;
    size_t block = (size_t)q->k->block;
    void *own = memory(plane_bytes(q, places));
    for (size_t i = 0; i < places * block; i++)
        pack_number(q->k, v[i], own, i / block * next_of(q->k) + i % block);
    q->v[q->n] = (float *)v;
    q->own[q->n] = own;
    q->places[q->n++] = places;
    return own;
}

static void planes_back(planes *q)
{
    size_t block = (size_t)q->k->block, next = next_of(q->k);
    for (int p = 0; p < q->n; p++) {
        const unsigned char *bytes = q->own[p];
        for (size_t i = 0; i < q->places[p] * next; i++)
            if (i % next < block)
                q->v[p][i / next * block + i % next] = unpack_number(q->k, q->own[p], i);
            else if (bytes[i * q->k->size] != FILL)
                fail_msg("%s: written to channels of another plane", q->k->name);
        release(q->own[p], plane_bytes(q, q->places[p]));
    }
}

static ds_pool pool_of(const ds_kernels *k, const ds_pool *p)
{
    ds_pool pool = *p;
    pool.next = next_of(k);
    return pool;
}

/* The arrays that the passes take, and the reference's point of view. */
typedef struct fixture {
    const ds_kernels *k;
    size_t n; /* numbers of a plane */
    float *x, *y, *g, *g2, *scale, *shift, *mean, *a, *b, *c;
    ds_affine f;
} fixture;

static double act(double v, double slope)
{
    return v > 0 ? v : slope * v;
}

static double value(const fixture *t, size_t i)
{
    size_t c = i % t->k->block;
    return (double)t->scale[c] * t->x[i] + t->shift[c];
}

static fixture make(const ds_kernels *k, size_t places, float slope, bool coarse)
{
    size_t n = places * k->block, b = k->block;
    fixture t = {.k = k,
                 .n = n,
                 .x = numbers(n, 1, coarse),
                 .y = numbers(n, 2, false),
                 .g = numbers(n, 3, false),
                 .g2 = numbers(n, 4, false),
                 .scale = numbers(b, 5, coarse),
                 .shift = numbers(b, 6, coarse),
                 .mean = numbers(b, 7, false),
                 .a = numbers(b, 8, false),
                 .b = numbers(b, 9, false),
                 .c = numbers(b, 10, false)};
    t.f = (ds_affine){t.scale, t.shift, t.mean, slope};
    return t;
}

static void finish(fixture *t)
{
    float *arrays[] = {t->x, t->y, t->g, t->g2}, *lines[] = {t->scale, t->shift, t->mean, t->a, t->b, t->c};
    for (size_t i = 0; i < COUNT(arrays); i++)
        drop(arrays[i], t->n);
    for (size_t i = 0; i < COUNT(lines); i++)
        drop(lines[i], t->k->block);
}

static void check_moments(const ds_kernels *k, size_t places)
{
    size_t block = k->block;
    fixture t = make(k, places, 1, false);
    float *mean = memory(block * sizeof *mean), *m2 = memory(block * sizeof *m2);
    for (size_t i = 0; i < t.n; i++)
        t.x[i] += 5; /* a mean that would spoil the difference of sums of squares */
    planes q = {.k = k};
    k->moments(plane(&q, t.x, places), extent_of(k, places), mean, m2);
    planes_back(&q);
    for (size_t c = 0; c < block; c++) {
        double sum = 0, squares = 0;
        for (size_t p = 0; p < places; p++)
            sum += t.x[p * block + c];
        for (size_t p = 0; p < places; p++)
            squares += pow(t.x[p * block + c] - sum / places, 2);
        close_to(k, "mean", c, mean[c], sum / places, sum / places);
        close_to(k, "m2", c, m2[c], squares, squares + 1e-6);
    }
    drop(mean, block);
    drop(m2, block);
    finish(&t);
}

/* in_place: 0 a plane of its own, 1 in x, 2 in add. */
static void check_normalize(const ds_kernels *k, size_t places, float slope, bool has_add, int in_place)
{
    fixture t = make(k, places, slope, false);
    float *x = copy(t.x, t.n), *add = copy(t.g, t.n), *own = memory(t.n * sizeof *own);
    float *y = in_place == 1 ? x : in_place == 2 ? add : own;
    planes q = {.k = k};
    void *to = plane(&q, y, places);
    k->normalize(plane(&q, x, places), plane(&q, has_add ? add : NULL, places), extent_of(k, places), &t.f,
                 to);
    planes_back(&q);
    for (size_t i = 0; i < t.n; i++) {
        double v = value(&t, i) + (has_add ? t.g[i] : 0);
        number_close_to(k, "normalize", i, y[i], act(v, slope), fabs(v));
    }
    drop(x, t.n);
    drop(add, t.n);
    drop(own, t.n);
    finish(&t);
}

enum { HAS_Y = 1, HAS_G2 = 2, KEEPS = 4, KEEP_IN_G = 8, KEEP_IN_G2 = 16 };

static void check_reduce(const ds_kernels *k, size_t places, float slope, int how)
{
    size_t block = k->block;
    fixture t = make(k, places, slope, false);
    float *g = copy(t.g, t.n), *g2 = copy(t.g2, t.n), *own = memory(t.n * sizeof *own);
    float *sum = memory(block * sizeof *sum), *dot = memory(block * sizeof *dot);
    float *keep = !(how & KEEPS) ? NULL : how & KEEP_IN_G ? g : how & KEEP_IN_G2 ? g2 : own;
    planes q = {.k = k};
    void *kept = plane(&q, keep, places);
    k->reduce(plane(&q, t.x, places), plane(&q, how & HAS_Y ? t.y : NULL, places), plane(&q, g, places),
              plane(&q, how & HAS_G2 ? g2 : NULL, places), extent_of(k, places), &t.f, &(ds_sums){sum, dot},
              kept);
    planes_back(&q);
    for (size_t c = 0; c < block; c++) {
        double s = 0, d = 0, size = 0, dot_size = 0;
        for (size_t i = c; i < t.n; i += block) {
            double v = how & HAS_Y ? t.y[i] : value(&t, i);
            double passed = (t.g[i] + (how & HAS_G2 ? t.g2[i] : 0.)) * (v > 0 ? 1 : slope);
            s += passed;
            d += passed * (t.x[i] - t.mean[c]);
            size += fabs(passed);
            dot_size += fabs(passed * (t.x[i] - t.mean[c]));
            if (keep)
                number_close_to(k, "kept gradient", i, keep[i], passed, fabs(passed));
        }
        close_to(k, "sum", c, sum[c], s, size);
        close_to(k, "dot", c, dot[c], d, dot_size);
    }
    drop(g, t.n);
    drop(g2, t.n);
    drop(own, t.n);
    drop(sum, block);
    drop(dot, block);
    finish(&t);
}

static void check_gradient(const ds_kernels *k, size_t places, float slope, bool has_y, bool in_place)
{
    fixture t = make(k, places, slope, false);
    float *g = copy(t.g, t.n), *own = memory(t.n * sizeof *own), *dx = in_place ? g : own;
    planes q = {.k = k};
    void *to = plane(&q, dx, places);
    k->gradient(plane(&q, t.x, places), plane(&q, has_y ? t.y : NULL, places), plane(&q, g, places),
                extent_of(k, places), &t.f, &(ds_mix){t.a, t.b, t.c}, to);
    planes_back(&q);
    for (size_t i = 0; i < t.n; i++) {
        size_t c = i % k->block;
        double v = has_y ? t.y[i] : value(&t, i), passed = t.a[c] * (double)t.g[i] * (v > 0 ? 1 : slope);
        double rest = (double)t.c[c] * t.x[i];
        number_close_to(k, "gradient", i, dx[i], passed + t.b[c] + rest,
                        fabs(passed) + fabs(t.b[c]) + fabs(rest));
    }
    drop(g, t.n);
    drop(own, t.n);
    finish(&t);
}

static const ds_pool pools[] = {
    {8, 8, 4, 4, 2, 2, 0, 0}, {32, 32, 16, 16, 2, 2, 0, 0}, {7, 7, 4, 4, 2, 2, 0, 0},
    {7, 7, 3, 3, 2, 2, 0, 0}, {5, 8, 3, 4, 2, 2, 0, 0},     {8, 5, 4, 2, 2, 2, 0, 0},
    {1, 1, 1, 1, 2, 2, 0, 0}, {2, 3, 1, 2, 2, 2, 0, 0},     {6, 6, 4, 4, 2, 2, -1, 0},
    {8, 8, 5, 5, 2, 2, 0, 0}, {8, 8, 3, 3, 2, 3, 0, 0},     {9, 9, 5, 5, 3, 2, -1, 0},
    {8, 8, 4, 4, 3, 2, 0, 0}, {6, 6, 6, 6, 2, 1, 0, 0},     {7, 5, 7, 5, 3, 1, -1, 0},
    {9, 9, 3, 3, 3, 3, 0, 0}, {8, 10, 3, 4, 3, 3, -1, 0},   {20, 17, 2, 2, 15, 15, 0, 0},
    {4, 4, 4, 4, 1, 1, 0, 0}, {7, 9, 4, 5, 1, 2, 0, 0},     {13, 13, 13, 13, 2, 1, -1, 0},
    {3, 3, 1, 1, 3, 1, 0, 0}, {6, 7, 5, 6, 2, 2, -3, 0},    {8, 9, 3, 2, 2, 2, 0, 0},
};

/* The number in the plane of place q of window o, channel c; SIZE_MAX outside. */
static size_t place_of(const ds_kernels *k, const ds_pool *p, size_t o, int q, size_t c)
{
    int y = (int)o / p->out_w * p->stride + p->offset + q / p->size;
    int x = (int)o % p->out_w * p->stride + p->offset + q % p->size;
    return y < 0 || x < 0 || y >= p->h || x >= p->w ? SIZE_MAX : ((size_t)y * p->w + x) * k->block + c;
}

/* -1: no place inside. */
static int largest(const fixture *t, const ds_pool *p, size_t o, size_t c)
{
    int best = -1;
    double most = 0;
    for (int q = 0; q < p->size * p->size; q++) {
        size_t at = place_of(t->k, p, o, q, c);
        double v = at == SIZE_MAX ? 0 : act(value(t, at), t->f.slope);
        if (at != SIZE_MAX && (best < 0 || v > most)) {
            best = q;
            most = v;
        }
    }
    return best;
}

static size_t pooled_places(const ds_pool *p)
{
    return (size_t)p->out_h * p->out_w;
}

static void check_normalize_pool(const fixture *t, const ds_pool *p)
{
    const ds_kernels *k = t->k;
    size_t n = pooled_places(p) * k->block;
    float *y = memory(n * sizeof *y), *without = memory(n * sizeof *without);
    uint8_t *index = memory(n);
    planes q = {.k = k};
    const ds_pool pool = pool_of(k, p);
    void *x = plane(&q, t->x, t->n / k->block), *to = plane(&q, y, n / k->block);
    k->normalize_pool(x, &pool, &t->f, to, index);
    k->normalize_pool(x, &pool, &t->f, plane(&q, without, n / k->block), NULL);
    planes_back(&q);
    assert_memory_equal(y, without, n * sizeof *y);
    for (size_t i = 0; i < n; i++) {
        size_t o = i / k->block, c = i % k->block;
        int best = largest(t, p, o, c);
        double none = k->size == 2 ? -INFINITY : -FLT_MAX; /* as rounded */
        double want = best < 0 ? none : act(value(t, place_of(k, p, o, best, c)), t->f.slope);
        number_close_to(k, "largest of a window", i, y[i], want, fabs(want));
        if (index[i] != (best < 0 ? 0 : best))
            fail_msg("%s: index %d, expected %d, window %zu of %d x %d, size %d", k->name, index[i], best, o,
                     p->out_h, p->out_w, p->size);
    }
    drop(y, n);
    drop(without, n);
    release(index, n);
}

/* The index of each largest place, as the reference finds it. */
static uint8_t *indices(const fixture *t, const ds_pool *p)
{
    size_t n = pooled_places(p) * t->k->block;
    uint8_t *index = memory(n);
    for (size_t i = 0; i < n; i++) {
        int q = largest(t, p, i / t->k->block, i % t->k->block);
        index[i] = q < 0 ? 0 : (uint8_t)q;
    }
    return index;
}

/* arrives: a pooled plane's gradient g at the places of the plane. */
static double *arrivals(const fixture *t, const ds_pool *p, const float *g, const uint8_t *index)
{
    double *to = calloc(t->n, sizeof *to);
    for (size_t i = 0; i < pooled_places(p) * t->k->block; i++) {
        size_t at = place_of(t->k, p, i / t->k->block, index[i], i % t->k->block);
        if (at != SIZE_MAX)
            to[at] += g[i];
    }
    return to;
}

static void check_reduce_pool(const fixture *t, const ds_pool *p, const float *g, const uint8_t *index,
                              const double *arrives)
{
    const ds_kernels *k = t->k;
    size_t block = k->block;
    float *sum = memory(block * sizeof *sum), *dot = memory(block * sizeof *dot);
    planes q = {.k = k};
    const ds_pool pool = pool_of(k, p);
    k->reduce_pool(plane(&q, t->x, t->n / block), plane(&q, g, pooled_places(p)), index, &pool, &t->f,
                   &(ds_sums){sum, dot});
    planes_back(&q);
    for (size_t c = 0; c < block; c++) {
        double s = 0, d = 0, size = 0, dot_size = 0;
        for (size_t i = c; i < t->n; i += block) {
            double passed = arrives[i] * (value(t, i) > 0 ? 1 : t->f.slope);
            s += passed;
            d += passed * (t->x[i] - t->mean[c]);
            size += fabs(passed);
            dot_size += fabs(passed * (t->x[i] - t->mean[c]));
        }
        close_to(k, "sum through a pool", c, sum[c], s, size);
        close_to(k, "dot through a pool", c, dot[c], d, dot_size);
    }
    drop(sum, block);
    drop(dot, block);
}

static void check_gradient_pool(const fixture *t, const ds_pool *p, const float *g, const uint8_t *index,
                                const double *arrives)
{
    const ds_kernels *k = t->k;
    float *dx = memory(t->n * sizeof *dx);
    planes q = {.k = k};
    const ds_pool pool = pool_of(k, p);
    void *to = plane(&q, dx, t->n / k->block);
    k->gradient_pool(plane(&q, t->x, t->n / k->block), plane(&q, g, pooled_places(p)), index, &pool, &t->f,
                     &(ds_mix){t->a, t->b, t->c}, to);
    planes_back(&q);
    for (size_t i = 0; i < t->n; i++) {
        size_t c = i % k->block;
        double passed = t->a[c] * arrives[i] * (value(t, i) > 0 ? 1 : t->f.slope);
        double rest = (double)t->c[c] * t->x[i];
        number_close_to(k, "gradient through a pool", i, dx[i], passed + t->b[c] + rest,
                        2 * (fabs(passed) + fabs(t->b[c]) + fabs(rest))); /* rounded twice */
    }
    drop(dx, t->n);
}

static void check_pool_gradient(const fixture *t, const ds_pool *p, const float *g, const uint8_t *index,
                                const double *arrives)
{
    float *dx = copy(t->y, t->n);
    planes q = {.k = t->k};
    const ds_pool pool = pool_of(t->k, p);
    void *to = plane(&q, dx, t->n / t->k->block);
    t->k->pool_gradient(plane(&q, g, pooled_places(p)), index, &pool, to);
    planes_back(&q);
    for (size_t i = 0; i < t->n; i++)
        number_close_to(t->k, "gradient of a pool", i, dx[i], t->y[i] + arrives[i],
                        fabs(t->y[i]) + 9 * fabs(arrives[i]));
    drop(dx, t->n);
}

static void check_pool(const ds_kernels *k, const ds_pool *p, float slope, bool coarse)
{
    fixture t = make(k, (size_t)p->h * p->w, slope, coarse);
    size_t n = pooled_places(p) * k->block;
    check_normalize_pool(&t, p);
    float *g = numbers(n, 11, false);
    uint8_t *index = indices(&t, p);
    double *arrives = arrivals(&t, p, g, index);
    check_pool_gradient(&t, p, g, index, arrives);
    if (p->stride >= p->size) {
        check_reduce_pool(&t, p, g, index, arrives);
        check_gradient_pool(&t, p, g, index, arrives);
    }
    free(arrives);
    release(index, n);
    drop(g, n);
    finish(&t);
}

static void check_simple(const ds_kernels *k, size_t places, float slope, bool add)
{
    fixture t = make(k, places, slope, false);
    float *gated = copy(t.g2, t.n), *sum = copy(t.g2, t.n), *spread = copy(t.g2, t.n);
    float *part = copy(t.g2, t.n);
    planes q = {.k = k};
    ds_extent n = extent_of(k, places);
    void *g = plane(&q, t.g, places);
    k->gate(plane(&q, t.y, places), g, n, slope, add, plane(&q, gated, places));
    k->move(g, n, add, plane(&q, sum, places), n.next);
    k->average_gradient(t.a, n, add, plane(&q, spread, places));
    k->add(g, 3, plane(&q, part, places)); /* of the first place */
    planes_back(&q);
    for (size_t i = 0; i < t.n; i++) {
        double was = add ? t.g2[i] : 0, passed = t.g[i] * (t.y[i] > 0 ? 1 : (double)slope);
        double share = t.a[i % k->block] / (double)places;
        number_close_to(k, "gate", i, gated[i], was + passed, fabs(was) + fabs(passed));
        number_close_to(k, "move", i, sum[i], was + t.g[i], 8);
        number_close_to(k, "add", i, part[i], t.g2[i] + (i < 3 ? (double)t.g[i] : 0), 8);
        number_close_to(k, "gradient of an average", i, spread[i], was + share, fabs(was) + fabs(share));
    }
    drop(gated, t.n);
    drop(sum, t.n);
    drop(spread, t.n);
    drop(part, t.n);
    finish(&t);
}

static void check_mask(const ds_kernels *k, size_t places, bool add, bool in_place)
{
    fixture t = make(k, places, 1, false);
    uint8_t *keep = memory(t.n);
    float *x = copy(t.x, t.n), *own = copy(t.y, t.n), *y = in_place ? x : own;
    for (size_t i = 0; i < t.n; i++)
        keep[i] = t.g[i] > -1;
    planes q = {.k = k};
    void *to = plane(&q, y, places);
    k->mask(plane(&q, x, places), keep, extent_of(k, places), 1.25f, add, to);
    planes_back(&q);
    for (size_t i = 0; i < t.n; i++) {
        double was = !add ? 0 : in_place ? t.x[i] : t.y[i];
        number_close_to(k, "mask", i, y[i], was + (keep[i] ? 1.25 * t.x[i] : 0), 12);
    }
    release(keep, t.n);
    drop(x, t.n);
    drop(own, t.n);
    finish(&t);
}

static void check_layout(const ds_kernels *k, size_t places, int channels)
{
    fixture t = make(k, places, 1, false);
    size_t plain_n = places * channels, block = k->block;
    float *plain = numbers(plain_n, 12, false), *blocked = memory(t.n * sizeof *blocked);
    float *back = memory(plain_n * sizeof *back), *more = copy(plain, plain_n);
    planes q = {.k = k};
    ds_extent n = extent_of(k, places);
    k->to_plane(plain, channels, n, plane(&q, blocked, places));
    k->from_plane(plane(&q, t.x, places), channels, n, false, back);
    k->from_plane(plane(&q, t.x, places), channels, n, true, more);
    planes_back(&q);
    for (size_t i = 0; i < t.n; i++) {
        size_t c = i % block;
        close_to(k, "to_plane", i, blocked[i], (int)c < channels ? plain[c * places + i / block] : 0, 0);
    }
    for (size_t i = 0; i < plain_n; i++) {
        float want = t.x[i % places * block + i / places];
        close_to(k, "from_plane", i, back[i], want, 0);
        close_to(k, "from_plane, added", i, more[i], (double)plain[i] + want, 0);
    }
    drop(plain, plain_n);
    drop(blocked, t.n);
    drop(back, plain_n);
    drop(more, plain_n);
    finish(&t);
}

/* Set number i, the one of bfloat16 last; NULL: no more. */
static const ds_kernels *set_of(int i)
{
    const ds_kernels *k = ds_kernels_get(i);
    return k || !ds_kernels_get(i - 1) ? k : ds_kernels_bf16();
}

#define EACH_SET(k)      \
    const ds_kernels *k; \
    for (int set = 0; (k = set_of(set)) != NULL; set++)
#define EACH_SIZE(n) for (size_t at = 0, n = sizes[0]; at < COUNT(sizes) && (n = sizes[at], true); at++)

static void moments(void **state)
{
    (void)state;
    EACH_SET(k)
    EACH_SIZE(n)
    check_moments(k, n);
}

static void normalize(void **state)
{
    (void)state;
    EACH_SET(k)
    EACH_SIZE(n)
    for (size_t s = 0; s < COUNT(slopes); s++)
        for (int add = 0; add < 2; add++)
            for (int in_place = 0; in_place < 2 + add; in_place++)
                check_normalize(k, n, slopes[s], add, in_place);
}

static void reduce(void **state)
{
    (void)state;
    static const int keeps[] = {0, KEEPS, KEEPS | KEEP_IN_G, KEEPS | KEEP_IN_G2};
    EACH_SET(k)
    EACH_SIZE(n)
    for (size_t s = 0; s < COUNT(slopes); s++)
        for (int how = 0; how < 4; how++)
            for (size_t q = 0; q < COUNT(keeps); q++)
                if (!(keeps[q] & KEEP_IN_G2) || (how & HAS_G2))
                    check_reduce(k, n, slopes[s], how | keeps[q]);
}

static void gradient(void **state)
{
    (void)state;
    EACH_SET(k)
    EACH_SIZE(n)
    for (size_t s = 0; s < COUNT(slopes); s++)
        for (int how = 0; how < 4; how++)
            check_gradient(k, n, slopes[s], how & 1, how & 2);
}

static void pooling(void **state)
{
    (void)state;
    EACH_SET(k)
    for (size_t p = 0; p < COUNT(pools); p++)
        for (size_t s = 0; s < COUNT(slopes); s++)
            for (int coarse = 0; coarse < 2; coarse++)
                check_pool(k, pools + p, slopes[s], coarse);
}

static void simple_passes(void **state)
{
    (void)state;
    EACH_SET(k)
    EACH_SIZE(n)
    for (int add = 0; add < 2; add++) {
        for (size_t s = 0; s < COUNT(slopes); s++)
            check_simple(k, n, slopes[s], add);
        check_mask(k, n, add, false);
        check_mask(k, n, add, true);
    }
}

static void layouts(void **state)
{
    (void)state;
    EACH_SET(k)
    EACH_SIZE(n)
    for (int channels = 1; channels <= k->block; channels++)
        check_layout(k, n, channels);
}

/* What diverged must come out as a result, not as a crash. */
static void not_a_number(void **state)
{
    (void)state;
    EACH_SET(k)
    {
        const ds_pool p = pool_of(k, &(ds_pool){7, 7, 4, 4, 2, 2, 0, 0});
        planes q = {.k = k};
        fixture t = make(k, 49, .1f, false);
        float *y = memory(16 * k->block * sizeof *y);
        uint8_t *index = memory(16 * k->block);
        for (size_t i = 0; i < t.n; i++)
            t.x[i] = NAN;
        void *x = plane(&q, t.x, 49), *g = plane(&q, t.g, 49);
        k->normalize_pool(x, &p, &t.f, plane(&q, y, 16), index);
        k->reduce_pool(x, g, index, &p, &t.f, &(ds_sums){t.a, t.b});
        k->gradient_pool(x, g, index, &p, &t.f, &(ds_mix){t.a, t.b, t.c}, plane(&q, t.y, 49));
        planes_back(&q);
        for (int i = 0; i < 16 * k->block; i++)
            assert_true(isnan(y[i]) && index[i] < 4);
        assert_true(isnan(t.y[0]) && isnan(t.b[0]));
        drop(y, 16 * k->block);
        release(index, 16 * k->block);
        finish(&t);
    }
}

static void choice(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int block;
    } expected[] = {[DS_SSE2] = {"SSE2", 8}, [DS_AVX2] = {"AVX2", 8}, [DS_AVX512] = {"AVX-512", 16}};
    int best = (int)ds_dnnl_isa();
    for (int i = 0; i <= best; i++)
        assert_int_equal(ds_kernels_get(i)->block, expected[i].block);
    for (int i = DS_AVX2; i <= best; i++)
        assert_string_equal(ds_kernels_get(i)->name, expected[i].name);
    assert_null(ds_kernels_get(-1));
    assert_null(ds_kernels_get(best + 1));
}

/* Rounded to the nearest, ties to even, as PyTorch does. */
static void rounding(void **state)
{
    (void)state;
    static const struct {
        uint32_t bits;
        uint16_t rounded;
    } cases[] = {{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81},
                 {0xbf80ffff, 0xbf81}, {0x7f800000, 0x7f80}, {0x7f7fffff, 0x7f80}, {0, 0}};
    if (!ds_kernels_bf16())
        skip();
    for (size_t n = 1; n <= 40; n++) {
        float *v = memory(n * sizeof *v);
        uint16_t *to = memory(n * sizeof *to);
        for (size_t i = 0; i < n; i++)
            memcpy(v + i, &cases[i % COUNT(cases)].bits, sizeof *v);
        ds_to_bf16(v, n, to);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(to[i], cases[i % COUNT(cases)].rounded);
        drop(v, n);
        release(to, n * sizeof *to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments),  cmocka_unit_test(normalize),    cmocka_unit_test(reduce),
        cmocka_unit_test(gradient), cmocka_unit_test(pooling),      cmocka_unit_test(simple_passes),
        cmocka_unit_test(layouts),  cmocka_unit_test(not_a_number), cmocka_unit_test(choice),
        cmocka_unit_test(rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
