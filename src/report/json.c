#include "report/fields.h"

#include <float.h>

json_t *ds_json_number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

json_t *ds_json_threshold(double v)
{
    return ds_json_number(isinf(v) ? copysign(DBL_MAX, v) : v);
}

json_t *ds_json_interval(ds_interval v)
{
    return isfinite(v.low) && isfinite(v.high) ? json_pack("[f, f]", v.low, v.high) : json_null();
}

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* A path may hold any bytes, a JSON text only UTF-8. */
json_t *ds_json_text(const char *s)
{
    if (!s)
        return json_null();
    DS_FREED char *text = NULL;
    uint32_t code;
    FILE *f = ds_memstream(&text, NULL);
    for (int n; *s; s += n) {
        n = ds_letter(s, &code);
        if (n && code != 0xFFFD) {
            fwrite(s, 1, (size_t)n, f);
        } else {
            fprintf(f, REPLACEMENT "%02x", (unsigned char)*s);
            n = 1;
        }
    }
    fclose(f);
    return json_string(text);
}

void ds_json_append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value))
        ds_out_of_memory();
}

json_t *ds_json_array(size_t n, json_t *(*one)(const void *from, size_t i), const void *from)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        ds_json_append(array, one(from, i));
    return array;
}

static json_t *text_at(const void *from, size_t i)
{
    return ds_json_text(((const char *const *)from)[i]);
}

json_t *ds_json_texts(const char *const *texts, size_t n)
{
    return ds_json_array(n, text_at, texts);
}

json_t *ds_json_join(json_t *a, json_t *b)
{
    if (json_object_update_new(a, b))
        ds_out_of_memory();
    return a;
}

void ds_json_write(FILE *f, json_t *json, size_t flags)
{
    if (!json || (json_dumpf(json, f, flags | JSON_REAL_PRECISION(17)) && !ferror(f)))
        ds_out_of_memory();
    json_decref(json);
    putc('\n', f);
}

char *ds_json_line(json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (!text)
        ds_out_of_memory();
    json_decref(json);
    return text;
}

static json_t *areas(const ds_areas *a)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "aurc", ds_json_number(a->aurc), "eaurc",
                     ds_json_number(a->eaurc), "augrc", ds_json_number(a->augrc), "auroc",
                     ds_json_number(a->auroc));
}

static json_t *area_intervals(const ds_bootstrap *b)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "aurc", ds_json_interval(b->aurc), "eaurc",
                     ds_json_interval(b->eaurc), "augrc", ds_json_interval(b->augrc), "auroc",
                     ds_json_interval(b->auroc));
}

static json_t *rate_intervals(const ds_rates *r)
{
    return json_pack("{s:o, s:o, s:o}", "accuracy", ds_json_interval(r->accuracy.interval), "reject_rate",
                     ds_json_interval(r->reject.interval), "risk", ds_json_interval(r->risk.interval));
}

static json_t *risk_row(const void *from, size_t i)
{
    const ds_figures *r = from;
    ds_cut c = ds_cut_at_coverage(&r->curve, ds_report_coverages[i]);
    return json_pack("{s:f, s:I, s:o, s:o}", "coverage", ds_report_coverages[i], "accepted",
                     (json_int_t)c.accepted, "risk", ds_json_number(c.risk), "threshold",
                     ds_json_number(c.threshold));
}

static json_t *coverage_row(const void *from, size_t i)
{
    const ds_figures *r = from;
    ds_cut c = ds_cut_at_risk(&r->curve, ds_report_risks[i]);
    return json_pack("{s:f, s:o, s:o, s:o, s:I}", "risk", ds_report_risks[i], "coverage",
                     ds_json_number(c.coverage), "reject_rate", ds_json_number(ds_reject_rate(r, &c)),
                     "threshold", ds_json_number(c.threshold), "accepted", (json_int_t)c.accepted);
}

/* ---- parts that a command may leave out ---- */

static json_t *control(const ds_control *c)
{
    if (isnan(c->risk))
        return json_null();
    return json_pack("{s:o, s:o, s:b, s:o}", "risk", ds_json_number(c->risk), "delta",
                     ds_json_number(c->delta), "feasible", c->found.feasible, "feasible_risk",
                     ds_json_number(c->found.feasible ? NAN : c->found.feasible_risk));
}

static json_t *class_row(const void *from, size_t i)
{
    const ds_figures *r = from;
    const ds_counts *f = &r->classes[i];
    ds_rates rates = ds_rates_of(f, true);
    json_t *row =
        json_pack("{s:o, s:I, s:o, s:I, s:o, s:o, s:o}", "name", ds_json_text(r->answers->names[i]), "n",
                  (json_int_t)f->n, "accuracy", ds_json_number(rates.accuracy.value), "accepted",
                  (json_int_t)f->accepted, "reject_rate", ds_json_number(rates.reject.value), "risk",
                  ds_json_number(rates.risk.value), "intervals", rate_intervals(&rates));
    const double *own = r->answers->thresholds;
    return ds_json_join(row, json_pack("{s:I, s:I, s:o}", "accepted_as", (json_int_t)f->as, "wrong_as",
                                       (json_int_t)f->as_wrong, "threshold",
                                       ds_json_number(own ? own[i] : r->chosen.threshold)));
}

static json_t *confusion_cell(const void *from, size_t i)
{
    return json_integer((json_int_t)((const size_t *)from)[i]);
}

static json_t *confusion_row(const void *from, size_t i)
{
    const ds_figures *r = from;
    size_t width = (size_t)r->answers->classes + 1;
    return ds_json_array(width, confusion_cell, r->confusion + i * width);
}

/* null where nothing is known of strangers. */
static json_t *unknown_rate(const ds_answers *a, const ds_rates *r)
{
    return ds_json_number(a->novelty ? r->unknown.value : NAN);
}

static json_t *list_row(const void *from, size_t i)
{
    const ds_list_figures *l = (const ds_list_figures *)from + i;
    const ds_counts *f = &l->counts;
    const bool labelled = l->answers->wrong;
    ds_rates rates = ds_rates_of(f, labelled);
    return json_pack("{s:o, s:o, s:b, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
                     ds_json_text(l->answers->name), "file", ds_json_text(l->answers->file), "labelled",
                     labelled, "n", (json_int_t)f->n, "accepted", (json_int_t)f->accepted, "coverage",
                     ds_json_number((double)f->accepted / (double)f->n), "reject_rate",
                     ds_json_number(rates.reject.value), "accuracy", ds_json_number(rates.accuracy.value),
                     "risk", ds_json_number(rates.risk.value), "auroc", ds_json_number(l->auroc),
                     "unknown_rate", unknown_rate(l->answers, &rates), "intervals", rate_intervals(&rates));
}

/* {accuracy, risk, aurc eaurc augrc auroc}: this minus other. */
static json_t *difference(const ds_figures *r, const ds_rival_figures *v)
{
    json_t *rates = json_pack("{s:o, s:o}", "accuracy", ds_json_number(r->accuracy - v->accuracy), "risk",
                              ds_json_number(v->mine.risk - v->its.risk));
    return ds_json_join(rates, areas(&v->difference));
}

static json_t *difference_intervals(const ds_rival_figures *v)
{
    const ds_bootstrap *b = &v->boot;
    json_t *rates = json_pack("{s:o, s:o}", "accuracy", ds_json_interval(b->accuracy), "risk",
                              ds_json_interval(v->boot.risk));
    return ds_json_join(rates, area_intervals(b));
}

static json_t *rival_row(const void *from, size_t i)
{
    const ds_figures *r = from;
    const ds_rival_figures *v = &r->rivals[i];
    json_t *other = json_pack("{s:o, s:o, s:o}", "accuracy", ds_json_number(v->accuracy), "coverage",
                              ds_json_number(v->its.coverage), "risk", ds_json_number(v->its.risk));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "file", ds_json_text(v->file), "coverage",
                     ds_json_number(v->mine.coverage), "risk", ds_json_number(v->mine.risk), "other",
                     ds_json_join(other, areas(&v->other)), "difference", difference(r, v), "intervals",
                     difference_intervals(v), "p_aurc", ds_json_number(v->boot.p_aurc));
}

static json_t *figures(const ds_figures *r)
{
    json_t *rates =
        json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "n", (json_int_t)r->curve.n, "accuracy",
                  ds_json_number(r->accuracy), "coverage", ds_json_number(r->chosen.coverage), "reject_rate",
                  ds_json_number(ds_reject_rate(r, &r->chosen)), "risk", ds_json_number(r->chosen.risk),
                  "threshold", ds_json_number(r->chosen.threshold));
    json_t *quality = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "unknown_rate",
                                unknown_rate(r->answers, &r->rates), "nll", ds_json_number(r->means.nll),
                                "brier", ds_json_number(r->means.brier), "ece", ds_json_number(r->means.ece),
                                "confidence", ds_json_text(r->confidence), "model", ds_json_text(r->model));
    return ds_json_join(ds_json_join(rates, areas(&r->areas)), quality);
}

static json_t *tables(const ds_figures *r)
{
    json_t *conventions = json_pack(
        "{s:s, s:s, s:s, s:s, s:s}", "aurc",
        "mean over k = 1 to n of the error rate among the k surest images; inside a group of equal "
        "confidence the errors grow linearly",
        "eaurc", "aurc minus the aurc of the order that puts every right image before every wrong one",
        "augrc",
        "area under (share accepted, errors among the accepted divided by all images), trapezoid from (0, 0)",
        "auroc",
        "probability that a right image is surer than a wrong one, equal confidences count one half; "
        "undefined when all are right or all are wrong",
        "ece", "15 bins (l, u] of equal width over the largest class probability, weighted by their images");
    return json_pack("{s:o, s:o, s:o}", "risk_at_coverage", ds_json_array(DS_REPORT_COVERAGES, risk_row, r),
                     "coverage_at_risk", ds_json_array(DS_REPORT_RISKS, coverage_row, r), "conventions",
                     conventions);
}

static json_t *intervals(const ds_figures *r)
{
    json_t *o = json_pack("{s:f, s:i, s:i, s:o}", "level", DS_LEVEL, "replicates", r->boot.replicates, "seed",
                          r->seed, "unknown_rate",
                          r->answers->novelty ? ds_json_interval(r->rates.unknown.interval) : json_null());
    return ds_json_join(ds_json_join(o, rate_intervals(&r->rates)), area_intervals(&r->boot));
}

static json_t *parts(const ds_figures *r)
{
    const size_t n = r->classes ? (size_t)r->answers->classes : 0;
    json_t *classes = r->classes ? ds_json_array(n, class_row, r) : json_null();
    json_t *confusion = r->classes ? ds_json_array(n, confusion_row, r) : json_null();
    json_t *lists = r->n_lists ? ds_json_array((size_t)r->n_lists, list_row, r->lists) : json_null();
    json_t *rivals = r->n_rivals ? ds_json_array((size_t)r->n_rivals, rival_row, r) : json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "intervals", intervals(r), "risk_control",
                     control(&r->control), "classes", classes, "confusion", confusion, "lists", lists,
                     "compare", rivals);
}

json_t *ds_report_json_object(const ds_figures *r)
{
    return ds_json_join(ds_json_join(figures(r), tables(r)), parts(r));
}

void ds_report_json(FILE *f, const ds_figures *r)
{
    ds_json_write(f, ds_report_json_object(r), JSON_INDENT(2));
}
