/* BASE.ckpt: all that the next batch depends on, so that a run that was killed goes on to the same bits.
 *
 *   layers.L.NAME F32           parameters and averages of layer L; NAME.2, … where it has several of a name
 *   layers.L.NAME.momentum F32  [n, 1]; with Adam .adam [2, n], its m and v
 *   average F32                 [numbers, 1]: with average=, that of the trained arrays, one after the other
 *   average.state U64           [2, 1]: see ds_average
 *   images.NAME                 predictions U32 [images, 1], visits U16 [images, 2], means F32 [images, 2]:
 *                               see ds_records
 *   history F32 or F64          [images, row]: what the target remembers of each training image
 *   counters U64, numbers F64   [12, 1], [11, 1]: see COUNTERS_OF, NUMBERS_OF
 *   images U64                  [images, 1]: their keys (see ds_images)
 *   cfg U8                      [bytes, 1], the last: the text of the cfg
 *   metadata                    program; computed: see ds_job_computed; files, the ends of the names of
 *                               those that belong to it */
#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"
#include "data/lines.h"
#include "train/job.h"

#include <limits.h>

/* X(its place in the array, where it stands in the job). */
#define COUNTERS_OF(X)                            \
    X(SEEN, job->seen)                            \
    X(STEPS, *ds_optimizer_steps(job->optimizer)) \
    X(RIGHT, job->tally.right)                    \
    X(IMAGES, job->tally.images)                  \
    X(RESULTS, job->results.n)                    \
    X(BEST, job->best.epoch)                      \
    X(SEED, job->setup.seed)                      \
    X(EPOCHS, job->setup.epochs)                  \
    X(BEST_BY, job->by)                           \
    X(WARMUP, job->warmup.state)                  \
    X(WARMUP_END, job->warmup.end)                \
    X(WARMUP_AT, job->warmup.at)
#define NUMBERS_OF(X)                          \
    X(RATE, job->rate)                         \
    X(AVERAGE, job->average)                   \
    X(LOSS, job->tally.loss)                   \
    X(SECONDS, job->tally.seconds)             \
    X(BEST_TOP1, job->best.valid_top1)         \
    X(BEST_NLL, job->best.valid_nll)           \
    X(BEST_BALANCED, job->best.valid_balanced) \
    X(BEST_AURC, job->best.valid_aurc)         \
    X(WARMUP_LOWEST, job->warmup.lowest)       \
    X(WARMUP_NLL, job->warmup.nll)

#define PLACE(name, member) name,
enum { COUNTERS_OF(PLACE) COUNTERS };
enum { NUMBERS_OF(PLACE) NUMBERS };

typedef struct state {
    uint64_t counters[COUNTERS];
    double numbers[NUMBERS];
    ds_saved *arrays; /* n, of this state and of the job's own memory */
    int n;
} state;

static void gather(const ds_job *job, state *s)
{
    *s = (state){0};
#define KEEP_COUNTER(name, member) s->counters[name] = (uint64_t)(member);
#define KEEP_NUMBER(name, member) s->numbers[name] = member;
    COUNTERS_OF(KEEP_COUNTER)
    NUMBERS_OF(KEEP_NUMBER)
}

static void scatter(const state *s, ds_job *job)
{
    const int epochs = job->setup.epochs, end = job->warmup.end;
#define TAKE_COUNTER(name, member) member = (__typeof__(member))s->counters[name];
#define TAKE_NUMBER(name, member) member = s->numbers[name];
    COUNTERS_OF(TAKE_COUNTER)
    NUMBERS_OF(TAKE_NUMBER)
    job->setup.epochs = epochs;
    if (job->warmup.state == DS_WARMUP_ON) /* -epochs may say another end */
        job->warmup.end = end;
}

static void add(state *s, const char *name, const char *dtype, size_t rows, size_t columns, void *values)
{
    ds_saved a = {.dtype = dtype, .rows = rows, .columns = columns, .values = values};
    snprintf(a.name, sizeof a.name, "%s", name);
    DS_PUSH(s->arrays, s->n, a);
}

/* All arrays but those of the images. */
static void add_arrays(ds_job *job, state *s)
{
    int n;
    const ds_param *p = ds_net_params(job->net, &n);
    for (int i = 0; i < n; i++) {
        char name[40], more[56];
        float *moments = ds_optimizer_moments(job->optimizer, i);
        int same = 1;
        for (int k = i; k-- > 0 && p[k].layer == p[i].layer;)
            same += !strcmp(p[k].name, p[i].name);
        snprintf(name, sizeof name, same > 1 ? "layers.%d.%s.%d" : "layers.%d.%s", p[i].layer, p[i].name,
                 same);
        snprintf(more, sizeof more, "%s.%s", name, moments ? "adam" : "momentum");
        add(s, name, "F32", p[i].n, 1, p[i].values);
        if (moments)
            add(s, more, "F32", 2, p[i].n, moments);
        else if (p[i].gradient)
            add(s, more, "F32", p[i].n, 1, p[i].gradient);
    }
    ds_saved mean[2];
    for (int i = 0, k = ds_average_arrays(&job->mean, mean); i < k; i++)
        DS_PUSH(s->arrays, s->n, mean[i]);
    add(s, "counters", "U64", COUNTERS, 1, s->counters);
    add(s, "numbers", "F64", NUMBERS, 1, s->numbers);
}

/* Those of the images, `records` and, where the target has one, its history; returns how many. */
enum { IMAGE_ARRAYS = DS_RECORD_ARRAYS + 1 };
static int image_arrays(const ds_job *job, ds_saved *a)
{
    const ds_history h = ds_net_history(job->net);
    ds_records_arrays(&job->records, a);
    if (!h.values)
        return DS_RECORD_ARRAYS;
    a[DS_RECORD_ARRAYS] =
        (ds_saved){"history", h.wide ? "F64" : "F32", (size_t)job->train.n, h.row, h.values};
    return IMAGE_ARRAYS;
}

char *ds_job_computed(const ds_job *job)
{
    const int n = job->info->threads;
    DS_FREED char *ranks = job->setup.ranks ? ds_format(", %d ranks", ds_job_ranks(job)) : ds_strdup("");
    return ds_format("%s, %d thread%s%s", job->info->backend, n, n == 1 ? "" : "s", ranks);
}

/* ---- written beside training ---- */

/* The arrays of a moment, n of them, copied one behind the other, on their way to the disk. */
struct ds_snapshot {
    char *path, *values;
    json_t *texts;
    ds_saved *arrays;
    int n;
    bool threaded;
    pthread_t thread;
    ds_error e;
};

static void copy_values(struct ds_snapshot *s)
{
    size_t bytes = 0;
    for (int i = 0; i < s->n; i++)
        bytes += ds_saved_bytes(&s->arrays[i]);
    char *to = s->values = ds_xmalloc(bytes);
    for (int i = 0; i < s->n; i++) {
        const size_t size = ds_saved_bytes(&s->arrays[i]);
        s->arrays[i].values = memcpy(to, s->arrays[i].values, size);
        to += size;
    }
}

static void *write_snapshot(void *arg)
{
    struct ds_snapshot *s = arg;
    ds_saved_write(s->path, s->texts, s->arrays, s->n, true, &s->e);
    return NULL;
}

int ds_checkpoint_end(ds_job *job, bool wait, ds_error *e)
{
    struct ds_snapshot *s = job->writing;
    if (!s || (s->threaded && (wait ? pthread_join(s->thread, NULL) : pthread_tryjoin_np(s->thread, NULL))))
        return DS_OK;
    const int rc = s->e.code ? ds_error_pass(e, &s->e) : DS_OK;
    job->writing = NULL;
    json_decref(s->texts);
    free(s->path);
    free(s->values);
    free(s->arrays);
    free(s);
    return rc;
}

int ds_checkpoint_begin(ds_job *job, ds_error *e)
{
    state s;
    ds_saved images[IMAGE_ARRAYS];
    const int n = image_arrays(job, images);
    DS_TRY(ds_job_check_finite(job, e));
    DS_TRY(ds_checkpoint_end(job, true, e));
    job->saved = ds_now();
    if (!ds_job_first(job))
        return DS_OK;
    gather(job, &s);
    add_arrays(job, &s);
    for (int i = 0; i < n; i++)
        DS_PUSH(s.arrays, s.n, images[i]);
    add(&s, "images", "U64", (size_t)job->train.n, 1, job->train.keys);
    add(&s, "cfg", "U8", strlen(job->cfg_text), 1, job->cfg_text);
    DS_FREED char *computed = ds_job_computed(job);
    struct ds_snapshot *w = job->writing = ds_xcalloc(1, sizeof *w);
    w->path = ds_job_path(job, ".ckpt");
    w->texts = json_pack("{s: s, s: s, s: s}", "program", job->setup.program, "computed", computed, "files",
                         ".backup _best.weights _results.csv");
    w->arrays = s.arrays;
    w->n = s.n;
    copy_values(w);
    w->threaded = ds_thread_start(&w->thread, write_snapshot, w) == 0;
    if (!w->threaded)
        write_snapshot(w);
    return DS_OK;
}

int ds_checkpoint_write(ds_job *job, ds_error *e)
{
    ds_checkpoint_end(job, true, NULL); /* this one takes its place */
    DS_TRY(ds_checkpoint_begin(job, e));
    return ds_checkpoint_end(job, true, e);
}

/* ---- is the cfg the same? ---- */

/* The next line that is no comment, NULL at the end. */
static const char *next_line(ds_lines *lines)
{
    const char *line = ds_lines_next(lines);
    while (line && (!*line || *line == '#' || *line == ';'))
        line = ds_lines_next(lines);
    return line;
}

/* max_batches upwards is no change. */
static bool same_line(const char *now, const char *then)
{
    int a, b;
    return now && then &&
           (!strcmp(now, then) || (sscanf(now, "max_batches = %d", &a) == 1 &&
                                   sscanf(then, "max_batches = %d", &b) == 1 && a >= b));
}

int ds_cfg_compare(const char *text_now, const char *path, char *kept, const char *run, ds_error *e)
{
    DS_FREED char *copy = ds_strdup(text_now);
    char text[800] = "";
    ds_lines now = ds_lines_of(copy), then = ds_lines_of(kept);
    int line = 0;
    for (const char *x = "", *y = ""; x || y;) {
        const size_t used = strlen(text);
        x = next_line(&now);
        y = next_line(&then);
        if ((!x && !y) || same_line(x, y))
            continue;
        line = used ? line : now.line;
        snprintf(text + used, sizeof text - used, "'%.80s' was '%.80s'; ", x ? x : "", y ? y : "");
    }
    return !*text ? DS_OK
                  : ds_fail_at(e, DS_EINPUT, path, line,
                               "is not the cfg that the run in %s began with: %sexpected the same, but for a "
                               "higher max_batches (without -resume a new run begins)",
                               run, text);
}

/* Each below its limit, the parts at most the whole; an epoch is a step or more. */
static bool are_possible(const uint64_t *c)
{
    return c[SEEN] <= INT64_MAX / 2 && c[RESULTS] <= INT_MAX && c[BEST] <= INT_MAX && c[SEED] <= INT_MAX &&
           c[EPOCHS] <= INT_MAX && c[BEST_BY] <= DS_BEST_AURC && c[RIGHT] <= c[IMAGES] &&
           c[IMAGES] <= c[SEEN] && c[STEPS] <= c[SEEN] && c[RESULTS] <= c[STEPS] && c[BEST] <= c[SEEN] &&
           c[WARMUP] <= DS_WARMUP_LATEST && c[WARMUP_END] <= INT_MAX && c[WARMUP_AT] <= c[SEEN];
}

/* The numbers of a file and its cfg, fresh memory, or that it is damaged. */
static int open_one(ds_job *job, const char *suffix, state *s, char **cfg, ds_error *e)
{
    ds_saved_file *f = &job->checkpoint;
    ds_saved_close(f);
    DS_TRY(ds_saved_open(f, ds_job_path(job, suffix), "a checkpoint", e));
    DS_TRY(ds_saved_read(f, &(ds_saved){"counters", "U64", COUNTERS, 1, s->counters}, e));
    if (!are_possible(s->counters))
        return ds_fail_at(e, DS_EINPUT, f->path, 0, "has an impossible counter, expected a checkpoint");
    free(*cfg);
    return ds_saved_text(f, "cfg", cfg, e);
}

int ds_checkpoint_open(ds_job *job, ds_error *e)
{
    state s;
    DS_FREED char *cfg = NULL, *path = ds_job_path(job, ".ckpt"), *old = ds_job_path(job, ".ckpt.1");
    bool none = !ds_path_exists(path), older = ds_path_exists(old);
    int rc = none ? DS_OK : open_one(job, ".ckpt", &s, &cfg, e);
    if (older && (rc || none)) {
        ds_note(job->setup.notes, "warning: %s %s: going on from %s", path, none ? "is missing" : e->text,
                old);
        rc = open_one(job, ".ckpt.1", &s, &cfg, e);
        if (!rc && ds_job_first(job)) /* the next one written must not take the place of the good one */
            rename(old, path);
    }
    if (rc || !job->checkpoint.header)
        return rc;
    rc = ds_cfg_compare(job->cfg_text, job->setup.cfg, cfg, job->folder, e);
    job->setup.seed = (int)s.counters[SEED];
    job->by = (ds_best)s.counters[BEST_BY];
    if (!job->setup.epochs)
        job->setup.epochs = (int)s.counters[EPOCHS];
    job->resumed = true;
    return rc;
}

static int restore_images(ds_job *job, ds_error *e)
{
    ds_saved arrays[IMAGE_ARRAYS];
    int fresh;
    const int n = job->train.n, known = (int)ds_saved_rows(&job->checkpoint, "images");
    DS_FREED size_t *rows = DS_ALLOC(rows, (size_t)n);
    DS_TRY(ds_saved_find(&job->checkpoint, &job->train, rows, &fresh, e));
    DS_TRY(ds_saved_follow(&job->checkpoint, arrays, image_arrays(job, arrays), rows, e));
    if (fresh || n != known)
        ds_note(job->setup.notes,
                "note: %s: the list has changed since the run was saved: %d images then, %d now; %d are new "
                "and start with a fresh history",
                job->train.list, known, n, fresh);
    return DS_OK;
}

static void note_computed(const ds_job *job)
{
    const char *then;
    DS_FREED char *now = ds_job_computed(job);
    if (!json_unpack(job->checkpoint.header, "{s: {s: s}}", "__metadata__", "computed", &then) &&
        strcmp(then, now) != 0)
        ds_note(job->setup.notes,
                "note: the run was computed by %s so far, by %s from now on: its end will not be bit for bit "
                "that of a run that was never stopped",
                then, now);
}

int ds_checkpoint_restore(ds_job *job, ds_error *e)
{
    state s;
    int rc = DS_OK;
    gather(job, &s);
    add_arrays(job, &s);
    for (int i = 0; i < s.n && !rc; i++)
        rc = ds_saved_read(&job->checkpoint, &s.arrays[i], e);
    free(s.arrays);
    DS_TRY(rc);
    scatter(&s, job);
    note_computed(job);
    rc = restore_images(job, e);
    ds_net_changed(job->net);
    ds_saved_close(&job->checkpoint);
    return rc;
}
