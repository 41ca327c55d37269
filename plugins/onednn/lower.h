/* Lowering ("im2col"): the windows that a filter sees, each a row of a matrix, so that a convolution of a
 * whole batch is one product of matrices. */
#pragma once

#include <stddef.h>

/* Of images of rows x columns x places of `bytes` each. Window (y, x) has size x size places; its place
 * (r, s) is that of row y stride + first + step r, column x stride + first + step s, zeros outside of the
 * image. */
typedef struct ds_windows {
    size_t images, bytes;
    int h, w, out_h, out_w; /* of an image; windows in a column and a row */
    int size, stride, first, step;
} ds_windows;

/* Bytes of the matrix: windows x (size^2 bytes), rounded up to 64. 0: the images are their own. */
size_t ds_windows_bytes(const ds_windows *v);
void ds_lower(const ds_windows *v, const void *images, void *matrix);
