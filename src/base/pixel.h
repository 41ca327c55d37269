/* Where a pixel of the network's input comes from and what augmentation makes of it: formulas that src/data
 * and the kernels of a GPU share, so plain C without other headers of ours. */
#pragma once

#ifndef __CUDACC_RTC__
#include <math.h>
#include <stdbool.h>
#endif

/* All that was drawn for an image. */
typedef struct ds_draw {
    float radians;
    float scale;                /* network pixels an image pixel */
    float dx, dy;               /* shift of the centre, network pixels */
    float aspect;               /* x stretch */
    float hue;                  /* added, in turns */
    float saturation, exposure; /* factors */
    int cut, cut_x, cut_y;      /* side of a square that is hidden, 0: none; the pixel in its middle */
    bool flip, center;          /* center: the central square, of all above the colours and the cut alone */
} ds_draw;

/* An image as decoded, and what to make of it: for somebody who prepares a batch himself. */
typedef struct ds_picture {
    const unsigned char *px; /* w x h x c bytes, interleaved; they stay as long as the batch */
    int w, h;
    unsigned id;  /* of the image in the training list */
    bool lasting; /* its bytes are the same whenever it comes: they may be kept elsewhere */
    ds_draw draw;
} ds_picture;

/* Where a column (or row) of the output comes from: two columns of the image and their weights. Outside the
 * image the indices are clamped and the weights 0. */
typedef struct ds_tap {
    int i0, i1;
    float w0, w1;
} ds_tap;

static inline ds_tap ds_tap_of(int i0, int i1, float w0, float w1)
{
    ds_tap t;
    t.i0 = i0, t.i1 = i1, t.w0 = w0, t.w1 = w1;
    return t;
}

static inline int ds_clamp(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

/* ---- the central square: the k-th of n columns (or rows) over `size` pixels that begin at `first` ---- */

/* The host drops the second weight of the last row: where rounding leaves the position just short of the last
 * pixel, its last row is dark. Kept, so that predictions agree with the host's. */
static inline ds_tap ds_tap_square(int first, int size, int n, int k, bool row)
{
    if (size == 1 || (k == n - 1 && (n == 1 || !row)))
        return ds_tap_of(first + size - 1, first + size - 1, 1, 0);
    const float at = (float)k * ((float)(size - 1) / (float)(n - 1));
    const bool last = k == n - 1;
    const int i = ds_clamp((int)at, 0, last ? size - 1 : size - 2);
    const float d = at - (float)i;
    return ds_tap_of(first + i, first + i + !last, 1 - d, last ? 0 : d);
}

/* ---- the random crop: zero outside the image ---- */

/* Position `at` among `size` pixels; it may be far outside. */
static inline ds_tap ds_tap_at(float at, int size)
{
    int i = at > -2 ? at > (float)size ? size : (int)at : -2;
    i -= at < (float)i && i > -2;
    const float d = at - (float)i;
    return ds_tap_of(ds_clamp(i, 0, size - 1), ds_clamp(i + 1, 0, size - 1), i >= 0 && i < size ? 1 - d : 0,
                     i >= -1 && i < size - 1 ? d : 0);
}

/* Where pixel (x, y) of the output lies before it is turned, from the centre of the image. */
static inline double ds_column_at(const ds_draw *d, int x, int w)
{
    return ((d->flip ? w - 1 - x : x) - w / 2. + d->dx) * ((double)d->aspect / d->scale);
}

static inline double ds_row_at(const ds_draw *d, int y, int h)
{
    return (y - h / 2. + d->dy) * (1.0 / d->scale);
}

/* Upright, column x of w and row y of h are independent; iw, ih: of the image. */
static inline ds_tap ds_column_tap(const ds_draw *d, int iw, int ih, int w, int x)
{
    const int m = iw < ih ? iw : ih;
    return d->center ? ds_tap_square((iw - m) / 2, m, w, d->flip ? w - 1 - x : x, false)
                     : ds_tap_at((float)(ds_column_at(d, x, w) + iw / 2.), iw);
}

static inline ds_tap ds_row_tap(const ds_draw *d, int iw, int ih, int h, int y)
{
    const int m = iw < ih ? iw : ih;
    return d->center ? ds_tap_square((ih - m) / 2, m, h, y, true)
                     : ds_tap_at((float)(ds_row_at(d, y, h) + ih / 2.), ih);
}

/* Turned, from u = ds_column_at, v = ds_row_at. */
static inline ds_tap ds_turned_column(double u, double v, double cosine, double sine, int iw)
{
    return ds_tap_at((float)(cosine * u - sine * v + iw / 2.), iw);
}

static inline ds_tap ds_turned_row(double u, double v, double cosine, double sine, int ih)
{
    return ds_tap_at((float)(sine * u + cosine * v + ih / 2.), ih);
}

/* All c channels of one pixel in [0, 1]; `stride` floats between those of out. px: rows of iw x c bytes. */
static inline void ds_sample(const unsigned char *px, int iw, int c, ds_tap x, ds_tap y, float *out,
                             unsigned long stride)
{
    const unsigned long row = (unsigned long)iw * (unsigned long)c;
    const unsigned char *upper = px + (unsigned long)y.i0 * row, *lower = px + (unsigned long)y.i1 * row;
    const float w0 = x.w0 * (1 / 255.f), w1 = x.w1 * (1 / 255.f);
    for (int k = 0; k < c; k++) {
        const int i0 = x.i0 * c + k, i1 = x.i1 * c + k;
        const float a = w0 * (float)upper[i0] + w1 * (float)upper[i1];
        const float b = w0 * (float)lower[i0] + w1 * (float)lower[i1];
        out[(unsigned long)k * stride] = y.w0 * a + y.w1 * b;
    }
}

/* ---- hue, saturation, exposure ---- */

static inline float ds_unit(float v)
{
    v = v > 0 ? v : 0;
    return v < 1 ? v : 1;
}

/* Saturation and exposure in HSV with the hue kept: each channel moves away from or to the largest one. */
static inline void ds_saturate(float *r, float *g, float *b, float saturation, float exposure)
{
    float big = *r > *g ? *r : *g;
    big = big > *b ? big : *b;
    *r = ds_unit(exposure * (big + saturation * (*r - big)));
    *g = ds_unit(exposure * (big + saturation * (*g - big)));
    *b = ds_unit(exposure * (big + saturation * (*b - big)));
}

/* The same turn, within half a turn either way, in sixths. */
static inline float ds_sixths(float hue)
{
    return 6 * (hue - roundf(hue));
}

/* HSV and back: the hue h in sixths of a turn, then each channel as a trapezium over it. */
static inline void ds_turn_hue(float *red, float *green, float *blue, float hue, float saturation,
                               float exposure)
{
    const float r = *red, g = *green, b = *blue;
    float big = r > g ? r : g, small = r < g ? r : g;
    big = big > b ? big : b;
    small = small < b ? small : b;
    float chroma = big - small;
    const float h_green = 2 * chroma + b - r, h_blue = 4 * chroma + r - g;
    float h = g == big ? h_green : h_blue;
    h = r == big ? g - b : h;
    h = h / (chroma > 1e-30f ? chroma : 1e-30f) + hue;
    h = h < 0 ? h + 6 : h;
    h = h > 6 ? h - 6 : h;
    chroma *= saturation * exposure;
    small = big * exposure - chroma;
    *red = ds_unit(small + chroma * ds_unit(fabsf(h - 3) - 1));
    *green = ds_unit(small + chroma * ds_unit(2 - fabsf(h - 2)));
    *blue = ds_unit(small + chroma * ds_unit(2 - fabsf(h - 4)));
}
