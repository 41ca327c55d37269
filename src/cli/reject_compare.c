#include "cli/reject.h"

#include <stdlib.h>
#include <string.h>

static int images_differ(const char *file, const ds_answers *a, const ds_path_match *m, ds_error *e)
{
    if (m->missing)
        return ds_fail_at(e, DS_EINPUT, file, 0,
                          "%zu of the %zu images of %s are missing (first: '%s'), expected the same images",
                          m->missing, a->n, a->file, m->first_missing);
    return ds_fail_at(e, DS_EINPUT, file, 0,
                      "%zu images are not in %s (first: '%s'), expected the same images", m->extra, a->file,
                      m->first_extra);
}

/* The same image with another label is another question. */
static int check_labels(const ds_gathered *g, const char *file, const ds_answers *csv, const size_t *order,
                        ds_error *e)
{
    const ds_answers *a = &g->lists[0];
    size_t differ = 0, first = 0;
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->names[a->labels[i]], csv->names[csv->labels[order[i]]]) == 0)
            continue;
        if (differ++ == 0)
            first = i;
    }
    if (!differ)
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, file, 0,
                      "%zu images have another label than in %s (first: '%s', '%.60s' for '%.60s'), expected "
                      "the same labels",
                      differ, a->file, a->paths[first], csv->names[csv->labels[order[first]]],
                      a->names[a->labels[first]]);
}

static int take(ds_rival *v, const ds_answers *csv, const size_t *order, ds_error *e)
{
    v->confidence = malloc((csv->n + 1) * sizeof *v->confidence);
    v->wrong = malloc((csv->n + 1) * sizeof *v->wrong);
    if (!v->confidence || !v->wrong)
        return ds_fail_memory(e);
    for (size_t i = 0; i < csv->n; i++) {
        v->confidence[i] = csv->confidences[order[i]];
        v->wrong[i] = csv->wrong[order[i]];
    }
    return DS_OK;
}

static int match(const ds_gathered *g, ds_rival *v, const ds_answers *csv, size_t *order, ds_error *e)
{
    const ds_answers *a = &g->lists[0];
    ds_path_match m;
    int rc = ds_match_paths(a->paths, a->n, csv->paths, csv->n, order, &m, e);
    if (!rc && (m.missing || m.extra))
        rc = images_differ(v->file, a, &m, e);
    if (!rc)
        rc = check_labels(g, v->file, csv, order, e);
    return rc ? rc : take(v, csv, order, e);
}

static int no_paths(const char *file, ds_error *e)
{
    return ds_fail_at(
        e, DS_EINPUT, file, 1,
        "no column 'path' in the header, expected it for -compare, which matches images by path");
}

static int read_rival(const ds_gathered *g, ds_rival *v, ds_error *e)
{
    const ds_answers *a = &g->lists[0];
    ds_answers csv;
    int rc = ds_report_csv_read(v->file, true, &csv, e);
    if (rc)
        return rc;
    size_t *order = malloc((a->n + 1) * sizeof *order);
    if (!order)
        rc = ds_fail_memory(e);
    else
        rc = csv.paths ? match(g, v, &csv, order, e) : no_paths(v->file, e);
    free(order);
    ds_answers_clear(&csv);
    return rc;
}

int ds_gathered_rivals(ds_gathered *g, const ds_texts *files, ds_error *e)
{
    if (files->n == 0)
        return DS_OK;
    if (!g->lists[0].paths)
        return no_paths(g->lists[0].file, e);
    g->rivals = calloc((size_t)files->n, sizeof *g->rivals);
    int rc = g->rivals ? DS_OK : ds_fail_memory(e);
    for (int i = 0; i < files->n && !rc; i++) {
        g->rivals[g->n_rivals].file = files->v[i];
        rc = read_rival(g, &g->rivals[g->n_rivals++], e);
    }
    return rc;
}
