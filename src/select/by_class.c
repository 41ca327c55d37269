#include "select/answers.h"

int ds_promise_by_class(const ds_answers *a, double delta, ds_class_promise *promises, double *thresholds)
{
    int promised = 0, kept = 0;
    DS_FREED double *confidences = DS_ALLOC(confidences, a->n);
    for (int c = 0; c < a->classes; c++)
        promised += !isnan(promises[c].risk);
    for (int c = 0; c < a->classes; c++) {
        ds_class_promise *p = &promises[c];
        for (size_t i = 0; i < a->n; i++) /* those of other classes are never accepted */
            confidences[i] = a->predictions[i] == c ? a->confidences[i] : NAN;
        DS_FINALLY(ds_curve_clear) ds_curve curve = ds_curve_of(confidences, a->wrong, a->n);
        p->answered = a->n - curve.n_nan;
        p->found = ds_guarantee_at(&curve, p->risk, delta / promised);
        if (isnan(p->risk))
            p->found.cut = ds_cut_at_threshold(&curve, NAN);
        kept += p->found.feasible;
        thresholds[c] = isnan(p->risk) ? -INFINITY : p->found.cut.threshold;
    }
    return kept;
}
