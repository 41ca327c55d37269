#include "cli/model.h"

#include "base/memory.h"
#include "base/text.h"
#include "cli/print.h"
#include "data/loader.h"

#include <stdlib.h>

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
    return ds_model_read_list(m, list, true, a, e);
}

ds_net_setup ds_net_setup_of(const ds_run_flags *flags)
{
    return (ds_net_setup){.threads = flags->threads,
                          .backend = ds_backend_names[flags->backend],
                          .precision = ds_precision_flag(flags->precision),
                          .verbose = flags->verbose,
                          .features = flags->features};
}

static int make_net(ds_model *m, const ds_answers *a, const ds_run_flags *flags, ds_error *e)
{
    DS_TRY(ds_check_classes(&m->data, m->cfg, e));
    ds_net_setup setup = ds_net_setup_of(flags);
    setup.batch = a ? ds_evaluation_batch(m->cfg, a->n) : m->batch;
    setup.notes = &m->notes;
    return ds_net_new(m->cfg, &setup, &m->net, e);
}

static int load_weights(ds_model *m, const char *path, ds_error *e)
{
    ds_weights_info info;
    const int layers = ds_net_get_info(m->net)->layers;
    DS_TRY(ds_net_load_weights(m->net, path, -1, &info, e));
    if (info.loaded == layers)
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, path, 0,
                      "weights of the first %d layers, expected those of all %d (train from them first)",
                      info.loaded, layers);
}

int ds_model_open(ds_model *m, const char *const *files, ds_which_list which, const ds_run_flags *flags,
                  ds_answers *a, ds_error *e)
{
    if (!m->data.path)
        DS_TRY(ds_datafile_read(files[0], &m->data, &m->notes, e));
    DS_TRY(ds_cfg_read(files[1], &m->cfg, &m->notes, e));
    if (which != DS_NO_LIST)
        DS_TRY(read_list(m, which, a, e));
    DS_TRY(make_net(m, a, flags, e));
    return load_weights(m, files[2], e);
}

void ds_model_close(ds_model *m)
{
    ds_net_free(m->net);
    ds_cfg_free(m->cfg);
    ds_datafile_clear(&m->data);
    ds_notes_clear(&m->notes);
    *m = (ds_model){0};
}

int ds_model_answer(ds_model *m, const ds_run_flags *flags, ds_eval_setup how, ds_answers *a, ds_error *e)
{
    ds_times times = {0};
    how.loaders = ds_loader_threads(flags->loaders);
    how.times = &times;
    if (flags->profile)
        ds_net_profile_start(m->net);
    DS_TRY(ds_evaluate(m->net, &how, a, e));
    size_t none = 0;
    for (size_t i = 0; i < a->n; i++)
        none += a->predictions[i] < 0;
    ds_print_unanswered(none, a->n, stderr);
    if (flags->profile)
        ds_print_profile(m->net, &times, stderr);
    return DS_OK;
}
