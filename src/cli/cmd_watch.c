/* `classifier watch`: does the promise of a threshold still hold, from images as they come? */
#include "base/file.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/place.h"
#include "report/report.h"
#include "report/watch.h"

#include <limits.h>
#include <time.h>
#include <unistd.h>

typedef struct watch_flags {
    char *state, *calib;
    double risk, alpha, run_length;
    int seed;
} watch_flags;

#define DS_STATE watch_flags
const ds_option ds_watch_options[] = {
    OPT_TEXT("state", state, "what is known so far; made by the first call, which says what is promised",
             .unit = "F"),
    OPT_REAL("risk", risk, "promised: at most R of the accepted images are wrong; needs labels", .unit = "R"),
    OPT_TEXT("calib", calib,
             "CSV of the calibration images, for changes of confidence (and novelty) without labels",
             .unit = "PREDICTIONS.csv"),
    OPT_REAL("alpha", alpha, "probability of a false alarm by E, ever (0.01)", .unit = "A"),
    OPT_REAL("run-length", run_length,
             "S, for changes that come late, raises one false alarm in N images (1000000)", .unit = "N"),
    OPT_INT("seed", seed, "orders images of equal confidence (1)", OPT_RANGE(0, INT_MAX)),
    OPT_END,
};

/* Columns of scores, -1: not there, and of what was made of them. */
typedef struct columns {
    int scores[DS_WATCH_COLUMNS], verdict;
} columns;

typedef struct watcher {
    const watch_flags *flags;
    ds_watch w;
    ds_csv in;
    bool pipe; /* what came counts, whatever follows; of a file all or nothing */
    int lock;
    int label, prediction, accepted; /* columns */
    columns at;
    double rows;
} watcher;

/* Score i of a row. An unknown image has no confidence, whether the file gives one or not; *known: an image
 * that could not be read has no number. */
static int read_score(const ds_csv *c, const columns *at, int i, double *v, bool *known, ds_error *e)
{
    *known = *c->fields[at->scores[i]];
    *v = NAN;
    if (!*known || (i == 0 && at->verdict >= 0 && strcmp(c->fields[at->verdict], "unknown") == 0))
        return DS_OK;
    return ds_csv_number(c, at->scores[i], v, e);
}

typedef struct calibration {
    ds_csv in;
    columns at; /* novelty need not be there */
    double *values[DS_WATCH_COLUMNS];
    size_t n[DS_WATCH_COLUMNS];
} calibration;

static void calibration_clear(calibration *c)
{
    free(c->values[0]);
    free(c->values[1]);
    ds_csv_close(&c->in);
}

static int read_rows(calibration *c, const char *path, ds_error *e)
{
    static const char expected[] = "the column confidence";
    DS_TRY(ds_csv_open(&c->in, path, expected, e));
    for (int i = 0; i < DS_WATCH_COLUMNS; i++)
        DS_TRY(ds_csv_find(&c->in, ds_watch_columns[i], i ? NULL : expected, &c->at.scores[i], e));
    DS_TRY(ds_csv_find(&c->in, "verdict", NULL, &c->at.verdict, e));
    for (bool more;;) {
        DS_TRY(ds_csv_next(&c->in, &more, e));
        if (!more)
            return DS_OK;
        for (int i = 0; i < DS_WATCH_COLUMNS && c->at.scores[i] >= 0; i++) {
            double v;
            bool known;
            DS_TRY(read_score(&c->in, &c->at, i, &v, &known, e));
            if (known)
                DS_PUSH(c->values[i], c->n[i], v);
        }
    }
}

static int read_calibration(const watcher *p, ds_watch_score *scores, ds_error *e)
{
    const char *path = p->flags->calib;
    DS_FINALLY(calibration_clear) calibration c = {0};
    if (!path)
        return DS_OK;
    DS_TRY(read_rows(&c, path, e));
    for (int i = 0; i < DS_WATCH_COLUMNS; i++)
        if (c.n[i] > 0)
            ds_watch_score_begin(&scores[i], c.values[i], c.n[i], (uint64_t)p->w.seed);
        else if (c.at.scores[i] >= 0)
            return ds_fail_at(e, DS_EINPUT, path, 0, "has no %s, expected one a line below the header",
                              ds_watch_columns[i]);
    return DS_OK;
}

static int begin(watcher *p, ds_error *e)
{
    const watch_flags *s = p->flags;
    if (isnan(s->risk) && !s->calib)
        return ds_fail(e, DS_EUSAGE,
                       "no state %s yet, expected -risk R or -calib PREDICTIONS.csv to begin one", s->state);
    p->w.alpha = isnan(s->alpha) ? 0.01 : s->alpha;
    p->w.run_length = isnan(s->run_length) ? 1e6 : s->run_length;
    p->w.seed = s->seed ? s->seed : 1;
    p->w.labelled.risk = isnan(s->risk) ? 0 : s->risk;
    return read_calibration(p, p->w.scores, e);
}

static int same(const char *flag, double asked, double begun, const watcher *p, ds_error *e)
{
    if (isnan(asked) || asked == begun)
        return DS_OK;
    return ds_fail(e, DS_EUSAGE, "-%s %g, but %s was begun with %g: expected that or another -state", flag,
                   asked, p->flags->state, begun);
}

/* The flags of the first call may be given again, not changed. */
static int resume(watcher *p, ds_error *e)
{
    const watch_flags *s = p->flags;
    DS_TRY(ds_watch_read(s->state, &p->w, e));
    DS_TRY(same("alpha", s->alpha, p->w.alpha, p, e));
    DS_TRY(same("run-length", s->run_length, p->w.run_length, p, e));
    DS_TRY(same("risk", s->risk, p->w.labelled.risk, p, e));
    DS_TRY(same("seed", s->seed ? s->seed : NAN, p->w.seed, p, e));
    ds_watch_score asked[DS_WATCH_COLUMNS] = {0};
    DS_TRY(read_calibration(p, asked, e));
    for (int i = 0; i < DS_WATCH_COLUMNS && s->calib; i++) {
        const ds_watch_score *begun = &p->w.scores[i];
        if (asked[i].calib != begun->calib || memcmp(asked[i].bound, begun->bound, sizeof begun->bound) != 0)
            return ds_fail(e, DS_EUSAGE,
                           "-calib %s, but %s was begun with other images: expected those or another -state",
                           s->calib, s->state);
    }
    return DS_OK;
}

static int find_labels(watcher *p, ds_error *e)
{
    static const char expected[] = "the columns label and prediction (or answer)";
    DS_TRY(ds_csv_find(&p->in, "accepted", NULL, &p->accepted, e));
    DS_TRY(ds_csv_find(&p->in, "answer", NULL, &p->prediction, e));
    if (p->prediction < 0)
        DS_TRY(ds_csv_find(&p->in, "prediction", expected, &p->prediction, e));
    return ds_csv_find(&p->in, "label", expected, &p->label, e);
}

static int find_columns(watcher *p, ds_error *e)
{
    if (p->w.labelled.risk > 0)
        DS_TRY(find_labels(p, e));
    for (int i = 0; i < DS_WATCH_COLUMNS; i++)
        if (p->w.scores[i].calib > 0)
            DS_TRY(ds_csv_find(&p->in, ds_watch_columns[i], "it as in the calibration", &p->at.scores[i], e));
    return ds_csv_find(&p->in, "verdict", NULL, &p->at.verdict, e);
}

static void announce(const watcher *p, const char *what)
{
    printf("ALARM after row %.0f of %s: %s\n", p->rows, p->in.file, what);
    fflush(stdout);
}

static int take_label(watcher *p, ds_error *e)
{
    char **fields = p->in.fields;
    const char *accepted = p->accepted < 0 ? "1" : fields[p->accepted];
    if (accepted[0] && strcmp(accepted, "0") != 0 && strcmp(accepted, "1") != 0)
        return ds_fail_at(e, DS_EINPUT, p->in.file, p->in.line, "accepted is '%.60s', expected 0 or 1",
                          accepted);
    if (accepted[0] != '1' || !*fields[p->label])
        return DS_OK;
    const bool wrong = strcmp(fields[p->label], fields[p->prediction]) != 0;
    if (ds_watch_label(&p->w.labelled, wrong, p->w.alpha, p->w.run_length))
        announce(p, "more accepted images are wrong than was promised");
    return DS_OK;
}

static int take_scores(watcher *p, ds_error *e)
{
    const ds_watch *w = &p->w;
    const int shares = ds_watch_scores(w);
    for (int i = 0; i < DS_WATCH_COLUMNS; i++) {
        double v;
        bool known = w->scores[i].calib > 0;
        if (known)
            DS_TRY(read_score(&p->in, &p->at, i, &v, &known, e));
        if (known && ds_watch_score_add(&p->w.scores[i], v, (uint64_t)w->seed, w->alpha / shares,
                                        w->run_length * shares))
            announce(p, i ? "novelty has changed since the calibration"
                          : "confidences have changed since the calibration");
    }
    return DS_OK;
}

/* A pipe may run for months: what it has told is saved every minute. */
static int take_rows(watcher *p, ds_error *e)
{
    time_t saved = time(NULL);
    for (bool more = true; !ds_interrupted;) {
        DS_TRY(ds_csv_next(&p->in, &more, e));
        if (!more)
            break;
        p->rows++;
        if (p->w.labelled.risk > 0)
            DS_TRY(take_label(p, e));
        DS_TRY(take_scores(p, e));
        if (!p->pipe || time(NULL) - saved < 60)
            continue;
        DS_TRY(ds_watch_write(&p->w, p->flags->state, e));
        saved = time(NULL);
    }
    if (!ds_interrupted)
        return DS_OK;
    return ds_fail(e, DS_EINTERRUPT, "stopped after row %.0f of %s, %s", p->rows, p->in.file,
                   p->pipe ? "which are counted" : "of which none is counted");
}

static int watch(watcher *p, const char *path, ds_error *e)
{
    struct stat st;
    const watch_flags *s = p->flags;
    if (!ds_path_exists(s->state))
        DS_TRY(begin(p, e)); /* before there is a file for the lock */
    DS_TRY(ds_watch_lock(s->state, &p->lock, e));
    DS_TRY(ds_path_exists(s->state) ? resume(p, e) : begin(p, e));
    DS_TRY(ds_csv_open(&p->in, path, "the columns of predict or reject", e));
    DS_TRY(find_columns(p, e));
    p->pipe = fstat(fileno(p->in.f), &st) != 0 || !S_ISREG(st.st_mode);
    ds_catch_interrupts(false);
    ds_error unsaved = {0};
    int rc = take_rows(p, e);
    if ((!rc || p->pipe) && ds_watch_write(&p->w, s->state, &unsaved))
        rc = ds_error_pass(e, &unsaved);
    DS_TRY(ds_code_of_signal(rc, e));
    ds_watch_text(stdout, &p->w);
    if (!ds_watch_alarmed(&p->w))
        return DS_OK;
    return ds_fail_at(e, DS_EALARM, s->state, 0,
                      "an alarm was raised: look at new images, calibrate on some, begin another state");
}

static int check_flags(const watch_flags *s, const char *path, ds_error *e)
{
    if (!s->state)
        return ds_fail(e, DS_EUSAGE, "-state F is missing, expected the file of what is known so far");
    DS_TRY(ds_check_share("risk", s->risk, DS_INSIDE, e));
    DS_TRY(ds_check_share("alpha", s->alpha, DS_INSIDE, e));
    if (s->run_length < 1)
        return ds_fail(e, DS_EUSAGE, "-run-length %g, expected 1 or more", s->run_length);
    DS_FINALLY(ds_outputs_clear) ds_outputs outputs = {0};
    const char *inputs[] = {path, s->calib};
    DS_TRY(ds_outputs_add(&outputs, "state", s->state, NULL, e));
    return ds_outputs_keep(&outputs, inputs, s->calib ? 2 : 1, e);
}

int ds_cmd_watch(int argc, char **argv, ds_error *e)
{
    watch_flags s = {0};
    DS_FINALLY(ds_words_clear) ds_words w = {.table = ds_watch_options, .state = &s};
    watcher p = {.flags = &s, .lock = -1};
    DS_TRY(ds_words_read(&w, argc, argv, 1, e));
    const char *path = w.n ? w.operands[0] : "-";
    DS_TRY(check_flags(&s, path, e));
    int rc = watch(&p, path, e);
    ds_csv_close(&p.in);
    if (p.lock >= 0)
        close(p.lock);
    return rc;
}
