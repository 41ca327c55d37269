#include "report/report.h"
#include "base/text.h"
#include "report/json.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *count(size_t n)
{
    return json_integer((json_int_t)n);
}

/* A path may hold any bytes, a JSON text only UTF-8. */
static json_t *text(const char *s)
{
    if (!s)
        return json_null();
    json_t *value = json_string(s);
    char *ascii = value ? NULL : ds_strdup(s);
    if (!ascii)
        return value;
    for (char *p = ascii; *p; p++)
        if (*p & 0x80)
            *p = '?';
    value = json_string(ascii);
    free(ascii);
    return value;
}

/* What every object needs: a member that could not be made makes the whole fail. */
typedef struct object {
    json_t *o;
    bool ok;
} object;

static object object_new(void)
{
    json_t *o = json_object();
    return (object){o, o != NULL};
}

static void put(object *to, const char *key, json_t *value)
{
    to->ok = json_object_set_new(to->o, key, value) == 0 && to->ok;
}

/* The finished object, or NULL; a NULL member makes its parent fail in turn. */
static json_t *finish(object *made)
{
    if (made->ok)
        return made->o;
    json_decref(made->o);
    return NULL;
}

static json_t *risk_row(const ds_report *r, double coverage)
{
    ds_cut c = ds_cut_at_coverage(r->curve, coverage);
    object row = object_new();
    put(&row, "coverage", number(coverage));
    put(&row, "accepted", count(c.accepted));
    put(&row, "risk", number(c.risk));
    put(&row, "threshold", number(c.threshold));
    return finish(&row);
}

static json_t *coverage_row(const ds_report *r, double risk)
{
    ds_cut c = ds_cut_at_risk(r->curve, risk);
    object row = object_new();
    put(&row, "risk", number(risk));
    put(&row, "coverage", number(c.coverage));
    put(&row, "reject_rate", number(ds_reject_rate(r, &c)));
    put(&row, "threshold", number(c.threshold));
    put(&row, "accepted", count(c.accepted));
    return finish(&row);
}

static json_t *rows(const ds_report *r, const double *asked, int n, json_t *(*row)(const ds_report *, double))
{
    json_t *array = json_array();
    for (int i = 0; i < n; i++)
        if (json_array_append_new(array, row(r, asked[i]))) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *conventions(void)
{
    object o = object_new();
    put(&o, "aurc", json_string(ds_convention_aurc));
    put(&o, "eaurc", json_string(ds_convention_eaurc));
    put(&o, "augrc", json_string(ds_convention_augrc));
    put(&o, "auroc", json_string(ds_convention_auroc));
    put(&o, "ece", json_string(ds_convention_ece));
    return finish(&o);
}

static json_t *whole(const ds_report *r)
{
    object o = object_new();
    put(&o, "n", count(r->curve->n));
    put(&o, "accuracy", number(r->accuracy));
    put(&o, "coverage", number(r->chosen.coverage));
    put(&o, "reject_rate", number(ds_reject_rate(r, &r->chosen)));
    put(&o, "risk", number(r->chosen.risk));
    put(&o, "threshold", number(r->chosen.threshold));
    put(&o, "aurc", number(r->areas.aurc));
    put(&o, "eaurc", number(r->areas.eaurc));
    put(&o, "augrc", number(r->areas.augrc));
    put(&o, "auroc", number(r->areas.auroc));
    put(&o, "nll", number(r->nll));
    put(&o, "brier", number(r->brier));
    put(&o, "ece", number(r->ece));
    put(&o, "confidence", text(r->confidence));
    put(&o, "model", text(r->model));
    put(&o, "risk_at_coverage", rows(r, ds_report_coverages, DS_REPORT_COVERAGES, risk_row));
    put(&o, "coverage_at_risk", rows(r, ds_report_risks, DS_REPORT_RISKS, coverage_row));
    put(&o, "conventions", conventions());
    return finish(&o);
}

int ds_report_json(FILE *f, const ds_report *r, ds_error *e)
{
    json_t *json = whole(r);
    if (!json)
        return ds_fail_memory(e);
    char *dumped = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(json);
    if (!dumped)
        return ds_fail_memory(e);
    fputs(dumped, f);
    fputc('\n', f);
    free(dumped);
    return ds_report_flush(f, e);
}

json_t *ds_report_json_object(const ds_report *r)
{
    return whole(r);
}

json_t *ds_report_json_text(const char *s)
{
    return text(s);
}

json_t *ds_report_json_number(double v)
{
    return number(v);
}
