/* Images of an archive become PNG files in a folder a class. */
#include "data/import_parts.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/write_png.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int label_of(const ds_import_pixels *p, int i)
{
    return p->labels[(size_t)i * p->label_step];
}

int ds_import_check_labels(const ds_import *im, const ds_import_pixels *p, const char *path, const char *who,
                           ds_error *e)
{
    for (int i = 0; i < p->n; i++)
        if (label_of(p, i) >= im->classes)
            return ds_fail_at(e, DS_EINPUT, path, 0,
                              "label %d of image %d, expected 0 … %d: %s has %d classes", label_of(p, i), i,
                              im->classes - 1, who, im->classes);
    return DS_OK;
}

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

/* c planes of n bytes into n pixels of c bytes. */
static void interleave(const unsigned char *planes, int c, size_t n, unsigned char *px)
{
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < c; k++)
            *px++ = planes[(size_t)k * n + i];
}

/* Not written beside its final name as other files are: the lists that make it count come last. */
static int write_file(const char *path, const unsigned char *bytes, size_t n, ds_error *e)
{
    FILE *f = fopen(path, "wbe");
    bool whole = f && fwrite(bytes, 1, n, f) == n;
    if (f && fclose(f))
        whole = false;
    return whole ? DS_OK : ds_fail_at(e, DS_EIO, path, 0, "cannot write: %s", strerror(errno));
}

static int write_image(const ds_import *im, ds_import_set *set, const char *part, const unsigned char *px,
                       const ds_import_pixels *p, int label, ds_error *e)
{
    char *path = ds_format("%s/%s/%06d.png", part, im->labels[label], set->n);
    char *whole = ds_path_join(im->dir, path);
    size_t n;
    unsigned char *png = ds_png_encode(px, p->w, p->h, p->c, &n);
    int rc = write_file(whole, png, n, e);
    free(png);
    free(whole);
    if (rc)
        free(path);
    return rc ? rc : ds_import_add(set, path, label, e);
}

int ds_import_write_images(const ds_import *im, ds_import_set *set, const char *part,
                           const ds_import_pixels *p, ds_error *e)
{
    size_t area = (size_t)p->w * (size_t)p->h;
    int rc = make_folders(im, part, e);
    unsigned char *px = ds_xmalloc(area * (size_t)p->c);
    for (int i = 0; i < p->n && !rc; i++) {
        interleave(p->px + (size_t)i * p->px_step, p->c, area, px);
        rc = write_image(im, set, part, px, p, label_of(p, i), e);
    }
    free(px);
    return rc;
}

/* One call for all, since one for each would take minutes. */
int ds_import_sync(const ds_import *im, ds_error *e)
{
    int fd = open(im->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ds_fail_at(e, DS_EIO, im->dir, 0, "cannot open: %s", strerror(errno));
    int problem = syncfs(fd) ? errno : 0;
    close(fd);
    return problem ? ds_fail_at(e, DS_EIO, im->dir, 0, "cannot write: %s", strerror(problem)) : DS_OK;
}
