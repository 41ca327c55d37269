#include "base/text.h"
#include "cli/reject.h"

#include <math.h>
#include <stdlib.h>

static int read_list(ds_answers *a, bool labelled, ds_error *e)
{
    char *name = a->name, *file = a->file;
    int rc = ds_report_csv_read(file, labelled, a, e);
    free(file);
    a->name = name;
    return rc;
}

int ds_gathered_read(ds_gathered *g, const ds_reject_flags *s, ds_error *e)
{
    int rc = ds_gathered_name_lists(g, "images", &s->lists, e);
    if (rc)
        return rc;
    g->own = NAN;
    g->lists[0].file = ds_strdup(s->from);
    for (int i = 0; i < g->n_lists && !rc; i++)
        rc = read_list(&g->lists[i], g->labelled[i], e);
    return rc;
}
