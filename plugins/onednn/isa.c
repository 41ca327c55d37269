#include "plugins/onednn/isa.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <strings.h>

static const struct {
    const char *value;
    ds_isa best;
} limits[] = {
    {"SSE41", DS_SSE2}, {"AVX", DS_SSE2}, {"AVX2", DS_AVX2}, {"AVX2_VNNI", DS_AVX2}, {"AVX2_VNNI_2", DS_AVX2},
};

ds_isa ds_isa_limit(const char *value)
{
    for (size_t i = 0; value && i < sizeof limits / sizeof *limits; i++)
        if (!strcasecmp(value, limits[i].value))
            return limits[i].best;
    return DS_AVX512;
}

static ds_isa machine(void)
{
#ifdef __x86_64__
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return DS_SSE2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return DS_AVX512;
    return DS_AVX2;
#else
    return DS_SSE2;
#endif
}

static ds_isa allowed(void)
{
    const char *value = getenv("ONEDNN_MAX_CPU_ISA");
    if (!value || !*value)
        value = getenv("DNNL_MAX_CPU_ISA");
    return ds_isa_limit(value);
}

ds_isa ds_isa_best(void)
{
    static atomic_int known; /* the answer + 1; threads that come first together find the same */
    int best = atomic_load_explicit(&known, memory_order_relaxed);
    if (!best) {
        ds_isa most = allowed(), has = machine();
        best = (int)(has < most ? has : most) + 1;
        atomic_store_explicit(&known, best, memory_order_relaxed);
    }
    return (ds_isa)(best - 1);
}
