#include "train/model.h"
#include "base/file.h"

#include "data/lines.h"

#include <inttypes.h>

const char *const ds_precision_flags[] = {"cfg", "f32", "tf32", "bf16", "auto", NULL};

const char *ds_precision_flag(int precision)
{
    return precision ? ds_precision_flags[precision] : NULL;
}

int ds_model_read_list(const ds_model *m, const char *list, bool labelled, ds_answers *a, ds_error *e)
{
    const ds_datafile *d = &m->data;
    ds_images images;
    int rc = ds_images_read(d, list, labelled, &images, e);
    if (rc) {
        ds_images_clear(&images);
        return rc;
    }
    if (!labelled)
        free(images.labels);
    free(images.keys);
    free(images.lines);
    a->n = (size_t)images.n;
    a->paths = images.paths;
    a->labels = labelled ? images.labels : NULL;
    a->file = images.list;
    for (int i = 0; i < d->classes; i++)
        DS_PUSH(a->names, a->classes, ds_strdup(d->labels[i]));
    return DS_OK;
}

static int read_list(ds_model *m, ds_which_list which, ds_answers *a, ds_error *e)
{
    const ds_datafile *d = &m->data;
    const char *key = which == DS_CALIB_LIST ? "calib" : which == DS_TEST_LIST && d->test ? "test" : "valid";
    const char *list = which == DS_CALIB_LIST             ? d->calib
                       : which == DS_TEST_LIST && d->test ? d->test
                                                          : d->valid;
    if (!list && which == DS_CALIB_LIST)
        return ds_fail_at(
            e, DS_EINPUT, d->path, 0,
            "no key 'calib', expected a list of images that set the threshold and are in no other "
            "list (`import … -split calib=N` makes one)");
    if (!list)
        return ds_fail_at(e, DS_EINPUT, d->path, 0, "no key '%s', expected a list of images",
                          which == DS_TEST_LIST ? "test' or 'valid" : "valid");
    a->name = ds_strdup(key);
    DS_TRY(ds_model_read_list(m, list, true, a, e));
    const ds_images calib = {.n = (int)a->n, .labels = a->labels, .list = (char *)a->file};
    if (which == DS_CALIB_LIST)
        free(ds_images_count(d, &calib, &m->notes));
    return DS_OK;
}

ds_net_setup ds_net_setup_of(const ds_run_flags *flags)
{
    return (ds_net_setup){.threads = flags->threads,
                          .backend = flags->backend,
                          .precision = ds_precision_flag(flags->precision),
                          .tune = flags->tune,
                          .verbose = flags->verbose,
                          .alone = flags->alone,
                          .features = flags->features};
}

static int load_weights(ds_net *net, const char *path, ds_error *e)
{
    ds_weights_info info;
    const int layers = ds_net_get_info(net)->layers;
    DS_TRY(ds_net_load_weights(net, path, -1, &info, e));
    if (info.loaded == layers)
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, path, 0,
                      "weights of the first %d layers, expected those of all %d (train from them first)",
                      info.loaded, layers);
}

/* One of the networks, whose cfg is there. What [reject] says of another than the first does not count. */
static int add_net(ds_model *m, const ds_cfg *cfg, const char *weights, const ds_answers *a,
                   const ds_run_flags *flags, ds_error *e)
{
    ds_net *net;
    DS_TRY(ds_check_classes(&m->data, cfg, e));
    ds_net_setup setup = ds_net_setup_of(flags);
    setup.batch = a ? ds_evaluation_batch(m->cfg, a->n) : m->batch;
    setup.notes = m->all.n ? NULL : &m->notes;
    setup.features = setup.features || (m->all.n && ds_cfg_reject(cfg) >= 0); /* its novelty= is not read */
    DS_TRY(ds_net_new(cfg, &setup, &net, e));
    int rc = ds_ensemble_add(&m->all, net, cfg, e);
    if (rc)
        ds_net_free(net);
    return rc ? rc : load_weights(net, weights, e);
}

/* ---- the mean of several answers ---- */

const char *ds_model_key(const ds_model *m, const char *key)
{
    const int reject = ds_cfg_reject(m->cfg);
    return reject < 0 ? NULL : ds_section_get(&m->cfg->sections[reject + 1], key);
}

/* What the flags say, else the cfg, whose files are found as those of a list are. */
static int choose_mean(ds_model *m, const char *weights, const ds_run_flags *flags, ds_error *e)
{
    const char *views = ds_model_key(m, "views"), *with = ds_model_key(m, "with");
    ds_near near = {0};
    long long asked = 1;
    if (!flags->with)
        near = ds_near_of(m->cfg->path, &m->notes);
    if (views)
        ds_parse_int(views, &asked);
    m->all.views = flags->views ? flags->views : (int)asked;
    m->other_mean = m->all.views != asked || (flags->with && (!with || strcmp(flags->with, with) != 0));
    m->with = flags->with ? flags->with : with;
    m->title = m->with            ? ds_format("%s views=%d with=%s", weights, m->all.views, m->with)
               : m->all.views > 1 ? ds_format("%s views=%d", weights, m->all.views)
                                  : ds_strdup(weights);
    DS_FREED char *copy = ds_strdup(m->with);
    char *rest = copy, *word;
    while ((word = strsep(&rest, ",")))
        DS_PUSH(m->files.v, m->files.n, ds_near_find(&near, word));
    free(near.dir);
    const int line =
        ds_section_line(&m->cfg->sections[ds_cfg_reject(m->cfg) + 1], "with"); /* [net] without one */
    const char *file = flags->with ? NULL : m->cfg->path;
    for (int i = 0; i < m->files.n && file; i++)
        if (!ds_path_exists(m->files.v[i]))
            return ds_fail_at(
                e, DS_EINPUT, file, line,
                "with=: '%s' cannot be opened, expected a file beside this one or in the current folder",
                m->files.v[i]);
    return m->files.n % 2
               ? ds_fail_at(e, DS_EINPUT, file, line,
                            "with=%s, expected pairs of CFG and WEIGHTS, names without commas", m->with)
               : DS_OK;
}

char *ds_model_weights(const ds_model *m)
{
    uint64_t hash = ds_net_weights_hash(m->net);
    for (int i = 1; i < m->all.n; i++) {
        const uint64_t more = ds_net_weights_hash(m->all.nets[i]);
        hash = ds_hash(hash, &more, sizeof more);
    }
    return ds_format("%016" PRIx64, hash);
}

void ds_model_tell_threshold(ds_model *m)
{
    const char *views = ds_model_key(m, "views"), *with = ds_model_key(m, "with");
    const char *then = ds_model_key(m, "weights");
    DS_FREED char *now = ds_model_weights(m);
    if (!ds_model_key(m, "threshold") && !ds_model_key(m, "thresholds"))
        return;
    if (then && strcmp(then, now) != 0 && !m->other_mean)
        ds_note(&m->notes,
                "warning: %s: the threshold was found with other weights than these: its promise holds for "
                "those alone (`calibrate` finds one for these)",
                m->cfg->path);
    if (m->other_mean)
        ds_note(&m->notes,
                "warning: %s: the threshold was found with views=%s%s%s, these answers with views=%d of %d "
                "network%s",
                m->cfg->path, views ? views : "1", with ? " with=" : "", with ? with : "", m->all.views,
                m->all.n, m->all.n == 1 ? "" : "s");
}

int ds_model_open(ds_model *m, const char *const *files, ds_which_list which, const ds_run_flags *flags,
                  ds_answers *a, ds_error *e)
{
    if (!m->data.path && files[0])
        DS_TRY(ds_datafile_read(files[0], &m->data, &m->notes, e));
    DS_TRY(ds_cfg_read(files[1], &m->cfg, &m->notes, e));
    if (which != DS_NO_LIST)
        DS_TRY(read_list(m, which, a, e));
    DS_TRY(choose_mean(m, files[2], flags, e));
    DS_TRY(add_net(m, m->cfg, files[2], a, flags, e));
    m->net = m->all.nets[0];
    for (int i = 0; i + 1 < m->files.n; i += 2) {
        ds_cfg **cfg = &m->cfgs[m->all.n % DS_MOST_NETS];
        DS_TRY(ds_cfg_read(m->files.v[i], cfg, &m->notes, e));
        DS_TRY(add_net(m, *cfg, m->files.v[i + 1], a, flags, e));
    }
    return DS_OK;
}

int ds_model_compare(const ds_model *m, const char *list, ds_ranks *r, ds_error *e)
{
    const ds_datafile *d = &m->data;
    if (!r)
        return DS_OK;
    ds_near near = ds_near_of(m->cfg->path, NULL);
    DS_FREED char *dir = near.dir;
    DS_FREED char *novelty = ds_net_novelty(m->net) ? ds_near_find(&near, ds_model_key(m, "novelty")) : NULL;
    const char *const files[] = {d->path, m->cfg->path, novelty, d->labels_path, d->names_path, list};
    DS_TRY(ds_ranks_compare_files(r, files, sizeof files / sizeof *files, e));
    DS_TRY(ds_ranks_compare_files(r, (const char *const *)m->files.v, m->files.n, e));
    for (int i = 0; i < m->all.n; i++)
        DS_TRY(ds_ranks_compare(r, "the weights", ds_net_weights_hash(m->all.nets[i]), e));
    return DS_OK;
}

void ds_model_close(ds_model *m)
{
    for (int i = 0; i < m->all.n; i++)
        ds_net_free(m->all.nets[i]);
    for (int i = 0; i < DS_MOST_NETS; i++)
        ds_cfg_free(m->cfgs[i]);
    free(m->all.view);
    free(m->all.logits);
    free(m->all.pools);
    ds_free_texts(m->files.v, m->files.n);
    free(m->title);
    ds_cfg_free(m->cfg);
    ds_datafile_clear(&m->data);
    ds_notes_clear(&m->notes);
    *m = (ds_model){0};
}
