#include "cli/per_class.h"
#include "base/text.h"
#include "cli/flags.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Behind the name and "=", if there are any; *length: of the name. */
static const char *number_of(const char *text, size_t *length)
{
    const char *equals = strrchr(text, '=');
    *length = equals ? (size_t)(equals - text) : 0;
    return equals ? equals + 1 : text;
}

int ds_per_class_risks(const ds_texts *risks, double *risk, bool *named, ds_error *e)
{
    *risk = NAN;
    for (int i = 0; i < risks->n; i++) {
        size_t length;
        double value;
        if (!ds_parse_double(number_of(risks->v[i], &length), &value))
            return ds_fail(e, DS_EUSAGE, "-risk %s, expected a number R or NAME=R", risks->v[i]);
        DS_TRY(ds_check_inside("risk", value, e));
        if (!length && !isnan(*risk))
            return ds_fail(e, DS_EUSAGE, "-risk %g and -risk %g, expected one of the two", *risk, value);
        *(length ? &value : risk) = value;
        *named = *named || length;
    }
    return DS_OK;
}

/* NAME=R of one text, to the promise of that class. */
static int take_name(ds_per_class *p, const char *text, const ds_answers *a, ds_error *e)
{
    size_t length;
    const char *number = number_of(text, &length);
    if (!length)
        return DS_OK;
    for (int c = 0; c < a->classes; c++)
        if (strlen(a->names[c]) == length && strncmp(a->names[c], text, length) == 0) {
            ds_parse_double(number, &p->promises[c].risk);
            return DS_OK;
        }
    char *word = ds_strndup(text, length);
    const char *near = ds_nearest(word, (const char *const *)a->names, a->classes);
    int rc = ds_fail(e, DS_EUSAGE, "-risk %s, expected the name of a class before the last '='%s%s%s", text,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    free(word);
    return rc;
}

static int tell_infeasible(const ds_per_class *p, const ds_answers *a, ds_error *e)
{
    const ds_class_promise *best = NULL;
    for (const ds_class_promise *q = p->promises; q < p->promises + p->classes; q++)
        if (q->found.feasible_risk > 0 && (!best || q->found.feasible_risk < best->found.feasible_risk))
            best = q;
    if (!best)
        return ds_fail(e, DS_EINFEASIBLE,
                       "no feasible threshold for any class: %zu calibration images allow no -risk below 1",
                       a->n);
    return ds_fail(
        e, DS_EINFEASIBLE,
        "no feasible threshold for any class: %zu calibration images allow -risk %g at the least, for "
        "'%s' (%zu are answered so)",
        a->n, best->found.feasible_risk, a->names[best - p->promises], best->answered);
}

static char *text_of(const ds_per_class *p)
{
    char *text, number[DS_NUMBER_TEXT];
    size_t size;
    FILE *f = ds_memstream(&text, &size);
    for (int c = 0; c < p->classes; c++)
        fprintf(f, "%s%s", c ? "," : "", ds_number_text(p->thresholds[c], number));
    fclose(f);
    return text;
}

int ds_per_class_find(ds_per_class *p, const ds_texts *risks, double risk, double delta, ds_answers *a,
                      ds_error *e)
{
    p->classes = a->classes;
    DS_ZALLOC(p->promises, (size_t)a->classes);
    DS_ALLOC(p->thresholds, (size_t)a->classes);
    for (int c = 0; c < a->classes; c++)
        p->promises[c].risk = risk;
    for (int i = 0; i < risks->n; i++)
        DS_TRY(take_name(p, risks->v[i], a, e));
    if (!ds_promise_by_class(a, delta, p->promises, p->thresholds))
        return tell_infeasible(p, a, e);
    a->thresholds = p->thresholds;
    p->text = text_of(p);
    return DS_OK;
}

void ds_per_class_clear(ds_per_class *p)
{
    free(p->promises);
    free(p->thresholds);
    free(p->text);
    *p = (ds_per_class){0};
}
