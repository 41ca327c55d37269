#include "base/memory.h"

#include <limits.h>
#include <sys/resource.h>
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

/* The least of what the files of a group and of those above it say; a file without a number has no limit. */
static size_t group_limit(const char *where, const char *group, const char *name, size_t most)
{
    char path[2 * PATH_MAX];
    for (int n = (int)strlen(group); n >= 0; n--) {
        if (group[n] && group[n] != '/')
            continue;
        snprintf(path, sizeof path, "%s%.*s/%s", where, n, group, name);
        FILE *f = fopen(path, "re");
        size_t limit;
        if (f && fscanf(f, "%zu", &limit) == 1 && limit < most)
            most = limit;
        if (f)
            fclose(f);
    }
    return most;
}

size_t ds_memory_limit(void)
{
    size_t most = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    struct rlimit may;
    char line[PATH_MAX];
    if (!getrlimit(RLIMIT_AS, &may) && may.rlim_cur < most)
        most = may.rlim_cur;
    FILE *f = fopen("/proc/self/cgroup", "re"); /* NUMBER:KINDS:/GROUP */
    while (f && fgets(line, sizeof line, f)) {
        const char *kinds = strchr(line, ':');
        char *group = strchr(line, '/');
        if (!kinds || !group)
            continue;
        group[strcspn(group, "\n")] = '\0';
        if (strncmp(kinds, "::", 2) == 0)
            most = group_limit("/sys/fs/cgroup", group, "memory.max", most);
        else if (strncmp(kinds, ":memory:", 8) == 0)
            most = group_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes", most);
    }
    if (f)
        fclose(f);
    return most;
}
