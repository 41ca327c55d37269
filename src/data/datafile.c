#include "base/file.h"
#include "base/text.h"
#include "data/data.h"
#include "data/labels.h"
#include "data/lines.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char *const labels_from_names[] = {"substring", "directory", "filename", "list", NULL};

#define AT(field) offsetof(ds_datafile, field)
#define FILE_KEY(key, field, text)                                                      \
    {                                                                                   \
        .name = key, .type = DS_TEXT, .offset = AT(field), .unit = "FILE", .help = text \
    }
#define FOREIGN_KEY(key, text)                                            \
    {                                                                     \
        .name = key, .type = DS_TEXT, .offset = DS_UNSTORED, .help = text \
    }

const ds_option ds_datafile_options[] = {
    FILE_KEY("train", train, "list of the images to train on"),
    FILE_KEY("valid", valid, "list of the images that choose the best weights"),
    FILE_KEY("calib", calib, "list of the images that set the threshold, none of them in another list"),
    FILE_KEY("test", test, "list of the images for the final figures; valid= when absent"),
    FILE_KEY("labels", labels_path, "labels, one a line"),
    FILE_KEY("names", names_path, "names to display, one a label; the labels when absent"),
    {.name = "classes",
     .type = DS_INT,
     .offset = AT(classes_key),
     .min = 1,
     .max = INT_MAX,
     .help = "number of labels; counted when absent"},
    {.name = "backup",
     .type = DS_TEXT,
     .offset = AT(backup),
     .def = "backup",
     .unit = "DIR",
     .help = "folder for weights"},
    {.name = "top",
     .type = DS_INT,
     .offset = AT(top),
     .def = "1",
     .min = 1,
     .max = INT_MAX,
     .help = "k of the top-k accuracy"},
    {.name = "labels_from",
     .type = DS_ENUM,
     .offset = AT(labels_from),
     .def = "substring",
     .names = labels_from_names,
     .help = "where the label of an image stands"},
    FOREIGN_KEY("eval", "of other commands, no effect here"),
    FOREIGN_KEY("map", "of other commands, no effect here"),
    FOREIGN_KEY("results", "of other commands, no effect here"),
    FOREIGN_KEY("leaves", "of hierarchies, no effect here"),
    FOREIGN_KEY("tree", "of hierarchies, refused"),
    FOREIGN_KEY("tag", "0 only: several labels an image are refused"),
    {.type = DS_END},
};

/* ---- the text ---- */

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
    ds_pair *grown = realloc(p->v, (size_t)(p->n + 1) * sizeof *grown);
    if (!grown)
        return ds_fail_memory(e);
    p->v = grown;
    p->v[p->n++] = pair;
    return DS_OK;
}

static int parse(char *text, pairs *p, const char *path, ds_error *e)
{
    ds_lines lines = ds_lines_of(text);
    char *line;
    int rc = DS_OK;
    while (!rc && (line = ds_lines_next(&lines)))
        if (*line && *line != '#' && *line != ';')
            rc = add_pair(p, line, lines.line, path, e);
    if (!rc && p->n == 0)
        rc = ds_fail_at(e, DS_EINPUT, path, 0, "has no key=value, expected a .data file");
    return rc;
}

static const ds_pair *find_pair(const pairs *p, const char *key)
{
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->v[i].key, key) == 0)
            return &p->v[i];
    return NULL;
}

/* ---- what it means ---- */

static int refuse_hierarchy(const pairs *p, const char *path, ds_error *e)
{
    const ds_pair *tree = find_pair(p, "tree"), *tag = find_pair(p, "tag");
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
        return ds_fail_at(e, DS_EINPUT, d->path, find_pair(p, "classes")->line,
                          "classes=%d, but %s has %d labels, expected the two to be equal", d->classes_key,
                          d->labels_path, d->classes);
    if (d->top > d->classes)
        return ds_fail_at(e, DS_EINPUT, d->path, find_pair(p, "top")->line,
                          "top=%d, expected at most the %d classes", d->top, d->classes);
    return DS_OK;
}

static int read_labels(ds_datafile *d, const pairs *p, ds_error *e)
{
    if (!d->labels_path)
        return ds_fail_at(e, DS_EINPUT, d->path, 0,
                          "has no labels=, expected the name of a file with one label a line");
    char *path = ds_path_near(d->labels_path, d->path);
    if (!path)
        return ds_fail_memory(e);
    int rc = ds_labels_read(path, "label", &d->labels, &d->classes, e);
    if (!rc)
        rc = ds_label_index_new(d->labels, d->classes, path, &d->index, e);
    free(path);
    return rc ? rc : check_counts(d, p, e);
}

static int copy_labels(ds_datafile *d, ds_error *e)
{
    d->names = calloc((size_t)d->classes, sizeof *d->names);
    for (int i = 0; d->names && i < d->classes; i++)
        if (!(d->names[i] = ds_strdup(d->labels[i])))
            return ds_fail_memory(e);
    return d->names ? DS_OK : ds_fail_memory(e);
}

static int read_names(ds_datafile *d, const pairs *p, ds_error *e)
{
    if (!d->names_path)
        return copy_labels(d, e);
    char **names, *path = ds_path_near(d->names_path, d->path);
    int n = 0;
    if (!path)
        return ds_fail_memory(e);
    int rc = ds_labels_read(path, "name", &names, &n, e);
    free(path);
    if (!rc && n == d->classes) {
        d->names = names;
        return DS_OK;
    }
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return rc ? rc
              : ds_fail_at(e, DS_EINPUT, d->path, find_pair(p, "names")->line,
                           "names=%s has %d names, expected %d, one a label", d->names_path, n, d->classes);
}

static int fill(ds_datafile *d, const pairs *p, ds_error *e)
{
    int rc = ds_option_fill(ds_datafile_options, d, p->v, p->n, ".data", d->path, e);
    if (!rc)
        rc = refuse_hierarchy(p, d->path, e);
    if (!rc)
        rc = read_labels(d, p, e);
    return rc ? rc : read_names(d, p, e);
}

int ds_datafile_read(const char *path, ds_datafile *d, ds_error *e)
{
    char *text;
    pairs p = {0};
    *d = (ds_datafile){0};
    int rc = ds_file_read_text(path, "a .data file", &text, e);
    if (rc)
        return rc;
    if (!(d->path = ds_strdup(path)))
        rc = ds_fail_memory(e);
    if (!rc)
        rc = parse(text, &p, path, e);
    if (!rc)
        rc = fill(d, &p, e);
    free(p.v);
    free(text);
    if (rc)
        ds_datafile_clear(d);
    return rc;
}

void ds_datafile_clear(ds_datafile *d)
{
    ds_label_index_free(d->index);
    for (int i = 0; i < d->classes; i++) {
        free(d->labels[i]);
        if (d->names)
            free(d->names[i]);
    }
    free(d->labels);
    free(d->names);
    free(d->path);
    ds_option_clear(ds_datafile_options, d);
    *d = (ds_datafile){0};
}
