/* [convolutional] on all cores: images are shared out for the products, channels for batch normalisation and activation. The host's
 * runs on one core, overwrites the input gradient when size=1, and reads the wrong pixels when size=1 and stride>1; this one adds. */
#include "host/private.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* One group of one convolution as a matrix product: m filters, n places, k weights a filter. */
typedef struct product {
    int m, n, k;
} product;

static product product_of(const layer *l)
{
    return (product){l->n / l->groups, l->out_w * l->out_h, l->size * l->size * l->c / l->groups};
}

/* A convolution whose columns are the image itself. */
static bool is_pointwise(const layer *l)
{
    return l->size == 1 && l->stride == 1;
}

static size_t workspace_floats(const layer *l)
{
    product p = product_of(l);
    return (size_t)p.n * (size_t)p.k;
}

/* Part of the input that image b, group g sees. */
static size_t input_at(const layer *l, int b, int g)
{
    return ((size_t)b * l->groups + g) * (l->c / l->groups) * l->h * l->w;
}

static float *columns(const layer *l, float *image, float *work)
{
    if (is_pointwise(l))
        return image;
    im2col_cpu(image, l->c / l->groups, l->h, l->w, l->size, l->stride, l->pad, work);
    return work;
}

/* ---- activation and batch normalisation of one channel of one image (a plane) ----------------------------- */

static void activate_plane(const ds_host *host, const layer *l, float *x, int n)
{
    if (l->activation == LEAKY)
        for (int i = 0; i < n; i++)
            x[i] = x[i] > 0 ? x[i] : .1f * x[i];
    else if (l->activation == RELU)
        for (int i = 0; i < n; i++)
            x[i] = x[i] > 0 ? x[i] : 0;
    else if (l->activation != LINEAR)
        host->activate_array(x, n, l->activation);
}

static void gradient_plane(const ds_host *host, const layer *l, const float *x, float *delta, int n)
{
    if (l->activation == LEAKY)
        for (int i = 0; i < n; i++)
            delta[i] = x[i] > 0 ? delta[i] : .1f * delta[i];
    else if (l->activation == RELU)
        for (int i = 0; i < n; i++)
            delta[i] = x[i] > 0 ? delta[i] : 0;
    else if (l->activation != LINEAR)
        host->gradient_array(x, n, l->activation, delta);
}

static void finish_channel(const ds_host *host, const layer *l, int f, bool train)
{
    product p = product_of(l);
    if (l->batch_normalize)
        ds_batchnorm_channel_forward(l, f, train);
    for (int b = 0; b < l->batch; b++) {
        float *x = l->output + ((size_t)b * l->n + f) * p.n;
        for (int i = 0; !l->batch_normalize && i < p.n; i++)
            x[i] += l->biases[f];
        activate_plane(host, l, x, p.n);
    }
}

static void start_channel(const ds_host *host, const layer *l, int f)
{
    product p = product_of(l);
    double sum = 0;
    for (int b = 0; b < l->batch; b++) {
        size_t at = ((size_t)b * l->n + f) * p.n;
        float part = 0;
        gradient_plane(host, l, l->output + at, l->delta + at, p.n);
        for (int i = 0; !l->batch_normalize && i < p.n; i++)
            part += l->delta[at + i];
        sum += part;
    }
    if (l->batch_normalize)
        ds_batchnorm_channel_backward(l, f);
    else
        l->bias_updates[f] += (float)sum;
}

/* ---- forward ---------------------------------------------------------------------------------------------- */

static void multiply(const layer *l, int b, const float *input, float *work)
{
    product p = product_of(l);
    for (int g = 0; g < l->groups; g++) {
        float *out = l->output + ((size_t)b * l->groups + g) * p.m * p.n;
        float *weights = l->weights + (size_t)g * l->nweights / l->groups;
        float *x = columns(l, (float *)input + input_at(l, b, g), work);
        gemm(0, 0, p.m, p.n, p.k, 1, weights, p.k, x, p.n, 0, out, p.n);
    }
}

void ds_convolution_forward(const ds_host *host, const layer *l, const float *input, bool train,
                            const ds_work *work)
{
#pragma omp parallel for schedule(static) num_threads(work->threads) if (l->batch > 1)
    for (int b = 0; b < l->batch; b++)
        multiply(l, b, input, work->v + (size_t)omp_get_thread_num() * workspace_floats(l));
#pragma omp parallel for schedule(static)
    for (int f = 0; f < l->n; f++)
        finish_channel(host, l, f, train);
}

/* ---- backward --------------------------------------------------------------------------------------------- */

static void multiply_back(const layer *l, int b, const float *input, float *delta, float *updates,
                          float *work)
{
    product p = product_of(l);
    for (int g = 0; g < l->groups; g++) {
        float *out = l->delta + ((size_t)b * l->groups + g) * p.m * p.n;
        size_t at = (size_t)g * l->nweights / l->groups;
        float *x = columns(l, (float *)input + input_at(l, b, g), work);
        gemm(0, 1, p.m, p.k, p.n, 1, out, p.n, x, p.n, 1, updates + at, p.k);
        if (!delta)
            continue;
        float *to = delta + input_at(l, b, g);
        if (is_pointwise(l)) {
            gemm(1, 0, p.k, p.n, p.m, 1, l->weights + at, p.k, out, p.n, 1, to, p.n);
            continue;
        }
        gemm(1, 0, p.k, p.n, p.m, 1, l->weights + at, p.k, out, p.n, 0, work, p.n);
        col2im_cpu(work, l->c / l->groups, l->h, l->w, l->size, l->stride, l->pad, to);
    }
}

void ds_convolution_backward(const ds_host *host, const layer *l, const float *input, float *delta,
                             const ds_work *work)
{
    int threads = work->threads;
    size_t weights = (size_t)l->nweights;
    float *updates = work->v + (size_t)threads * workspace_floats(l);
    memset(updates, 0, (size_t)threads * weights * sizeof *updates);
#pragma omp parallel for schedule(static)
    for (int f = 0; f < l->n; f++)
        start_channel(host, l, f);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int b = 0; b < l->batch; b++) {
        size_t t = (size_t)omp_get_thread_num();
        multiply_back(l, b, input, delta, updates + t * weights, work->v + t * workspace_floats(l));
    }
    for (int t = 0; t < threads; t++)
        for (size_t i = 0; i < weights; i++)
            l->weight_updates[i] += updates[(size_t)t * weights + i];
}

size_t ds_convolution_work(const layer *l, int threads, bool train)
{
    return (size_t)threads * (workspace_floats(l) + (train ? (size_t)l->nweights : 0));
}
