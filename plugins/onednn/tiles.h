/* The gradient of a convolution's weights by the tiles of AMX, of which oneDNN 2.6 and 3.7 use a third of
 * what they do forward. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A convolution of stride 1; images are batch x row x column x channel of bfloat16. */
typedef struct ds_tiles {
    int batch, c, h, w, n, out_h, out_w, size, pad;
} ds_tiles;

/* Channels and filters must be multiples of 16, the padding smaller than the window. The processor is asked
 * by ds_dnnl_has_amx(), which also makes the kernel give it to this process. */
bool ds_tiles_can(const ds_tiles *t);
size_t ds_tiles_scratch_bytes(const ds_tiles *t);
/* gradient: row x column x c x n floats, written; scratch is aligned to 64 bytes. The order of the sums does
 * not depend on the number of threads. */
void ds_tiles_grad_weights(const ds_tiles *t, const void *input, const void *output_gradient, void *scratch,
                           float *gradient);
