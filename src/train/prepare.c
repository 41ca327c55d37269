#include "train/job.h"
#include "base/file.h"
#include "base/problem.h"
#include "base/rng.h"
#include "data/image.h"
#include "train/evaluate.h"

#include <limits.h>
#include <unistd.h>

/* Keeps the numbers that choose these images apart from those of the training stream. */
enum { KEPT_OUT_KEY = 0x6f7574 };

int ds_job_save(ds_job *job, const char *suffix, ds_error *e)
{
    DS_FREED char *path = ds_job_path(job, suffix);
    DS_TRY(ds_net_save_weights(job->net, path, job->seen, e));
    ds_folder_link(job, suffix);
    return DS_OK;
}

int ds_job_ranks(const ds_job *job)
{
    return job->setup.ranks ? job->setup.ranks->size : 1;
}

bool ds_job_first(const ds_job *job)
{
    return !job->setup.ranks || job->setup.ranks->rank == 0;
}

long ds_job_batch(const ds_job *job)
{
    return (long)(job->seen / (uint64_t)job->plan.batch);
}

bool ds_job_warming(const ds_job *job, int epoch)
{
    return epoch < job->warmup.end;
}

bool ds_job_done(const ds_job *job)
{
    const int epochs = (int)(job->seen / (uint64_t)job->plan.images), patience = job->setup.patience;
    const bool tired = patience && job->best.epoch && epochs - job->best.epoch >= patience;
    return ds_job_batch(job) >= job->plan.max_batches || (tired && !job->tally.images);
}

/* The loader has lost an image in mid-run: left out, its history stays. */
static void on_lost(void *arg, uint32_t id, const ds_error *why)
{
    enum { TOLD = 20 };
    ds_job *job = arg;
    if (job->lost[id])
        return;
    job->lost[id] = true;
    if (job->n_lost++ < TOLD)
        ds_note(job->setup.notes, "warning: %s: %s; left out from now on", job->train.paths[id], why->text);
}

int ds_job_stream(ds_job *job, uint64_t seed, uint64_t start, int batch, ds_loader **loader, ds_error *e)
{
    const ds_ranks *ranks = batch < job->plan.batch ? job->setup.ranks : NULL;
    const ds_loader_setup s = {.images = &job->train,
                               .w = job->info->w,
                               .h = job->info->h,
                               .c = job->info->c,
                               .pictures = ds_net_prepares(job->net),
                               .as_stored = !job->data.exif,
                               .batch = batch,
                               .part = ranks ? ranks->rank : 0,
                               .parts = ranks ? ranks->size : 1,
                               .piece = job->info->batch,
                               .threads = job->setup.loaders,
                               .cache = job->cache,
                               .augment = &job->augment,
                               .balanced = job->cfg->net.sampling ? job->info->classes : 0,
                               .seed = seed,
                               .start = start,
                               .lost = job->setup.skip_bad ? on_lost : NULL,
                               .arg = job};
    return ds_loader_new(&s, loader, e);
}

static int read_cfg(ds_job *job, ds_error *e)
{
    const ds_train_setup *s = &job->setup;
    DS_TRY(ds_file_read_text(s->cfg, "a network .cfg", &job->cfg_text, e));
    int rc = ds_cfg_parse(job->cfg_text, s->cfg, &job->cfg, s->notes, e);
    DS_TRY(ds_keep(e, rc));
    DS_TRY(ds_keep(e, ds_cfg_check_training(job->cfg, s->notes, e)));
    job->base = ds_cfg_base(job->cfg);
    return rc;
}

int ds_job_read_list(const ds_job *job, const char *list, ds_images *images, ds_error *e)
{
    const ds_datafile *d = &job->data;
    if (!list)
        return DS_OK;
    int rc = ds_images_read(d, list, d->index != NULL, images, e); /* without labels at least the list */
    if (d->index && images->n)
        free(ds_images_count(d, images, job->setup.notes));
    return rc;
}

/* Opening a temporary file is the only test that knows all of permissions, read-only mounts and quotas; in
 * the nearest folder that is there. */
static int check_backup(const ds_job *job, ds_error *e)
{
    ds_writer w;
    DS_FREED char *dir = ds_strdup(job->data.backup);
    while (!ds_path_exists(dir) && strcmp(dir, ".")) {
        DS_FREED char *below = dir;
        dir = ds_path_dir(below);
    }
    ds_error why = {0};
    DS_FREED char *path = ds_path_join(dir, ".check");
    int rc = ds_writer_open(&w, path, &why);
    ds_writer_abort(&w);
    return rc ? ds_fail_at(e, rc, dir, 0, "%s, expected a folder for backup=%s", why.text, job->data.backup)
              : DS_OK;
}

/* A run that -epochs makes short has a warm-up and a burn-in that fit into it. */
static void shorten(ds_job *job, int epochs)
{
    ds_net_options *o = &job->cfg->net;
    const char *path = job->cfg->path;
    ds_section *s = &job->cfg->sections[ds_cfg_cost(job->cfg) + 1]; /* [net] where there is none */
    for (ds_pair *p = s->pairs; p < s->pairs + s->n; p++) {
        long long asked;
        if (strcmp(p->key, "warmup_epochs") != 0 || !ds_parse_int(p->value, &asked) || asked < epochs)
            continue;
        ds_note(job->setup.notes, "note: %s:%d: warmup_epochs=%lld, but -epochs %d: the warm-up has %d", path,
                p->line, asked, epochs, epochs * 3 / 5);
        free(p->value);
        p->value = ds_format("%d", epochs * 3 / 5);
    }
    if (o->burn_in < o->max_batches)
        return;
    ds_note(job->setup.notes, "note: %s:%d: burn_in=%d, but -epochs %d has %d batches: it ends after %d",
            path, ds_section_line(job->cfg->sections, "burn_in"), o->burn_in, epochs, o->max_batches,
            o->max_batches / 5);
    o->burn_in = o->max_batches / 5;
}

/* Each rank has as many images of a sub-batch as any other. */
static int check_share(const ds_job *job, ds_error *e)
{
    const ds_net_options *o = &job->cfg->net;
    const int ranks = ds_job_ranks(job), step = ranks * o->subdivisions, below = o->batch / step * step;
    if (ranks == 1 || o->batch % step == 0) /* of one the cfg's check tells */
        return DS_OK;
    DS_FREED char *less = below ? ds_format("%d or ", below) : ds_strdup("");
    return ds_fail_at(e, DS_EINPUT, job->cfg->path, ds_section_line(job->cfg->sections, "batch"),
                      "batch=%d subdivisions=%d cannot be shared out to %d ranks, expected batch=%s%d",
                      o->batch, o->subdivisions, ranks, less, below + step);
}

static int make_plan(ds_job *job, ds_error *e)
{
    ds_net_options *o = &job->cfg->net;
    const int64_t n = job->train.n, asked = job->setup.epochs;
    const int line = ds_section_line(&job->cfg->sections[0], "max_batches");
    int64_t batches = asked > 0 ? (asked * n + o->batch - 1) / o->batch : o->max_batches;
    int64_t epochs = asked > 0 ? asked : (batches * o->batch + n - 1) / n;
    if (batches <= 0)
        return ds_fail_at(
            e, DS_EINPUT, job->cfg->path, line,
            "max_batches is missing or 0, expected the number of batches to train (or -epochs E)");
    if (batches > INT_MAX || epochs > INT_MAX)
        return ds_fail_at(e, DS_EINPUT, job->cfg->path, line,
                          "%lld batches over %lld epochs, expected at most %d of each", (long long)batches,
                          (long long)epochs, INT_MAX);
    o->max_batches = (int)batches; /* policy=poly ends there too */
    job->plan = (ds_train_plan){.train = job->train.list,
                                .valid = job->data.valid ? job->valid.list : NULL,
                                .images = job->train.n,
                                .valid_images = job->valid.n,
                                .batch = o->batch,
                                .ranks = ds_job_ranks(job),
                                .max_batches = (long)batches,
                                .epochs = (int)epochs};
    if (asked > 0)
        shorten(job, (int)epochs);
    DS_TRY(check_share(job, e));
    return ds_average_check(job->cfg, job->plan.epochs, e);
}

/* ---- images kept out of the training, to see the end of the warm-up by ---- */

static bool keeps_out(const ds_job *job)
{
    const int cost = ds_cfg_has_shapes(job->cfg) ? ds_cfg_cost(job->cfg) : -1;
    return cost >= 0 && !job->data.valid && job->train.n &&
           job->cfg->sections[cost + 1].setup.warmup_epochs == DS_WARMUP_AUTO;
}

static void note_kept_out(const ds_job *job)
{
    ds_note(
        job->setup.notes,
        "note: %s has no valid=: about a tenth of the %d training images is kept out of the training, and "
        "validates; their nll tells when the warm-up ends (warmup_epochs=auto)",
        job->setup.data, job->train.n);
}

/* Which ones is a matter of seed and path: the same after a resume, whatever has come to the list. */
static void keep_out(ds_job *job)
{
    DS_FREED bool *out = DS_ALLOC(out, (size_t)job->train.n);
    int n = 0;
    for (int i = 0; i < job->train.n; i++) {
        ds_rng r = ds_rng_make((uint64_t)job->setup.seed, job->train.keys[i], KEPT_OUT_KEY);
        n += out[i] = ds_rng_uniform(&r) < 0.1;
    }
    if (n < job->train.n)
        ds_images_move(&job->train, out, &job->valid);
}

/* ---- the inputs, all at once ---- */

/* All that can be known without a network and without pixels; where `e` collects, all that is wrong. */
static int read_inputs(ds_job *job, ds_error *e)
{
    const int before = ds_failures(e);
    const ds_train_setup *s = &job->setup;
    ds_datafile *d = &job->data;
    DS_TRY(ds_keep(e, read_cfg(job, e)));
    DS_TRY(ds_keep(e, ds_datafile_read(s->data, d, s->notes, e)));
    if (d->path && !d->train)
        DS_TRY(ds_keep(e, ds_fail_at(e, DS_EINPUT, s->data, 0,
                                     "train= is missing, expected the list of training images")));
    DS_TRY(ds_keep(e, ds_job_read_list(job, d->train, &job->train, e)));
    DS_TRY(ds_keep(e, ds_job_read_list(job, d->valid, &job->valid, e)));
    if (d->train && d->valid && ds_path_same(d->train, d->valid))
        ds_note(s->notes,
                "warning: %s: valid= is the list of train=: it tells nothing of other images, nor which "
                "weights are best",
                s->data);
    if (ds_cfg_has_shapes(job->cfg) && ds_cfg_cost(job->cfg) >= 0 && d->index)
        DS_TRY(ds_keep(e, ds_check_classes(d, job->cfg, e)));
    if (job->cfg && job->cfg->shapes && job->train.n && !s->resume) /* else the checkpoint has a say */
        DS_TRY(ds_keep(e, make_plan(job, e)));
    if (keeps_out(job))
        note_kept_out(job);
    if (d->backup)
        DS_TRY(ds_keep(e, check_backup(job, e)));
    return ds_failed_since(e, before);
}

int ds_job_probe(const ds_job *job, ds_images *images, ds_error *e)
{
    const int n = images->n;
    const ds_probe_setup s = {.channels = job->info->c | (job->data.exif ? 0 : DS_AS_STORED),
                              .threads = job->setup.loaders};
    ds_probe *found = DS_ZALLOC(found, (size_t)n);
    int rc = DS_OK, bad = ds_images_probe(images, &s, found);
    if (bad && job->setup.skip_bad) {
        ds_note(job->setup.notes, "note: %s: %d of %d images cannot be decoded and are left out",
                images->list, bad, n);
        ds_images_drop(images, found);
        if (bad == n)
            rc = ds_fail_at(e, DS_EINPUT, images->list, 0,
                            "none of the %d images can be decoded, expected image files", n);
    } else if (bad) {
        rc = ds_probe_tell(images, found, e);
    }
    ds_probe_free(found, n);
    return rc;
}

static int check_images(ds_job *job, ds_error *e)
{
    const int before = ds_failures(e);
    DS_TRY(ds_keep(e, ds_job_probe(job, &job->train, e)));
    DS_TRY(ds_keep(e, ds_job_probe(job, &job->valid, e)));
    const int bad = ds_failures(e) - before;
    return bad ? ds_fail(e, DS_EINPUT,
                         "%d of %d images cannot be decoded, expected none; -skip-bad trains without them",
                         bad, job->train.n + job->valid.n)
               : DS_OK;
}

int ds_job_make_net(ds_job *job, ds_error *e)
{
    const ds_train_setup *s = &job->setup;
    const ds_net_options *o = &job->cfg->net;
    ds_net_setup setup = s->net;
    setup.train = true;
    setup.ranks = s->ranks;
    setup.batch = s->ranks ? o->batch / o->subdivisions / ds_job_ranks(job) : 0;
    DS_FREED int *counts = ds_images_count(&job->data, &job->train, NULL);
    setup.samples = (size_t)job->train.n;
    setup.counts = counts;
    setup.epochs = job->plan.epochs;
    setup.seed = (uint64_t)s->seed;
    setup.notes = s->notes;
    DS_TRY(ds_net_new(job->cfg, &setup, &job->net, e));
    job->info = ds_net_get_info(job->net);
    return DS_OK;
}

/* Which layers a partial file left as they were. */
static void note_fresh(const ds_job *job, int loaded)
{
    DS_FREED char *text = NULL;
    size_t size;
    FILE *out = ds_memstream(&text, &size);
    for (int i = loaded; i < job->info->layers; i++) {
        const ds_layer_row row = ds_net_layer_row(job->net, i);
        if (row.parameters)
            fprintf(out, "%s%d %s", ftell(out) ? ", " : "", i, row.name);
    }
    fclose(out);
    ds_note(
        job->setup.notes,
        "note: %s: weights of the first %d layers read, layers that start fresh: %s; images seen start at 0",
        job->setup.weights, loaded, size ? text : "none");
}

static int load_weights(ds_job *job, ds_error *e)
{
    const ds_train_setup *s = &job->setup;
    const int layers = job->info->layers;
    ds_weights_info w = {0};
    if (s->upto > layers)
        return ds_fail(e, DS_EUSAGE, "-upto %d, expected at most %d, the layers of %s", s->upto, layers,
                       s->cfg);
    if (!s->weights || job->resumed)
        return DS_OK;
    DS_TRY(ds_net_load_weights(job->net, s->weights, s->upto ? s->upto : -1, &w, e));
    const bool partial = s->upto || w.loaded < layers;
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

/* Weights are read before the images are decoded, because that may take long; left-out images change the
 * number of epochs and of samples, so the network is then made again. */
static int make_all(ds_job *job, ds_error *e)
{
    const int listed = job->train.n;
    ds_notes *notes = job->setup.notes;
    DS_TRY(ds_job_make_net(job, e));
    DS_TRY(load_weights(job, e));
    DS_TRY(check_images(job, e));
    if (job->train.n == listed)
        return DS_OK;
    ds_net_free(job->net);
    job->net = NULL;
    job->setup.notes = NULL; /* all is said */
    int rc = make_plan(job, e);
    rc = rc ? rc : ds_job_make_net(job, e);
    rc = rc ? rc : load_weights(job, e);
    job->setup.notes = notes;
    return rc;
}

/* The host computes these in float and cuts to whole pixels. */
static double crop_size(double ratio, int crop, int fallback, int w)
{
    float r = isnan(ratio) ? (float)(crop > 0 ? crop : fallback) / (float)w : (float)ratio;
    return (int)fminf(r * (float)w, 1 << 20);
}

static ds_augment make_augment(const ds_net_options *o, const ds_net_info *info)
{
    return (ds_augment){.w = info->w,
                        .h = info->h,
                        .min_size = crop_size(o->min_ratio, o->min_crop, info->w, info->w),
                        .max_size = crop_size(o->max_ratio, o->max_crop, 2 * info->w, info->w),
                        .angle = o->angle,
                        .aspect = o->aspect,
                        .saturation = o->saturation,
                        .exposure = o->exposure,
                        .hue = o->hue,
                        .flip = o->flip,
                        .center = o->center,
                        .cutout = o->cutout,
                        .shift = o->shift};
}

static int check_usage(const ds_job *job, ds_error *e)
{
    const ds_train_setup *s = &job->setup;
    if (s->name && (!*s->name || *s->name == '.' || strchr(s->name, '/')))
        return ds_fail(e, DS_EUSAGE, "-name %s, expected the name of a folder inside backup=", s->name);
    if (s->upto && !s->weights)
        return ds_fail(e, DS_EUSAGE, "-upto %d without weights, expected WEIGHTS after CFG", s->upto);
    return DS_OK;
}

/* What the best weights are chosen by, unless a run that goes on knows. */
static void choose_best(ds_job *job)
{
    const int asked = job->setup.best ? job->setup.best : job->data.best, classes = job->data.classes;
    DS_FREED int *counts = ds_images_count(&job->data, &job->train, NULL);
    int least = INT_MAX, most = 0;
    for (int c = 0; c < classes; c++) {
        least = counts[c] < least ? counts[c] : least;
        most = counts[c] > most ? counts[c] : most;
    }
    const bool unequal = most / 3.0 > least;
    job->by = asked ? (ds_best)asked : unequal ? DS_BEST_BALANCED : DS_BEST_TOP1;
    if (!asked && unequal && job->valid.n)
        ds_note(job->setup.notes,
                "note: %s has %d to %d images a class: the best weights are chosen by balanced accuracy "
                "(-best top1: by accuracy)",
                job->train.list, least, most);
    if (!job->valid.n)
        ds_note(job->setup.notes, "note: %s has no valid=: no epoch is validated, there are no best weights",
                job->setup.data);
    if (job->plan.batch > job->train.n)
        ds_note(job->setup.notes,
                "note: batch=%d is more than the %d training images: a batch ends several epochs",
                job->plan.batch, job->train.n);
}

/* The run to go on with, if any. */
static int find_run(ds_job *job, ds_error *e)
{
    const ds_train_setup *s = &job->setup;
    if (s->patience && !job->data.valid)
        return ds_fail(e, DS_EUSAGE, "-patience %d, expected valid= in %s", s->patience, s->data);
    if (s->best && !job->data.valid)
        return ds_fail(e, DS_EUSAGE, "-best %s, expected valid= in %s", ds_best_names[s->best], s->data);
    DS_TRY(ds_folder_check_name(job, e));
    DS_TRY(s->resume ? ds_folder_find(job, e) : DS_OK);
    if (s->resume && !job->folder)
        ds_note(s->notes, "note: no run %s in %s to go on with: one begins", s->name ? s->name : job->base,
                job->data.backup);
    DS_TRY(job->folder ? ds_checkpoint_open(job, e) : DS_OK);
    if (keeps_out(job))
        keep_out(job);
    return make_plan(job, e);
}

int ds_job_inspect(ds_job *job, const ds_train_setup *setup, ds_error *e)
{
    *job = (ds_job){.setup = *setup, .average = NAN};
    job->best = (ds_result){.valid_top1 = NAN, .valid_nll = NAN, .valid_aurc = NAN, .valid_balanced = NAN};
    job->setup.loaders = ds_loader_threads(setup->loaders);
    DS_TRY(check_usage(job, e));
    return read_inputs(job, e);
}

static int open_stream(ds_job *job, ds_error *e)
{
    const bool mixes = ds_mixes(&job->cfg->net); /* with images of other ranks, too */
    job->cache = ds_cache_new((size_t)(job->train.n + job->valid.n), job->setup.cache_bytes);
    if (mixes)
        job->mixtures = ds_mixtures_new(job->info->batch, job->info->inputs);
    return ds_job_stream(job, (uint64_t)job->setup.seed, job->seen,
                         mixes ? job->plan.batch : job->plan.batch / ds_job_ranks(job), &job->stream, e);
}

static int make_rest(ds_job *job, ds_error *e)
{
    int n;
    DS_TRY(make_all(job, e));
    if (!job->resumed)
        choose_best(job);
    job->warmup = ds_warmup_begin(job->info->warmup_epochs, job->plan.epochs, job->info->classes);
    const ds_param *params = ds_net_params(job->net, &n);
    job->records = ds_records_new((size_t)job->train.n);
    job->optimizer = ds_optimizer_new(&job->cfg->net, params, n, job->plan.batch);
    job->gradients = ds_gradients_new(job->setup.ranks, params, n);
    job->mean = ds_average_new(&job->cfg->net, params, n);
    DS_TRY(job->resumed ? ds_checkpoint_restore(job, e) : DS_OK);
    ds_gradients_clear(job->gradients);
    ds_net_set_seen(job->net, job->seen);
    job->augment = make_augment(&job->cfg->net, job->info);
    job->plan.seen = job->seen;
    job->plan.best = job->by;
    job->plan.names = job->data.names;
    job->plan.warmup_epochs = job->info->warmup_epochs;
    DS_ZALLOC(job->losses, (size_t)(job->info->batch * ds_job_ranks(job)));
    DS_ZALLOC(job->lost, (size_t)job->train.n);
    return open_stream(job, e);
}

/* What must be the same on each of them is so. */
static int compare_ranks(ds_job *job, ds_error *e)
{
    ds_ranks *r = job->setup.ranks;
    const ds_datafile *d = &job->data;
    const char *const files[] = {job->setup.data, job->setup.cfg, d->labels_path,
                                 d->names_path,   d->train,       d->valid};
    DS_TRY(ds_ranks_compare_files(r, files, sizeof files / sizeof *files, e));
    DS_TRY(ds_ranks_compare(r, "the weights to begin with", r ? ds_net_weights_hash(job->net) : 0, e));
    return ds_ranks_compare(r, "the number of images seen", job->seen, e);
}

/* Rank 0 first: what it mends of a damaged run the others find whole. */
int ds_job_open(ds_job *job, const ds_train_setup *setup, const ds_train_events *events, ds_error *e)
{
    ds_ranks *r = setup->ranks;
    DS_TRY(ds_ranks_agree(r, ds_job_inspect(job, setup, e), NULL, e));
    job->events = events;
    DS_TRY(ds_ranks_agree(r, ds_job_first(job) ? find_run(job, e) : DS_OK, NULL, e));
    int rc = ds_job_first(job) ? DS_OK : find_run(job, e);
    DS_TRY(ds_ranks_agree(r, rc ? rc : make_rest(job, e), NULL, e));
    return compare_ranks(job, e);
}

void ds_job_close(ds_job *job)
{
    ds_loader_free(job->stream);
    ds_cache_free(job->cache);
    free(job->losses);
    ds_mixtures_clear(&job->mixtures);
    ds_records_clear(&job->records);
    ds_optimizer_free(job->optimizer);
    ds_gradients_free(job->gradients);
    ds_average_clear(&job->mean);
    ds_net_free(job->net);
    ds_cfg_free(job->cfg);
    ds_results_clear(&job->results);
    ds_images_clear(&job->train);
    ds_images_clear(&job->valid);
    ds_datafile_clear(&job->data);
    ds_saved_close(&job->checkpoint);
    if (job->lock > 0)
        close(job->lock);
    free(job->folder);
    free(job->lost);
    free(job->cfg_text);
    free(job->base);
}
