#include "cli/per_class.h"
#include "cli/flags.h"

/* The risk that a text of n letters before its "=" is about; NULL: there is no such class. */
static double *risk_of(const ds_per_class *p, const ds_answers *a, const char *text, size_t n)
{
    for (int c = 0; c < a->classes; c++)
        if (strlen(a->names[c]) == n && strncmp(a->names[c], text, n) == 0)
            return &p->promises[c].risk;
    return NULL;
}

static int read_risk(ds_per_class *p, const char *text, const ds_answers *a, ds_error *e)
{
    const char *equals = strrchr(text, '=');
    double value, *risk = &p->risk;
    if (!ds_parse_double(equals ? equals + 1 : text, &value))
        return ds_fail(e, DS_EUSAGE, "-risk %s, expected a number R or NAME=R", text);
    DS_FREED char *flag =
        ds_format("risk%s%.*s", equals ? " " : "", equals ? (int)(equals + 1 - text) : 0, text);
    DS_TRY(ds_check_share(flag, value, DS_INSIDE, e));
    if (!equals && !a && !isnan(p->risk))
        return ds_fail(e, DS_EUSAGE, "-risk %g and -risk %g, expected one of the two", p->risk, value);
    if (equals)
        risk = a ? risk_of(p, a, text, (size_t)(equals - text)) : equals > text ? &value : NULL;
    if (!risk)
        return ds_fail(e, DS_EUSAGE, "-risk %s, expected the name of a class before the last '='", text);
    *risk = value;
    p->named = p->named || equals;
    return DS_OK;
}

/* Is there a text before v[i] with the same name? */
static bool is_second(const ds_texts *risks, int i)
{
    const char *text = risks->v[i], *equals = strrchr(text, '=');
    const size_t n = equals ? (size_t)(equals + 1 - text) : 0;
    for (int k = 0; n && k < i; k++)
        if (strncmp(risks->v[k], text, n) == 0 && !strchr(risks->v[k] + n, '='))
            return true;
    return false;
}

int ds_per_class_read(ds_per_class *p, const ds_texts *risks, const ds_answers *a, ds_error *e)
{
    if (!a)
        p->risk = NAN;
    else
        DS_ZALLOC(p->promises, (size_t)a->classes);
    for (int c = 0; a && c < a->classes; c++)
        p->promises[c].risk = p->risk;
    for (int i = 0; i < risks->n; i++) {
        if (is_second(risks, i))
            return ds_fail(e, DS_EUSAGE, "-risk %s: a second risk of its class, expected one", risks->v[i]);
        DS_TRY(read_risk(p, risks->v[i], a, e));
    }
    return DS_OK;
}

int ds_per_class_find(ds_per_class *p, double delta, ds_answers *a, ds_error *e)
{
    double least = INFINITY;
    char number[DS_NUMBER_TEXT];
    DS_ALLOC(p->thresholds, (size_t)a->classes);
    int kept = ds_promise_by_class(a, delta, p->promises, p->thresholds);
    FILE *f = ds_memstream(&p->text, NULL);
    for (int c = 0; c < a->classes; c++) {
        least = fmin(least, p->promises[c].found.feasible_risk);
        fprintf(f, "%s%s", c ? "," : "", ds_number_text(p->thresholds[c], number));
    }
    fclose(f);
    a->thresholds = p->thresholds;
    if (kept)
        return DS_OK;
    if (!(least < 1))
        return ds_fail(e, DS_EINFEASIBLE,
                       "no feasible threshold for any class: %zu calibration images allow no -risk below 1",
                       a->n);
    return ds_fail(e, DS_EINFEASIBLE,
                   "no feasible threshold for any class: %zu calibration images allow -risk %g at the least",
                   a->n, least);
}

void ds_per_class_clear(ds_per_class *p)
{
    free(p->promises);
    free(p->thresholds);
    free(p->text);
    *p = (ds_per_class){0};
}
