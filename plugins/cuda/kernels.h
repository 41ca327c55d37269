/* The kernels as code of a device. */
#pragma once

#include "base/error.h"
#include "plugins/cuda/library.h"

/* Compiled for compute capability `sm`, or as ~/.cache/darknet-sat keeps it from before ($XDG_CACHE_HOME);
 * fresh memory. A folder that cannot be written keeps nothing. */
int ds_kernels_image(ds_cuda_library *l, int sm, bool bf16, unsigned char **image, ds_error *e);
