#include "base/clock.h"
#include "base/text.h"
#include "select/select.h"
#include "train/job.h"
#include "train/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static uint64_t count_right(const ds_job *job, const int *labels)
{
    const float *z = ds_net_logits(job->net);
    uint64_t right = 0;
    for (int i = 0; i < job->info->batch; i++)
        right += ds_argmax(z + (size_t)i * (size_t)job->info->logits, job->info->classes) == labels[i];
    return right;
}

/* Adds the sub-batch's losses to *loss. */
static int sub_batch(ds_job *job, int epoch, double *loss, ds_error *e)
{
    ds_batch b;
    const double start = ds_now();
    DS_TRY(ds_loader_next(job->stream, &b, e));
    job->times.waiting += ds_now() - start;
    int rc = ds_net_train(job->net, b.pixels, b.labels, b.ids, epoch, job->losses, e);
    if (rc)
        return rc == DS_ENUMERIC ? not_a_number(job, e) : rc;
    for (int i = 0; i < job->info->batch; i++)
        *loss += job->losses[i];
    job->tally.right += count_right(job, b.labels);
    return isfinite(*loss) ? DS_OK : not_a_number(job, e);
}

static void update(ds_job *job)
{
    const double start = ds_now();
    job->rate = ds_schedule_rate(&job->cfg->net, (uint64_t)ds_job_batch(job), job->setup.seed);
    ds_optimizer_step(job->optimizer, job->rate);
    ds_net_changed(job->net);
    job->times.update += ds_now() - start;
}

/* *loss: mean over the images. */
static int batch(ds_job *job, int epoch, double *loss, double *seconds, ds_error *e)
{
    const int images = job->plan.batch;
    const double start = ds_now();
    double sum = 0;
    for (int done = 0; done < images; done += job->info->batch)
        DS_TRY(sub_batch(job, epoch, &sum, e));
    job->seen += (uint64_t)images;
    update(job);
    *loss = sum / images;
    *seconds = ds_now() - start;
    job->average = isnan(job->average) ? *loss : job->average * .9 + *loss * .1;
    job->tally.loss += sum;
    job->tally.images += (uint64_t)images;
    job->tally.seconds += *seconds;
    job->times.total += *seconds;
    job->times.passes++;
    return DS_OK;
}

static int step(ds_job *job, ds_error *e)
{
    const ds_tally *t = &job->tally;
    ds_train_step s = {.epoch = (int)(job->seen / (uint64_t)job->plan.images)};
    DS_TRY(batch(job, s.epoch, &s.loss, &s.seconds, e));
    s.batch = ds_job_batch(job);
    s.seen = job->seen;
    s.position = (double)job->seen / job->plan.images;
    s.average = job->average;
    s.accuracy = (double)t->right / (double)t->images;
    s.rate = job->rate;
    s.images_per_second = (double)t->images / t->seconds;
    s.seconds_left = (double)(job->plan.max_batches - s.batch) * job->times.total / (double)job->times.passes;
    ds_net_progress(job->net, s.epoch, &s.progress);
    if (job->events->step)
        job->events->step(job->events->arg, &s);
    return DS_OK;
}

/* ---- interrupted ---- */

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

/* The command that goes on from `weights`, in fresh memory. */
static char *command_to_go_on(const ds_train_setup *s, const char *weights)
{
    char *text;
    size_t size;
    FILE *f = ds_memstream(&text, &size);
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
    fclose(f);
    return text;
}

static int save_interrupted(ds_job *job, ds_error *e)
{
    const bool complete = ds_job_batch(job) >= job->plan.max_batches;
    DS_TRY(ds_epoch_interrupted(job, e));
    if (complete)
        DS_TRY(ds_job_save(job, ".weights", e));
    char *path = ds_job_path(job, complete ? ".weights" : ".backup");
    char *command = command_to_go_on(&job->setup, path);
    if (complete)
        ds_fail(e, DS_EINTERRUPT, "interrupted after the last batch; the trained weights are saved in %s",
                path);
    else
        ds_fail(e, DS_EINTERRUPT,
                "interrupted after batch %ld of %ld, saved in %s; to go on: %s (the targets' history and the "
                "momentum then start fresh)",
                ds_job_batch(job), job->plan.max_batches, path, command);
    free(command);
    free(path);
    return DS_EINTERRUPT;
}

/* ---- the run ---- */

static bool interrupted(const ds_job *job)
{
    return job->setup.interrupted && *job->setup.interrupted;
}

static int train(ds_job *job, ds_error *e)
{
    for (bool last = false; !last;) {
        DS_TRY(step(job, e));
        last = ds_job_batch(job) >= job->plan.max_batches;
        ds_net_profile_hold(job->net, true);
        int rc = ds_epoch_end(job, last, e);
        ds_net_profile_hold(job->net, false);
        if (rc == DS_EINTERRUPT || (!rc && !last && interrupted(job)))
            rc = save_interrupted(job, e);
        DS_TRY(rc);
    }
    return ds_job_save(job, ".weights", e);
}

static void tell_done(const ds_job *job)
{
    char *weights = ds_job_path(job, ".weights"), *best = ds_job_path(job, "_best.weights");
    bool chosen = job->best.epoch > 0;
    if (job->events->done)
        job->events->done(job->events->arg, weights, chosen ? best : NULL, chosen ? &job->best : NULL);
    free(weights);
    free(best);
}

static int run(ds_job *job, const ds_train_setup *setup, const ds_train_events *events, ds_error *e)
{
    DS_TRY(ds_job_open(job, setup, events, e));
    if (events->ready)
        events->ready(events->arg, job->net, &job->plan);
    if (setup->profile)
        ds_net_profile_start(job->net);
    job->times.images = job->plan.batch;
    int rc = train(job, e);
    if (setup->profile && events->profile && job->times.passes)
        events->profile(events->arg, job->net, &job->times);
    if (!rc)
        tell_done(job);
    return rc;
}

int ds_train(const ds_train_setup *setup, const ds_train_events *events, ds_error *e)
{
    ds_job job = {0};
    int rc = run(&job, setup, events, e);
    ds_job_close(&job);
    return rc;
}
