/* Where the pixels of the network's input come from: the central square, or a scaled, shifted, rotated
 * part. */
#include "data/augment.h"
#include "data/wide.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where a column (or row) of the output comes from: two columns of the image and their weights. Outside the
 * image the indices are clamped and the weights 0. */
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

/* ---- resampling whose columns and rows are independent ---- */

/* One image row through the column taps. row: c x w floats, scaled to [0, 1]. */
static inline void resample_row(const unsigned char *restrict px, const tap *restrict columns, int w,
                                const int c, float *restrict row)
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

static void blend(const float *restrict a, const float *restrict b, float wa, float wb, int n,
                  float *restrict out)
{
    int x = 0;
    for (; x + DS_BLOCK <= n; x += DS_BLOCK)
        for (int i = 0; i < DS_BLOCK; i++)
            out[x + i] = wa * a[x + i] + wb * b[x + i];
    for (; x < n; x++)
        out[x] = wa * a[x] + wb * b[x];
}

/* columns: w taps, rows: h taps; out: c x h x w; both: 2 x c x w floats of working space. */
static void resample(const ds_image *im, const tap *columns, int w, const tap *rows, int h, float *both,
                     float *out)
{
    row_pair pair = {im, columns, w, {-1, -1}, {both, both + im->c * w}};
    for (int y = 0; y < h; y++) {
        const float *a = row_of(&pair, rows[y].i0), *b = row_of(&pair, rows[y].i1);
        for (int k = 0; k < im->c; k++)
            blend(a + k * w, b + k * w, rows[y].w0, rows[y].w1, w,
                  out + ((size_t)k * (size_t)h + (size_t)y) * (size_t)w);
    }
}

/* ---- the central square ---- */

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

int ds_crop_center(const ds_image *im, int w, int h, bool flip, float *out, ds_scratch *scratch, ds_error *e)
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
    return ds_crop_center(im, w, h, false, out, scratch, e);
}

/* ---- random crop, upright ---- */

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

int ds_crop_upright(const ds_image *im, int w, int h, const ds_draw *draw, float *out, ds_scratch *scratch,
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

/* ---- random crop, rotated ---- */

/* The pixel at (x, y), zero outside the image; `stride` floats between the channels of out. */
static void sample_edge(const ds_image *im, float x, float y, float *out, size_t stride)
{
    if (x <= -1 || y <= -1 || x >= (float)im->w || y >= (float)im->h) {
        for (int k = 0; k < im->c; k++)
            out[(size_t)k * stride] = 0;
        return;
    }
    tap tx = tap_at(x, im->w), ty = tap_at(y, im->h);
    size_t row = (size_t)im->w * (size_t)im->c;
    const unsigned char *a = im->px + (size_t)ty.i0 * row, *b = im->px + (size_t)ty.i1 * row;
    for (int k = 0; k < im->c; k++) {
        int i0 = tx.i0 * im->c + k, i1 = tx.i1 * im->c + k;
        float upper = tx.w0 * (float)a[i0] + tx.w1 * (float)a[i1],
              lower = tx.w0 * (float)b[i0] + tx.w1 * (float)b[i1];
        out[(size_t)k * stride] = (ty.w0 * upper + ty.w1 * lower) * (1 / 255.f);
    }
}

enum { CHUNK = 64 }; /* pixels of an output row at a time, a multiple of DS_BLOCK */

typedef float lanes __attribute__((vector_size(16)));
typedef int32_t words __attribute__((vector_size(16)));

/* Where the pixels of a chunk come from, and the four image pixels around each (0xbbggrr). */
typedef struct chunk {
    float x[CHUNK], y[CHUNK]; /* positions */
    float dx[CHUNK], dy[CHUNK];
    int32_t ix[CHUNK], iy[CHUNK];
    int32_t inside[CHUNK]; /* 0: the neighbourhood is not wholly in the image; then dx, dy, ix, iy are 0 */
    int32_t taps[4][CHUNK];
    float values[CHUNK];
} chunk;

/* Positions at … at + 3. */
DS_INLINE void locate(chunk *p, int at, double x, double y, double sx, double sy, float right, float bottom)
{
    const lanes zero = {0};
    lanes vx = {(float)x, (float)(x + sx), (float)(x + 2 * sx), (float)(x + 3 * sx)};
    lanes vy = {(float)y, (float)(y + sy), (float)(y + 2 * sy), (float)(y + 3 * sy)};
    words inside = (vx >= zero) & (vy >= zero) & (vx < right) & (vy < bottom);
    memcpy(p->x + at, &vx, sizeof vx);
    memcpy(p->y + at, &vy, sizeof vy);
    memcpy(p->inside + at, &inside, sizeof inside);
    vx = (lanes)((words)vx & inside);
    vy = (lanes)((words)vy & inside);
    words ix = __builtin_convertvector(vx, words), iy = __builtin_convertvector(vy, words);
    memcpy(p->ix + at, &ix, sizeof ix);
    memcpy(p->iy + at, &iy, sizeof iy);
    vx -= __builtin_convertvector(ix, lanes);
    vy -= __builtin_convertvector(iy, lanes);
    memcpy(p->dx + at, &vx, sizeof vx);
    memcpy(p->dy + at, &vy, sizeof vy);
}

/* Reads a byte behind a colour pixel. */
DS_INLINE int32_t pixel_at(const unsigned char *px, const int c)
{
    uint32_t v;
    if (c == 1)
        return px[0];
    memcpy(&v, px, sizeof v);
    return (int32_t)le32toh(v);
}

DS_INLINE void fetch(const ds_image *im, chunk *p, int n, const int c)
{
    ptrdiff_t row = (ptrdiff_t)im->w * c;
    for (int i = 0; i < n; i++) {
        const unsigned char *a = im->px + p->iy[i] * row + (ptrdiff_t)p->ix[i] * c;
        p->taps[0][i] = pixel_at(a, c);
        p->taps[1][i] = pixel_at(a + c, c);
        p->taps[2][i] = pixel_at(a + row, c);
        p->taps[3][i] = pixel_at(a + row + c, c);
    }
}

/* One channel of DS_BLOCK pixels. */
DS_INLINE void mix_taps(chunk *restrict p, int at, int shift)
{
    for (int i = at; i < at + DS_BLOCK; i++) {
        float a = (float)(p->taps[0][i] >> shift & 255), b = (float)(p->taps[1][i] >> shift & 255);
        float c = (float)(p->taps[2][i] >> shift & 255), d = (float)(p->taps[3][i] >> shift & 255);
        float upper = a + p->dx[i] * (b - a), lower = c + p->dx[i] * (d - c);
        p->values[i] = (upper + p->dy[i] * (lower - upper)) * (1 / 255.f);
    }
}

/* n <= CHUNK pixels of an output row; the position moves by (sx, sy) a pixel from (x, y). */
DS_INLINE void rotate_chunk(const ds_image *im, double x, double y, double sx, double sy, int n, const int c,
                            float *out, size_t stride)
{
    chunk p;
    int whole = (n + DS_BLOCK - 1) / DS_BLOCK * DS_BLOCK;
    float right = (float)(im->w - 2), bottom = (float)(im->h - 1);
    for (int j = 0; j < whole; j += 4)
        locate(&p, j, x + j * sx, y + j * sy, sx, sy, right, bottom);
    fetch(im, &p, whole, c);
    for (int k = 0; k < c; k++) {
        for (int j = 0; j < whole; j += DS_BLOCK)
            mix_taps(&p, j, 8 * k);
        for (int j = 0; j < n; j++)
            out[(size_t)k * stride + (size_t)j] = p.values[j];
    }
    for (int j = 0; j < n; j++)
        if (!p.inside[j])
            sample_edge(im, p.x[j], p.y[j], out + j, stride);
}

DS_INLINE void rotate_row(const ds_image *im, double x, double y, double sx, double sy, int w, float *out,
                          size_t stride)
{
    for (int j = 0; j < w; j += CHUNK) {
        int n = w - j < CHUNK ? w - j : CHUNK;
        double cx = x + j * sx, cy = y + j * sy;
        if (im->w < 3 || im->h < 2)
            for (int i = 0; i < n; i++)
                sample_edge(im, (float)(cx + i * sx), (float)(cy + i * sy), out + j + i, stride);
        else if (im->c == 3)
            rotate_chunk(im, cx, cy, sx, sy, n, 3, out + j, stride);
        else
            rotate_chunk(im, cx, cy, sx, sy, n, 1, out + j, stride);
    }
}

DS_INLINE void rotate(const ds_image *im, int w, int h, const ds_draw *draw, float *out)
{
    double cosine = cos(draw->radians), sine = sin(draw->radians);
    double fx = (double)draw->aspect / draw->scale, fy = 1.0 / draw->scale;
    double first = (draw->flip ? w - 1 : 0) - w / 2. + draw->dx, step = draw->flip ? -fx : fx;
    for (int y = 0; y < h; y++) {
        double v = (y - h / 2. + draw->dy) * fy;
        double x0 = cosine * first * fx - sine * v + im->w / 2.,
               y0 = sine * first * fx + cosine * v + im->h / 2.;
        rotate_row(im, x0, y0, cosine * step, sine * step, w, out + (size_t)y * (size_t)w,
                   (size_t)w * (size_t)h);
    }
}

DS_WIDE static void rotate_wide(const ds_image *im, int w, int h, const ds_draw *draw, float *out)
{
    rotate(im, w, h, draw, out);
}

void ds_crop_rotated(const ds_image *im, int w, int h, const ds_draw *draw, float *out)
{
    if (DS_HAVE_WIDE)
        rotate_wide(im, w, h, draw, out);
    else
        rotate(im, w, h, draw, out);
}
