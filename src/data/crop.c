/* Where the pixels of the network's input come from: the central square, or a scaled, shifted, rotated
 * part. */
#include "data/image.h"

/* Where a column (or row) of the output comes from: two columns of the image and their weights. Outside the
 * image the indices are clamped and the weights 0. */
typedef struct tap {
    int i0, i1;
    float w0, w1;
} tap;

static int clamp(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

/* All c channels of one pixel in [0, 1]; `stride` floats between those of out. */
static inline void sample(const ds_image *im, const int c, tap x, tap y, float *out, size_t stride)
{
    size_t row = (size_t)im->w * (size_t)c;
    const unsigned char *upper = im->px + (size_t)y.i0 * row, *lower = im->px + (size_t)y.i1 * row;
    float w0 = x.w0 * (1 / 255.f), w1 = x.w1 * (1 / 255.f);
    for (int k = 0; k < c; k++) {
        int i0 = x.i0 * c + k, i1 = x.i1 * c + k;
        float a = w0 * (float)upper[i0] + w1 * (float)upper[i1];
        float b = w0 * (float)lower[i0] + w1 * (float)lower[i1];
        out[(size_t)k * stride] = y.w0 * a + y.w1 * b;
    }
}

/* ---- upright: columns and rows are independent ---- */

/* taps: of w columns, then of h rows; they are freed. */
static void resample(const ds_image *im, tap *taps, int w, int h, bool flip, float *out)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            sample(im, im->c == 3 ? 3 : 1, taps[flip ? w - 1 - x : x], taps[w + y],
                   out + (size_t)y * (size_t)w + x, (size_t)w * (size_t)h);
    free(taps);
}

/* n taps over `size` pixels that begin at `first`. */
static void square_columns(int first, int size, int n, tap *taps)
{
    float step = (float)(size - 1) / (float)(n - 1);
    for (int x = 0; x < n; x++) {
        if (x == n - 1 || size == 1) {
            taps[x] = (tap){first + size - 1, first + size - 1, 1, 0};
            continue;
        }
        float at = (float)x * step;
        int i = clamp((int)at, 0, size - 2);
        float d = at - (float)i;
        taps[x] = (tap){first + i, first + i + 1, 1 - d, d};
    }
}

/* As the columns, but the host drops the second weight of the last row: where rounding leaves the position
 * just short of the last pixel, its last row is dark. Kept, so that predictions agree with the host's. */
static void square_rows(int first, int size, int n, tap *taps)
{
    square_columns(first, size, n, taps);
    if (n == 1 || size == 1)
        return;
    float at = (float)(n - 1) * ((float)(size - 1) / (float)(n - 1));
    int i = clamp((int)at, 0, size - 1);
    taps[n - 1] = (tap){first + i, first + i, 1 - (at - (float)i), 0};
}

void ds_prepare_center(const ds_image *im, int w, int h, bool flip, float *out)
{
    tap *taps = DS_ALLOC(taps, (size_t)w + (size_t)h);
    int m = im->w < im->h ? im->w : im->h;
    square_columns((im->w - m) / 2, m, w, taps);
    square_rows((im->h - m) / 2, m, h, taps + w);
    resample(im, taps, w, h, flip, out);
}

/* ---- the random crop: zero outside the image ---- */

/* Rounded down, for positions that may be far outside an image of `size` pixels. */
static int floor_within(float v, int size)
{
    if (!(v > -2))
        return -2;
    if (v > (float)size)
        return size;
    int i = (int)v;
    return i - (v < (float)i);
}

static tap tap_at(float at, int size)
{
    int i = floor_within(at, size);
    float d = at - (float)i;
    return (tap){clamp(i, 0, size - 1), clamp(i + 1, 0, size - 1), i >= 0 && i < size ? 1 - d : 0,
                 i >= -1 && i < size - 1 ? d : 0};
}

/* Where pixel (x, y) of the output lies before it is turned, from the centre of the image. */
static double column_of(const ds_draw *d, int x, int w)
{
    return (x - w / 2. + d->dx) * ((double)d->aspect / d->scale);
}

static double row_of(const ds_draw *d, int y, int h)
{
    return (y - h / 2. + d->dy) * (1.0 / d->scale);
}

static void crop_upright(const ds_image *im, int w, int h, const ds_draw *draw, float *out)
{
    tap *taps = DS_ALLOC(taps, (size_t)w + (size_t)h);
    for (int x = 0; x < w; x++)
        taps[x] = tap_at((float)(column_of(draw, x, w) + im->w / 2.), im->w);
    for (int y = 0; y < h; y++)
        taps[w + y] = tap_at((float)(row_of(draw, y, h) + im->h / 2.), im->h);
    resample(im, taps, w, h, draw->flip, out);
}

static void crop_rotated(const ds_image *im, int w, int h, const ds_draw *draw, float *out)
{
    double cosine = cos(draw->radians), sine = sin(draw->radians);
    for (int y = 0; y < h; y++) {
        double v = row_of(draw, y, h);
        for (int x = 0; x < w; x++) {
            double u = column_of(draw, draw->flip ? w - 1 - x : x, w);
            tap tx = tap_at((float)(cosine * u - sine * v + im->w / 2.), im->w);
            tap ty = tap_at((float)(sine * u + cosine * v + im->h / 2.), im->h);
            sample(im, im->c == 3 ? 3 : 1, tx, ty, out + (size_t)y * (size_t)w + x, (size_t)w * (size_t)h);
        }
    }
}

void ds_crop_random(const ds_image *im, int w, int h, const ds_draw *draw, float *out)
{
    if (draw->radians == 0)
        crop_upright(im, w, h, draw, out);
    else
        crop_rotated(im, w, h, draw, out);
}
