#include "base/text.h"
#include "cli/reject.h"

#include <math.h>

/* What the answers need is theirs; the CSV keeps the texts. */
static void take(ds_answers *a)
{
    ds_csv *c = &a->csv;
    a->n = c->n;
    a->path = c->path;
    a->label = c->label;
    a->prediction = c->prediction;
    a->confidence = c->confidence;
    a->wrong = c->wrong;
    c->label = c->prediction = NULL;
    c->confidence = NULL;
    c->wrong = NULL;
}

static int read_list(ds_answers *a, ds_error *e)
{
    int rc = a->labelled ? ds_report_csv_read(a->file, &a->csv, e)
                         : ds_report_csv_read_unlabelled(a->file, &a->csv, e);
    if (!rc)
        take(a);
    return rc;
}

int ds_gathered_read(ds_gathered *g, const ds_reject_flags *s, ds_error *e)
{
    int rc = ds_gathered_name_lists(g, "images", &s->lists, e);
    if (rc)
        return rc;
    g->own = NAN;
    if (!(g->lists[0].file = ds_strdup(s->from)))
        return ds_fail_memory(e);
    for (int i = 0; i < g->n_lists && !rc; i++)
        rc = read_list(&g->lists[i], e);
    g->names = (const char *const *)g->lists[0].csv.names;
    g->classes = g->lists[0].csv.classes;
    return rc;
}
