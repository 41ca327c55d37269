/* Archives in the format of MNIST: big-endian numbers (a magic, then the sizes), then one byte a pixel or
 * label. */
#include "import/parts.h"

#include "data/labels.h"

#include <limits.h>

#define LABELS "idx labels (magic 0x00000801)"
#define IMAGES "idx images (magic 0x00000803)"
#define MOST_BYTES ((uint64_t)8 << 30)
enum { MOST_SIDE = 32768, LABELS_HEAD = 8, IMAGES_HEAD = 16 };

/* The k-th number of the header. */
static uint32_t number(const ds_import_file *file, int k)
{
    const unsigned char *p = file->bytes + 4 * k;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The whole header; `most` is its size before. */
static int check_head(ds_import_file *file, ds_error *e)
{
    bool images = file->most == IMAGES_HEAD;
    if (file->n >= 4 && number(file, 0) != (images ? 0x803 : 0x801))
        return ds_fail_at(e, DS_EINPUT, file->path, 0, "begins with 0x%08x, expected %s", number(file, 0),
                          images ? IMAGES : LABELS);
    if (file->n < file->most)
        return ds_fail_at(e, DS_EINPUT, file->path, 0, "ends after %zu bytes, expected a header of %zu",
                          file->n, file->most);
    uint32_t n = number(file, 1), rows = images ? number(file, 2) : 1, cols = images ? number(file, 3) : 1;
    if (n < 1 || n > INT_MAX / 2)
        return ds_fail_at(e, DS_EINPUT, file->path, 0, "holds %u items, expected 1 … %d", n, INT_MAX / 2);
    if (rows < 1 || cols < 1 || rows > MOST_SIDE || cols > MOST_SIDE)
        return ds_fail_at(e, DS_EINPUT, file->path, 0,
                          "images of %u rows and %u columns, expected 1 … %d of each", rows, cols, MOST_SIDE);
    if ((uint64_t)rows * cols > MOST_BYTES / n)
        return ds_fail_at(e, DS_EINPUT, file->path, 0,
                          "says that it holds %u images of %ux%u, expected at most 8 GiB", n, rows, cols);
    file->most += (size_t)n * rows * cols + 1; /* that one would be too many */
    return DS_OK;
}

static int read_idx(const ds_import *setup, const char *path, size_t head, ds_import_file *file, ds_error *e)
{
    *file = (ds_import_file){.path = ds_strdup(path), .most = head, .look = check_head};
    DS_TRY(ds_import_read_files(setup, path, head == IMAGES_HEAD ? IMAGES : LABELS, file, 1, e));
    size_t got = file->n - head, promised = file->most - head - 1;
    if (got < promised)
        return ds_fail_at(e, DS_EINPUT, path, 0, "ends after %zu bytes of data, its header promises %zu", got,
                          promised);
    if (got > promised)
        return ds_fail_at(e, DS_EINPUT, path, 0,
                          "goes on after the %zu bytes of data that its header promises", promised);
    return DS_OK;
}

/* paths: images, labels. files: two, for their bytes. */
static int read_pair(const ds_import *setup, const char *const *paths, ds_import_file *files, ds_error *e)
{
    DS_TRY(read_idx(setup, paths[1], LABELS_HEAD, &files[1], e));
    DS_TRY(read_idx(setup, paths[0], IMAGES_HEAD, &files[0], e));
    if (number(&files[0], 1) != number(&files[1], 1))
        return ds_fail_at(e, DS_EINPUT, paths[1], 0,
                          "holds %u labels, expected %u: as many as '%s' holds images", number(&files[1], 1),
                          number(&files[0], 1), paths[0]);
    return DS_OK;
}

static int add_pair(const ds_import_job *job, const ds_import_file *files, ds_import_set *set, ds_error *e)
{
    set->w = (int)number(&files[0], 3);
    set->h = (int)number(&files[0], 2);
    set->c = 1;
    size_t area = (size_t)set->w * (size_t)set->h;
    for (int i = 0; i < (int)number(&files[0], 1); i++)
        DS_TRY(ds_import_add_pixels(job, set, files[0].bytes + IMAGES_HEAD + (size_t)i * area,
                                    files[1].bytes[LABELS_HEAD + i], i, files[1].path, e));
    return DS_OK;
}

int ds_import_read_idx(ds_import_job *job, ds_error *e)
{
    const ds_import *s = job->setup;
    ds_import_file *train = job->files, *test = job->files + 2;
    DS_TRY(read_pair(s, s->source, train, e));
    if (s->test[0])
        DS_TRY(read_pair(s, s->test, test, e));
    job->classes_path = s->names ? s->names : train[1].path;
    if (s->names)
        DS_TRY(ds_labels_read(s->names, "class name", &job->names, &job->classes, e));
    for (size_t i = LABELS_HEAD; !s->names && i < train[1].n; i++) /* up to the largest label */
        while (job->classes <= train[1].bytes[i]) {
            char *name = ds_format("%d", job->classes);
            DS_PUSH(job->names, job->classes, name);
        }
    DS_TRY(add_pair(job, train, &job->sets[DS_PART_TRAIN], e));
    if (s->test[0])
        DS_TRY(add_pair(job, test, &job->sets[DS_PART_TEST], e));
    if (job->classes < 2)
        return ds_fail_at(e, DS_EINPUT, job->classes_path, 0, "%d class, expected at least 2", job->classes);
    if (job->classes > UCHAR_MAX + 1)
        return ds_fail_at(e, DS_EINPUT, job->classes_path, 0,
                          "%d names, expected at most %d: a label is a byte", job->classes, UCHAR_MAX + 1);
    return DS_OK;
}
