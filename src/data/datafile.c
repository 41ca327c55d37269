#include "base/file.h"
#include "base/problem.h"
#include "data/data.h"
#include "data/labels.h"
#include "data/lines.h"

#include <errno.h>
#include <limits.h>

static const char *const labels_from_names[] = {"substring", "directory", "filename", "list", NULL};

const char *const ds_best_names[] = {"auto", "balanced", "top1", "nll", "aurc", NULL};

#define DS_STATE ds_datafile
#define FILE_KEY(key, field, text) OPT_TEXT(key, field, text, .unit = "FILE")

const ds_option ds_datafile_options[] = {
    FILE_KEY("train", train, "list of the images to train on"),
    FILE_KEY("valid", valid, "list of the images that choose the best weights"),
    FILE_KEY("calib", calib, "list of the images that set the threshold, none of them in another list"),
    FILE_KEY("test", test, "list of the images for the final figures; valid= when absent"),
    FILE_KEY("labels", labels_path, "labels, one a line"),
    FILE_KEY("names", names_path, "names to display, one a label; the labels when absent"),
    OPT_INT("classes", classes_key, "number of labels; counted when absent", OPT_RANGE(1, INT_MAX)),
    OPT_ENUM(
        "best", best, ds_best_names,
        "what valid= chooses the best weights by; auto: top1, balanced accuracy where the largest class of "
        "train= is over 3 times the smallest",
        .def = "auto"),
    OPT_TEXT("backup", backup, "folder for weights", .def = "backup", .unit = "DIR"),
    OPT_INT("top", top, "k of the top-k accuracy", .def = "1", OPT_RANGE(1, INT_MAX)),
    OPT_ENUM("labels_from", labels_from, labels_from_names, "where the label of an image stands",
             .def = "substring"),
    OPT_BOOL("exif", exif, "turn images as their EXIF data says; 0: take the pixels as they are stored",
             .def = "1"),
    OPT_CHECK(DS_TEXT, "eval", "of other commands, no effect here"),
    OPT_CHECK(DS_TEXT, "map", "of other commands, no effect here"),
    OPT_CHECK(DS_TEXT, "results", "of other commands, no effect here"),
    OPT_CHECK(DS_TEXT, "leaves", "of hierarchies, no effect here"),
    OPT_CHECK(DS_TEXT, "tree", "of hierarchies, refused"),
    OPT_CHECK(DS_TEXT, "tag", "0 only: several labels an image are refused"),
    OPT_END,
};

/* Pairs of a .data file; they point into its text. */
typedef struct pairs {
    ds_pair *v;
    int n;
} pairs;

static int add_pair(pairs *p, char *line, int number, const char *path, ds_error *e)
{
    char *value = strchr(line, '=');
    if (!value)
        return ds_fail_at(e, DS_EINPUT, path, number, "'%.80s', expected key=value", line);
    *value++ = '\0';
    ds_pair pair = {.key = ds_trim(line), .value = ds_trim(value), .line = number};
    if (!pair.key[0] || !pair.value[0])
        return ds_fail_at(e, DS_EINPUT, path, number, "'%s=%s', expected a key and a value", pair.key,
                          pair.value);
    DS_PUSH(p->v, p->n, pair);
    return DS_OK;
}

static int parse(char *text, pairs *p, const char *path, ds_error *e)
{
    ds_lines lines = ds_lines_of(text);
    char *line;
    while ((line = ds_lines_next(&lines)))
        if (*line == '[')
            return ds_fail_at(e, DS_EINPUT, path, lines.line,
                              "'%.80s': a network, expected a .data file: DATA comes before CFG", line);
        else if (*line && *line != '#' && *line != ';')
            DS_TRY(ds_keep(e, add_pair(p, line, lines.line, path, e)));
    return p->n ? DS_OK : ds_fail_at(e, DS_EINPUT, path, 0, "has no key=value, expected a .data file");
}

static int refuse_hierarchy(const pairs *p, const char *path, ds_error *e)
{
    const ds_pair *tree = ds_pair_find(p->v, p->n, "tree"), *tag = ds_pair_find(p->v, p->n, "tag");
    if (tree)
        return ds_fail_at(
            e, DS_EINPUT, path, tree->line,
            "tree=%s: label hierarchies are not supported, expected a flat list in labels=", tree->value);
    if (tag && strcmp(tag->value, "0") != 0)
        return ds_fail_at(
            e, DS_EINPUT, path, tag->line,
            "tag=%s: several labels an image are not supported, expected tag=0 or no tag=", tag->value);
    return DS_OK;
}

static int check_counts(const ds_datafile *d, const pairs *p, ds_error *e)
{
    if (d->classes_key && d->classes_key != d->classes)
        return ds_fail_at(e, DS_EINPUT, d->path, ds_pair_find(p->v, p->n, "classes")->line,
                          "classes=%d, but %s has %d labels, expected the two to be equal", d->classes_key,
                          d->labels_path, d->classes);
    if (d->top > d->classes)
        return ds_fail_at(e, DS_EINPUT, d->path, ds_pair_find(p->v, p->n, "top")->line,
                          "top=%d, expected at most the %d classes", d->top, d->classes);
    return DS_OK;
}

static void find_files(ds_datafile *d)
{
    ds_near near = ds_near_of(d->path, d->notes);
    for (int i = 0; i < DS_DATA_FILES; i++) {
        DS_FREED char *path = d->files[i];
        near.told = false;
        d->files[i] = path ? ds_near_find(&near, path) : NULL;
    }
    free(near.dir);
}

/* A file that is not there: who says that it is. */
static int check_there(const ds_datafile *d, const pairs *p, const char *key, const char *file, ds_error *e)
{
    return ds_path_exists(file) ? DS_OK
                                : ds_fail_at(e, DS_EIO, d->path, ds_pair_find(p->v, p->n, key)->line,
                                             "%s=%s: cannot open: %s, expected a text file, one a line", key,
                                             file, strerror(errno));
}

static int read_labels(ds_datafile *d, const pairs *p, ds_error *e)
{
    if (!d->labels_path)
        return ds_fail_at(e, DS_EINPUT, d->path, 0,
                          "has no labels=, expected the name of a file with one label a line");
    DS_TRY(check_there(d, p, "labels", d->labels_path, e));
    DS_TRY(ds_labels_read(d->labels_path, "label", &d->labels, &d->classes, e));
    DS_TRY(ds_label_index_new(d->labels, d->classes, d->labels_path, &d->index, e));
    return check_counts(d, p, e);
}

static int read_names(ds_datafile *d, const pairs *p, ds_error *e)
{
    char **names;
    int n;
    DS_TRY(check_there(d, p, "names", d->names_path, e));
    DS_TRY(ds_labels_read(d->names_path, "name", &names, &n, e));
    if (n == d->classes) {
        d->names = names;
        return DS_OK;
    }
    ds_free_texts(names, n);
    if (!d->classes) /* the labels could not be read */
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, d->path, ds_pair_find(p->v, p->n, "names")->line,
                      "names=%s has %d names, expected %d, one a label", d->names_path, n, d->classes);
}

static int fill(ds_datafile *d, char *text, pairs *p, ds_error *e)
{
    const int before = ds_failures(e);
    const int rc = parse(text, p, d->path, e);
    if (rc) { /* no .data file: nothing else can be said of it */
        free(d->path);
        d->path = NULL;
        return rc;
    }
    DS_TRY(ds_keep(e, ds_option_fill(ds_datafile_options, d, p->v, p->n, ".data", d->path, e)));
    DS_TRY(ds_keep(e, refuse_hierarchy(p, d->path, e)));
    find_files(d);
    DS_TRY(ds_keep(e, read_labels(d, p, e)));
    if (d->names_path)
        DS_TRY(ds_keep(e, read_names(d, p, e)));
    d->names = d->names ? d->names : d->labels;
    return ds_failed_since(e, before);
}

int ds_datafile_read(const char *path, ds_datafile *d, ds_notes *notes, ds_error *e)
{
    DS_FREED char *text = NULL;
    pairs p = {0};
    *d = (ds_datafile){.notes = notes};
    DS_TRY(ds_file_read_text(path, "a .data file", &text, e));
    d->path = ds_strdup(path);
    int rc = fill(d, text, &p, e);
    free(p.v);
    if (rc && !ds_collects(e))
        ds_datafile_clear(d);
    return rc;
}

void ds_datafile_clear(ds_datafile *d)
{
    ds_label_index_free(d->index);
    if (d->names != d->labels)
        ds_free_texts(d->names, d->classes);
    ds_free_texts(d->labels, d->classes);
    free(d->path);
    ds_option_clear(ds_datafile_options, d);
    *d = (ds_datafile){0};
}
