/* BASE.ckpt: all that the next batch depends on, so that a run that was killed goes on to the same bits.
 *
 *   layers.L.NAME F32           parameters and averages of layer L; NAME.2, … where it has several of a name
 *   layers.L.NAME.momentum F32  [n, 1]; with Adam .adam [2, n], its m and v
 *   history F32                 [images, row]: what the target remembers of each training image
 *   counters U64, numbers F64   see `gather`
 *   images U64                  [images, 1], last: their keys (see ds_images)
 *   metadata                    the cfg, the names of its files, the program */
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "data/lines.h"
#include "train/job.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef struct state {
    uint64_t counters[8];
    double numbers[6];
    ds_saved *arrays; /* n, of this state and of the job's own memory */
    int n;
} state;

static void gather(const ds_job *job, state *s)
{
    const ds_tally *t = &job->tally;
    *s = (state){
        .counters = {job->seen, *ds_optimizer_steps(job->optimizer), t->right, t->images,
                     (uint64_t)job->results.n, (uint64_t)job->best.epoch, job->setup.seed,
                     (uint64_t)job->setup.epochs},
        .numbers = {job->rate, job->average, t->loss, t->seconds, job->best.valid_top1, job->best.valid_nll}};
}

static void scatter(const state *s, ds_job *job)
{
    const uint64_t *c = s->counters;
    const double *v = s->numbers;
    job->seen = c[0];
    *ds_optimizer_steps(job->optimizer) = c[1];
    job->tally = (ds_tally){.right = c[2], .images = c[3], .loss = v[2], .seconds = v[3]};
    job->results.n = (int)c[4];
    job->best = (ds_result){.epoch = (int)c[5], .valid_top1 = v[4], .valid_nll = v[5]};
    job->rate = v[0];
    job->average = v[1];
}

static void add(state *s, const char *name, const char *dtype, size_t rows, size_t columns, void *values)
{
    ds_saved a = {.dtype = dtype, .rows = rows, .columns = columns, .values = values};
    snprintf(a.name, sizeof a.name, "%s", name);
    DS_PUSH(s->arrays, s->n, a);
}

/* All arrays but those of the images. */
static void add_arrays(const ds_job *job, state *s)
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
    add(s, "counters", "U64", sizeof s->counters / sizeof *s->counters, 1, s->counters);
    add(s, "numbers", "F64", sizeof s->numbers / sizeof *s->numbers, 1, s->numbers);
}

/* JSON texts are UTF-8, a comment of a cfg or a name may be anything. Fresh memory. */
static char *ascii(const char *text)
{
    char *copy = ds_strdup(text);
    for (char *p = copy; *p; p++)
        *p = *p & 0x80 ? '?' : *p;
    return copy;
}

int ds_checkpoint_write(ds_job *job, ds_error *e)
{
    state s;
    size_t row, images = (size_t)job->train.n;
    float *history = ds_net_history(job->net, &row);
    DS_TRY(ds_job_check_finite(job, e));
    gather(job, &s);
    add_arrays(job, &s);
    if (history)
        add(&s, "history", "F32", images, row, history);
    add(&s, "images", "U64", images, 1, job->train.keys);
    char *path = ds_job_path(job, ".ckpt");
    char *cfg = ascii(job->cfg_text), *base = ascii(job->base);
    json_t *texts = json_pack("{s: s, s: s, s: s+++++}", "program", job->setup.program, "cfg", cfg, "files",
                              base, ".backup, ", base, "_best.weights, ", base, "_results.csv");
    int rc = ds_saved_write(path, texts, s.arrays, s.n, e);
    json_decref(texts);
    free(cfg);
    free(base);
    free(path);
    free(s.arrays);
    job->saved = ds_now();
    if (!rc)
        ds_folder_link(job, ".ckpt");
    return rc;
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

/* In fresh memory the lines of `now` that are not those of `then`, empty when all are; *first: number of the first. */
static char *differences(char *now, char *then, int *first)
{
    enum { MOST = 6 };
    ds_lines a = ds_lines_of(now), b = ds_lines_of(then);
    char *text;
    size_t size;
    int n = 0;
    FILE *f = ds_memstream(&text, &size);
    for (const char *x = next_line(&a), *y = next_line(&b); x || y; x = next_line(&a), y = next_line(&b)) {
        if (same_line(x, y))
            continue;
        *first = n++ ? *first : a.line;
        if (n <= MOST)
            fprintf(f, "%s'%.80s' was '%.80s'", n > 1 ? "; " : "", x ? x : "", y ? y : "");
    }
    fputs(n > MOST ? "; …" : "", f);
    fclose(f);
    return text;
}

static int compare_cfg(const ds_job *job, const char *kept, ds_error *e)
{
    char *now = ascii(job->cfg_text), *then = ds_strdup(kept);
    int line = 0, rc = DS_OK;
    char *text = differences(now, then, &line);
    if (*text)
        rc = ds_fail_at(
            e, DS_EINPUT, job->setup.cfg, line,
            "is not the cfg that the run in %s began with: %s; expected the same, but for a higher "
            "max_batches (without -resume a new run begins)",
            job->folder, text);
    free(now);
    free(then);
    free(text);
    return rc;
}

/* ---- reading ---- */

/* The numbers of a file, its images (*n) and its cfg, or that it is damaged. */
static int open_one(ds_job *job, const char *suffix, state *s, const char **cfg, ds_error *e)
{
    json_int_t n = 0, one, begin, end = -1;
    ds_saved_file *f = &job->checkpoint;
    ds_saved counters = {"counters", "U64", sizeof s->counters / sizeof *s->counters, 1, s->counters};
    ds_saved_close(f);
    DS_TRY(ds_saved_open(f, ds_job_path(job, suffix), e));
    if (json_unpack(f->header, "{s: {s: [I, I], s: [I, I]}, s: {s: s}}", "images", "shape", &n, &one,
                    "data_offsets", &begin, &end, "__metadata__", "cfg", cfg) ||
        end < 0 || (size_t)end != f->n || n < 0 || (size_t)n > f->n / sizeof(uint64_t))
        return ds_fail_at(e, DS_EINPUT, f->path, 0, "is damaged, expected a whole checkpoint");
    job->n_images = (size_t)n;
    DS_TRY(ds_saved_read(f, &counters, e));
    for (size_t i = 0; i < counters.rows; i++)
        if (s->counters[i] > (i == 4 || i == 5 || i == 7 ? INT_MAX : INT64_MAX / 2))
            return ds_fail_at(e, DS_EINPUT, f->path, 0, "has an impossible counter, expected a checkpoint");
    return DS_OK;
}

int ds_checkpoint_open(ds_job *job, ds_error *e)
{
    state s;
    const char *cfg;
    char *path = ds_job_path(job, ".ckpt"), *old = ds_job_path(job, ".ckpt.1"),
         *away = ds_job_path(job, ".ckpt.damaged");
    bool is_there = ds_path_exists(path), is_old = ds_path_exists(old);
    int rc = is_there ? open_one(job, ".ckpt", &s, &cfg, e) : DS_OK;
    if (is_old && (rc || !is_there)) {
        ds_note(job->setup.notes, "warning: %s %s: going on from %s", path, rc ? e->text : "is missing", old);
        rc = open_one(job, ".ckpt.1", &s, &cfg, e);
        if (!rc && is_there)
            rename(path, away); /* the next one written must not take the place of the good one */
    }
    free(path);
    free(old);
    free(away);
    if (rc || !job->checkpoint.header)
        return rc;
    DS_TRY(compare_cfg(job, cfg, e));
    job->setup.seed = s.counters[6];
    if (!job->setup.epochs)
        job->setup.epochs = (int)s.counters[7];
    job->resumed = true;
    return DS_OK;
}

/* ---- the images ---- */

typedef struct place {
    uint64_t key;
    size_t row;
} place;

static int by_key(const void *a, const void *b)
{
    const uint64_t x = ((const place *)a)->key, y = ((const place *)b)->key;
    return (x > y) - (x < y);
}

/* Rows of `from` (n images with those keys) go to the images of today. Returns how many of these are new. */
static int follow(const ds_job *job, const uint64_t *keys, size_t n, const float *from, size_t row, float *to)
{
    int fresh = 0;
    place *all;
    DS_ALLOC(all, n);
    for (size_t i = 0; i < n; i++)
        all[i] = (place){keys[i], i};
    qsort(all, n, sizeof *all, by_key);
    for (int i = 0; i < job->train.n; i++) {
        const place wanted = {job->train.keys[i], 0}, *found = bsearch(&wanted, all, n, sizeof *all, by_key);
        fresh += !found;
        if (found && to)
            memcpy(to + (size_t)i * row, from + found->row * row, row * sizeof *to);
    }
    free(all);
    return fresh;
}

static int restore_images(ds_job *job, uint64_t *keys, float *from, float *history, size_t row, ds_error *e)
{
    const size_t n = job->n_images, now = (size_t)job->train.n;
    DS_TRY(ds_saved_read(&job->checkpoint, &(ds_saved){"images", "U64", n, 1, keys}, e));
    if (history)
        DS_TRY(ds_saved_read(&job->checkpoint, &(ds_saved){"history", "F32", n, row, from}, e));
    if (n == now && !memcmp(keys, job->train.keys, n * sizeof *keys)) {
        memcpy(history ? history : from, from, n * row * sizeof *from);
        return DS_OK;
    }
    int fresh = follow(job, keys, n, from, row, history);
    ds_note(job->setup.notes,
            "note: %s: the list has changed since the run was saved: %zu images then, %zu now; %d are new%s",
            job->train.list, n, now, fresh, history ? " and start with a fresh history" : "");
    return DS_OK;
}

int ds_checkpoint_restore(ds_job *job, ds_error *e)
{
    state s;
    size_t row;
    float *history = ds_net_history(job->net, &row), *from;
    uint64_t *keys;
    int rc = DS_OK;
    gather(job, &s);
    add_arrays(job, &s);
    for (int i = 0; i < s.n && !rc; i++)
        rc = ds_saved_read(&job->checkpoint, &s.arrays[i], e);
    free(s.arrays);
    DS_TRY(rc);
    scatter(&s, job);
    DS_ALLOC(keys, job->n_images);
    from = ds_xmalloc(
        job->checkpoint.n < row * job->n_images * sizeof *from ? 0 : row * job->n_images * sizeof *from);
    rc = restore_images(job, keys, from, history, row, e);
    free(keys);
    free(from);
    ds_net_changed(job->net);
    ds_saved_close(&job->checkpoint);
    return rc;
}
