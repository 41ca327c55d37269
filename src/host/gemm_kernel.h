/* One build of the kernels of gemm.c: included once an instruction set, with KERNEL(name), LANES defined. All loops run in a fixed order,
 * so that a result does not depend on the number of threads. */

typedef float KERNEL(vec) __attribute__((vector_size(LANES * 4), aligned(4)));

enum { KERNEL(columns) = 4 * LANES };

static inline float KERNEL(sum)(KERNEL(vec) v)
{
    float s = 0;
    for (int i = 0; i < LANES; i++)
        s += v[i];
    return s;
}

/* C[rows x columns] += alpha A B for a tile that fits the registers. a(i, k) = a[i * as + k * ak], b row k at b + k * ldb. */
static void KERNEL(tile)(int k, float alpha, const float *a, size_t as, size_t ak, const float *b, size_t ldb,
                         float *c, size_t ldc)
{
    KERNEL(vec) acc[4][4] = {0};
    for (int p = 0; p < k; p++, a += ak, b += ldb) {
        KERNEL(vec)
        b0 = *(const KERNEL(vec) *)b, b1 = *(const KERNEL(vec) *)(b + LANES),
        b2 = *(const KERNEL(vec) *)(b + 2 * LANES), b3 = *(const KERNEL(vec) *)(b + 3 * LANES);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            float v = a[i * as];
            acc[i][0] += v * b0;
            acc[i][1] += v * b1;
            acc[i][2] += v * b2;
            acc[i][3] += v * b3;
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            *(KERNEL(vec) *)(c + i * ldc + j * LANES) += alpha * acc[i][j];
}

/* The same for what is left at the edges: up to four rows, one vector of columns at a time, then single columns. */
static void KERNEL(edge)(int m, int n, int k, float alpha, const float *a, size_t as, size_t ak,
                         const float *b, size_t ldb, float *c, size_t ldc)
{
    int j = 0;
    for (; j + LANES <= n; j += LANES) {
        KERNEL(vec) acc[4] = {0};
        for (int p = 0; p < k; p++) {
            KERNEL(vec) v = *(const KERNEL(vec) *)(b + p * ldb + j);
            for (int i = 0; i < m; i++)
                acc[i] += a[i * as + p * ak] * v;
        }
        for (int i = 0; i < m; i++)
            *(KERNEL(vec) *)(c + i * ldc + j) += alpha * acc[i];
    }
    for (; j < n; j++)
        for (int i = 0; i < m; i++) {
            float s = 0;
            for (int p = 0; p < k; p++)
                s += a[i * as + p * ak] * b[p * ldb + j];
            c[i * ldc + j] += alpha * s;
        }
}

/* Rows [0, m) of one block of columns. */
static void KERNEL(block)(int m, int n, int k, float alpha, const float *a, size_t as, size_t ak,
                          const float *b, size_t ldb, float *c, size_t ldc)
{
    for (int i = 0; i < m; i += 4) {
        int rows = m - i < 4 ? m - i : 4;
        if (rows == 4 && n == KERNEL(columns))
            KERNEL(tile)(k, alpha, a + i * as, as, ak, b, ldb, c + i * ldc, ldc);
        else
            KERNEL(edge)(rows, n, k, alpha, a + i * as, as, ak, b, ldb, c + i * ldc, ldc);
    }
}

/* C[m x n] += alpha A B', both with contiguous rows of length k, m and n at most 4: dot products, four times four at once. */
static void KERNEL(corner)(int m, int n, int k, float alpha, const float *a, size_t lda, const float *b,
                           size_t ldb, float *c, size_t ldc)
{
    int body = k - k % LANES;
    const float *row[4], *column[4]; /* beyond the edge: the last one again, its result is not used */
    KERNEL(vec) acc[4][4] = {0};
    for (int q = 0; q < 4; q++) {
        row[q] = a + (size_t)(q < m ? q : m - 1) * lda;
        column[q] = b + (size_t)(q < n ? q : n - 1) * ldb;
    }
    for (int p = 0; p < body; p += LANES) {
        KERNEL(vec) v[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            v[j] = *(const KERNEL(vec) *)(column[j] + p);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            KERNEL(vec) w = *(const KERNEL(vec) *)(row[i] + p);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++)
                acc[i][j] += w * v[j];
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            float s = KERNEL(sum)(acc[i][j]);
            for (int p = body; p < k; p++)
                s += row[i][p] * column[j][p];
            if (i < m && j < n)
                c[i * ldc + j] += alpha * s;
        }
}

/* The same for any n. */
static void KERNEL(dots)(int m, int n, int k, float alpha, const float *a, size_t lda, const float *b,
                         size_t ldb, float *c, size_t ldc)
{
    for (int j = 0; j < n; j += 4)
        KERNEL(corner)(m, n - j < 4 ? n - j : 4, k, alpha, a, lda, b + j * ldb, ldb, c + j, ldc);
}
