/* The exported gemm, im2col_cpu and col2im_cpu against plain loops in double, over odd shapes. */
#include "host/private.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static float *noise(size_t n, uint64_t seed)
{
    float *v = malloc(n * sizeof *v);
    ds_rng r = ds_rng_make(seed, 0, 0);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)ds_rng_uniform(&r) - .5f;
    return v;
}

static void check_product(int ta, int tb, int m, int n, int k, float alpha, float beta)
{
    float *a = noise((size_t)m * k, 1), *b = noise((size_t)n * k, 2), *c = noise((size_t)m * n + 8, 3);
    float *was = noise((size_t)m * n + 8, 3);
    gemm(ta, tb, m, n, k, alpha, a, ta ? m : k, b, tb ? k : n, beta, c, n);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int p = 0; p < k; p++)
                sum += (double)a[ta ? p * m + i : i * k + p] * b[tb ? j * k + p : p * n + j];
            double want = alpha * sum + beta * was[i * n + j];
            if (fabs(want - c[i * n + j]) > 1e-6 * (k + 4))
                fail_msg("%d%d %d x %d x %d at %d,%d: %g, expected %g", ta, tb, m, n, k, i, j, c[i * n + j],
                         want);
        }
    assert_memory_equal(c + m * n, was + m * n, 8 * sizeof *c); /* nothing behind the end */
    free(a);
    free(b);
    free(c);
    free(was);
}

static void products(void **state)
{
    (void)state;
    static const int sizes[][3] = {{1, 1, 1},    {3, 5, 7},     {4, 64, 9},   {5, 65, 16},   {8, 130, 17},
                                   {16, 784, 9}, {64, 49, 288}, {11, 1, 576}, {33, 31, 100}, {100, 300, 150}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int t = 0; t < 4; t++) {
            check_product(t & 1, t >> 1, sizes[s][0], sizes[s][1], sizes[s][2], 1, 1);
            check_product(t & 1, t >> 1, sizes[s][0], sizes[s][1], sizes[s][2], .5f, 0);
        }
}

static void beta_zero_forgets_nan(void **state)
{
    (void)state;
    float a = 2, b = 3, c = NAN;
    gemm(0, 0, 1, 1, 1, 1, &a, 1, &b, 1, 0, &c, 1);
    assert_true(c == 6);
}

struct shape {
    int c, h, w, size, stride, pad;
};

static void check_columns(struct shape s)
{
    int oh = (s.h + 2 * s.pad - s.size) / s.stride + 1, ow = (s.w + 2 * s.pad - s.size) / s.stride + 1;
    size_t pixels = (size_t)s.c * s.h * s.w, count = (size_t)s.c * s.size * s.size * oh * ow;
    float *image = noise(pixels, 5), *columns = noise(count, 6), *back = calloc(pixels, sizeof *back);
    double *want_back = calloc(pixels, sizeof *want_back);
    im2col_cpu(image, s.c, s.h, s.w, s.size, s.stride, s.pad, columns);
    const float *q = columns;
    for (int c = 0; c < s.c; c++)
        for (int ky = 0; ky < s.size; ky++)
            for (int kx = 0; kx < s.size; kx++)
                for (int y = 0; y < oh; y++)
                    for (int x = 0; x < ow; x++, q++) {
                        int py = y * s.stride + ky - s.pad, px = x * s.stride + kx - s.pad;
                        bool in = py >= 0 && py < s.h && px >= 0 && px < s.w;
                        size_t at = in ? ((size_t)c * s.h + py) * s.w + px : 0;
                        assert_true(*q == (in ? image[at] : 0));
                        if (in)
                            want_back[at] += *q;
                    }
    col2im_cpu(columns, s.c, s.h, s.w, s.size, s.stride, s.pad, back);
    for (size_t i = 0; i < pixels; i++)
        assert_float_equal(back[i], want_back[i], 1e-5);
    free(image);
    free(columns);
    free(back);
    free(want_back);
}

static void columns(void **state)
{
    (void)state;
    static const struct shape shapes[] = {{1, 1, 1, 1, 1, 0}, {2, 5, 7, 3, 1, 1}, {3, 8, 6, 3, 2, 1},
                                          {2, 9, 9, 5, 3, 2}, {1, 4, 4, 7, 1, 3}, {2, 6, 5, 1, 2, 0},
                                          {1, 7, 3, 3, 4, 0}, {1, 2, 2, 3, 1, 2}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_columns(shapes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),
        cmocka_unit_test(beta_zero_forgets_nan),
        cmocka_unit_test(columns),
    };
    return cmocka_run_group_tests_name("gemm", tests, NULL, NULL);
}
