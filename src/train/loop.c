#include "base/clock.h"
#include "base/file.h"
#include "train/job.h"
#include "train/schedule.h"

static int not_a_number(const ds_job *job, ds_error *e)
{
    return ds_fail(
        e, DS_ENUMERIC,
        "the loss of batch %ld (epoch %.3f) is not a number, expected training to converge: the learning "
        "rate (%g in the batch before) may be too high, try a lower learning_rate= or a longer burn_in=; or "
        "the weights that it started from are damaged; the files saved before are unchanged",
        ds_job_batch(job) + 1, (double)job->seen / job->plan.images, job->rate);
}

/* Images [first, first + info.batch) of the batch, this rank's; adds the losses of all to *loss. */
static int sub_batch(ds_job *job, const ds_batch *b, int first, int epoch, bool last, double *loss,
                     ds_error *e)
{
    const ds_mixtures *m = &job->mixtures;
    const size_t at = (size_t)first * (size_t)job->info->inputs;
    const float *pixels = b->pixels ? b->pixels + at : NULL, *mixed = b->pixels ? m->pixels : NULL;
    const ds_picture *pictures = b->pictures ? b->pictures + first : NULL;
    int rc = DS_OK;
    if (m->pixels) {
        ds_mix(&job->mixtures, &job->cfg->net, b, first, job->info->batch, job->info->inputs,
               (uint64_t)job->setup.seed, job->seen);
        ds_net_set_mixture(job->net, m->others, m->shares);
    }
    ds_net_set_pictures(job->net, pictures, m->pictures);
    if (job->cfg->net.regmixup) {
        rc = ds_net_train(job->net, mixed, b->labels + first, NULL, epoch, NULL, e);
        ds_net_set_mixture(job->net, NULL, NULL);
        ds_net_set_pictures(job->net, pictures, NULL);
    }
    if (last)
        ds_gradients_begin(job->gradients, job->net);
    rc = rc ? rc
            : ds_net_train(job->net, job->cfg->net.mixup ? mixed : pixels, b->labels + first, b->ids + first,
                           epoch, job->losses, e);
    if (rc)
        return rc == DS_ENUMERIC ? not_a_number(job, e) : rc;
    const ds_trained_images t = ds_net_trained(job->net);
    for (int i = 0; i < t.images; i++)
        *loss += job->losses[i];
    job->tally.right += ds_records_visit(&job->records, t.logits, job->info->logits, job->info->classes,
                                         t.labels, t.ids, t.images);
    return isfinite(*loss) ? DS_OK : not_a_number(job, e);
}

static int update(ds_job *job, ds_error *e)
{
    const double waiting = ds_now();
    ds_gradients_end(job->gradients, job->net);
    const double start = ds_now();
    job->times.ranks += start - waiting;
    job->rate = ds_schedule_rate(&job->cfg->net, (uint64_t)ds_job_batch(job), (uint64_t)job->setup.seed);
    ds_optimizer_step(job->optimizer, (float)job->rate);
    const ds_rule rule = ds_optimizer_rule(job->optimizer, (float)job->rate);
    int rc = ds_net_update(job->net, &rule, e);
    if (!rc && job->cfg->net.average == DS_AVERAGE_EMA)
        rc = ds_net_fetch(job->net, e);
    ds_gradients_clear(job->gradients);
    if (!rc)
        ds_average_add(&job->mean, ds_job_batch(job), false);
    job->times.update += ds_now() - start;
    return rc;
}

/* What was trained is not lost with an image: nothing has changed since the batch before. */
static int rescue(ds_job *job, int rc, ds_error *e)
{
    size_t at = strlen(e->text);
    if (!ds_checkpoint_write(job, NULL))
        snprintf(e->text + at, sizeof e->text - at, "; saved in %s after batch %ld, -resume goes on",
                 job->folder, ds_job_batch(job));
    return rc;
}

/* The sub-batches, one after the other. Where images are mixed each rank has all those of the batch. */
static int sub_batches(ds_job *job, const ds_batch *b, int epoch, double *sum, ds_error *e)
{
    const int n = job->cfg->net.subdivisions, share = job->info->batch;
    const bool all = ds_job_ranks(job) > 1 && job->mixtures.pixels;
    const int step = all ? job->plan.batch / n : share, own = all ? job->setup.ranks->rank * share : 0;
    for (int i = 0; i < n; i++)
        DS_TRY(sub_batch(job, b, i * step + own, epoch, i == n - 1, sum, e));
    return DS_OK;
}

/* *loss: mean over the images. */
static int batch(ds_job *job, int epoch, double *loss, double *seconds, ds_error *e)
{
    const int images = job->plan.batch;
    const double start = ds_now();
    double sum = 0;
    ds_batch b;
    job->stop = job->setup.interrupted && *job->setup.interrupted;
    int rc = ds_ranks_agree(job->setup.ranks, ds_loader_next(job->stream, &b, e), &job->stop, e);
    if (rc)
        return rescue(job, rc, e);
    job->times.waiting += ds_now() - start;
    DS_TRY(sub_batches(job, &b, epoch, &sum, e));
    job->seen += (uint64_t)images;
    DS_TRY(update(job, e));
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
    s.warming = ds_job_warming(job, s.epoch);
    ds_net_set_warming(job->net, s.warming);
    DS_TRY(batch(job, s.epoch, &s.loss, &s.seconds, e));
    s.batch = ds_job_batch(job);
    s.seen = job->seen;
    s.position = (double)job->seen / job->plan.images;
    s.average = job->average;
    s.accuracy = (double)t->right / (double)t->images;
    s.rate = job->rate;
    s.images_per_second = (double)t->images / t->seconds;
    s.seconds_left = (double)(job->plan.max_batches - s.batch) * job->times.total / (double)job->times.passes;
    s.alpha = ds_net_alpha(job->net, s.epoch);
    if (job->events->step)
        job->events->step(job->events->arg, &s);
    return DS_OK;
}

static int save_interrupted(ds_job *job, ds_error *e)
{
    DS_FREED char *name = NULL;
    size_t size;
    DS_TRY(ds_epoch_interrupted(job, e));
    FILE *f = ds_memstream(&name, &size);
    ds_put_word(f, ds_path_base(job->folder));
    fclose(f);
    return ds_fail(e, DS_EINTERRUPT,
                   "interrupted after batch %ld of %ld, saved in %s; to go on: %s -name %s -resume",
                   ds_job_batch(job), job->plan.max_batches, job->folder, job->setup.again, name);
}

static bool interrupted(const ds_job *job)
{
    return job->setup.ranks ? job->stop : job->setup.interrupted && *job->setup.interrupted;
}

/* After each batch: the end of an epoch, a checkpoint that is due. */
static int after_batch(ds_job *job, ds_error *e)
{
    const double every = 60 * job->setup.save_minutes;
    const int lines = job->results.n;
    DS_TRY(ds_checkpoint_end(job, false, e));
    int rc = ds_epoch_end(job, e);
    if (rc && rc != DS_EINTERRUPT && rc != DS_ENUMERIC && job->results.n == lines)
        return rescue(job, rc, e);
    if (rc == DS_EINTERRUPT || (!rc && !ds_job_done(job) && interrupted(job)))
        return save_interrupted(job, e);
    if (rc || ds_job_done(job))
        return rc;
    return every > 0 && ds_job_first(job) && ds_now() - job->saved >= every ? ds_checkpoint_begin(job, e)
                                                                            : DS_OK;
}

/* The first checkpoint, so that a run that is killed goes on from its WEIGHTS, too. */
static int begin(ds_job *job, ds_error *e)
{
    DS_TRY(ds_folder_begin(job, e));
    DS_FREED char *path = ds_job_path(job, "_results.csv");
    int rc = ds_results_open(&job->results, path, job->results.n, e);
    job->saved = ds_now();
    DS_TRY(rc || job->resumed ? rc : ds_checkpoint_write(job, e));
    ds_folder_link(job, ".ckpt");
    return DS_OK;
}

static int train(ds_job *job, ds_error *e)
{
    if (ds_job_done(job) && !job->tally.images) {
        ds_note(job->setup.notes, "note: %s: the run is complete (batch %ld of %ld)", job->folder,
                ds_job_batch(job), job->plan.max_batches);
        return DS_OK;
    }
    DS_TRY(ds_ranks_agree(job->setup.ranks, begin(job, e), NULL, e));
    if (job->tally.images) /* going on where an epoch may just have ended */
        DS_TRY(after_batch(job, e));
    while (!ds_job_done(job)) {
        DS_TRY(step(job, e));
        DS_TRY(after_batch(job, e));
    }
    return DS_OK;
}

static void tell_done(const ds_job *job)
{
    DS_FREED char *weights = ds_job_path(job, ".weights"), *best = ds_job_path(job, "_best.weights");
    bool chosen = job->best.epoch > 0;
    if (job->events->done)
        job->events->done(job->events->arg, weights, chosen ? best : NULL, chosen ? &job->best : NULL);
}

static int run(ds_job *job, const ds_train_setup *setup, const ds_train_events *events, ds_error *e)
{
    DS_TRY(ds_job_open(job, setup, events, e));
    if (events->ready)
        events->ready(events->arg, job->net, &job->plan);
    if (setup->profile)
        ds_net_profile_start(job->net);
    job->times.images = job->plan.batch;
    job->times.views = 1;
    ds_error late = {0};
    int rc = train(job, e);
    const int unsaved = ds_checkpoint_end(job, true, rc ? &late : e);
    if (late.code)
        ds_note(setup->notes, "warning: %s: %s", late.file, late.text);
    rc = rc ? rc : unsaved;
    double lost = job->n_lost;
    if (!rc && setup->ranks)
        setup->ranks->pass->sum(&lost, 1);
    if (lost > 0)
        ds_note(setup->notes, "note: %.0f of %d training images were lost in mid-run and left out", lost,
                job->train.n);
    if (setup->profile && events->profile && job->times.passes)
        events->profile(events->arg, job->net, &job->times);
    if (!rc)
        tell_done(job);
    return rc;
}

int ds_train(const ds_train_setup *setup, const ds_train_events *events, ds_error *e)
{
    DS_FINALLY(ds_job_close) ds_job job = {0};
    int rc = run(&job, setup, events, e);
    if (setup->ranks && (rc == DS_EINTERRUPT || rc == DS_ENUMERIC))
        setup->ranks->agreed = true;
    return rc;
}
