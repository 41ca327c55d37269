/* Which algorithm computes a convolution: a fixed rule of its shape, or what was measured on this machine and kept in a file. */
#ifndef DS_ONEDNN_ALGORITHM_H
#define DS_ONEDNN_ALGORITHM_H

#include "plugins/onednn/dnnl.h"

typedef struct ds_tune ds_tune; /* opaque: measured answers */

/* Answers of a former run are read from `path` where version, instruction set and threads are the same; else it starts empty. */
int ds_tune_new(const char *path, ds_tune **tune, ds_error *e);
/* Write the file if something new was measured. */
int ds_tune_save(ds_tune *tune, ds_error *e);
void ds_tune_free(ds_tune *tune);

/* Is Winograd's algorithm to be tried for this shape? tune NULL: the rule. Otherwise unknown shapes are measured, both algorithms, on memory
 * of their own. */
bool ds_algorithm_winograd(ds_tune *tune, ds_dnnl *d, const ds_conv_spec *spec);

#endif
