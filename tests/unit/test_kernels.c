/* Every kernel of every set of this machine against plain loops in double. The inputs are multiples of 1/16, so that an affine
 * value, its sign and which place of a window is the largest are the same in float and double, ties included. */
#include "plugins/onednn/kernels.h"
#include "plugins/onednn/isa.h"
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

static void close_to(const ds_kernels *k, const char *what, size_t at, double got, double want, double size)
{
    if (!(fabs(got - want) <= 1e-5 * size))
        fail_msg("%s %s: %.9g, expected %.9g at %zu", k->name, what, got, want, at);
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
    float *planes[] = {t->x, t->y, t->g, t->g2}, *lines[] = {t->scale, t->shift, t->mean, t->a, t->b, t->c};
    for (size_t i = 0; i < COUNT(planes); i++)
        drop(planes[i], t->n);
    for (size_t i = 0; i < COUNT(lines); i++)
        drop(lines[i], t->k->block);
}

static void check_moments(const ds_kernels *k, size_t places)
{
    size_t block = k->block;
    fixture t = make(k, places, 1, false);
    float *mean = memory(block * sizeof *mean), *m2 = memory(block * sizeof *m2);
    float *average = memory(block * sizeof *average);
    for (size_t i = 0; i < t.n; i++)
        t.x[i] += 5; /* a mean that would spoil the difference of sums of squares */
    k->moments(t.x, places, mean, m2);
    k->average(t.x, places, average);
    for (size_t c = 0; c < block; c++) {
        double sum = 0, squares = 0;
        for (size_t p = 0; p < places; p++)
            sum += t.x[p * block + c];
        for (size_t p = 0; p < places; p++)
            squares += pow(t.x[p * block + c] - sum / places, 2);
        close_to(k, "mean", c, mean[c], sum / places, sum / places);
        close_to(k, "average", c, average[c], sum / places, sum / places);
        close_to(k, "m2", c, m2[c], squares, squares + 1e-6);
    }
    drop(mean, block);
    drop(m2, block);
    drop(average, block);
    finish(&t);
}

/* in_place: 0 a plane of its own, 1 in x, 2 in add. */
static void check_normalize(const ds_kernels *k, size_t places, float slope, bool has_add, int in_place)
{
    fixture t = make(k, places, slope, false);
    float *x = copy(t.x, t.n), *add = copy(t.g, t.n), *own = memory(t.n * sizeof *own);
    float *y = in_place == 1 ? x : in_place == 2 ? add : own;
    k->normalize(x, has_add ? add : NULL, places, &t.f, y);
    for (size_t i = 0; i < t.n; i++) {
        double v = value(&t, i) + (has_add ? t.g[i] : 0);
        close_to(k, "normalize", i, y[i], act(v, slope), fabs(v));
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
    k->reduce(t.x, how & HAS_Y ? t.y : NULL, g, how & HAS_G2 ? g2 : NULL, places, &t.f, &(ds_sums){sum, dot},
              keep);
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
                close_to(k, "kept gradient", i, keep[i], passed, fabs(passed));
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
    k->gradient(t.x, has_y ? t.y : NULL, g, places, &t.f, &(ds_mix){t.a, t.b, t.c}, dx);
    for (size_t i = 0; i < t.n; i++) {
        size_t c = i % k->block;
        double v = has_y ? t.y[i] : value(&t, i), passed = t.a[c] * (double)t.g[i] * (v > 0 ? 1 : slope);
        double rest = (double)t.c[c] * t.x[i];
        close_to(k, "gradient", i, dx[i], passed + t.b[c] + rest, fabs(passed) + fabs(t.b[c]) + fabs(rest));
    }
    drop(g, t.n);
    drop(own, t.n);
    finish(&t);
}

static const ds_pool pools[] = {
    {8, 8, 4, 4, 2, 2, 0},      {32, 32, 16, 16, 2, 2, 0}, {7, 7, 4, 4, 2, 2, 0},  {7, 7, 3, 3, 2, 2, 0},
    {5, 8, 3, 4, 2, 2, 0},      {8, 5, 4, 2, 2, 2, 0},     {1, 1, 1, 1, 2, 2, 0},  {2, 3, 1, 2, 2, 2, 0},
    {6, 6, 4, 4, 2, 2, -1},     {8, 8, 5, 5, 2, 2, 0},     {8, 8, 3, 3, 2, 3, 0},  {9, 9, 5, 5, 3, 2, -1},
    {8, 8, 4, 4, 3, 2, 0},      {6, 6, 6, 6, 2, 1, 0},     {7, 5, 7, 5, 3, 1, -1}, {9, 9, 3, 3, 3, 3, 0},
    {8, 10, 3, 4, 3, 3, -1},    {20, 17, 2, 2, 15, 15, 0}, {4, 4, 4, 4, 1, 1, 0},  {7, 9, 4, 5, 1, 2, 0},
    {13, 13, 13, 13, 2, 1, -1}, {3, 3, 1, 1, 3, 1, 0},     {6, 7, 5, 6, 2, 2, -3}, {8, 9, 3, 2, 2, 2, 0},
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
    k->normalize_pool(t->x, p, &t->f, y, index);
    k->normalize_pool(t->x, p, &t->f, without, NULL);
    assert_memory_equal(y, without, n * sizeof *y);
    for (size_t i = 0; i < n; i++) {
        size_t o = i / k->block, c = i % k->block;
        int q = largest(t, p, o, c);
        double want = q < 0 ? -FLT_MAX : act(value(t, place_of(k, p, o, q, c)), t->f.slope);
        close_to(k, "largest of a window", i, y[i], want, fabs(want));
        if (index[i] != (q < 0 ? 0 : q))
            fail_msg("%s: index %d, expected %d, window %zu of %d x %d, size %d", k->name, index[i], q, o,
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
    k->reduce_pool(t->x, g, index, p, &t->f, &(ds_sums){sum, dot});
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
    k->gradient_pool(t->x, g, index, p, &t->f, &(ds_mix){t->a, t->b, t->c}, dx);
    for (size_t i = 0; i < t->n; i++) {
        size_t c = i % k->block;
        double passed = t->a[c] * arrives[i] * (value(t, i) > 0 ? 1 : t->f.slope);
        double rest = (double)t->c[c] * t->x[i];
        close_to(k, "gradient through a pool", i, dx[i], passed + t->b[c] + rest,
                 fabs(passed) + fabs(t->b[c]) + fabs(rest));
    }
    drop(dx, t->n);
}

static void check_pool_gradient(const fixture *t, const ds_pool *p, const float *g, const uint8_t *index,
                                const double *arrives)
{
    float *dx = copy(t->y, t->n);
    t->k->pool_gradient(g, index, p, dx);
    for (size_t i = 0; i < t->n; i++)
        close_to(t->k, "gradient of a pool", i, dx[i], t->y[i] + arrives[i],
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
    k->gate(t.y, t.g, places, slope, add, gated);
    k->add(t.g, places, sum);
    k->average_gradient(t.a, places, add, spread);
    for (size_t i = 0; i < t.n; i++) {
        double was = add ? t.g2[i] : 0, passed = t.g[i] * (t.y[i] > 0 ? 1 : (double)slope);
        double share = t.a[i % k->block] / (double)places;
        close_to(k, "gate", i, gated[i], was + passed, fabs(was) + fabs(passed));
        close_to(k, "add", i, sum[i], (double)t.g2[i] + t.g[i], 8);
        close_to(k, "gradient of an average", i, spread[i], was + share, fabs(was) + fabs(share));
    }
    drop(gated, t.n);
    drop(sum, t.n);
    drop(spread, t.n);
    finish(&t);
}

static void check_mask(const ds_kernels *k, size_t places, bool add, bool in_place)
{
    fixture t = make(k, places, 1, false);
    uint8_t *keep = memory(t.n);
    float *x = copy(t.x, t.n), *own = copy(t.y, t.n), *y = in_place ? x : own;
    for (size_t i = 0; i < t.n; i++)
        keep[i] = t.g[i] > -1;
    k->mask(x, keep, places, 1.25f, add, y);
    for (size_t i = 0; i < t.n; i++) {
        double was = !add ? 0 : in_place ? t.x[i] : t.y[i];
        close_to(k, "mask", i, y[i], was + (keep[i] ? 1.25 * t.x[i] : 0), 12);
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
    float *plain = numbers(plain_n, 12, false), *plane = memory(t.n * sizeof *plane);
    float *back = memory(plain_n * sizeof *back), *more = copy(plain, plain_n);
    k->to_plane(plain, channels, places, plane);
    for (size_t i = 0; i < t.n; i++) {
        size_t c = i % block;
        close_to(k, "to_plane", i, plane[i], (int)c < channels ? plain[c * places + i / block] : 0, 0);
    }
    k->from_plane(t.x, channels, places, false, back);
    k->from_plane(t.x, channels, places, true, more);
    for (size_t i = 0; i < plain_n; i++) {
        float want = t.x[i % places * block + i / places];
        close_to(k, "from_plane", i, back[i], want, 0);
        close_to(k, "from_plane, added", i, more[i], (double)plain[i] + want, 0);
    }
    drop(plain, plain_n);
    drop(plane, t.n);
    drop(back, plain_n);
    drop(more, plain_n);
    finish(&t);
}

#define EACH_SET(k)      \
    const ds_kernels *k; \
    for (int set = 0; (k = ds_kernels_get(set)) != NULL; set++)
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
    static const ds_pool p = {7, 7, 4, 4, 2, 2, 0};
    EACH_SET(k)
    {
        fixture t = make(k, 49, .1f, false);
        float *y = memory(16 * k->block * sizeof *y);
        uint8_t *index = memory(16 * k->block);
        for (size_t i = 0; i < t.n; i++)
            t.x[i] = NAN;
        k->normalize_pool(t.x, &p, &t.f, y, index);
        k->reduce_pool(t.x, t.g, index, &p, &t.f, &(ds_sums){t.a, t.b});
        k->gradient_pool(t.x, t.g, index, &p, &t.f, &(ds_mix){t.a, t.b, t.c}, t.y);
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
    int best = (int)ds_isa_best();
    for (int i = 0; i <= best; i++)
        assert_int_equal(ds_kernels_get(i)->block, expected[i].block);
    for (int i = DS_AVX2; i <= best; i++)
        assert_string_equal(ds_kernels_get(i)->name, expected[i].name);
    assert_null(ds_kernels_get(-1));
    assert_null(ds_kernels_get(best + 1));
    assert_ptr_equal(ds_kernels_choose(), ds_kernels_get(best));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments),  cmocka_unit_test(normalize),    cmocka_unit_test(reduce),
        cmocka_unit_test(gradient), cmocka_unit_test(pooling),      cmocka_unit_test(simple_passes),
        cmocka_unit_test(layouts),  cmocka_unit_test(not_a_number), cmocka_unit_test(choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
