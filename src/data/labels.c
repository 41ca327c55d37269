#include "data/labels.h"
#include "base/file.h"
#include "data/lines.h"

struct ds_label_index {
    char *const *labels;
    int *slots; /* capacity numbers of labels, -1: free */
    size_t capacity;
    bool *lengths; /* longest + 1: is there a label of that length? */
    size_t longest;
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

/* A polynomial in the bytes, so that the hash of a longer text follows from that of a shorter one. */
static uint64_t hash_byte(uint64_t h, char c)
{
    return h * 0x9e3779b97f4a7c15u + (unsigned char)c + 1;
}

static uint64_t hash_of(const char *s, size_t n)
{
    uint64_t h = 0;
    for (size_t i = 0; i < n; i++)
        h = hash_byte(h, s[i]);
    return h;
}

/* The slot of the label that equals the first n bytes of `text`, or the free one where it would be. */
static int *find_slot(const ds_label_index *x, uint64_t hash, const char *text, size_t n)
{
    size_t i = (hash ^ hash >> 29) & (x->capacity - 1);
    while (x->slots[i] >= 0 &&
           (strncmp(x->labels[x->slots[i]], text, n) != 0 || x->labels[x->slots[i]][n] != '\0'))
        i = (i + 1) & (x->capacity - 1);
    return &x->slots[i];
}

static int fill(ds_label_index *x, int n, const char *path, ds_error *e)
{
    for (int i = 0; i < n; i++) {
        const char *text = x->labels[i];
        size_t length = strlen(text);
        int *slot = find_slot(x, hash_of(text, length), text, length);
        if (*slot >= 0)
            return ds_fail_at(e, DS_EINPUT, path, i + 1,
                              "label '%s' again, expected each label once (first in line %d)", text,
                              *slot + 1);
        *slot = i;
        x->lengths[length] = true;
    }
    return DS_OK;
}

int ds_label_index_new(char *const *labels, int n, const char *path, ds_label_index **index, ds_error *e)
{
    ds_label_index *x = DS_ALLOC(x, 1);
    *x = (ds_label_index){.labels = labels, .capacity = 16};
    while (x->capacity < 4 * (size_t)n)
        x->capacity *= 2;
    DS_ALLOC(x->slots, x->capacity);
    for (size_t i = 0; i < x->capacity; i++)
        x->slots[i] = -1;
    for (int i = 0; i < n; i++)
        if (strlen(labels[i]) > x->longest)
            x->longest = strlen(labels[i]);
    DS_ZALLOC(x->lengths, x->longest + 1);
    int rc = fill(x, n, path, e);
    if (rc)
        ds_label_index_free(x);
    *index = rc ? NULL : x;
    return rc;
}

void ds_label_index_free(ds_label_index *x)
{
    if (!x)
        return;
    free(x->slots);
    free(x->lengths);
    free(x);
}

int ds_label_index_find(const ds_label_index *x, const char *text, size_t n)
{
    return *find_slot(x, hash_of(text, n), text, n);
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
    for (const char *p = path; *p; p++) {
        uint64_t hash = 0;
        for (size_t n = 1; n <= x->longest && p[n - 1]; n++) {
            hash = hash_byte(hash, p[n - 1]);
            if (x->lengths[n])
                ds_matches_add(m, *find_slot(x, hash, p, n));
        }
    }
}
