/* `gemm` exported in the place of the host's: the same sums on all cores, with the best instruction set (base/isa.h). The host's runs on
 * one core with SSE2. Only the order of additions differs. */
#include "host/private.h"
#include "base/isa.h"

#define EXPORT __attribute__((visibility("default")))

#define LANES 4
#define KERNEL(name) sse_##name
#include "host/gemm_kernel.h"
#undef LANES
#undef KERNEL

#ifdef __x86_64__
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define LANES 8
#define KERNEL(name) avx2_##name
#include "host/gemm_kernel.h"
#undef LANES
#undef KERNEL
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx2,fma,prefer-vector-width=512")
#define LANES 16
#define KERNEL(name) avx512_##name
#include "host/gemm_kernel.h"
#undef LANES
#undef KERNEL
#pragma GCC pop_options
#endif

typedef struct kernels {
    int columns;
    void (*block)(int m, int n, int k, float alpha, const float *a, size_t as, size_t ak, const float *b,
                  size_t ldb, float *c, size_t ldc);
    void (*dots)(int m, int n, int k, float alpha, const float *a, size_t lda, const float *b, size_t ldb,
                 float *c, size_t ldc);
} kernels;

static kernels choose(void)
{
#ifdef __x86_64__
    ds_isa isa = ds_isa_best();
    if (isa == DS_AVX512)
        return (kernels){avx512_columns, avx512_block, avx512_dots};
    if (isa == DS_AVX2)
        return (kernels){avx2_columns, avx2_block, avx2_dots};
#endif
    return (kernels){sse_columns, sse_block, sse_dots};
}

/* Fewer multiplications than this (some 100 microseconds) are not worth a meeting of all cores, which waits for the slowest. */
static bool worth_threads(int m, int n, int k)
{
    return (double)m * n * k > 4e6;
}

static void scale(int m, int n, float beta, float *c, size_t ldc)
{
    for (int i = 0; beta != 1 && i < m; i++)
        for (int j = 0; j < n; j++)
            c[i * ldc + j] = beta == 0 ? 0 : c[i * ldc + j] * beta;
}

/* B with contiguous rows: blocks of columns, each on one core. */
static void multiply_rows(const kernels *f, int m, int n, int k, float alpha, const float *a, size_t as,
                          size_t ak, const float *b, size_t ldb, float *c, size_t ldc)
{
    int width = f->columns, blocks = (n + width - 1) / width;
#pragma omp parallel for schedule(static) if (blocks > 1 && worth_threads(m, n, k))
    for (int q = 0; q < blocks; q++) {
        int j = q * width, left = n - j < width ? n - j : width;
        f->block(m, left, k, alpha, a, as, ak, b + j, ldb, c + j, ldc);
    }
}

/* B transposed, A not: dot products, rows of C shared out over the cores. */
static void multiply_dots(const kernels *f, int m, int n, int k, float alpha, const float *a, size_t lda,
                          const float *b, size_t ldb, float *c, size_t ldc)
{
#pragma omp parallel for schedule(static) if (m > 4 && worth_threads(m, n, k))
    for (int i = 0; i < m; i += 4)
        f->dots(m - i < 4 ? m - i : 4, n, k, alpha, a + i * lda, lda, b, ldb, c + i * ldc, ldc);
}

/* Both transposed: no layer of the host asks for it. */
static void multiply_plain(int m, int n, int k, float alpha, const float *a, size_t lda, const float *b,
                           size_t ldb, float *c, size_t ldc)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            float s = 0;
            for (int p = 0; p < k; p++)
                s += a[p * lda + i] * b[j * ldb + p];
            c[i * ldc + j] += alpha * s;
        }
}

EXPORT void gemm(int ta, int tb, int m, int n, int k, float alpha, float *a, int lda, float *b, int ldb,
                 float beta, float *c, int ldc)
{
    kernels f = choose();
    scale(m, n, beta, c, (size_t)ldc);
    if (!tb)
        multiply_rows(&f, m, n, k, alpha, a, ta ? 1 : (size_t)lda, ta ? (size_t)lda : 1, b, (size_t)ldb, c,
                      (size_t)ldc);
    else if (!ta)
        multiply_dots(&f, m, n, k, alpha, a, (size_t)lda, b, (size_t)ldb, c, (size_t)ldc);
    else
        multiply_plain(m, n, k, alpha, a, (size_t)lda, b, (size_t)ldb, c, (size_t)ldc);
}
