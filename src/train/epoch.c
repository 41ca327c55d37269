#include "train/job.h"
#include "base/clock.h"
#include "select/figures.h"
#include "train/evaluate.h"

/* Images that the re-estimated batch-norm averages rest on, and the key that keeps them apart from the
 * training stream. */
enum { STATISTICS_IMAGES = 2000, STATISTICS_KEY = 0x626e };

/* ---- batch-norm averages ---- */

static int add_statistics(ds_job *job, ds_loader *loader, ds_error *e)
{
    const int images = job->train.n < STATISTICS_IMAGES ? job->train.n : STATISTICS_IMAGES;
    const int batch = job->info->batch * ds_job_ranks(job), batches = images > batch ? images / batch : 1;
    ds_net_statistics_start(job->net);
    for (int i = 0; i < batches; i++) {
        ds_batch b;
        DS_TRY(ds_ranks_agree(job->setup.ranks, ds_loader_next(loader, &b, e), NULL, e));
        ds_net_set_pictures(job->net, b.pictures, NULL);
        DS_TRY(ds_net_statistics_add(job->net, b.pixels, e));
    }
    ds_net_statistics_finish(job->net);
    return DS_OK;
}

static int reestimate(ds_job *job, ds_error *e)
{
    ds_loader *loader;
    if (!ds_net_has_batchnorm(job->net))
        return DS_OK;
    DS_TRY(ds_job_stream(job, (uint64_t)job->setup.seed ^ STATISTICS_KEY, 0, job->info->batch, &loader, e));
    int rc = add_statistics(job, loader, e);
    ds_loader_free(loader);
    return rc;
}

/* A finite loss does not promise finite weights after the update that follows it; such weights must not
 * replace good files. */
int ds_job_check_finite(const ds_job *job, ds_error *e)
{
    int n;
    const ds_param *p = ds_net_params(job->net, &n);
    DS_TRY(ds_net_fetch(job->net, e));
    for (int i = 0; i < n; i++)
        for (size_t j = 0; j < p[i].n; j++)
            if (!isfinite(p[i].values[j]))
                return ds_fail(
                    e, DS_ENUMERIC,
                    "%s of layer %d are no finite numbers after batch %ld, expected training to converge: "
                    "the learning rate (%g now) may be too high; the files saved before are unchanged",
                    p[i].name, p[i].layer, ds_job_batch(job), job->rate);
    return DS_OK;
}

/* ---- validation ---- */

/* A warning names classes without a single hit, the first of them. */
static void by_class(const ds_job *job, const ds_answers *a, ds_result *row)
{
    enum { NAMED = 5 };
    double sum = 0;
    int classes = 0, missed = 0;
    DS_FREED char *text = NULL;
    size_t size;
    FILE *out = ds_memstream(&text, &size);
    DS_FREED ds_counts *counts = DS_ALLOC(counts, (size_t)a->classes);
    ds_counts_by_class(a, NAN, counts, NULL);
    for (int c = 0; c < a->classes; c++) {
        const double accuracy = (double)counts[c].right / (double)counts[c].n;
        if (!counts[c].n)
            continue;
        sum += accuracy;
        if (!classes++ || accuracy < row->valid_worst) {
            row->valid_worst = accuracy;
            row->valid_worst_class = c;
        }
        if (accuracy == 0 && missed++ < NAMED)
            fprintf(out, "%s%s (%zu)", missed > 1 ? ", " : "", job->data.names[c], counts[c].n);
    }
    fclose(out);
    row->valid_balanced = sum / classes;
    if (missed)
        ds_note(job->setup.notes, "warning: epoch %d: no image of %d of %d classes of valid= is right: %s%s",
                row->epoch, missed, a->classes, text, missed > NAMED ? ", ..." : "");
}

/* Paths and labels stay the job's. */
static int validate_once(const ds_job *job, ds_result *row, ds_error *e)
{
    const ds_eval_setup s = {.score = ds_net_get_reject(job->net)->score,
                             .top = 1,
                             .as_stored = !job->data.exif,
                             .loaders = job->setup.loaders,
                             .cache = job->cache,
                             .first = (size_t)job->train.n,
                             .ranks = job->setup.ranks,
                             .interrupted = job->setup.interrupted};
    const ds_images *v = &job->valid;
    ds_answers a = {.n = (size_t)v->n, .file = v->list, .paths = v->paths, .labels = v->labels};
    ds_ensemble one = {.nets = {job->net}, .n = 1, .views = 1};
    if (a.n == 0)
        return DS_OK;
    int rc = ds_evaluate(&one, &s, &a, e);
    if (!rc) {
        DS_FINALLY(ds_curve_clear) ds_curve curve = ds_curve_of(a.confidences, a.wrong, a.n);
        const ds_means means = ds_quality_means(&a.quality);
        row->valid_top1 = means.accuracy;
        row->valid_nll = means.nll;
        row->valid_ece = means.ece;
        row->valid_aurc = ds_areas_of(&curve).aurc;
        by_class(job, &a, row);
    }
    free(a.predictions);
    free(a.confidences);
    free(a.wrong);
    return rc;
}

/* With -skip-bad an image that was lost in mid-run leaves the list. */
static int validate(ds_job *job, ds_result *row, ds_error *e)
{
    const int n = job->valid.n, rc = validate_once(job, row, e);
    if (!rc || rc == DS_EINTERRUPT || !job->setup.skip_bad)
        return rc;
    DS_TRY(ds_job_probe(job, &job->valid, e));
    ds_cache_forget(job->cache, (size_t)job->train.n); /* which has them at their places of before */
    return job->valid.n < n ? validate_once(job, row, e) : rc;
}

/* ---- files ---- */

/* A picture takes about as long as a short epoch: not more often than this, and at the end. */
enum { SECONDS_BETWEEN_PLOTS = 10 };
/* On a GPU an epoch may take less than writing it down. */
enum { SECONDS_BETWEEN_SAVES = 5 };

/* No picture is no failure. */
static void plot(ds_job *job, bool last)
{
    ds_error why = {0};
    const double now = ds_now();
    if (!ds_job_first(job) || job->unplotted ||
        (!last && job->plotted > 0 && now - job->plotted < SECONDS_BETWEEN_PLOTS))
        return;
    DS_FREED char *path = ds_job_path(job, "_results.png");
    job->unplotted = ds_results_plot(&job->results, path, &why) != DS_OK;
    if (job->unplotted)
        ds_note(job->setup.notes, "note: %s: %s", path, why.text);
    else
        ds_folder_link(job, "_results.png");
    job->plotted = now;
}

/* Is the warm-up over after this epoch? */
static void see_warmup(ds_job *job, const ds_result *row)
{
    ds_warmup *w = &job->warmup;
    const char *of = job->data.valid ? "valid=" : "the images kept out";
    if (!ds_warmup_epoch(w, row->epoch, row->valid_nll) || !w->seen)
        return;
    if (w->state == DS_WARMUP_NLL)
        ds_note(job->setup.notes,
                "note: the warm-up is over after epoch %d: the nll of %s was lowest in epochs %d and %d",
                w->end, of, w->at - 1, w->at);
    else
        ds_note(job->setup.notes,
                "note: the warm-up is over after epoch %d, the latest in a run of %d: the nll of %s has not "
                "said so",
                w->end, job->plan.epochs, of);
}

static int save(ds_job *job, const ds_result *row, bool best, bool complete, ds_error *e)
{
    char suffix[48];
    const int period = job->setup.save_period;
    DS_TRY(ds_results_add(&job->results, row, e));
    ds_folder_link(job, "_results.csv");
    DS_TRY(job->due ? ds_job_save(job, ".backup", e) : DS_OK);
    if (best) {
        DS_TRY(ds_job_save(job, "_best.weights", e));
        job->best = *row;
    }
    snprintf(suffix, sizeof suffix, "_%d.weights", row->epoch);
    if (complete && period && row->epoch % period == 0)
        DS_TRY(ds_job_save(job, suffix, e));
    job->tally = (ds_tally){0};
    if (complete)
        see_warmup(job, row);
    if (ds_job_done(job))
        DS_TRY(ds_job_save(job, ".weights", e));
    plot(job, ds_job_done(job));
    return DS_OK;
}

/* What is judged and saved is the average of the weights, where there is one; training goes on with the
 * weights. */
static void swap_average(ds_job *job)
{
    if (ds_average_swap(&job->mean))
        ds_net_changed(job->net);
}

/* ---- the end of an epoch ---- */

static ds_result make_row(const ds_job *job, int epoch, bool complete)
{
    const ds_tally *t = &job->tally;
    uint64_t epochs = job->seen / (uint64_t)job->plan.images;
    return (ds_result){.epoch = (int)epochs + (complete ? 0 : 1),
                       .precision = job->info->precision,
                       .warmup = ds_job_warming(job, epoch) ? DS_WARMUP_ON : (int)job->warmup.state,
                       .batch = ds_job_batch(job),
                       .train_loss = t->loss / (double)t->images,
                       .train_accuracy = (double)t->right / (double)t->images,
                       .learning_rate = job->rate,
                       .alpha = ds_net_alpha(job->net, epoch),
                       .valid_top1 = NAN,
                       .valid_nll = NAN,
                       .valid_ece = NAN,
                       .valid_aurc = NAN,
                       .valid_balanced = NAN,
                       .valid_worst = NAN,
                       .valid_worst_class = NAN,
                       .images_per_second = (double)t->images / t->seconds};
}

static int judge(ds_job *job, ds_result *row, bool warming, bool complete, bool *best, ds_error *e)
{
    DS_TRY(reestimate(job, e));
    DS_TRY(ds_job_check_finite(job, e));
    DS_TRY(ds_ranks_compare(job->setup.ranks, "the weights of this epoch",
                            job->setup.ranks ? ds_net_weights_hash(job->net) : 0, e));
    DS_TRY(validate(job, row, e));
    if (job->setup.ranks) /* a processor's last bit must not part them */
        job->setup.ranks->pass->share(row, sizeof *row);
    *best = !warming && ds_result_better(row, &job->best, job->by);
    return save(job, row, *best, complete, e);
}

int ds_epoch_end(ds_job *job, ds_error *e)
{
    const uint64_t n = (uint64_t)job->plan.images, before = job->seen - (uint64_t)job->plan.batch;
    const bool complete = job->seen / n > before / n;
    const int epoch = (int)(before / n); /* of the batch */
    if (!complete && !ds_job_done(job))
        return DS_OK;
    job->due =
        ds_job_done(job) || !ds_net_prepares(job->net) || ds_now() - job->saved >= SECONDS_BETWEEN_SAVES;
    ds_result row = make_row(job, epoch, complete);
    bool best = false;
    DS_TRY(ds_net_fetch(job->net, e));
    ds_average_add(&job->mean, row.batch, true);
    swap_average(job);
    int rc = judge(job, &row, ds_job_warming(job, epoch), complete, &best, e);
    swap_average(job);
    DS_TRY(rc);
    DS_TRY(job->due ? ds_checkpoint_begin(job, e) : DS_OK); /* the last: all that it knows of is there */
    if (job->events->epoch)
        job->events->epoch(job->events->arg, &row, best);
    if (ds_job_done(job) && ds_job_batch(job) < job->plan.max_batches)
        ds_note(job->setup.notes,
                "note: %d epochs without a better result on valid=: the run ends after epoch %d",
                job->setup.patience, row.epoch);
    return DS_OK;
}

static int save_interrupted(ds_job *job, ds_error *e)
{
    DS_TRY(reestimate(job, e));
    DS_TRY(ds_job_check_finite(job, e));
    DS_TRY(ds_job_save(job, ".backup", e));
    return ds_job_batch(job) < job->plan.max_batches ? DS_OK : ds_job_save(job, ".weights", e);
}

int ds_epoch_interrupted(ds_job *job, ds_error *e)
{
    DS_TRY(ds_checkpoint_write(job, e)); /* first, for whoever waits ten seconds before it kills */
    swap_average(job);
    int rc = save_interrupted(job, e);
    swap_average(job);
    return rc;
}
