#include "report/page.h"
#include "report/fields.h"

#include <float.h>

/* Up to ALL images every threshold is a step of the slider; with more, about STEPS of them, whose counts are
 * exact still. Up to LABELLED images the page can count the confusion matrix at each step. */
enum { ALL = 100000, STEPS = 2000, LABELLED = 1000000 };

static json_t *bin_of(const void *from, size_t i)
{
    const ds_bin *b = (const ds_bin *)from + i;
    return json_pack("{s:o, s:o, s:I, s:I, s:o}", "low", ds_json_number(b->low), "high",
                     ds_json_number(b->high), "n", (json_int_t)b->n, "right", (json_int_t)b->right,
                     "confidence", ds_json_number(b->n ? b->confidence / (double)b->n : NAN));
}

json_t *ds_page_figures(const ds_page *p)
{
    const ds_figures *r = p->figures;
    const ds_page_bins b = ds_page_bins_of(r->answers);
    json_t *reliability = b.reliable ? ds_json_array(DS_BINS, bin_of, b.reliability) : json_null();
    json_t *histogram = ds_json_array(DS_HISTOGRAM, bin_of, b.histogram);
    json_t *rest = json_pack("{s:o, s:o, s:b, s:o, s:o}", "list", ds_json_text(r->answers->file),
                             "threshold_note", ds_json_text(r->threshold_note), "chose_best", r->chose_best,
                             "reliability", reliability, "histogram", histogram);
    return ds_json_join(ds_report_json_object(r), rest);
}

static void add_interval(json_t *row, size_t k, size_t n)
{
    ds_interval v = ds_rate_interval(k, n, DS_LEVEL);
    if (json_object_set_new(row, "interval", ds_json_interval(v)))
        ds_out_of_memory();
}

/* The page counts classes itself, at any threshold, but computes no interval. */
static json_t *page_figures(const ds_page *p)
{
    json_t *figures = ds_page_figures(p), *row;
    size_t i;
    json_array_foreach(json_object_get(figures, "risk_at_coverage"), i, row)
    {
        ds_cut c = ds_cut_at_coverage(&p->figures->curve, ds_report_coverages[i]);
        add_interval(row, c.errors, c.accepted);
    }
    json_array_foreach(json_object_get(figures, "reliability"), i, row)
        add_interval(row, (size_t)json_integer_value(json_object_get(row, "right")),
                     (size_t)json_integer_value(json_object_get(row, "n")));
    json_object_del(figures, "classes");
    json_object_del(figures, "confusion");
    return figures;
}

/* ---- the steps of the slider ---- */

/* Bounds of reject rate and risk when so many images are accepted, as the page shows them: low, high, low,
 * high in hundredths of a percent; 0 where there is none. */
static void bound(const ds_curve *c, size_t accepted, size_t errors, int to[4])
{
    ds_interval reject = ds_rate_interval(c->n - accepted, c->n, DS_LEVEL);
    ds_interval risk = ds_rate_interval(errors, accepted, DS_LEVEL);
    const double bounds[] = {reject.low, reject.high, risk.low, risk.high};
    for (int i = 0; i < 4; i++)
        to[i] = isnan(bounds[i]) ? 0 : (int)lrint(1e4 * bounds[i]);
}

/* Four numbers for "nothing accepted", then four a step. */
static json_t *bounds_of(const ds_curve *c, const ds_steps *s)
{
    int(*bounds)[4];
    DS_ALLOC(bounds, s->n + 1);
    bound(c, 0, 0, bounds[0]);
#pragma omp parallel for schedule(dynamic, 64)
    for (size_t i = 0; i < s->n; i++)
        bound(c, c->accepted[s->group[i]], c->errors[s->group[i]], bounds[i + 1]);
    json_t *array = json_array();
    for (size_t i = 0; i < 4 * (s->n + 1); i++)
        ds_json_append(array, json_integer(bounds[i / 4][i % 4]));
    free(bounds);
    return array;
}

static json_t *steps_of(const ds_figures *r)
{
    const ds_curve *c = &r->curve;
    ds_steps s = ds_steps_of(c, ALL, STEPS, r->chosen.accepted);
    json_t *thresholds = json_array(), *accepted = json_array(), *errors = json_array();
    for (size_t i = 0; i < s.n; i++) {
        size_t g = s.group[i];
        ds_json_append(thresholds, json_real(fmax(-DBL_MAX, fmin(DBL_MAX, c->threshold[g]))));
        ds_json_append(accepted, json_integer((json_int_t)c->accepted[g]));
        ds_json_append(errors, json_integer((json_int_t)c->errors[g]));
    }
    json_t *steps = json_pack("{s:b, s:o, s:o, s:o, s:o}", "thinned", s.thinned, "threshold", thresholds,
                              "accepted", accepted, "errors", errors, "bounds", bounds_of(c, &s));
    free(s.group);
    return steps;
}

/* Labels or predictions, surest image first; null for too many. */
static json_t *column(const ds_answers *a, const int *classes, const size_t *order)
{
    if (a->n > LABELLED)
        return json_null();
    json_t *array = json_array();
    for (size_t i = 0; i < a->n; i++)
        ds_json_append(array, json_integer(classes[order[i]]));
    return array;
}

/* Places of the unknown images, surest image first; null where nothing is known of strangers, or for too
 * many. */
static json_t *unknown_of(const ds_answers *a, const size_t *order)
{
    if (!a->novelty || a->n > LABELLED)
        return json_null();
    json_t *array = json_array();
    for (size_t i = 0; i < a->n; i++)
        if (ds_answers_unknown(a, order[i]))
            ds_json_append(array, json_integer((json_int_t)i));
    return array;
}

/* The thresholds of the classes, and how many images are accepted as each: the surest ones. null: none. */
static json_t *own_of(const ds_answers *a)
{
    if (!a->thresholds)
        return json_null();
    json_t *thresholds = json_array(), *accepted = json_array();
    DS_FREED json_int_t *as = DS_ZALLOC(as, (size_t)a->classes);
    for (size_t i = 0; i < a->n; i++)
        if (ds_answers_accepts(a, i, NAN) && a->predictions[i] >= 0)
            as[a->predictions[i]]++;
    for (int c = 0; c < a->classes; c++) {
        ds_json_append(thresholds, json_real(fmax(-DBL_MAX, fmin(DBL_MAX, a->thresholds[c]))));
        ds_json_append(accepted, json_integer(as[c]));
    }
    return json_pack("{s:o, s:o}", "threshold", thresholds, "accepted", accepted);
}

static json_t *data_of(const ds_page *p, const size_t *order)
{
    const ds_curve *c = &p->figures->curve;
    const ds_answers *a = p->figures->answers;
    json_t *o =
        json_pack("{s:I, s:I, s:o, s:o, s:o, s:o}", "n", (json_int_t)c->n, "wrong", (json_int_t)c->wrong,
                  "labels", column(a, a->labels, order), "predictions", column(a, a->predictions, order),
                  "unknown", unknown_of(a, order), "own", own_of(a));
    return ds_json_join(o, steps_of(p->figures));
}

char *ds_base64(const void *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes;
    char *text = ds_xmalloc((n + 2) / 3 * 4 + 1), *out = text;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        v |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
        v |= i + 2 < n ? p[i + 2] : 0;
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
        *out++ = i + 2 < n ? digits[v & 63] : '=';
    }
    *out = '\0';
    return text;
}

/* The picture as a data: URI in fresh memory; NULL: none, and `why` says so where it could not be made. */
static char *picture_of(const ds_page *p, const char *path, ds_error *why)
{
    DS_FREED unsigned char *png = NULL;
    size_t n;
    if (!*path || !p->thumb || p->thumb(path, &png, &n, why))
        return NULL;
    DS_FREED char *digits = ds_base64(png, n);
    return ds_format("data:image/png;base64,%s", digits);
}

static json_t *item(const ds_page *p, size_t i, bool pictured)
{
    const ds_answers *a = p->figures->answers;
    const char *path = ds_answers_path(a, i);
    ds_error why = {0};
    DS_FREED char *picture = pictured ? picture_of(p, path, &why) : NULL;
    return json_pack("{s:o, s:i, s:i, s:o, s:o*, s:s*, s:o*}", "path", ds_json_text(path), "label",
                     a->labels[i], "prediction", a->predictions[i], "confidence",
                     ds_json_number(a->confidences[i]), "problem", why.code ? ds_json_text(why.text) : NULL,
                     "picture", picture, "novelty",
                     ds_answers_unknown(a, i) ? ds_json_number(a->novelty[i]) : NULL);
}

static json_t *gallery(const ds_page *p, const size_t *order)
{
    const ds_answers *a = p->figures->answers;
    json_t *array = json_array();
    DS_FREED unsigned char *marks = DS_ZALLOC(marks, a->n);
    ds_gallery_mark(a, p->figures->chosen.threshold, order, p->thumbs, marks);
    for (size_t k = 0; k < a->n; k++)
        if (marks[k])
            ds_json_append(array, item(p, order[k], marks[k] & DS_PICTURED));
    return array;
}

json_t *ds_page_json(const ds_page *p)
{
    const ds_answers *a = p->figures->answers;
    DS_FREED size_t *order = ds_page_order(a);
    json_t *names = ds_json_texts((const char *const *)a->names, (size_t)a->classes);
    return json_pack("{s:o, s:o, s:o, s:o}", "report", page_figures(p), "names", names, "data",
                     data_of(p, order), "gallery", gallery(p, order));
}
