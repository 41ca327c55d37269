#include "cli/place.h"
#include "data/lines.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool ds_is_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

int ds_place_open(ds_place *p, const char *path, ds_error *e)
{
    *p = (ds_place){.f = ds_is_stdout(path) ? stdout : NULL};
    if (!path || p->f)
        return DS_OK;
    DS_TRY(ds_writer_open(&p->file, path, e));
    p->f = p->file.f;
    return DS_OK;
}

int ds_flush_output(ds_error *e)
{
    bool failed = ferror(stdout);
    struct pollfd pipe = {.fd = STDOUT_FILENO};
    errno = 0;
    if (fflush(stdout) == 0 && !failed)
        return DS_OK;
    int problem = errno;
    if (poll(&pipe, 1, 0) > 0 && pipe.revents & POLLERR)
        return ds_fail(e, DS_EPIPE, "nobody reads standard output any more");
    return ds_fail_at(e, DS_EIO, "standard output", 0, "cannot write: %s",
                      problem ? strerror(problem) : "an earlier write failed");
}

int ds_place_commit(ds_place *p, ds_error *e)
{
    if (!p->f)
        return DS_OK;
    return p->f == stdout ? ds_flush_output(e) : ds_writer_commit(&p->file, e);
}

void ds_place_abort(ds_place *p)
{
    ds_writer_abort(&p->file);
}

int ds_keep_input(const char *flag, const char *path, const char *input, ds_error *e)
{
    if (!path || !input || ds_is_stdout(path) || !ds_path_same(path, input))
        return DS_OK;
    return ds_fail(e, DS_EUSAGE, "-%s %s would overwrite %s, which it is made from, expected another file",
                   flag, path, input);
}

int ds_keep_listed(const ds_datafile *d, int (*keep)(const void *arg, const char *input, ds_error *e),
                   const void *arg, ds_error *e)
{
    const char *const files[] = {d->train, d->valid, d->calib, d->test, d->labels_path, d->names_path};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        DS_TRY(keep(arg, files[i], e));
    return DS_OK;
}
