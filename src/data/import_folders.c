/* Images that already lie in one folder a class: nothing is copied, only lists are written. */
#include "data/import_parts.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/image.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Levels below the folder given: a class's folder, and what lies in it. */
enum { CLASS = 1, IMAGE = 2 };

typedef struct walk {
    ds_import_job *job;
    ds_import_set *set;
    const char *dir;
    bool first; /* the folders are the classes; otherwise they have to be known ones */
    int label;  /* of the class at hand */
    int before; /* images before it */
} walk;

/* ---- classes ---- */

static int check_class_name(const char *dir, const char *name, ds_error *e)
{
    if (!strpbrk(name, "\n\r\t") && name[0] != ' ' && name[strlen(name) - 1] != ' ')
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, dir, 0,
                      "tab or line break in the class folder '%s', or a blank at its ends, expected none",
                      name);
}

static int find_class(walk *w, const char *name, ds_error *e)
{
    char **labels = w->job->labels;
    for (w->label = 0; w->label < w->job->classes; w->label++)
        if (strcmp(labels[w->label], name) == 0)
            return DS_OK;
    const char *near = ds_nearest(name, (const char *const *)labels, w->job->classes);
    return ds_fail_at(e, DS_EINPUT, w->dir, 0, "folder '%s' is no class of the training folder, %s%s%s", name,
                      near ? "did you mean '" : "expected one of its folders", near ? near : "",
                      near ? "'?" : "");
}

static int begin_class(walk *w, const char *name, ds_error *e)
{
    DS_TRY(check_class_name(w->dir, name, e));
    w->before = w->set->n;
    w->label = w->job->classes;
    if (!w->first)
        return find_class(w, name, e);
    DS_PUSH(w->job->labels, w->job->classes, ds_strdup(name));
    return DS_OK;
}

/* ---- the walk ---- */

static int add_image(walk *w, const FTSENT *x, ds_error *e)
{
    if (strpbrk(x->fts_path, "\n\r\t"))
        return ds_fail_at(e, DS_EINPUT, x->fts_path, 0,
                          "tab or line break in a path, expected none: a list cannot hold it");
    w->job->labels_in_lists |= x->fts_level > IMAGE;
    ds_import_add_file(w->set, ds_strdup(x->fts_path), w->label);
    return DS_OK;
}

/* Only folders count beside the class folders; below these whatever cannot be looked at is an error. */
static int take_entry(walk *w, const FTSENT *x, ds_error *e)
{
    int problem = x->fts_info == FTS_SLNONE ? ENOENT : x->fts_errno;
    switch (x->fts_info) {
    case FTS_D:
        return x->fts_level == CLASS ? begin_class(w, x->fts_name, e) : DS_OK;
    case FTS_DP:
        if (x->fts_level == CLASS && w->set->n == w->before)
            return ds_fail_at(e, DS_EINPUT, x->fts_path, 0,
                              "no images there, expected " DS_IMAGE_SUFFIXES " files");
        return DS_OK;
    case FTS_F:
        return x->fts_level >= IMAGE && ds_is_image_name(x->fts_name) ? add_image(w, x, e) : DS_OK;
    case FTS_DC:
        return ds_fail_at(e, DS_EINPUT, x->fts_path, 0, "is a link to a folder that holds it, expected none");
    case FTS_DNR:
    case FTS_ERR:
        return ds_fail_at(e, DS_EIO, x->fts_path, 0,
                          "cannot read the folder: %s, expected one folder a class in it", strerror(problem));
    case FTS_NS:
    case FTS_SLNONE:
        return x->fts_level < IMAGE
                   ? DS_OK
                   : ds_fail_at(e, DS_EIO, x->fts_path, 0, "cannot open: %s", strerror(problem));
    }
    return DS_OK;
}

/* By bytes, so that every locale gives the same order. */
static int by_bytes(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Links are followed; what is hidden is passed over. */
static int walk_tree(walk *w, ds_error *e)
{
    char *const roots[] = {(char *)w->dir, NULL};
    FTS *tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_bytes);
    if (!tree)
        ds_out_of_memory();
    int rc = DS_OK;
    FTSENT *x;
    while (!rc && (errno = 0, x = fts_read(tree))) {
        if (x->fts_level > 0 && x->fts_name[0] == '.')
            fts_set(tree, x, FTS_SKIP);
        else
            rc = take_entry(w, x, e);
    }
    if (!rc && errno)
        rc = ds_fail_at(e, DS_EIO, w->dir, 0, "cannot read the folder: %s", strerror(errno));
    fts_close(tree);
    return rc;
}

/* ---- the folder to write to ---- */

/* Where `path` will lie, of which only some first folders need to exist yet: those, resolved. */
static int resolve_existing(const char *path, char *whole, ds_error *e)
{
    char *part = ds_strdup(path);
    while (part && !realpath(part, whole)) {
        bool last = !strchr(part, '/') && strcmp(part, ".") == 0;
        char *up = last ? NULL : ds_path_dir(part);
        free(part);
        part = up;
    }
    if (!part)
        return ds_fail_at(e, DS_EIO, path, 0, "cannot find where it lies: %s", strerror(errno));
    free(part);
    return DS_OK;
}

/* The lists must not land among the images: the next import would take their folder for a class. */
static int check_outside(const char *out, const char *dir, ds_error *e)
{
    char whole[PATH_MAX];
    size_t n = strlen(dir);
    DS_TRY(resolve_existing(out, whole, e));
    if (strncmp(whole, dir, n) != 0 || (whole[n] && whole[n] != '/'))
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, out, 0, "lies among the images of '%s', expected a folder outside", dir);
}

/* ---- the whole ---- */

static int read_set(ds_import_job *job, ds_import_set *set, const char *dir, bool first, ds_error *e)
{
    char whole[PATH_MAX];
    if (!realpath(dir, whole))
        return ds_fail_at(e, DS_EIO, dir, 0, "cannot open: %s, expected a folder with one folder a class",
                          strerror(errno));
    DS_TRY(check_outside(job->setup->out, whole, e));
    walk w = {.job = job, .set = set, .dir = whole, .first = first};
    DS_TRY(walk_tree(&w, e));
    if (job->classes < 2)
        return ds_fail_at(e, DS_EINPUT, whole, 0,
                          "%d class folder%s there, expected one for each of at least 2 classes",
                          job->classes, job->classes == 1 ? "" : "s");
    if (set->n == 0)
        return ds_fail_at(e, DS_EINPUT, whole, 0,
                          "no class folders there, expected those of the training folder");
    return DS_OK;
}

int ds_import_read_folders(ds_import_job *job, ds_error *e)
{
    const ds_import *s = job->setup;
    job->has_test = s->test[0] != NULL;
    DS_TRY(read_set(job, &job->train, s->source[0], true, e));
    return job->has_test ? read_set(job, &job->test, s->test[0], false, e) : DS_OK;
}
