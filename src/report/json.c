#include "report/fields.h"
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
json_t *ds_json_text(const char *s)
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

/* ---- intervals ---- */

static json_t *interval(ds_interval v)
{
    if (!isfinite(v.low) || !isfinite(v.high))
        return json_null();
    json_t *pair = json_array();
    if (json_array_append_new(pair, json_real(v.low)) || json_array_append_new(pair, json_real(v.high))) {
        json_decref(pair);
        return NULL;
    }
    return pair;
}

static void put_rates(object *to, const ds_rates *r)
{
    put(to, "accuracy", interval(r->accuracy.interval));
    put(to, "reject_rate", interval(r->reject.interval));
    put(to, "risk", interval(r->risk.interval));
}

static json_t *rate_intervals(const ds_rates *r)
{
    object o = object_new();
    put_rates(&o, r);
    return finish(&o);
}

static void put_areas(object *to, const ds_bootstrap *b)
{
    put(to, "aurc", interval(b->aurc));
    put(to, "eaurc", interval(b->eaurc));
    put(to, "augrc", interval(b->augrc));
    put(to, "auroc", interval(b->auroc));
}

static json_t *intervals(const ds_report *r)
{
    object o = object_new();
    put(&o, "level", number(DS_REPORT_LEVEL));
    put(&o, "replicates", json_integer(r->boot.replicates));
    put(&o, "seed", json_integer(r->seed));
    put_rates(&o, &r->rates);
    put_areas(&o, &r->boot);
    return finish(&o);
}

/* ---- parts that a command may leave out ---- */

static json_t *control(const ds_report_control *c)
{
    if (!c)
        return json_null();
    object o = object_new();
    put(&o, "risk", number(c->risk));
    put(&o, "delta", number(c->delta));
    put(&o, "feasible", json_boolean(c->found.feasible));
    put(&o, "feasible_risk", number(c->found.feasible ? NAN : c->found.feasible_risk));
    return finish(&o);
}

/* An array of n made by `one`; NULL when one could not be made. */
static json_t *array_of(int n, json_t *(*one)(const void *from, int i), const void *from)
{
    json_t *array = json_array();
    for (int i = 0; i < n; i++)
        if (json_array_append_new(array, one(from, i))) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *class_row(const void *from, int i)
{
    const ds_report_classes *c = from;
    const ds_class_figures *f = &c->figures[i];
    ds_rates rates = ds_rates_of(f, true);
    object o = object_new();
    put(&o, "name", ds_json_text(c->names[i]));
    put(&o, "n", count(f->n));
    put(&o, "accuracy", number(rates.accuracy.value));
    put(&o, "accepted", count(f->accepted));
    put(&o, "reject_rate", number(rates.reject.value));
    put(&o, "risk", number(rates.risk.value));
    put(&o, "intervals", rate_intervals(&rates));
    return finish(&o);
}

static json_t *confusion_cell(const void *from, int i)
{
    return count(((const size_t *)from)[i]);
}

static json_t *confusion_row(const void *from, int i)
{
    const ds_report_classes *c = from;
    return array_of(c->n + 1, confusion_cell, c->confusion + (size_t)i * ((size_t)c->n + 1));
}

static json_t *list_row(const void *from, int i)
{
    const ds_report_list *l = (const ds_report_list *)from + i;
    ds_rates rates = ds_rates_of(&l->figures, l->labelled);
    double n = (double)l->figures.n;
    object o = object_new();
    put(&o, "name", ds_json_text(l->name));
    put(&o, "file", ds_json_text(l->file));
    put(&o, "labelled", json_boolean(l->labelled));
    put(&o, "n", count(l->figures.n));
    put(&o, "accepted", count(l->figures.accepted));
    put(&o, "coverage", number((double)l->figures.accepted / n));
    put(&o, "reject_rate", number(rates.reject.value));
    put(&o, "accuracy", number(rates.accuracy.value));
    put(&o, "risk", number(rates.risk.value));
    put(&o, "auroc", number(l->auroc));
    put(&o, "intervals", rate_intervals(&rates));
    return finish(&o);
}

/* ---- other programs ---- */

static json_t *rival_figures(const ds_report_rival *v)
{
    object o = object_new();
    put(&o, "accuracy", number(v->accuracy));
    put(&o, "aurc", number(v->other.aurc));
    put(&o, "eaurc", number(v->other.eaurc));
    put(&o, "augrc", number(v->other.augrc));
    put(&o, "auroc", number(v->other.auroc));
    put(&o, "coverage", number(v->its.coverage));
    put(&o, "risk", number(v->its.risk));
    return finish(&o);
}

static json_t *rival_difference(const ds_report *r, const ds_report_rival *v)
{
    const ds_areas *d = &v->areas.difference;
    object o = object_new();
    put(&o, "accuracy", number(r->accuracy - v->accuracy));
    put(&o, "risk", number(v->mine.risk - v->its.risk));
    put(&o, "aurc", number(d->aurc));
    put(&o, "eaurc", number(d->eaurc));
    put(&o, "augrc", number(d->augrc));
    put(&o, "auroc", number(d->auroc));
    return finish(&o);
}

static json_t *rival_intervals(const ds_report_rival *v)
{
    object o = object_new();
    put(&o, "accuracy", interval(v->areas.interval.accuracy));
    put(&o, "risk", interval(v->risk));
    put_areas(&o, &v->areas.interval);
    return finish(&o);
}

static json_t *rival_row(const void *from, int i)
{
    const ds_report *r = from;
    const ds_report_rival *v = &r->rivals[i];
    object o = object_new();
    put(&o, "file", ds_json_text(v->file));
    put(&o, "coverage", number(v->mine.coverage));
    put(&o, "risk", number(v->mine.risk));
    put(&o, "other", rival_figures(v));
    put(&o, "difference", rival_difference(r, v));
    put(&o, "intervals", rival_intervals(v));
    put(&o, "p_aurc", number(v->areas.p_aurc));
    return finish(&o);
}

/* ---- all ---- */

static void put_parts(object *o, const ds_report *r)
{
    const ds_report_classes *c = r->classes;
    put(o, "intervals", intervals(r));
    put(o, "risk_control", control(r->control));
    put(o, "classes", c ? array_of(c->n, class_row, c) : json_null());
    put(o, "confusion", c ? array_of(c->n, confusion_row, c) : json_null());
    put(o, "lists", r->n_lists ? array_of(r->n_lists, list_row, r->lists) : json_null());
    put(o, "compare", r->n_rivals ? array_of(r->n_rivals, rival_row, r) : json_null());
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
    put(&o, "confidence", ds_json_text(r->confidence));
    put(&o, "model", ds_json_text(r->model));
    put(&o, "risk_at_coverage", rows(r, ds_report_coverages, DS_REPORT_COVERAGES, risk_row));
    put(&o, "coverage_at_risk", rows(r, ds_report_risks, DS_REPORT_RISKS, coverage_row));
    put(&o, "conventions", conventions());
    put_parts(&o, r);
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

json_t *ds_report_json_number(double v)
{
    return number(v);
}
