/* classifier noise DATA -rate R -out LIST: a list with wrong labels, to try what they do, and the truth. */
#include "base/rng.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/place.h"
#include "cli/print.h"

#include <limits.h>

typedef struct noise_flags {
    double rate;
    bool pairs;
    int list, seed;
    char *out;
} noise_flags;

static const char *const list_names[] = {"train", "valid", "calib", "test", NULL};

#define DS_STATE noise_flags
const ds_option ds_noise_options[] = {
    OPT_REAL("rate", rate, "share of the images that get a wrong label, from 0 to below 1 (required)",
             .unit = "R"),
    OPT_FLAG("pairs", pairs,
             "a wrong label is the class behind the right one in labels=, not any other with equal chance"),
    OPT_ENUM("list", list, list_names, "which list of DATA", .def = "train"),
    OPT_INT("seed", seed, "decides which images and labels", .def = "1", OPT_RANGE(0, INT_MAX)),
    OPT_TEXT("out", out, "write PATH<tab>LABEL a line, and the right labels to LIST.truth (required)",
             .unit = "LIST"),
    OPT_END,
};

static int check_flags(const noise_flags *s, ds_error *e)
{
    if (!(s->rate >= 0 && s->rate < 1))
        return ds_fail(e, DS_EUSAGE, "%s, expected -rate R, a number from 0 to below 1",
                       isnan(s->rate) ? "no -rate" : "-rate is out of range");
    if (!s->out || !*s->out || ds_is_stdout(s->out))
        return ds_fail(e, DS_EUSAGE, "no -out, expected -out LIST, the file to write");
    return DS_OK;
}

/* Wrong labels for as many images as the rate says, chosen by the seed; returns how many. */
static int mislabel(int *labels, int n, int classes, const noise_flags *s)
{
    const int wrong = (int)lround(s->rate * n);
    ds_rng r = ds_rng_make((uint64_t)s->seed, (uint64_t)n, (uint64_t)classes);
    DS_FREED uint32_t *order = DS_ALLOC(order, (size_t)n);
    for (int i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    ds_rng_shuffle(&r, order, (uint32_t)n);
    for (int i = 0; i < wrong; i++) {
        const uint64_t step = s->pairs ? 1 : 1 + ds_rng_below(&r, (uint64_t)classes - 1);
        int *label = &labels[order[i]];
        *label = (int)(((uint64_t)*label + step) % (uint64_t)classes);
    }
    return wrong;
}

static void put_list(const ds_datafile *d, const ds_images *images, FILE *f)
{
    for (int i = 0; i < images->n; i++)
        ds_print_labelled(f, images->paths[i], d->labels[images->labels[i]]);
}

/* Both files or none. */
static int write_lists(const ds_datafile *d, ds_images *images, const noise_flags *s, ds_error *e)
{
    DS_FINALLY(ds_outputs_clear) ds_outputs outputs = {0};
    DS_FREED char *truth = ds_format("%s.truth", s->out);
    FILE *right, *noisy;
    DS_TRY(ds_outputs_add(&outputs, "out", truth, &right, e));
    DS_TRY(ds_outputs_add(&outputs, "out", s->out, &noisy, e));
    DS_TRY(ds_outputs_keep(&outputs, (const char *const *)&d->path, 1, e));
    DS_TRY(ds_outputs_keep_listed(&outputs, d, e));
    DS_TRY(ds_outputs_keep(&outputs, (const char *const *)images->paths, (size_t)images->n, e));
    DS_TRY(ds_outputs_open(&outputs, e));
    put_list(d, images, right);
    const int wrong = mislabel(images->labels, images->n, d->classes, s);
    put_list(d, images, noisy);
    DS_TRY(ds_outputs_commit(&outputs, e));
    printf("%d images, %d of them with a wrong label", images->n, wrong);
    ds_put_line(stdout, ": ", s->out);
    ds_put_line(stdout, "the right ones: ", truth);
    DS_FREED char *key =
                      ds_format("to train with them, in a copy of the .data file, labels_from=list and %s=",
                                list_names[s->list]),
                  *whole = realpath(s->out, NULL);
    ds_put_line(stdout, key, whole ? whole : s->out);
    for (int k = 0; k < 4 && d->labels_from != DS_LIST; k++)
        if (k != s->list && d->files[k])
            printf("and a list with labels for %s=, by -list %s -rate 0\n", list_names[k], list_names[k]);
    return DS_OK;
}

static int noise(const char *data, const noise_flags *s, ds_notes *notes, ds_error *e)
{
    DS_FINALLY(ds_datafile_clear) ds_datafile d = {0};
    DS_FINALLY(ds_images_clear) ds_images images = {0};
    DS_TRY(ds_datafile_read(data, &d, notes, e));
    const char *list = d.files[s->list];
    if (!list || d.classes < 2)
        return ds_fail_at(e, DS_EINPUT, data, 0, "%s%s, expected a list of images of two classes or more",
                          list ? "has one class" : list_names[s->list], list ? "" : "= is missing");
    DS_TRY(ds_check_labelled(&d, e));
    DS_TRY(ds_images_read(&d, list, true, &images, e));
    return write_lists(&d, &images, s, e);
}

int ds_cmd_noise(int argc, char **argv, ds_error *e)
{
    noise_flags s = {0};
    DS_FINALLY(ds_words_clear) ds_words w = {.table = ds_noise_options, .state = &s, .needed = "DATA"};
    ds_notes notes = {0};
    DS_TRY(ds_words_read(&w, argc, argv, 1, e));
    DS_TRY(check_flags(&s, e));
    int rc = noise(w.operands[0], &s, &notes, e);
    ds_print_notes(&notes, stderr);
    return rc;
}
