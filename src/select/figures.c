#include "select/figures.h"

static void count(ds_counts *c, const ds_answers *a, size_t i, bool accepted)
{
    c->n++;
    c->accepted += accepted;
    c->unknown += ds_answers_unknown(a, i);
    c->right += a->wrong && !a->wrong[i];
    c->accepted_wrong += accepted && a->wrong && a->wrong[i];
}

ds_counts ds_counts_of(const ds_answers *a, double threshold)
{
    ds_counts c = {0};
    for (size_t i = 0; i < a->n; i++)
        count(&c, a, i, ds_answers_accepts(a, i, threshold));
    return c;
}

void ds_counts_by_class(const ds_answers *a, double threshold, ds_counts *counts, size_t *confusion)
{
    size_t classes = (size_t)a->classes, columns = classes + 1;
    memset(counts, 0, classes * sizeof *counts);
    if (confusion)
        memset(confusion, 0, classes * columns * sizeof *confusion);
    for (size_t i = 0; i < a->n; i++) {
        bool accepted = ds_answers_accepts(a, i, threshold);
        size_t label = (size_t)a->labels[i], column = accepted ? (size_t)a->predictions[i] : classes;
        count(&counts[label], a, i, accepted);
        if (accepted) {
            counts[column].as++;
            counts[column].as_wrong += column != label;
        }
        if (confusion)
            confusion[label * columns + column]++;
    }
}

static ds_rate rate_of(size_t k, size_t n)
{
    if (n == 0)
        return (ds_rate){NAN, {NAN, NAN}};
    return (ds_rate){(double)k / (double)n, ds_rate_interval(k, n, DS_LEVEL)};
}

ds_rates ds_rates_of(const ds_counts *c, bool labelled)
{
    return (ds_rates){
        .accuracy = rate_of(c->right, labelled ? c->n : 0),
        .reject = rate_of(c->n - c->accepted, c->n),
        .unknown = rate_of(c->unknown, c->n),
        .risk = rate_of(c->accepted_wrong, labelled ? c->accepted : 0),
    };
}

double ds_reject_rate(const ds_figures *f, const ds_cut *cut)
{
    size_t n = f->curve.n;
    return n ? (double)(n - cut->accepted) / (double)n : NAN;
}

/* The AUROC of right against wrong with `in` as the right ones. */
double ds_auroc_two(const ds_answers *in, const ds_answers *out)
{
    size_t n = in->n + out->n;
    DS_FREED double *confidence = DS_ALLOC(confidence, n);
    DS_FREED bool *is_out = DS_ALLOC(is_out, n);
    for (size_t i = 0; i < n; i++) {
        is_out[i] = i >= in->n;
        confidence[i] = is_out[i] ? out->confidences[i - in->n] : in->confidences[i];
    }
    DS_FINALLY(ds_curve_clear) ds_curve c = ds_curve_of(confidence, is_out, n);
    return ds_areas_of(&c).auroc;
}

static ds_cut cut_by_class(const ds_answers *a)
{
    const ds_counts c = ds_counts_of(a, NAN);
    return (ds_cut){.threshold = NAN,
                    .accepted = c.accepted,
                    .errors = c.accepted_wrong,
                    .coverage = (double)c.accepted / (double)a->n,
                    .risk = (double)c.accepted_wrong / (double)c.accepted};
}

static ds_cut cut_of(ds_figures *f, const ds_wish *w)
{
    f->control = (ds_control){.risk = w->risk, .delta = w->delta};
    if (f->answers->thresholds)
        return cut_by_class(f->answers);
    if (!isnan(w->coverage))
        return ds_cut_at_coverage(&f->curve, w->coverage);
    if (isnan(w->risk))
        return ds_cut_at_threshold(&f->curve, w->threshold);
    f->control.found = ds_guarantee_at(&f->curve, w->risk, w->delta);
    return f->control.found.cut;
}

ds_figures ds_figures_at(const ds_answers *a, const ds_wish *w)
{
    ds_figures f = {.answers = a, .seed = w->seed};
    f.curve = ds_curve_of(a->confidences, a->wrong, a->n);
    f.areas = ds_areas_of(&f.curve);
    f.chosen = cut_of(&f, w);
    const ds_counts all = ds_counts_of(a, f.chosen.threshold);
    f.rates = ds_rates_of(&all, true);
    f.unknown = all.unknown;
    f.accuracy = f.rates.accuracy.value;
    f.means = ds_quality_means(&a->quality);
    f.boot = ds_bootstrap_of(a, NULL, 1, 0, DS_LEVEL, 0);
    return f;
}

static ds_rival_figures compare(const ds_figures *f, const ds_answers *rival, const ds_wish *w)
{
    DS_FINALLY(ds_curve_clear) ds_curve c = ds_curve_of(rival->confidences, rival->wrong, rival->n);
    ds_rival_figures v = {.file = rival->file, .other = ds_areas_of(&c), .mine = f->chosen};
    v.accuracy = c.n ? (double)(c.n - c.wrong) / (double)c.n : NAN;
    v.its =
        f->chosen.accepted ? ds_cut_at_coverage(&c, f->chosen.coverage) : ds_cut_at_threshold(&c, INFINITY);
    const ds_areas *a = &f->areas, *b = &v.other;
    v.difference =
        (ds_areas){a->aurc - b->aurc, a->eaurc - b->eaurc, a->augrc - b->augrc, a->auroc - b->auroc};
    v.boot =
        ds_bootstrap_of(f->answers, rival, f->chosen.coverage, w->replicates, DS_LEVEL, (uint64_t)w->seed);
    return v;
}

ds_figures ds_figures_of(const ds_answers *lists, int n, const ds_answers *rivals, int n_rivals,
                         const ds_wish *w)
{
    ds_figures f = ds_figures_at(lists, w);
    const size_t classes = (size_t)lists->classes;
    if (lists->classes <= DS_MOST_CLASSES) {
        DS_ALLOC(f.classes, classes);
        DS_ALLOC(f.confusion, classes * (classes + 1));
        ds_counts_by_class(lists, f.chosen.threshold, f.classes, f.confusion);
    }
    f.boot = ds_bootstrap_of(lists, NULL, 1, w->replicates, DS_LEVEL, (uint64_t)w->seed);
    for (int i = 1; i < n; i++) {
        const ds_list_figures l = {&lists[i], ds_counts_of(&lists[i], f.chosen.threshold),
                                   ds_auroc_two(lists, &lists[i])};
        DS_PUSH(f.lists, f.n_lists, l);
    }
    for (int i = 0; i < n_rivals; i++)
        DS_PUSH(f.rivals, f.n_rivals, compare(&f, &rivals[i], w));
    return f;
}

void ds_figures_clear(ds_figures *f)
{
    ds_curve_clear(&f->curve);
    free(f->classes);
    free(f->confusion);
    free(f->lists);
    free(f->rivals);
    *f = (ds_figures){0};
}
