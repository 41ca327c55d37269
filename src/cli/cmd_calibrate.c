/* `classifier calibrate`: the threshold of [reject], found on images of its own, and a cfg that holds it. */
#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/flags.h"
#include "cli/halves.h"
#include "data/loader.h"
#include "report/calibration.h"
#include "report/report.h"
#include "select/select.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct calibrate_state {
    double risk, delta, coverage, cost;
    int confidence; /* DS_CONFIDENCES: best, -1: that of [reject] */
    int seed;
    char *temperature, *out, *from;
    ds_run_flags run;
} calibrate_state;

static const char *const confidence_words[] = {
#define WORD(number, word, probability, help) word,
    DS_CONFIDENCE_LIST(WORD)
#undef WORD
        "best",
    NULL};

#define AT(field) offsetof(calibrate_state, field)
const ds_option ds_calibrate_options[] = {
    {"risk", DS_REAL, AT(risk), NULL, 0, 0, "R", NULL, NULL,
     "accept as much as can be while at most R of the accepted images are wrong; with -delta"},
    {"delta", DS_REAL, AT(delta), NULL, 0, 0, "D", NULL, NULL,
     "probability of bad luck with the calibration images that -risk may be missed with"},
    {"coverage", DS_REAL, AT(coverage), NULL, 0, 0, "C", NULL, NULL,
     "instead: accept the surest images, at least this fraction in (0, 1]"},
    {"cost", DS_REAL, AT(cost), NULL, 0, 0, "C", NULL, NULL,
     "instead: rejecting an image is as bad as C errors, between 0 and 1 (Chow's rule, with msp only)"},
    {"confidence", DS_ENUM, AT(confidence), NULL, 0, 0, NULL, confidence_words, NULL,
     "score to rank by, best: that of the lowest AURC; without it that of [reject] in CFG"},
    {"temperature", DS_TEXT, AT(temperature), NULL, 0, 0, "T", NULL, NULL,
     "divides the logits of the score; fit: that of the lowest NLL; without it that of [reject] in CFG"},
    {"seed", DS_INT, AT(seed), "1", 0, INT_MAX, NULL, NULL, NULL,
     "decides which half of the images serves best and fit, and which the threshold"},
    {"out", DS_TEXT, AT(out), NULL, 0, 0, "NEW.cfg", NULL, NULL,
     "write a copy of CFG whose [reject] holds the result; -: standard output"},
    {"from", DS_TEXT, AT(from), NULL, 0, 0, "F", NULL, NULL,
     "take labels, predictions and confidences from the CSV file F instead of a network"},
    DS_THREADS_OPTION(AT(run)),
    DS_BACKEND_OPTIONS(AT(run)),
    DS_LOADERS_OPTION(AT(run)),
    DS_CACHE_OPTION(AT(run)),
    {.type = DS_END},
};

/* ---- flags ---- */

static bool wants_best(const calibrate_state *s)
{
    return s->confidence == DS_CONFIDENCES;
}

static bool wants_fit(const calibrate_state *s)
{
    return s->temperature && strcmp(s->temperature, "fit") == 0;
}

static int check_aim(const calibrate_state *s, ds_error *e)
{
    int aims = !isnan(s->risk) + !isnan(s->coverage) + !isnan(s->cost);
    if (aims != 1)
        return ds_fail(e, DS_EUSAGE,
                       "%s what the threshold is for, expected one of -risk R -delta D, -coverage C, -cost C",
                       aims ? "more than one flag says" : "no flag says");
    int rc = ds_check_promise(s->risk, s->delta, e);
    if (!rc)
        rc = ds_check_fraction("coverage", s->coverage, e);
    return rc ? rc : ds_check_inside("cost", s->cost, e);
}

static int check_temperature(const calibrate_state *s, ds_error *e)
{
    double value;
    if (!s->temperature || wants_fit(s))
        return DS_OK;
    if (ds_parse_double(s->temperature, &value) && value >= 1e-6 && value <= 1e6)
        return DS_OK;
    return ds_fail(e, DS_EUSAGE, "-temperature %s, expected fit or a number from 1e-06 to 1000000",
                   s->temperature);
}

static int check_from(const calibrate_state *s, int n_operands, ds_error *e)
{
    const char *flag = s->confidence >= 0 ? "confidence"
                       : s->temperature   ? "temperature"
                       : s->out           ? "out"
                                          : NULL;
    if (n_operands)
        return ds_fail(e, DS_EUSAGE, "-from %s and DATA CFG WEIGHTS, expected one of the two", s->from);
    if (flag)
        return ds_fail(e, DS_EUSAGE,
                       "-from and -%s, expected one of the two: the file holds confidences, no network",
                       flag);
    return DS_OK;
}

static int check_flags(const calibrate_state *s, int n_operands, ds_error *e)
{
    static const char *const words[] = {"DATA", "CFG", "WEIGHTS"};
    int rc = check_aim(s, e);
    if (!rc)
        rc = check_temperature(s, e);
    if (!rc && !isnan(s->cost) && s->confidence > DS_MSP)
        rc = ds_fail(e, DS_EUSAGE,
                     "-cost and -confidence %s, expected msp: Chow's rule needs a probability of being right",
                     confidence_words[s->confidence]);
    if (rc)
        return rc;
    return s->from ? check_from(s, n_operands, e) : ds_check_operands(words, 3, n_operands, e);
}

/* ---- the threshold ---- */

static ds_aim aim_of(const calibrate_state *s)
{
    return !isnan(s->risk) ? DS_AIM_RISK : !isnan(s->coverage) ? DS_AIM_COVERAGE : DS_AIM_COST;
}

static int tell_infeasible(const calibrate_state *s, const ds_curve *c, double feasible, ds_error *e)
{
    char risk[DS_NUMBER_TEXT], delta[DS_NUMBER_TEXT], least[DS_NUMBER_TEXT];
    ds_number_text(s->risk, risk);
    ds_number_text(s->delta, delta);
    const char *many = c->n == 1 ? "" : "s";
    if (isnan(feasible))
        return ds_fail(e, DS_EINFEASIBLE,
                       "no feasible threshold: %zu calibration image%s with -delta %s allow no -risk below 1",
                       c->n, many, delta);
    return ds_fail(e, DS_EINFEASIBLE,
                   "no feasible threshold for -risk %s: %zu calibration image%s with -delta %s allow -risk "
                   "%s at the least",
                   risk, c->n, many, delta, ds_number_text(feasible, least));
}

static int find_cut(const calibrate_state *s, const ds_curve *c, ds_cut *cut, ds_error *e)
{
    if (aim_of(s) == DS_AIM_COST) {
        *cut = ds_cut_at_threshold(c, 1 - s->cost);
        return DS_OK;
    }
    if (aim_of(s) == DS_AIM_COVERAGE) {
        *cut = ds_cut_at_coverage(c, s->coverage);
        if (cut->accepted > 0)
            return DS_OK;
        return ds_fail(e, DS_EINFEASIBLE,
                       "no feasible threshold: none of the %zu calibration images has a confidence", c->n);
    }
    ds_guarantee g = ds_guarantee_at(c, s->risk, s->delta);
    *cut = g.cut;
    return g.feasible ? DS_OK : tell_infeasible(s, c, g.feasible_risk, e);
}

/* Cut n images with these confidences, and say so in `r`. */
static int find_threshold(const calibrate_state *s, const double *confidence, const bool *wrong, size_t n,
                          ds_calibration *r, ds_error *e)
{
    ds_curve curve = {0};
    int rc = ds_curve_make(confidence, wrong, n, &curve, e);
    if (!rc)
        rc = find_cut(s, &curve, &r->cut, e);
    r->n_nan = curve.n_nan;
    r->aim = aim_of(s);
    r->value = r->aim == DS_AIM_RISK ? s->risk : r->aim == DS_AIM_COVERAGE ? s->coverage : s->cost;
    r->delta = s->delta;
    ds_curve_clear(&curve);
    return rc;
}

/* ---- from a network ---- */

/* The network, its score, and the logits that the pass gathers. */
typedef struct gathered {
    ds_model m;
    ds_score score;
    ds_halves halves;
} gathered;

/* A score that was asked for by name must be one of this network; best takes what there is. */
static int set_score(gathered *g, const calibrate_state *s, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(g->m.net);
    double threshold;
    ds_net_get_reject(g->m.net, &g->score, &threshold);
    if (s->confidence >= 0 && !wants_best(s))
        g->score.kind = (ds_confidence)s->confidence;
    if (s->temperature && !wants_fit(s))
        ds_parse_double(s->temperature, &g->score.temperature);
    if (!isnan(s->cost) && g->score.kind != DS_MSP)
        return ds_fail(e, DS_EUSAGE,
                       "-cost with confidence=%s of %s, expected -confidence msp: Chow's rule needs a "
                       "probability of being right",
                       ds_confidence_names[g->score.kind], g->m.cfg->path);
    return wants_best(s) ? DS_OK : ds_score_check(&g->score, info->logits, info->abstain, e);
}

static int make_halves(gathered *g, const calibrate_state *s, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(g->m.net);
    const ds_images *images = &g->m.images;
    bool fit = wants_best(s) || wants_fit(s);
    if (fit && images->n < 2)
        return ds_fail_at(e, DS_EINPUT, images->list, 0,
                          "has 1 image, expected at least 2: one half to fit on, one for the threshold");
    return ds_halves_init(&g->halves, (size_t)images->n, info->logits, info->classes, info->abstain,
                          images->labels, fit, s->seed, e);
}

static int gather_image(void *arg, int image, const float *logits)
{
    ds_halves *h = &((gathered *)arg)->halves;
    memcpy(h->logits + (size_t)image * (size_t)h->row, logits, (size_t)h->row * sizeof *logits);
    return DS_OK;
}

static int fit(gathered *g, const calibrate_state *s, ds_calibration *r, ds_error *e)
{
    static const char *const fitted[2][2] = {{NULL, "the confidence"},
                                             {"the temperature", "the temperature and the confidence"}};
    ds_halves *h = &g->halves;
    r->fitted = fitted[wants_fit(s)][wants_best(s)];
    r->fitted_on = h->n_fit;
    r->seed = s->seed;
    int rc = DS_OK;
    if (wants_fit(s))
        rc = ds_halves_fit_temperature(h, &g->score.temperature, &r->nll_before, &r->nll_after, e);
    if (!rc && wants_best(s))
        rc = ds_halves_choose(h, &g->score, r->candidates, &r->n_candidates, e);
    return rc;
}

static int calibrate_gathered(const calibrate_state *s, gathered *g, ds_calibration *r, ds_error *e)
{
    ds_halves *h = &g->halves;
    int rc = fit(g, s, r, e);
    if (rc)
        return rc;
    r->list = g->m.images.list;
    r->images = h->n;
    r->confidence = ds_confidence_names[g->score.kind];
    r->temperature = g->score.temperature;
    ds_halves_score(h, &g->score, h->n_fit, h->n);
    return find_threshold(s, h->confidence + h->n_fit, h->wrong + h->n_fit, h->n - h->n_fit, r, e);
}

/* ---- the result as keys ---- */

enum { MOST_KEYS = 4 };
typedef struct keys {
    ds_pair v[MOST_KEYS]; /* a NULL value: take it out */
    int n;
    char threshold[DS_NUMBER_TEXT], temperature[DS_NUMBER_TEXT], pnorm_p[DS_NUMBER_TEXT];
} keys;

static const char *key_in_cfg(const ds_model *m, const char *key)
{
    int reject;
    ds_cfg_cost(m->cfg, &reject);
    return reject < 0 ? NULL : ds_section_get(&m->cfg->sections[reject + 1], key);
}

static void add_key(keys *k, const char *key, const char *value)
{
    k->v[k->n++] = (ds_pair){.key = (char *)key, .value = (char *)value};
}

/* Keys at their defaults are left out, unless the cfg says something else. */
static void keys_of(keys *k, const gathered *g, const ds_calibration *r)
{
    const ds_score *score = &g->score;
    k->n = 0;
    add_key(k, "threshold", ds_number_text(r->cut.threshold, k->threshold));
    add_key(k, "confidence", r->confidence);
    if (score->temperature != 1 || key_in_cfg(&g->m, "temperature"))
        add_key(k, "temperature", ds_number_text(score->temperature, k->temperature));
    if (score->kind != DS_PNORM && key_in_cfg(&g->m, "pnorm_p"))
        add_key(k, "pnorm_p", NULL); /* goes with pnorm alone */
    else if (score->kind == DS_PNORM && score->pnorm_p != 2)
        add_key(k, "pnorm_p", ds_number_text(score->pnorm_p, k->pnorm_p));
}

static int print_keys(FILE *f, const keys *k, ds_error *e)
{
    fputs("\n[reject]\n", f);
    for (int i = 0; i < k->n; i++)
        if (k->v[i].value)
            fprintf(f, "%s=%s\n", k->v[i].key, k->v[i].value);
    return ds_report_flush(f, e);
}

static int write_cfg(ds_writer *w, const calibrate_state *s, const char *cfg, const keys *k, ds_error *e)
{
    char *text, *edited = NULL;
    int rc = ds_file_read_text(cfg, "a network .cfg", &text, e);
    if (rc)
        return rc;
    rc = ds_cfg_edit_reject(text, cfg, k->v, k->n, &edited, e);
    if (!rc)
        fputs(edited, ds_is_stdout(s->out) ? stdout : w->f);
    if (!rc)
        rc = ds_is_stdout(s->out) ? ds_report_flush(stdout, e) : ds_writer_commit(w, e);
    free(edited);
    free(text);
    return rc;
}

/* The figures go to standard output, unless that is the cfg's. */
static int write_results(ds_writer *w, const calibrate_state *s, const gathered *g, const ds_calibration *r,
                         ds_error *e)
{
    FILE *f = ds_is_stdout(s->out) ? stderr : stdout;
    keys k;
    keys_of(&k, g, r);
    int rc = s->out ? write_cfg(w, s, g->m.cfg->path, &k, e) : DS_OK;
    if (!rc)
        rc = ds_calibration_text(f, r, e);
    if (!rc && !s->out)
        rc = print_keys(f, &k, e);
    else if (!rc && !ds_is_stdout(s->out))
        printf("written to %s\n", s->out);
    return rc;
}

/* ---- files ---- */

/* The new cfg must not replace what it is made from. */
static int keep_input(const void *arg, const char *input, ds_error *e)
{
    return ds_keep_input("out", ((const calibrate_state *)arg)->out, input, e);
}

static int check_apart(ds_model *m, const calibrate_state *s, ds_error *e)
{
    const char *const others[] = {m->data.train, m->data.valid, m->data.test};
    return ds_list_check_apart(&m->data, m->data.calib, others, sizeof others / sizeof *others,
                               ds_loader_threads(s->run.loaders), &m->notes, e);
}

static int open_network(gathered *g, const calibrate_state *s, const ds_model_files *files, ds_error *e)
{
    int rc = ds_model_open(&g->m, files, DS_CALIB_LIST, &s->run, e);
    if (!rc)
        rc = ds_keep_listed(&g->m.data, keep_input, s, e);
    if (!rc)
        rc = set_score(g, s, e);
    if (!rc)
        rc = make_halves(g, s, e);
    if (!rc)
        rc = check_apart(&g->m, s, e);
    ds_print_notes(&g->m.notes, stderr);
    return rc;
}

static int calibrate_network(const calibrate_state *s, ds_writer *w, const ds_model_files *files, ds_error *e)
{
    gathered g = {0};
    ds_calibration r = {.model = files->weights, .nll_before = NAN, .nll_after = NAN};
    int rc = open_network(&g, s, files, e);
    if (!rc)
        rc = ds_model_evaluate(&g.m, &s->run, gather_image, &g, e);
    if (!rc)
        rc = calibrate_gathered(s, &g, &r, e);
    if (!rc)
        rc = write_results(w, s, &g, &r, e);
    ds_halves_release(&g.halves);
    ds_model_close(&g.m);
    return rc;
}

/* ---- from a CSV ---- */

/* Chow's rule takes the confidences for probabilities. */
static int check_probabilities(const calibrate_state *s, const ds_answers *csv, ds_error *e)
{
    for (size_t i = 0; i < csv->n && !isnan(s->cost); i++)
        if (csv->confidences[i] < 0 || csv->confidences[i] > 1)
            return ds_fail_at(e, DS_EINPUT, s->from, 0,
                              "has a confidence of %g, expected probabilities of being right for -cost",
                              csv->confidences[i]);
    return DS_OK;
}

static int calibrate_csv(const calibrate_state *s, ds_error *e)
{
    ds_answers csv;
    int rc = ds_report_csv_read(s->from, true, &csv, e);
    ds_calibration r = {
        .list = s->from, .images = csv.n, .temperature = 1, .nll_before = NAN, .nll_after = NAN};
    if (!rc && csv.n == 0)
        rc = ds_fail_at(e, DS_EINPUT, s->from, 0, "has no images, expected one a line below the header");
    if (!rc)
        rc = check_probabilities(s, &csv, e);
    if (!rc)
        rc = find_threshold(s, csv.confidences, csv.wrong, csv.n, &r, e);
    if (!rc)
        rc = ds_calibration_text(stdout, &r, e);
    ds_answers_clear(&csv);
    return rc;
}

static int calibrate(const calibrate_state *s, const char *const *operands, ds_error *e)
{
    if (s->from)
        return calibrate_csv(s, e);
    ds_writer w = {0};
    int rc = DS_OK;
    for (int i = 0; i < 3 && !rc; i++)
        rc = keep_input(s, operands[i], e);
    if (!rc && s->out && !ds_is_stdout(s->out)) /* an unwritable place is found early */
        rc = ds_writer_open(&w, s->out, e);
    if (!rc)
        rc = calibrate_network(s, &w, &(ds_model_files){operands[0], operands[1], operands[2]}, e);
    ds_writer_abort(&w);
    return rc;
}

int ds_cmd_calibrate(int argc, char **argv, ds_error *e)
{
    enum { MOST = 3 };
    calibrate_state s = {.confidence = -1};
    const char *operands[MOST] = {0};
    int n, rc = ds_flags_parse(ds_calibrate_options, &s, argc, argv, operands, MOST, &n, e);
    if (!rc)
        rc = check_flags(&s, n, e);
    if (!rc)
        rc = calibrate(&s, operands, e);
    ds_option_clear(ds_calibrate_options, &s);
    return rc;
}
