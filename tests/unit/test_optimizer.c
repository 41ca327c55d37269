/* SGD against the host's three passes bit for bit, Adam against a loop in double and three steps
 * worked out; both bit for bit the same for every number of threads, length and alignment of arrays. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "train/optimizer.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* More than the optimizer's limit for threads, and no multiple of a vector's length. */
enum { MANY = (1 << 16) + 13 };

static float *numbers(size_t n, uint64_t key)
{
    float *v = malloc((n + 1) * sizeof *v);
    assert_non_null(v);
    ds_rng r = ds_rng_make(3, key, 0);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)ds_rng_normal(&r);
    v[n] = 12345; /* guard */
    return v;
}

static float *copy(const float *v, size_t n)
{
    float *c = malloc((n + 1) * sizeof *c);
    assert_non_null(c);
    return memcpy(c, v, (n + 1) * sizeof *c);
}

/* ---- SGD ---- */

static void axpy(size_t n, float a, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void scal(size_t n, float a, float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= a;
}

static void host_update(const ds_param *p, float *w, float *u, float rate, float momentum, float decay,
                        int batch)
{
    float own = rate * (float)p->rate;
    if (p->decayed)
        axpy(p->n, -decay * batch, w, u);
    axpy(p->n, own / batch, u, w);
    scal(p->n, momentum, u);
}

static void check_sgd(size_t n, bool decayed, double factor, int threads)
{
    const ds_net_options o = {.momentum = 0.9, .decay = 0.0005};
    float *w = numbers(n, 1), *u = numbers(n, 2), *w2 = copy(w, n), *u2 = copy(u, n);
    const ds_param p = {"weights", 0, w, u, n, decayed, factor, false};
    ds_optimizer *s = ds_optimizer_new(&o, &p, 1, 96);
    omp_set_num_threads(threads);
    for (int step = 1; step <= 3; step++) {
        ds_optimizer_step(s, 0.1f / (float)step);
        host_update(&p, w2, u2, 0.1f / (float)step, 0.9f, 0.0005f, 96);
    }
    assert_memory_equal(w, w2, (n + 1) * sizeof *w);
    assert_memory_equal(u, u2, (n + 1) * sizeof *u);
    ds_optimizer_free(s);
    free(w), free(u), free(w2), free(u2);
}

static void test_sgd_is_the_hosts(void **state)
{
    (void)state;
    for (int decayed = 0; decayed < 2; decayed++) {
        check_sgd(1, decayed, 1, 1);
        check_sgd(37, decayed, 1, 2);
        check_sgd(37, decayed, 0.3, 1);
        check_sgd(MANY, decayed, 1, 2);
    }
}

static void test_untrained_arrays_stay(void **state)
{
    (void)state;
    for (int adam = 0; adam < 2; adam++) {
        const ds_net_options o = {
            .momentum = 0.9, .decay = 0.1, .clip = 0.1, .adam = adam, .B1 = .9, .B2 = .999, .eps = 1e-7};
        float means[2] = {3, 4}, w = 5, u = 6;
        const ds_param p[] = {{"means", 0, means, NULL, 2, false, 1, false}, {"biases", 0, &w, &u, 1, false, 1, false}};
        ds_optimizer *s = ds_optimizer_new(&o, p, 2, 1);
        ds_optimizer_step(s, 1);
        assert_true(means[0] == 3 && means[1] == 4);
        assert_true(w > 0.1f && w != 5); /* moved, and biases are not clipped */
        ds_optimizer_free(s);
    }
}

static void test_clip(void **state)
{
    (void)state;
    const ds_net_options o = {.clip = 0.5};
    float w[4] = {2, -2, 0.25f, -0.5f}, u[4] = {0};
    const ds_param p = {"weights", 0, w, u, 4, true, 1, false};
    ds_optimizer *s = ds_optimizer_new(&o, &p, 1, 1);
    ds_optimizer_step(s, 0.1f);
    const float expected[4] = {0.5f, -0.5f, 0.25f, -0.5f};
    assert_memory_equal(w, expected, sizeof w);
    ds_optimizer_free(s);
}

/* ---- Adam ---- */

static const ds_net_options adam_options = {.adam = true, .B1 = 0.9, .B2 = 0.999, .eps = 1e-7, .decay = 0.5};

/* Rate .1, decay 0 and .5, gradients 1, -2, -.5 from w = 1: the formula (and torch.optim.Adam) worked out in
 * float64. */
static void test_adam_by_hand(void **state)
{
    (void)state;
    static const double expected[2][3] = {{0.900000009999999, 0.9366103603884888, 0.9781754772351606},
                                          {0.9000000066666662, 0.9069015243617328, 0.9136144921592368}};
    static const float u[3] = {-4, 8, 2};
    for (int decayed = 0; decayed < 2; decayed++) {
        float w = 1, gradient = 0;
        const ds_param p = {"weights", 0, &w, &gradient, 1, decayed, 0.5, false};
        ds_optimizer *s = ds_optimizer_new(&adam_options, &p, 1, 4);
        for (int t = 0; t < 3; t++) {
            gradient = u[t];
            ds_optimizer_step(s, 0.2f);
            assert_float_equal(w, expected[decayed][t], 1e-6);
            assert_true(gradient == 0);
        }
        ds_optimizer_free(s);
    }
}

static void adam_in_double(double *w, double *m, double *v, double g, double rate, int t)
{
    *m = 0.9 * *m + 0.1 * g;
    *v = 0.999 * *v + 0.001 * g * g;
    *w -= rate * (*m / (1 - pow(0.9, t))) / (sqrt(*v / (1 - pow(0.999, t))) + 1e-7);
}

static void test_adam_over_many_steps(void **state)
{
    (void)state;
    enum { N = 57, STEPS = 200, BATCH = 32 };
    float *w = numbers(N, 4), *u = numbers(N, 5);
    double w2[N], m[N] = {0}, v[N] = {0};
    for (int i = 0; i < N; i++)
        w2[i] = w[i];
    const ds_param p = {"weights", 0, w, u, N, true, 1, false};
    ds_optimizer *s = ds_optimizer_new(&adam_options, &p, 1, BATCH);
    for (int t = 1; t <= STEPS; t++) {
        ds_rng r = ds_rng_make(9, (uint64_t)t, 0);
        for (int i = 0; i < N; i++) {
            u[i] = (float)(BATCH * ds_rng_normal(&r));
            adam_in_double(&w2[i], &m[i], &v[i], -(double)u[i] / BATCH + 0.5 * w2[i], 0.01, t);
        }
        ds_optimizer_step(s, 0.01f);
    }
    for (int i = 0; i < N; i++)
        assert_float_equal(w[i], w2[i], 2e-5);
    assert_true(w[N] == 12345 && u[N] == 12345);
    ds_optimizer_free(s);
    free(w), free(u);
}

static void test_adam_does_not_depend_on_threads(void **state)
{
    (void)state;
    float *w = numbers(MANY, 6), *u = numbers(MANY, 7), *w2 = copy(w, MANY), *u2 = copy(u, MANY);
    const ds_param one = {"weights", 0, w, u, MANY, true, 1, false}, two = {"weights", 0, w2, u2, MANY, true, 1, false};
    ds_optimizer *a = ds_optimizer_new(&adam_options, &one, 1, 8),
                 *b = ds_optimizer_new(&adam_options, &two, 1, 8);
    omp_set_num_threads(1);
    ds_optimizer_step(a, 0.01f);
    omp_set_num_threads(3);
    ds_optimizer_step(b, 0.01f);
    assert_memory_equal(w, w2, (MANY + 1) * sizeof *w);
    ds_optimizer_free(a);
    ds_optimizer_free(b);
    free(w), free(u), free(w2), free(u2);
}

/* ---- many arrays, several threads ---- */

enum { CHUNK = 1 << 14, BATCH = 96, STEPS = 3 };

/* Together above the limit for threads; short ones around the lengths of vectors. Two of three are trained. */
static const size_t lengths[] = {CHUNK, CHUNK - 1, 5,  1,  CHUNK + 2, CHUNK - 3, 3,  4,  7, 8,
                                 9,     0,         15, 16, 17,        31,        33, 63, 1, 3 * CHUNK + 5,
                                 65,    2 * CHUNK};
enum { ARRAYS = sizeof lengths / sizeof *lengths };

static void fill(ds_param p[ARRAYS])
{
    static const double rates[] = {1, 0.3, 1, 2};
    for (int i = 0; i < ARRAYS; i++)
        p[i] = (ds_param){.name = "weights",
                          .values = numbers(lengths[i], 10 + 2 * (uint64_t)i),
                          .gradient = i % 3 == 2 ? NULL : numbers(lengths[i], 11 + 2 * (uint64_t)i),
                          .n = lengths[i],
                          .decayed = i % 2,
                          .rate = rates[i % 4]};
}

static void empty(ds_param p[ARRAYS])
{
    for (int i = 0; i < ARRAYS; i++)
        free(p[i].values), free(p[i].gradient);
}

static void add_gradients(ds_param p[ARRAYS])
{
    for (int i = 0; i < ARRAYS; i++)
        for (size_t j = 0; p[i].gradient && j < p[i].n; j++)
            p[i].gradient[j] += (float)(j % 7) - 3;
}

static void adam_in_float(const ds_net_options *o, const ds_param *p, float *m, float *v, float rate, int t)
{
    const float B1 = (float)o->B1, B2 = (float)o->B2, rest1 = (float)(1 - o->B1), rest2 = (float)(1 - o->B2);
    const float decay = p->decayed ? (float)o->decay : 0, inverse = -1.0f / BATCH, eps = (float)o->eps;
    const float step = (float)(rate * (float)p->rate / (1 - pow(o->B1, t)));
    const float unbias = (float)(1 / (1 - pow(o->B2, t)));
    for (size_t i = 0; i < p->n; i++) {
        float g = inverse * p->gradient[i] + decay * p->values[i];
        m[i] = B1 * m[i] + rest1 * g;
        v[i] = B2 * v[i] + rest2 * g * g;
        p->values[i] -= step * m[i] / (sqrtf(v[i] * unbias) + eps);
        p->gradient[i] = 0;
    }
}

static void clip(const ds_param *p, float limit)
{
    for (size_t i = 0; p->decayed && i < p->n; i++)
        p->values[i] = fminf(fmaxf(p->values[i], -limit), limit);
}

/* All steps, array by array. */
static void expect(const ds_net_options *o, ds_param p[ARRAYS])
{
    const size_t most = 3 * CHUNK + 5; /* of `lengths` */
    float *moments = calloc(2 * ARRAYS * most, sizeof *moments);
    assert_non_null(moments);
    for (int t = 1; t <= STEPS; t++) {
        add_gradients(p);
        for (int i = 0; i < ARRAYS; i++) {
            float *m = moments + 2 * (size_t)i * most, rate = 0.1f / (float)t;
            if (!p[i].gradient)
                continue;
            if (o->adam)
                adam_in_float(o, &p[i], m, m + most, rate, t);
            else
                host_update(&p[i], p[i].values, p[i].gradient, rate, (float)o->momentum, (float)o->decay,
                            BATCH);
            clip(&p[i], (float)o->clip);
        }
    }
    free(moments);
}

static void check_many(const ds_net_options *o, int threads, const ds_param expected[ARRAYS])
{
    ds_param p[ARRAYS];
    fill(p);
    ds_optimizer *s = ds_optimizer_new(o, p, ARRAYS, BATCH);
    omp_set_num_threads(threads);
    for (int t = 1; t <= STEPS; t++) {
        add_gradients(p);
        ds_optimizer_step(s, 0.1f / (float)t);
    }
    for (int i = 0; i < ARRAYS; i++) {
        size_t bytes = (p[i].n + 1) * sizeof(float);
        if (memcmp(p[i].values, expected[i].values, bytes) ||
            (p[i].gradient && memcmp(p[i].gradient, expected[i].gradient, bytes)))
            fail_msg("array %d of %zu numbers differs, %d threads, adam=%d", i, p[i].n, threads, o->adam);
    }
    ds_optimizer_free(s);
    empty(p);
}

static void test_threads_give_the_same_bits(void **state)
{
    (void)state;
    for (int adam = 0; adam < 2; adam++) {
        const ds_net_options o = {
            .momentum = 0.9, .decay = 0.0005, .clip = 1.5, .adam = adam, .B1 = .9, .B2 = .999, .eps = 1e-7};
        ds_param expected[ARRAYS];
        fill(expected);
        expect(&o, expected);
        for (int threads = 1; threads <= 3; threads++)
            check_many(&o, threads, expected);
        empty(expected);
    }
}

/* What is rare in random numbers. With clip a weight that is not a number stays so; without decay a gradient of -0 does. */
static void test_special_numbers(void **state)
{
    (void)state;
    enum { N = 19 }; /* whole vectors, and a rest */
    for (int decayed = 0; decayed < 2; decayed++) {
        const ds_net_options o = {.momentum = 0.9, .clip = 2};
        float w[N], u[N];
        for (int i = 0; i < N; i++)
            w[i] = i % 2 ? NAN : INFINITY, u[i] = -0.0f;
        const ds_param p = {"weights", 0, w, u, N, decayed, 1, false};
        ds_optimizer *s = ds_optimizer_new(&o, &p, 1, 1);
        ds_optimizer_step(s, 0.5f);
        for (int i = 0; i < N; i++) {
            assert_true(i % 2 || decayed ? isnan(w[i]) : isinf(w[i]));
            assert_true(decayed || (u[i] == 0 && signbit(u[i])));
        }
        ds_optimizer_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sgd_is_the_hosts),
        cmocka_unit_test(test_untrained_arrays_stay),
        cmocka_unit_test(test_clip),
        cmocka_unit_test(test_adam_by_hand),
        cmocka_unit_test(test_adam_over_many_steps),
        cmocka_unit_test(test_adam_does_not_depend_on_threads),
        cmocka_unit_test(test_threads_give_the_same_bits),
        cmocka_unit_test(test_special_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
