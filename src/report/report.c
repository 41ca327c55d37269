#include "report/report.h"

#include <errno.h>
#include <math.h>
#include <string.h>

const double ds_report_coverages[DS_REPORT_COVERAGES] = {1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7};
const double ds_report_risks[DS_REPORT_RISKS] = {0.005, 0.01, 0.02, 0.05};

static ds_rate rate_of(size_t k, size_t n)
{
    if (n == 0)
        return (ds_rate){NAN, {NAN, NAN}};
    return (ds_rate){(double)k / (double)n, ds_rate_interval(k, n, DS_REPORT_LEVEL)};
}

ds_rates ds_rates_of(const ds_class_figures *f, bool labelled)
{
    const ds_rate undefined = {NAN, {NAN, NAN}};
    return (ds_rates){
        .accuracy = labelled ? rate_of(f->right, f->n) : undefined,
        .reject = rate_of(f->n - f->accepted, f->n),
        .risk = labelled ? rate_of(f->accepted_wrong, f->accepted) : undefined,
    };
}

ds_report ds_report_of(const ds_curve *curve, ds_cut chosen)
{
    double n = (double)curve->n;
    const ds_class_figures all = {curve->n, curve->n - curve->wrong, chosen.accepted, chosen.errors};
    const ds_interval none = {NAN, NAN};
    return (ds_report){
        .curve = curve,
        .areas = ds_areas_of(curve),
        .chosen = chosen,
        .accuracy = curve->n ? (n - (double)curve->wrong) / n : NAN,
        .nll = NAN,
        .brier = NAN,
        .ece = NAN,
        .rates = ds_rates_of(&all, true),
        .boot = {none, none, none, none, none, 0},
    };
}

double ds_reject_rate(const ds_report *r, const ds_cut *cut)
{
    size_t n = r->curve->n;
    return n ? (double)(n - cut->accepted) / (double)n : NAN;
}

int ds_report_flush(FILE *f, ds_error *e)
{
    errno = 0;
    if (fflush(f) == 0 && !ferror(f))
        return DS_OK;
    return ds_fail(e, DS_EIO, "cannot write the report: %s",
                   errno ? strerror(errno) : "an earlier write failed");
}
