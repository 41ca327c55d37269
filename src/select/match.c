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

/* Rows without a partner; `first`: that of the smallest number. */
typedef struct misses {
    size_t n;
    const row *first;
} misses;

static void miss(misses *m, const row *r)
{
    if (m->n++ == 0 || r->at < m->first->at)
        m->first = r;
}

/* order[i]: where in b the path i of a is. */
static void walk(const row *a, size_t n_a, const row *b, size_t n_b, uint32_t *order, misses *missing,
                 misses *extra)
{
    size_t i = 0, j = 0;
    while (i < n_a || j < n_b) {
        int c = i == n_a ? 1 : j == n_b ? -1 : strcmp(a[i].path, b[j].path);
        if (c < 0)
            miss(missing, &a[i++]);
        else if (c > 0)
            miss(extra, &b[j++]);
        else
            order[a[i++].at] = b[j++].at;
    }
}

static int check_images(const ds_answers *a, const ds_answers *other, uint32_t *order, ds_error *e)
{
    misses missing = {0}, extra = {0};
    DS_FREED row *mine = sorted(a), *its = sorted(other);
    walk(mine, a->n, its, other->n, order, &missing, &extra);
    if (missing.n)
        return ds_fail_at(e, DS_EINPUT, other->file, 0,
                          "%zu of the %zu images of %s are missing (first: '%s'), expected the same images "
                          "by the same paths",
                          missing.n, a->n, a->file, missing.first->path);
    if (extra.n)
        return ds_fail_at(e, DS_EINPUT, other->file, 0,
                          "%zu images are not in %s (first: '%s'), expected the same images", extra.n,
                          a->file, extra.first->path);
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
