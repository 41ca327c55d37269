#include "train/update.h"

#include <math.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define LANES 4
#define KERNEL(name) sse2_##name
#ifdef __x86_64__
#define ROOT(v) _mm_sqrt_ps(v)
#endif
#include "train/update_kernel.h"
#undef LANES
#undef KERNEL
#undef ROOT

#ifdef __x86_64__
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define LANES 8
#define KERNEL(name) avx2_##name
#define ROOT(v) _mm256_sqrt_ps(v)
#include "train/update_kernel.h"
#undef LANES
#undef KERNEL
#undef ROOT
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,prefer-vector-width=512")
#define LANES 16
#define KERNEL(name) avx512_##name
#define ROOT(v) _mm512_sqrt_ps(v)
#include "train/update_kernel.h"
#undef LANES
#undef KERNEL
#undef ROOT
#pragma GCC pop_options
#endif

const ds_update *ds_update_get(ds_isa isa)
{
    static const ds_update builds[] = {
        [DS_SSE2] = {sse2_sgd, sse2_adam},
#ifdef __x86_64__
        [DS_AVX2] = {avx2_sgd, avx2_adam},
        [DS_AVX512] = {avx512_sgd, avx512_adam},
#endif
    };
    return &builds[isa];
}
