/* Where the pixels of the network's input come from: the central square, or a scaled, shifted, rotated
 * part. */
#include "data/image.h"

static void crop_upright(const ds_image *im, int w, int h, const ds_draw *draw, float *out)
{
    const int c = im->c == 3 ? 3 : 1;
    DS_FREED ds_tap *taps = DS_ALLOC(taps, w);
    for (int x = 0; x < w; x++)
        taps[x] = ds_column_tap(draw, im->w, im->h, w, x);
    for (int y = 0; y < h; y++) {
        const ds_tap row = ds_row_tap(draw, im->w, im->h, h, y);
        for (int x = 0; x < w; x++)
            ds_sample(im->px, im->w, c, taps[x], row, out + (size_t)y * (size_t)w + x, (size_t)w * (size_t)h);
    }
}

static void crop_rotated(const ds_image *im, int w, int h, const ds_draw *draw, float *out)
{
    const double cosine = cos(draw->radians), sine = sin(draw->radians);
    const int c = im->c == 3 ? 3 : 1;
    for (int y = 0; y < h; y++) {
        const double v = ds_row_at(draw, y, h);
        for (int x = 0; x < w; x++) {
            const double u = ds_column_at(draw, x, w);
            ds_sample(im->px, im->w, c, ds_turned_column(u, v, cosine, sine, im->w),
                      ds_turned_row(u, v, cosine, sine, im->h), out + (size_t)y * (size_t)w + x,
                      (size_t)w * (size_t)h);
        }
    }
}

void ds_prepare_center(const ds_image *im, int w, int h, float *out)
{
    const ds_draw d = {.center = true};
    crop_upright(im, w, h, &d, out);
}

void ds_crop(const ds_image *im, int w, int h, const ds_draw *draw, float *out)
{
    if (draw->center || draw->radians == 0)
        crop_upright(im, w, h, draw, out);
    else
        crop_rotated(im, w, h, draw, out);
}
