#include "select/answers.h"

typedef struct row {
    const char *path;
    uint32_t at;
} row;

static int by_path(const void *a, const void *b)
{
    const row *x = a, *y = b;
    int order = strcmp(x->path, y->path);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

static row *sorted(const ds_answers *a)
{
    row *rows = DS_ALLOC(rows, a->n);
    for (size_t i = 0; i < a->n; i++)
        rows[i] = (row){a->paths[i], (uint32_t)i};
    qsort(rows, a->n, sizeof *rows, by_path);
    return rows;
}

/* order[i]: where in b the path i of a is, n_b: nowhere. found: n_b flags. */
static void walk(const row *a, size_t n_a, const row *b, size_t n_b, uint32_t *order, bool *found)
{
    for (size_t i = 0, j = 0; i < n_a; i++) {
        int c = -1;
        while (j < n_b && (c = strcmp(a[i].path, b[j].path)) > 0)
            j++;
        const bool same = j < n_b && c == 0;
        order[a[i].at] = same ? b[j].at : (uint32_t)n_b;
        if (same)
            found[b[j++].at] = true;
    }
}

static int check_images(const ds_answers *a, const ds_answers *other, uint32_t *order, ds_error *e)
{
    size_t missing = 0, extra = 0, first = 0;
    DS_FREED row *mine = sorted(a), *its = sorted(other);
    DS_FREED bool *found = DS_ZALLOC(found, other->n);
    walk(mine, a->n, its, other->n, order, found);
    for (size_t i = 0; i < a->n; i++)
        if (order[i] == other->n && missing++ == 0)
            first = i;
    if (missing)
        return ds_fail_at(e, DS_EINPUT, other->file, 0,
                          "%zu of the %zu images of %s are missing (first: '%s'), expected the same images "
                          "by the same paths",
                          missing, a->n, a->file, a->paths[first]);
    for (size_t i = 0; i < other->n; i++)
        if (!found[i] && extra++ == 0)
            first = i;
    if (extra)
        return ds_fail_at(e, DS_EINPUT, other->file, 0,
                          "%zu images are not in %s (first: '%s'), expected the same images", extra, a->file,
                          other->paths[first]);
    return DS_OK;
}

/* The same image with another label is another question. */
static int check_labels(const ds_answers *a, const ds_answers *other, ds_error *e)
{
    size_t differ = 0, first = 0;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->names[a->labels[i]], other->names[other->labels[i]]) != 0 && differ++ == 0)
            first = i;
    if (!differ)
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, other->file, 0,
                      "%zu images have another label than in %s (first: '%s', '%.60s' for '%.60s'), expected "
                      "the same labels",
                      differ, a->file, a->paths[first], other->names[other->labels[first]],
                      a->names[a->labels[first]]);
}

int ds_answers_match(const ds_answers *a, ds_answers *other, ds_error *e)
{
    if (!a->paths || !other->paths)
        return ds_fail_at(
            e, DS_EINPUT, a->paths ? other->file : a->file, 1,
            "no column 'path' in the header, expected it for -compare, which matches images by path");
    DS_FREED uint32_t *order = DS_ALLOC(order, a->n);
    DS_TRY(check_images(a, other, order, e));
    ds_answers_reorder(other, order);
    return check_labels(a, other, e);
}
