/* Which algorithm computes a convolution: a fixed rule, or what was measured on this machine. */
#ifndef DS_ONEDNN_ALGORITHM_H
#define DS_ONEDNN_ALGORITHM_H

#include "plugins/onednn/dnnl.h"

typedef struct ds_tune ds_tune; /* opaque: measured answers */

/* Is Winograd's to be tried for this shape? tune NULL: the rule. */
bool ds_algorithm_winograd(ds_tune *tune, ds_dnnl *d, const ds_conv_spec *spec);

#endif
