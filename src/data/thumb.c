#include "data/image.h"

#include <sys/stat.h>

enum { SIDE = 96 };

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

static int shorter(int side, int longer)
{
    int to = longer < SIDE ? longer : SIDE, shrunk = (int)((long)side * to / longer);
    return shrunk ? shrunk : 1;
}

int ds_thumb_png(const char *path, unsigned char **png, size_t *n, ds_error *e)
{
    struct stat st;
    DS_FINALLY(ds_image_clear) ds_image im = {0};
    /* a pipe would wait, a device never end */
    if (stat(path, &st) || !S_ISREG(st.st_mode))
        return ds_fail_at(e, DS_EIO, path, 0, "is missing or no file, expected an image");
    DS_TRY(ds_image_read(path, 3, &im, e));
    int longer = im.w > im.h ? im.w : im.h, w = shorter(im.w, longer), h = shorter(im.h, longer);
    DS_FREED unsigned char *small = ds_xmalloc((size_t)w * (size_t)h * (size_t)im.c);
    unsigned char *out = small;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++, out += im.c)
            average(&im, w, h, x, y, out);
    *png = ds_png_encode(small, w, h, im.c, n);
    return DS_OK;
}
