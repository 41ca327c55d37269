/* Archives in the format of MNIST: big-endian numbers (a magic, then the sizes), then one byte a pixel or
 * label. */
#include "data/import_parts.h"

#include "data/gz.h"

#include <limits.h>
#include <stdlib.h>

#define MAGIC_LABELS 0x00000801u
#define MAGIC_IMAGES 0x00000803u
#define MOST_BYTES ((uint64_t)8 << 30)
enum { MOST_SIDE = 32768 };

typedef struct archive {
    const char *path;
    uint32_t n, rows, cols; /* rows = cols = 1 for labels */
    unsigned char *bytes;   /* n * rows * cols, owned */
} archive;

/* ---- reading ---- */

static const char *kind_of(uint32_t magic)
{
    return magic == MAGIC_IMAGES ? "idx images (magic 0x00000803)" : "idx labels (magic 0x00000801)";
}

static uint32_t get32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int check_sizes(const archive *a, ds_error *e)
{
    if (a->n == 0)
        return ds_fail_at(e, DS_EINPUT, a->path, 0, "holds 0 items, expected at least 1");
    if (a->n > INT_MAX / 2)
        return ds_fail_at(e, DS_EINPUT, a->path, 0, "says that it holds %u items, expected at most %d", a->n,
                          INT_MAX / 2);
    if (a->rows < 1 || a->cols < 1 || a->rows > MOST_SIDE || a->cols > MOST_SIDE)
        return ds_fail_at(e, DS_EINPUT, a->path, 0,
                          "images of %u rows and %u columns, expected 1 … %d of each", a->rows, a->cols,
                          MOST_SIDE);
    if ((uint64_t)a->rows * a->cols > MOST_BYTES / a->n)
        return ds_fail_at(e, DS_EINPUT, a->path, 0,
                          "says that it holds %u images of %ux%u, expected at most 8 GiB", a->n, a->rows,
                          a->cols);
    return DS_OK;
}

static int read_header(gzFile f, uint32_t magic, archive *a, ds_error *e)
{
    unsigned char head[16];
    size_t n = magic == MAGIC_IMAGES ? 16 : 8, got;
    int rc = ds_gz_read(f, a->path, head, n, &got, e);
    if (rc)
        return rc;
    if (got == 0)
        return ds_fail_at(e, DS_EINPUT, a->path, 0, "is empty, expected %s", kind_of(magic));
    if (got >= 4 && get32(head) != magic)
        return ds_fail_at(e, DS_EINPUT, a->path, 0, "begins with 0x%08x, expected %s", get32(head),
                          kind_of(magic));
    if (got < n)
        return ds_fail_at(e, DS_EINPUT, a->path, 0, "ends after %zu bytes, expected a header of %zu", got, n);
    a->n = get32(head + 4);
    a->rows = n == 16 ? get32(head + 8) : 1;
    a->cols = n == 16 ? get32(head + 12) : 1;
    return check_sizes(a, e);
}

static int read_body(gzFile f, archive *a, ds_error *e)
{
    size_t total = (size_t)a->n * a->rows * a->cols, got;
    int rc = ds_gz_read_grown(f, a->path, total, &a->bytes, &got, e);
    if (!rc && got < total)
        rc = ds_fail_at(e, DS_EINPUT, a->path, 0, "ends after %zu bytes of data, its header promises %zu",
                        got, total);
    unsigned char more;
    if (!rc)
        rc = ds_gz_read(f, a->path, &more, 1, &got, e);
    if (!rc && got)
        rc = ds_fail_at(e, DS_EINPUT, a->path, 0,
                        "goes on after the %zu bytes of data that its header promises", total);
    return rc;
}

static int read_archive(const char *path, uint32_t magic, archive *a, ds_error *e)
{
    *a = (archive){.path = path};
    gzFile f;
    int rc = ds_gz_open(path, kind_of(magic), &f, e);
    if (rc)
        return rc;
    rc = read_header(f, magic, a, e);
    if (!rc)
        rc = read_body(f, a, e);
    gzclose(f);
    return rc;
}

/* Images and their labels. */
typedef struct pair {
    archive images, labels;
} pair;

static void pair_release(pair *p)
{
    free(p->images.bytes);
    free(p->labels.bytes);
}

static int read_pair(const char *images, const char *labels, pair *p, ds_error *e)
{
    int rc = read_archive(labels, MAGIC_LABELS, &p->labels, e);
    if (!rc)
        rc = read_archive(images, MAGIC_IMAGES, &p->images, e);
    if (!rc && p->images.n != p->labels.n)
        rc = ds_fail_at(e, DS_EINPUT, labels, 0, "holds %u labels, expected %u: as many as '%s' holds images",
                        p->labels.n, p->images.n, images);
    return rc;
}

static ds_import_pixels pixels_of(const pair *p)
{
    const archive *images = &p->images;
    return (ds_import_pixels){.n = (int)images->n,
                              .w = (int)images->cols,
                              .h = (int)images->rows,
                              .c = 1,
                              .px = images->bytes,
                              .px_step = (size_t)images->rows * images->cols,
                              .labels = p->labels.bytes,
                              .label_step = 1};
}

/* ---- classes ---- */

static int largest_label(const archive *labels)
{
    int largest = 0;
    for (uint32_t i = 0; i < labels->n; i++)
        if (labels->bytes[i] > largest)
            largest = labels->bytes[i];
    return largest;
}

static int check_labels(const pair *p, const ds_import *im, const char *who, ds_error *e)
{
    ds_import_pixels pixels = pixels_of(p);
    return ds_import_check_labels(im, &pixels, p->labels.path, who, e);
}

static int find_classes(const ds_import_idx *s, const pair *train, const pair *test, ds_import *im,
                        ds_error *e)
{
    int rc = s->names ? ds_import_read_names(im, s->names, e)
                      : ds_import_number_classes(im, largest_label(&train->labels) + 1, e);
    const char *who = s->names ? s->names : s->labels;
    if (!rc)
        rc = check_labels(train, im, who, e);
    if (!rc && s->test_images)
        rc = check_labels(test, im, who, e);
    if (!rc && im->classes < 2)
        rc = ds_fail_at(e, DS_EINPUT, who, 0, "%d class, expected at least 2", im->classes);
    return rc ? rc : ds_import_label_classes(im, e);
}

/* ---- the whole ---- */

static int write_images(const ds_import *im, ds_import_set *set, const char *part, const pair *p, ds_error *e)
{
    ds_import_pixels pixels = pixels_of(p);
    return ds_import_write_images(im, set, part, &pixels, e);
}

static int write_all(const ds_import_idx *s, const pair *train, const pair *test, ds_import *im,
                     ds_imported *done, ds_error *e)
{
    int rc = ds_import_open(im, s->out, e);
    if (!rc)
        rc = write_images(im, &im->train, "train", train, e);
    if (!rc && im->has_test)
        rc = write_images(im, &im->test, "test", test, e);
    if (!rc)
        rc = ds_import_sync(im, e);
    return rc ? rc : ds_import_finish(im, s->splits, s->n_splits, s->seed, done, e);
}

int ds_import_idx_run(const ds_import_idx *s, ds_imported *done, ds_error *e)
{
    pair train = {0}, test = {0};
    ds_import im = {.has_test = s->test_images != NULL};
    *done = (ds_imported){0};
    int rc = read_pair(s->images, s->labels, &train, e);
    if (!rc && s->test_images)
        rc = read_pair(s->test_images, s->test_labels, &test, e);
    if (!rc)
        rc = find_classes(s, &train, &test, &im, e);
    if (!rc)
        rc = ds_import_check_splits(s->splits, s->n_splits, im.has_test, (int)train.images.n, e);
    if (!rc)
        rc = write_all(s, &train, &test, &im, done, e);
    ds_import_clear(&im);
    pair_release(&train);
    pair_release(&test);
    return rc;
}
