/* Images that already lie in one folder a class: nothing is copied, only lists are written. */
#include "data/import_parts.h"

#include "base/file.h"
#include "base/text.h"
#include "data/entries.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char wanted[] = "one folder a class in it";

/* ---- images below a class folder ---- */

/* The folders from a class folder down to the one at hand: a link that leads back to one of them would never
 * end. */
typedef struct level {
    const struct level *up;
    dev_t device;
    ino_t inode;
} level;

typedef struct walk {
    ds_import_set *set;
    int label;
    bool *nested; /* set when an image lies deeper than the class folder itself */
} walk;

static int walk_folder(const walk *w, const char *dir, const level *up, const struct stat *st, ds_error *e);

/* Takes over `path`. */
static int walk_entry(const walk *w, char *path, const level *here, ds_error *e)
{
    struct stat st;
    int rc = DS_OK;
    if (stat(path, &st))
        rc = ds_fail_at(e, DS_EIO, path, 0, "cannot open: %s", strerror(errno));
    else if (S_ISDIR(st.st_mode))
        rc = walk_folder(w, path, here, &st, e);
    else if (S_ISREG(st.st_mode) && ds_is_image_name(path)) {
        if (strpbrk(path, "\n\r\t"))
            rc = ds_fail_at(e, DS_EINPUT, path, 0,
                            "tab or line break in a path, expected none: a list cannot hold it");
        *w->nested |= here->up != NULL;
        if (!rc)
            return ds_import_add(w->set, path, w->label, e);
    }
    free(path);
    return rc;
}

static int walk_folder(const walk *w, const char *dir, const level *up, const struct stat *st, ds_error *e)
{
    for (const level *l = up; l; l = l->up)
        if (l->device == st->st_dev && l->inode == st->st_ino)
            return ds_fail_at(e, DS_EINPUT, dir, 0, "is a link to a folder that holds it, expected none");
    level here = {up, st->st_dev, st->st_ino};
    ds_entries list;
    int rc = ds_entries_read(dir, wanted, &list, e);
    for (int i = 0; i < list.n && !rc; i++) {
        char *path = ds_path_join(dir, list.v[i]->d_name);
        rc = path ? walk_entry(w, path, &here, e) : ds_fail_memory(e);
    }
    ds_entries_release(&list);
    return rc;
}

static int walk_class(ds_import_set *set, const char *dir, int label, bool *nested, ds_error *e)
{
    struct stat st;
    if (stat(dir, &st))
        return ds_fail_at(e, DS_EIO, dir, 0, "cannot open: %s", strerror(errno));
    walk w = {set, label, nested};
    int before = set->n, rc = walk_folder(&w, dir, NULL, &st, e);
    if (!rc && set->n == before)
        rc = ds_fail_at(e, DS_EINPUT, dir, 0, "no images there, expected " DS_IMAGE_SUFFIXES " files");
    return rc;
}

/* ---- classes ---- */

static int check_class_name(const char *dir, const char *name, ds_error *e)
{
    size_t n = strlen(name);
    if (strpbrk(name, "\n\r\t"))
        return ds_fail_at(e, DS_EINPUT, dir, 0, "tab or line break in the class folder '%s', expected none",
                          name);
    if (name[0] == ' ' || name[n - 1] == ' ')
        return ds_fail_at(e, DS_EINPUT, dir, 0,
                          "class folder '%s' begins or ends with a blank, expected none there", name);
    return DS_OK;
}

/* The sub-folders of `dir`; other things beside them are nobody's class. */
static int read_class_folders(const char *dir, ds_entries *list, ds_error *e)
{
    int rc = ds_entries_read(dir, wanted, list, e), kept = 0;
    for (int i = 0; i < list->n; i++) {
        struct stat st;
        char *path = rc ? NULL : ds_path_join(dir, list->v[i]->d_name);
        if (!rc && !path)
            rc = ds_fail_memory(e);
        if (!rc && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            rc = check_class_name(dir, list->v[i]->d_name, e);
            list->v[kept++] = list->v[i];
        } else {
            free(list->v[i]);
        }
        free(path);
    }
    list->n = kept;
    return rc;
}

static int take_classes(ds_import *im, const ds_entries *list, const char *dir, ds_error *e)
{
    if (list->n < 2)
        return ds_fail_at(e, DS_EINPUT, dir, 0,
                          "%d class folder%s there, expected one for each of at least 2 classes", list->n,
                          list->n == 1 ? "" : "s");
    if (!(im->labels = calloc((size_t)list->n, sizeof *im->labels)))
        return ds_fail_memory(e);
    for (; im->classes < list->n; im->classes++)
        if (!(im->labels[im->classes] = ds_strdup(list->v[im->classes]->d_name)))
            return ds_fail_memory(e);
    return DS_OK;
}

static int class_of(const ds_import *im, const char *dir, const char *name, int *label, ds_error *e)
{
    for (*label = 0; *label < im->classes; ++*label)
        if (strcmp(im->labels[*label], name) == 0)
            return DS_OK;
    const char *near = ds_nearest(name, (const char *const *)im->labels, im->classes);
    return ds_fail_at(e, DS_EINPUT, dir, 0, "folder '%s' is no class of the training folder, %s%s%s", name,
                      near ? "did you mean '" : "expected one of its folders", near ? near : "",
                      near ? "'?" : "");
}

/* All images of `dir`; `first`: its folders are the classes, otherwise they have to be known ones. */
static int read_set(ds_import *im, ds_import_set *set, const char *dir, bool first, ds_error *e)
{
    ds_entries list;
    int rc = read_class_folders(dir, &list, e);
    if (!rc && first)
        rc = take_classes(im, &list, dir, e);
    for (int i = 0, label = 0; i < list.n && !rc; i++) {
        rc = class_of(im, dir, list.v[i]->d_name, &label, e);
        char *path = rc ? NULL : ds_path_join(dir, list.v[i]->d_name);
        if (!rc)
            rc = path ? walk_class(set, path, label, &im->labels_in_lists, e) : ds_fail_memory(e);
        free(path);
    }
    ds_entries_release(&list);
    if (!rc && set->n == 0)
        rc =
            ds_fail_at(e, DS_EINPUT, dir, 0, "no class folders there, expected those of the training folder");
    return rc;
}

/* ---- the whole ---- */

static int resolve(const char *dir, char *whole, ds_error *e)
{
    if (!realpath(dir, whole))
        return ds_fail_at(e, DS_EIO, dir, 0, "cannot open: %s, expected a folder with one folder a class",
                          strerror(errno));
    return DS_OK;
}

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
    int rc = resolve_existing(out, whole, e);
    if (rc || strncmp(whole, dir, n) != 0 || (whole[n] && whole[n] != '/'))
        return rc;
    return ds_fail_at(e, DS_EINPUT, out, 0, "lies among the images of '%s', expected a folder outside", dir);
}

static int write_all(ds_import *im, const ds_import_folders *s, ds_imported *done, ds_error *e)
{
    int rc = ds_import_check_splits(s->splits, s->n_splits, im->has_test, im->train.n, e);
    if (!rc)
        rc = ds_import_open(im, s->out, e);
    return rc ? rc : ds_import_finish(im, s->splits, s->n_splits, s->seed, done, e);
}

/* `dir` resolved, and its images; `out` is only looked at. */
static int take_folder(ds_import *im, ds_import_set *set, const char *dir, const char *out, bool first,
                       ds_error *e)
{
    char whole[PATH_MAX];
    int rc = resolve(dir, whole, e);
    if (!rc)
        rc = check_outside(out, whole, e);
    return rc ? rc : read_set(im, set, whole, first, e);
}

int ds_import_folders_run(const ds_import_folders *s, ds_imported *done, ds_error *e)
{
    ds_import im = {.has_test = s->test_dir != NULL};
    *done = (ds_imported){0};
    int rc = take_folder(&im, &im.train, s->dir, s->out, true, e);
    if (!rc && s->test_dir)
        rc = take_folder(&im, &im.test, s->test_dir, s->out, false, e);
    if (!rc)
        rc = write_all(&im, s, done, e);
    ds_import_clear(&im);
    return rc;
}
