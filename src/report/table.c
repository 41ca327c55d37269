#include "report/table.h"

#include "base/text.h"

#include <math.h>
#include <stdlib.h>

const char *ds_table_percent(double v, char cell[DS_TABLE_CELL])
{
    if (isnan(v))
        return "undefined";
    snprintf(cell, DS_TABLE_CELL, "%.2f %%", 100 * v);
    return cell;
}

/* A threshold is copied into cfg files: the fewest digits that are read as the same number. */
static const char *exact(double v, char cell[DS_TABLE_CELL])
{
    if (isnan(v))
        return "none";
    if (isinf(v))
        return "-";
    return ds_number_text(v, cell);
}

const char *ds_table_rate(const ds_rate *r, char cell[DS_TABLE_CELL])
{
    if (isnan(r->value))
        return "undefined";
    snprintf(cell, DS_TABLE_CELL, "%.2f %% [%.2f, %.2f]", 100 * r->value, 100 * r->interval.low,
             100 * r->interval.high);
    return cell;
}

static void line(FILE *f, const char *name, double v, ds_interval i)
{
    if (isnan(v)) {
        fprintf(f, "%-16s undefined\n", name);
        return;
    }
    fprintf(f, "%-16s %.6f", name, v);
    if (!isnan(i.low))
        fprintf(f, " [%.6f, %.6f]", i.low, i.high);
    fputc('\n', f);
}

static void text_line(FILE *f, const char *name, const char *text)
{
    if (text)
        fprintf(f, "%-16s %s\n", name, text);
}

static void head(FILE *f, const ds_report *r)
{
    char cell[DS_TABLE_CELL];
    text_line(f, "model", r->model);
    text_line(f, "list", r->list);
    if (r->chose_best)
        text_line(f, "", "(this list also chose the best weights: optimistic)");
    text_line(f, "confidence", r->confidence);
    fprintf(f, "%-16s %zu\n", "images", r->curve->n);
    if (r->curve->n_nan)
        fprintf(f, "%-16s %zu (never accepted)\n", "  no confidence", r->curve->n_nan);
    text_line(f, "accuracy", ds_table_rate(&r->rates.accuracy, cell));
}

static void control(FILE *f, const ds_report_control *c)
{
    if (!c)
        return;
    fprintf(f, "%-16s %g %% with probability %g %%: ", "risk asked for", 100 * c->risk, 100 * (1 - c->delta));
    if (c->found.feasible)
        fputs("feasible\n", f);
    else if (isnan(c->found.feasible_risk))
        fputs("no feasible threshold\n", f);
    else
        fprintf(f, "no feasible threshold, %g %% would be\n", 100 * c->found.feasible_risk);
    text_line(f, "", "(optimistic figures: the threshold was chosen on the very images that follow;");
    text_line(f, "", " `classifier calibrate` chooses it on others)");
}

static void chosen(FILE *f, const ds_report *r)
{
    char cell[DS_TABLE_CELL];
    const ds_cut *c = &r->chosen;
    const char *threshold = exact(c->threshold, cell);
    if (isinf(c->threshold))
        threshold = "nothing can be accepted";
    fprintf(f, "%-16s %s", "threshold", threshold);
    if (r->threshold_note)
        fprintf(f, " (%s)", r->threshold_note);
    fputc('\n', f);
    fprintf(f, "%-16s %s (%zu accepted)\n", "coverage", ds_table_percent(c->coverage, cell), c->accepted);
    fprintf(f, "%-16s %s (%zu rejected)\n", "reject rate", ds_table_rate(&r->rates.reject, cell),
            r->curve->n - c->accepted);
    fprintf(f, "%-16s %s (%zu errors among the accepted)\n", "selective risk",
            ds_table_rate(&r->rates.risk, cell), c->errors);
}

static void figures(FILE *f, const ds_report *r)
{
    const ds_interval none = {NAN, NAN};
    line(f, "AURC", r->areas.aurc, r->boot.aurc);
    line(f, "E-AURC", r->areas.eaurc, r->boot.eaurc);
    line(f, "AUGRC", r->areas.augrc, r->boot.augrc);
    line(f, "AUROC", r->areas.auroc, r->boot.auroc);
    if (!isnan(r->nll))
        line(f, "NLL", r->nll, none);
    if (!isnan(r->brier))
        line(f, "Brier", r->brier, none);
    if (!isnan(r->ece))
        line(f, "ECE", r->ece, none);
    if (r->curve->n == 0)
        return;
    fprintf(f, "in brackets      %g %% intervals: exact for rates", 100 * DS_REPORT_LEVEL);
    if (r->boot.replicates)
        fprintf(f, ", bootstrap for areas (%d replicates, seed %d)", r->boot.replicates, r->seed);
    fputc('\n', f);
}

static void risk_table(FILE *f, const ds_report *r)
{
    char risk[DS_TABLE_CELL], threshold[DS_TABLE_CELL];
    fprintf(f, "\nrisk at coverage\n  %8s  %10s  %10s  %s\n", "coverage", "accepted", "risk", "threshold");
    for (int i = 0; i < DS_REPORT_COVERAGES; i++) {
        ds_cut c = ds_cut_at_coverage(r->curve, ds_report_coverages[i]);
        fprintf(f, "  %6.0f %%  %10zu  %10s  %s\n", 100 * ds_report_coverages[i], c.accepted,
                ds_table_percent(c.risk, risk), exact(c.threshold, threshold));
    }
}

static void coverage_table(FILE *f, const ds_report *r)
{
    char coverage[DS_TABLE_CELL], rejected[DS_TABLE_CELL], threshold[DS_TABLE_CELL];
    fprintf(f, "\ncoverage at risk (chosen on these images: optimistic)\n  %8s  %10s  %11s  %s\n", "risk",
            "coverage", "reject rate", "threshold");
    for (int i = 0; i < DS_REPORT_RISKS; i++) {
        ds_cut c = ds_cut_at_risk(r->curve, ds_report_risks[i]);
        fprintf(f, "  <= %3g %%  %10s  %11s  %s\n", 100 * ds_report_risks[i],
                ds_table_percent(c.coverage, coverage), ds_table_percent(ds_reject_rate(r, &c), rejected),
                exact(c.threshold, threshold));
    }
}

int ds_report_text(FILE *f, const ds_report *r, ds_error *e)
{
    head(f, r);
    control(f, r->control);
    chosen(f, r);
    figures(f, r);
    risk_table(f, r);
    coverage_table(f, r);
    ds_table_parts(f, r);
    return ds_report_flush(f, e);
}
