#include "report/page.h"
#include "base/file.h"
#include "base/text.h"
#include "data/data.h"
#include "data/write_png.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SIDE = 96, FEW_BYTES = 4096 };

/* The type of a file that browsers show, by its first bytes; NULL: another one. */
static const char *type_of(const unsigned char *bytes, size_t n)
{
    if (n > 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        return "image/png";
    if (n > 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0)
        return "image/jpeg";
    return n > 4 && memcmp(bytes, "GIF8", 4) == 0 ? "image/gif" : NULL;
}

static int put_uri(const char *type, const unsigned char *bytes, size_t n, char **uri, ds_error *e)
{
    char *text = ds_base64(bytes, n);
    *uri = text ? ds_format("data:%s;base64,%s", type, text) : NULL;
    free(text);
    return *uri ? DS_OK : ds_fail_memory(e);
}

/* Mean of the pixels of `im` that pixel (x, y) of w x h covers. */
static void average(const ds_image *im, int w, int h, int x, int y, unsigned char *out)
{
    int left = (int)((long)x * im->w / w), right = (int)((long)(x + 1) * im->w / w);
    int top = (int)((long)y * im->h / h), bottom = (int)((long)(y + 1) * im->h / h);
    for (int c = 0; c < im->c; c++) {
        unsigned long sum = 0, n = 0;
        for (int v = top; v < bottom; v++)
            for (int u = left; u < right; u++, n++)
                sum += im->px[((size_t)v * (size_t)im->w + (size_t)u) * (size_t)im->c + (size_t)c];
        out[c] = (unsigned char)((sum + n / 2) / n);
    }
}

static int shrink(const ds_image *im, ds_image *small, ds_error *e)
{
    int longer = im->w > im->h ? im->w : im->h, to = longer < SIDE ? longer : SIDE;
    *small =
        (ds_image){.w = (int)((long)im->w * to / longer), .h = (int)((long)im->h * to / longer), .c = im->c};
    small->w += !small->w;
    small->h += !small->h;
    small->px = malloc((size_t)small->w * (size_t)small->h * (size_t)small->c);
    if (!small->px)
        return ds_fail_memory(e);
    unsigned char *out = small->px;
    for (int y = 0; y < small->h; y++)
        for (int x = 0; x < small->w; x++, out += small->c)
            average(im, small->w, small->h, x, y, out);
    return DS_OK;
}

static int draw(const ds_image *im, char **uri, ds_error *e)
{
    ds_image small;
    size_t n;
    int rc = shrink(im, &small, e);
    if (rc)
        return rc;
    unsigned char *png = ds_png_encode(small.px, small.w, small.h, small.c, &n);
    ds_image_clear(&small);
    rc = put_uri("image/png", png, n, uri, e);
    free(png);
    return rc;
}

/* The file's own bytes when they are few and of a known type; *uri stays NULL otherwise. */
static int take_source(const char *path, char **uri, ds_error *e)
{
    unsigned char *bytes;
    size_t n;
    int rc = ds_file_read(path, "an image", &bytes, &n, e);
    if (rc)
        return rc;
    const char *type = type_of(bytes, n);
    if (type && n <= FEW_BYTES)
        rc = put_uri(type, bytes, n, uri, e);
    free(bytes);
    return rc;
}

int ds_thumb_make(const char *path, char **uri, ds_error *e)
{
    struct stat st;
    ds_image im;
    *uri = NULL;
    /* a pipe would wait, a device never end */
    if (stat(path, &st) || !S_ISREG(st.st_mode))
        return ds_fail_at(e, DS_EIO, path, 0, "is missing or no file, expected an image");
    int rc = ds_image_read(path, 3, &im, e);
    if (!rc && st.st_size <= FEW_BYTES && im.w <= 2 * SIDE && im.h <= 2 * SIDE)
        rc = take_source(path, uri, e);
    if (!rc && !*uri)
        rc = draw(&im, uri, e);
    ds_image_clear(&im);
    return rc;
}
