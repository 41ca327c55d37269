/* CIFAR-10 and CIFAR-100 in their binary versions (https://www.cs.toronto.edu/~kriz/cifar.html): a record an image, the label
 * (for CIFAR-100 the coarse one, then the fine one) and 32 x 32 pixels, first all red bytes, then green, then blue, row by
 * row. */
#include "data/import_parts.h"

#include "base/text.h"

#include <limits.h>
#include <stdlib.h>

enum { SIDE = 32, PIXELS = 3 * SIDE * SIDE, MOST_BATCHES = 5, MOST_FILES = MOST_BATCHES + 2 };

typedef struct format {
    const char *what;                /* what was expected, for messages */
    const char *name;                /* of the set */
    int classes, label_bytes, label; /* bytes before the pixels, and which of them is the class */
    const char *names, *test;        /* files */
    const char *train[MOST_BATCHES + 1];
} format;

#define CIFAR100                                                                             \
    .what = "the files of cifar-100-binary.tar.gz", .name = "CIFAR-100", .test = "test.bin", \
    .train = {"train.bin"}, .label_bytes = 2

static const format formats[] = {
    [DS_CIFAR10] = {.what = "the files of cifar-10-binary.tar.gz",
                    .name = "CIFAR-10",
                    .classes = 10,
                    .label_bytes = 1,
                    .names = "batches.meta.txt",
                    .test = "test_batch.bin",
                    .train = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                              "data_batch_5.bin"}},
    [DS_CIFAR100_FINE] = {CIFAR100, .classes = 100, .label = 1, .names = "fine_label_names.txt"},
    [DS_CIFAR100_COARSE] = {CIFAR100, .classes = 20, .label = 0, .names = "coarse_label_names.txt"},
};

/* files: the training batches, the test batch, the names unless the user gave others. */
typedef struct archive {
    const format *format;
    ds_import_file files[MOST_FILES];
    int batches; /* for training; the test batch follows */
    int n;
} archive;

/* ---- reading ---- */

static size_t record_bytes(const format *f)
{
    return (size_t)f->label_bytes + PIXELS;
}

static archive archive_of(const ds_import_cifar *s)
{
    archive a = {.format = &formats[s->kind]};
    for (; a.format->train[a.batches]; a.batches++)
        a.files[a.n++].name = a.format->train[a.batches];
    a.files[a.n++].name = a.format->test;
    if (!s->names)
        a.files[a.n++].name = a.format->names;
    return a;
}

static int check_size(const archive *a, const ds_import_file *file, ds_error *e)
{
    size_t record = record_bytes(a->format);
    if (file->n == 0 || file->n % record)
        return ds_fail_at(
            e, DS_EINPUT, file->path, 0,
            "has %zu bytes, expected whole images of %zu bytes as in %s: it is damaged or cut short", file->n,
            record, a->format->name);
    if (file->n / record > INT_MAX / (2 * MOST_BATCHES))
        return ds_fail_at(e, DS_EINPUT, file->path, 0, "has %zu images, expected at most %d",
                          file->n / record, INT_MAX / (2 * MOST_BATCHES));
    return DS_OK;
}

static int read_archive(archive *a, const char *source, ds_error *e)
{
    int rc = ds_import_files_read(source, a->format->what, a->files, a->n, e);
    for (int i = 0; i <= a->batches && !rc; i++)
        rc = check_size(a, &a->files[i], e);
    return rc;
}

static ds_import_pixels pixels_of(const archive *a, int i)
{
    const format *f = a->format;
    const ds_import_file *file = &a->files[i];
    return (ds_import_pixels){.n = (int)(file->n / record_bytes(f)),
                              .w = SIDE,
                              .h = SIDE,
                              .c = 3,
                              .px = file->bytes + f->label_bytes,
                              .px_step = record_bytes(f),
                              .labels = file->bytes + f->label,
                              .label_step = record_bytes(f)};
}

/* ---- classes ---- */

static int find_classes(const ds_import_cifar *s, const archive *a, ds_import *im, ds_error *e)
{
    const ds_import_file *names = &a->files[a->n - 1];
    const char *who = s->names ? s->names : names->path;
    int rc =
        s->names ? ds_import_read_names(im, who, e) : ds_import_take_names(im, (char *)names->bytes, who, e);
    if (!rc && im->classes != a->format->classes)
        rc = ds_fail_at(e, DS_EINPUT, who, 0, "has %d names, expected %d: one for each class of %s",
                        im->classes, a->format->classes, a->format->name);
    for (int i = 0; i <= a->batches && !rc; i++) {
        ds_import_pixels pixels = pixels_of(a, i);
        rc = ds_import_check_labels(im, &pixels, a->files[i].path, who, e);
    }
    return rc ? rc : ds_import_label_classes(im, e);
}

/* ---- the whole ---- */

static int training_images(const archive *a)
{
    int n = 0;
    for (int i = 0; i < a->batches; i++)
        n += pixels_of(a, i).n;
    return n;
}

static int write_all(const ds_import_cifar *s, const archive *a, ds_import *im, ds_imported *done,
                     ds_error *e)
{
    int rc = ds_import_open(im, s->out, e);
    for (int i = 0; i <= a->batches && !rc; i++) {
        bool test = i == a->batches;
        ds_import_pixels pixels = pixels_of(a, i);
        rc = ds_import_write_images(im, test ? &im->test : &im->train, test ? "test" : "train", &pixels, e);
    }
    if (!rc)
        rc = ds_import_sync(im, e);
    return rc ? rc : ds_import_finish(im, s->splits, s->n_splits, s->seed, done, e);
}

int ds_import_cifar_run(const ds_import_cifar *s, ds_imported *done, ds_error *e)
{
    archive a = archive_of(s);
    ds_import im = {.has_test = true};
    *done = (ds_imported){0};
    int rc = read_archive(&a, s->source, e);
    if (!rc)
        rc = find_classes(s, &a, &im, e);
    if (!rc)
        rc = ds_import_check_splits(s->splits, s->n_splits, im.has_test, training_images(&a), e);
    if (!rc)
        rc = write_all(s, &a, &im, done, e);
    ds_import_clear(&im);
    ds_import_files_clear(a.files, a.n);
    return rc;
}
