#include "report/page.h"
#include "base/file.h"
#include "report/fields.h"
#include "report/report.css.inc"
#include "report/report.html.inc"
#include "report/report.js.inc"

#include <strings.h>

/* ---- texts on their way into the page ---- */

/* What the first byte of some texts becomes. */
static const struct replacement {
    const char *text, *by;
} replacements[][6] = {
    [DS_AS_IS] = {{0}},
    [DS_AS_HTML] = {{"<", "&lt;"}, {">", "&gt;"}, {"&", "&amp;"}, {"\"", "&quot;"}, {"'", "&#39;"}},
    [DS_AS_JSON] = {{"<", "\\u003c"}, {">", "\\u003e"}, {"&", "\\u0026"}},
    [DS_AS_SCRIPT] = {{"</script", "\\x3c"}, {"<script", "\\x3c"}, {"<!--", "\\x3c"}},
};

void ds_put_escaped(FILE *f, const char *text, ds_escape how)
{
    for (; *text; text++) {
        const struct replacement *r = replacements[how];
        while (r->text && strncasecmp(text, r->text, strlen(r->text)) != 0)
            r++;
        if (r->text)
            fputs(r->by, f);
        else
            putc(*text, f);
    }
}

static const ds_slot *find(const ds_slot *slots, int n, const char *name, size_t length)
{
    for (int i = 0; i < n; i++)
        if (strlen(slots[i].name) == length && memcmp(slots[i].name, name, length) == 0)
            return &slots[i];
    return NULL;
}

int ds_template_fill(FILE *f, const char *template, const ds_slot *slots, int n, ds_error *e)
{
    for (const char *open; (open = strstr(template, "{{"));) {
        const char *name = open + 2, *close = strstr(name, "}}");
        const ds_slot *slot = close ? find(slots, n, name, (size_t)(close - name)) : NULL;
        if (!slot)
            return ds_fail(e, DS_EINPUT,
                           "the template asks for '%.*s', expected a known name between {{ and }}",
                           close ? (int)(close - name) : 20, name);
        fwrite(template, 1, (size_t)(open - template), f);
        ds_put_escaped(f, slot->text, slot->how);
        template = close + 2;
    }
    fputs(template, f);
    return DS_OK;
}

const char *const ds_report_files[] = {
    "report.html",   "report.json", "predictions.csv", "risk_coverage.png", "reliability.png",
    "histogram.png", NULL};

/* Chart.js, or "" with a note. Fresh memory. */
static char *read_chart(const char *given, ds_notes *notes)
{
    /* where Debian's package has it; version 4 has the second name */
    const char *const places[] = {given, "/usr/share/javascript/chart.js/chart.min.js",
                                  "/usr/share/javascript/chart.js/chart.umd.js"};
    char *text;
    for (int i = given ? 0 : 1; i < (given ? 1 : 3); i++)
        if (!ds_file_read_text(places[i], "Chart.js", &text, NULL))
            return text;
    ds_note(notes,
            "note: no charts in report.html: Chart.js is missing, it is in the package libjs-chart.js");
    return ds_strdup("");
}

static int put_html(FILE *f, const ds_page *p, ds_error *e)
{
    const ds_figures *r = p->figures;
    const char *origin = r->model ? r->model : r->answers->file;
    DS_FREED char *chart = read_chart(p->chart_js, p->notes), *json = NULL;
    FILE *memory = ds_memstream(&json, NULL);
    ds_json_write(memory, ds_page_json(p), JSON_COMPACT);
    fclose(memory);
    const ds_slot slots[] = {
        {"title", origin ? ds_path_base(origin) : "predictions", DS_AS_HTML},
        {"style", report_css, DS_AS_IS},
        {"data", json, DS_AS_JSON},
        {"chart", chart, DS_AS_SCRIPT},
        {"program", report_js, DS_AS_SCRIPT},
    };
    return ds_template_fill(f, report_html, slots, sizeof slots / sizeof *slots, e);
}

static int open_file(const char *dir, const char *name, ds_writer *w, ds_error *e)
{
    DS_FREED char *path = ds_path_join(dir, name);
    return ds_writer_open(w, path, e);
}

int ds_report_folder(const char *dir, const ds_page *p, ds_error *e)
{
    DS_FINALLY(ds_writer_abort) ds_writer w = {0};
    DS_TRY(ds_make_dirs(dir, e));
    DS_TRY(open_file(dir, "predictions.csv", &w, e));
    ds_report_csv_write(w.f, p->figures->answers, p->figures->chosen.threshold, p->csv_safe);
    DS_TRY(ds_writer_commit(&w, e));
    DS_TRY(open_file(dir, "report.json", &w, e));
    ds_json_write(w.f, ds_page_figures(p), JSON_INDENT(2));
    DS_TRY(ds_writer_commit(&w, e));
    ds_page_plots(dir, p);
    DS_TRY(open_file(dir, "report.html", &w, e));
    DS_TRY(put_html(w.f, p, e));
    return ds_writer_commit(&w, e);
}
