/* Host layers that would crash or compute the wrong thing as they are: mended, or run by code of ours. */
#include "host/private.h"
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

static size_t batch_size(const layer *l, int per_image)
{
    return (size_t)l->batch * (size_t)per_image;
}

/* ---- [dropout]: the host's shares its neighbour's buffers and multiplies in place ------------------------- */

static int own_dropout(ds_net *n, int i)
{
    layer *l = &n->net->layers[i];
    l->output = calloc(batch_size(l, l->outputs), sizeof(float));
    l->delta = calloc(batch_size(l, l->outputs), sizeof(float));
    n->slots[i].own_buffers = true;
    if (i == n->net->n - 1)
        n->net->output = l->output;
    return l->output && l->delta ? DS_OK : DS_ENOMEM;
}

static void dropout_forward(const ds_net *n, int i, layer l, network net)
{
    size_t count = batch_size(&l, l.inputs);
    if (!net.train || !n->dropout_active) {
        memcpy(l.output, net.input, count * sizeof(float));
        return;
    }
    ds_rng r = ds_rng_make(n->seed, n->step, (uint64_t)i);
    for (size_t k = 0; k < count; k++) {
        l.rand[k] = (float)ds_rng_uniform(&r);
        l.output[k] = l.rand[k] < l.probability ? 0 : net.input[k] * l.scale;
    }
}

static void dropout_backward(layer l, network net)
{
    for (size_t k = 0; net.delta && k < batch_size(&l, l.inputs); k++)
        if (l.rand[k] >= l.probability)
            net.delta[k] += l.delta[k] * l.scale;
}

/* ---- [convolutional] --------------------------------------------------------------------------------------- */

/* Binary weights stay with the host. */
static bool is_ours(const layer *l)
{
    return l->type == CONVOLUTIONAL && !l->xnor && !l->binary;
}

static int make_work(ds_net *n, bool train)
{
    size_t most = 0;
    for (int i = 0; i < n->net->n; i++) {
        const layer *l = &n->net->layers[i];
        size_t need = is_ours(l) && !n->slots[i].owned ? ds_convolution_work(l, n->work.threads, train) : 0;
        most = need > most ? need : most;
    }
    n->work.v = malloc((most ? most : 1) * sizeof *n->work.v);
    return n->work.v ? DS_OK : DS_ENOMEM;
}

/* ---- buffers that the host forgets ------------------------------------------------------------------------- */

/* Memory that free_layer will free. */
static float *host_floats(size_t n)
{
    return calloc(n ? n : 1, sizeof(float));
}

static int mend_batchnorm(layer *l)
{
    l->x = host_floats(batch_size(l, l->outputs));
    l->x_norm = host_floats(batch_size(l, l->outputs));
    l->mean_delta = host_floats((size_t)l->c);
    l->variance_delta = host_floats((size_t)l->c);
    return l->x && l->x_norm && l->mean_delta && l->variance_delta ? DS_OK : DS_ENOMEM;
}

/* The host counts the workspace of [local] in numbers, not in bytes. */
static int mend_workspace(network *net)
{
    size_t need = 0;
    for (int i = 0; i < net->n; i++) {
        const layer *l = &net->layers[i];
        size_t bytes = l->workspace_size * (l->type == LOCAL ? sizeof(float) : 1);
        need = bytes > need ? bytes : need;
    }
    float *grown = realloc(net->workspace, need ? need : 1);
    if (!grown)
        return DS_ENOMEM;
    net->workspace = grown;
    return DS_OK;
}

int ds_takeover_work(ds_net *n, bool train, ds_error *e)
{
    return make_work(n, train) ? ds_fail_memory(e) : DS_OK;
}

int ds_takeover(ds_net *n, ds_error *e)
{
    int rc = mend_workspace(n->net);
    for (int i = 0; i < n->net->n && !rc; i++) {
        layer *l = &n->net->layers[i];
        if (l->type == DROPOUT)
            rc = own_dropout(n, i);
        else if (l->type == BATCHNORM)
            rc = mend_batchnorm(l);
        else if (l->type == CROP && n->slots[i].shared)
            rc = (l->delta = host_floats(batch_size(l, l->outputs))) ? DS_OK : DS_ENOMEM;
    }
    return rc ? ds_fail_memory(e) : DS_OK;
}

void ds_takeover_release(ds_net *n)
{
    for (int i = 0; n->slots && i < n->net->n; i++) {
        layer *l = &n->net->layers[i];
        if (n->slots[i].own_buffers) {
            free(l->output);
            free(l->delta);
        }
    }
    free(n->work.v);
}

/* ---- one layer ---------------------------------------------------------------------------------------------- */

void ds_layer_forward(ds_net *n, int i, network net)
{
    layer l = net.layers[i];
    if (l.type == DROPOUT)
        dropout_forward(n, i, l, net);
    else if (is_ours(&l))
        ds_convolution_forward(n->host, &l, net.input, net.train, &n->work);
    else
        l.forward(l, net);
}

void ds_layer_backward(ds_net *n, int i, network net)
{
    layer l = net.layers[i];
    if (l.type == DROPOUT)
        dropout_backward(l, net);
    else if (is_ours(&l))
        ds_convolution_backward(n->host, &l, net.input, net.delta, &n->work);
    else
        l.backward(l, net);
}
