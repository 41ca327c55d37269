/* The kernels of kernels.h, built once an instruction set. What differs between the sets is here, some twelve short functions each: how a
 * vector compares, blends, and exchanges bytes. The passes themselves are in kernel_body.h. */
#include "plugins/onednn/kernels.h"
#include "base/isa.h"

#include <float.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

enum { UNROLL = 8 }; /* independent sums of one plane: latency times throughput of an addition */

/* The part of a pooling window that lies inside the plane: places (top + i, left + j) for i in [y0, y1), j in [x0, x1). */
typedef struct window {
    int top, left;
    int y0, y1, x0, x1;
} window;

static inline window window_at(const ds_pool *p, int oy, int ox)
{
    window v = {.top = oy * p->stride + p->offset, .left = ox * p->stride + p->offset};
    v.y0 = v.top < 0 ? -v.top : 0;
    v.x0 = v.left < 0 ? -v.left : 0;
    v.y1 = p->h - v.top < p->size ? p->h - v.top : p->size;
    v.x1 = p->w - v.left < p->size ? p->w - v.left : p->size;
    return v;
}

/* How many of the first windows along an axis are 2 x 2 side by side and whole: the case that networks are made of has its own path. */
static inline int whole_windows(const ds_pool *p, int in, int out)
{
    bool pairs = p->size == 2 && p->stride == 2 && p->offset == 0;
    return !pairs ? 0 : out < in / 2 ? out : in / 2;
}

static inline const float *shifted(const float *p, int by)
{
    return p ? p + by : NULL;
}

/* Any machine. Vectors of four: a block takes two rounds over a plane, because the compiler keeps wider ones in memory. */
#define BLOCK 8
#define LANES 4
#define NUMBERS 0, 1, 2, 3
#define K(name) plain_##name
#ifdef __x86_64__
#define NAME "SSE2"
#else
#define NAME "plain"
#endif
typedef float plain_vec __attribute__((vector_size(16)));
typedef int32_t plain_ints __attribute__((vector_size(16)));
typedef plain_ints plain_mask;

/* The compiler's rule for C11 is -ffp-contract=off: a fused multiply-add must be asked for, and is, where the machine has one. */
INLINE plain_vec plain_fma(plain_vec a, plain_vec b, plain_vec c)
{
    return a * b + c;
}

INLINE plain_mask plain_greater(plain_vec a, plain_vec b)
{
    return a > b;
}

INLINE plain_mask plain_is(plain_ints a, int k)
{
    return a == k;
}

INLINE plain_mask plain_bit(plain_ints a, int bit)
{
    return -((a >> bit) & 1);
}

INLINE plain_vec plain_blend(plain_mask m, plain_vec yes, plain_vec no)
{
    return (plain_vec)((m & (plain_ints)yes) | (~m & (plain_ints)no));
}

/* a > b ? a : b, as the machines' own maximum: b where one is not a number */
INLINE plain_vec plain_max(plain_vec a, plain_vec b)
{
    return plain_blend(a > b, a, b);
}

/* m ? k : no, where k is larger than every index in no; m comes from a comparison. */
INLINE plain_ints plain_later(plain_mask m, int k, plain_ints no)
{
    return (m & k) | (~m & no);
}

/* v > 0 ? a : slope a */
INLINE plain_vec plain_gate(plain_vec v, plain_vec a, plain_vec slope)
{
    return plain_blend(v > 0, a, slope * a);
}

#ifdef __x86_64__
/* Baseline instructions; the compiler takes the bytes one by one. */
INLINE plain_ints plain_load_bytes(const uint8_t *from)
{
    int32_t four;
    memcpy(&four, from, sizeof four);
    __m128i zero = _mm_setzero_si128(), words = _mm_unpacklo_epi8(_mm_cvtsi32_si128(four), zero);
    return (plain_ints)_mm_unpacklo_epi16(words, zero);
}

INLINE void plain_store_bytes(uint8_t *to, plain_ints v)
{
    __m128i words = _mm_packs_epi32((__m128i)v, (__m128i)v);
    int32_t four = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
    memcpy(to, &four, sizeof four);
}
#else
typedef uint8_t plain_bytes __attribute__((vector_size(4)));

INLINE plain_ints plain_load_bytes(const uint8_t *from)
{
    plain_bytes b;
    memcpy(&b, from, sizeof b);
    return __builtin_convertvector(b, plain_ints);
}

INLINE void plain_store_bytes(uint8_t *to, plain_ints v)
{
    plain_bytes b = __builtin_convertvector(v, plain_bytes);
    memcpy(to, &b, sizeof b);
}
#endif

#include "plugins/onednn/kernel_body.h"

#ifdef __x86_64__
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define BLOCK 8
#define LANES 8
#define NUMBERS 0, 1, 2, 3, 4, 5, 6, 7
#define K(name) avx2_##name
#define NAME "AVX2"
typedef float avx2_vec __attribute__((vector_size(32)));
typedef int32_t avx2_ints __attribute__((vector_size(32)));
typedef avx2_vec avx2_mask; /* a blend asks the highest bit of each lane */

INLINE avx2_vec avx2_fma(avx2_vec a, avx2_vec b, avx2_vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

INLINE avx2_mask avx2_greater(avx2_vec a, avx2_vec b)
{
    return _mm256_cmp_ps(a, b, _CMP_GT_OQ);
}

INLINE avx2_mask avx2_is(avx2_ints a, int k)
{
    return (avx2_mask)(a == k);
}

INLINE avx2_mask avx2_bit(avx2_ints a, int bit)
{
    return (avx2_mask)(a << (31 - bit));
}

INLINE avx2_vec avx2_blend(avx2_mask m, avx2_vec yes, avx2_vec no)
{
    return _mm256_blendv_ps(no, yes, m);
}

INLINE avx2_vec avx2_max(avx2_vec a, avx2_vec b)
{
    return _mm256_max_ps(a, b);
}

INLINE avx2_ints avx2_later(avx2_mask m, int k, avx2_ints no)
{
    return (avx2_ints)_mm256_max_epi32((__m256i)((avx2_ints)m & k), (__m256i)no);
}

INLINE avx2_vec avx2_gate(avx2_vec v, avx2_vec a, avx2_vec slope)
{
    return avx2_blend(avx2_greater(v, _mm256_setzero_ps()), a, slope * a);
}

INLINE avx2_ints avx2_load_bytes(const uint8_t *from)
{
    return (avx2_ints)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)from));
}

INLINE void avx2_store_bytes(uint8_t *to, avx2_ints v)
{
    __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
    _mm_storel_epi64((__m128i *)to, _mm_packus_epi16(words, words));
}

#include "plugins/onednn/kernel_body.h"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#define BLOCK 16
#define LANES 16
#define NUMBERS 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#define K(name) avx512_##name
#define NAME "AVX-512"
typedef float avx512_vec __attribute__((vector_size(64)));
typedef int32_t avx512_ints __attribute__((vector_size(64)));
typedef __mmask16 avx512_mask;

INLINE avx512_vec avx512_fma(avx512_vec a, avx512_vec b, avx512_vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

INLINE avx512_mask avx512_greater(avx512_vec a, avx512_vec b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}

INLINE avx512_mask avx512_is(avx512_ints a, int k)
{
    return _mm512_cmpeq_epi32_mask((__m512i)a, _mm512_set1_epi32(k));
}

INLINE avx512_mask avx512_bit(avx512_ints a, int bit)
{
    return _mm512_test_epi32_mask((__m512i)a, _mm512_set1_epi32(1 << bit));
}

INLINE avx512_vec avx512_blend(avx512_mask m, avx512_vec yes, avx512_vec no)
{
    return _mm512_mask_blend_ps(m, no, yes);
}

INLINE avx512_vec avx512_max(avx512_vec a, avx512_vec b)
{
    return _mm512_max_ps(a, b);
}

INLINE avx512_ints avx512_later(avx512_mask m, int k, avx512_ints no)
{
    return (avx512_ints)_mm512_mask_mov_epi32((__m512i)no, m, _mm512_set1_epi32(k));
}

INLINE avx512_vec avx512_gate(avx512_vec v, avx512_vec a, avx512_vec slope)
{
    return _mm512_mask_mul_ps(a, _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NGT_UQ), a, slope);
}

INLINE avx512_ints avx512_load_bytes(const uint8_t *from)
{
    return (avx512_ints)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from));
}

INLINE void avx512_store_bytes(uint8_t *to, avx512_ints v)
{
    _mm_storeu_si128((__m128i *)to, _mm512_cvtepi32_epi8((__m512i)v));
}

#include "plugins/onednn/kernel_body.h"
#pragma GCC pop_options
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
    return i >= 0 && i <= (int)ds_isa_best() ? sets[i] : NULL;
}

const ds_kernels *ds_kernels_choose(void)
{
    return sets[ds_isa_best()];
}
