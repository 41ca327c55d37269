#include "base/problem.h"

const char *const ds_severity_names[] = {"error", "warning", "note"};

void ds_problem_put(ds_problems *p, ds_severity severity, char *file, int line, char *text)
{
    ds_problem fresh = {severity, p->kind, file, line, text, p->n, p->n};
    for (int i = p->n - 1; i >= 0 && fresh.group == p->n; i--)
        if (p->v[i].severity == severity && p->v[i].kind == p->kind && strcmp(p->v[i].file, file) == 0)
            fresh.group = p->v[i].group;
    p->count[severity]++;
    DS_PUSH(p->v, p->n, fresh);
}

static int in_order(const void *a, const void *b)
{
    const ds_problem *x = a, *y = b;
    const int order = x->group != y->group ? x->group - y->group : x->line - y->line;
    return order ? order : x->number - y->number;
}

void ds_problems_sort(ds_problems *p)
{
    if (p->n)
        qsort(p->v, (size_t)p->n, sizeof *p->v, in_order);
}

void ds_problems_take(ds_problems *p, ds_notes *notes)
{
    for (int i = 0; i < notes->n; i++) {
        const char *text = strchr(notes->text[i], ' ') + 1, *colon = text;
        int line = 0, n = 0;
        while ((colon = strchr(colon, ':')) && !(sscanf(colon, ":%d:%n", &line, &n) == 1 && n))
            colon++;
        ds_problem_put(p, *notes->text[i] == 'w' ? DS_WARNING : DS_NOTE,
                       ds_strndup(text, colon ? (size_t)(colon - text) : 0), colon ? line : 0,
                       ds_strdup(colon ? colon + n + 1 : text));
    }
    ds_notes_clear(notes);
}

void ds_problems_print(ds_problems *p, FILE *out)
{
    enum { MOST = 20 };
    ds_problems_sort(p);
    for (int i = 0, row = 0; i < p->n; i++) {
        const ds_problem *v = &p->v[i];
        const bool last = i + 1 == p->n || v[1].group != v->group;
        char more[64];
        snprintf(more, sizeof more, "and %d more of this kind", ++row - MOST);
        if (row <= MOST || last)
            ds_put_message(out, ds_severity_names[v->severity], v->file, row <= MOST ? v->line : 0,
                           row <= MOST ? v->text : more);
        row = last ? 0 : row;
    }
}

void ds_problems_clear(ds_problems *p)
{
    for (int i = 0; i < p->n; i++) {
        free(p->v[i].file);
        free(p->v[i].text);
    }
    free(p->v);
    *p = (ds_problems){0};
}

/* ---- an error that collects ---- */

bool ds_collects(const ds_error *e)
{
    return e && e->all;
}

int ds_keep(ds_error *e, int rc)
{
    if (!rc || !ds_collects(e))
        return rc;
    if (!e->kept)
        ds_problem_add(e->all, DS_ERROR, e->file, e->line, "%s", e->text);
    e->kept = true;
    return DS_OK;
}

int ds_failures(const ds_error *e)
{
    return ds_collects(e) ? e->all->count[DS_ERROR] : 0;
}

int ds_failed_since(ds_error *e, int before)
{
    if (ds_failures(e) == before)
        return DS_OK;
    e->kept = true;
    return e->code;
}
