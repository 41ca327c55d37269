#include "base/memory.h"

#include <unistd.h>

static void (*on_failure)(void);

void ds_memory_handler(void (*handler)(void))
{
    on_failure = handler;
}

/* Without stdio and exit functions: they may need memory, or a lock that another thread holds. */
_Noreturn void ds_out_of_memory(void)
{
    static const char text[] = "error: out of memory\n";
    if (on_failure)
        on_failure();
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
    _Exit(1);
}

void ds_free_at(void *pointer)
{
    void *p;
    memcpy(&p, pointer, sizeof p);
    free(p);
}

static void *check(void *p)
{
    if (!p)
        ds_out_of_memory();
    return p;
}

void *ds_xmalloc(size_t n)
{
    return check(malloc(n ? n : 1));
}

void *ds_xcalloc(size_t n, size_t size)
{
    return check(calloc(n ? n : 1, size));
}

void *ds_xrealloc(void *p, size_t n, size_t size)
{
    return check(reallocarray(p, n && size ? n : 1, n && size ? size : 1));
}
