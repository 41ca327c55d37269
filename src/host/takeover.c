/* Host layers that would crash or compute the wrong thing as they are: mended, or run by code of ours. */
#include "host/private.h"
#include "base/rng.h"

/* ---- [dropout]: the host's shares its neighbour's buffers and multiplies in place ---- */

static void own_dropout(ds_net *n, int i)
{
    layer *l = &n->net->layers[i];
    DS_ZALLOC(l->output, ds_batch_size(l, l->outputs));
    DS_ZALLOC(l->delta, ds_batch_size(l, l->outputs));
    n->slots[i].own_buffers = true;
    if (i == n->net->n - 1)
        n->net->output = l->output;
}

static void dropout_forward(const ds_net *n, layer l, network net)
{
    size_t count = ds_batch_size(&l, l.inputs);
    if (!net.train || !n->dropout_active) {
        memcpy(l.output, net.input, count * sizeof(float));
        return;
    }
    const uint64_t rank = n->ranks ? (uint64_t)n->ranks->rank : 0;
    ds_rng r = ds_rng_make(n->seed, n->step, (uint64_t)net.index | rank << 32);
    for (size_t k = 0; k < count; k++) {
        l.rand[k] = (float)ds_rng_uniform(&r);
        l.output[k] = l.rand[k] < l.probability ? 0 : net.input[k] * l.scale;
    }
}

/* ---- [convolutional] size=1 with a stride: the host reads the first pixels, not every second one ---- */

static bool skips_pixels(const layer *l)
{
    return l->type == CONVOLUTIONAL && l->size == 1 && l->stride > 1;
}

/* Of the pixels that are read: batch x c x out_h x out_w. */
static size_t taken_size(const layer *l)
{
    return skips_pixels(l) ? ds_batch_size(l, l->c * l->out_h * l->out_w) : 0;
}

/* The layer as one without stride, which is what the host computes rightly. */
static layer without_stride(layer l)
{
    l.h = l.out_h;
    l.w = l.out_w;
    l.stride = 1;
    return l;
}

/* From an image to the pixels that are read, or their gradients back, added to those of the image. */
static void move_pixels(const layer *l, float *image, float *taken, bool back)
{
    for (size_t plane = 0; plane < ds_batch_size(l, l->c); plane++, image += l->h * l->w)
        for (int y = 0; y < l->out_h; y++)
            for (int x = 0; x < l->out_w; x++, taken++) {
                float *pixel = image + (y * l->w + x) * l->stride;
                if (back)
                    *pixel += *taken;
                else
                    *taken = *pixel;
            }
}

static void stride_backward(const ds_net *n, layer l, network net)
{
    float *delta = net.delta, *taken_delta = n->taken + taken_size(&l);
    move_pixels(&l, net.input, n->taken, false);
    net.input = n->taken;
    memset(taken_delta, 0, taken_size(&l) * sizeof(float)); /* the host multiplies what is there by 0 */
    net.delta = delta ? taken_delta : NULL;
    l.backward(without_stride(l), net);
    if (delta)
        move_pixels(&l, delta, taken_delta, true);
}

/* ---- buffers that the host forgets ---- */

/* free_layer frees what these make. */
static void mend_batchnorm(layer *l)
{
    DS_ZALLOC(l->x, ds_batch_size(l, l->outputs));
    DS_ZALLOC(l->x_norm, ds_batch_size(l, l->outputs));
    DS_ZALLOC(l->mean_delta, l->c);
    DS_ZALLOC(l->variance_delta, l->c);
}

/* The host counts the workspace of [local] in numbers, not in bytes. */
static void mend_workspace(network *net)
{
    size_t need = 0;
    for (int i = 0; i < net->n; i++) {
        const layer *l = &net->layers[i];
        size_t bytes = l->workspace_size * (l->type == LOCAL ? sizeof(float) : 1);
        need = bytes > need ? bytes : need;
    }
    net->workspace = ds_xrealloc(net->workspace, need, 1);
}

void ds_takeover(ds_net *n)
{
    size_t most = 0;
    mend_workspace(n->net);
    for (int i = 0; i < n->net->n; i++) {
        layer *l = &n->net->layers[i];
        if (l->type == DROPOUT)
            own_dropout(n, i);
        else if (l->type == BATCHNORM)
            mend_batchnorm(l);
        else if (l->type == CROP)
            DS_ZALLOC(l->delta, ds_batch_size(l, l->outputs));
        most = taken_size(l) > most ? taken_size(l) : most;
    }
    DS_ALLOC(n->taken, 2 * most);
}

void ds_layer_forward(ds_net *n, layer l, network net)
{
    if (l.type == DROPOUT) {
        dropout_forward(n, l, net);
        return;
    }
    if (skips_pixels(&l)) {
        move_pixels(&l, net.input, n->taken, false);
        net.input = n->taken;
        l = without_stride(l);
    }
    l.forward(l, net);
}

void ds_layer_backward(ds_net *n, layer l, network net)
{
    if (l.type == DROPOUT) {
        for (size_t k = 0; net.delta && k < ds_batch_size(&l, l.inputs); k++)
            if (l.rand[k] >= l.probability)
                net.delta[k] += l.delta[k] * l.scale;
    } else if (skips_pixels(&l))
        stride_backward(n, l, net);
    else
        l.backward(l, net);
}

/* [route], [shortcut] and larger filters add to their inputs' deltas by themselves; our own layers too. */
bool ds_layer_adds(const layer *l)
{
    return l->type == ROUTE || l->type == SHORTCUT || l->type == DROPOUT || ds_attached_of(l) ||
           (l->type == CONVOLUTIONAL && (l->size > 1 || l->stride > 1));
}
