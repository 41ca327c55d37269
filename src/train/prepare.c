#include "train/job.h"
#include "base/file.h"
#include "base/text.h"
#include "train/evaluate.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *ds_job_path(const ds_job *job, const char *suffix)
{
    char *name = ds_format("%s%s", job->base, suffix);
    char *path = name ? ds_path_join(job->data.backup, name) : NULL;
    free(name);
    return path;
}

long ds_job_batch(const ds_job *job)
{
    return (long)(job->seen / (uint64_t)job->plan.batch);
}

/* ---- what is read ---- */

static int read_inputs(ds_job *job, ds_error *e)
{
    const ds_train_setup *s = job->setup;
    int rc = ds_cfg_read(s->cfg, &job->cfg, s->notes, e);
    if (!rc)
        rc = ds_cfg_check_training(job->cfg, s->notes, e);
    if (!rc && !(job->base = ds_cfg_base(job->cfg)))
        rc = ds_fail_memory(e);
    if (!rc)
        rc = ds_datafile_read(s->data, &job->data, e);
    if (!rc && !job->data.train)
        rc = ds_fail_at(e, DS_EINPUT, s->data, 0, "train= is missing, expected the list of training images");
    if (!rc)
        rc = ds_images_read(&job->data, job->data.train, &job->train, e);
    if (!rc && job->data.valid)
        rc = ds_images_read(&job->data, job->data.valid, &job->valid, e);
    return rc;
}

/* Opening a temporary file is the only test that knows all of permissions, read-only mounts and quotas. */
static int check_backup(const ds_job *job, ds_error *e)
{
    ds_writer w = {0};
    int rc = ds_make_dirs(job->data.backup, e);
    char *path = ds_job_path(job, ".backup");
    if (!rc)
        rc = path ? ds_writer_open(&w, path, e) : ds_fail_memory(e);
    if (!rc)
        ds_writer_abort(&w);
    free(path);
    return rc;
}

/* ---- undecodable images ---- */

typedef struct probe {
    bool *bad;
    char **reasons;
} probe;

static void report_bad(const ds_job *job, const ds_images *images, const probe *p)
{
    const ds_train_events *ev = job->events;
    for (int i = 0; i < images->n; i++)
        if (p->bad[i] && ev->bad_image)
            ev->bad_image(ev->arg, images->paths[i], p->reasons[i] ? p->reasons[i] : "cannot be decoded");
}

/* Takes the bad images out, or tells of each of them. Returns how many, or a negative code. */
static int probe_list(const ds_job *job, ds_images *images, probe *p, ds_error *e)
{
    int channels = ds_net_get_info(job->net)->c;
    int found = ds_images_probe(images, channels, job->loaders, p->bad, p->reasons);
    if (found <= 0)
        return found;
    if (!job->setup->skip_bad) {
        report_bad(job, images, p);
        return found;
    }
    ds_note(job->setup->notes, "note: %s: %d of %d images cannot be decoded and are left out", images->list,
            found, images->n);
    if (found == images->n)
        return ds_fail_at(e, DS_EINPUT, images->list, 0,
                          "none of the %d images can be decoded, expected image files", found);
    ds_images_drop(images, p->bad);
    return found;
}

static int probe_images(const ds_job *job, ds_images *images, ds_error *e)
{
    const int n = images->n;
    if (n == 0)
        return 0;
    probe p = {.bad = calloc((size_t)n, sizeof *p.bad), .reasons = calloc((size_t)n, sizeof *p.reasons)};
    int found = p.bad && p.reasons ? probe_list(job, images, &p, e) : ds_fail_memory(e);
    for (int i = 0; p.reasons && i < n; i++)
        free(p.reasons[i]);
    free(p.reasons);
    free(p.bad);
    return found;
}

/* *dropped: images taken out of the training list. */
static int check_images(ds_job *job, int *dropped, ds_error *e)
{
    const int images = job->train.n + job->valid.n;
    int train = probe_images(job, &job->train, e);
    int valid = train < 0 ? 0 : probe_images(job, &job->valid, e);
    if (train < 0 || valid < 0)
        return train < 0 ? train : valid;
    *dropped = train;
    if (train + valid == 0 || job->setup->skip_bad)
        return DS_OK;
    return ds_fail_at(
        e, DS_EINPUT, job->setup->data, 0,
        "%d of %d images cannot be decoded (all named above), expected none; -skip-bad trains without them",
        train + valid, images);
}

/* ---- the network ---- */

static int plan(ds_job *job, ds_error *e)
{
    const ds_train_setup *s = job->setup;
    ds_net_options *o = &job->cfg->net;
    const int64_t n = job->train.n;
    ds_train_plan *p = &job->plan;
    *p = (ds_train_plan){
        .images = job->train.n, .valid_images = job->valid.n, .batch = o->batch, .epochs = s->epochs};
    int64_t batches = s->epochs > 0 ? (s->epochs * n + o->batch - 1) / o->batch : o->max_batches;
    if (batches <= 0)
        return ds_fail_at(
            e, DS_EINPUT, job->cfg->path, ds_section_line(&job->cfg->sections[0], "max_batches"),
            "max_batches is missing or 0, expected the number of batches to train (or -epochs E)");
    int64_t epochs = s->epochs > 0 ? s->epochs : (batches * o->batch + n - 1) / n;
    if (batches > INT_MAX || epochs > INT_MAX)
        return ds_fail_at(e, DS_EINPUT, job->cfg->path,
                          ds_section_line(&job->cfg->sections[0], "max_batches"),
                          "%lld batches over %lld epochs, expected at most %d of each", (long long)batches,
                          (long long)epochs, INT_MAX);
    p->max_batches = o->max_batches = (int)batches; /* policy=poly ends there too */
    p->epochs = (int)epochs;
    return DS_OK;
}

static int warmup_epochs(const ds_job *job)
{
    int epoch = 0;
    for (ds_progress p = {.warming = true}; epoch < job->plan.epochs; epoch++) {
        ds_net_progress(job->net, epoch, &p);
        if (!p.warming)
            break;
    }
    return epoch;
}

static bool has_parameters(const ds_net *net, int layer)
{
    int n;
    const ds_param *p = ds_net_params(net, &n);
    for (int i = 0; i < n; i++)
        if (p[i].layer == layer)
            return true;
    return false;
}

/* Which layers a partial file left as they were. */
static void note_fresh(const ds_job *job, int loaded)
{
    char *text = NULL;
    size_t size = 0;
    int fresh = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return;
    for (int i = loaded; i < ds_net_get_info(job->net)->layers; i++) {
        ds_layer_row row;
        if (!has_parameters(job->net, i))
            continue;
        ds_net_layer_row(job->net, i, &row);
        fprintf(out, "%s%d %s", fresh++ ? ", " : "", i, row.name);
    }
    fclose(out);
    ds_note(
        job->setup->notes,
        "note: %s: weights of the first %d layers read, layers that start fresh: %s; images seen start at 0",
        job->setup->weights, loaded, fresh ? text : "none");
    free(text);
}

static int load_weights(ds_job *job, ds_error *e)
{
    const ds_train_setup *s = job->setup;
    const ds_net_info *info = ds_net_get_info(job->net);
    ds_weights_info w = {0};
    if (!s->weights)
        return s->upto
                   ? ds_fail(e, DS_EUSAGE, "-upto %d without weights, expected WEIGHTS after CFG", s->upto)
                   : DS_OK;
    if (s->upto > info->layers)
        return ds_fail(e, DS_EUSAGE, "-upto %d, expected at most %d, the layers of %s", s->upto, info->layers,
                       s->cfg);
    int rc = ds_net_load_weights(job->net, s->weights, s->upto ? s->upto : -1, &w, e);
    if (rc)
        return rc;
    const bool partial = s->upto || w.loaded < info->layers;
    if (partial)
        note_fresh(job, w.loaded);
    job->seen = partial || s->clear ? 0 : w.seen;
    if (ds_job_batch(job) < job->plan.max_batches)
        return DS_OK;
    return ds_fail_at(
        e, DS_EINPUT, s->weights, 0,
        "has seen %llu images (%ld batches of %d), expected less than the %ld batches to train: nothing is "
        "left to do; raise max_batches= (or -epochs), or give -clear to count from 0",
        (unsigned long long)job->seen, ds_job_batch(job), job->plan.batch, job->plan.max_batches);
}

static int make_net(ds_job *job, ds_notes *notes, ds_error *e)
{
    const ds_train_setup *s = job->setup;
    int rc = plan(job, e);
    if (rc)
        return rc;
    if (s->tune && (rc = ds_make_dirs(job->data.backup, e)))
        return rc;
    char *tune = s->tune ? ds_job_path(job, ".tune") : NULL;
    if (s->tune && !tune)
        return ds_fail_memory(e);
    const ds_net_setup setup = {.train = true,
                                .samples = (size_t)job->train.n,
                                .epochs = job->plan.epochs,
                                .seed = s->seed,
                                .threads = s->threads,
                                .backend = s->backend,
                                .tune = tune,
                                .verbose = s->verbose,
                                .notes = notes};
    rc = ds_net_new(job->cfg, &setup, &job->net, e);
    free(tune);
    return rc ? rc : ds_check_classes(&job->data, job->net, job->cfg, e);
}

/* The host computes these in float and cuts to whole pixels. */
static double crop_size(double ratio, int crop, int fallback, int w)
{
    float r = isnan(ratio) ? (float)(crop > 0 ? crop : fallback) / (float)w : (float)ratio;
    return (int)(r * (float)w);
}

static void fill_augment(ds_job *job)
{
    const ds_net_options *o = &job->cfg->net;
    const ds_net_info *info = ds_net_get_info(job->net);
    job->augment = (ds_augment){.w = info->w,
                                .h = info->h,
                                .min_size = crop_size(o->min_ratio, o->min_crop, info->w, info->w),
                                .max_size = crop_size(o->max_ratio, o->max_crop, 2 * info->w, info->w),
                                .angle = o->angle,
                                .aspect = o->aspect,
                                .saturation = o->saturation,
                                .exposure = o->exposure,
                                .hue = o->hue,
                                .flip = o->flip,
                                .center = o->center};
}

/* A run that goes on keeps the best weights of before unless it finds better ones. */
static int open_results(ds_job *job, ds_error *e)
{
    char *path = ds_job_path(job, "_results.csv"), *best = ds_job_path(job, "_best.weights");
    int rc = path && best ? DS_OK : ds_fail_memory(e);
    if (!rc)
        rc = ds_results_open(&job->results, path, (int)(job->seen / (uint64_t)job->plan.images), e);
    for (int i = 0; !rc && job->valid.n && ds_path_exists(best) && i < job->results.n; i++) {
        const ds_result *row = &job->results.rows[i];
        if (row->epoch > job->plan.warmup_epochs && !isnan(row->valid_top1) &&
            (!job->best.epoch || ds_result_better(row, &job->best)))
            job->best = *row;
    }
    free(path);
    free(best);
    return rc;
}

/* Weights are read before the images are decoded, because that may take long; left-out images change the
 * number of epochs and of samples, so the network is then made again. */
static int make_all(ds_job *job, ds_error *e)
{
    int dropped = 0, rc = make_net(job, job->setup->notes, e);
    if (!rc)
        rc = load_weights(job, e);
    if (!rc)
        rc = check_backup(job, e);
    if (!rc)
        rc = check_images(job, &dropped, e);
    if (!rc && dropped) {
        ds_train_setup quiet = *job->setup;
        const ds_train_setup *loud = job->setup;
        quiet.notes = NULL;
        ds_net_free(job->net);
        job->net = NULL;
        job->setup = &quiet;
        if (!(rc = make_net(job, NULL, e)))
            rc = load_weights(job, e);
        job->setup = loud;
    }
    return rc;
}

int ds_job_open(ds_job *job, const ds_train_setup *setup, const ds_train_events *events, ds_error *e)
{
    int n, rc;
    *job = (ds_job){.setup = setup, .events = events, .loaders = ds_loader_threads(setup->loaders)};
    if ((rc = read_inputs(job, e)) || (rc = make_all(job, e)))
        return rc;
    fill_augment(job);
    job->plan.seen = job->seen;
    job->plan.warmup_epochs = warmup_epochs(job);
    if ((rc = open_results(job, e)))
        return rc;
    const ds_param *params = ds_net_params(job->net, &n);
    job->optimizer = ds_optimizer_new(&job->cfg->net, params, n, job->plan.batch);
    return DS_OK;
}

void ds_job_close(ds_job *job)
{
    ds_optimizer_free(job->optimizer);
    if (job->net)
        ds_net_free(job->net);
    if (job->cfg)
        ds_cfg_free(job->cfg);
    ds_results_clear(&job->results);
    ds_images_clear(&job->train);
    ds_images_clear(&job->valid);
    ds_datafile_clear(&job->data);
    free(job->base);
    *job = (ds_job){0};
}
