#include "report/report.h"

#include <stdlib.h>
#include <string.h>

typedef struct row {
    const char *path;
    size_t at;
} row;

static int by_path(const void *a, const void *b)
{
    const row *x = a, *y = b;
    int order = strcmp(x->path, y->path);
    return order ? order : x->at < y->at ? -1 : x->at > y->at;
}

static bool same_order(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
    for (size_t i = 0; i < n_a && n_a == n_b; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return n_a == n_b;
}

static row *sorted(char *const *path, size_t n)
{
    row *rows = malloc((n + 1) * sizeof *rows);
    for (size_t i = 0; rows && i < n; i++)
        rows[i] = (row){path[i], i};
    if (rows)
        qsort(rows, n, sizeof *rows, by_path);
    return rows;
}

/* One more row without a partner; `first`: that of the smallest number so far. */
static void miss(size_t *count, const row **first, const row *r)
{
    if ((*count)++ == 0 || r->at < (*first)->at)
        *first = r;
}

static void walk(const row *a, size_t n_a, const row *b, size_t n_b, size_t *order, ds_path_match *m)
{
    const row *missing = NULL, *extra = NULL;
    size_t i = 0, j = 0;
    while (i < n_a || j < n_b) {
        int c = i == n_a ? 1 : j == n_b ? -1 : strcmp(a[i].path, b[j].path);
        if (c < 0)
            miss(&m->missing, &missing, &a[i++]);
        else if (c > 0)
            miss(&m->extra, &extra, &b[j++]);
        else
            order[a[i++].at] = b[j++].at;
    }
    m->first_missing = missing ? missing->path : NULL;
    m->first_extra = extra ? extra->path : NULL;
}

int ds_match_paths(char *const *a, size_t n_a, char *const *b, size_t n_b, size_t *order, ds_path_match *m,
                   ds_error *e)
{
    *m = (ds_path_match){0};
    if (same_order(a, n_a, b, n_b)) {
        for (size_t i = 0; i < n_a; i++)
            order[i] = i;
        return DS_OK;
    }
    row *rows_a = sorted(a, n_a), *rows_b = sorted(b, n_b);
    if (rows_a && rows_b)
        walk(rows_a, n_a, rows_b, n_b, order, m);
    int rc = rows_a && rows_b ? DS_OK : ds_fail_memory(e);
    free(rows_a);
    free(rows_b);
    return rc;
}
