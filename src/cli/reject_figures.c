#include "cli/reject.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the cut ---- */

static ds_cut choose_by_risk(ds_gathered *g, const ds_reject_flags *s)
{
    g->control = (ds_report_control){s->risk, s->delta, ds_guarantee_at(&g->curve, s->risk, s->delta)};
    return g->control.found.cut;
}

/* The threshold that the flags ask for, else that of [reject]. */
static ds_cut choose(ds_gathered *g, const ds_reject_flags *s)
{
    if (!isnan(s->risk))
        return choose_by_risk(g, s);
    if (!isnan(s->coverage))
        return ds_cut_at_coverage(&g->curve, s->coverage);
    return ds_cut_at_threshold(&g->curve, isnan(s->threshold) ? g->own : s->threshold);
}

static const char *note_of(const ds_gathered *g, const ds_reject_flags *s)
{
    if (!isnan(s->risk))
        return "for -risk, chosen on these images: optimistic";
    if (!isnan(s->coverage))
        return "for -coverage, chosen on these images: optimistic";
    if (!isnan(s->threshold))
        return "from -threshold";
    return isnan(g->own) ? NULL : "from the cfg";
}

static void describe(ds_gathered *g, const ds_reject_flags *s)
{
    ds_report *r = &g->report;
    const ds_model *m = &g->model;
    r->list = g->lists[0].file;
    r->name = g->lists[0].name;
    r->threshold_note = note_of(g, s);
    r->control = isnan(s->risk) ? NULL : &g->control;
    r->show_classes = s->classes;
    r->seed = s->seed;
    if (!m->net)
        return;
    r->nll = ds_quality_nll(&g->lists[0].quality);
    r->brier = ds_quality_brier(&g->lists[0].quality);
    r->ece = ds_quality_ece(&g->lists[0].quality);
    r->confidence = ds_confidence_names[g->score.kind];
    r->model = g->weights;
    r->chose_best = strcmp(g->list_key, "valid") == 0;
}

/* ---- classes ---- */

static int add_classes(ds_gathered *g, ds_error *e)
{
    const ds_answers *a = &g->lists[0];
    size_t c = (size_t)a->classes;
    if (a->classes > DS_REPORT_CLASSES)
        return DS_OK;
    ds_class_figures *figures = calloc(c + 1, sizeof *figures);
    size_t *confusion = calloc(c * (c + 1) + 1, sizeof *confusion);
    g->class_figures = (ds_report_classes){a->classes, (const char *const *)a->names, figures, confusion};
    if (!figures || !confusion)
        return ds_fail_memory(e);
    ds_class_figures_of(a->labels, a->predictions, a->confidences, a->n, a->classes,
                        g->report.chosen.threshold, figures, confusion);
    g->report.classes = &g->class_figures;
    return DS_OK;
}

/* ---- other lists ---- */

static ds_class_figures count(const ds_answers *a, double threshold)
{
    ds_class_figures f = {.n = a->n};
    for (size_t i = 0; i < a->n; i++) {
        bool accepted = ds_accepts(a->confidences[i], threshold), wrong = a->wrong && a->wrong[i];
        f.right += a->wrong && !wrong;
        f.accepted += accepted;
        f.accepted_wrong += accepted && wrong;
    }
    return f;
}

static int add_lists(ds_gathered *g, ds_error *e)
{
    int n = g->n_lists - 1, rc = DS_OK;
    const ds_answers *first = &g->lists[0];
    if (!(g->list_figures = calloc((size_t)n + 1, sizeof *g->list_figures)))
        return ds_fail_memory(e);
    for (int i = 0; i < n && !rc; i++) {
        const ds_answers *a = &g->lists[i + 1];
        ds_report_list *l = &g->list_figures[i];
        *l = (ds_report_list){a->name, a->file, a->wrong != NULL, count(a, g->report.chosen.threshold), NAN};
        rc = ds_auroc_two(first->confidences, first->n, a->confidences, a->n, &l->auroc, e);
    }
    g->report.lists = g->list_figures;
    g->report.n_lists = n;
    return rc;
}

/* ---- intervals and other programs ---- */

/* Replicates of the bootstrap: as asked, else none unless programs are compared or a report is written. Many images need fewer. */
static int replicates_of(const ds_gathered *g, const ds_reject_flags *s)
{
    enum { USUAL = 1000, FEW = 200, MANY_IMAGES = 100000 };
    if (s->bootstrap >= 0)
        return s->bootstrap;
    if (g->n_rivals == 0 && !s->report)
        return 0;
    return g->lists[0].n > MANY_IMAGES ? FEW : USUAL;
}

static int add_bootstrap(ds_gathered *g, int replicates, ds_error *e)
{
    const ds_answers *a = &g->lists[0];
    if (replicates == 0 || a->n == 0)
        return DS_OK;
    return ds_bootstrap_areas(a->confidences, a->wrong, a->n, replicates, DS_REPORT_LEVEL,
                              (uint64_t)g->report.seed, &g->report.boot, e);
}

static ds_areas minus(const ds_areas *a, const ds_areas *b)
{
    return (ds_areas){.aurc = a->aurc - b->aurc,
                      .aurc_trapezoid = a->aurc_trapezoid - b->aurc_trapezoid,
                      .aurc_oracle = a->aurc_oracle - b->aurc_oracle,
                      .eaurc = a->eaurc - b->eaurc,
                      .augrc = a->augrc - b->augrc,
                      .auroc = a->auroc - b->auroc};
}

static int pair(const ds_gathered *g, const ds_rival *v, int replicates, ds_report_rival *to, ds_error *e)
{
    const ds_answers *a = &g->lists[0];
    const uint64_t seed = (uint64_t)g->report.seed;
    int rc = ds_bootstrap_paired(a->confidences, a->wrong, v->confidence, v->wrong, a->n, replicates,
                                 DS_REPORT_LEVEL, seed, &to->areas, e);
    if (rc || to->mine.accepted == 0)
        return rc;
    return ds_bootstrap_risk_difference(a->confidences, a->wrong, v->confidence, v->wrong, a->n,
                                        to->mine.coverage, replicates, DS_REPORT_LEVEL, seed, &to->risk, e);
}

static int compare(const ds_gathered *g, const ds_rival *v, int replicates, ds_report_rival *to, ds_error *e)
{
    const ds_interval none = {NAN, NAN};
    const size_t n = g->lists[0].n;
    ds_curve curve;
    int rc = ds_curve_make(v->confidence, v->wrong, n, &curve, e);
    if (rc)
        return rc;
    *to = (ds_report_rival){
        .file = v->file,
        .areas = {.interval = {none, none, none, none, none, 0}, .p_aurc = NAN},
        .accuracy = n ? (double)(n - curve.wrong) / (double)n : NAN,
        .other = ds_areas_of(&curve),
        .mine = g->report.chosen,
        .its = ds_cut_at_coverage(&curve, g->report.chosen.coverage),
        .risk = none,
    };
    if (g->report.chosen.accepted == 0)
        to->its = ds_cut_at_threshold(&curve, INFINITY);
    ds_curve_clear(&curve);
    to->areas.difference = minus(&g->report.areas, &to->other);
    return replicates && n ? pair(g, v, replicates, to, e) : DS_OK;
}

static int add_rivals(ds_gathered *g, int replicates, ds_error *e)
{
    int rc = DS_OK;
    if (!(g->rival_figures = calloc((size_t)g->n_rivals + 1, sizeof *g->rival_figures)))
        return ds_fail_memory(e);
    for (int i = 0; i < g->n_rivals && !rc; i++)
        rc = compare(g, &g->rivals[i], replicates, &g->rival_figures[i], e);
    g->report.rivals = g->rival_figures;
    g->report.n_rivals = g->n_rivals;
    return rc;
}

int ds_gathered_figures(ds_gathered *g, const ds_reject_flags *s, ds_error *e)
{
    const ds_answers *a = &g->lists[0];
    int rc = ds_curve_make(a->confidences, a->wrong, a->n, &g->curve, e);
    if (rc)
        return rc;
    g->report = ds_report_of(&g->curve, choose(g, s));
    describe(g, s);
    int replicates = replicates_of(g, s);
    rc = add_classes(g, e);
    if (!rc)
        rc = add_bootstrap(g, replicates, e);
    if (!rc)
        rc = add_lists(g, e);
    return rc ? rc : add_rivals(g, replicates, e);
}
