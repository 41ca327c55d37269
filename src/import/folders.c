/* Images that already lie in one folder a class: nothing is copied, only lists are written. */
#include "import/parts.h"

#include "base/file.h"
#include "data/image.h"

#include <dirent.h>
#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

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
    const char *const *labels = (const char *const *)w->job->labels;
    w->label = ds_word_index(labels, w->job->classes, name);
    if (w->label >= 0)
        return DS_OK;
    const char *near = ds_nearest(name, labels, w->job->classes);
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

static int add_image(walk *w, const FTSENT *x, ds_error *e)
{
    if (strpbrk(x->fts_path, "\n\r\t"))
        return ds_fail_at(e, DS_EINPUT, x->fts_path, 0,
                          "tab or line break in a path, expected none: a list cannot hold it");
    const char *foreign = ds_foreign_name(x->fts_name);
    if (foreign)
        return ds_fail_at(e, DS_EINPUT, x->fts_path, 0,
                          "is a %s image, expected " DS_IMAGE_SUFFIXES ": convert it, or take it away",
                          foreign);
    w->job->labels_in_lists |= x->fts_level > IMAGE;
    w->job->shallow |= x->fts_level == IMAGE;
    ds_import_add(w->set, NULL, ds_strdup(x->fts_path), w->label);
    return DS_OK;
}

/* Only folders count beside the class folders; below these whatever cannot be looked at is an error. */
static int take_entry(walk *w, const FTSENT *x, ds_error *e)
{
    bool class = x->fts_level == CLASS;
    switch (x->fts_info) {
    case FTS_D:
        return class ? begin_class(w, x->fts_name, e) : DS_OK;
    case FTS_DP:
        return class && w->set->n == w->before
                   ? ds_fail_at(e, DS_EINPUT, x->fts_path, 0,
                                "no images there, expected " DS_IMAGE_SUFFIXES
                                " files: each folder is a class, but for those whose names begin with a dot")
                   : DS_OK;
    case FTS_F:
        if (x->fts_level == 0)
            return ds_fail_at(e, DS_EIO, x->fts_path, 0,
                              "is a file, expected a folder with one folder a class");
        if (ds_is_image_name(x->fts_name) && x->fts_level >= IMAGE)
            return add_image(w, x, e);
        if (w->job->others++ == 0)
            w->job->other = ds_strdup(x->fts_path);
        return DS_OK;
    case FTS_DC:
        return ds_fail_at(e, DS_EINPUT, x->fts_path, 0, "is a link to a folder that holds it, expected none");
    case FTS_DEFAULT:
        return DS_OK;
    }
    /* what is left cannot be read; a link to nothing, or to itself, has no error number */
    int reason = x->fts_errno ? x->fts_errno : access(x->fts_path, F_OK) ? errno : ENOENT;
    return class && x->fts_info != FTS_DNR
               ? DS_OK
               : ds_fail_at(e, DS_EIO, x->fts_path, 0, "cannot open: %s", strerror(reason));
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
    int rc = DS_OK;
    FTSENT *x = NULL;
    while (tree && !rc && (x = fts_read(tree))) {
        if (x->fts_level > 0 && x->fts_name[0] == '.')
            fts_set(tree, x, FTS_SKIP);
        else
            rc = take_entry(w, x, e);
    }
    if (!x && errno) /* 0 at the end */
        rc = ds_fail_at(e, DS_EIO, w->dir, 0, "cannot read the folder: %s", strerror(errno));
    if (tree)
        fts_close(tree);
    return rc;
}

/* ---- the folder to write to ---- */

/* The lists must not land among the images: the next import would take their folder for a class. Only some
 * first folders of `out` need to exist yet. */
static int check_outside(const char *out, const char *dir, ds_error *e)
{
    char whole[PATH_MAX] = "", images[PATH_MAX];
    DS_FREED char *part = ds_strdup(out);
    while (!realpath(part, whole) && strcmp(part, ".") != 0) {
        DS_FREED char *below = part;
        part = ds_path_dir(below);
    }
    if (!realpath(dir, images) || !ds_import_is_inside(whole, images))
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, out, 0, "lies among the images of '%s', expected a folder outside", dir);
}

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

/* ---- a folder of parts ---- */

/* The part that a folder is called after, or -1. */
static int part_of(const char *name)
{
    static const char *const words[DS_PARTS][3] = {[DS_PART_TRAIN] = {"train", "training"},
                                                   [DS_PART_VALID] = {"valid", "val", "validation"},
                                                   [DS_PART_CALIB] = {"calib", "calibration"},
                                                   [DS_PART_TEST] = {"test", "testing"}};
    for (int p = 0; p < DS_PARTS; p++)
        for (int k = 0; k < 3 && words[p][k]; k++)
            if (strcasecmp(name, words[p][k]) == 0)
                return p;
    return -1;
}

const char *ds_import_part_name(const ds_import_job *job)
{
    for (int c = 0; c < job->classes; c++)
        if (part_of(job->labels[c]) >= 0)
            return job->labels[c];
    return NULL;
}

/* The folders in `dir`, of parts: parts[p] is owned, as is *other, one of no part or of a part that has one.
 * Returns how many there are in all. */
static int find_parts(const char *dir, char *parts[DS_PARTS], char **other)
{
    DIR *d = opendir(dir);
    int n = 0;
    struct stat st;
    for (struct dirent *x; d && (x = readdir(d));) {
        DS_FREED char *path = ds_path_join(dir, x->d_name);
        int p = part_of(x->d_name);
        if (x->d_name[0] == '.' || stat(path, &st) || !S_ISDIR(st.st_mode))
            continue;
        n++;
        char **place = !parts ? NULL : p < 0 || parts[p] ? other : &parts[p];
        if (!place || *place)
            continue;
        *place = path;
        path = NULL;
    }
    if (d)
        closedir(d);
    return n;
}

/* Is every folder that of a part, and does that for training hold folders? Otherwise they are classes. */
static int look_for_parts(const char *dir, char *parts[DS_PARTS], bool *parted, ds_error *e)
{
    DS_FREED char *other = NULL;
    int n = find_parts(dir, parts, &other), named = 0;
    for (int p = 0; p < DS_PARTS; p++)
        named += parts[p] != NULL;
    *parted = parts[DS_PART_TRAIN] && find_parts(parts[DS_PART_TRAIN], NULL, NULL) > 0;
    if (*parted && n > named && named > 1)
        return ds_fail_at(e, DS_EINPUT, other, 0,
                          "lies beside folders of parts, expected one each of train, valid, calib and test "
                          "there, or classes alone");
    *parted &= n == named;
    return DS_OK;
}

/* Below folders that hold nothing but a folder of folders, as an archive of photos/cat and photos/dog. */
static char *inner(char *dir)
{
    for (bool alone = true; alone;) {
        DIR *d = opendir(dir);
        int n = 0;
        DS_FREED char *below = NULL;
        for (struct dirent *x; d && (x = readdir(d));)
            if (x->d_name[0] != '.' && n++ == 0)
                below = ds_path_join(dir, x->d_name);
        if (d)
            closedir(d);
        if ((alone = n == 1 && find_parts(below, NULL, NULL) > 0)) {
            free(dir);
            dir = below;
            below = NULL;
        }
    }
    return dir;
}

static int read_sets(ds_import_job *job, char *parts[DS_PARTS], ds_error *e)
{
    const ds_import *s = job->setup;
    DS_FREED char *dir = job->images ? inner(ds_strdup(job->images)) : ds_strdup(s->source[0]);
    bool parted;
    DS_TRY(look_for_parts(dir, parts, &parted, e));
    if (!parted) {
        DS_TRY(read_set(job, &job->sets[DS_PART_TRAIN], dir, true, e));
    } else {
        DS_TRY(check_outside(s->out, dir, e));
        for (int p = 0; p < DS_PARTS; p++)
            if (parts[p])
                DS_TRY(read_set(job, &job->sets[p], parts[p], p == DS_PART_TRAIN, e));
    }
    if (s->test[0] && job->sets[DS_PART_TEST].n)
        return ds_fail(e, DS_EUSAGE, "-test %s besides the folder '%s', expected only one of them",
                       s->test[0], parts[DS_PART_TEST]);
    return s->test[0] ? read_set(job, &job->sets[DS_PART_TEST], s->test[0], false, e) : DS_OK;
}

int ds_import_read_folders(ds_import_job *job, ds_error *e)
{
    char *parts[DS_PARTS] = {NULL};
    int rc = read_sets(job, parts, e);
    for (int p = 0; p < DS_PARTS; p++)
        free(parts[p]);
    return rc;
}
