/* The walk over the layers. The host's own zeroes every delta before the forward pass, and several of its layers overwrite
 * the gradient that other readers of the same input left there; this one does neither. */
#include "host/private.h"

#include <stdlib.h>
#include <string.h>

static void reads(ds_net *n, int reader, int i)
{
    ds_slot *s = &n->slots[i];
    s->shared |= s->last_reader >= 0 || reader != i + 1;
    if (reader > s->last_reader)
        s->last_reader = reader;
}

static void plan_readers(ds_net *n)
{
    for (int i = 0; i < n->net->n; i++)
        n->slots[i].last_reader = -1;
    for (int i = 0; i < n->net->n; i++) {
        const layer *l = &n->net->layers[i];
        if (l->type == ROUTE)
            for (int k = 0; k < l->n; k++)
                reads(n, i, l->input_layers[k]);
        else if (i > 0)
            reads(n, i, i - 1);
        if (l->type == SHORTCUT)
            reads(n, i, l->index);
    }
}

static int first_trained(const ds_net *n)
{
    int first = n->net->n;
    for (int i = 0; i < n->n_params; i++)
        if (n->params[i].gradient && n->params[i].layer < first)
            first = n->params[i].layer;
    for (int i = 0; i < n->net->n; i++)
        if (n->net->layers[i].stopbackward && i >= first)
            first = i + 1;
    return first;
}

/* What is frozen is not updated either. */
static void freeze(ds_net *n)
{
    for (int i = 0; i < n->n_params; i++)
        if (n->params[i].layer < n->first)
            n->params[i].gradient = NULL;
}

int ds_walk_plan(ds_net *n, bool train, ds_error *e)
{
    plan_readers(n);
    n->first = first_trained(n);
    freeze(n);
    size_t largest = 1;
    for (int i = 0; i < n->net->n; i++) {
        size_t outputs = (size_t)n->net->layers[i].outputs;
        largest = outputs > largest ? outputs : largest;
    }
    if (!train)
        return DS_OK;
    n->scratch = malloc(largest * (size_t)n->info.batch * sizeof(float));
    return n->scratch ? DS_OK : ds_fail_memory(e);
}

void ds_walk_forward(ds_net *n, const float *pixels, int last, bool train)
{
    network net = *n->net;
    net.input = (float *)pixels;
    net.truth = net.delta = NULL;
    net.train = train;
    if (train)
        ds_backend_moved(n);
    for (int i = 0; i <= last; i++) {
        net.index = i;
        double start = ds_profile_now(n);
        if (n->slots[i].owned)
            ds_backend_forward(n, i, pixels, train);
        else
            ds_layer_forward(n, i, net);
        ds_profile_add(n, i, false, start);
        net.input = net.layers[i].output;
    }
}

static size_t delta_size(const layer *l)
{
    return (size_t)l->batch * (size_t)l->outputs * sizeof(float);
}

/* A delta is zeroed just before the first backward that adds to it. */
static void zero_inputs_of(ds_net *n, int reader)
{
    for (int i = reader - 1; i >= n->first; i--) {
        layer *l = &n->net->layers[i];
        if (n->slots[i].last_reader == reader && n->slots[i].plain && l->delta)
            memset(l->delta, 0, delta_size(l));
    }
}

static bool takes_null_delta(LAYER_TYPE type)
{
    return type == CONVOLUTIONAL || type == CONNECTED || type == DECONVOLUTIONAL || type == LOCAL;
}

/* [route] and [shortcut] add to their inputs' deltas by themselves, and so do our own layers. */
static bool adds_rightly(const layer *l)
{
    return l->type == ROUTE || l->type == SHORTCUT || l->type == DROPOUT ||
           (l->type == CONVOLUTIONAL && !l->xnor && !l->binary) || ds_attached_of(l);
}

static void backward_one(ds_net *n, int i, network net)
{
    layer *l = &net.layers[i];
    float *delta = i > n->first ? net.layers[i - 1].delta : NULL;
    bool scratch =
        (!delta && !takes_null_delta(l->type)) || (delta && n->slots[i - 1].shared && !adds_rightly(l));
    net.index = i;
    net.delta = scratch ? n->scratch : delta;
    size_t count = i ? (size_t)l->batch * (size_t)net.layers[i - 1].outputs : 0;
    if (scratch)
        memset(n->scratch, 0, count * sizeof(float));
    ds_layer_backward(n, i, net);
    if (scratch && delta)
        for (size_t k = 0; k < count; k++)
            delta[k] += n->scratch[k];
}

void ds_walk_backward(ds_net *n, const float *pixels)
{
    network net = *n->net;
    net.train = 1;
    net.truth = NULL;
    for (int i = n->info.cost; i >= n->first; i--) {
        double start = ds_profile_now(n);
        zero_inputs_of(n, i);
        net.input = i ? net.layers[i - 1].output : (float *)pixels;
        if (n->slots[i].owned)
            ds_backend_backward(n, i, pixels);
        else
            backward_one(n, i, net);
        ds_profile_add(n, i, true, start);
    }
}
