/* Archives in the format of MNIST: big-endian numbers (a magic, then the sizes), then one byte a pixel or
 * label. */
#include "data/import.h"

#include "base/file.h"
#include "base/text.h"
#include "data/write_png.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC_LABELS 0x00000801u
#define MAGIC_IMAGES 0x00000803u
#define MOST_BYTES ((uint64_t)8 << 30)
enum { MOST_SIDE = 32768, FIRST_ROOM = 1 << 20, MOST_READ = 1 << 24 };

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

static int read_failed(gzFile f, const char *path, ds_error *e)
{
    int code;
    const char *text = gzerror(f, &code);
    if (code == Z_ERRNO)
        return ds_fail_at(e, DS_EIO, path, 0, "cannot read: %s", strerror(errno));
    if (code == Z_BUF_ERROR)
        return ds_fail_at(e, DS_EINPUT, path, 0,
                          "the compressed data ends too early, expected a whole .gz file");
    return ds_fail_at(e, DS_EINPUT, path, 0, "damaged compressed data (%s), expected a whole .gz file", text);
}

/* Up to n bytes. A file that ends before them is no error here: *got says how many came. */
static int read_bytes(gzFile f, const char *path, unsigned char *bytes, size_t n, size_t *got, ds_error *e)
{
    *got = 0;
    while (*got < n) {
        size_t left = n - *got;
        int done = gzread(f, bytes + *got, left < MOST_READ ? (unsigned)left : MOST_READ);
        if (done < 0)
            return read_failed(f, path, e);
        if (done == 0)
            break;
        *got += (size_t)done;
    }
    int code;
    gzerror(f, &code);
    return *got < n && code != Z_OK ? read_failed(f, path, e) : DS_OK;
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
    int rc = read_bytes(f, a->path, head, n, &got, e);
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

/* The buffer grows with what is really there: a damaged header costs no memory. */
static int read_body(gzFile f, archive *a, ds_error *e)
{
    size_t total = (size_t)a->n * a->rows * a->cols, used = 0, room = 0, got = 1;
    while (used < total && got > 0) {
        room = room ? 2 * room : FIRST_ROOM;
        room = room < total ? room : total;
        unsigned char *grown = realloc(a->bytes, room);
        if (!grown)
            return ds_fail_memory(e);
        a->bytes = grown;
        int rc = read_bytes(f, a->path, a->bytes + used, room - used, &got, e);
        if (rc)
            return rc;
        used += got;
    }
    if (used < total)
        return ds_fail_at(e, DS_EINPUT, a->path, 0, "ends after %zu bytes of data, its header promises %zu",
                          used, total);
    unsigned char more;
    int rc = read_bytes(f, a->path, &more, 1, &got, e);
    if (!rc && got)
        rc = ds_fail_at(e, DS_EINPUT, a->path, 0,
                        "goes on after the %zu bytes of data that its header promises", total);
    return rc;
}

static int read_archive(const char *path, uint32_t magic, archive *a, ds_error *e)
{
    struct stat st;
    *a = (archive){.path = path};
    if (stat(path, &st))
        return ds_fail_at(e, DS_EIO, path, 0, "cannot open: %s, expected %s", strerror(errno),
                          kind_of(magic));
    if (S_ISDIR(st.st_mode))
        return ds_fail_at(e, DS_EIO, path, 0, "is a directory, expected %s", kind_of(magic));
    gzFile f = gzopen(path, "rb");
    if (!f)
        return ds_fail_at(e, DS_EIO, path, 0, "cannot open: %s, expected %s", strerror(errno),
                          kind_of(magic));
    int rc = read_header(f, magic, a, e);
    if (!rc)
        rc = read_body(f, a, e);
    gzclose(f);
    if (rc) {
        free(a->bytes);
        a->bytes = NULL;
    }
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

/* ---- classes ---- */

static int largest_label(const archive *labels)
{
    int largest = 0;
    for (uint32_t i = 0; i < labels->n; i++)
        if (labels->bytes[i] > largest)
            largest = labels->bytes[i];
    return largest;
}

static int check_labels(const archive *labels, int classes, const char *who, ds_error *e)
{
    for (uint32_t i = 0; i < labels->n; i++)
        if (labels->bytes[i] >= classes)
            return ds_fail_at(e, DS_EINPUT, labels->path, 0,
                              "label %d of image %u, expected 0 … %d: %s has %d classes", labels->bytes[i], i,
                              classes - 1, who, classes);
    return DS_OK;
}

static int name_classes_by_number(ds_import *im, int classes, ds_error *e)
{
    if (!(im->names = calloc((size_t)classes, sizeof *im->names)))
        return ds_fail_memory(e);
    for (; im->classes < classes; im->classes++)
        if (!(im->names[im->classes] = ds_format("%d", im->classes)))
            return ds_fail_memory(e);
    return DS_OK;
}

static int add_name(ds_import *im, const char *name, ds_error *e)
{
    char **grown = realloc(im->names, (size_t)(im->classes + 1) * sizeof *grown);
    if (!grown)
        return ds_fail_memory(e);
    im->names = grown;
    if (!(grown[im->classes] = ds_strdup(name)))
        return ds_fail_memory(e);
    im->classes++;
    return DS_OK;
}

/* One class a line; blank lines only at the end, since one further up would shift the numbers. */
static int read_names(const char *path, ds_import *im, ds_error *e)
{
    char *text, *line;
    int rc = ds_file_read_text(path, "a file of class names", &text, e), number = 0, blank = 0;
    if (rc)
        return rc;
    bool marked = strncmp(text, "\xef\xbb\xbf", 3) == 0; /* byte order mark */
    for (char *rest = text + (marked ? 3 : 0); !rc && (line = strsep(&rest, "\n"));) {
        number++;
        line = ds_trim(line);
        if (!*line)
            blank = blank ? blank : number;
        else if (blank)
            rc = ds_fail_at(e, DS_EINPUT, path, blank, "blank line, expected the name of class %d",
                            im->classes);
        else
            rc = add_name(im, line, e);
    }
    free(text);
    return rc;
}

/* A name as a folder and a label can be called; what a list or the shell would misread becomes '_'. */
static char *folder_name(const char *name)
{
    char *s = ds_strdup(name);
    if (s && (*s == '.' || *s == '#' || *s == ';'))
        *s = '_';
    for (char *p = s; p && *p; p++)
        if (*p == '/' || (unsigned char)*p < 32 || *p == 127)
            *p = '_';
    return s;
}

static bool is_taken(const ds_import *im, int class, const char *label)
{
    for (int c = 0; c < class; c++)
        if (strcmp(im->labels[c], label) == 0)
            return true;
    return false;
}

/* "a_b", then "a_b_2", "a_b_3" for further classes that would be called the same. */
static int label_class(ds_import *im, int class, ds_error *e)
{
    char *plain = folder_name(im->names[class]), *label = ds_strdup(plain);
    for (int k = 2; label && is_taken(im, class, label); k++) {
        free(label);
        label = ds_format("%s_%d", plain, k);
    }
    free(plain);
    im->labels[class] = label;
    return label ? DS_OK : ds_fail_memory(e);
}

static int find_classes(const ds_import_idx *s, const pair *train, const pair *test, ds_import *im,
                        ds_error *e)
{
    int rc = s->names ? read_names(s->names, im, e)
                      : name_classes_by_number(im, largest_label(&train->labels) + 1, e);
    const char *who = s->names ? s->names : s->labels;
    if (!rc)
        rc = check_labels(&train->labels, im->classes, who, e);
    if (!rc && s->test_images)
        rc = check_labels(&test->labels, im->classes, who, e);
    if (!rc && im->classes < 2)
        rc = ds_fail_at(e, DS_EINPUT, who, 0, "%d class, expected at least 2", im->classes);
    if (!rc && !(im->labels = calloc((size_t)im->classes, sizeof *im->labels)))
        rc = ds_fail_memory(e);
    for (int c = 0; c < im->classes && !rc; c++)
        rc = label_class(im, c, e);
    return rc;
}

/* ---- images ---- */

static int make_folders(const ds_import *im, const char *part, ds_error *e)
{
    int rc = DS_OK;
    for (int c = 0; c < im->classes && !rc; c++) {
        char *path = ds_format("%s/%s/%s", im->dir, part, im->labels[c]);
        rc = path ? ds_make_dirs(path, e) : ds_fail_memory(e);
        free(path);
    }
    return rc;
}

/* Image i of the archive becomes PART/LABEL/00000i.png below the folder. Not written beside its final name as
 * other files are: the lists that make it count come last. */
static int write_image(const ds_import *im, ds_import_set *set, const char *part, const pair *p, uint32_t i,
                       ds_png *png, ds_error *e)
{
    int label = p->labels.bytes[i];
    char *path = ds_format("%s/%s/%06u.png", part, im->labels[label], i);
    char *whole = path ? ds_path_join(im->dir, path) : NULL;
    int rc = whole
                 ? ds_png_write(png, p->images.bytes + (size_t)i * p->images.rows * p->images.cols, whole, e)
                 : ds_fail_memory(e);
    free(whole);
    if (rc)
        free(path);
    return rc ? rc : ds_import_add(set, path, label, e);
}

static int write_images(const ds_import *im, ds_import_set *set, const char *part, const pair *p, ds_error *e)
{
    ds_png *png;
    int rc = ds_png_new((int)p->images.cols, (int)p->images.rows, 1, &png, e);
    if (rc)
        return rc;
    rc = make_folders(im, part, e);
    for (uint32_t i = 0; i < p->images.n && !rc; i++)
        rc = write_image(im, set, part, p, i, png, e);
    ds_png_free(png);
    return rc;
}

/* All images on the disk before the first list names them; one call for all, since one for each would take
 * minutes. */
static int sync_folder(const char *dir, ds_error *e)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ds_fail_at(e, DS_EIO, dir, 0, "cannot open: %s", strerror(errno));
    int problem = syncfs(fd) ? errno : 0;
    close(fd);
    return problem ? ds_fail_at(e, DS_EIO, dir, 0, "cannot write: %s", strerror(problem)) : DS_OK;
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
        rc = sync_folder(im->dir, e);
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
