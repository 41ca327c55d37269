/* `classifier reject`: one pass over a list, or a CSV of such a pass, and what rejecting the unsure images
 * costs and gains. */
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/reject.h"

#include <limits.h>
#include <math.h>
#include <stddef.h>

#define AT(field) offsetof(ds_reject_flags, field)

const ds_option ds_reject_options[] = {
    {"threshold", DS_REAL, AT(threshold), NULL, 0, 0, "T", NULL, NULL,
     "accept confidences of at least T; without it that of [reject] in CFG"},
    {"coverage", DS_REAL, AT(coverage), NULL, 0, 0, "C", NULL, NULL,
     "instead: accept the surest images, at least this fraction in (0, 1]"},
    {"risk", DS_REAL, AT(risk), NULL, 0, 0, "R", NULL, NULL,
     "instead, with -delta: the threshold that `calibrate` would find on these images"},
    {"delta", DS_REAL, AT(delta), NULL, 0, 0, "D", NULL, NULL,
     "probability that -risk may be exceeded, in (0, 1)"},
    {"confidence", DS_ENUM, AT(confidence), NULL, 0, 0, NULL, ds_confidence_names, NULL,
     "score to rank by; without it that of [reject] in CFG"},
    {"classes", DS_FLAG, AT(classes), NULL, 0, 0, NULL, NULL, NULL,
     "print figures of each class and the confusion matrix (-json always has them)"},
    {"list", DS_TEXTS, AT(lists), NULL, 0, 0, "NAME=F", NULL, NULL,
     "also reject the images of the list F at the same threshold; NAME=F:unlabelled without labels"},
    {"compare", DS_TEXTS, AT(compare), NULL, 0, 0, "F", NULL, NULL,
     "compare with the CSV F of another network or program, images matched by path"},
    {"bootstrap", DS_INT, AT(bootstrap), NULL, 0, 1000000, "N", NULL, NULL,
     "replicates for intervals of areas; without it 0, with -compare or -report 1000 (200 above 100,000 "
     "images)"},
    {"seed", DS_INT, AT(seed), "1", 0, INT_MAX, NULL, NULL, NULL, "of the bootstrap"},
    {"json", DS_TEXT, AT(json), NULL, 0, 0, "F", NULL, NULL, "write all figures to F; -: standard output"},
    {"csv", DS_TEXT, AT(csv), NULL, 0, 0, "F", NULL, NULL, "write a line an image to F; -: standard output"},
    {"from", DS_TEXT, AT(from), NULL, 0, 0, "F", NULL, NULL,
     "take labels, predictions and confidences from the CSV file F instead of a network"},
    {"report", DS_TEXT, AT(report), NULL, 0, 0, "DIR", NULL, NULL,
     "write report.html, report.json, predictions.csv and pictures of the curves into the folder DIR"},
    {"thumbs", DS_INT, AT(thumbs), "200", 0, 100000, NULL, NULL, NULL,
     "images to show in report.html, at most"},
    DS_THREADS_OPTION(AT(run)),
    DS_BACKEND_OPTIONS(AT(run)),
    DS_LOADERS_OPTION(AT(run)),
    DS_CACHE_OPTION(AT(run)),
    {.type = DS_END},
};

/* ---- flags ---- */

static int check_from(const ds_reject_flags *s, int n_operands, ds_error *e)
{
    if (n_operands)
        return ds_fail(e, DS_EUSAGE, "-from %s and DATA CFG WEIGHTS, expected one of the two", s->from);
    if (s->confidence >= 0)
        return ds_fail(e, DS_EUSAGE,
                       "-from and -confidence, expected one of the two: the file holds the confidences");
    if (s->csv)
        return ds_fail(e, DS_EUSAGE, "-from and -csv, expected one of the two: the file is such a table");
    return DS_OK;
}

/* One way at most to a threshold. */
static int check_threshold(const ds_reject_flags *s, ds_error *e)
{
    int rc = ds_check_fraction("coverage", s->coverage, e);
    if (!rc)
        rc = ds_check_promise(s->risk, s->delta, e);
    if (rc)
        return rc;
    if (!isnan(s->threshold) && !isnan(s->coverage))
        return ds_fail(e, DS_EUSAGE, "-threshold and -coverage, expected one of the two");
    if (!isnan(s->risk) && !(isnan(s->threshold) && isnan(s->coverage)))
        return ds_fail(e, DS_EUSAGE, "-risk and -%s, expected one of the two",
                       isnan(s->coverage) ? "threshold" : "coverage");
    return DS_OK;
}

static int check_places(const ds_reject_flags *s, ds_error *e)
{
    bool both = s->json && s->csv;
    bool out = both && ds_is_stdout(s->json) && ds_is_stdout(s->csv);
    if (both && (out || ds_path_same(s->json, s->csv)))
        return ds_fail(e, DS_EUSAGE, "-json %s and -csv %s, expected two places", s->json, s->csv);
    return DS_OK;
}

static int check_lists(const ds_reject_flags *s, ds_error *e)
{
    int rc = DS_OK;
    for (int i = 0; i < s->lists.n && !rc; i++) {
        ds_list_word w;
        rc = ds_list_word_parse(s->lists.v[i], &w, e);
        if (!rc)
            rc = ds_places_keep(s, w.file, e);
        ds_list_word_clear(&w);
    }
    for (int i = 0; i < s->compare.n && !rc; i++)
        rc = ds_places_keep(s, s->compare.v[i], e);
    return rc;
}

static int check_flags(const ds_reject_flags *s, int n_operands, ds_error *e)
{
    static const char *const words[] = {"DATA", "CFG", "WEIGHTS"};
    int rc = check_threshold(s, e);
    if (!rc)
        rc = check_places(s, e);
    if (!rc)
        rc = check_lists(s, e);
    if (rc)
        return rc;
    return s->from ? check_from(s, n_operands, e) : ds_check_operands(words, 3, n_operands, e);
}

/* ---- the command ---- */

static int gather_network(ds_gathered *g, const ds_reject_flags *s, const char *const *operands, ds_error *e)
{
    const ds_model_files files = {operands[0], operands[1], operands[2]};
    int rc = ds_gathered_open(g, s, &files, e);
    ds_print_notes(&g->model.notes, stderr);
    if (!rc)
        rc = ds_gathered_rivals(g, &s->compare, e);
    return rc ? rc : ds_gathered_evaluate(g, s, e);
}

static int gather_csv(ds_gathered *g, const ds_reject_flags *s, ds_error *e)
{
    int rc = ds_gathered_read(g, s, e);
    return rc ? rc : ds_gathered_rivals(g, &s->compare, e);
}

/* The figures are there all the same, the status tells. */
static int check_feasible(const ds_gathered *g, ds_error *e)
{
    const ds_report_control *c = g->report.control;
    if (!c || c->found.feasible)
        return DS_OK;
    if (isnan(c->found.feasible_risk))
        return ds_fail(e, DS_EINFEASIBLE, "no feasible threshold for -risk %g -delta %g on these images",
                       c->risk, c->delta);
    return ds_fail(e, DS_EINFEASIBLE,
                   "no feasible threshold for -risk %g -delta %g on these images, -risk %g would be feasible",
                   c->risk, c->delta, c->found.feasible_risk);
}

static int run(ds_places *p, ds_gathered *g, const ds_reject_flags *s, const char *const *operands,
               ds_error *e)
{
    int rc = ds_places_keep(s, s->from, e);
    for (int i = 0; i < 3 && !rc; i++)
        rc = ds_places_keep(s, operands[i], e);
    if (!rc)
        rc = ds_places_open(p, s, e);
    if (!rc && s->report)
        rc = ds_make_dirs(s->report, e);
    if (!rc)
        rc = s->from ? gather_csv(g, s, e) : gather_network(g, s, operands, e);
    if (!rc)
        rc = ds_gathered_figures(g, s, e);
    if (!rc)
        rc = ds_places_write(p, s, g, e);
    if (!rc)
        rc = ds_gathered_page(g, s, e);
    return rc ? rc : check_feasible(g, e);
}

static int reject(const ds_reject_flags *s, const char *const *operands, ds_error *e)
{
    ds_places p = {0};
    ds_gathered g = {0};
    int rc = run(&p, &g, s, operands, e);
    ds_places_abort(&p);
    ds_gathered_clear(&g);
    return rc;
}

int ds_cmd_reject(int argc, char **argv, ds_error *e)
{
    enum { MOST = 3 };
    ds_reject_flags s = {.confidence = -1, .bootstrap = -1};
    const char *operands[MOST] = {0};
    int n, rc = ds_flags_parse(ds_reject_options, &s, argc, argv, operands, MOST, &n, e);
    if (!rc)
        rc = check_flags(&s, n, e);
    if (!rc)
        rc = reject(&s, operands, e);
    ds_option_clear(ds_reject_options, &s);
    return rc;
}
