/* CIFAR-10 and CIFAR-100 in their binary versions (https://www.cs.toronto.edu/~kriz/cifar.html): a record
 * an image, the label (for CIFAR-100 the coarse one, then the fine one) and 32 x 32 pixels, first all red
 * bytes, then green, then blue, row by row. */
#include "import/parts.h"

#include "base/file.h"
#include "data/labels.h"

#include <sys/stat.h>

enum { SIDE = 32, PIXELS = 3 * SIDE * SIDE, MOST_BYTES = 1 << 30 };

typedef struct format {
    const char *name;                   /* of the set */
    const char *what;                   /* what was expected, for messages */
    int classes, label_bytes;           /* bytes before the pixels, the last of which is the class */
    int batches;                        /* for training */
    const char *files[DS_IMPORT_FILES]; /* these batches, that of the test, the class names */
} format;

static const format formats[] = {
    [DS_CIFAR10] = {.name = "CIFAR-10",
                    .what = "the files of cifar-10-binary.tar.gz",
                    .classes = 10,
                    .label_bytes = 1,
                    .batches = 5,
                    .files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                              "data_batch_5.bin", "test_batch.bin", "batches.meta.txt"}},
    [DS_CIFAR100] = {.name = "CIFAR-100",
                     .what = "the files of cifar-100-binary.tar.gz",
                     .classes = 100,
                     .label_bytes = 2,
                     .batches = 1,
                     .files = {"train.bin", "test.bin", "fine_label_names.txt"}},
};

/* The first n files of a format, in a folder or packed. */
static int read_files(const format *f, const ds_import *setup, ds_import_file *files, int n, ds_error *e)
{
    const char *from = setup->source[0];
    struct stat st;
    for (int i = 0; i < n; i++) {
        files[i].name = f->files[i];
        files[i].path = ds_path_join(from, f->files[i]);
        files[i].most = MOST_BYTES;
    }
    if (stat(from, &st) || !S_ISDIR(st.st_mode))
        return ds_import_read_files(setup, from, f->what, files, n, e);
    for (int i = 0; i < n; i++)
        DS_TRY(ds_file_read(files[i].path, f->what, &files[i].bytes, &files[i].n, e));
    return DS_OK;
}

static int read_names(const format *f, const ds_import_file *file, ds_import_job *job, ds_error *e)
{
    const char *own = job->setup->names;
    job->classes_path = own ? own : file->path;
    DS_TRY(
        own ? ds_labels_read(own, "class name", &job->names, &job->classes, e)
            : ds_labels_take((char *)file->bytes, file->path, "class name", &job->names, &job->classes, e));
    if (job->classes == f->classes)
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, job->classes_path, 0,
                      "has %d names, expected %d: one for each class of %s", job->classes, f->classes,
                      f->name);
}

static int add_batch(const format *f, const ds_import_file *file, const ds_import_job *job,
                     ds_import_set *set, ds_error *e)
{
    size_t record_bytes = (size_t)f->label_bytes + PIXELS;
    if (file->n == 0 || file->n % record_bytes)
        return ds_fail_at(
            e, DS_EINPUT, file->path, 0,
            "has %zu bytes, expected whole images of %zu bytes as in %s: it is damaged or cut short", file->n,
            record_bytes, f->name);
    set->w = set->h = SIDE;
    set->c = 3;
    for (size_t i = 0; i < file->n / record_bytes; i++) {
        const unsigned char *record = file->bytes + i * record_bytes;
        DS_TRY(ds_import_add_pixels(job, set, record + f->label_bytes, record[f->label_bytes - 1], (int)i,
                                    file->path, e));
    }
    return DS_OK;
}

int ds_import_read_cifar(ds_import_job *job, ds_error *e)
{
    const format *f = &formats[job->setup->kind];
    ds_import_file *files = job->files, *test = files + f->batches, *names = test + 1;
    DS_TRY(read_files(f, job->setup, files, f->batches + (job->setup->names ? 1 : 2), e));
    DS_TRY(read_names(f, names, job, e));
    for (ds_import_file *file = files; file <= test; file++)
        DS_TRY(add_batch(f, file, job, &job->sets[file == test ? DS_PART_TEST : DS_PART_TRAIN], e));
    return DS_OK;
}
