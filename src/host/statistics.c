/* Batch-norm averages re-estimated: the host's rolling ones start at zero and are 18 % short after 170 steps. Means and variances of
 * several batches are pooled as if they were one sample. */
#include "host/private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Channels with averages in a layer. */
static size_t channels(const layer *l)
{
    return l->rolling_mean && l->mean ? (size_t)l->out_c : 0;
}

static size_t all_channels(const ds_net *n)
{
    size_t sum = 0;
    for (int i = 0; i < n->net->n; i++)
        sum += channels(&n->net->layers[i]);
    return sum;
}

bool ds_net_has_batchnorm(const ds_net *n)
{
    return all_channels(n) > 0;
}

int ds_net_statistics_start(ds_net *n, ds_error *e)
{
    size_t count = all_channels(n);
    free(n->statistics);
    n->statistics = calloc(3 * count + 1, sizeof *n->statistics);
    n->statistics_calls = 0;
    return n->statistics ? DS_OK : ds_fail_memory(e);
}

int ds_net_statistics_add(ds_net *n, const float *pixels, ds_error *e)
{
    n->context.labels = NULL;
    n->context.code = 0;
    n->context.error = e;
    n->dropout_active = false; /* inference drops nothing */
    ds_walk_forward(n, pixels, n->info.cost - 1, true);
    n->dropout_active = true;
    double *s = n->statistics;
    for (int i = 0; i < n->net->n; i++) {
        const layer *l = &n->net->layers[i];
        for (size_t c = 0; c < channels(l); c++, s += 3) {
            s[0] += l->mean[c];
            s[1] += (double)l->mean[c] * l->mean[c];
            s[2] += l->variance[c];
        }
    }
    n->statistics_calls++;
    return n->context.code;
}

/* K batches of m values: variance = (sum (m-1) v_k + m sum (mean_k - mean)^2) / (K m - 1). */
static void pool(const double *s, double k, double m, float *mean, float *variance)
{
    double centre = s[0] / k, between = fmax(0, s[1] - k * centre * centre);
    *mean = (float)centre;
    *variance = (float)(((m - 1) * s[2] + m * between) / (k * m - 1));
}

void ds_net_statistics_finish(ds_net *n)
{
    const double *s = n->statistics;
    for (int i = 0; n->statistics_calls && i < n->net->n; i++) {
        layer *l = &n->net->layers[i];
        double m = (double)l->batch * l->out_w * l->out_h;
        for (size_t c = 0; c < channels(l); c++, s += 3)
            pool(s, (double)n->statistics_calls, m, &l->rolling_mean[c], &l->rolling_variance[c]);
    }
    free(n->statistics);
    n->statistics = NULL;
    ds_net_changed(n);
}
