#include "select/select.h"

#include <stdlib.h>
#include <string.h>

void ds_class_figures_of(const int *label, const int *prediction, const double *confidence, size_t n,
                         int classes, double threshold, ds_class_figures *figures, size_t *confusion)
{
    size_t columns = (size_t)classes + 1;
    memset(figures, 0, (size_t)classes * sizeof *figures);
    if (confusion)
        memset(confusion, 0, (size_t)classes * columns * sizeof *confusion);
    for (size_t i = 0; i < n; i++) {
        ds_class_figures *f = &figures[label[i]];
        bool right = prediction[i] == label[i], accepted = ds_accepts(confidence[i], threshold);
        f->n++;
        f->right += right;
        f->accepted += accepted;
        f->accepted_wrong += accepted && !right;
        if (confusion)
            confusion[(size_t)label[i] * columns + (size_t)(accepted ? prediction[i] : classes)]++;
    }
}

/* The AUROC of right against wrong with `in` as the right ones. */
int ds_auroc_two(const double *in, size_t n_in, const double *out, size_t n_out, double *auroc, ds_error *e)
{
    size_t n = n_in + n_out;
    double *confidence = malloc((n + 1) * sizeof *confidence);
    bool *is_out = malloc((n + 1) * sizeof *is_out);
    ds_curve c;
    int rc = confidence && is_out ? DS_OK : ds_fail_memory(e);
    for (size_t i = 0; i < n && !rc; i++) {
        is_out[i] = i >= n_in;
        confidence[i] = is_out[i] ? out[i - n_in] : in[i];
    }
    if (!rc)
        rc = ds_curve_make(confidence, is_out, n, &c, e);
    if (!rc) {
        *auroc = ds_areas_of(&c).auroc;
        ds_curve_clear(&c);
    }
    free(confidence);
    free(is_out);
    return rc;
}
