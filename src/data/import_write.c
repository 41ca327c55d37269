#include "data/import_parts.h"

#include "base/file.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_LINE "# written by classifier import"

/* Keys that a split may fill, and "train", whose list holds the rest. */
static const char *const part_keys[] = {"valid", "calib", "test", "train"};
enum { SPLIT_KEYS = 3, LISTS = 4 };

/* ---- splits ---- */

static int check_name(const char *name, bool has_test, ds_error *e)
{
    if (strcmp(name, "train") == 0)
        return ds_fail(e, DS_EUSAGE,
                       "split 'train', expected valid, calib or test: train keeps what they leave");
    if (strcmp(name, "test") == 0 && has_test)
        return ds_fail(e, DS_EUSAGE,
                       "split 'test' besides -test or test images of the archive, expected only one of them");
    for (int k = 0; k < SPLIT_KEYS; k++)
        if (strcmp(name, part_keys[k]) == 0)
            return DS_OK;
    const char *near = ds_nearest(name, part_keys, SPLIT_KEYS);
    return ds_fail(e, DS_EUSAGE, "unknown split '%s', expected valid, calib or test%s%s%s", name,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

int ds_import_check_splits(const ds_split *splits, int n_splits, bool has_test, int n, ds_error *e)
{
    long long sum = 0;
    for (int s = 0; s < n_splits; s++) {
        int rc = check_name(splits[s].name, has_test, e);
        if (rc)
            return rc;
        for (int t = 0; t < s; t++)
            if (strcmp(splits[s].name, splits[t].name) == 0)
                return ds_fail(e, DS_EUSAGE, "split '%s' given twice, expected it once", splits[s].name);
        if (splits[s].count < 1)
            return ds_fail(e, DS_EUSAGE, "split %s=%d, expected a count from 1", splits[s].name,
                           splits[s].count);
        sum += splits[s].count;
    }
    if (sum >= n)
        return ds_fail(e, DS_EINPUT,
                       "the splits take %lld images, expected fewer than the %d training images", sum, n);
    return DS_OK;
}

/* ---- the folder ---- */

/* Is `path` a .data file of ours? Someone else's is not to be lost. */
static bool is_ours(const char *path)
{
    char head[sizeof FIRST_LINE] = "";
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    size_t n = fread(head, 1, sizeof head - 1, f);
    fclose(f);
    return n == sizeof head - 1 && strcmp(head, FIRST_LINE) == 0;
}

static int check_empty(const ds_import *im, ds_error *e)
{
    if (is_ours(im->data_path) || ds_path_exists(im->mark))
        return DS_OK;
    DIR *d = opendir(im->dir);
    if (!d)
        return ds_fail_at(e, DS_EIO, im->dir, 0, "cannot read the folder: %s", strerror(errno));
    const struct dirent *entry;
    bool empty = true;
    while (empty && (entry = readdir(d)))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(d);
    return empty ? DS_OK
                 : ds_fail_at(e, DS_EINPUT, im->dir, 0,
                              "is not empty, expected a new folder, an empty one, or one of an earlier "
                              "import (with its %s)",
                              ds_path_base(im->data_path));
}

static int name_files(ds_import *im, ds_error *e)
{
    char whole[PATH_MAX];
    if (!realpath(im->dir, whole))
        return ds_fail_at(e, DS_EIO, im->dir, 0, "cannot find the folder: %s", strerror(errno));
    const char *base = ds_path_base(whole);
    char *name = ds_format("%s.data", *base ? base : "images");
    im->data_path = name ? ds_path_join(im->dir, name) : NULL;
    im->mark = ds_path_join(im->dir, ".import_unfinished");
    free(name);
    return im->data_path && im->mark ? DS_OK : ds_fail_memory(e);
}

static int remove_file(const char *path, ds_error *e)
{
    if (unlink(path) && errno != ENOENT)
        return ds_fail_at(e, DS_EIO, path, 0, "cannot remove: %s", strerror(errno));
    return DS_OK;
}

static char *list_path(const ds_import *im, const char *key)
{
    char *name = ds_format("%s.list", key), *path = name ? ds_path_join(im->dir, name) : NULL;
    free(name);
    return path;
}

/* The mark comes first: from here on the folder is ours, whatever happens. */
static int remove_earlier(const ds_import *im, ds_error *e)
{
    int fd = open(im->mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || close(fd))
        return ds_fail_at(e, DS_EIO, im->dir, 0, "cannot write there: %s", strerror(errno));
    int rc = remove_file(im->data_path, e);
    for (int k = 0; k < LISTS && !rc; k++) {
        char *path = list_path(im, part_keys[k]);
        rc = path ? remove_file(path, e) : ds_fail_memory(e);
        free(path);
    }
    return rc;
}

int ds_import_open(ds_import *im, const char *out, ds_error *e)
{
    if (!*out)
        return ds_fail(e, DS_EUSAGE, "no folder given, expected one to write to");
    im->dir = ds_strdup(out);
    if (!im->dir)
        return ds_fail_memory(e);
    int rc = ds_make_dirs(out, e);
    if (!rc)
        rc = name_files(im, e);
    if (!rc)
        rc = check_empty(im, e);
    return rc ? rc : remove_earlier(im, e);
}

/* ---- lists ---- */

/* Write the images with part[i] == which (part NULL: all) and count them. */
static int write_list(const ds_import *im, const char *key, const ds_import_set *set, const int *part,
                      int which, int *count, ds_error *e)
{
    char *path = list_path(im, key);
    ds_writer w;
    int rc = path ? ds_writer_open(&w, path, e) : ds_fail_memory(e);
    free(path);
    if (rc)
        return rc;
    *count = 0;
    for (int i = 0; i < set->n; i++) {
        if (part && part[i] != which)
            continue;
        ++*count;
        if (im->labels_in_lists)
            fprintf(w.f, "%s\t%s\n", set->paths[i], im->labels[set->labels[i]]);
        else
            fprintf(w.f, "%s\n", set->paths[i]);
    }
    return ds_writer_commit(&w, e);
}

static int write_lines(const ds_import *im, const char *name, char **lines, ds_error *e)
{
    char *path = ds_path_join(im->dir, name);
    ds_writer w;
    int rc = path ? ds_writer_open(&w, path, e) : ds_fail_memory(e);
    free(path);
    if (rc)
        return rc;
    for (int c = 0; c < im->classes; c++)
        fprintf(w.f, "%s\n", lines[c]);
    return ds_writer_commit(&w, e);
}

static int write_lists(const ds_import *im, const ds_split *splits, int n_splits, const int *part,
                       ds_imported *done, ds_error *e)
{
    int rc = write_list(im, "train", &im->train, part, -1, &done->train, e), count = 0;
    for (int s = 0; s < n_splits && !rc; s++) {
        rc = write_list(im, splits[s].name, &im->train, part, s, &count, e);
        if (!rc && strcmp(splits[s].name, "test") == 0)
            done->test = count;
    }
    if (!rc && im->has_test)
        rc = write_list(im, "test", &im->test, NULL, 0, &done->test, e);
    return rc;
}

static int write_data(const ds_import *im, const ds_split *splits, int n_splits, ds_error *e)
{
    ds_writer w;
    int rc = ds_writer_open(&w, im->data_path, e);
    if (rc)
        return rc;
    fprintf(w.f, FIRST_LINE "\nclasses=%d\ntrain=train.list\n", im->classes);
    for (int s = 0; s < n_splits; s++)
        fprintf(w.f, "%s=%s.list\n", splits[s].name, splits[s].name);
    if (im->has_test)
        fputs("test=test.list\n", w.f);
    fputs("labels=labels\n", w.f);
    if (im->names)
        fputs("names=names\n", w.f);
    fprintf(w.f, "labels_from=%s\nbackup=backup\ntop=%d\n", im->labels_in_lists ? "list" : "directory",
            im->classes < 5 ? im->classes : 5);
    return ds_writer_commit(&w, e);
}

int ds_import_finish(ds_import *im, const ds_split *splits, int n_splits, uint64_t seed, ds_imported *done,
                     ds_error *e)
{
    int *part = malloc(((size_t)im->train.n + 1) * sizeof *part);
    if (!part)
        return ds_fail_memory(e);
    *done = (ds_imported){.n = im->train.n + im->test.n, .classes = im->classes};
    int rc = ds_split_stratified(im->train.labels, im->train.n, im->classes, splits, n_splits, seed, part, e);
    if (!rc)
        rc = write_lines(im, "labels", im->labels, e);
    if (!rc && im->names)
        rc = write_lines(im, "names", im->names, e);
    if (!rc)
        rc = write_lists(im, splits, n_splits, part, done, e);
    if (!rc)
        rc = write_data(im, splits, n_splits, e);
    free(part);
    if (!rc)
        rc = remove_file(im->mark, e);
    if (!rc && !(done->data_path = ds_strdup(im->data_path)))
        rc = ds_fail_memory(e);
    return rc;
}

/* ---- memory ---- */

static int grow(ds_import_set *set, ds_error *e)
{
    if (set->capacity > INT_MAX / 2)
        return ds_fail(e, DS_EINPUT, "more than %d images, expected fewer", set->n);
    int capacity = set->capacity ? 2 * set->capacity : 1024;
    char **paths = realloc(set->paths, (size_t)capacity * sizeof *paths);
    if (paths)
        set->paths = paths;
    int *labels = realloc(set->labels, (size_t)capacity * sizeof *labels);
    if (labels)
        set->labels = labels;
    if (!paths || !labels)
        return ds_fail_memory(e);
    set->capacity = capacity;
    return DS_OK;
}

int ds_import_add(ds_import_set *set, char *path, int label, ds_error *e)
{
    if (!path)
        return ds_fail_memory(e);
    int rc = set->n == set->capacity ? grow(set, e) : DS_OK;
    if (rc) {
        free(path);
        return rc;
    }
    set->paths[set->n] = path;
    set->labels[set->n++] = label;
    return DS_OK;
}

static void clear_set(ds_import_set *set)
{
    for (int i = 0; i < set->n; i++)
        free(set->paths[i]);
    free(set->paths);
    free(set->labels);
}

static void clear_texts(char **texts, int n)
{
    for (int i = 0; texts && i < n; i++)
        free(texts[i]);
    free(texts);
}

void ds_import_clear(ds_import *im)
{
    free(im->dir);
    free(im->data_path);
    free(im->mark);
    clear_texts(im->labels, im->classes);
    clear_texts(im->names, im->classes);
    clear_set(&im->train);
    clear_set(&im->test);
    *im = (ds_import){0};
}
