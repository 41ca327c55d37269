#include "plugins/onednn/lower.h"

#include <string.h>

size_t ds_windows_bytes(const ds_windows *v)
{
    size_t size = (size_t)v->size, windows = v->images * (size_t)v->out_h * (size_t)v->out_w;
    return v->size == 1 && v->stride == 1 && v->first == 0
               ? 0
               : (windows * size * size * v->bytes + 63) / 64 * 64;
}

/* Row r of window (y, x) of an image. */
static char *lower_row(const ds_windows *v, const char *image, int y, int x, char *to)
{
    const char *row = y < 0 || y >= v->h ? NULL : image + (size_t)y * (size_t)v->w * v->bytes;
    for (int s = 0; s < v->size; s++, x += v->step, to += v->bytes)
        if (row && x >= 0 && x < v->w)
            memcpy(to, row + (size_t)x * v->bytes, v->bytes);
        else
            memset(to, 0, v->bytes);
    return to;
}

void ds_lower(const ds_windows *v, const void *images, void *matrix)
{
    size_t rows = v->images * (size_t)v->out_h, image_bytes = (size_t)v->h * (size_t)v->w * v->bytes;
    size_t row_bytes = (size_t)v->out_w * (size_t)(v->size * v->size) * v->bytes;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows; i++) {
        const char *image = (const char *)images + i / (size_t)v->out_h * image_bytes;
        int y = (int)(i % (size_t)v->out_h) * v->stride + v->first;
        char *to = (char *)matrix + i * row_bytes;
        for (int x = 0; x < v->out_w; x++)
            for (int r = 0; r < v->size; r++)
                to = lower_row(v, image, y + v->step * r, x * v->stride + v->first, to);
    }
}
