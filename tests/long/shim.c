/* For LD_PRELOAD: counts the calls that change files, and interrupts at one of them. In the environment
 *   SHIM=kill:N:SIGNAL    that signal before call N
 *   SHIM=fail:N:ERRNO     call N and all after it fail, but those that remove: a full disk, one that was mounted read-only
 *   SHIM=beside:N:ERRNO   fsync N of other threads than the first takes .3 s and fails
 *   SHIM=clock:N:SECONDS  from reading N on the calendar's clock is off by so much
 *   SHIM_LOG=FILE         a line for each call */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long number(const char *mode, int field)
{
    const char *s = getenv("SHIM");
    if (!s || strncmp(s, mode, strlen(mode)) != 0)
        return 0;
    for (; s && field > 0; field--)
        s = strchr(s, ':') ? strchr(s, ':') + 1 : NULL;
    return s ? strtol(s, NULL, 10) : 0;
}

static void append(const char *call, const char *path)
{
    char line[4096];
    const char *log = getenv("SHIM_LOG");
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    int fd = log ? real(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    int n = snprintf(line, sizeof line, "%s %s\n", call, path ? path : "");
    if (fd >= 0 && (write(fd, line, (size_t)n) < 0 || close(fd)))
        abort();
}

static int fails_beside(const char *call)
{
    static atomic_long calls;
    const long at = number("beside", 1);
    if (!at || gettid() == getpid() || strcmp(call, "fsync") != 0 || atomic_fetch_add(&calls, 1) + 1 != at)
        return 0;
    usleep(300000);
    errno = (int)number("beside", 2);
    return 1;
}

/* One more call. Must it fail? errno says how. */
static int fails(const char *call, const char *path)
{
    static atomic_long calls;
    long now = atomic_fetch_add(&calls, 1) + 1, from = number("fail", 1);
    append(call, path);
    if (now == number("kill", 1))
        kill(getpid(), (int)number("kill", 2));
    if (fails_beside(call))
        return 1;
    if (!from || now < from || strcmp(call, "unlink") == 0)
        return 0;
    errno = (int)number("fail", 2);
    return 1;
}

#define WRAP(name, parameters, arguments, path)                                                                                \
    int name parameters                                                                                                        \
    {                                                                                                                          \
        int(*real) parameters = (int(*) parameters)dlsym(RTLD_NEXT, #name);                                                    \
        return fails(#name, path) ? -1 : real arguments;                                                                       \
    }

WRAP(rename, (const char *a, const char *b), (a, b), b)
WRAP(renameat, (int d, const char *a, int e, const char *b), (d, a, e, b), b)
WRAP(renameat2, (int d, const char *a, int e, const char *b, unsigned f), (d, a, e, b, f), b)
WRAP(link, (const char *a, const char *b), (a, b), b)
WRAP(linkat, (int d, const char *a, int e, const char *b, int f), (d, a, e, b, f), b)
WRAP(symlink, (const char *a, const char *b), (a, b), b)
WRAP(symlinkat, (const char *a, int d, const char *b), (a, d, b), b)
WRAP(mkdir, (const char *a, mode_t m), (a, m), a)
WRAP(unlink, (const char *a), (a), a)
WRAP(fsync, (int fd), (fd), NULL)
WRAP(fdatasync, (int fd), (fd), NULL)

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    return flags & O_CREAT && fails("open", path) ? -1 : real(path, flags, mode);
}

/* The writes of stdio cannot be wrapped, its flushes can. */
int fflush(FILE *f)
{
    struct stat st;
    int (*real)(FILE *) = (int (*)(FILE *))dlsym(RTLD_NEXT, "fflush");
    int is_file = f && fileno(f) > STDERR_FILENO && fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode);
    return is_file && fails("fflush", NULL) ? EOF : real(f);
}

/* ---- clocks ---- */

static time_t off(void)
{
    static atomic_long readings;
    long from = number("clock", 1);
    return from && atomic_fetch_add(&readings, 1) + 1 >= from ? number("clock", 2) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real(clock, t);
    time_t more = off(); /* each reading counts, monotonic ones too, which never jump */
    if (rc == 0 && clock == CLOCK_REALTIME)
        t->tv_sec += more;
    return rc;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    int (*real)(struct timeval *, void *) = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
    int rc = real(t, zone);
    if (rc == 0)
        t->tv_sec += off();
    return rc;
}

time_t time(time_t *t)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t)
        *t = now.tv_sec;
    return now.tv_sec;
}
