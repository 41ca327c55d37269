/* Time of each layer, when somebody asks for it. */
#include "host/private.h"
#include "base/clock.h"

#include <stdlib.h>

double ds_profile_now(const ds_net *n)
{
    return n->times && !n->times_held ? ds_now() : 0;
}

void ds_profile_add(ds_net *n, int i, bool backward, double start)
{
    if (!n->times || n->times_held)
        return;
    double *sum = backward ? &n->times[i].backward : &n->times[i].forward;
    *sum += ds_profile_now(n) - start;
}

int ds_net_profile_start(ds_net *n, ds_error *e)
{
    free(n->times);
    n->times = calloc((size_t)n->net->n, sizeof *n->times);
    return n->times ? DS_OK : ds_fail_memory(e);
}

void ds_net_profile_hold(ds_net *n, bool hold)
{
    n->times_held = hold;
}

const ds_layer_time *ds_net_profile(const ds_net *n)
{
    return n->times;
}
