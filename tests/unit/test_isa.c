/* What oneDNN's environment variable allows, and that the answer is never above the machine. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "plugins/onednn/dnnl.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void put(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

/* The answer of a process of its own; the second call, in another environment, must give the same. NULL: not set. */
static ds_isa best_with(const char *onednn, const char *dnnl)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        put("ONEDNN_MAX_CPU_ISA", onednn);
        put("DNNL_MAX_CPU_ISA", dnnl);
        ds_isa best = ds_dnnl_isa();
        put("ONEDNN_MAX_CPU_ISA", best == DS_SSE2 ? "ALL" : "SSE41");
        _exit(ds_dnnl_isa() == best ? (int)best : 100);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= DS_AVX512);
    return (ds_isa)WEXITSTATUS(status);
}

static ds_isa machine(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw"))
        return DS_AVX512;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? DS_AVX2 : DS_SSE2;
#else
    return DS_SSE2;
#endif
}

static void check_best(const char *onednn, const char *dnnl, ds_isa allowed)
{
    ds_isa expected = allowed < machine() ? allowed : machine(), best = best_with(onednn, dnnl);
    if (best != expected)
        fail_msg("ONEDNN_MAX_CPU_ISA=%s DNNL_MAX_CPU_ISA=%s: %d, expected %d", onednn ? onednn : "(not set)",
                 dnnl ? dnnl : "(not set)", (int)best, (int)expected);
}

static void test_best(void **state)
{
    (void)state;
    check_best(NULL, NULL, DS_AVX512);
    check_best("AVX512_CORE", NULL, DS_AVX512);
    check_best("AVX2", NULL, DS_AVX2);
    check_best("SSE41", NULL, DS_SSE2);
    check_best("avx", NULL, DS_SSE2);
    check_best("AVX2_VNNI", NULL, DS_AVX2);
    check_best("AVX512_CORE_AMX", NULL, DS_AVX512);
    check_best("AVX22", NULL, DS_AVX512);
    check_best(NULL, "avx2", DS_AVX2);
    check_best(NULL, "AVX", DS_SSE2);
    check_best("ALL", "SSE41", DS_AVX512);
    check_best("no set", "SSE41", DS_AVX512);
    check_best("AVX", "AVX2", DS_SSE2);
    check_best("", "AVX2", DS_AVX2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
