#include "report/page.h"
#include "report/fields.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Up to ALL images every threshold is a step of the slider; with more, about STEPS of them, whose counts are exact still.
 * Up to LABELLED images the page can count the confusion matrix at each step. */
enum { ALL = 100000, STEPS = 2000, LABELLED = 1000000 };

/* jansson refuses a NULL member, so a failure anywhere makes the whole fail. */
typedef struct object {
    json_t *o;
    bool ok;
} object;

static void put(object *to, const char *key, json_t *value)
{
    to->ok = json_object_set_new(to->o, key, value) == 0 && to->ok;
}

static json_t *finish(object *made)
{
    if (made->ok)
        return made->o;
    json_decref(made->o);
    return NULL;
}

/* ---- arrays as base64 of little-endian numbers ---- */

static void put_little(unsigned char *to, uint64_t v, int width)
{
    for (int i = 0; i < width; i++)
        to[i] = (unsigned char)(v >> (8 * i));
}

typedef uint64_t (*number_at)(const void *from, size_t i);

static json_t *packed(const void *from, size_t n, int width, number_at at)
{
    unsigned char *bytes = malloc(n * (size_t)width + 1);
    for (size_t i = 0; bytes && i < n; i++)
        put_little(bytes + i * (size_t)width, at(from, i), width);
    char *text = bytes ? ds_base64(bytes, n * (size_t)width) : NULL;
    json_t *value = text ? json_string_nocheck(text) : NULL;
    free(bytes);
    free(text);
    return value;
}

/* ---- the steps of the slider ---- */

typedef struct stepped {
    const ds_curve *c;
    const size_t *group;
} stepped;

static uint64_t threshold_at(const void *from, size_t i)
{
    const stepped *s = from;
    uint64_t bits;
    memcpy(&bits, &s->c->threshold[s->group[i]], sizeof bits);
    return bits;
}

static uint64_t accepted_at(const void *from, size_t i)
{
    const stepped *s = from;
    return s->c->accepted[s->group[i]];
}

static uint64_t errors_at(const void *from, size_t i)
{
    const stepped *s = from;
    return s->c->errors[s->group[i]];
}

static int put_steps(object *to, const ds_report *r, ds_error *e)
{
    const ds_curve *c = r->curve;
    ds_steps steps;
    int rc = ds_steps_make(c, ALL, STEPS, r->chosen.accepted, &steps, e);
    if (rc)
        return rc;
    stepped s = {c, steps.group};
    put(to, "thinned", json_boolean(steps.thinned));
    put(to, "threshold", packed(&s, steps.n, 8, threshold_at));
    put(to, "accepted", packed(&s, steps.n, 4, accepted_at));
    put(to, "errors", packed(&s, steps.n, 4, errors_at));
    free(steps.group);
    return DS_OK;
}

/* ---- labels and predictions, surest image first ---- */

typedef struct sorted {
    const ds_answers *a;
    const size_t *order;
} sorted;

static uint64_t label_at(const void *from, size_t i)
{
    const sorted *s = from;
    return (uint64_t)s->a->labels[s->order[i]];
}

static uint64_t prediction_at(const void *from, size_t i)
{
    const sorted *s = from;
    return (uint64_t)s->a->predictions[s->order[i]];
}

static void put_answers(object *to, const sorted *s, int classes)
{
    size_t n = s->a->n;
    bool small = n <= LABELLED;
    int width = classes <= 1 << 8 ? 1 : classes <= 1 << 16 ? 2 : 4;
    put(to, "width", json_integer(width));
    put(to, "labels", small ? packed(s, n, width, label_at) : json_null());
    put(to, "predictions", small ? packed(s, n, width, prediction_at) : json_null());
}

static json_t *data_of(const ds_page *p, const sorted *s, ds_error *e)
{
    const ds_curve *c = p->report->curve;
    object o = {json_object(), true};
    put(&o, "n", json_integer((json_int_t)c->n));
    put(&o, "wrong", json_integer((json_int_t)c->wrong));
    put_answers(&o, s, p->answers->classes);
    if (put_steps(&o, p->report, e))
        o.ok = false;
    return finish(&o);
}

/* ---- the gallery ---- */

static json_t *item(const ds_page *p, size_t i, bool pictured)
{
    const ds_answers *a = p->answers;
    const char *path = ds_answers_path(a, i);
    ds_error why = {0};
    char *uri = NULL;
    object o = {json_object(), true};
    put(&o, "path", ds_json_text(path));
    put(&o, "label", json_integer(a->labels[i]));
    put(&o, "prediction", json_integer(a->predictions[i]));
    put(&o, "confidence", ds_json_number(a->confidences[i]));
    put(&o, "accepted", json_boolean(ds_accepts(a->confidences[i], p->report->chosen.threshold)));
    if (pictured && *path && ds_thumb_make(path, &uri, &why))
        put(&o, "problem", ds_json_text(why.text));
    if (uri)
        put(&o, "picture", json_string_nocheck(uri));
    free(uri);
    return finish(&o);
}

static json_t *gallery(const ds_page *p, const size_t *order)
{
    unsigned char *marks = calloc(p->answers->n + 1, 1);
    json_t *array = marks ? json_array() : NULL;
    if (array)
        ds_gallery_mark(p->answers, p->report->chosen.threshold, order, p->thumbs, marks);
    for (size_t k = 0; array && k < p->answers->n; k++)
        if (marks[k] && json_array_append_new(array, item(p, order[k], marks[k] & DS_PICTURED))) {
            json_decref(array);
            array = NULL;
        }
    free(marks);
    return array;
}

static json_t *names_of(const ds_page *p)
{
    json_t *array = json_array();
    for (int i = 0; i < p->answers->classes; i++)
        if (json_array_append_new(array, ds_json_text(p->answers->names[i]))) {
            json_decref(array);
            return NULL;
        }
    return array;
}

/* ---- figures ---- */

static json_t *bin_of(const ds_bin *b)
{
    object o = {json_object(), true};
    put(&o, "low", ds_json_number(b->low));
    put(&o, "high", ds_json_number(b->high));
    put(&o, "n", json_integer((json_int_t)b->n));
    put(&o, "right", json_integer((json_int_t)b->right));
    put(&o, "confidence", b->n ? ds_json_number(b->confidence / (double)b->n) : json_null());
    return finish(&o);
}

static json_t *bins_of(const ds_bin *bins, int n)
{
    json_t *array = json_array();
    for (int i = 0; i < n; i++)
        if (json_array_append_new(array, bin_of(&bins[i]))) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *figures(const ds_page *p, const ds_page_bins *b)
{
    object o = {ds_report_json_object(p->report), true};
    put(&o, "list", ds_json_text(p->report->list));
    put(&o, "threshold_note", ds_json_text(p->report->threshold_note));
    put(&o, "chose_best", json_boolean(p->report->chose_best));
    put(&o, "reliability", b->reliable ? bins_of(b->reliability, DS_BINS) : json_null());
    put(&o, "histogram", bins_of(b->histogram, DS_HISTOGRAM));
    return finish(&o);
}

static int dump(json_t *json, size_t flags, char **text, ds_error *e)
{
    *text = json ? json_dumps(json, flags | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(json);
    return *text ? DS_OK : ds_fail_memory(e);
}

int ds_page_figures(FILE *f, const ds_page *p, const ds_page_bins *b, ds_error *e)
{
    char *text;
    int rc = dump(figures(p, b), JSON_INDENT(2), &text, e);
    if (rc)
        return rc;
    fputs(text, f);
    fputc('\n', f);
    free(text);
    return ds_report_flush(f, e);
}

/* The page counts classes itself, at any threshold. */
static json_t *page_figures(const ds_page *p, const ds_page_bins *b)
{
    json_t *json = figures(p, b);
    json_object_del(json, "classes");
    json_object_del(json, "confusion");
    return json;
}

int ds_page_json(const ds_page *p, const ds_page_bins *b, char **json, ds_error *e)
{
    size_t *order = ds_page_order(p->answers);
    object o = {json_object(), order != NULL};
    *json = NULL;
    if (order) {
        put(&o, "report", page_figures(p, b));
        put(&o, "names", names_of(p));
        put(&o, "data", data_of(p, &(sorted){p->answers, order}, e));
        put(&o, "gallery", gallery(p, order));
    }
    free(order);
    return dump(finish(&o), JSON_COMPACT, json, e);
}
