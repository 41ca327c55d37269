/* From the host's layers to the graph that a backend sees, and back: which layers it computes, whose arrays nobody needs any more. */
#include "host/private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const ds_backend ds_backend_onednn;

const ds_backend *const *ds_backends(void)
{
    static const ds_backend *const all[] = {
#ifdef DS_WITH_ONEDNN
        &ds_backend_onednn,
#endif
        NULL};
    return all;
}

int ds_backend_find(const char *name, const ds_backend **backend, ds_error *e)
{
    const ds_backend *const *all = ds_backends();
    *backend = name ? NULL : all[0];
    if (!name || strcmp(name, "host") == 0)
        return DS_OK;
    for (; *all; all++)
        if (strcmp((*all)->name, name) == 0) {
            *backend = *all;
            return DS_OK;
        }
    return ds_fail(e, DS_EUSAGE, "backend '%s' is not part of this program, expected %s", name,
                   ds_backends()[0] ? "onednn or host" : "host (it was built without oneDNN)");
}

/* ---- nodes ------------------------------------------------------------------------------------------------- */

static ds_op op_of(const layer *l)
{
    switch (l->type) {
    case CONVOLUTIONAL:
        return l->xnor || l->binary ? DS_OP_HOST : DS_OP_CONVOLUTION;
    case CONNECTED:
        return DS_OP_CONNECTED;
    case BATCHNORM:
        return DS_OP_BATCHNORM;
    case MAXPOOL:
        return DS_OP_MAXPOOL;
    case AVGPOOL:
        return DS_OP_AVGPOOL;
    case DROPOUT:
        return DS_OP_DROPOUT;
    case SHORTCUT:
        return l->alpha == 1 && l->beta == 1 ? DS_OP_SHORTCUT : DS_OP_HOST;
    case ROUTE:
        return DS_OP_ROUTE;
    case ACTIVE:
        return DS_OP_ACTIVATION;
    default:
        return DS_OP_HOST;
    }
}

static float slope_of(const layer *l)
{
    if (l->type == BATCHNORM || l->type == ROUTE || l->activation == LINEAR)
        return 1;
    return l->activation == RELU ? 0 : l->activation == LEAKY ? .1f : NAN;
}

/* Some layers of the host know only how many numbers they have. */
static void set_shapes(const ds_net *n, int i, ds_node *node)
{
    const layer *l = &n->net->layers[i];
    const ds_shape *in = &n->cfg->shapes[i], *out = &n->cfg->shapes[i + 1];
    int places = in->w * in->h;
    bool flat = places <= 0 || places * in->c != l->inputs;
    node->c = flat ? l->inputs : in->c;
    node->h = flat ? 1 : in->h;
    node->w = flat ? 1 : in->w;
    flat = l->type == CONNECTED || out->w * out->h <= 0 || out->w * out->h * out->c != l->outputs;
    node->out_c = flat ? l->outputs : out->c;
    node->out_h = flat ? 1 : out->h;
    node->out_w = flat ? 1 : out->w;
}

static void set_parameters(const ds_net *n, int i, ds_node *node)
{
    const layer *l = &n->net->layers[i];
    bool trained = i >= n->first;
    node->normalized = l->batch_normalize || l->type == BATCHNORM;
    node->weights = l->weights;
    node->biases = l->biases;
    node->scales = l->scales;
    node->mean = l->mean;
    node->variance = l->variance;
    node->rolling_mean = l->rolling_mean;
    node->rolling_variance = l->rolling_variance;
    node->weight_updates = trained ? l->weight_updates : NULL;
    node->bias_updates = trained ? l->bias_updates : NULL;
    node->scale_updates = trained ? l->scale_updates : NULL;
}

static void set_node(const ds_net *n, int i, int *inputs, ds_node *node)
{
    const layer *l = &n->net->layers[i];
    *node = (ds_node){.op = ds_attached_of(l) ? DS_OP_HOST : op_of(l),
                      .inputs = inputs,
                      .n_inputs = 1,
                      .size = l->size,
                      .stride = l->stride,
                      .pad = l->pad,
                      .groups = l->groups > 0 ? l->groups : 1,
                      .offset = l->type == MAXPOOL ? -l->pad / 2 : 0,
                      .probability = l->probability,
                      .activation = (int)l->activation,
                      .slope = slope_of(l),
                      .output = l->output,
                      .delta = l->delta};
    inputs[0] = i - 1;
    inputs[1] = l->index;
    if (l->type == SHORTCUT)
        node->n_inputs = 2;
    if (l->type == ROUTE) {
        node->n_inputs = l->n;
        memcpy(inputs, l->input_layers, (size_t)l->n * sizeof *inputs);
    }
    set_shapes(n, i, node);
    set_parameters(n, i, node);
}

static int inputs_of(const layer *l)
{
    return l->type == ROUTE && l->n > 2 ? l->n : 2;
}

/* ---- activations ------------------------------------------------------------------------------------------- */

static void activate(const void *host, float *x, int n, int activation)
{
    ((const ds_host *)host)->activate_array(x, n, (ACTIVATION)activation);
}

static void gradient(const void *host, const float *y, int n, int activation, float *delta)
{
    ((const ds_host *)host)->gradient_array(y, n, (ACTIVATION)activation, delta);
}

/* ---- taking over ------------------------------------------------------------------------------------------- */

/* Does the host read or write what layer i puts out? */
static bool host_touches(const ds_net *n, const ds_node *nodes, int i)
{
    bool touches = !n->slots[i].owned || i == n->net->n - 1;
    for (int j = 0; j < n->net->n; j++)
        for (int k = 0; k < nodes[j].n_inputs; k++)
            touches |= nodes[j].inputs[k] == i && !n->slots[j].owned;
    return touches;
}

static void drop(float **v)
{
    free(*v);
    *v = NULL;
}

/* Arrays of convolutions are the large ones; untouched they cost address space alone, but gigabytes of it. */
static void drop_arrays(layer *l, bool touched)
{
    if (l->type != CONVOLUTIONAL)
        return;
    drop(&l->x);
    drop(&l->x_norm);
    if (touched)
        return;
    drop(&l->output);
    drop(&l->delta);
}

static void settle(ds_net *n, const ds_node *nodes)
{
    for (int i = 0; i < n->net->n; i++)
        n->slots[i].plain = host_touches(n, nodes, i);
    for (int i = 0; i < n->net->n; i++)
        if (n->slots[i].owned)
            drop_arrays(&n->net->layers[i], n->slots[i].plain);
}

static int create(ds_net *n, const ds_net_setup *setup, ds_node *nodes, bool *owned, ds_error *e)
{
    const ds_graph g = {.nodes = nodes,
                        .n = n->net->n,
                        .batch = n->info.batch,
                        .train = setup->train,
                        .first = n->first,
                        .seed = setup->seed,
                        .tune = setup->tune,
                        .activate = activate,
                        .gradient = gradient,
                        .host = n->host,
                        .notes = setup->verbose ? setup->notes : NULL};
    int rc = n->backend->create(&g, owned, &n->backend_state, e);
    for (int i = 0; i < n->net->n && !rc; i++)
        n->slots[i].owned = owned[i];
    if (!rc)
        settle(n, nodes);
    return rc;
}

int ds_backend_attach(ds_net *n, const ds_net_setup *setup, ds_error *e)
{
    int layers = n->net->n, at = 0, total = 0;
    for (int i = 0; i < layers; i++) {
        n->slots[i].plain = true;
        total += inputs_of(&n->net->layers[i]);
    }
    int rc = ds_backend_find(setup->backend, &n->backend, e);
    if (rc || !n->backend) {
        snprintf(n->backend_name, sizeof n->backend_name, "host");
        return rc;
    }
    snprintf(n->backend_name, sizeof n->backend_name, "%s (%s)", n->backend->name, n->backend->describe());
    ds_node *nodes = calloc((size_t)layers, sizeof *nodes);
    bool *owned = calloc((size_t)layers, sizeof *owned);
    n->backend_inputs = calloc((size_t)total, sizeof *n->backend_inputs);
    bool memory = nodes && owned && n->backend_inputs;
    for (int i = 0; memory && i < layers; at += inputs_of(&n->net->layers[i]), i++)
        set_node(n, i, n->backend_inputs + at, &nodes[i]);
    rc = memory ? create(n, setup, nodes, owned, e) : ds_fail_memory(e);
    free(nodes);
    free(owned);
    return rc;
}

void ds_backend_detach(ds_net *n)
{
    if (n->backend_state)
        n->backend->free(n->backend_state);
    free(n->backend_inputs);
}

/* ---- passes ------------------------------------------------------------------------------------------------ */

static void record(ds_net *n, int rc, const ds_error *e)
{
    if (!rc || n->context.code)
        return;
    n->context.code = rc;
    if (n->context.error)
        *n->context.error = *e;
}

static ds_backend_pass pass_of(const ds_net *n, const float *pixels, bool train)
{
    return (ds_backend_pass){.pixels = pixels, .train = train, .drop = n->dropout_active, .step = n->step};
}

void ds_backend_forward(ds_net *n, int i, const float *pixels, bool train)
{
    ds_error e;
    ds_backend_pass pass = pass_of(n, pixels, train);
    record(n, n->backend->forward(n->backend_state, i, &pass, &e), &e);
}

void ds_backend_backward(ds_net *n, int i, const float *pixels)
{
    ds_error e;
    ds_backend_pass pass = pass_of(n, pixels, true);
    record(n, n->backend->backward(n->backend_state, i, &pass, &e), &e);
}

void ds_net_changed(ds_net *n)
{
    if (n->backend_state)
        n->backend->changed(n->backend_state);
}
