/* `im2col_cpu` and `col2im_cpu` exported in the place of the host's, which test the border for every number. A row of the
 * column matrix is a stretch of an image row between two stretches of padding. */
#include "host/private.h"

#include <string.h>

#define EXPORT __attribute__((visibility("default")))

/* Columns [*from, *to) of an output row of `width` see a pixel of an input row of `w` at offset x0. */
static void inside(int width, int w, int x0, int stride, int *from, int *to)
{
    *from = x0 < 0 ? (-x0 + stride - 1) / stride : 0;
    *to = w > x0 ? (w - x0 + stride - 1) / stride : 0;
    *to = *to > width ? width : *to;
    *from = *from > *to ? *to : *from;
}

static void spread_row(const float *in, int w, int x0, int stride, float *out, int width)
{
    int from, to;
    inside(width, w, x0, stride, &from, &to);
    memset(out, 0, (size_t)from * sizeof *out);
    if (stride == 1)
        memcpy(out + from, in + x0 + from, (size_t)(to - from) * sizeof *out);
    else
        for (int x = from; x < to; x++)
            out[x] = in[x0 + x * stride];
    memset(out + to, 0, (size_t)(width - to) * sizeof *out);
}

static void gather_row(const float *in, int w, int x0, int stride, float *out, int width)
{
    int from, to;
    inside(width, w, x0, stride, &from, &to);
    if (stride == 1)
        for (int x = from; x < to; x++)
            out[x0 + x] += in[x];
    else
        for (int x = from; x < to; x++)
            out[x0 + x * stride] += in[x];
}

/* im: channels x height x width; col: (channels * size * size) x (out_h * out_w). */
EXPORT void im2col_cpu(float *im, int channels, int height, int width, int size, int stride, int pad,
                       float *col)
{
    int out_h = (height + 2 * pad - size) / stride + 1, out_w = (width + 2 * pad - size) / stride + 1;
    for (int row = 0; row < channels * size * size; row++) {
        const float *plane = im + (size_t)(row / size / size) * height * width;
        int ky = row / size % size - pad, kx = row % size - pad;
        for (int y = 0; y < out_h; y++, col += out_w) {
            int at = y * stride + ky;
            if (at < 0 || at >= height)
                memset(col, 0, (size_t)out_w * sizeof *col);
            else
                spread_row(plane + (size_t)at * width, width, kx, stride, col, out_w);
        }
    }
}

/* Adds; the reverse of the above. */
EXPORT void col2im_cpu(float *col, int channels, int height, int width, int size, int stride, int pad,
                       float *im)
{
    int out_h = (height + 2 * pad - size) / stride + 1, out_w = (width + 2 * pad - size) / stride + 1;
    for (int row = 0; row < channels * size * size; row++) {
        float *plane = im + (size_t)(row / size / size) * height * width;
        int ky = row / size % size - pad, kx = row % size - pad;
        for (int y = 0; y < out_h; y++, col += out_w) {
            int at = y * stride + ky;
            if (at >= 0 && at < height)
                gather_row(col, width, kx, stride, plane + (size_t)at * width, out_w);
        }
    }
}
