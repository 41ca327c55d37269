#include "report/report.h"

const double ds_report_coverages[DS_REPORT_COVERAGES] = {1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7};
const double ds_report_risks[DS_REPORT_RISKS] = {0.005, 0.01, 0.02, 0.05};

/* A formatted number; what a function returns lives as long as the call that prints it. */
typedef struct cell {
    char text[48];
} cell;

static cell undefined_or(double v, const char *format, double low, double high)
{
    cell c = {"undefined"};
    if (!isnan(v))
        snprintf(c.text, sizeof c.text, format, v, low, high);
    return c;
}

static cell percent(double v)
{
    return undefined_or(100 * v, "%.2f %%", 0, 0);
}

static cell rate(const ds_rate *r)
{
    return undefined_or(100 * r->value, "%.2f %% [%.2f, %.2f]", 100 * r->interval.low,
                        100 * r->interval.high);
}

/* A threshold is copied into cfg files: the fewest digits that are read as the same number. */
static cell exact(double v, const char *infinite)
{
    cell c = {"none"};
    if (isinf(v))
        snprintf(c.text, sizeof c.text, "%s", infinite);
    else if (!isnan(v))
        ds_number_text(v, c.text);
    return c;
}

void ds_report_line(FILE *f, const char *name, const char *text)
{
    if (!text)
        return;
    fprintf(f, "%-16s", name);
    ds_put_line(f, " ", text);
}

static void head(FILE *f, const ds_figures *r)
{
    ds_report_line(f, "model", r->model);
    ds_report_line(f, "list", r->answers->file);
    if (r->chose_best)
        ds_report_line(f, "", "(this list also chose the best weights: optimistic)");
    ds_report_line(f, "confidence", r->confidence);
    fprintf(f, "%-16s %zu\n", "images", r->curve.n);
    if (r->curve.n_nan > r->unknown)
        fprintf(f, "%-16s %zu (never accepted)\n", "  no confidence", r->curve.n_nan - r->unknown);
    ds_report_line(f, "accuracy", rate(&r->rates.accuracy).text);
}

static void control(FILE *f, const ds_control *c)
{
    if (isnan(c->risk))
        return;
    fprintf(f, "%-16s %g %% with probability %g %%: ", "risk asked for", 100 * c->risk, 100 * (1 - c->delta));
    if (c->found.feasible)
        fputs("feasible\n", f);
    else if (isnan(c->found.feasible_risk))
        fputs("no feasible threshold\n", f);
    else
        fprintf(f, "no feasible threshold, %g %% would be\n", 100 * c->found.feasible_risk);
    ds_report_line(f, "", "(optimistic figures: the threshold was chosen on the very images that follow;");
    ds_report_line(f, "", " `classifier calibrate` chooses it on others)");
}

static void chosen(FILE *f, const ds_figures *r)
{
    const ds_cut *c = &r->chosen;
    fprintf(f, "%-16s %s", "threshold",
            r->answers->thresholds ? "one of each class"
                                   : exact(c->threshold, "nothing can be accepted").text);
    if (r->threshold_note)
        fprintf(f, " (%s)", r->threshold_note);
    fprintf(f, "\n%-16s %s (%zu accepted)\n", "coverage", percent(c->coverage).text, c->accepted);
    fprintf(f, "%-16s %s (%zu rejected)\n", "reject rate", rate(&r->rates.reject).text,
            r->curve.n - c->accepted);
    if (r->answers->novelty)
        ds_report_line(f, "  unknown", rate(&r->rates.unknown).text);
    fprintf(f, "%-16s %s (%zu errors among the accepted)\n", "selective risk", rate(&r->rates.risk).text,
            c->errors);
}

static void area(FILE *f, const char *name, double v, ds_interval i)
{
    const char *format = isnan(i.low) ? "%.6f" : "%.6f [%.6f, %.6f]";
    ds_report_line(f, name, undefined_or(v, format, i.low, i.high).text);
}

static void figures(FILE *f, const ds_figures *r)
{
    area(f, "AURC", r->areas.aurc, r->boot.aurc);
    area(f, "E-AURC", r->areas.eaurc, r->boot.eaurc);
    area(f, "AUGRC", r->areas.augrc, r->boot.augrc);
    area(f, "AUROC", r->areas.auroc, r->boot.auroc);
    const double quality[] = {r->means.nll, r->means.brier, r->means.ece};
    static const char *const names[] = {"NLL", "Brier", "ECE"};
    for (int i = 0; i < 3; i++)
        if (!isnan(quality[i]))
            fprintf(f, "%-16s %.6f\n", names[i], quality[i]);
    if (r->curve.n == 0)
        return;
    fprintf(f, "in brackets      %g %% intervals: exact for rates", 100 * DS_LEVEL);
    if (r->boot.replicates)
        fprintf(f, ", bootstrap for areas (%d replicates, seed %d)", r->boot.replicates, r->seed);
    fputc('\n', f);
}

static void risk_table(FILE *f, const ds_figures *r)
{
    fprintf(f, "\nrisk at coverage\n  %8s  %10s  %10s  %s\n", "coverage", "accepted", "risk", "threshold");
    for (int i = 0; i < DS_REPORT_COVERAGES; i++) {
        const double wanted = ds_report_coverages[i];
        ds_cut c = ds_cut_at_coverage(&r->curve, wanted);
        if (c.coverage < wanted) /* images without a confidence are never accepted */
            fprintf(f, "  %6.0f %%  %10s  %10s  %s\n", 100 * wanted, "-", "-", "-");
        else
            fprintf(f, "  %6.0f %%  %10zu  %10s  %s\n", 100 * wanted, c.accepted, percent(c.risk).text,
                    exact(c.threshold, "-").text);
    }
}

static void coverage_table(FILE *f, const ds_figures *r)
{
    fprintf(f, "\ncoverage at risk (chosen on these images: optimistic)\n  %8s  %10s  %11s  %s\n", "risk",
            "coverage", "reject rate", "threshold");
    for (int i = 0; i < DS_REPORT_RISKS; i++) {
        ds_cut c = ds_cut_at_risk(&r->curve, ds_report_risks[i]);
        fprintf(f, "  <= %3g %%  %10s  %11s  %s\n", 100 * ds_report_risks[i], percent(c.coverage).text,
                percent(ds_reject_rate(r, &c)).text, exact(c.threshold, "-").text);
    }
}

static int widest(const ds_answers *a)
{
    enum { MOST = 32 };
    int width = (int)sizeof "class" - 1;
    for (int i = 0; i < a->classes; i++) {
        int w = ds_put_name(NULL, a->names[i], 0);
        width = w > width ? w : width;
    }
    return width < MOST ? width : MOST;
}

static void class_table(FILE *f, const ds_figures *r, int width)
{
    char **names = r->answers->names;
    const double *own = r->answers->thresholds;
    fprintf(f, "\nclasses at the threshold%s\n  %-*s  %8s  %10s  %11s  %10s  %11s  %10s%s\n", own ? "s" : "",
            width, "class", "images", "accuracy", "reject rate", "risk", "accepted as", "wrong",
            own ? "  threshold" : "");
    for (int i = 0; i < r->answers->classes; i++) {
        const ds_counts *n = &r->classes[i];
        ds_rates rates = ds_rates_of(n, true);
        fputs("  ", f);
        ds_put_name(f, names[i], width);
        fprintf(f, "  %8zu  %10s  %11s  %10s  %11zu  %10s", r->classes[i].n,
                percent(rates.accuracy.value).text, percent(rates.reject.value).text,
                percent(rates.risk.value).text, n->as, percent((double)n->as_wrong / (double)n->as).text);
        fprintf(f, own ? "  %s\n" : "\n", own ? exact(own[i], own[i] > 0 ? "never" : "none").text : "");
    }
}

/* Columns have numbers for names: names would not fit. */
static void confusion_table(FILE *f, const ds_figures *r, int width)
{
    enum { MOST = 20 };
    const int n = r->answers->classes;
    char **names = r->answers->names;
    if (n > MOST) {
        fprintf(f, "\nconfusion of %d classes: too wide for a table, see -json\n", n);
        return;
    }
    fprintf(f, "\nconfusion: label down, prediction of accepted images across\n  %*s", width + 4, "");
    for (int j = 0; j < n; j++)
        fprintf(f, " %6d", j + 1);
    fputs("  rejected\n", f);
    for (int i = 0; i < n; i++) {
        const size_t *row = r->confusion + (size_t)i * ((size_t)n + 1);
        fprintf(f, "  %2d  ", i + 1);
        ds_put_name(f, names[i], width);
        for (int j = 0; j < n; j++)
            fprintf(f, " %6zu", row[j]);
        fprintf(f, "  %8zu\n", row[n]);
    }
}

static void classes(FILE *f, const ds_figures *r)
{
    if (!r->show_classes)
        return;
    if (!r->classes) {
        fprintf(f, "\nclasses: more than %d, too many for figures of each\n", DS_MOST_CLASSES);
        return;
    }
    int width = widest(r->answers);
    class_table(f, r, width);
    confusion_table(f, r, width);
}

/* ---- other lists, other programs ---- */

/* Of unknown images there are none where nothing is known of strangers. */
static void list_row(FILE *f, const ds_answers *a, const char *name, const ds_counts *n, const char *auroc)
{
    const bool labelled = a->wrong;
    ds_rates r = ds_rates_of(n, labelled);
    fputs("  ", f);
    ds_put_name(f, name, 16);
    fprintf(f, "  %8zu  %24s  %10s  %24s  %s", n->n, rate(&r.reject).text,
            labelled ? percent(r.accuracy.value).text : "no labels", labelled ? rate(&r.risk).text : "",
            auroc);
    if (a->novelty)
        fprintf(f, "%*s", 19 - (int)strlen(auroc), percent(r.unknown.value).text);
    fputc('\n', f);
}

static void lists(FILE *f, const ds_figures *r)
{
    if (r->n_lists == 0)
        return;
    const char *name = r->answers->name ? r->answers->name : "images";
    const ds_counts own = {.n = r->curve.n,
                           .right = r->curve.n - r->curve.wrong,
                           .accepted = r->chosen.accepted,
                           .accepted_wrong = r->chosen.errors,
                           .unknown = r->unknown};
    fputs("\nlists at the threshold (AUROC: an image of ", f);
    ds_put_name(f, name, 0);
    fputs(" is surer than one of the list)\n", f);
    fprintf(f, "  %-16s  %8s  %24s  %10s  %24s  %s\n", "list", "images", "reject rate", "accuracy", "risk",
            r->answers->novelty ? "AUROC       unknown" : "AUROC");
    list_row(f, r->answers, name, &own, "-");
    for (int i = 0; i < r->n_lists; i++) {
        const ds_list_figures *l = &r->lists[i];
        list_row(f, l->answers, l->answers->name, &l->counts, undefined_or(l->auroc, "%.6f", 0, 0).text);
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

static void rival(FILE *f, const ds_figures *r, const ds_rival_figures *v)
{
    const ds_areas *a = &r->areas, *b = &v->other, *d = &v->difference;
    const ds_bootstrap *i = &v->boot;
    cell risk = undefined_or(100 * v->mine.coverage, "risk at %.4g %%", 0, 0);
    ds_put_line(f, "\ncompared with ", v->file);
    fprintf(f, "  %-16s %9s %9s %10s", "", "this", "other", "difference");
    if (i->replicates)
        fprintf(f, " (paired bootstrap, %d replicates)", i->replicates);
    fputc('\n', f);
    difference(f, "accuracy", r->accuracy, v->accuracy, r->accuracy - v->accuracy, i->accuracy);
    difference(f, isnan(v->mine.coverage) ? "risk" : risk.text, v->mine.risk, v->its.risk,
               v->mine.risk - v->its.risk, v->boot.risk);
    if (v->mine.accepted != v->its.accepted)
        fprintf(f, "  (the other accepts %.4g %%: equal confidences stay together)\n", 100 * v->its.coverage);
    difference(f, "AURC", a->aurc, b->aurc, d->aurc, i->aurc);
    difference(f, "E-AURC", a->eaurc, b->eaurc, d->eaurc, i->eaurc);
    difference(f, "AUGRC", a->augrc, b->augrc, d->augrc, i->augrc);
    difference(f, "AUROC", a->auroc, b->auroc, d->auroc, i->auroc);
    if (!isnan(v->boot.p_aurc))
        fprintf(f, "  %-16s %9.4g (of no difference in AURC)\n", "p", v->boot.p_aurc);
}

void ds_report_text(FILE *f, const ds_figures *r)
{
    head(f, r);
    control(f, &r->control);
    chosen(f, r);
    figures(f, r);
    risk_table(f, r);
    coverage_table(f, r);
    classes(f, r);
    lists(f, r);
    for (int i = 0; i < r->n_rivals; i++)
        rival(f, r, &r->rivals[i]);
}
