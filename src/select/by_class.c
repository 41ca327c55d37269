#include "base/memory.h"
#include "select/answers.h"

#include <math.h>
#include <stdlib.h>

/* The curve of the images that are answered as class c. */
static ds_curve curve_of(const ds_answers *a, int c, size_t *answered)
{
    double *confidence;
    bool *wrong;
    DS_ALLOC(confidence, a->n);
    DS_ALLOC(wrong, a->n);
    *answered = 0;
    for (size_t i = 0; i < a->n; i++)
        if (a->predictions[i] == c) {
            confidence[*answered] = a->confidences[i];
            wrong[(*answered)++] = a->wrong[i];
        }
    ds_curve curve = ds_curve_of(confidence, wrong, *answered);
    free(confidence);
    free(wrong);
    return curve;
}

int ds_promise_by_class(const ds_answers *a, double delta, ds_class_promise *promises, double *thresholds)
{
    int promised = 0, kept = 0;
    for (int c = 0; c < a->classes; c++)
        promised += !isnan(promises[c].risk);
    for (int c = 0; c < a->classes; c++) {
        ds_class_promise *p = &promises[c];
        ds_curve curve = curve_of(a, c, &p->answered);
        if (isnan(p->risk))
            p->found.cut = ds_cut_at_threshold(&curve, NAN);
        else
            p->found = ds_guarantee_at(&curve, p->risk, delta / promised);
        kept += p->found.feasible;
        thresholds[c] = isnan(p->risk) ? -INFINITY : p->found.cut.threshold;
        ds_curve_clear(&curve);
    }
    return kept;
}
