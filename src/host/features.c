/* What chosen layers put out, one number a channel: the features that novelty is measured on. */
#include "host/private.h"

void ds_shape_of(const ds_shape *s, int numbers, int *c, int *h, int *w)
{
    bool image = s->w > 0 && s->h > 0 && s->w * s->h * s->c == numbers;
    *c = image ? s->c : numbers;
    *h = image ? s->h : 1;
    *w = image ? s->w : 1;
}

/* The layer whose channels layer i passes on, or their means. */
static int origin_of(const network *net, int i)
{
    for (; i >= 0; i = net->layers[i].type == ROUTE ? net->layers[i].input_layers[0] : i - 1) {
        const layer *l = &net->layers[i];
        if (l->type != DROPOUT && l->type != AVGPOOL && !(l->type == ROUTE && l->n == 1))
            break;
    }
    return i;
}

/* Depth k goes. */
static void remove_depth(ds_depths *d, int k)
{
    d->n--;
    memmove(&d->layer[k], &d->layer[k + 1], (size_t)(d->n - k) * sizeof *d->layer);
}

/* At the end; each layer once, and the last ones where there are too many. */
static void add_depth(ds_depths *d, int layer)
{
    for (int k = 0; k < d->n; k++)
        if (d->layer[k] == layer)
            remove_depth(d, k);
    if (layer < 0)
        return;
    if (d->n == DS_MOST_DEPTHS)
        remove_depth(d, 0);
    d->layer[d->n++] = layer;
}

void ds_depths_of(const ds_cfg *cfg, const network *net, ds_depths *d)
{
    int last = ds_cfg_cost(cfg) - 1, h, w;
    *d = (ds_depths){0};
    while (last > 0 && !ds_weights_of(&net->layers[last]))
        last--;
    for (int i = 1; i <= last; i++) {
        const layer *l = &net->layers[i];
        const bool strided = (l->type == CONVOLUTIONAL || l->type == LOCAL) && l->stride > 1;
        if (strided || l->type == MAXPOOL || l->type == AVGPOOL || l->type == REORG || i == last)
            add_depth(d, origin_of(net, i - 1));
    }
    if (d->n == 0 && last >= 0) /* nothing but pixels comes before it */
        add_depth(d, last);
    for (int k = 0; k < d->n; k++) {
        int i = d->layer[k];
        ds_shape_of(&cfg->shapes[i + 1], net->layers[i].outputs, &d->channels[k], &h, &w);
        d->row += (size_t)d->channels[k];
    }
}

static float level_of(const float *x, size_t n)
{
    double mean = 0, m2 = 0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        m2 += (x[i] - mean) * (x[i] - mean);
    return (float)(mean + sqrt(m2 / (double)n));
}

void ds_measure_output(const layer *l, int channels, float *to, size_t row)
{
    const size_t places = (size_t)(l->outputs / channels);
    for (size_t b = 0; b < (size_t)l->batch; b++)
        for (size_t c = 0; c < (size_t)channels; c++)
            to[b * row + c] = level_of(l->output + (b * (size_t)channels + c) * places, places);
}

void ds_features_make(ds_net *n)
{
    const ds_depths *d = &n->depths;
    size_t at = 0;
    DS_ZALLOC(n->features, ds_batch_size(&n->net->layers[0], (int)d->row));
    n->context.pass.features = n->features;
    for (int k = 0; k < d->n; k++) {
        n->slots[d->layer[k]].feature = n->features + at;
        n->slots[d->layer[k]].channels = d->channels[k];
        at += (size_t)d->channels[k];
    }
}

const float *ds_net_features(const ds_net *n, const ds_depths **depths)
{
    *depths = &n->depths;
    return n->features;
}
