#include "data/labels.h"
#include "base/file.h"
#include "base/text.h"
#include "data/lines.h"

#include <stdlib.h>
#include <string.h>

struct ds_label_index {
    char *const *labels;
    int *slots; /* capacity numbers of labels, -1: free */
    size_t capacity;
    size_t *lengths;    /* n_lengths different lengths of labels */
    uint64_t *dropouts; /* n_lengths: weight of the byte that leaves a window of that length */
    int n_lengths;
};

static int add_label(char ***labels, int *n, int *capacity, const char *text)
{
    if (*n == *capacity) {
        int wanted = *capacity ? *capacity * 2 : 16;
        char **grown = realloc(*labels, (size_t)wanted * sizeof *grown);
        if (!grown)
            return DS_ENOMEM;
        *labels = grown;
        *capacity = wanted;
    }
    if (!((*labels)[*n] = ds_strdup(text)))
        return DS_ENOMEM;
    (*n)++;
    return DS_OK;
}

int ds_labels_read(const char *path, const char *what, char ***labels, int *n, ds_error *e)
{
    char *text, expected[64], *line;
    *labels = NULL;
    *n = 0;
    snprintf(expected, sizeof expected, "a text file with one %s a line", what);
    int rc = ds_file_read_text(path, expected, &text, e);
    if (rc)
        return rc;
    ds_lines lines = ds_lines_of(text);
    int blank = 0, capacity = 0;
    while (!rc && (line = ds_lines_next(&lines))) {
        if (!*line)
            blank = blank ? blank : lines.line;
        else if (blank)
            rc = ds_fail_at(e, DS_EINPUT, path, blank, "empty line, expected one %s a line", what);
        else if (add_label(labels, n, &capacity, line))
            rc = ds_fail_memory(e);
    }
    free(text);
    if (!rc && *n == 0)
        rc = ds_fail_at(e, DS_EINPUT, path, 0, "has no %s, expected one a line", what);
    return rc;
}

/* ---- the index ---- */

/* A polynomial in the bytes, so that the hash of a window can roll along a path. */
static const uint64_t base = 0x9e3779b97f4a7c15u;

static uint64_t hash_of(const char *s, size_t n)
{
    uint64_t h = 0;
    for (size_t i = 0; i < n; i++)
        h = h * base + (unsigned char)s[i] + 1;
    return h;
}

static int find_hashed(const ds_label_index *x, uint64_t hash, const char *text, size_t n)
{
    for (size_t i = (hash ^ hash >> 29) & (x->capacity - 1);; i = (i + 1) & (x->capacity - 1)) {
        int label = x->slots[i];
        if (label < 0)
            return -1;
        if (strncmp(x->labels[label], text, n) == 0 && !x->labels[label][n])
            return label;
    }
}

static void insert(ds_label_index *x, int label)
{
    const char *text = x->labels[label];
    uint64_t hash = hash_of(text, strlen(text));
    size_t i = (hash ^ hash >> 29) & (x->capacity - 1);
    while (x->slots[i] >= 0)
        i = (i + 1) & (x->capacity - 1);
    x->slots[i] = label;
}

static int add_length(ds_label_index *x, size_t length)
{
    for (int i = 0; i < x->n_lengths; i++)
        if (x->lengths[i] == length)
            return DS_OK;
    size_t n = (size_t)x->n_lengths + 1;
    size_t *lengths = realloc(x->lengths, n * sizeof *lengths);
    if (!lengths)
        return DS_ENOMEM;
    x->lengths = lengths;
    uint64_t *dropouts = realloc(x->dropouts, n * sizeof *dropouts);
    if (!dropouts)
        return DS_ENOMEM;
    x->dropouts = dropouts;
    lengths[n - 1] = length;
    dropouts[n - 1] = 1;
    for (size_t i = 0; i < length; i++)
        dropouts[n - 1] *= base;
    x->n_lengths++;
    return DS_OK;
}

static int fill(ds_label_index *x, int n, const char *path, ds_error *e)
{
    for (int i = 0; i < n; i++) {
        int earlier = ds_label_index_find(x, x->labels[i], strlen(x->labels[i]));
        if (earlier >= 0)
            return ds_fail_at(e, DS_EINPUT, path, i + 1,
                              "label '%s' again, expected each label once (first in line %d)", x->labels[i],
                              earlier + 1);
        if (add_length(x, strlen(x->labels[i])))
            return ds_fail_memory(e);
        insert(x, i);
    }
    return DS_OK;
}

int ds_label_index_new(char *const *labels, int n, const char *path, ds_label_index **index, ds_error *e)
{
    ds_label_index *x = calloc(1, sizeof *x);
    *index = NULL;
    if (!x)
        return ds_fail_memory(e);
    x->labels = labels;
    x->capacity = 16;
    while (x->capacity < 4 * (size_t)n)
        x->capacity *= 2;
    x->slots = malloc(x->capacity * sizeof *x->slots);
    for (size_t i = 0; x->slots && i < x->capacity; i++)
        x->slots[i] = -1;
    int rc = x->slots ? fill(x, n, path, e) : ds_fail_memory(e);
    if (rc)
        ds_label_index_free(x);
    else
        *index = x;
    return rc;
}

void ds_label_index_free(ds_label_index *x)
{
    if (!x)
        return;
    free(x->slots);
    free(x->lengths);
    free(x->dropouts);
    free(x);
}

int ds_label_index_find(const ds_label_index *x, const char *text, size_t n)
{
    return find_hashed(x, hash_of(text, n), text, n);
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
    size_t n = strlen(path);
    for (int k = 0; k < x->n_lengths; k++) {
        size_t length = x->lengths[k];
        if (length > n)
            continue;
        uint64_t hash = hash_of(path, length);
        for (size_t i = 0;; i++) {
            ds_matches_add(m, find_hashed(x, hash, path + i, length));
            if (i + length == n)
                break;
            hash = hash * base + (unsigned char)path[i + length] + 1 -
                   x->dropouts[k] * ((unsigned char)path[i] + 1);
        }
    }
}
