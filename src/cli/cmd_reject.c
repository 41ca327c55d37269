/* `classifier reject`: one pass over a list, or a CSV of such a pass, and what rejecting the unsure images
 * costs and gains. */
#include "base/file.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/flags.h"
#include "data/lines.h"
#include "report/report.h"
#include "select/select.h"
#include "train/evaluate.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct reject_state {
    double threshold, coverage;
    int confidence; /* -1: that of [reject] */
    char *json, *csv, *from;
    ds_run_flags run;
} reject_state;

const ds_option ds_reject_options[] = {
    {"threshold", DS_REAL, offsetof(reject_state, threshold), NULL, 0, 0, "T", NULL, NULL,
     "accept confidences of at least T; without it that of [reject] in CFG"},
    {"coverage", DS_REAL, offsetof(reject_state, coverage), NULL, 0, 0, "C", NULL, NULL,
     "instead: accept the surest images, at least this fraction in (0, 1]"},
    {"confidence", DS_ENUM, offsetof(reject_state, confidence), NULL, 0, 0, NULL, ds_confidence_names, NULL,
     "score to rank by; without it that of [reject] in CFG"},
    {"json", DS_TEXT, offsetof(reject_state, json), NULL, 0, 0, "F", NULL, NULL,
     "write all figures to F; -: standard output"},
    {"csv", DS_TEXT, offsetof(reject_state, csv), NULL, 0, 0, "F", NULL, NULL,
     "write a line an image to F; -: standard output"},
    {"from", DS_TEXT, offsetof(reject_state, from), NULL, 0, 0, "F", NULL, NULL,
     "take labels, predictions and confidences from the CSV file F instead of a network"},
    DS_THREADS_OPTION(offsetof(reject_state, run)),
    DS_BACKEND_OPTIONS(offsetof(reject_state, run)),
    DS_LOADERS_OPTION(offsetof(reject_state, run)),
    DS_CACHE_OPTION(offsetof(reject_state, run)),
    {.type = DS_END},
};

/* ---- flags ---- */

static bool is_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

static int check_from(const reject_state *s, int n_operands, ds_error *e)
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

static int check_flags(const reject_state *s, int n_operands, ds_error *e)
{
    static const char *const words[] = {"DATA", "CFG", "WEIGHTS"};
    int rc = ds_check_fraction("coverage", s->coverage, e);
    if (rc)
        return rc;
    if (!isnan(s->threshold) && !isnan(s->coverage))
        return ds_fail(e, DS_EUSAGE, "-threshold and -coverage, expected one of the two");
    bool both = s->json && s->csv, out = both && is_stdout(s->json) && is_stdout(s->csv);
    if (both && (out || ds_path_same(s->json, s->csv)))
        return ds_fail(e, DS_EUSAGE, "-json %s and -csv %s, expected two places", s->json, s->csv);
    return s->from ? check_from(s, n_operands, e) : ds_check_operands(words, 3, n_operands, e);
}

/* ---- where results go ---- */

static int keep_from(const char *flag, const char *path, const char *input, ds_error *e)
{
    if (!path || !input || is_stdout(path) || !ds_path_same(path, input))
        return DS_OK;
    return ds_fail(e, DS_EUSAGE, "-%s %s would overwrite %s, which it is made from, expected another file",
                   flag, path, input);
}

/* Results must not replace what they are made from. */
static int keep_input(const reject_state *s, const char *input, ds_error *e)
{
    int rc = keep_from("json", s->json, input, e);
    return rc ? rc : keep_from("csv", s->csv, input, e);
}

static int keep_data(const reject_state *s, const ds_datafile *d, ds_error *e)
{
    const char *const files[] = {d->train, d->valid, d->calib, d->test, d->labels_path, d->names_path};
    int rc = DS_OK;
    for (size_t i = 0; i < sizeof files / sizeof *files && !rc; i++) {
        char *path = files[i] ? ds_path_near(files[i], d->path) : NULL;
        rc = files[i] && !path ? ds_fail_memory(e) : keep_input(s, path, e);
        free(path);
    }
    return rc;
}

/* Open before the pass over the images: an unwritable place is found early. */
typedef struct places {
    ds_writer json, csv;
} places;

static int open_place(ds_writer *w, const char *path, ds_error *e)
{
    return path && !is_stdout(path) ? ds_writer_open(w, path, e) : DS_OK;
}

static int commit_place(ds_writer *w, const char *path, ds_error *e)
{
    return path && !is_stdout(path) ? ds_writer_commit(w, e) : DS_OK;
}

static FILE *file_of(const ds_writer *w, const char *path)
{
    return is_stdout(path) ? stdout : w->f;
}

/* Table, JSON and, with rows, CSV. What goes to standard output for a program is alone there. */
static int write_results(const reject_state *s, places *p, const ds_report *r, const ds_selection *rows,
                         ds_error *e)
{
    int rc = DS_OK;
    if (s->json)
        rc = ds_report_json(file_of(&p->json, s->json), r, e);
    if (!rc && s->csv && rows)
        rc = ds_report_csv_write(file_of(&p->csv, s->csv), rows, e);
    if (!rc)
        rc = commit_place(&p->json, s->json, e);
    if (!rc)
        rc = commit_place(&p->csv, s->csv, e);
    if (!rc && !is_stdout(s->json) && !is_stdout(s->csv))
        rc = ds_report_text(stdout, r, e);
    return rc;
}

/* ---- the cut ---- */

/* The threshold that the flags ask for, else `own` (NAN: none). */
static ds_cut choose(const reject_state *s, const ds_curve *curve, double own)
{
    if (!isnan(s->coverage))
        return ds_cut_at_coverage(curve, s->coverage);
    return ds_cut_at_threshold(curve, isnan(s->threshold) ? own : s->threshold);
}

static const char *note_of(const reject_state *s, double own)
{
    if (!isnan(s->coverage))
        return "for -coverage, chosen on these images: optimistic";
    if (!isnan(s->threshold))
        return "from -threshold";
    return isnan(own) ? NULL : "from the cfg";
}

/* ---- from a network ---- */

/* What the pass gathers; arrays of one entry an image, owned. */
typedef struct gathered {
    const ds_model *m;
    const ds_net_info *info;
    ds_score score;
    double own; /* threshold of [reject] for this score, NAN: none */
    double *log_p, *confidence;
    bool *wrong;
    ds_prediction *rows;
    ds_quality quality;
} gathered;

static void gathered_release(gathered *g)
{
    free(g->log_p);
    free(g->confidence);
    free(g->wrong);
    free(g->rows);
}

/* A threshold belongs to its score: it goes when -confidence asks for another. */
static int set_score(gathered *g, const reject_state *s, ds_notes *notes, ds_error *e)
{
    ds_net_get_reject(g->m->net, &g->score, &g->own);
    if (s->confidence >= 0 && s->confidence != (int)g->score.kind) {
        if (!isnan(g->own))
            ds_note(notes, "note: the threshold in the cfg is one of %s and is not used for %s",
                    ds_confidence_names[g->score.kind], ds_confidence_names[s->confidence]);
        g->score.kind = (ds_confidence)s->confidence;
        g->own = NAN;
    }
    int rc = ds_score_check(&g->score, g->info->logits, g->info->abstain, e);
    if (!rc && ds_score_is_probability(g->score.kind))
        rc = ds_check_probability("threshold", s->threshold, e);
    return rc;
}

static int gathered_init(gathered *g, ds_model *m, const reject_state *s, ds_error *e)
{
    *g = (gathered){.m = m, .info = ds_net_get_info(m->net)};
    int rc = set_score(g, s, &m->notes, e);
    if (rc)
        return rc;
    size_t n = (size_t)m->images.n + 1; /* of an empty list too */
    g->log_p = malloc((size_t)g->info->classes * sizeof *g->log_p);
    g->confidence = malloc(n * sizeof *g->confidence);
    g->wrong = malloc(n * sizeof *g->wrong);
    g->rows = malloc(n * sizeof *g->rows);
    return g->log_p && g->confidence && g->wrong && g->rows ? DS_OK : ds_fail_memory(e);
}

static int gather_image(void *arg, int image, const float *logits)
{
    gathered *g = arg;
    int label = g->m->images.labels[image], answer = ds_argmax(logits, g->info->classes);
    g->confidence[image] = ds_score_row(&g->score, logits, g->info->logits, g->info->abstain);
    g->wrong[image] = answer != label;
    g->rows[image] = (ds_prediction){g->m->images.paths[image], label, answer, g->confidence[image]};
    ds_class_log_probabilities(g->info, logits, g->log_p);
    ds_quality_add(&g->quality, g->log_p, g->info->classes, label, 1);
    return DS_OK;
}

static int report_gathered(const reject_state *s, places *p, const gathered *g, const char *model,
                           ds_error *e)
{
    ds_curve curve = {0};
    int rc = ds_curve_make(g->confidence, g->wrong, (size_t)g->m->images.n, &curve, e);
    if (rc)
        return rc;
    ds_report r = ds_report_of(&curve, choose(s, &curve, g->own));
    r.nll = ds_quality_nll(&g->quality);
    r.brier = ds_quality_brier(&g->quality);
    r.ece = ds_quality_ece(&g->quality);
    r.confidence = ds_confidence_names[g->score.kind];
    r.model = model;
    r.list = g->m->images.list;
    r.threshold_note = note_of(s, g->own);
    r.chose_best = strcmp(g->m->list_key, "valid") == 0;
    ds_selection rows = {g->rows, (size_t)g->m->images.n, (const char *const *)g->m->data.labels,
                         r.chosen.threshold};
    rc = write_results(s, p, &r, &rows, e);
    ds_curve_clear(&curve);
    return rc;
}

static int reject_network(const reject_state *s, places *p, const ds_model_files *files, ds_error *e)
{
    ds_model m = {0};
    gathered g = {0};
    int rc = ds_model_open(&m, files, DS_TEST_LIST, &s->run, e);
    if (!rc)
        rc = keep_data(s, &m.data, e);
    if (!rc)
        rc = gathered_init(&g, &m, s, e);
    ds_print_notes(&m.notes, stderr);
    if (!rc)
        rc = ds_model_evaluate(&m, &s->run, gather_image, &g, e);
    if (!rc)
        rc = report_gathered(s, p, &g, files->weights, e);
    gathered_release(&g);
    ds_model_close(&m);
    return rc;
}

/* ---- from a CSV ---- */

static int reject_csv(const reject_state *s, places *p, ds_error *e)
{
    ds_csv csv = {0};
    ds_curve curve = {0};
    int rc = ds_report_csv_read(s->from, &csv, e);
    if (!rc)
        rc = ds_curve_make(csv.confidence, csv.wrong, csv.n, &curve, e);
    if (!rc) {
        ds_report r = ds_report_of(&curve, choose(s, &curve, NAN));
        r.list = s->from;
        r.threshold_note = note_of(s, NAN);
        rc = write_results(s, p, &r, NULL, e);
    }
    ds_curve_clear(&curve);
    ds_csv_clear(&csv);
    return rc;
}

static int reject(const reject_state *s, const char *const *operands, ds_error *e)
{
    places p = {0};
    int rc = keep_input(s, s->from, e);
    for (int i = 0; i < 3 && !rc; i++)
        rc = keep_input(s, operands[i], e);
    if (!rc)
        rc = open_place(&p.json, s->json, e);
    if (!rc)
        rc = open_place(&p.csv, s->csv, e);
    if (!rc && s->from)
        rc = reject_csv(s, &p, e);
    else if (!rc)
        rc = reject_network(s, &p, &(ds_model_files){operands[0], operands[1], operands[2]}, e);
    ds_writer_abort(&p.json);
    ds_writer_abort(&p.csv);
    return rc;
}

int ds_cmd_reject(int argc, char **argv, ds_error *e)
{
    enum { MOST = 3 };
    reject_state s = {.confidence = -1};
    const char *operands[MOST] = {0};
    int n, rc = ds_flags_parse(ds_reject_options, &s, argc, argv, operands, MOST, &n, e);
    if (!rc)
        rc = check_flags(&s, n, e);
    if (!rc)
        rc = reject(&s, operands, e);
    ds_option_clear(ds_reject_options, &s);
    return rc;
}
