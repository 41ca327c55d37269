/* Functions that the program exports so that they replace the host's (which calls its own through the PLT): its exits become errors,
 * its random numbers repeatable. They have no argument to carry state, hence the static variables here. */
#include "host/private.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

static ds_rng generator = {1};
static jmp_buf *exit_point;
static char message[512];

void ds_host_seed(uint64_t seed)
{
    generator = ds_rng_make(seed, 0x77656967687473u /* "weights" */, 0);
}

int ds_host_guard(void (*call)(void *), void *arg, ds_error *e)
{
    jmp_buf here;
    if (setjmp(here)) {
        exit_point = NULL;
        return ds_fail(e, DS_EHOST, "Darknet refused: %s", message);
    }
    exit_point = &here;
    call(arg);
    exit_point = NULL;
    return DS_OK;
}

static _Noreturn void leave(const char *what, const char *detail)
{
    snprintf(message, sizeof message, "%s%s", what, detail);
    if (exit_point)
        longjmp(*exit_point, 1);
    fprintf(stderr, "error: Darknet refused: %s\n", message);
    exit(1);
}

EXPORT void error(const char *s)
{
    leave(s, "");
}

EXPORT void file_error(char *s)
{
    leave("cannot open file ", s);
}

EXPORT float rand_uniform(float min, float max)
{
    return min + (max - min) * (float)ds_rng_uniform(&generator);
}

EXPORT float rand_normal(void)
{
    return (float)ds_rng_normal(&generator);
}

/* Gradient of the host's own forward formula: variance over N-1, x^ = (x - mean) / (sqrt(v) + 1e-6). The host's is up to 7 % off.
 *   g = delta * scale, d = sqrt(v) + 1e-6, N = batch * h * w
 *   delta = (g - sum(g) / N) / d - (x - mean) * sum(g (x - mean)) / ((N-1) sqrt(v) d^2) */
static void batchnorm_channel(layer l, int f)
{
    int spatial = l.out_w * l.out_h;
    double count = (double)l.batch * spatial, mean = l.mean[f], root = sqrt(l.variance[f]), d = root + 1e-6;
    double sum = 0, dot = 0;
    for (int b = 0; b < l.batch; b++) {
        const float *delta = l.delta + ((size_t)b * l.out_c + f) * spatial, *x = l.x + (delta - l.delta);
        float part = 0, part_dot = 0;
        for (int i = 0; i < spatial; i++) {
            part += delta[i];
            part_dot += delta[i] * (x[i] - (float)mean);
        }
        sum += part;
        dot += part_dot;
    }
    l.bias_updates[f] += (float)sum;
    l.scale_updates[f] += (float)(dot / d);
    double scale = l.scales[f];
    float a = (float)(scale / d), shift = (float)(scale * sum / count / d);
    float slope = root > 0 ? (float)(scale * dot / ((count - 1) * root * d * d)) : 0;
    for (int b = 0; b < l.batch; b++) {
        float *delta = l.delta + ((size_t)b * l.out_c + f) * spatial;
        const float *x = l.x + (delta - l.delta);
        for (int i = 0; i < spatial; i++)
            delta[i] = delta[i] * a - shift - (x[i] - (float)mean) * slope;
    }
}

EXPORT void backward_batchnorm_layer(layer l, network net)
{
#pragma omp parallel for schedule(static)
    for (int f = 0; f < l.out_c; f++)
        batchnorm_channel(l, f);
    if (l.type == BATCHNORM && net.delta)
        for (size_t i = 0; i < (size_t)l.batch * l.outputs; i++)
            net.delta[i] += l.delta[i];
}
