#include "report/page.h"
#include "base/file.h"

#include <stdlib.h>

#include "report/report.css.inc"
#include "report/report.html.inc"
#include "report/report.js.inc"

/* Where Debian's package has it; version 4 has the second name. */
static const char *const chart_places[] = {
    "/usr/share/javascript/chart.js/chart.min.js",
    "/usr/share/javascript/chart.js/chart.umd.js",
};

/* Chart.js, or "" with a note. Fresh memory. */
static int read_chart(const char *given, char **text, ds_notes *notes, ds_error *e)
{
    const char *path = given;
    ds_error why = {0};
    for (size_t i = 0; !path && i < sizeof chart_places / sizeof *chart_places; i++)
        if (ds_path_exists(chart_places[i]))
            path = chart_places[i];
    if (path && !ds_file_read_text(path, "Chart.js", text, &why))
        return DS_OK;
    ds_note(notes,
            "note: no charts in report.html: Chart.js is missing, it is in the package libjs-chart.js");
    return (*text = calloc(1, 1)) ? DS_OK : ds_fail_memory(e);
}

static const char *title_of(const ds_report *r)
{
    if (r->model)
        return ds_path_base(r->model);
    return r->list ? ds_path_base(r->list) : "predictions";
}

int ds_page_html(FILE *f, const ds_page *p, const ds_page_bins *b, ds_notes *notes, ds_error *e)
{
    char *chart = NULL, *json = NULL;
    int rc = read_chart(p->chart_js, &chart, notes, e);
    if (!rc)
        rc = ds_page_json(p, b, &json, e);
    if (!rc) {
        const ds_slot slots[] = {
            {"title", title_of(p->report), DS_AS_HTML},
            {"style", report_css, DS_AS_IS},
            {"data", json, DS_AS_JSON},
            {"chart", chart, DS_AS_SCRIPT},
            {"program", report_js, DS_AS_SCRIPT},
        };
        rc = ds_template_fill(f, report_html, slots, sizeof slots / sizeof *slots, e);
    }
    free(chart);
    free(json);
    return rc;
}
