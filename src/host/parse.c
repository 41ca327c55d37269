/* From lowered text to the host's network. */
#include "host/private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

struct parse_call {
    const ds_host *host;
    char path[32];
    network *net;
};

static void parse(void *arg)
{
    struct parse_call *call = arg;
    call->net = call->host->parse_network_cfg(call->path);
}

/* path: where the host finds it. */
static int text_to_memfd(const char *text, char *path, size_t size, ds_error *e)
{
    int fd = memfd_create("lowered.cfg", MFD_CLOEXEC);
    if (fd >= 0 && dprintf(fd, "%s", text) >= 0) {
        snprintf(path, size, "/proc/self/fd/%d", fd);
        if (access(path, R_OK) == 0)
            return fd;
        ds_fail(e, DS_EIO, "%s: /proc is not mounted, expected it: Darknet reads the cfg there", path);
    } else
        ds_fail(e, DS_EIO, "cannot keep the lowered cfg in memory: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return DS_EIO;
}

/* Point stderr at /dev/null; returns the old one, -1 when that failed. */
static int mute(void)
{
    fflush(stderr);
    int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);
    if (saved >= 0 && null >= 0)
        dup2(null, STDERR_FILENO);
    if (null >= 0)
        close(null);
    return saved;
}

static void unmute(int saved)
{
    fflush(stderr);
    if (saved < 0)
        return;
    dup2(saved, STDERR_FILENO);
    close(saved);
}

int ds_host_parse(const ds_host *host, const char *text, ds_guard *guard, network **net, ds_error *e)
{
    struct parse_call call = {.host = host};
    int fd = text_to_memfd(text, call.path, sizeof call.path, e);
    if (fd < 0)
        return fd;
    int rc = DS_OK;
    if (guard) {
        int saved = mute();
        rc = guard(parse, &call, e);
        unmute(saved);
    } else {
        parse(&call);
    }
    close(fd);
    *net = call.net;
    return rc;
}
