/* `classifier reject`: one pass over a list, or a CSV of such a pass, and what rejecting the unsure images
 * costs and gains. */
#include "base/file.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/place.h"
#include "cli/print.h"
#include "cli/together.h"
#include "data/image.h"
#include "report/page.h"
#include "report/report.h"
#include "select/figures.h"

#include <limits.h>

typedef struct reject_flags {
    ds_wish wish;   /* replicates -1: not given */
    int confidence; /* -1: that of [reject] */
    bool classes, csv_safe;
    char *json, *csv, *from, *report;
    int thumbs; /* pictures in the report's page, at most */
    ds_texts lists, compare;
    ds_run_flags run;
} reject_flags;

#define DS_STATE reject_flags
const ds_option ds_reject_options[] = {
    OPT_REAL("threshold", wish.threshold,
             "accept confidences of at least T; without it that of [reject] in CFG", .unit = "T"),
    OPT_REAL("coverage", wish.coverage, "instead: accept the surest images, at least this fraction in (0, 1]",
             .unit = "C"),
    OPT_REAL("risk", wish.risk,
             "instead, with -delta: the threshold that `calibrate` would find on these images", .unit = "R"),
    OPT_REAL("delta", wish.delta, "probability that -risk may be exceeded, in (0, 1)", .unit = "D"),
    OPT_ENUM("confidence", confidence, ds_confidence_names,
             "score to rank by; without it that of [reject] in CFG"),
    OPT_FLAG("classes", classes,
             "print figures of each class and the confusion matrix (-json always has them)"),
    OPT_TEXTS("list", lists,
              "also reject the images of the list F at the same threshold; NAME=F:unlabelled without labels",
              .unit = "NAME=F"),
    OPT_TEXTS("compare", compare,
              "compare with the CSV F of another network or program, images matched by path", .unit = "F"),
    OPT_INT(
        "bootstrap", wish.replicates,
        "replicates for intervals of areas; without it 0, with -compare or -report 1000 (200 above 100,000 "
        "images)",
        OPT_RANGE(0, 1000000), .unit = "N"),
    OPT_INT("seed", wish.seed, "of the bootstrap", .def = "1", OPT_RANGE(0, INT_MAX)),
    OPT_TEXT("json", json, "write all figures to F; -: standard output", .unit = "F"),
    OPT_TEXT("csv", csv, "write a line an image to F; -: standard output", .unit = "F"),
    DS_CSV_SAFE,
    OPT_TEXT("from", from,
             "take labels, predictions and confidences from the CSV file F instead of a network",
             .unit = "F"),
    OPT_TEXT("report", report,
             "write report.html, report.json, predictions.csv and pictures of the curves into the folder DIR",
             .unit = "DIR"),
    OPT_INT("thumbs", thumbs, "images to show in report.html, at most", .def = "200", OPT_RANGE(0, 100000)),
    DS_RUN_THREADS,
    DS_RUN_BACKEND,
    DS_RUN_LOADERS,
    DS_RUN_MEAN,
    OPT_END,
};

/* All that the command finds on its way. */
typedef struct found {
    ds_model model; /* empty with -from */
    ds_score score;
    double own;               /* threshold of [reject] for this score, NAN: none */
    const double *of_classes; /* instead: its thresholds of the classes; NULL: none */
    ds_answers *lists; /* n_lists; the first is the one that the report is about, the others those of -list */
    int n_lists;
    ds_answers *rivals; /* n_rivals, those of -compare, in the order of the first list */
    int n_rivals;
    ds_figures figures;
    char *note; /* where the threshold comes from */
    ds_outputs outputs;
    FILE *json, *csv;
} found;

/* One way at most to a threshold. */
static int check_threshold(const reject_flags *s, ds_error *e)
{
    DS_TRY(ds_check_share("coverage", s->wish.coverage, DS_FRACTION, e));
    DS_TRY(ds_check_promise(s->wish.risk, s->wish.delta, e));
    if (!isnan(s->wish.threshold) && !isnan(s->wish.coverage))
        return ds_fail(e, DS_EUSAGE, "-threshold and -coverage, expected one of the two");
    if (!isnan(s->wish.risk) && !(isnan(s->wish.threshold) && isnan(s->wish.coverage)))
        return ds_fail(e, DS_EUSAGE, "-risk and -%s, expected one of the two",
                       isnan(s->wish.coverage) ? "threshold" : "coverage");
    return DS_OK;
}

static int check_flags(const reject_flags *s, int n_operands, ds_error *e)
{
    DS_TRY(check_threshold(s, e));
    if (s->csv_safe && !s->csv && !s->report)
        return ds_fail(e, DS_EUSAGE, "-csv-safe without a CSV, expected -csv F or -report DIR");
    DS_TRY(ds_check_source(s->from, &s->run, n_operands, e));
    if (s->from && s->confidence >= 0)
        return ds_fail(e, DS_EUSAGE,
                       "-from and -confidence, expected one of the two: the file holds the confidences");
    if (s->from && s->csv)
        return ds_fail(e, DS_EUSAGE, "-from and -csv, expected one of the two: the file is such a table");
    return DS_OK;
}

/* ---- -list NAME=FILE[:unlabelled] ---- */

static const char unlabelled[] = ":unlabelled";

static bool is_labelled(const char *word)
{
    size_t n = strlen(word), end = sizeof unlabelled - 1;
    return n < end || strcmp(word + n - end, unlabelled) != 0;
}

/* Name and file of each list, behind the first. */
static int name_lists(found *g, const reject_flags *s, ds_error *e)
{
    for (int i = 0; i < s->lists.n; i++) {
        const char *word = s->lists.v[i], *equals = strchr(word, '=');
        size_t n = equals ? strlen(equals + 1) - (is_labelled(word) ? 0 : sizeof unlabelled - 1) : 0;
        if (!equals || equals == word || n == 0)
            return ds_fail(e, DS_EUSAGE, "-list %s, expected NAME=FILE or NAME=FILE:unlabelled", word);
        const ds_answers a = {.name = ds_strndup(word, (size_t)(equals - word)),
                              .file = ds_strndup(equals + 1, n)};
        DS_PUSH(g->lists, g->n_lists, a);
    }
    return DS_OK;
}

static int check_names(const found *g, ds_error *e)
{
    for (int i = 1; i < g->n_lists; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(g->lists[i].name, g->lists[k].name) == 0)
                return ds_fail(e, DS_EUSAGE,
                               "-list %s=… is the second list of that name, expected another name",
                               g->lists[i].name);
    return DS_OK;
}

/* ---- the lists of a network: images first, answers later ---- */

/* Is the threshold that of the cfg? */
static bool is_own(const reject_flags *s)
{
    return isnan(s->wish.threshold) && isnan(s->wish.coverage) && isnan(s->wish.risk);
}

/* A threshold belongs to its score: it goes when -confidence asks for another. */
static int set_score(found *g, const reject_flags *s, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(g->model.net);
    const ds_reject *r = ds_net_get_reject(g->model.net);
    g->score = r->score;
    g->own = r->threshold;
    g->of_classes = r->thresholds;
    if (s->confidence >= 0 && s->confidence != (int)g->score.kind) {
        if (!isnan(g->own) || g->of_classes)
            ds_note(&g->model.notes, "note: the threshold in the cfg is one of %s and is not used for %s",
                    ds_confidence_names[g->score.kind], ds_confidence_names[s->confidence]);
        g->score.kind = (ds_confidence)s->confidence;
        g->own = NAN;
        g->of_classes = NULL;
    }
    if (is_own(s) && !(isnan(g->own) && !g->of_classes))
        ds_model_tell_threshold(&g->model);
    DS_TRY(ds_score_check(&g->score, info->logits, info->abstain, e));
    return ds_score_is_probability(g->score.kind)
               ? ds_check_share("threshold", s->wish.threshold, DS_PROBABILITY, e)
               : DS_OK;
}

static int read_images(const found *g, ds_answers *a, bool labelled, ds_error *e)
{
    char *file = a->file;
    struct ds_problems *all = e->all;
    e->all = NULL; /* the hint is worth more than a message for each line */
    int rc = ds_model_read_list(&g->model, file, labelled, a, e);
    e->all = all;
    const size_t at = strlen(e->text);
    if (rc == DS_EINPUT && labelled && e->line) /* a common slip */
        snprintf(e->text + at, sizeof e->text - at, "; -list %s=%s:unlabelled takes images without labels",
                 a->name, file);
    if (!rc) /* it has its full path now */
        free(file);
    return rc;
}

static int open_network(found *g, const reject_flags *s, const char *const *operands, ds_error *e)
{
    DS_TRY(ds_model_open(&g->model, operands, DS_TEST_LIST, &s->run, &g->lists[0], e));
    DS_TRY(ds_outputs_keep_listed(&g->outputs, &g->model.data, e));
    DS_TRY(ds_outputs_keep(&g->outputs, (const char *const *)g->model.files.v, (size_t)g->model.files.n, e));
    DS_TRY(set_score(g, s, e));
    DS_TRY(check_names(g, e));
    for (int i = 1; i < g->n_lists; i++)
        DS_TRY(read_images(g, &g->lists[i], is_labelled(s->lists.v[i - 1]), e));
    return DS_OK;
}

static int read_lists(found *g, const reject_flags *s, const char *const *operands, ds_error *e)
{
    if (!s->from) {
        int rc = open_network(g, s, operands, e);
        ds_print_notes(&g->model.notes, stderr);
        return rc;
    }
    g->lists[0].name = ds_strdup("images");
    g->lists[0].file = ds_strdup(s->from);
    DS_TRY(check_names(g, e));
    for (int i = 0; i < g->n_lists; i++)
        DS_TRY(
            ds_report_csv_read(g->lists[i].file, i == 0 || is_labelled(s->lists.v[i - 1]), &g->lists[i], e));
    return DS_OK;
}

static int read_rivals(found *g, const reject_flags *s, ds_error *e)
{
    for (int i = 0; i < s->compare.n; i++) {
        DS_PUSH(g->rivals, g->n_rivals, (ds_answers){0});
        DS_TRY(ds_report_csv_read(s->compare.v[i], true, &g->rivals[i], e));
        DS_TRY(ds_answers_match(&g->lists[0], &g->rivals[i], e));
    }
    return DS_OK;
}

static int answer_lists(found *g, const reject_flags *s, ds_error *e)
{
    const ds_eval_setup how = {.score = g->score, .top = 1};
    for (int i = 0; i < g->n_lists && g->model.net; i++) {
        DS_TRY(ds_model_answer(&g->model, &s->run, how, &g->lists[i], e));
        g->lists[i].thresholds = is_own(s) ? g->of_classes : NULL;
    }
    return DS_OK;
}

/* Replicates of the bootstrap: as asked, else none unless programs are compared or a report is written. Many
 * images need fewer. */
static int replicates_of(const found *g, const reject_flags *s)
{
    enum { USUAL = 1000, FEW = 200, MANY_IMAGES = 100000 };
    if (s->wish.replicates >= 0)
        return s->wish.replicates;
    if (g->n_rivals == 0 && !s->report)
        return 0;
    return g->lists[0].n > MANY_IMAGES ? FEW : USUAL;
}

static const char *note_of(found *g, const reject_flags *s)
{
    if (!isnan(s->wish.risk))
        return "for -risk, chosen on these images: optimistic";
    if (!isnan(s->wish.coverage))
        return "for -coverage, chosen on these images: optimistic";
    if (!isnan(s->wish.threshold))
        return "from -threshold";
    if (isnan(g->own) && !g->of_classes)
        return NULL;
    const char *aim = ds_model_key(&g->model, "aim");
    g->note = ds_format(aim ? "from the cfg: %s" : "from the cfg", aim);
    return g->note;
}

static ds_figures figures_of(found *g, const reject_flags *s)
{
    ds_wish wish = s->wish;
    wish.threshold = isnan(wish.threshold) ? g->own : wish.threshold;
    wish.replicates = replicates_of(g, s);
    ds_figures f = ds_figures_of(g->lists, g->n_lists, g->rivals, g->n_rivals, &wish);
    f.threshold_note = note_of(g, s);
    f.show_classes = s->classes;
    if (s->from)
        return f;
    f.confidence = ds_confidence_names[g->score.kind];
    f.model = g->model.title;
    f.chose_best = strcmp(g->lists[0].name, "valid") == 0;
    return f;
}

/* The figures are there all the same, the status tells. */
static int check_feasible(const ds_control *c, ds_error *e)
{
    if (isnan(c->risk) || c->found.feasible)
        return DS_OK;
    if (isnan(c->found.feasible_risk))
        return ds_fail(e, DS_EINFEASIBLE, "no feasible threshold for -risk %g -delta %g on these images",
                       c->risk, c->delta);
    return ds_fail(e, DS_EINFEASIBLE,
                   "no feasible threshold for -risk %g -delta %g on these images, -risk %g would be feasible",
                   c->risk, c->delta, c->found.feasible_risk);
}

/* Nothing is opened that the results are made from. */
static int open_places(found *g, const reject_flags *s, const char *const *operands, ds_error *e)
{
    const char *const files[] = {s->from, operands[0], operands[1], operands[2]};
    ds_outputs *o = &g->outputs;
    DS_TRY(ds_outputs_add(o, "json", s->json, &g->json, e));
    DS_TRY(ds_outputs_add(o, "csv", s->csv, &g->csv, e));
    for (int i = 0; s->report && ds_report_files[i]; i++) {
        DS_FREED char *path = ds_path_join(s->report, ds_report_files[i]);
        DS_TRY(ds_outputs_add(o, "report", path, NULL, e));
    }
    DS_TRY(ds_outputs_keep(o, files, sizeof files / sizeof *files, e));
    DS_TRY(ds_outputs_keep(o, (const char *const *)s->compare.v, (size_t)s->compare.n, e));
    DS_TRY(ds_outputs_open(o, e));
    return s->report ? ds_make_dirs(s->report, e) : DS_OK;
}

static int write_page(const found *g, const reject_flags *s, ds_error *e)
{
    ds_notes notes = {0};
    const ds_page page = {.csv_safe = s->csv_safe,
                          .figures = &g->figures,
                          .thumbs = s->thumbs,
                          .thumb = ds_thumb_png,
                          .notes = &notes};
    int rc = ds_report_folder(s->report, &page, e);
    ds_print_notes(&notes, stderr);
    DS_TRY(rc);
    DS_FREED char *path = ds_path_join(s->report, ds_report_files[0]);
    ds_put_line(stderr, "report: ", path);
    return DS_OK;
}

/* What goes to standard output for a program is alone there. */
static int write_results(found *g, const reject_flags *s, ds_error *e)
{
    const ds_figures *f = &g->figures;
    if (s->json)
        ds_report_json(g->json, f);
    if (s->csv)
        ds_report_csv_write(g->csv, &g->lists[0], f->chosen.threshold, s->csv_safe);
    DS_TRY(ds_outputs_commit(&g->outputs, e));
    if (!ds_is_stdout(s->json) && !ds_is_stdout(s->csv))
        ds_report_text(stdout, f);
    return s->report ? write_page(g, s, e) : DS_OK;
}

static int reject(found *g, const reject_flags *s, const char *const *operands, ds_error *e)
{
    DS_TRY(name_lists(g, s, e));
    DS_TRY(open_places(g, s, operands, e));
    DS_TRY(read_lists(g, s, operands, e));
    for (const ds_answers *a = g->lists; a < g->lists + g->n_lists; a++) {
        DS_TRY(ds_outputs_keep(&g->outputs, (const char *const *)&a->file, 1, e));
        DS_TRY(ds_outputs_keep(&g->outputs, (const char *const *)a->paths, a->n, e));
    }
    DS_TRY(read_rivals(g, s, e));
    DS_TRY(answer_lists(g, s, e));
    if (!ds_together_first())
        return DS_OK;
    g->figures = figures_of(g, s);
    DS_TRY(write_results(g, s, e));
    return check_feasible(&g->figures.control, e);
}

static void found_clear(found *g)
{
    ds_outputs_clear(&g->outputs);
    ds_figures_clear(&g->figures);
    for (int i = 0; i < g->n_lists; i++)
        ds_answers_clear(&g->lists[i]);
    for (int i = 0; i < g->n_rivals; i++)
        ds_answers_clear(&g->rivals[i]);
    free(g->lists);
    free(g->rivals);
    free(g->note);
    ds_model_close(&g->model);
}

int ds_cmd_reject(int argc, char **argv, ds_error *e)
{
    reject_flags s = {.wish.replicates = -1};
    DS_FINALLY(ds_words_clear) ds_words w = {.table = ds_reject_options, .state = &s};
    DS_FINALLY(found_clear) found g = {.own = NAN};
    DS_PUSH(g.lists, g.n_lists, (ds_answers){0});
    DS_TRY(ds_words_read(&w, argc, argv, 3, e));
    s.run.threads = ds_together_threads(s.run.threads);
    DS_TRY(check_flags(&s, w.n, e));
    return reject(&g, &s, w.operands, e);
}
