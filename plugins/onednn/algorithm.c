#include "plugins/onednn/algorithm.h"

/* Places that tiles of 4 x 4 cover, over the places that there are. */
static double waste(const ds_conv_spec *s)
{
    int tiles = ((s->out_h + 3) / 4) * ((s->out_w + 3) / 4);
    return 16.0 * tiles / (s->out_h * s->out_w);
}

/* Winograd's F(4x4, 3x3) needs 4 times fewer multiplications and, measured over the shapes of common networks, 1.7 to 2.8 times less time;
 * tiles that stick out cost it. */
static bool rule(const ds_conv_spec *s)
{
    enum { FEW = 8 }; /* images that do not pay for transforming the weights beforehand */
    if (s->kind == DS_CONV_INFER && s->batch < FEW)
        return false;
    return s->size == 3 && s->stride == 1 && s->pad <= 1 && s->groups == 1 && s->c % 16 == 0 &&
           s->n % 16 == 0 && waste(s) < 1.7;
}

bool ds_algorithm_winograd(ds_tune *tune, ds_dnnl *d, const ds_conv_spec *spec)
{
    (void)tune;
    (void)d;
    return rule(spec);
}
