#include "cli/reject.h"
#include "report/page.h"

#include <stdlib.h>

static int write_folder(const ds_gathered *g, const ds_reject_flags *s, const ds_prediction *rows,
                        ds_error *e)
{
    ds_notes notes = {0};
    const ds_selection selection = {rows, g->lists[0].n, g->names, g->report.chosen.threshold};
    const ds_page page = {.report = &g->report,
                          .rows = &selection,
                          .classes = g->classes,
                          .quality = g->model.net ? &g->quality : NULL,
                          .thumbs = s->thumbs};
    int rc = ds_report_folder(s->report, &page, &notes, e);
    ds_print_notes(&notes, stderr);
    return rc;
}

int ds_gathered_page(const ds_gathered *g, const ds_reject_flags *s, ds_error *e)
{
    const ds_answers *a = &g->lists[0];
    if (!s->report)
        return DS_OK;
    ds_prediction *rows = malloc((a->n + 1) * sizeof *rows);
    if (!rows)
        return ds_fail_memory(e);
    for (size_t i = 0; i < a->n; i++)
        rows[i] = (ds_prediction){a->path ? a->path[i] : "", a->label[i], a->prediction[i], a->confidence[i]};
    int rc = write_folder(g, s, rows, e);
    free(rows);
    if (!rc)
        fprintf(stderr, "report: %s/%s\n", s->report, ds_report_files[0]);
    return rc;
}
