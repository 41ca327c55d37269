/* The readers of the product as the fuzzer and tests/unit/test_corpus.c call them. An input of several files is
 * these files with a line "----" between them. */
#include "tests/fuzz/targets.h"

#include "base/file.h"
#include "base/problem.h"
#include "base/text.h"
#include "data/data.h"
#include "data/image.h"
#include "import/import.h"
#include "data/labels.h"
#include "data/lines.h"
#include "report/report.h"
#include "train/job.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- bytes as files ---- */

/* In memory; the folder has links to them, so that "101" in the .data file is the second one. */
enum { FILES = 4 };
static char folder[] = "/tmp/ds_fuzz_XXXXXX";
static const char *const names[FILES] = {"100", "101", "102", "103"};
static char *paths[FILES];
static int files[FILES];

static void remove_folder(void)
{
    for (int i = 0; i < FILES; i++)
        unlink(paths[i]);
    rmdir(folder);
}

static void make_folder(void)
{
    if (!mkdtemp(folder) || atexit(remove_folder))
        abort();
    for (int i = 0; i < FILES; i++) {
        files[i] = memfd_create("fuzz", MFD_CLOEXEC);
        char *target = ds_format("/proc/self/fd/%d", files[i]);
        paths[i] = ds_path_join(folder, names[i]);
        if (files[i] < 0 || symlink(target, paths[i]))
            abort();
        free(target);
    }
}

static const char *put(int i, const void *bytes, size_t n)
{
    if (!paths[0])
        make_folder();
    if (ftruncate(files[i], 0) || pwrite(files[i], bytes, n, 0) != (ssize_t)n)
        abort();
    return paths[i];
}

/* The parts of an input become the files; what is not there is empty. */
static void put_parts(const uint8_t *bytes, size_t n)
{
    static const char border[] = "----\n";
    const size_t border_length = sizeof border - 1;
    for (int i = 0; i < FILES; i++) {
        const uint8_t *end = i + 1 < FILES ? memmem(bytes, n, border, border_length) : NULL;
        const size_t length = end ? (size_t)(end - bytes) : n;
        put(i, bytes, length);
        bytes += end ? length + border_length : n;
        n -= end ? length + border_length : n;
    }
}

/* ---- networks ---- */

static bool run_cfg(const uint8_t *bytes, size_t n, ds_error *e)
{
    static const ds_pair reject[] = {{(char *)"threshold", (char *)"0.5", 0},
                                     {(char *)"temperature", NULL, 0}};
    const char *path = put(0, bytes, n);
    ds_notes notes = {0};
    ds_cfg *cfg;
    char *text, *edited;
    int line;
    ds_cfg_file_plugin(path, &line);
    ds_cfg_read(path, &cfg, NULL, NULL); /* ends at the first failure */
    ds_cfg_free(cfg);
    int rc = ds_cfg_read(path, &cfg, &notes, e);
    if (cfg)
        ds_cfg_check_training(cfg, &notes, e);
    if (!rc) {
        ds_cfg_cost(cfg);
        free(ds_cfg_base(cfg));
        free(ds_cfg_lower(cfg, 0, 0));
        free(ds_cfg_lower(cfg, 8, 2));
    }
    ds_cfg_free(cfg);
    if (!rc && !ds_file_read_text(path, "a cfg", &text, e)) {
        ds_cfg_edit_reject(text, path, reject, 2, &edited, e);
        free(edited);
        free(text);
    }
    ds_notes_clear(&notes);
    return !rc;
}

/* No number above 16: what it takes stays small. */
static bool has_small_numbers(const char *text)
{
    while (*(text += strcspn(text, "0123456789"))) {
        const size_t digits = strspn(text, "0123456789");
        if (digits > 2 || (digits == 2 && strncmp(text, "16", 2) > 0))
            return false;
        text += digits;
    }
    return true;
}

/* A step of training where the network can be trained, then an answer, as Darknet's own code does it. */
static bool run_net(const ds_cfg *cfg, ds_error *e)
{
    enum { MOST = 16 };
    const bool train = !ds_cfg_check_training(cfg, NULL, e);
    const ds_net_setup setup = {.batch = train ? 0 : 2,
                                .train = train,
                                .samples = train ? MOST : 0,
                                .epochs = train ? 9 : 0,
                                .threads = 1,
                                .backend = "host"};
    const int labels[MOST] = {0};
    const uint32_t ids[MOST] = {0};
    double loss[MOST];
    ds_net *net;
    if (ds_net_new(cfg, &setup, &net, e))
        return false;
    const ds_net_info *info = ds_net_get_info(net);
    float *pixels;
    DS_ZALLOC(pixels, (size_t)info->batch * (size_t)info->inputs);
    if (train && info->classes > 0 && info->batch <= MOST)
        ds_net_train(net, pixels, labels, ids, 1, loss, e);
    int rc = ds_net_forward(net, pixels, 1, e);
    free(pixels);
    ds_net_free(net);
    return train && !rc;
}

static bool run_network(const uint8_t *bytes, size_t n, ds_error *e)
{
    const char *path = put(0, bytes, n);
    ds_cfg *cfg = NULL;
    char *text;
    if (ds_file_read_text(path, "a cfg", &text, e))
        return false;
    bool whole = has_small_numbers(text) && !ds_cfg_parse(text, path, &cfg, NULL, e) && run_net(cfg, e);
    ds_cfg_free(cfg);
    free(text);
    return whole;
}

static const char small_cfg[] = "[net]\nwidth=2\nheight=2\nchannels=1\nbatch=2\nadam=1\n[conv]\nfilters=2\n"
                                "batch_normalize=1\n[connected]\noutput=3\n[sat]\ntarget=ema\n";

/* A network of 37 parameters, as a run of three images that is about to go on. */
static ds_job *small_job(ds_error *e)
{
    static ds_job job;
    static uint64_t keys[] = {7, 5, 6};
    static char *image_paths[] = {(char *)"a", (char *)"b", (char *)"c"};
    const ds_net_setup setup = {.train = true, .samples = 3, .epochs = 9, .threads = 1, .backend = "host"};
    int n;
    if (job.net)
        return &job;
    if (ds_cfg_parse(small_cfg, "small.cfg", &job.cfg, NULL, e) || ds_net_new(job.cfg, &setup, &job.net, e)) {
        ds_error_print(e, stderr);
        abort();
    }
    job.setup.program = "darknet-sat";
    job.cfg_text = ds_strdup(small_cfg);
    job.base = ds_strdup(names[0]);
    job.info = ds_net_get_info(job.net);
    job.train = (ds_images){.n = 3, .paths = image_paths, .keys = keys, .list = (char *)"list"};
    const ds_param *params = ds_net_params(job.net, &n);
    job.optimizer = ds_optimizer_new(&job.cfg->net, params, n, 2);
    job.records = ds_records_new(3);
    job.warmup = ds_warmup_begin(DS_WARMUP_AUTO, 8, 2);
    return &job;
}

static bool run_weights(const uint8_t *bytes, size_t n, ds_error *e)
{
    ds_net *net = small_job(e)->net;
    ds_weights_info info;
    const char *path = put(0, bytes, n);
    for (int upto = 0; upto < 3; upto++)
        ds_net_load_weights(net, path, upto, &info, e);
    return !ds_net_load_weights(net, path, -1, &info, e);
}

/* ---- checkpoints ---- */

static bool run_checkpoint(const uint8_t *bytes, size_t n, ds_error *e)
{
    ds_job *job = small_job(e);
    char *link = ds_format("%s.ckpt", put(0, bytes, n));
    job->folder = folder;
    if (symlink(names[0], link))
        abort();
    bool whole = !ds_checkpoint_open(job, e) && !ds_checkpoint_restore(job, e);
    ds_saved_close(&job->checkpoint);
    unlink(link);
    free(link);
    return whole;
}

int ds_fuzz_write_checkpoint(const char *to, ds_error *e)
{
    ds_job *job = small_job(e);
    job->folder = (char *)to;
    return ds_checkpoint_write(job, e);
}

/* ---- .data files, lists, labels ---- */

/* Parts: the .data file, labels ("101"), names ("102"). */
static bool run_data(const uint8_t *bytes, size_t n, ds_error *e)
{
    ds_datafile d;
    put_parts(bytes, n);
    int rc = ds_datafile_read(paths[0], &d, NULL, e);
    ds_datafile_clear(&d);
    return !rc;
}

/* The list as a command reads it that answers images as they come. */
static void run_feed(const char *path, ds_error *e)
{
    ds_feed feed;
    char *line;
    bool later;
    if (ds_feed_open(&feed, path, e))
        return;
    while (!ds_feed_next(&feed, -1, &line, &later, e) && line)
        ds_line_label(line);
    ds_feed_close(&feed);
}

/* Parts: labels, the list. */
static bool run_list(const uint8_t *bytes, size_t n, ds_error *e)
{
    static const char *const froms[] = {"substring", "directory", "filename", "list"};
    bool whole = false;
    put_parts(bytes, n);
    for (int k = 0; k < 4; k++) {
        ds_images images;
        ds_datafile d;
        char *text = ds_format("labels=100\nlabels_from=%s\n", froms[k]);
        int rc = ds_datafile_read(put(3, text, strlen(text)), &d, NULL, e);
        free(text);
        for (int labelled = 0; labelled < 2 && !rc; labelled++) {
            whole |= !ds_images_read(&d, paths[1], labelled, &images, e) && labelled;
            ds_images_clear(&images);
        }
        ds_datafile_clear(&d);
    }
    run_feed(paths[1], e);
    return whole;
}

/* Parts: labels, a text to find them in. */
static bool run_labels(const uint8_t *bytes, size_t n, ds_error *e)
{
    ds_label_index *index;
    ds_matches matches = {0};
    char **labels, *text;
    int count;
    put_parts(bytes, n);
    if (ds_labels_read(paths[0], "label", &labels, &count, e))
        return false;
    if (!ds_label_index_new(labels, count, paths[0], &index, e) &&
        !ds_file_read_text(paths[1], "a path", &text, e)) {
        ds_label_index_search(index, text, &matches);
        free(text);
    }
    ds_label_index_free(index);
    ds_free_texts(labels, count);
    return matches.count > 0;
}

/* ---- answers ---- */

/* Rows as they come; -1: the file was refused. */
static long count_rows(const char *path, ds_error *e)
{
    ds_csv csv;
    bool more = true;
    long rows = 0;
    int rc = ds_csv_open(&csv, path, "rows", e);
    while (!rc && !(rc = ds_csv_next(&csv, &more, e)) && more)
        rows++;
    ds_csv_close(&csv);
    return rc ? -1 : rows;
}

static bool run_csv(const uint8_t *bytes, size_t n, ds_error *e)
{
    const char *path = put(0, bytes, n);
    int rc = DS_OK;
    for (int labelled = 0; labelled < 2; labelled++) {
        ds_answers a = {0}, again = {0};
        rc = ds_report_csv_read(path, labelled, &a, e);
        if (!rc && labelled && a.paths &&
            (ds_report_csv_read(path, true, &again, e) || ds_answers_match(&a, &again, e)))
            abort(); /* the same file matches itself */
        if (!rc && count_rows(path, e) != (long)a.n)
            abort(); /* both readers see the same rows */
        ds_answers_clear(&a);
        ds_answers_clear(&again);
    }
    return !rc;
}

static bool run_results(const uint8_t *bytes, size_t n, ds_error *e)
{
    ds_results r;
    int rc = ds_results_open(&r, put(0, bytes, n), 100, e);
    ds_results_clear(&r);
    return !rc;
}

/* ---- archives ---- */

/* Read, but written nowhere: not below a file. True: this is all that failed. */
static bool import(ds_import s, ds_error *e)
{
    ds_imported done;
    char *out = ds_path_join(paths[0], "out");
    s.out = out;
    if (!ds_import_run(&s, &done, e))
        abort();
    bool whole = strcmp(e->file, out) == 0;
    free(out);
    return whole;
}

/* Parts: images, labels, names; each also as .gz. */
static bool run_idx(const uint8_t *bytes, size_t n, ds_error *e)
{
    ds_import s = {.kind = DS_IDX};
    put_parts(bytes, n);
    s.source[0] = s.test[0] = paths[0];
    s.source[1] = s.test[1] = paths[1];
    import(s, e);
    s.names = paths[2];
    return import(s, e);
}

/* A .tar, .tar.gz or .zip. */
static bool run_cifar(const uint8_t *bytes, size_t n, ds_error *e)
{
    ds_import s = {.source[0] = put(0, bytes, n)};
    bool whole = false;
    for (s.kind = DS_CIFAR10; s.kind <= DS_CIFAR100; s.kind++)
        whole |= import(s, e);
    return whole;
}

/* An empty file in a folder a class; names that a file cannot have are left out. */
static void make_image(const char *tree, const char *class, const char *name)
{
    if (!name || strchr(name, '/') || strcmp(class, "..") == 0 || strcmp(name, "..") == 0)
        return;
    char *dir = ds_path_join(tree, class), *path = ds_path_join(dir, name);
    mkdir(dir, 0777);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0)
        close(fd);
    free(dir);
    free(path);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

/* Lines of CLASS/NAME: folders of images. */
static bool run_folders(const uint8_t *bytes, size_t n, ds_error *e)
{
    enum { MOST_DEEP = 4 };
    put(0, "", 0);
    char *tree = ds_path_join(folder, "tree"), *text = ds_strndup((const char *)bytes, n), *rest = text,
         *line;
    mkdir(tree, 0777);
    while ((line = strsep(&rest, "\n"))) {
        const char *class = strsep(&line, "/");
        make_image(tree, class, line);
    }
    bool whole = import((ds_import){.kind = DS_FOLDERS, .source[0] = tree}, e);
    if (nftw(tree, remove_entry, MOST_DEEP, FTW_DEPTH | FTW_PHYS))
        abort();
    free(tree);
    free(text);
    return whole;
}

/* ---- images ---- */

static bool run_image(const uint8_t *bytes, size_t n, ds_error *e)
{
    const ds_augment augment = {.w = 8,
                                .h = 8,
                                .min_size = 8,
                                .max_size = 16,
                                .angle = 7,
                                .aspect = .75,
                                .saturation = .75,
                                .exposure = .75,
                                .hue = .1,
                                .flip = true};
    float out[3 * 8 * 8];
    int rc = DS_OK;
    for (int channels = 1; channels <= 3; channels += 2) {
        ds_image im = {0};
        if ((rc = ds_image_decode(bytes, n, "image", channels, &im, e)))
            continue;
        ds_prepare_center(&im, 8, 8, out);
        ds_rng r = ds_rng_make(1, 2, 3);
        const ds_draw draw = ds_augment_draw(&augment, im.w, im.h, &r);
        ds_augment_apply(&im, &augment, &draw, out);
        ds_image_clear(&im);
    }
    return !rc;
}

const ds_fuzz_target ds_fuzz_targets[] = {
    {"cfg", run_cfg},         {"network", run_network},
    {"data", run_data},       {"list", run_list},
    {"labels", run_labels},   {"csv", run_csv},
    {"weights", run_weights}, {"checkpoint", run_checkpoint},
    {"idx", run_idx},         {"cifar", run_cifar},
    {"folders", run_folders}, {"results", run_results},
    {"image", run_image},     {0},
};

/* As the program does: all failures are kept and printed. */
bool ds_fuzz_run(const ds_fuzz_target *t, const uint8_t *bytes, size_t n)
{
    static FILE *nowhere;
    ds_problems all = {0};
    ds_error e = {.all = &all};
    if (!nowhere && !(nowhere = fopen("/dev/null", "w")))
        abort();
    bool whole = t->run(bytes, n, &e);
    ds_problems_print(&all, nowhere);
    ds_problems_clear(&all);
    return whole;
}

const ds_fuzz_target *ds_fuzz_find(const char *name)
{
    for (const ds_fuzz_target *t = ds_fuzz_targets; t->name; t++)
        if (name && strcmp(t->name, name) == 0)
            return t;
    return NULL;
}
