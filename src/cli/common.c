#include "cli/common.h"

#include "base/file.h"
#include "data/lines.h"
#include "train/evaluate.h"

#include <math.h>
#include <string.h>
#include <stdlib.h>

/* ---- printing ---- */

/* "28 x 28 x 16", or the count where there is no image shape. */
static void shape_text(char *text, size_t size, int w, int h, int c, int count)
{
    if (w > 0 && h > 0 && c > 0)
        snprintf(text, size, "%d x %d x %d", w, h, c);
    else
        snprintf(text, size, "%d", count);
}

void ds_print_layers(const ds_net *net, FILE *out)
{
    const ds_net_info *info = ds_net_get_info(net);
    size_t parameters = 0;
    double flops = 0;
    fprintf(out, "%5s  %-16s %-18s %-18s %12s %10s\n", "layer", "name", "input", "output", "parameters",
            "MFLOP");
    for (int i = 0; i < info->layers; i++) {
        ds_layer_row r;
        char in[40], to[40];
        ds_net_layer_row(net, i, &r);
        shape_text(in, sizeof in, r.in_w, r.in_h, r.in_c, r.inputs);
        shape_text(to, sizeof to, r.out_w, r.out_h, r.out_c, r.outputs);
        fprintf(out, "%5d  %-16s %-18s %-18s %12zu %10.3f\n", i, r.name, in, to, r.parameters, r.flops / 1e6);
        parameters += r.parameters;
        flops += r.flops;
    }
    fprintf(out, "%5s  %-16s %-18s %-18s %12zu %10.3f\n", "total", "", "", "", parameters, flops / 1e6);
}

/* flops: of one direction, all images of a pass. A layer without time was computed together with the one before. */
static void print_time(FILE *out, double seconds, double flops, const ds_times *p)
{
    if (seconds <= 0)
        fprintf(out, " %10s %9s", "", "");
    else if (flops <= 0)
        fprintf(out, " %10.3f %9s", 1e3 * seconds / (double)p->passes, "");
    else
        fprintf(out, " %10.3f %9.1f", 1e3 * seconds / (double)p->passes,
                flops * (double)p->passes / seconds * 1e-9);
}

static void print_share(FILE *out, const char *what, double seconds, const ds_times *p)
{
    fprintf(out, "%5s  %-16s %10.3f %9s %10s %9s %7.2f %%\n", "", what, 1e3 * seconds / (double)p->passes, "",
            "", "", 100 * seconds / p->total);
}

void ds_print_profile(const ds_net *net, const ds_times *p, FILE *out)
{
    const ds_layer_time *times = ds_net_profile(net);
    double rest = p->total - p->waiting - p->update;
    fprintf(out, "profile of %ld passes of %d images, backend %s\n", p->passes, p->images,
            ds_net_backend(net));
    fprintf(out, "%5s  %-16s %10s %9s %10s %9s %9s\n", "layer", "name", "forward ms", "GFLOP/s", "backward",
            "GFLOP/s", "share");
    for (int i = 0; times && i < ds_net_get_info(net)->layers; i++) {
        ds_layer_row r;
        ds_net_layer_row(net, i, &r);
        double sum = times[i].forward + times[i].backward, flops = r.flops * p->images;
        fprintf(out, "%5d  %-16s", i, r.name);
        print_time(out, times[i].forward, flops, p);
        print_time(out, times[i].backward, 2 * flops, p);
        fprintf(out, " %7.2f %%\n", 100 * sum / p->total);
        rest -= sum;
    }
    if (p->update > 0)
        print_share(out, "update", p->update, p);
    print_share(out, "waiting for data", p->waiting, p);
    print_share(out, "rest", rest, p);
    print_share(out, "all", p->total, p);
    fprintf(out, "%.1f images/s\n", (double)p->passes * p->images / p->total);
}

void ds_print_notes(ds_notes *notes, FILE *out)
{
    for (int i = 0; i < notes->n; i++)
        fprintf(out, "%s\n", notes->text[i]);
    ds_notes_clear(notes);
}

/* ---- flags ---- */

const char *const ds_backend_names[] = {"onednn", "host", NULL};

int ds_check_operands(const char *const *words, int needed, int n, ds_error *e)
{
    if (n >= needed)
        return DS_OK;
    char all[256] = "";
    for (int i = 0, at = 0; i < needed && at < (int)sizeof all; i++)
        at += snprintf(all + at, sizeof all - (size_t)at, "%s%s", i ? " " : "", words[i]);
    return ds_fail(e, DS_EUSAGE, "%s is missing, expected %s", words[n], all);
}

static int bad_fraction(const char *flag, double value, const char *expected, ds_error *e)
{
    if (value > 1 && value <= 100)
        return ds_fail(e, DS_EUSAGE, "-%s %g, expected %s; did you mean %g?", flag, value, expected,
                       value / 100);
    return ds_fail(e, DS_EUSAGE, "-%s %g, expected %s", flag, value, expected);
}

int ds_check_fraction(const char *flag, double value, ds_error *e)
{
    if (isnan(value) || (value > 0 && value <= 1))
        return DS_OK;
    return bad_fraction(flag, value, "a fraction in (0, 1]", e);
}

int ds_check_inside(const char *flag, double value, ds_error *e)
{
    int rc = ds_check_fraction(flag, value, e);
    if (!rc && value == 1)
        rc = ds_fail(e, DS_EUSAGE, "-%s 1, expected a number between 0 and 1", flag);
    return rc;
}

int ds_check_promise(double risk, double delta, ds_error *e)
{
    if (isnan(risk) != isnan(delta))
        return ds_fail(e, DS_EUSAGE, "%s, expected both or none",
                       isnan(risk) ? "-delta without -risk" : "-risk without -delta");
    int rc = ds_check_inside("risk", risk, e);
    return rc ? rc : ds_check_inside("delta", delta, e);
}

int ds_check_probability(const char *flag, double value, ds_error *e)
{
    if (isnan(value) || (value >= 0 && value <= 1))
        return DS_OK;
    return bad_fraction(flag, value, "a probability in [0, 1]", e);
}

/* ---- results must not replace what they are made from ---- */

bool ds_is_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

int ds_keep_input(const char *flag, const char *path, const char *input, ds_error *e)
{
    if (!path || !input || ds_is_stdout(path) || !ds_path_same(path, input))
        return DS_OK;
    return ds_fail(e, DS_EUSAGE, "-%s %s would overwrite %s, which it is made from, expected another file",
                   flag, path, input);
}

int ds_keep_listed(const ds_datafile *d, int (*keep)(const void *arg, const char *input, ds_error *e),
                   const void *arg, ds_error *e)
{
    const char *const files[] = {d->train, d->valid, d->calib, d->test, d->labels_path, d->names_path};
    int rc = DS_OK;
    for (size_t i = 0; i < sizeof files / sizeof *files && !rc; i++) {
        char *path = files[i] ? ds_path_near(files[i], d->path) : NULL;
        rc = files[i] && !path ? ds_fail_memory(e) : keep(arg, path, e);
        free(path);
    }
    return rc;
}

/* ---- a trained network and its images ---- */

static int read_list(ds_model *m, ds_which_list which, ds_error *e)
{
    const ds_datafile *d = &m->data;
    if (which == DS_NO_LIST)
        return DS_OK;
    if (which == DS_CALIB_LIST && !d->calib)
        return ds_fail_at(
            e, DS_EINPUT, d->path, 0,
            "no key 'calib', expected a list of images that set the threshold and are in no other "
            "list (`import … -split calib=N` makes one)");
    if (which == DS_CALIB_LIST) {
        m->list_key = "calib";
        return ds_images_read(d, d->calib, &m->images, e);
    }
    bool test = which == DS_TEST_LIST && d->test;
    if (!test && !d->valid)
        return ds_fail_at(e, DS_EINPUT, d->path, 0, "no key '%s', expected a list of images",
                          which == DS_TEST_LIST ? "test' or 'valid" : "valid");
    m->list_key = test ? "test" : "valid";
    return ds_images_read(d, test ? d->test : d->valid, &m->images, e);
}

/* Images at once: as many as the cfg's sub-batch holds in memory, some more where it trains one by one, never
 * more than there are. */
static int evaluation_batch(const ds_cfg *cfg, int images)
{
    enum { FEWEST = 16, MOST = 128 };
    int batch = cfg->net.batch / (cfg->net.subdivisions > 0 ? cfg->net.subdivisions : 1);
    batch = batch < FEWEST ? FEWEST : batch > MOST ? MOST : batch;
    if (images < batch)
        batch = images;
    return batch > 0 ? batch : 1;
}

ds_net_setup ds_net_setup_of(const ds_run_flags *flags)
{
    return (ds_net_setup){
        .threads = flags->threads, .backend = ds_backend_names[flags->backend], .verbose = flags->verbose};
}

static int make_net(ds_model *m, ds_which_list which, const ds_run_flags *flags, ds_error *e)
{
    int reject;
    if (ds_cfg_cost(m->cfg, &reject) < 0)
        return ds_fail_at(
            e, DS_EINPUT, m->cfg->path, m->cfg->sections[m->cfg->n - 1].line,
            "the network ends without class probabilities, expected a cost section ([softmax], [sat])");
    ds_net_setup setup = ds_net_setup_of(flags);
    setup.batch = which == DS_NO_LIST ? m->batch : evaluation_batch(m->cfg, m->images.n);
    setup.notes = &m->notes;
    int rc = ds_net_new(m->cfg, &setup, &m->net, e);
    return rc ? rc : ds_check_classes(&m->data, m->net, m->cfg, e);
}

static int load_weights(ds_model *m, const char *path, ds_error *e)
{
    ds_weights_info info;
    int rc = ds_net_load_weights(m->net, path, -1, &info, e), layers = ds_net_get_info(m->net)->layers;
    if (!rc && info.loaded < layers)
        rc = ds_fail_at(e, DS_EINPUT, path, 0,
                        "weights of the first %d layers, expected those of all %d (train from them first)",
                        info.loaded, layers);
    return rc;
}

int ds_model_open(ds_model *m, const ds_model_files *files, ds_which_list which, const ds_run_flags *flags,
                  ds_error *e)
{
    int rc = m->data.path ? DS_OK : ds_datafile_read(files->data, &m->data, e);
    if (!rc)
        rc = ds_cfg_read(files->cfg, &m->cfg, &m->notes, e);
    if (!rc)
        rc = read_list(m, which, e);
    if (!rc)
        rc = make_net(m, which, flags, e);
    return rc ? rc : load_weights(m, files->weights, e);
}

void ds_model_close(ds_model *m)
{
    ds_net_free(m->net);
    ds_cfg_free(m->cfg);
    ds_images_clear(&m->images);
    ds_datafile_clear(&m->data);
    ds_notes_clear(&m->notes);
    *m = (ds_model){0};
}

int ds_model_evaluate_images(ds_model *m, const ds_images *images, const ds_run_flags *flags,
                             int (*each)(void *arg, int image, const float *logits), void *arg, ds_error *e)
{
    ds_times times = {0};
    ds_eval_setup setup = {.loaders = ds_loader_threads(flags->loaders),
                           .cache_bytes = (size_t)flags->cache << 20,
                           .times = &times};
    int rc = flags->profile ? ds_net_profile_start(m->net, e) : DS_OK;
    if (!rc)
        rc = ds_evaluate(m->net, images, &setup, each, arg, e);
    if (!rc && flags->profile)
        ds_print_profile(m->net, &times, stderr);
    return rc;
}

int ds_model_evaluate(ds_model *m, const ds_run_flags *flags,
                      int (*each)(void *arg, int image, const float *logits), void *arg, ds_error *e)
{
    return ds_model_evaluate_images(m, &m->images, flags, each, arg, e);
}
