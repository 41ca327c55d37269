#include "cli/place.h"
#include "data/image.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

bool ds_is_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

int ds_flush_output(ds_error *e)
{
    struct pollfd pipe = {.fd = STDOUT_FILENO};
    const int problem = ds_flush(stdout);
    if (!problem)
        return DS_OK;
    if (poll(&pipe, 1, 0) > 0 && pipe.revents & POLLERR)
        return ds_fail(e, DS_EPIPE, "nobody reads standard output any more");
    return ds_fail_at(e, DS_EIO, "standard output", 0, "cannot write: %s", strerror(problem));
}

int ds_outputs_add(ds_outputs *o, const char *flag, const char *path, FILE **f, ds_error *e)
{
    if (!path)
        return DS_OK;
    for (int i = 0; i < o->n; i++)
        if (ds_path_same(o->v[i].path, path))
            return ds_fail(e, DS_EUSAGE, "-%s %s and -%s %s, expected two places", o->v[i].flag, o->v[i].path,
                           flag, path);
    ds_output made = {.flag = flag, .path = ds_strdup(path), .f = f};
    made.there = !ds_is_stdout(path) && stat(path, &made.old) == 0 && S_ISREG(made.old.st_mode);
    o->there += made.there;
    DS_PUSH(o->v, o->n, made);
    return DS_OK;
}

int ds_outputs_keep(const ds_outputs *o, const char *const *inputs, size_t n, ds_error *e)
{
    struct stat st;
    for (size_t i = 0; i < n && inputs && o->there; i++)
        for (int k = inputs[i] && stat(inputs[i], &st) == 0 ? 0 : o->n; k < o->n; k++)
            if (o->v[k].there && o->v[k].old.st_ino == st.st_ino && o->v[k].old.st_dev == st.st_dev)
                return ds_fail(e, DS_EUSAGE,
                               "-%s %s would overwrite %s, which it is made from, expected another file",
                               o->v[k].flag, o->v[k].path, inputs[i]);
    return DS_OK;
}

int ds_outputs_keep_listed(const ds_outputs *o, const ds_datafile *d, ds_error *e)
{
    return ds_outputs_keep(o, (const char *const *)d->files, DS_DATA_FILES, e);
}

int ds_outputs_open(ds_outputs *o, ds_error *e)
{
    for (ds_output *p = o->v; p < o->v + o->n; p++) {
        if (!p->f)
            continue;
        *p->f = stdout;
        if (ds_is_stdout(p->path))
            continue;
        DS_TRY(ds_writer_open(&p->file, p->path, e));
        *p->f = p->file.f;
        if (ds_is_image_name(p->file.path) && ds_path_exists(p->file.path)) /* of any list */
            return ds_fail_at(e, DS_EUSAGE, p->path, 0, "would overwrite an image, expected another file");
    }
    return DS_OK;
}

int ds_outputs_commit(ds_outputs *o, ds_error *e)
{
    for (ds_output *p = o->v; p < o->v + o->n; p++)
        if (p->f)
            DS_TRY(p->file.f ? ds_writer_commit(&p->file, e) : ds_flush_output(e));
    return DS_OK;
}

void ds_outputs_clear(ds_outputs *o)
{
    for (int i = 0; i < o->n; i++) {
        ds_writer_abort(&o->v[i].file);
        free(o->v[i].path);
    }
    free(o->v);
    *o = (ds_outputs){0};
}
