#include "report/page.h"
#include "base/file.h"

#include <stdlib.h>

const char *const ds_report_files[] = {
    "report.html",   "report.json", "predictions.csv", "risk_coverage.png", "reliability.png",
    "histogram.png", NULL};

typedef struct source {
    const ds_page *p;
    const ds_page_bins *b;
    ds_notes *notes;
} source;

static int put_html(FILE *f, const source *s, ds_error *e)
{
    return ds_page_html(f, s->p, s->b, s->notes, e);
}

static int put_json(FILE *f, const source *s, ds_error *e)
{
    return ds_page_figures(f, s->p, s->b, e);
}

static int put_csv(FILE *f, const source *s, ds_error *e)
{
    return ds_report_csv_write(f, s->p->answers, s->p->report->chosen.threshold, e);
}

static int write_file(const char *dir, const char *name, const source *s,
                      int (*put)(FILE *, const source *, ds_error *), ds_error *e)
{
    ds_writer w = {0};
    char *path = ds_path_join(dir, name);
    int rc = path ? ds_writer_open(&w, path, e) : ds_fail_memory(e);
    if (!rc)
        rc = put(w.f, s, e);
    if (!rc)
        rc = ds_writer_commit(&w, e);
    ds_writer_abort(&w);
    free(path);
    return rc;
}

int ds_report_folder(const char *dir, const ds_page *p, ds_notes *notes, ds_error *e)
{
    const ds_page_bins bins = ds_page_bins_of(p);
    const source s = {p, &bins, notes};
    int rc = ds_make_dirs(dir, e);
    if (!rc)
        rc = write_file(dir, "predictions.csv", &s, put_csv, e);
    if (!rc)
        rc = write_file(dir, "report.json", &s, put_json, e);
    if (!rc)
        rc = ds_page_plots(dir, p, &bins, notes, e);
    if (!rc)
        rc = write_file(dir, "report.html", &s, put_html, e);
    return rc;
}
