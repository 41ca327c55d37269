#include "cli/reject.h"
#include "data/image.h"
#include "report/page.h"

int ds_gathered_page(const ds_gathered *g, const ds_reject_flags *s, ds_error *e)
{
    if (!s->report)
        return DS_OK;
    ds_notes notes = {0};
    const ds_page page = {
        .report = &g->report, .answers = &g->lists[0], .thumbs = s->thumbs, .thumb = ds_thumb_png};
    int rc = ds_report_folder(s->report, &page, &notes, e);
    ds_print_notes(&notes, stderr);
    if (!rc)
        fprintf(stderr, "report: %s/%s\n", s->report, ds_report_files[0]);
    return rc;
}
