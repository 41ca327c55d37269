/* Parameters for networks that nobody has trained, so that answers can be compared. */
#pragma once

#include "host/private.h"

#include <string.h>

/* Averages of normalised data, so that numbers neither vanish nor explode on their way through a hundred layers. */
static inline void sane_averages(ds_net *net)
{
    int arrays;
    const ds_param *p = ds_net_params(net, &arrays);
    for (int k = 0; k < arrays; k++)
        for (size_t i = 0; i < p[k].n; i++)
            if (!strcmp(p[k].name, "variances") || !strcmp(p[k].name, "scales"))
                p[k].values[i] = 1;
            else if (!strcmp(p[k].name, "weights")) /* without the library there are no initial ones */
                p[k].values[i] = .1f * ((float)((i * 2654435761u >> 8) % 2001) / 1000 - 1);
    ds_net_changed(net);
}
