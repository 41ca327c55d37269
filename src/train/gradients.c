#include "train/gradients.h"

enum { BUCKET = 1 << 20 };

struct ds_gradients {
    const ds_ranks *ranks;
    const ds_param *params;
    int n, next; /* arrays; those from `next` on are in `flat`, the last first */
    float *flat; /* total numbers, of which `filled` are there, `sent` on their way */
    size_t total, filled, sent;
    void **sums; /* on their way: n_sums, each but the last of BUCKET numbers */
    int n_sums;
};

ds_gradients *ds_gradients_new(const ds_ranks *ranks, const ds_param *params, int n)
{
    if (!ranks)
        return NULL;
    ds_gradients *g = DS_ZALLOC(g, 1);
    *g = (ds_gradients){.ranks = ranks, .params = params, .n = n};
    for (int k = 0; k < n; k++)
        g->total += params[k].gradient ? params[k].n : 0;
    DS_ALLOC(g->flat, g->total);
    DS_ALLOC(g->sums, g->total / BUCKET + 1);
    return g;
}

void ds_gradients_free(ds_gradients *g)
{
    if (!g)
        return;
    free(g->flat);
    free(g->sums);
    free(g);
}

static void send(ds_gradients *g, size_t n)
{
    g->sums[g->n_sums++] = g->ranks->pass->sum_begin(g->flat + g->sent, (int)n);
    g->sent += n;
}

static void on_layer(void *arg, int layer)
{
    ds_gradients *g = arg;
    for (; g->next > 0 && g->params[g->next - 1].layer >= layer; g->next--) {
        const ds_param *p = &g->params[g->next - 1];
        if (!p->gradient)
            continue;
        memcpy(g->flat + g->filled, p->gradient, p->n * sizeof *g->flat);
        g->filled += p->n;
    }
    while (g->filled - g->sent >= BUCKET)
        send(g, BUCKET);
    for (int k = 0; k < g->n_sums; k++)
        g->ranks->pass->sum_poll(g->sums[k]);
}

void ds_gradients_begin(ds_gradients *g, ds_net *net)
{
    if (!g)
        return;
    g->next = g->n;
    g->filled = g->sent = 0;
    g->n_sums = 0;
    ds_net_set_after(net, on_layer, g);
}

void ds_gradients_end(ds_gradients *g, ds_net *net)
{
    if (!g)
        return;
    ds_net_set_after(net, NULL, NULL);
    on_layer(g, 0);
    if (g->filled > g->sent)
        send(g, g->filled - g->sent);
    for (int k = 0; k < g->n_sums; k++)
        g->ranks->pass->sum_end(g->sums[k]);
    const float *sum = g->flat;
    for (int k = g->n - 1; k >= 0; k--) {
        const ds_param *p = &g->params[k];
        if (!p->gradient)
            continue;
        memcpy(p->gradient, sum, p->n * sizeof *sum);
        sum += p->n;
    }
}

void ds_gradients_clear(ds_gradients *g)
{
    for (int k = 0; g && g->ranks->rank && k < g->n; k++)
        if (g->params[k].gradient)
            memset(g->params[k].gradient, 0, g->params[k].n * sizeof *g->params[k].gradient);
}
