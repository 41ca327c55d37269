/* Where the host's batch normalisation is off: its gradient by up to 7 %; its rolling averages, which start
 * at zero, by 18 % after 170 steps. */
#include "host/private.h"

/* ---- the exact gradient of the host's x^ = (x - mean) / (sqrt(v) + 1e-6), v over N-1 ---- */

typedef struct sums {
    double delta, dot; /* of delta, of delta (x - mean), over the batch */
} sums;

static sums sums_of(const layer *l, int f)
{
    int spatial = l->out_w * l->out_h;
    sums s = {0};
    for (int b = 0; b < l->batch; b++) {
        size_t at = ((size_t)b * l->out_c + f) * spatial;
        for (int i = 0; i < spatial; i++) {
            s.delta += l->delta[at + i];
            s.dot += l->delta[at + i] * (double)(l->x[at + i] - l->mean[f]);
        }
    }
    return s;
}

/* g = delta * scale, d = sqrt(v) + 1e-6, N = batch * h * w:
 * delta = (g - sum(g) / N) / d - (x - mean) * sum(g (x - mean)) / ((N-1) sqrt(v) d^2) */
static void channel_backward(const layer *l, int f)
{
    int spatial = l->out_w * l->out_h;
    sums s = sums_of(l, f);
    double count = (double)l->batch * spatial, root = sqrt(l->variance[f]), d = root + 1e-6;
    double scale = l->scales[f] / d, shift = scale * s.delta / count;
    double slope = root > 0 ? scale * s.dot / ((count - 1) * root * d) : 0;
    l->bias_updates[f] += (float)s.delta;
    l->scale_updates[f] += (float)(s.dot / d);
    for (int b = 0; b < l->batch; b++) {
        size_t at = ((size_t)b * l->out_c + f) * spatial;
        for (int i = 0; i < spatial; i++)
            l->delta[at + i] =
                (float)(l->delta[at + i] * scale - shift - (l->x[at + i] - l->mean[f]) * slope);
    }
}

EXPORT void backward_batchnorm_layer(layer l, network net)
{
    for (int f = 0; f < l.out_c; f++)
        channel_backward(&l, f);
    if (l.type == BATCHNORM && net.delta)
        for (size_t i = 0; i < (size_t)l.batch * l.outputs; i++)
            net.delta[i] += l.delta[i];
}

/* ---- averages re-estimated: means and variances of batches are pooled as if they were one sample ---- */

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

void ds_net_statistics_start(ds_net *n)
{
    free(n->statistics);
    DS_ZALLOC(n->statistics, 3 * all_channels(n));
    n->statistics_calls = 0;
}

int ds_net_statistics_add(ds_net *n, const float *pixels, ds_error *e)
{
    ds_context_start(&n->context, e);
    n->dropout_active = false; /* inference drops nothing */
    ds_walk_forward(n, pixels, n->info.cost - 1, true);
    n->dropout_active = true;
    DS_TRY(n->context.code);
    DS_TRY(ds_backend_fetch(n, n->statistics_calls ? DS_FETCH_STATISTICS : DS_FETCH_ALL, e));
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
    if (n->ranks && !n->graph.sum) {
        n->ranks->pass->sum(n->statistics, 3 * all_channels(n));
        n->statistics_calls *= (size_t)n->ranks->size;
    }
    for (int i = 0; n->statistics_calls && i < n->net->n; i++) {
        layer *l = &n->net->layers[i];
        double m = (double)l->batch * l->out_w * l->out_h * (n->graph.sum ? n->graph.parts : 1);
        for (size_t c = 0; c < channels(l); c++, s += 3)
            pool(s, (double)n->statistics_calls, m, &l->rolling_mean[c], &l->rolling_variance[c]);
    }
    free(n->statistics);
    n->statistics = NULL;
    ds_net_changed(n);
}
