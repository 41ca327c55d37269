#include "report/table.h"

#include <math.h>

/* ---- classes ---- */

/* Columns that a text takes on a terminal, all letters being one wide. */
static int width_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += (*text & 0xC0) != 0x80;
    return n;
}

static int widest(const ds_report_classes *c)
{
    enum { MOST = 32 };
    int width = (int)sizeof "class" - 1;
    for (int i = 0; i < c->n; i++) {
        int w = width_of(c->names[i]);
        width = w > width ? w : width;
    }
    return width < MOST ? width : MOST;
}

static void padded(FILE *f, const char *text, int width)
{
    fprintf(f, "%s%*s", text, width > width_of(text) ? width - width_of(text) : 0, "");
}

static void class_table(FILE *f, const ds_report_classes *c, int width)
{
    char accuracy[DS_TABLE_CELL], rejected[DS_TABLE_CELL], risk[DS_TABLE_CELL];
    fputs("\nclasses at the threshold\n  ", f);
    padded(f, "class", width);
    fprintf(f, "  %8s  %10s  %11s  %10s\n", "images", "accuracy", "reject rate", "risk");
    for (int i = 0; i < c->n; i++) {
        ds_rates r = ds_rates_of(&c->figures[i], true);
        fputs("  ", f);
        padded(f, c->names[i], width);
        fprintf(f, "  %8zu  %10s  %11s  %10s\n", c->figures[i].n,
                ds_table_percent(r.accuracy.value, accuracy), ds_table_percent(r.reject.value, rejected),
                ds_table_percent(r.risk.value, risk));
    }
}

/* Columns have numbers for names: names would not fit. */
static void confusion_table(FILE *f, const ds_report_classes *c, int width)
{
    enum { MOST = 20 };
    if (c->n > MOST) {
        fprintf(f, "\nconfusion of %d classes: too wide for a table, see -json\n", c->n);
        return;
    }
    fputs("\nconfusion: label down, prediction of accepted images across\n  ", f);
    padded(f, "", width + 4);
    for (int j = 0; j < c->n; j++)
        fprintf(f, " %6d", j + 1);
    fputs("  rejected\n", f);
    for (int i = 0; i < c->n; i++) {
        const size_t *row = c->confusion + (size_t)i * ((size_t)c->n + 1);
        fprintf(f, "  %2d  ", i + 1);
        padded(f, c->names[i], width);
        for (int j = 0; j < c->n; j++)
            fprintf(f, " %6zu", row[j]);
        fprintf(f, "  %8zu\n", row[c->n]);
    }
}

static void classes(FILE *f, const ds_report *r)
{
    if (!r->show_classes)
        return;
    if (!r->classes) {
        fprintf(f, "\nclasses: more than %d, too many for figures of each\n", DS_REPORT_CLASSES);
        return;
    }
    int width = widest(r->classes);
    class_table(f, r->classes, width);
    confusion_table(f, r->classes, width);
}

/* ---- other lists, other programs ---- */

static void list_row(FILE *f, const char *name, const ds_class_figures *n, bool labelled, const char *auroc)
{
    char rejected[DS_TABLE_CELL], accuracy[DS_TABLE_CELL], risk[DS_TABLE_CELL];
    ds_rates r = ds_rates_of(n, labelled);
    fprintf(f, "  %-16s  %8zu  %24s", name, n->n, ds_table_rate(&r.reject, rejected));
    if (labelled)
        fprintf(f, "  %10s  %24s", ds_table_percent(r.accuracy.value, accuracy),
                ds_table_rate(&r.risk, risk));
    else
        fprintf(f, "  %10s  %24s", "no labels", "");
    fprintf(f, "  %s\n", auroc);
}

static void lists(FILE *f, const ds_report *r)
{
    char auroc[DS_TABLE_CELL];
    if (r->n_lists == 0)
        return;
    const char *name = r->name ? r->name : "images";
    const ds_class_figures own = {r->curve->n, r->curve->n - r->curve->wrong, r->chosen.accepted,
                                  r->chosen.errors};
    fprintf(f, "\nlists at the threshold (AUROC: an image of %s is surer than one of the list)\n", name);
    fprintf(f, "  %-16s  %8s  %24s  %10s  %24s  %s\n", "list", "images", "reject rate", "accuracy", "risk",
            "AUROC");
    list_row(f, name, &own, true, "-");
    for (int i = 0; i < r->n_lists; i++) {
        const ds_report_list *l = &r->lists[i];
        snprintf(auroc, sizeof auroc, "%.6f", l->auroc);
        list_row(f, l->name, &l->figures, l->labelled, isnan(l->auroc) ? "undefined" : auroc);
    }
}

static void difference(FILE *f, const char *name, double mine, double other, double d, ds_interval i)
{
    fprintf(f, "  %-16s", name);
    if (isnan(d)) {
        fputs(" undefined\n", f);
        return;
    }
    fprintf(f, " %9.6f %9.6f %+10.6f", mine, other, d);
    if (!isnan(i.low))
        fprintf(f, " [%+.6f, %+.6f]", i.low, i.high);
    fputc('\n', f);
}

static void rival(FILE *f, const ds_report *r, const ds_report_rival *v)
{
    const ds_areas *a = &r->areas, *b = &v->other, *d = &v->areas.difference;
    const ds_bootstrap *i = &v->areas.interval;
    char name[DS_TABLE_CELL];
    fprintf(f, "\ncompared with %s\n  %-16s %9s %9s %10s", v->file, "", "this", "other", "difference");
    if (i->replicates)
        fprintf(f, " (paired bootstrap, %d replicates)", i->replicates);
    fputc('\n', f);
    difference(f, "accuracy", r->accuracy, v->accuracy, r->accuracy - v->accuracy, i->accuracy);
    snprintf(name, sizeof name, isnan(v->mine.coverage) ? "risk" : "risk at %.4g %%", 100 * v->mine.coverage);
    difference(f, name, v->mine.risk, v->its.risk, v->mine.risk - v->its.risk, v->risk);
    if (v->mine.accepted != v->its.accepted)
        fprintf(f, "  (the other accepts %.4g %%: equal confidences stay together)\n", 100 * v->its.coverage);
    difference(f, "AURC", a->aurc, b->aurc, d->aurc, i->aurc);
    difference(f, "E-AURC", a->eaurc, b->eaurc, d->eaurc, i->eaurc);
    difference(f, "AUGRC", a->augrc, b->augrc, d->augrc, i->augrc);
    difference(f, "AUROC", a->auroc, b->auroc, d->auroc, i->auroc);
    if (!isnan(v->areas.p_aurc))
        fprintf(f, "  %-16s %9.4g (of no difference in AURC)\n", "p", v->areas.p_aurc);
}

void ds_table_parts(FILE *f, const ds_report *r)
{
    classes(f, r);
    lists(f, r);
    for (int i = 0; i < r->n_rivals; i++)
        rival(f, r, &r->rivals[i]);
}
