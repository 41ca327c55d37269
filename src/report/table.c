#include "report/report.h"

#include <math.h>
#include <stdlib.h>

enum { CELL = 48 };

static const char *percent(double v, char cell[CELL])
{
    if (isnan(v))
        return "undefined";
    snprintf(cell, CELL, "%.2f %%", 100 * v);
    return cell;
}

/* A threshold is copied into cfg files: the fewest digits that are read as the same number. */
static const char *exact(double v, char cell[CELL])
{
    if (isnan(v))
        return "none";
    if (isinf(v))
        return "-";
    /* six at least: %g drops zeros, but with fewer digits it writes 80 as 8e+01 */
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(cell, CELL, "%.*g", digits, v);
        if (strtod(cell, NULL) == v)
            break;
    }
    return cell;
}

static void line(FILE *f, const char *name, double v)
{
    if (isnan(v))
        fprintf(f, "%-16s undefined\n", name);
    else
        fprintf(f, "%-16s %.6f\n", name, v);
}

static void text_line(FILE *f, const char *name, const char *text)
{
    if (text)
        fprintf(f, "%-16s %s\n", name, text);
}

static void head(FILE *f, const ds_report *r)
{
    char cell[CELL];
    text_line(f, "model", r->model);
    text_line(f, "list", r->list);
    if (r->chose_best)
        text_line(f, "", "(this list also chose the best weights: optimistic)");
    text_line(f, "confidence", r->confidence);
    fprintf(f, "%-16s %zu\n", "images", r->curve->n);
    if (r->curve->n_nan)
        fprintf(f, "%-16s %zu (never accepted)\n", "  no confidence", r->curve->n_nan);
    text_line(f, "accuracy", percent(r->accuracy, cell));
}

static void chosen(FILE *f, const ds_report *r)
{
    char cell[CELL];
    const ds_cut *c = &r->chosen;
    const char *threshold = exact(c->threshold, cell);
    if (isinf(c->threshold))
        threshold = "nothing can be accepted";
    fprintf(f, "%-16s %s", "threshold", threshold);
    if (r->threshold_note)
        fprintf(f, " (%s)", r->threshold_note);
    fputc('\n', f);
    fprintf(f, "%-16s %s (%zu accepted)\n", "coverage", percent(c->coverage, cell), c->accepted);
    fprintf(f, "%-16s %s (%zu rejected)\n", "reject rate", percent(ds_reject_rate(r, c), cell),
            r->curve->n - c->accepted);
    fprintf(f, "%-16s %s (%zu errors among the accepted)\n", "selective risk", percent(c->risk, cell),
            c->errors);
}

static void figures(FILE *f, const ds_report *r)
{
    line(f, "AURC", r->areas.aurc);
    line(f, "E-AURC", r->areas.eaurc);
    line(f, "AUGRC", r->areas.augrc);
    line(f, "AUROC", r->areas.auroc);
    if (!isnan(r->nll))
        line(f, "NLL", r->nll);
    if (!isnan(r->brier))
        line(f, "Brier", r->brier);
    if (!isnan(r->ece))
        line(f, "ECE", r->ece);
}

static void risk_table(FILE *f, const ds_report *r)
{
    char risk[CELL], threshold[CELL];
    fprintf(f, "\nrisk at coverage\n  %8s  %10s  %10s  %s\n", "coverage", "accepted", "risk", "threshold");
    for (int i = 0; i < DS_REPORT_COVERAGES; i++) {
        ds_cut c = ds_cut_at_coverage(r->curve, ds_report_coverages[i]);
        fprintf(f, "  %6.0f %%  %10zu  %10s  %s\n", 100 * ds_report_coverages[i], c.accepted,
                percent(c.risk, risk), exact(c.threshold, threshold));
    }
}

static void coverage_table(FILE *f, const ds_report *r)
{
    char coverage[CELL], rejected[CELL], threshold[CELL];
    fprintf(f, "\ncoverage at risk (chosen on these images: optimistic)\n  %8s  %10s  %11s  %s\n", "risk",
            "coverage", "reject rate", "threshold");
    for (int i = 0; i < DS_REPORT_RISKS; i++) {
        ds_cut c = ds_cut_at_risk(r->curve, ds_report_risks[i]);
        fprintf(f, "  <= %3g %%  %10s  %11s  %s\n", 100 * ds_report_risks[i], percent(c.coverage, coverage),
                percent(ds_reject_rate(r, &c), rejected), exact(c.threshold, threshold));
    }
}

int ds_report_text(FILE *f, const ds_report *r, ds_error *e)
{
    head(f, r);
    chosen(f, r);
    figures(f, r);
    risk_table(f, r);
    coverage_table(f, r);
    return ds_report_flush(f, e);
}
