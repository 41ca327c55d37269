/* Batch normalisation, channel by channel, of the host's formula: variance over N-1, x^ = (x - mean) / (sqrt(v) + 1e-6).
 * `backward_batchnorm_layer` is exported in the place of the host's, whose gradient is up to 7 % off. */
#include "host/private.h"

#include <math.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

static float *plane(const layer *l, float *of, int b, int f)
{
    return of + ((size_t)b * l->out_c + f) * l->out_w * l->out_h;
}

/* Two passes; float sums inside a plane, doubles across. */
static void measure_channel(const layer *l, int f)
{
    int spatial = l->out_w * l->out_h;
    double count = (double)l->batch * spatial, sum = 0, squares = 0;
    for (int b = 0; b < l->batch; b++) {
        const float *x = plane(l, l->output, b, f);
        float part = 0;
#pragma omp simd reduction(+ : part)
        for (int i = 0; i < spatial; i++)
            part += x[i];
        sum += part;
    }
    float mean = (float)(sum / count);
    for (int b = 0; b < l->batch; b++) {
        const float *x = plane(l, l->output, b, f);
        float part = 0;
#pragma omp simd reduction(+ : part)
        for (int i = 0; i < spatial; i++)
            part += (x[i] - mean) * (x[i] - mean);
        squares += part;
    }
    l->mean[f] = mean;
    l->variance[f] = (float)(squares / (count - 1));
    l->rolling_mean[f] = .99f * l->rolling_mean[f] + .01f * l->mean[f];
    l->rolling_variance[f] = .99f * l->rolling_variance[f] + .01f * l->variance[f];
}

void ds_batchnorm_channel_forward(const layer *l, int f, bool train)
{
    int spatial = l->out_w * l->out_h;
    if (train)
        measure_channel(l, f);
    float mean = train ? l->mean[f] : l->rolling_mean[f], v = train ? l->variance[f] : l->rolling_variance[f];
    float scale = l->scales[f] / (sqrtf(v) + .000001f), bias = l->biases[f];
    for (int b = 0; b < l->batch; b++) {
        float *y = plane(l, l->output, b, f);
        if (train)
            memcpy(plane(l, l->x, b, f), y, (size_t)spatial * sizeof *y);
        for (int i = 0; i < spatial; i++)
            y[i] = (y[i] - mean) * scale + bias;
    }
}

/* g = delta * scale, d = sqrt(v) + 1e-6, N = batch * h * w:
 * delta = (g - sum(g) / N) / d - (x - mean) * sum(g (x - mean)) / ((N-1) sqrt(v) d^2) */
void ds_batchnorm_channel_backward(const layer *l, int f)
{
    int spatial = l->out_w * l->out_h;
    double count = (double)l->batch * spatial, root = sqrt(l->variance[f]), d = root + 1e-6;
    double sum = 0, dot = 0;
    float mean = l->mean[f];
    for (int b = 0; b < l->batch; b++) {
        const float *delta = plane(l, l->delta, b, f), *x = plane(l, l->x, b, f);
        float part = 0, part_dot = 0;
#pragma omp simd reduction(+ : part, part_dot)
        for (int i = 0; i < spatial; i++) {
            part += delta[i];
            part_dot += delta[i] * (x[i] - mean);
        }
        sum += part;
        dot += part_dot;
    }
    l->bias_updates[f] += (float)sum;
    l->scale_updates[f] += (float)(dot / d);
    double scale = l->scales[f];
    float a = (float)(scale / d), shift = (float)(scale * sum / count / d);
    float slope = root > 0 ? (float)(scale * dot / ((count - 1) * root * d * d)) : 0;
    for (int b = 0; b < l->batch; b++) {
        float *delta = plane(l, l->delta, b, f);
        const float *x = plane(l, l->x, b, f);
        for (int i = 0; i < spatial; i++)
            delta[i] = delta[i] * a - shift - (x[i] - mean) * slope;
    }
}

EXPORT void backward_batchnorm_layer(layer l, network net)
{
#pragma omp parallel for schedule(static)
    for (int f = 0; f < l.out_c; f++)
        ds_batchnorm_channel_backward(&l, f);
    if (l.type == BATCHNORM && net.delta)
        for (size_t i = 0; i < (size_t)l.batch * l.outputs; i++)
            net.delta[i] += l.delta[i];
}
