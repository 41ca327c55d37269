#include "train/job.h"
#include "base/clock.h"
#include "select/select.h"
#include "train/schedule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct run {
    ds_job *job;
    ds_loader *loader;
    double *losses; /* info.batch */
    double average; /* NAN before the first batch */
    double seconds; /* of all batches of this run */
    long batches;   /* of this run */
} run;

static bool interrupted(const ds_job *job)
{
    return job->setup->interrupted && *job->setup->interrupted;
}

/* ---- one batch ---- */

static int not_a_number(const ds_job *job, ds_error *e)
{
    return ds_fail(
        e, DS_ENUMERIC,
        "the loss of batch %ld (epoch %.3f) is not a number, expected training to converge: the learning "
        "rate (%g in the batch before) may be too high, try a lower learning_rate= or a longer burn_in=; or "
        "the weights that it started from are damaged; the files saved before are unchanged",
        ds_job_batch(job) + 1, (double)job->seen / job->plan.images, job->rate);
}

static uint64_t count_right(const ds_net *net, const int *labels)
{
    const ds_net_info *info = ds_net_get_info(net);
    const float *z = ds_net_logits(net);
    uint64_t right = 0;
    for (int i = 0; i < info->batch; i++)
        right += ds_argmax(z + (size_t)i * (size_t)info->logits, info->classes) == labels[i];
    return right;
}

/* Adds the sub-batch's losses to *loss. */
static int sub_batch(run *r, int epoch, double *loss, ds_error *e)
{
    ds_job *job = r->job;
    ds_batch b;
    const double start = ds_now();
    int rc = ds_loader_next(r->loader, &b, e);
    job->times.waiting += ds_now() - start;
    if (!rc)
        rc = ds_net_train(job->net, b.pixels, b.labels, b.ids, epoch, r->losses, e);
    if (rc)
        return rc == DS_ENUMERIC ? not_a_number(job, e) : rc;
    for (int i = 0; i < ds_net_get_info(job->net)->batch; i++)
        *loss += r->losses[i];
    job->tally.right += count_right(job->net, b.labels);
    return isfinite(*loss) ? DS_OK : not_a_number(job, e);
}

static int batch(run *r, ds_train_step *step, ds_error *e)
{
    ds_job *job = r->job;
    const int images = job->plan.batch;
    const double start = ds_now();
    double loss = 0;
    step->epoch = (int)(job->seen / (uint64_t)job->plan.images);
    for (int done = 0; done < images; done += ds_net_get_info(job->net)->batch) {
        int rc = sub_batch(r, step->epoch, &loss, e);
        if (rc)
            return rc;
    }
    job->seen += (uint64_t)images;
    job->rate = ds_schedule_rate(&job->cfg->net, job->seen / (uint64_t)images, job->setup->seed);
    const double before_update = ds_now();
    ds_optimizer_step(job->optimizer, job->rate);
    ds_net_changed(job->net);
    job->times.update += ds_now() - before_update;
    step->loss = loss / images;
    step->seconds = ds_now() - start;
    job->tally.loss += loss;
    job->tally.images += (uint64_t)images;
    job->tally.seconds += step->seconds;
    job->times.total += step->seconds;
    job->times.steps++;
    return DS_OK;
}

static void report(run *r, ds_train_step *s)
{
    ds_job *job = r->job;
    const ds_tally *t = &job->tally;
    r->average = isnan(r->average) ? s->loss : r->average * .9 + s->loss * .1;
    r->seconds += s->seconds;
    r->batches++;
    s->batch = ds_job_batch(job);
    s->seen = job->seen;
    s->position = (double)job->seen / job->plan.images;
    s->average = r->average;
    s->accuracy = (double)t->right / (double)t->images;
    s->rate = job->rate;
    s->images_per_second = (double)t->images / t->seconds;
    s->seconds_left = (double)(job->plan.max_batches - s->batch) * r->seconds / (double)r->batches;
    s->progress = (ds_progress){.alpha = NAN};
    ds_net_progress(job->net, s->epoch, &s->progress);
    if (job->events->step)
        job->events->step(job->events->arg, s);
}

/* ---- the run ---- */

/* A word that a shell takes back as it is. */
static void put_word(FILE *f, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+,:=@%-";
    if (*word && word[strspn(word, plain)] == '\0') {
        fprintf(f, " %s", word);
        return;
    }
    fputs(" '", f);
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, f);
    fputc('\'', f);
}

/* The command that goes on from `weights`, in fresh memory; NULL: no memory. */
static char *command_to_go_on(const ds_train_setup *s, const char *weights)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    fputs("./darknet classifier train", f);
    put_word(f, s->data);
    put_word(f, s->cfg);
    put_word(f, weights);
    if (s->epochs > 0)
        fprintf(f, " -epochs %d", s->epochs);
    if (s->seed != 1)
        fprintf(f, " -seed %llu", (unsigned long long)s->seed);
    if (s->skip_bad)
        fputs(" -skip-bad", f);
    return fclose(f) ? NULL : text;
}

static int tell_interrupted(const ds_job *job, bool complete, ds_error *e)
{
    char *path = ds_job_path(job, complete ? ".weights" : ".backup");
    char *command = path ? command_to_go_on(job->setup, path) : NULL;
    int rc = DS_EINTERRUPT;
    if (!path || !command)
        rc = ds_fail_memory(e);
    else if (complete)
        ds_fail(e, rc, "interrupted after the last batch; the trained weights are saved in %s", path);
    else
        ds_fail(e, rc,
                "interrupted after batch %ld of %ld, saved in %s; to go on: %s (the targets' history and the "
                "momentum then start fresh)",
                ds_job_batch(job), job->plan.max_batches, path, command);
    free(command);
    free(path);
    return rc;
}

static int save_interrupted(ds_job *job, ds_error *e)
{
    const bool complete = ds_job_batch(job) >= job->plan.max_batches;
    int rc = ds_epoch_interrupted(job, e);
    if (!rc && complete)
        rc = ds_job_save(job, ".weights", e);
    return rc ? rc : tell_interrupted(job, complete, e);
}

static int batches(run *r, ds_error *e)
{
    ds_job *job = r->job;
    int rc = DS_OK;
    for (bool last = false; !last && !rc;) {
        ds_train_step step = {0};
        if ((rc = batch(r, &step, e)))
            break;
        report(r, &step);
        last = step.batch >= job->plan.max_batches;
        ds_net_profile_hold(job->net, true);
        rc = ds_epoch_end(job, last, e);
        ds_net_profile_hold(job->net, false);
        if (rc == DS_EINTERRUPT || (!rc && !last && interrupted(job)))
            rc = save_interrupted(job, e);
    }
    return rc;
}

static int train(ds_job *job, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(job->net);
    const ds_loader_setup s = {.images = &job->train,
                               .w = info->w,
                               .h = info->h,
                               .c = info->c,
                               .batch = info->batch,
                               .threads = job->loaders,
                               .cache_bytes = job->setup->cache_bytes,
                               .augment = &job->augment,
                               .endless = true,
                               .seed = job->setup->seed,
                               .start = job->seen};
    run r = {.job = job, .average = NAN, .losses = calloc((size_t)info->batch, sizeof(double))};
    if (!r.losses)
        return ds_fail_memory(e);
    int rc = ds_loader_new(&s, &r.loader, e);
    if (!rc) {
        rc = batches(&r, e);
        ds_loader_free(r.loader);
    }
    free(r.losses);
    return rc ? rc : ds_job_save(job, ".weights", e);
}

static int finish(const ds_job *job, bool complete, ds_train_done *done, ds_error *e)
{
    if (complete && !(done->weights = ds_job_path(job, ".weights")))
        return ds_fail_memory(e);
    if (job->best.epoch && !(done->best = ds_job_path(job, "_best.weights")))
        return ds_fail_memory(e);
    done->best_result = job->best;
    return DS_OK;
}

int ds_train(const ds_train_setup *setup, const ds_train_events *events, ds_train_done *done, ds_error *e)
{
    ds_job job = {0};
    *done = (ds_train_done){0};
    int rc = ds_job_open(&job, setup, events, e);
    if (!rc) {
        if (events->ready)
            events->ready(events->arg, job.net, &job.plan);
        job.times.batch = job.plan.batch;
        rc = setup->profile ? ds_net_profile_start(job.net, e) : DS_OK;
        if (!rc)
            rc = train(&job, e);
        if (setup->profile && events->profile && job.times.steps)
            events->profile(events->arg, job.net, &job.times);
        int second = finish(&job, !rc, done, rc ? NULL : e);
        rc = rc ? rc : second;
    }
    ds_job_close(&job);
    return rc;
}

void ds_train_done_clear(ds_train_done *done)
{
    free(done->weights);
    free(done->best);
    *done = (ds_train_done){0};
}
