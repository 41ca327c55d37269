#include "data/image.h"

static float uniform(ds_rng *r, double low, double high)
{
    return (float)(low + (high - low) * ds_rng_uniform(r));
}

/* A factor between 1 and s, or its inverse. */
static float uniform_factor(ds_rng *r, double s)
{
    float factor = uniform(r, 1, s);
    return ds_rng_next(r) >> 63 ? factor : 1 / factor;
}

/* An integer between two bounds that may have lost a little in a division. */
static int uniform_size(ds_rng *r, double low, double high)
{
    long long a = (long long)(low + 1e-3), b = (long long)(high + 1e-3);
    if (b < a) {
        long long t = a;
        a = b;
        b = t;
    }
    return (int)(a + (long long)ds_rng_below(r, (uint64_t)(b - a + 1)));
}

ds_draw ds_augment_draw(const ds_augment *a, int iw, int ih, ds_rng *r)
{
    ds_draw d = {.scale = 1, .center = a->center, .cut = a->cutout};
    d.aspect = uniform_factor(r, a->aspect);
    int size = uniform_size(r, a->min_size, a->max_size);
    int side = (float)ih < (float)iw * d.aspect ? ih : (int)((float)iw * d.aspect);
    d.scale = (float)(size > 0 ? size : 1) / (float)(side > 0 ? side : 1);
    d.radians = uniform(r, -a->angle, a->angle) * (float)(2 * M_PI / 360);
    float dx = ((float)iw * d.scale / d.aspect - (float)a->w) / 2,
          dy = ((float)ih * d.scale - (float)a->h) / 2;
    d.dx = uniform(r, -dx, dx);
    d.dy = uniform(r, -dy, dy);
    d.flip = (ds_rng_next(r) >> 63) && a->flip;
    d.hue = uniform(r, -a->hue, a->hue);
    d.saturation = uniform_factor(r, a->saturation);
    d.exposure = uniform_factor(r, a->exposure);
    if (a->shift) {
        d.dx += (float)ds_rng_below(r, 2 * (uint64_t)a->shift + 1) - (float)a->shift;
        d.dy += (float)ds_rng_below(r, 2 * (uint64_t)a->shift + 1) - (float)a->shift;
    }
    if (a->cutout) {
        d.cut_x = (int)ds_rng_below(r, (uint64_t)a->w);
        d.cut_y = (int)ds_rng_below(r, (uint64_t)a->h);
    }
    return d;
}

/* The square may reach over the border, so that every pixel is hidden equally often. */
static void cut(float *plane, const ds_augment *a, const ds_draw *d)
{
    const int w = a->w, h = a->h, left = d->cut_x - d->cut / 2, top = d->cut_y - d->cut / 2;
    double sum = 0;
    for (int i = 0; i < w * h; i++)
        sum += plane[i];
    for (int y = top < 0 ? 0 : top; y < h && y < top + d->cut; y++)
        for (int x = left < 0 ? 0 : left; x < w && x < left + d->cut; x++)
            plane[(size_t)y * (size_t)w + (size_t)x] = (float)(sum / (w * h));
}

void ds_augment_apply(const ds_image *im, const ds_augment *a, const ds_draw *draw, float *out)
{
    ds_crop(im, a->w, a->h, draw, out);
    ds_distort(out, im->c, (size_t)a->w * (size_t)a->h, draw);
    for (int k = 0; draw->cut && k < im->c; k++)
        cut(out + (size_t)k * (size_t)a->w * (size_t)a->h, a, draw);
}
