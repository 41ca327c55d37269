/* Out of memory: one message and status 1, or the handler of an embedding program; an array that grows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* More than there can be; volatile, so that the compiler does not see it. */
static volatile size_t huge = SIZE_MAX / 2;

/* Runs `step` in a child; its exit status, and what it wrote to standard error. */
static int run(void (*step)(void), char *text, size_t size)
{
    int ends[2], status = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        step();
        _Exit(99);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

static void take_too_much(void)
{
    ds_xmalloc(huge);
}

static void grow_too_much(void)
{
    int *v = NULL;
    ds_xrealloc(v, huge, sizeof *v);
}

static void clear_too_much(void)
{
    ds_xcalloc(huge, 4);
}

static void leave(void)
{
    _Exit(7);
}

static void take_with_handler(void)
{
    ds_memory_handler(leave);
    ds_xmalloc(huge);
}

static void test_end(void **state)
{
    (void)state;
    static void (*const steps[])(void) = {take_too_much, grow_too_much, clear_too_much};
    char text[256];
#ifdef __SANITIZE_ADDRESS__
    return; /* the sanitizer ends such a program itself */
#endif
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(run(steps[i], text, sizeof text), 1);
        assert_string_equal(text, "error: out of memory\n");
    }
    assert_int_equal(run(take_with_handler, text, sizeof text), 7);
    assert_string_equal(text, "");
}

static void test_grow(void **state)
{
    (void)state;
    int *v = NULL, n = 0;
    for (int i = 0; i < 1000; i++)
        DS_PUSH(v, n, i * i);
    assert_int_equal(n, 1000);
    for (int i = 0; i < n; i++)
        assert_int_equal(v[i], i * i);
    free(v);
}

static void test_empty(void **state)
{
    (void)state;
    char *v;
    DS_ALLOC(v, 0);
    assert_non_null(v);
    free(v);
    DS_ZALLOC(v, 3);
    assert_memory_equal(v, "\0\0\0", 3);
    free(v);
}

static void test_limit(void **state)
{
    (void)state;
    struct rlimit before, less;
    const size_t all = ds_memory_limit();
    assert_in_range(all, 1 << 20, (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE));
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    less = (struct rlimit){all / 2, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &less), 0);
    assert_int_equal(ds_memory_limit(), all / 2);
    setrlimit(RLIMIT_AS, &before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
