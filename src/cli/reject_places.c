#include "cli/reject.h"
#include "report/page.h"

#include <stdlib.h>
#include <string.h>

/* ---- results must not replace what they are made from ---- */

int ds_places_keep(const ds_reject_flags *s, const char *input, ds_error *e)
{
    int rc = ds_keep_input("json", s->json, input, e);
    for (int i = 0; s->report && ds_report_files[i] && !rc; i++) {
        char *path = ds_path_join(s->report, ds_report_files[i]);
        rc = path ? ds_keep_input("report", path, input, e) : ds_fail_memory(e);
        free(path);
    }
    return rc ? rc : ds_keep_input("csv", s->csv, input, e);
}

static int keep(const void *arg, const char *input, ds_error *e)
{
    return ds_places_keep(arg, input, e);
}

int ds_places_keep_data(const ds_reject_flags *s, const ds_datafile *d, ds_error *e)
{
    return ds_keep_listed(d, keep, s, e);
}

/* ---- opening and writing ---- */

static int open_place(ds_writer *w, const char *path, ds_error *e)
{
    return path && !ds_is_stdout(path) ? ds_writer_open(w, path, e) : DS_OK;
}

static int commit_place(ds_writer *w, const char *path, ds_error *e)
{
    return path && !ds_is_stdout(path) ? ds_writer_commit(w, e) : DS_OK;
}

static FILE *file_of(const ds_writer *w, const char *path)
{
    return ds_is_stdout(path) ? stdout : w->f;
}

int ds_places_open(ds_places *p, const ds_reject_flags *s, ds_error *e)
{
    int rc = open_place(&p->json, s->json, e);
    return rc ? rc : open_place(&p->csv, s->csv, e);
}

int ds_places_write(ds_places *p, const ds_reject_flags *s, const ds_gathered *g, ds_error *e)
{
    int rc = DS_OK;
    if (s->json)
        rc = ds_report_json(file_of(&p->json, s->json), &g->report, e);
    if (!rc && s->csv)
        rc = ds_report_csv_write(file_of(&p->csv, s->csv), &g->lists[0], g->report.chosen.threshold, e);
    if (!rc)
        rc = commit_place(&p->json, s->json, e);
    if (!rc)
        rc = commit_place(&p->csv, s->csv, e);
    if (!rc && !ds_is_stdout(s->json) && !ds_is_stdout(s->csv))
        rc = ds_report_text(stdout, &g->report, e);
    return rc;
}

void ds_places_abort(ds_places *p)
{
    ds_writer_abort(&p->json);
    ds_writer_abort(&p->csv);
}
