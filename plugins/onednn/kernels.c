/* The kernels of kernels.h, built once an instruction set. What differs between the sets is here, a table of
 * a few lines each: how a vector compares, blends, and exchanges bytes. The passes themselves are in
 * kernel_body.h. */
#include "plugins/onednn/kernels.h"
#include "plugins/onednn/dnnl.h"

#include <float.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

/* Vectors that take two registers of SSE2: how they would be passed does not matter, for all is inlined. */
#pragma GCC diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))

enum { UNROLL = 8 }; /* independent sums of one plane: latency times throughput of an addition */

/* The part of a pooling window that lies inside the plane: places (top + i, left + j) for i in [y0, y1), j in
 * [x0, x1). */
typedef struct window {
    int top, left, size;
    int y0, y1, x0, x1;
} window;

#define EACH_PLACE(v, i, j)                 \
    for (int i = (v)->y0; i < (v)->y1; i++) \
        for (int j = (v)->x0; j < (v)->x1; j++)

/* pair: the window is known to be one of pairs_in, which a constant tells the compiler, too. */
INLINE window window_at(const ds_pool *p, int oy, int ox, bool pair)
{
    if (pair)
        return (window){.top = 2 * oy, .left = 2 * ox, .size = 2, .y1 = 2, .x1 = 2};
    window v = {.top = oy * p->stride + p->offset, .left = ox * p->stride + p->offset, .size = p->size};
    v.y0 = v.top < 0 ? -v.top : 0;
    v.x0 = v.left < 0 ? -v.left : 0;
    v.y1 = p->h - v.top < p->size ? p->h - v.top : p->size;
    v.x1 = p->w - v.left < p->size ? p->w - v.left : p->size;
    return v;
}

static inline int whole_windows(const ds_pool *p, int in, int out)
{
    bool pairs = p->size == 2 && p->stride == 2 && p->offset == 0;
    return !pairs ? 0 : out < in / 2 ? out : in / 2;
}

/* How many of the first windows of row oy are 2 x 2 places, side by side and whole, as most are. */
static inline int pairs_in(const ds_pool *p, int oy)
{
    return oy < whole_windows(p, p->h, p->out_h) ? whole_windows(p, p->w, p->out_w) : 0;
}

/* A set: a vector holds BLOCK numbers.
 *   FMA          a b + c; the compiler's rule for C11 is -ffp-contract=off: a fused multiply-add must be
 *                asked for, and is, where the machine has one
 *   GREATER, IS  masks: a > b, false where one is not a number; the index a is k
 *   BLEND        m ? yes : no
 *   MAX          a > b ? a : b, as the machines' own maximum: b where one is not a number
 *   GATE         v > 0 ? a : slope a
 *   LATER        m ? k : no, of indices, where k is larger than any in no
 *   LOAD_BYTES, STORE_BYTES  BLOCK bytes from and to indices
 * and the numbers of a plane:
 *   NUM          their type
 *   GET, PUT     the numbers of a place from and to memory */

/* Of the set at hand. */
#define VEC K(vec)
#define INTS K(ints)
#define MASK K(mask)
#define LINE K(line)
#define MIX K(mix)
#define BEST K(best)
#define FLOW K(flow)

#define BLOCK 8
#define K(name) plain_##name
#ifdef __x86_64__
#define NAME "SSE2"
#else
#define NAME "plain"
#endif
typedef float plain_vec __attribute__((vector_size(32)));
typedef int32_t plain_ints __attribute__((vector_size(32)));
typedef plain_ints plain_mask;
typedef uint8_t plain_bytes __attribute__((vector_size(8)));
#define NUM float
#define GET(p) (*(const plain_vec *)(p))
#define PUT(p, v) (*(plain_vec *)(p) = (v))
#define FMA(a, b, c) ((a) * (b) + (c))
#define GREATER(a, b) ((a) > (b))
#define IS(a, k) ((a) == (k))
#define BLEND(m, yes, no) ((plain_vec)(((m) & (plain_ints)(yes)) | (~(m) & (plain_ints)(no))))
#define MAX(a, b) BLEND((a) > (b), a, b)
#define GATE(v, a, slope) BLEND((v) > 0, a, (slope) * (a))
#define LATER(m, k, no) (((m) & (k)) | (~(m) & (no)))
#define LOAD_BYTES(p) __builtin_convertvector(*(const plain_bytes *)(p), plain_ints)
#define STORE_BYTES(p, v) (*(plain_bytes *)(p) = __builtin_convertvector(v, plain_bytes))
#include "plugins/onednn/kernel_body.h"

#ifdef __x86_64__
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define BLOCK 8
#define K(name) avx2_##name
#define NAME "AVX2"
typedef float avx2_vec __attribute__((vector_size(32)));
typedef int32_t avx2_ints __attribute__((vector_size(32)));
typedef avx2_vec avx2_mask; /* a blend asks the highest bit of each lane */
#define NUM float
#define GET(p) (*(const avx2_vec *)(p))
#define PUT(p, v) (*(avx2_vec *)(p) = (v))
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define GREATER(a, b) _mm256_cmp_ps(a, b, _CMP_GT_OQ)
#define IS(a, k) ((avx2_mask)((a) == (k)))
#define BLEND(m, yes, no) _mm256_blendv_ps(no, yes, m)
#define MAX(a, b) _mm256_max_ps(a, b)
#define GATE(v, a, slope) BLEND(GREATER(v, _mm256_setzero_ps()), a, (slope) * (a))
#define LATER(m, k, no) (avx2_ints) _mm256_max_epi32((__m256i)((avx2_ints)(m) & (k)), (__m256i)(no))
#define LOAD_BYTES(p) (avx2_ints) _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p)))
#define STORE_BYTES(p, v) _mm_storel_epi64((__m128i *)(p), avx2_to_bytes((__m256i)(v)))

static inline __m128i avx2_to_bytes(__m256i v)
{
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    return _mm_packus_epi16(words, words);
}
#include "plugins/onednn/kernel_body.h"
#pragma GCC pop_options
#pragma clang attribute pop

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#define BLOCK 16
#define K(name) avx512_##name
#define NAME "AVX-512"
typedef float avx512_vec __attribute__((vector_size(64)));
typedef int32_t avx512_ints __attribute__((vector_size(64)));
typedef __mmask16 avx512_mask;
#define NUM float
#define GET(p) (*(const avx512_vec *)(p))
#define PUT(p, v) (*(avx512_vec *)(p) = (v))
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define GREATER(a, b) _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ)
#define IS(a, k) _mm512_cmpeq_epi32_mask((__m512i)(a), _mm512_set1_epi32(k))
#define BLEND(m, yes, no) _mm512_mask_blend_ps(m, no, yes)
#define MAX(a, b) _mm512_max_ps(a, b)
#define GATE(v, a, slope) \
    _mm512_mask_mul_ps(a, _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NGT_UQ), a, slope)
#define LATER(m, k, no) (avx512_ints) _mm512_mask_mov_epi32((__m512i)(no), m, _mm512_set1_epi32(k))
#define LOAD_BYTES(p) (avx512_ints) _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(p)))
#define STORE_BYTES(p, v) _mm_storeu_si128((__m128i *)(p), _mm512_cvtepi32_epi8((__m512i)(v)))
#define KEEP_SET
#include "plugins/onednn/kernel_body.h"
#undef KEEP_SET
#pragma GCC pop_options
#pragma clang attribute pop

/* The same with planes of bfloat16, the upper half of a float. */
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,prefer-vector-width=512")
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"))), apply_to = function)
#define K(name) bf16_##name
#define NAME "bf16"
typedef avx512_vec bf16_vec;
typedef avx512_ints bf16_ints;
typedef avx512_mask bf16_mask;
#define NUM uint16_t
#define GET(p) (bf16_vec) _mm512_slli_epi32(_mm512_cvtepu16_epi32(*(const __m256i *)(p)), 16)
#define PUT(p, v) (*(__m256i *)(p) = (__m256i)_mm512_cvtneps_pbh(v))
#include "plugins/onednn/kernel_body.h"

void ds_to_bf16(const float *x, size_t n, void *y)
{
    size_t whole = n / 16 * 16;
    __mmask16 rest = (__mmask16)((1u << (n - whole)) - 1);
    uint16_t *to = y;
    for (size_t i = 0; i < whole; i += 16)
        _mm256_storeu_si256((__m256i *)(to + i), (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(x + i)));
    __m512 last = _mm512_maskz_loadu_ps(rest, x + whole);
    _mm256_mask_storeu_epi16(to + whole, rest, (__m256i)_mm512_cvtneps_pbh(last));
}
#pragma GCC pop_options
#pragma clang attribute pop
#endif

static const ds_kernels *const sets[] = {
    [DS_SSE2] = &plain_set,
#ifdef __x86_64__
    [DS_AVX2] = &avx2_set,
    [DS_AVX512] = &avx512_set,
#endif
};

const ds_kernels *ds_kernels_get(int i)
{
    return i >= 0 && i <= (int)ds_dnnl_isa() ? sets[i] : NULL;
}

const ds_kernels *ds_kernels_bf16(void)
{
#ifdef __x86_64__
    return ds_dnnl_isa() == DS_AVX512 && __builtin_cpu_supports("avx512bf16") ? &bf16_set : NULL;
#else
    return NULL;
#endif
}
