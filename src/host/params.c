/* The parameters of the network, in the order of the .weights file. */
#include "host/private.h"

#include <stdlib.h>

struct collector {
    ds_net *n;
    int layer, capacity;
    bool failed;
};

static void add(struct collector *all, const char *name, float *values, float *gradient, size_t count,
                bool decayed)
{
    ds_net *n = all->n;
    if (n->n_params == all->capacity) {
        int capacity = all->capacity ? 2 * all->capacity : 64;
        ds_param *grown = realloc(n->params, (size_t)capacity * sizeof *grown);
        all->failed |= !grown;
        if (!grown)
            return;
        n->params = grown;
        all->capacity = capacity;
    }
    n->params[n->n_params++] = (ds_param){.name = name,
                                          .layer = all->layer,
                                          .values = values,
                                          .gradient = gradient,
                                          .n = count,
                                          .decayed = decayed,
                                          .rate = n->net->layers[all->layer].learning_rate_scale};
}

static void add_averages(struct collector *all, const layer *l, size_t channels)
{
    add(all, "scales", l->scales, l->scale_updates, channels, false);
    add(all, "means", l->rolling_mean, NULL, channels, false);
    add(all, "variances", l->rolling_variance, NULL, channels, false);
}

static void add_convolutional(struct collector *all, const layer *l)
{
    add(all, "biases", l->biases, l->bias_updates, (size_t)l->n, false);
    if (l->batch_normalize)
        add_averages(all, l, (size_t)l->n);
    size_t weights = l->type == DECONVOLUTIONAL ? (size_t)l->c * l->n * l->size * l->size
                                                : (size_t)l->c / l->groups * l->n * l->size * l->size;
    add(all, "weights", l->weights, l->weight_updates, weights, true);
}

static void add_connected(struct collector *all, const layer *l)
{
    add(all, "biases", l->biases, l->bias_updates, (size_t)l->outputs, false);
    add(all, "weights", l->weights, l->weight_updates, (size_t)l->outputs * l->inputs, true);
    if (l->batch_normalize)
        add_averages(all, l, (size_t)l->outputs);
}

static void add_local(struct collector *all, const layer *l)
{
    size_t places = (size_t)l->out_w * l->out_h;
    add(all, "biases", l->biases, l->bias_updates, (size_t)l->outputs, false);
    add(all, "weights", l->weights, l->weight_updates, (size_t)l->size * l->size * l->c * l->n * places,
        true);
}

/* The inner layers of a recurrent layer, in the order in which the host saves them. */
static void add_inner(struct collector *all, const layer *l)
{
    struct layer *const rnn[] = {l->input_layer, l->self_layer, l->output_layer};
    struct layer *const lstm[] = {l->wi, l->wf, l->wo, l->wg, l->ui, l->uf, l->uo, l->ug};
    struct layer *const gru[] = {l->wz, l->wr, l->wh, l->uz, l->ur, l->uh};
    for (size_t i = 0; l->type == LSTM && i < 8; i++)
        add_connected(all, lstm[i]);
    for (size_t i = 0; l->type == GRU && i < 6; i++)
        add_connected(all, gru[i]);
    for (size_t i = 0; l->type == RNN && i < 3; i++)
        add_connected(all, rnn[i]);
    for (size_t i = 0; l->type == CRNN && i < 3; i++)
        add_convolutional(all, rnn[i]);
}

int ds_params_list(ds_net *n, ds_error *e)
{
    struct collector all = {.n = n};
    for (int i = 0; i < n->net->n; i++) {
        const layer *l = &n->net->layers[i];
        all.layer = i;
        if (l->type == CONVOLUTIONAL || l->type == DECONVOLUTIONAL)
            add_convolutional(&all, l);
        else if (l->type == CONNECTED)
            add_connected(&all, l);
        else if (l->type == BATCHNORM)
            add_averages(&all, l, (size_t)l->c);
        else if (l->type == LOCAL)
            add_local(&all, l);
        else
            add_inner(&all, l);
    }
    for (int i = 0; i < n->n_params; i++)
        n->info.parameters += n->params[i].n;
    return all.failed ? ds_fail_memory(e) : DS_OK;
}

const ds_param *ds_net_params(const ds_net *net, int *n)
{
    *n = net->n_params;
    return net->params;
}
