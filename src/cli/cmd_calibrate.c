/* `classifier calibrate`: the threshold of [reject], found on images of its own, and a cfg that holds it. */
#include "base/file.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/per_class.h"
#include "cli/place.h"
#include "cli/print.h"
#include "cli/together.h"
#include "cli/strangers.h"
#include "data/loader.h"
#include "report/calibration.h"
#include "report/report.h"
#include "select/figures.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>

typedef struct calibrate_flags {
    double risk, delta, coverage, cost; /* risk: of all classes */
    ds_texts risks;
    bool per_class;
    int confidence; /* DS_CONFIDENCES: best, -1: that of [reject] */
    int seed;
    char *temperature, *pnorm, *out, *from;
    ds_strangers_flags strangers;
    ds_run_flags run;
} calibrate_flags;

static const char *const confidence_words[] = {
#define WORD(number, word, probability, help) word,
    DS_CONFIDENCE_LIST(WORD)
#undef WORD
        "best",
    NULL};

#define DS_STATE calibrate_flags
const ds_option ds_calibrate_options[] = {
    OPT_TEXTS(
        "risk", risks,
        "accept as much as can be while at most R of the accepted images are wrong; with -delta. NAME=R: "
        "of those accepted as class NAME",
        .unit = "R"),
    OPT_REAL("delta", delta,
             "probability of bad luck with the calibration images that -risk may be missed with",
             .unit = "D"),
    OPT_FLAG("per-class", per_class,
             "keep -risk among the images accepted as each class, by a threshold of its own"),
    OPT_REAL("coverage", coverage, "instead: accept the surest images, at least this fraction in (0, 1]",
             .unit = "C"),
    OPT_REAL(
        "cost", cost,
        "instead: rejecting an image is as bad as C errors, between 0 and 1 (Chow's rule, with msp only)",
        .unit = "C"),
    OPT_ENUM(
        "confidence", confidence, confidence_words,
        "score to rank by, best: that of the lowest AURC, at the temperature as it is and fitted; without it "
        "that of [reject] in CFG"),
    OPT_TEXT(
        "temperature", temperature,
        "divides the logits of the score; fit: that of the lowest NLL; without it that of [reject] in CFG",
        .unit = "T"),
    OPT_TEXT("pnorm", pnorm,
             "the p of the confidence pnorm; fit: of 1 to 10 that of the lowest AURC, as best does it too; "
             "without it pnorm_p= of [reject] in CFG",
             .unit = "P"),
    DS_STRANGERS_OPTIONS,
    OPT_INT("seed", seed,
            "decides which half of the images serves best, fit and novelty, and which the threshold",
            .def = "1", OPT_RANGE(0, INT_MAX)),
    OPT_TEXT("out", out, "write a copy of CFG whose [reject] holds the result; -: standard output",
             .unit = "NEW.cfg"),
    OPT_TEXT("from", from,
             "take labels, predictions and confidences from the CSV file F instead of a network",
             .unit = "F"),
    DS_RUN_THREADS,
    DS_RUN_BACKEND,
    DS_RUN_LOADERS,
    DS_RUN_MEAN,
    OPT_END,
};

static bool wants_best(const calibrate_flags *s)
{
    return s->confidence == DS_CONFIDENCES;
}

static bool is_fit(const char *value)
{
    return value && strcmp(value, "fit") == 0;
}

static bool wants_fit(const calibrate_flags *s)
{
    return is_fit(s->temperature) || is_fit(s->pnorm);
}

/* Is a threshold looked for? */
static bool has_aim(const calibrate_flags *s)
{
    return s->risks.n > 0 || !isnan(s->coverage) || !isnan(s->cost);
}

static int read_risks(calibrate_flags *s, ds_per_class *p, ds_error *e)
{
    DS_TRY(ds_per_class_read(p, &s->risks, NULL, e));
    s->risk = p->risk;
    if (s->per_class && isnan(s->risk))
        return ds_fail(e, DS_EUSAGE,
                       "-per-class without a plain -risk R, expected one (-risk NAME=R holds for its class "
                       "without -per-class)");
    s->per_class = s->per_class || p->named;
    return DS_OK;
}

static int check_aim(const calibrate_flags *s, ds_error *e)
{
    int aims = (s->risks.n > 0) + !isnan(s->coverage) + !isnan(s->cost);
    if (aims == 0 && !isnan(s->strangers.rate) && !wants_best(s) && !wants_fit(s))
        return ds_check_share("novelty", s->strangers.rate, DS_INSIDE, e);
    if (aims != 1)
        return ds_fail(e, DS_EUSAGE,
                       "%s what the threshold is for, expected one of -risk R -delta D, -coverage C, -cost C",
                       aims ? "more than one flag says" : "no flag says");
    DS_TRY(ds_check_promise(s->risks.n ? 0.5 : NAN, s->delta, e)); /* risks are checked one by one */
    DS_TRY(ds_check_share("coverage", s->coverage, DS_FRACTION, e));
    DS_TRY(ds_check_share("novelty", s->strangers.rate, DS_INSIDE, e));
    return ds_check_share("cost", s->cost, DS_INSIDE, e);
}

/* fit, or a number. */
static int check_number(const char *flag, const char *value, ds_error *e)
{
    double v;
    if (!value || is_fit(value) || (ds_parse_double(value, &v) && v >= 1e-6 && v <= 1e6))
        return DS_OK;
    return ds_fail(e, DS_EUSAGE, "-%s %s, expected fit or a number from 1e-06 to 1000000", flag, value);
}

static int check_from(const calibrate_flags *s, ds_error *e)
{
    const char *flag = s->confidence >= 0          ? "confidence"
                       : s->temperature            ? "temperature"
                       : s->pnorm                  ? "pnorm"
                       : !isnan(s->strangers.rate) ? "novelty"
                       : s->out                    ? "out"
                                                   : NULL;
    if (!s->from || !flag)
        return DS_OK;
    return ds_fail(e, DS_EUSAGE,
                   "-from and -%s, expected one of the two: the file holds confidences, no network", flag);
}

static int check_flags(const calibrate_flags *s, int n_operands, ds_error *e)
{
    DS_TRY(check_aim(s, e));
    DS_TRY(check_number("temperature", s->temperature, e));
    DS_TRY(check_number("pnorm", s->pnorm, e));
    if (!isnan(s->cost) && s->confidence > DS_MSP)
        return ds_fail(
            e, DS_EUSAGE,
            "-cost and -confidence %s, expected msp: Chow's rule needs a probability of being right",
            confidence_words[s->confidence]);
    DS_TRY(ds_check_source(s->from, &s->run, n_operands, e));
    return check_from(s, e);
}

static int tell_infeasible(const calibrate_flags *s, size_t n, double feasible, ds_error *e)
{
    char risk[DS_NUMBER_TEXT], delta[DS_NUMBER_TEXT], least[DS_NUMBER_TEXT];
    const char *many = n == 1 ? "" : "s";
    ds_number_text(s->delta, delta);
    if (isnan(feasible))
        return ds_fail(e, DS_EINFEASIBLE,
                       "no feasible threshold: %zu calibration image%s with -delta %s allow no -risk below 1",
                       n, many, delta);
    return ds_fail(e, DS_EINFEASIBLE,
                   "no feasible threshold for -risk %s: %zu calibration image%s with -delta %s allow -risk "
                   "%s at the least",
                   ds_number_text(s->risk, risk), n, many, delta, ds_number_text(feasible, least));
}

/* Cut the images of `a`, without an aim at `own`, and say so in `r`. */
static int find_threshold(const calibrate_flags *s, double own, ds_per_class *p, ds_answers *a,
                          ds_calibration *r, ds_error *e)
{
    if (s->per_class) {
        DS_TRY(ds_per_class_find(p, s->delta, a, e));
        r->promises = p->promises;
        r->names = a->names;
        r->classes = a->classes;
    }
    const ds_wish wish = {.threshold = isnan(s->cost) ? own : 1 - s->cost,
                          .coverage = s->coverage,
                          .risk = s->risk,
                          .delta = s->delta};
    DS_FINALLY(ds_figures_clear) ds_figures f = ds_figures_at(a, &wish);
    const ds_guarantee found = f.control.found;
    r->cut = f.chosen;
    r->n_nan = f.curve.n_nan;
    if (!s->per_class && !isnan(s->risk) && !found.feasible)
        return tell_infeasible(s, a->n, found.feasible_risk, e);
    if (!isnan(s->coverage) && r->cut.accepted == 0)
        return ds_fail(e, DS_EINFEASIBLE,
                       "no feasible threshold: none of the %zu calibration images has a confidence", a->n);
    return DS_OK;
}

typedef struct calibration {
    ds_model m;
    ds_score score;
    ds_answers answers;
    ds_calibration found;
    ds_per_class classes;
    ds_strangers strangers;
    double own; /* threshold of CFG */
    ds_outputs outputs;
    FILE *out;
} calibration;

/* A score that was asked for by name must be one of this network; best takes what there is. */
static int set_score(calibration *c, const calibrate_flags *s, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(c->m.net);
    const ds_reject *r = ds_net_get_reject(c->m.net);
    c->score = r->score;
    c->own = r->threshold;
    c->answers.thresholds = has_aim(s) ? NULL : r->thresholds;
    if (s->confidence >= 0 && !wants_best(s))
        c->score.kind = (ds_confidence)s->confidence;
    if (s->temperature && !is_fit(s->temperature))
        ds_parse_double(s->temperature, &c->score.temperature);
    if (s->pnorm && !is_fit(s->pnorm))
        ds_parse_double(s->pnorm, &c->score.pnorm_p);
    if (s->pnorm && c->score.kind != DS_PNORM && !wants_best(s))
        return ds_fail(e, DS_EUSAGE, "-pnorm with confidence %s, expected -confidence pnorm or best",
                       ds_confidence_names[c->score.kind]);
    if (!has_aim(s))
        ds_model_tell_threshold(&c->m);
    if (!isnan(s->cost) && c->score.kind != DS_MSP)
        return ds_fail(e, DS_EUSAGE,
                       "-cost with confidence=%s of %s, expected -confidence msp: Chow's rule needs a "
                       "probability of being right",
                       ds_confidence_names[c->score.kind], c->m.cfg->path);
    return wants_best(s) ? DS_OK : ds_score_check(&c->score, info->logits, info->abstain, e);
}

/* Temperature, norm, score and novelty, on one half of the images; the other half's are *rest. */
static int fit(calibration *c, const calibrate_flags *s, ds_answers *rest, ds_error *e)
{
    const bool novel = !isnan(s->strangers.rate);
    ds_calibration *r = &c->found;
    ds_answers first;
    double t[2], nll[2];
    if ((novel || wants_best(s) || wants_fit(s)) && has_aim(s))
        r->fitted_on = ds_answers_halve(&c->answers, s->seed);
    if (novel)
        DS_TRY(ds_strangers_rank(&c->strangers, &c->answers, has_aim(s) ? r->fitted_on : c->answers.n,
                                 &r->novelty, e));
    first = ds_answers_part(&c->answers, 0, r->fitted_on);
    *rest = ds_answers_part(&c->answers, r->fitted_on, c->answers.n);
    r->seed = s->seed;
    if (is_fit(s->temperature))
        DS_TRY(ds_answers_fit_temperature(&first, rest, &c->score.temperature, r->nll, e));
    if (is_fit(s->pnorm) || (wants_best(s) && !s->pnorm))
        c->score.pnorm_p = ds_answers_fit_pnorm(&first);
    if (!wants_best(s))
        return DS_OK;
    t[0] = c->score.temperature;
    const bool two = !s->temperature && !ds_answers_fit_temperature(&first, rest, &t[1], nll, NULL);
    r->n_candidates = ds_answers_choose_score(&first, &c->score, t, 1 + two, r->candidates);
    return DS_OK;
}

static int find(calibration *c, const calibrate_flags *s, ds_error *e)
{
    ds_calibration *r = &c->found;
    ds_answers rest;
    DS_TRY(fit(c, s, &rest, e));
    r->list = c->answers.file;
    r->images = c->answers.n;
    r->confidence = ds_confidence_names[c->score.kind];
    r->temperature = c->score.temperature;
    r->pnorm_p = c->score.kind == DS_PNORM ? c->score.pnorm_p : 0;
    r->model = c->m.title;
    ds_answers_score(&rest, &c->score);
    for (size_t i = 0; i < rest.n; i++)
        r->novelty.unknown += ds_answers_unknown(&rest, i);
    return find_threshold(s, c->own, &c->classes, &rest, r, e);
}

/* ---- the result as keys ---- */

enum { MOST_KEYS = 16 };
typedef struct keys {
    ds_pair v[MOST_KEYS]; /* a NULL value: take it out */
    int n;
    char numbers[MOST_KEYS][DS_NUMBER_TEXT], rejected[2 * DS_NUMBER_TEXT];
    char *aim, *weights, *hash;
} keys;

static void keys_clear(keys *k)
{
    free(k->aim);
    free(k->weights);
    free(k->hash);
}

/* What was asked for, a word that any reader of a cfg leaves whole: "risk=0.02,delta=0.001". */
static char *aim_text(const calibrate_flags *s)
{
    const struct {
        const char *name;
        double value;
    } all[] = {{"risk", s->risk}, {"delta", s->delta}, {"coverage", s->coverage}, {"cost", s->cost}};
    char *text, number[DS_NUMBER_TEXT];
    FILE *f = ds_memstream(&text, NULL);
    const char *comma = "";
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!isnan(all[i].value)) {
            fprintf(f, "%s%s=%s", comma, all[i].name, ds_number_text(all[i].value, number));
            comma = ",";
        }
    for (int i = 0; i < s->risks.n; i++)
        if (strchr(s->risks.v[i], '='))
            fprintf(f, "%srisk_of_%s", comma, s->risks.v[i]);
    fputs(s->per_class ? ",per_class" : "", f);
    fclose(f);
    for (char *c = text; *c; c++)
        *c = (char)(isspace((unsigned char)*c) ? '_' : *c);
    return text;
}

static void add_key(keys *k, const char *key, const char *value)
{
    k->v[k->n++] = (ds_pair){.key = (char *)key, .value = (char *)value};
}

static void add_number(keys *k, const char *key, double value)
{
    add_key(k, key, ds_number_text(value, k->numbers[k->n]));
}

/* Keys at their defaults are left out, unless the cfg says something else. */
static void threshold_keys(keys *k, const calibration *c)
{
    const ds_score *score = &c->score;
    if (!c->classes.text)
        add_number(k, "threshold", c->found.cut.threshold);
    else
        add_key(k, "threshold", NULL);
    add_key(k, "thresholds", c->classes.text);
    add_key(k, "confidence", c->found.confidence);
    if (score->temperature != 1 || ds_model_key(&c->m, "temperature"))
        add_number(k, "temperature", score->temperature);
    if (score->kind != DS_PNORM && ds_model_key(&c->m, "pnorm_p"))
        add_key(k, "pnorm_p", NULL); /* goes with pnorm alone */
    else if (score->kind == DS_PNORM && (score->pnorm_p != 2 || ds_model_key(&c->m, "pnorm_p")))
        add_number(k, "pnorm_p", score->pnorm_p);
    if (c->m.all.views > 1 || ds_model_key(&c->m, "views"))
        add_number(k, "views", c->m.all.views);
    if (c->m.with)
        add_key(k, "with", c->m.with);
}

static void keys_of(keys *k, const calibration *c, const calibrate_flags *s)
{
    const size_t n = c->found.images - c->found.fitted_on;
    *k = (keys){0};
    if (has_aim(s))
        threshold_keys(k, c);
    if (c->strangers.path) {
        add_key(k, "novelty", ds_path_base(c->strangers.path));
        add_key(k, "novelty_hash",
                k->hash = ds_format("%016" PRIx64, ds_novelty_hash(&c->strangers.novelty)));
        add_number(k, "novelty_rate", s->strangers.rate);
    }
    snprintf(k->rejected, sizeof k->rejected, "%zu,%zu", n - c->found.cut.accepted, n);
    add_key(k, "rejected", k->rejected);
    if (has_aim(s) || !(ds_model_key(&c->m, "threshold") || ds_model_key(&c->m, "thresholds")))
        add_key(k, "precision", ds_precision_names[ds_net_get_info(c->m.net)->precision]);
    if (has_aim(s)) {
        add_key(k, "aim", k->aim = aim_text(s));
        add_key(k, "weights", k->weights = ds_model_weights(&c->m));
    }
}

static void print_keys(FILE *f, const keys *k)
{
    fputs("\n[reject]\n", f);
    for (int i = 0; i < k->n; i++)
        if (k->v[i].value)
            fprintf(f, "%s=%s\n", k->v[i].key, k->v[i].value);
}

/* The .novelty file takes its place when the cfg is whole, just before it does. */
static int write_cfg(calibration *c, const keys *k, ds_error *e)
{
    DS_FREED char *text = NULL, *edited = NULL;
    const char *cfg = c->m.cfg->path;
    DS_TRY(ds_file_read_text(cfg, "a network .cfg", &text, e));
    DS_TRY(ds_cfg_edit_reject(text, cfg, k->v, k->n, &edited, e));
    fputs(edited, c->out);
    const int problem = c->strangers.path ? ds_flush(c->out) : 0;
    if (problem)
        return ds_fail_at(e, DS_EIO, c->outputs.v->file.path, 0, "cannot write: %s", strerror(problem));
    if (c->strangers.path)
        DS_TRY(ds_novelty_write(&c->strangers.novelty, c->strangers.path, e));
    return ds_outputs_commit(&c->outputs, e);
}

/* The figures go to standard output, unless that is the cfg's. */
static int write_results(calibration *c, const calibrate_flags *s, ds_error *e)
{
    FILE *f = ds_is_stdout(s->out) ? stderr : stdout;
    DS_FINALLY(keys_clear) keys k;
    keys_of(&k, c, s);
    if (s->out)
        DS_TRY(write_cfg(c, &k, e));
    ds_calibration_text(f, &c->found);
    if (!s->out)
        print_keys(f, &k);
    else if (f == stdout)
        ds_put_line(stdout, "written to ", s->out);
    return DS_OK;
}

/* The list of -outliers, and novelty= of CFG, are inputs too. */
static int keep_strangers(calibration *c, const ds_strangers_flags *flags, int loaders, ds_error *e)
{
    const char *novelty = ds_model_key(&c->m, "novelty");
    DS_FREED char *folder = ds_path_dir(c->m.cfg->path), *path = ds_path_join(folder, novelty ? novelty : "");
    const char *const files[] = {flags->list, ds_path_exists(path) ? path : novelty};
    const ds_datafile *d = &c->m.data;
    const char *const known[] = {d->train, d->calib};
    DS_TRY(ds_outputs_keep(&c->outputs, files, sizeof files / sizeof *files, e));
    return flags->list ? ds_list_check_apart(d, flags->list, known, sizeof known / sizeof *known,
                                             ds_loader_threads(loaders), &c->m.notes, e)
                       : DS_OK;
}

enum { FEW = 40 }; /* images for a choice among scores */

static int open_network(calibration *c, const calibrate_flags *s, const char *const *operands, ds_error *e)
{
    const ds_datafile *d = &c->m.data;
    DS_TRY(ds_model_open(&c->m, operands, DS_CALIB_LIST, &s->run, &c->answers, e));
    DS_TRY(ds_outputs_keep_listed(&c->outputs, d, e));
    DS_TRY(ds_outputs_keep(&c->outputs, (const char *const *)c->answers.paths, c->answers.n, e));
    DS_TRY(keep_strangers(c, &s->strangers, s->run.loaders, e));
    if (c->m.with && c->m.with[strcspn(c->m.with, " \t\r\n#")])
        return ds_fail(e, DS_EUSAGE, "-with %s, expected names without blanks and '#', for the cfg",
                       c->m.with);
    DS_TRY(set_score(c, s, e));
    DS_TRY(ds_per_class_read(&c->classes, &s->risks, &c->answers, e));
    if (c->answers.n < 2 && (wants_best(s) || wants_fit(s)))
        return ds_fail_at(e, DS_EINPUT, c->answers.file, 0,
                          "has 1 image, expected at least 2: one half to fit on, one for the threshold");
    if (c->answers.n < FEW && (wants_best(s) || wants_fit(s)))
        ds_note(&c->m.notes,
                "warning: %s: has %zu images, of which half are to choose and to fit on: that is chance",
                c->answers.file, c->answers.n);
    const char *const others[] = {d->train, d->valid, d->test};
    return ds_list_check_apart(d, d->calib, others, sizeof others / sizeof *others,
                               ds_loader_threads(s->run.loaders), &c->m.notes, e);
}

static int calibrate_network(calibration *c, const calibrate_flags *s, const char *const *operands,
                             ds_error *e)
{
    DS_TRY(ds_outputs_add(&c->outputs, "out", s->out, &c->out, e)); /* not what it is made from */
    DS_TRY(ds_outputs_add(&c->outputs, "novelty", c->strangers.path, NULL, e));
    DS_TRY(ds_outputs_keep(&c->outputs, operands, 3, e));
    DS_TRY(ds_outputs_open(&c->outputs, e));
    int rc = open_network(c, s, operands, e);
    ds_print_notes(&c->m.notes, stderr);
    DS_TRY(rc);
    DS_TRY(ds_outputs_keep(&c->outputs, (const char *const *)c->m.files.v, (size_t)c->m.files.n, e));
    const ds_eval_setup how = {.score = c->score, .top = 1, .keep_logits = true};
    if (c->strangers.path)
        DS_TRY(ds_strangers_learn(&c->strangers, &c->m, &s->run, &c->answers, &c->found.novelty, e));
    else
        DS_TRY(ds_model_answer(&c->m, &s->run, how, &c->answers, e));
    if (!ds_together_first())
        return DS_OK;
    DS_TRY(find(c, s, e));
    return write_results(c, s, e);
}

static int calibrate_csv(calibration *c, const calibrate_flags *s, ds_error *e)
{
    ds_answers *a = &c->answers;
    DS_TRY(ds_report_csv_read(s->from, true, a, e));
    if (a->n == 0)
        return ds_fail_at(e, DS_EINPUT, s->from, 0, "has no images, expected one a line below the header");
    for (size_t i = 0; i < a->n && !isnan(s->cost); i++) /* Chow's rule takes them for probabilities */
        if (a->confidences[i] < 0 || a->confidences[i] > 1)
            return ds_fail_at(e, DS_EINPUT, s->from, 0,
                              "has a confidence of %g, expected probabilities of being right for -cost",
                              a->confidences[i]);
    DS_TRY(ds_per_class_read(&c->classes, &s->risks, a, e));
    c->found.list = s->from;
    c->found.images = a->n;
    DS_TRY(find_threshold(s, NAN, &c->classes, a, &c->found, e));
    ds_calibration_text(stdout, &c->found);
    return DS_OK;
}

static void calibration_clear(calibration *c)
{
    ds_per_class_clear(&c->classes);
    ds_strangers_clear(&c->strangers);
    ds_outputs_clear(&c->outputs);
    ds_answers_clear(&c->answers);
    ds_model_close(&c->m);
}

int ds_cmd_calibrate(int argc, char **argv, ds_error *e)
{
    calibrate_flags s = {0};
    DS_FINALLY(ds_words_clear) ds_words w = {.table = ds_calibrate_options, .state = &s};
    DS_FINALLY(calibration_clear) calibration c = {.found = {.temperature = 1, .nll = {NAN, NAN}}};
    DS_TRY(ds_words_read(&w, argc, argv, 3, e));
    s.run.threads = ds_together_threads(s.run.threads);
    DS_TRY(read_risks(&s, &c.classes, e));
    DS_TRY(check_flags(&s, w.n, e));
    DS_TRY(ds_strangers_check(&c.strangers, &s.strangers, s.out, e));
    s.run.features = c.strangers.path;
    c.found.novelty.rate = s.strangers.rate;
    c.found.novelty.path = c.strangers.path;
    c.found.risk = s.risk;
    c.found.delta = s.delta;
    c.found.coverage = s.coverage;
    c.found.cost = s.cost;
    return s.from ? calibrate_csv(&c, &s, e) : calibrate_network(&c, &s, w.operands, e);
}
