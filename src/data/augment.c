#include "data/augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where a column (or row) of the output comes from: two columns of the image and their weights. Outside the image the
 * indices are clamped and the weights 0. */
typedef struct tap {
    int i0, i1;
    float w0, w1;
} tap;

static float *reserve(ds_scratch *s, size_t n)
{
    if (s->n >= n)
        return s->v;
    float *grown = realloc(s->v, n * sizeof *grown);
    if (!grown)
        return NULL;
    s->v = grown;
    s->n = n;
    return grown;
}

static int clamp(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

/* ---- resampling whose columns and rows are independent ---------------------------------------------------- */

/* One image row through the column taps. row: c x w floats, scaled to [0, 1]. */
static inline void resample_row(const unsigned char *restrict px, const tap *restrict columns, int w, const int c,
                                float *restrict row)
{
    for (int x = 0; x < w; x++) {
        const unsigned char *a = px + (ptrdiff_t)columns[x].i0 * c, *b = px + (ptrdiff_t)columns[x].i1 * c;
        float w0 = columns[x].w0 * (1 / 255.f), w1 = columns[x].w1 * (1 / 255.f);
        for (int k = 0; k < c; k++)
            row[k * w + x] = w0 * (float)a[k] + w1 * (float)b[k];
    }
}

/* Two image rows that went through the column taps; neighbours never share a place. */
typedef struct row_pair {
    const ds_image *im;
    const tap *columns;
    int w;
    int held[2]; /* image row in each place, -1: none */
    float *rows[2];
} row_pair;

static const float *row_of(row_pair *p, int y)
{
    int place = y & 1;
    if (p->held[place] != y) {
        const unsigned char *px = p->im->px + (size_t)y * (size_t)p->im->w * (size_t)p->im->c;
        if (p->im->c == 3)
            resample_row(px, p->columns, p->w, 3, p->rows[place]);
        else
            resample_row(px, p->columns, p->w, 1, p->rows[place]);
        p->held[place] = y;
    }
    return p->rows[place];
}

static void blend(const float *restrict a, const float *restrict b, float wa, float wb, int n, float *restrict out)
{
    int x = 0;
    for (; x + 8 <= n; x += 8)
        for (int i = 0; i < 8; i++)
            out[x + i] = wa * a[x + i] + wb * b[x + i];
    for (; x < n; x++)
        out[x] = wa * a[x] + wb * b[x];
}

/* columns: w taps, rows: h taps; out: c x h x w; both: 2 x c x w floats of working space. */
static void resample(const ds_image *im, const tap *columns, int w, const tap *rows, int h, float *both, float *out)
{
    row_pair pair = {im, columns, w, {-1, -1}, {both, both + im->c * w}};
    for (int y = 0; y < h; y++) {
        const float *a = row_of(&pair, rows[y].i0), *b = row_of(&pair, rows[y].i1);
        for (int k = 0; k < im->c; k++)
            blend(a + k * w, b + k * w, rows[y].w0, rows[y].w1, w, out + ((size_t)k * (size_t)h + (size_t)y) * (size_t)w);
    }
}

/* ---- the central square ----------------------------------------------------------------------------------- */

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

/* As the columns, but the host drops the second weight of the last row: where rounding leaves the position just short of the
 * last pixel, its last row is dark. Kept, so that predictions agree with the host's. */
static void square_rows(int first, int size, int n, tap *taps)
{
    square_columns(first, size, n, taps);
    if (n == 1 || size == 1)
        return;
    float at = (float)(n - 1) * ((float)(size - 1) / (float)(n - 1));
    int i = clamp((int)at, 0, size - 1);
    taps[n - 1] = (tap){first + i, first + i, 1 - (at - (float)i), 0};
}

static void mirror(tap *columns, int w)
{
    for (int x = 0; x < w / 2; x++) {
        tap t = columns[x];
        columns[x] = columns[w - 1 - x];
        columns[w - 1 - x] = t;
    }
}

/* Working space of resample() and its taps: w + h taps, then 2 x c x w floats. */
static tap *reserve_taps(ds_scratch *s, int w, int h, int c, float **both)
{
    size_t taps = ((size_t)w + (size_t)h) * sizeof(tap) / sizeof(float);
    float *v = reserve(s, taps + 2 * (size_t)c * (size_t)w);
    if (v)
        *both = v + taps;
    return (tap *)v;
}

static int crop_center(const ds_image *im, int w, int h, bool flip, float *out, ds_scratch *scratch, ds_error *e)
{
    float *both;
    tap *columns = reserve_taps(scratch, w, h, im->c, &both);
    if (!columns)
        return ds_fail_memory(e);
    int m = im->w < im->h ? im->w : im->h;
    square_columns((im->w - m) / 2, m, w, columns);
    square_rows((im->h - m) / 2, m, h, columns + w);
    if (flip)
        mirror(columns, w);
    resample(im, columns, w, columns + w, h, both, out);
    return DS_OK;
}

int ds_prepare_center(const ds_image *im, int w, int h, float *out, ds_scratch *scratch, ds_error *e)
{
    return crop_center(im, w, h, false, out, scratch, e);
}

/* ---- random crop, upright --------------------------------------------------------------------------------- */

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

static int crop_upright(const ds_image *im, int w, int h, const ds_draw *draw, float *out, ds_scratch *scratch,
                        ds_error *e)
{
    float *both;
    tap *columns = reserve_taps(scratch, w, h, im->c, &both);
    if (!columns)
        return ds_fail_memory(e);
    double fx = (double)draw->aspect / draw->scale, fy = 1.0 / draw->scale;
    for (int x = 0; x < w; x++)
        columns[x] = tap_at((float)((x - w / 2. + draw->dx) * fx + im->w / 2.), im->w);
    for (int y = 0; y < h; y++)
        columns[w + y] = tap_at((float)((y - h / 2. + draw->dy) * fy + im->h / 2.), im->h);
    if (draw->flip)
        mirror(columns, w);
    resample(im, columns, w, columns + w, h, both, out);
    return DS_OK;
}

/* ---- random crop, rotated --------------------------------------------------------------------------------- */

/* The pixel at (x, y), zero outside the image; `stride` floats between the channels of out. */
static void sample_edge(const ds_image *im, float x, float y, float *out, size_t stride)
{
    tap tx = tap_at(x, im->w), ty = tap_at(y, im->h);
    size_t row = (size_t)im->w * (size_t)im->c;
    const unsigned char *a = im->px + (size_t)ty.i0 * row, *b = im->px + (size_t)ty.i1 * row;
    for (int k = 0; k < im->c; k++) {
        int i0 = tx.i0 * im->c + k, i1 = tx.i1 * im->c + k;
        float upper = tx.w0 * (float)a[i0] + tx.w1 * (float)a[i1], lower = tx.w0 * (float)b[i0] + tx.w1 * (float)b[i1];
        out[(size_t)k * stride] = (ty.w0 * upper + ty.w1 * lower) * (1 / 255.f);
    }
}

/* One output row; the position moves by (sx, sy) a pixel from (x0, y0). */
static inline void rotate_row(const ds_image *im, double x0, double y0, double sx, double sy, int w, const int c,
                              float *out, size_t stride)
{
    size_t row = (size_t)im->w * (size_t)c;
    for (int j = 0; j < w; j++) {
        float x = (float)(x0 + j * sx), y = (float)(y0 + j * sy);
        if (!(x >= 0 && y >= 0 && x < (float)(im->w - 1) && y < (float)(im->h - 1))) {
            sample_edge(im, x, y, out + j, stride);
            continue;
        }
        int ix = (int)x, iy = (int)y;
        float dx = x - (float)ix, dy = (y - (float)iy) * (1 / 255.f), ey = 1 / 255.f - dy, ex = 1 - dx;
        float w00 = ex * ey, w01 = dx * ey, w10 = ex * dy, w11 = dx * dy;
        const unsigned char *a = im->px + (size_t)iy * row + (size_t)ix * (size_t)c, *b = a + row;
        for (int k = 0; k < c; k++)
            out[(size_t)k * stride + (size_t)j] =
                w00 * (float)a[k] + w01 * (float)a[k + c] + w10 * (float)b[k] + w11 * (float)b[k + c];
    }
}

static void crop_rotated(const ds_image *im, int w, int h, const ds_draw *draw, float *out)
{
    double cosine = cos(draw->radians), sine = sin(draw->radians);
    double fx = (double)draw->aspect / draw->scale, fy = 1.0 / draw->scale;
    double first = (draw->flip ? w - 1 : 0) - w / 2. + draw->dx, step = draw->flip ? -fx : fx;
    for (int y = 0; y < h; y++) {
        double v = (y - h / 2. + draw->dy) * fy;
        double x0 = cosine * first * fx - sine * v + im->w / 2., y0 = sine * first * fx + cosine * v + im->h / 2.;
        float *row = out + (size_t)y * (size_t)w;
        size_t stride = (size_t)w * (size_t)h;
        if (im->c == 3)
            rotate_row(im, x0, y0, cosine * step, sine * step, w, 3, row, stride);
        else
            rotate_row(im, x0, y0, cosine * step, sine * step, w, 1, row, stride);
    }
}

/* ---- colour ----------------------------------------------------------------------------------------------- */

static inline float unit(float v)
{
    v = v > 0 ? v : 0;
    return v < 1 ? v : 1;
}

enum { BLOCK = 16 }; /* loops of a constant length become vector code */

static void expose(float *v, size_t n, float exposure)
{
    for (size_t i = 0; i < n; i++)
        v[i] = unit(v[i] * exposure);
}

/* Saturation and exposure in HSV with the hue kept: each channel moves away from or to the largest one. */
static inline void saturate(float *restrict r, float *restrict g, float *restrict b, const int n, float saturation,
                            float exposure)
{
    for (int i = 0; i < n; i++) {
        float big = r[i] > g[i] ? r[i] : g[i];
        big = big > b[i] ? big : b[i];
        r[i] = unit(exposure * (big + saturation * (r[i] - big)));
        g[i] = unit(exposure * (big + saturation * (g[i] - big)));
        b[i] = unit(exposure * (big + saturation * (b[i] - big)));
    }
}

/* A channel of HSV with value v and chroma c; k: sixths of a turn from the point where the channel is smallest, in [0, 12). */
static inline float channel(float v, float c, float k)
{
    float wrapped = k - 6;
    k = k >= 6 ? wrapped : k;
    float other = 4 - k;
    k = k < other ? k : other;
    return unit(v - c * unit(k));
}

/* HSV and back without branches. hue in sixths of a turn. */
static inline void turn_hue(float *restrict r, float *restrict g, float *restrict b, const int n, float hue,
                            float saturation, float exposure)
{
    for (int i = 0; i < n; i++) {
        float red = r[i], green = g[i], blue = b[i];
        float big = red > green ? red : green, small = red < green ? red : green;
        big = big > blue ? big : blue;
        small = small < blue ? small : blue;
        float chroma = big - small, top = red - green, base = 4;
        float top_green = blue - red, top_red = green - blue;
        top = green == big ? top_green : top;
        base = green == big ? 2 : base;
        top = red == big ? top_red : top;
        base = red == big ? 0 : base;
        float h = base + top / (chroma > 0 ? chroma : 1);
        float h_up = h + 6;
        h = (h < 0 ? h_up : h) + hue;
        float h_down = h - 6, h_wrap = h + 6;
        h = h > 6 ? h_down : h < 0 ? h_wrap : h;
        float v = big * exposure, c = chroma * saturation * exposure;
        r[i] = channel(v, c, h + 5);
        g[i] = channel(v, c, h + 3);
        b[i] = channel(v, c, h + 1);
    }
}

static void distort(float *out, size_t n, const ds_draw *d)
{
    float *r = out, *g = out + n, *b = out + 2 * n;
    if (d->hue == 0 && d->saturation == 1) {
        if (d->exposure != 1)
            expose(out, 3 * n, d->exposure);
        return;
    }
    size_t i = 0;
    if (d->hue == 0) {
        for (; i + BLOCK <= n; i += BLOCK)
            saturate(r + i, g + i, b + i, BLOCK, d->saturation, d->exposure);
        saturate(r + i, g + i, b + i, (int)(n - i), d->saturation, d->exposure);
        return;
    }
    for (; i + BLOCK <= n; i += BLOCK)
        turn_hue(r + i, g + i, b + i, BLOCK, 6 * d->hue, d->saturation, d->exposure);
    turn_hue(r + i, g + i, b + i, (int)(n - i), 6 * d->hue, d->saturation, d->exposure);
}

/* ---- the numbers ------------------------------------------------------------------------------------------ */

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
    ds_draw d = {.scale = 1};
    d.aspect = uniform_factor(r, a->aspect);
    int size = uniform_size(r, a->min_size, a->max_size);
    int side = (float)ih < (float)iw * d.aspect ? ih : (int)((float)iw * d.aspect);
    d.scale = (float)(size > 0 ? size : 1) / (float)(side > 0 ? side : 1);
    d.radians = uniform(r, -a->angle, a->angle) * (float)(2 * M_PI / 360);
    float dx = ((float)iw * d.scale / d.aspect - (float)a->w) / 2, dy = ((float)ih * d.scale - (float)a->h) / 2;
    d.dx = uniform(r, -dx, dx);
    d.dy = uniform(r, -dy, dy);
    d.flip = (ds_rng_next(r) >> 63) && a->flip;
    d.hue = uniform(r, -a->hue, a->hue);
    d.saturation = uniform_factor(r, a->saturation);
    d.exposure = uniform_factor(r, a->exposure);
    return d;
}

int ds_augment_apply(const ds_image *im, const ds_augment *a, const ds_draw *draw, float *out, ds_scratch *scratch,
                     ds_error *e)
{
    int rc = DS_OK;
    if (a->center)
        rc = crop_center(im, a->w, a->h, draw->flip, out, scratch, e);
    else if (draw->radians == 0)
        rc = crop_upright(im, a->w, a->h, draw, out, scratch, e);
    else
        crop_rotated(im, a->w, a->h, draw, out);
    if (rc)
        return rc;
    size_t n = (size_t)a->w * (size_t)a->h;
    if (im->c == 3)
        distort(out, n, draw);
    else if (draw->exposure != 1)
        expose(out, n, draw->exposure);
    return DS_OK;
}

int ds_prepare_augmented(const ds_image *im, const ds_augment *a, uint64_t seed, uint64_t epoch, uint64_t sample,
                         float *out, ds_scratch *scratch, ds_error *e)
{
    ds_rng r = ds_rng_make(seed, epoch, sample);
    ds_draw draw = ds_augment_draw(a, im->w, im->h, &r);
    return ds_augment_apply(im, a, &draw, out, scratch, e);
}
