#include "data/labels.h"
#include "base/file.h"
#include "data/lines.h"

struct ds_label_index {
    char *const *labels;
    int *order, n; /* numbers of labels, by their texts */
};

int ds_labels_take(char *text, const char *path, const char *what, char ***labels, int *n, ds_error *e)
{
    ds_lines lines = ds_lines_of(text);
    char *line;
    int blank = 0;
    while ((line = ds_lines_next(&lines))) {
        if (!*line)
            blank = blank ? blank : lines.line;
        else if (blank)
            return ds_fail_at(e, DS_EINPUT, path, blank, "empty line, expected one %s a line", what);
        else
            DS_PUSH(*labels, *n, ds_strdup(line));
    }
    return *n ? DS_OK : ds_fail_at(e, DS_EINPUT, path, 0, "has no %s, expected one a line", what);
}

int ds_labels_read(const char *path, const char *what, char ***labels, int *n, ds_error *e)
{
    DS_FREED char *text = NULL;
    char expected[64];
    *labels = NULL;
    *n = 0;
    snprintf(expected, sizeof expected, "a text file with one %s a line", what);
    DS_TRY(ds_file_read_text(path, expected, &text, e));
    int rc = ds_labels_take(text, path, what, labels, n, e);
    if (rc) {
        ds_free_texts(*labels, *n);
        *labels = NULL;
        *n = 0;
    }
    return rc;
}

static int by_text(const void *a, const void *b, void *labels)
{
    const int x = *(const int *)a, y = *(const int *)b,
              order = strcmp(((char **)labels)[x], ((char **)labels)[y]);
    return order ? order : x - y;
}

/* The first label that stands a second time is told. */
static int check_unique(const ds_label_index *x, const char *path, ds_error *e)
{
    int again = x->n, first = 0;
    for (int i = 1; i < x->n; i++)
        if (x->order[i] < again && strcmp(x->labels[x->order[i]], x->labels[x->order[i - 1]]) == 0) {
            again = x->order[i];
            first = x->order[i - 1];
        }
    return again == x->n ? DS_OK
                         : ds_fail_at(e, DS_EINPUT, path, again + 1,
                                      "label '%s' again, expected each label once (first in line %d)",
                                      x->labels[again], first + 1);
}

int ds_label_index_new(char *const *labels, int n, const char *path, ds_label_index **index, ds_error *e)
{
    ds_label_index *x = DS_ALLOC(x, 1);
    *x = (ds_label_index){.labels = labels, .n = n};
    DS_ALLOC(x->order, (size_t)n);
    for (int i = 0; i < n; i++)
        x->order[i] = i;
    qsort_r(x->order, (size_t)n, sizeof *x->order, by_text, (void *)labels);
    int rc = check_unique(x, path, e);
    if (rc)
        ds_label_index_free(x);
    *index = rc ? NULL : x;
    return rc;
}

void ds_label_index_free(ds_label_index *x)
{
    if (x)
        free(x->order);
    free(x);
}

int ds_label_index_find(const ds_label_index *x, const char *text, size_t n)
{
    int low = 0, high = x->n;
    while (low < high) {
        const int middle = low + (high - low) / 2, label = x->order[middle];
        int order = strncmp(x->labels[label], text, n);
        order = order ? order : (unsigned char)x->labels[label][n];
        if (order == 0)
            return label;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

void ds_matches_add(ds_matches *m, int label)
{
    if (label < 0)
        return;
    for (int i = 0; i < m->count && i < DS_MATCHES; i++)
        if (m->label[i] == label)
            return;
    if (m->count < DS_MATCHES)
        m->label[m->count] = label;
    m->count++;
}

void ds_label_index_search(const ds_label_index *x, const char *path, ds_matches *m)
{
    for (int i = 0; i < x->n; i++)
        if (strstr(path, x->labels[i]))
            ds_matches_add(m, i);
}
