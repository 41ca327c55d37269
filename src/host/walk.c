/* The walk over the layers. The host's own zeroes every delta before the forward pass, and several of its
 * layers overwrite the gradient that other readers of the same input left there; this one does neither. */
#include "host/private.h"
#include "base/clock.h"

static void reads(ds_net *n, int reader, int i)
{
    ds_slot *s = &n->slots[i];
    s->shared |= s->last_reader >= 0 || reader != i + 1;
    if (reader > s->last_reader)
        s->last_reader = reader;
}

const int *ds_inputs_of(const ds_net *n, int i, int *count)
{
    const layer *l = &n->net->layers[i];
    *count = l->type == ROUTE ? l->n : l->type == SHORTCUT ? 2 : 1;
    return l->type == ROUTE ? l->input_layers : n->slots[i].inputs;
}

void ds_walk_plan(ds_net *n, bool train)
{
    int largest = 1, count;
    for (int i = 0; i < n->net->n; i++) {
        const layer *l = &n->net->layers[i];
        n->slots[i] = (ds_slot){.last_reader = -1, .plain = true, .inputs = {i - 1, l->index}};
        largest = l->outputs > largest ? l->outputs : largest;
        const int *inputs = ds_inputs_of(n, i, &count);
        for (int k = 0; k < count; k++)
            if (inputs[k] >= 0)
                reads(n, i, inputs[k]);
    }
    if (train)
        DS_ALLOC(n->scratch, (size_t)largest * (size_t)n->info.batch);
}

/* In a network that is trained passes of training alone. */
static bool is_timed(const ds_net *n)
{
    return n->times && (!n->scratch || n->context.pass.labels);
}

static void count(ds_net *n, int i, double *seconds, double start, double waited)
{
    *seconds += ds_now() - start;
    n->times[i].waited += ds_backend_waited(n) - waited;
}

void ds_walk_forward(ds_net *n, const float *pixels, int last, bool train)
{
    network net = *n->net;
    net.input = (float *)pixels;
    net.truth = net.delta = NULL;
    net.train = train;
    if (train)
        ds_backend_moved(n);
    const bool timed = is_timed(n);
    for (int i = 0; i <= last; i++) {
        net.index = i;
        const double start = timed ? ds_now() : 0, waited = timed ? ds_backend_waited(n) : 0;
        if (n->slots[i].owned)
            ds_backend_forward(n, i, pixels, train);
        else
            ds_layer_forward(n, net.layers[i], net);
        if (n->slots[i].feature && !n->slots[i].owned && !train)
            ds_measure_output(&net.layers[i], n->slots[i].channels, n->slots[i].feature, n->depths.row);
        if (timed)
            count(n, i, &n->times[i].forward, start, waited);
        net.input = net.layers[i].output;
    }
}

/* A delta is zeroed just before the first backward that adds to it. */
static void zero_inputs_of(ds_net *n, int reader)
{
    for (int i = reader - 1; i >= n->first; i--) {
        layer *l = &n->net->layers[i];
        if (n->slots[i].last_reader == reader && n->slots[i].plain && l->delta)
            memset(l->delta, 0, ds_batch_size(l, l->outputs) * sizeof(float));
    }
}

/* The first layer that trains has parameters, and then NULL for net.delta says that nobody wants that
 * gradient. */
static void backward_one(ds_net *n, int i, network net)
{
    layer *l = &net.layers[i];
    float *delta = i > n->first ? net.layers[i - 1].delta : NULL;
    bool scratch = delta && n->slots[i - 1].shared && !ds_layer_adds(l);
    net.index = i;
    net.delta = scratch ? n->scratch : delta;
    size_t count = scratch ? ds_batch_size(&net.layers[i - 1], net.layers[i - 1].outputs) : 0;
    memset(n->scratch, 0, count * sizeof(float));
    ds_layer_backward(n, *l, net);
    for (size_t k = 0; k < count; k++)
        delta[k] += n->scratch[k];
}

void ds_walk_backward(ds_net *n, const float *pixels)
{
    network net = *n->net;
    net.train = 1;
    net.truth = NULL;
    const bool timed = is_timed(n);
    for (int i = n->info.cost; i >= n->first; i--) {
        const double start = timed ? ds_now() : 0, waited = timed ? ds_backend_waited(n) : 0;
        zero_inputs_of(n, i);
        net.input = i ? net.layers[i - 1].output : (float *)pixels;
        if (n->slots[i].owned)
            ds_backend_backward(n, i, pixels);
        else
            backward_one(n, i, net);
        if (n->after)
            n->after(n->after_arg, i);
        if (timed)
            count(n, i, &n->times[i].backward, start, waited);
    }
}

void ds_net_set_after(ds_net *n, void (*after)(void *arg, int layer), void *arg)
{
    n->after = after;
    n->after_arg = arg;
}

/* ---- time of each layer, when somebody asks for it ---- */

void ds_net_profile_start(ds_net *n)
{
    free(n->times);
    DS_ZALLOC(n->times, n->net->n);
}

const ds_layer_time *ds_net_profile(const ds_net *n)
{
    return n->times;
}
