#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#ifdef _OPENMP
#include <omp.h>
#define PARALLEL_FOR _Pragma("omp parallel for simd num_threads(threads) if (n >= PARALLEL_FROM)")
#else
#define PARALLEL_FOR
#endif

/* Below this many numbers starting the threads costs more than they save. */
enum { PARALLEL_FROM = 1 << 16 };

typedef struct moments {
    float *m, *v; /* as long as the parameter; NULL where it is not trained */
} moments;

struct ds_optimizer {
    const ds_param *params;
    int n, batch, threads;
    float momentum, decay, clip;
    bool adam;
    double B1, B2;
    float eps;
    moments *moments; /* n, NULL without Adam */
    long t;           /* steps done */
};

static int make_moments(ds_optimizer *o)
{
    if (!(o->moments = calloc((size_t)o->n + 1, sizeof *o->moments)))
        return DS_ENOMEM;
    for (int i = 0; i < o->n; i++) {
        const ds_param *p = &o->params[i];
        if (!p->gradient)
            continue;
        o->moments[i].m = calloc(p->n + 1, sizeof(float));
        o->moments[i].v = calloc(p->n + 1, sizeof(float));
        if (!o->moments[i].m || !o->moments[i].v)
            return DS_ENOMEM;
    }
    return DS_OK;
}

static int thread_count(int asked)
{
#ifdef _OPENMP
    return asked > 0 ? asked : omp_get_max_threads();
#else
    return asked > 0 ? asked : 1;
#endif
}

int ds_optimizer_new(const ds_net_options *o, const ds_param *params, int n, int batch, int threads,
                     ds_optimizer **optimizer, ds_error *e)
{
    ds_optimizer *s = calloc(1, sizeof *s);
    if (!s)
        return ds_fail_memory(e);
    *s = (ds_optimizer){.params = params,
                        .n = n,
                        .batch = batch,
                        .threads = thread_count(threads),
                        .momentum = (float)o->momentum,
                        .decay = (float)o->decay,
                        .clip = (float)o->clip,
                        .adam = o->adam,
                        .B1 = o->B1,
                        .B2 = o->B2,
                        .eps = (float)o->eps};
    if (s->adam && make_moments(s)) {
        ds_optimizer_free(s);
        return ds_fail_memory(e);
    }
    *optimizer = s;
    return DS_OK;
}

void ds_optimizer_free(ds_optimizer *o)
{
    if (!o)
        return;
    for (int i = 0; o->moments && i < o->n; i++) {
        free(o->moments[i].m);
        free(o->moments[i].v);
    }
    free(o->moments);
    free(o);
}

/* w, u: n. The three roundings of each line are the host's, so the products are not contracted (-std=c11 sees
 * to that). */
static void sgd_decayed(float *w, float *u, size_t n, float decay, float rate, float momentum, int threads)
{
    (void)threads;
    PARALLEL_FOR
    for (size_t i = 0; i < n; i++) {
        float step = u[i] + decay * w[i];
        w[i] += rate * step;
        u[i] = step * momentum;
    }
}

static void sgd_plain(float *w, float *u, size_t n, float rate, float momentum, int threads)
{
    (void)threads;
    PARALLEL_FOR
    for (size_t i = 0; i < n; i++) {
        w[i] += rate * u[i];
        u[i] *= momentum;
    }
}

static void sgd(const ds_optimizer *o, const ds_param *p, float rate)
{
    float step = rate / (float)o->batch;
    if (p->decayed)
        sgd_decayed(p->values, p->gradient, p->n, -o->decay * (float)o->batch, step, o->momentum, o->threads);
    else
        sgd_plain(p->values, p->gradient, p->n, step, o->momentum, o->threads);
}

static void adam(const ds_optimizer *o, const ds_param *p, const moments *s, float rate)
{
    const size_t n = p->n;
    const int threads = o->threads;
    float *restrict w = p->values, *restrict u = p->gradient, *restrict m = s->m, *restrict v = s->v;
    const float B1 = (float)o->B1, B2 = (float)o->B2, eps = o->eps, inverse = -1 / (float)o->batch;
    const float rest1 = (float)(1 - o->B1), rest2 = (float)(1 - o->B2), decay = p->decayed ? o->decay : 0;
    const float step = (float)(rate / (1 - pow(o->B1, (double)o->t)));
    const float unbias = (float)(1 / (1 - pow(o->B2, (double)o->t)));
    (void)threads;
    PARALLEL_FOR
    for (size_t i = 0; i < n; i++) {
        float g = inverse * u[i] + decay * w[i];
        m[i] = B1 * m[i] + rest1 * g;
        v[i] = B2 * v[i] + rest2 * g * g;
        w[i] -= step * m[i] / (sqrtf(v[i] * unbias) + eps);
        u[i] = 0;
    }
}

static void clamp(float *w, size_t n, float limit, int threads)
{
    (void)threads;
    PARALLEL_FOR
    for (size_t i = 0; i < n; i++)
        w[i] = w[i] > limit ? limit : w[i] < -limit ? -limit : w[i];
}

void ds_optimizer_step(ds_optimizer *o, float rate)
{
    o->t++;
    for (int i = 0; i < o->n; i++) {
        const ds_param *p = &o->params[i];
        if (!p->gradient)
            continue;
        float own = rate * (float)p->rate;
        if (o->adam)
            adam(o, p, &o->moments[i], own);
        else
            sgd(o, p, own);
        if (p->decayed && o->clip > 0)
            clamp(p->values, p->n, o->clip, o->threads);
    }
}
