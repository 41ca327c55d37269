/* The parameters of the network, in the order of the .weights file, and the table of its layers. */
#include "host/private.h"

size_t ds_weights_of(const layer *l)
{
    switch (l->type) {
    case CONVOLUTIONAL:
    case DECONVOLUTIONAL:
        return (size_t)l->nweights;
    case CONNECTED:
        return (size_t)l->outputs * l->inputs;
    case LOCAL:
        return (size_t)l->size * l->size * l->c * l->n * l->out_w * l->out_h;
    default:
        return 0;
    }
}

static void add(ds_net *n, int i, const char *name, float *values, float *gradient, size_t count)
{
    ds_param p = {.name = name,
                  .layer = i,
                  .values = values,
                  .gradient = i < n->first ? NULL : gradient, /* what is frozen is not updated either */
                  .n = count,
                  .decayed = !strcmp(name, "weights"),
                  .rate = n->net->layers[i].learning_rate_scale};
    DS_PUSH(n->params, n->n_params, p);
    n->info.parameters += count;
}

static void add_averages(ds_net *n, int i, size_t channels)
{
    const layer *l = &n->net->layers[i];
    add(n, i, "scales", l->scales, l->scale_updates, channels);
    add(n, i, "means", l->rolling_mean, NULL, channels);
    add(n, i, "variances", l->rolling_variance, NULL, channels);
}

static void add_layer(ds_net *n, int i)
{
    const layer *l = &n->net->layers[i];
    size_t weights = ds_weights_of(l), channels = (size_t)(l->type == BATCHNORM ? l->c : l->out_c);
    bool averages = l->type == BATCHNORM || (weights && l->batch_normalize);
    if (weights)
        add(n, i, "biases", l->biases, l->bias_updates, l->type == LOCAL ? (size_t)l->outputs : channels);
    if (averages && l->type != CONNECTED)
        add_averages(n, i, channels);
    if (weights)
        add(n, i, "weights", l->weights, l->weight_updates, weights);
    if (averages && l->type == CONNECTED)
        add_averages(n, i, channels);
}

/* First layer that trains: the first with weights behind the last stopbackward=1. */
static int first_trained(const network *net)
{
    int first = net->n;
    for (int i = net->n - 1; i >= 0 && !net->layers[i].stopbackward; i--)
        if (ds_weights_of(&net->layers[i]) || net->layers[i].type == BATCHNORM)
            first = i;
    return first;
}

void ds_params_collect(ds_net *n)
{
    n->first = first_trained(n->net);
    for (int i = 0; i < n->net->n; i++)
        add_layer(n, i);
}

uint64_t ds_net_weights_hash(const ds_net *n)
{
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a, word by word */
    for (int k = 0; k < n->n_params; k++)
        for (size_t i = 0; i < n->params[k].n; i++) {
            uint32_t word;
            memcpy(&word, &n->params[k].values[i], sizeof word);
            hash = (hash ^ word) * 0x100000001b3;
        }
    return hash;
}

const ds_param *ds_net_params(const ds_net *net, int *n)
{
    *n = net->n_params;
    return net->params;
}

ds_layer_row ds_net_layer_row(const ds_net *n, int i)
{
    const layer *l = &n->net->layers[i];
    double uses = l->type == CONVOLUTIONAL     ? l->out_w * l->out_h
                  : l->type == DECONVOLUTIONAL ? l->w * l->h
                                               : 1;
    ds_layer_row row = {.name = n->cfg->sections[i + 1].name,
                        .in = n->cfg->shapes[i],
                        .out = n->cfg->shapes[i + 1],
                        .flops = 2 * uses * (double)ds_weights_of(l)};
    for (int k = 0; k < n->n_params; k++)
        if (n->params[k].layer == i)
            row.parameters += n->params[k].n;
    return row;
}
