#include "train/optimizer.h"

/* Below this many parameters starting the threads costs more than they save. */
enum { PARALLEL_FROM = 1 << 16 };

struct ds_optimizer {
    const ds_net_options *o;
    const ds_param *params;
    int n, batch;
    size_t total;         /* numbers that are trained */
    float *moments;       /* array after array its m, then its v: 2 total; NULL without Adam */
    uint64_t t;           /* steps done */
    ds_trained *resident; /* n_resident arrays that the backend trains */
    int n_resident;
};

ds_optimizer *ds_optimizer_new(const ds_net_options *o, const ds_param *params, int n, int batch)
{
    ds_optimizer *s = DS_ZALLOC(s, 1);
    *s = (ds_optimizer){.o = o, .params = params, .n = n, .batch = batch};
    for (int i = 0; i < n; i++)
        s->total += params[i].gradient ? params[i].n : 0;
    if (o->adam)
        DS_ZALLOC(s->moments, 2 * s->total);
    for (int i = 0; i < n; i++)
        if (params[i].gradient && params[i].resident) {
            const ds_param *p = &params[i];
            ds_trained r = {p->values, p->gradient, ds_optimizer_moments(s, i),
                            p->n,      p->decayed,  (float)p->rate};
            DS_PUSH(s->resident, s->n_resident, r);
        }
    return s;
}

void ds_optimizer_free(ds_optimizer *s)
{
    if (!s)
        return;
    free(s->moments);
    free(s->resident);
    free(s);
}

float *ds_optimizer_moments(const ds_optimizer *s, int i)
{
    size_t at = 0;
    for (int k = 0; k < i; k++)
        at += s->params[k].gradient ? s->params[k].n : 0;
    return s->moments && s->params[i].gradient ? s->moments + 2 * at : NULL;
}

uint64_t *ds_optimizer_steps(ds_optimizer *s)
{
    return &s->t;
}

/* The loops share an array out to the threads. Each operation is rounded by itself (-std=c11 contracts
 * nothing), and no element depends on another: vectors give the bits of single numbers. */

static inline float clamp(float w, float limit)
{
    w = limit < w ? limit : w;
    return -limit > w ? -limit : w;
}

static void sgd(const ds_optimizer *s, const ds_param *p, float rate, float limit)
{
    const bool decayed = p->decayed; /* not the same as decay 0: -0 + 0 w is 0 */
    const float batch = (float)s->batch, decay = -(float)s->o->decay * batch, step = rate / batch;
    const float momentum = (float)s->o->momentum;
    float *w = p->values, *u = p->gradient;
#pragma omp for simd schedule(static) nowait
    for (size_t i = 0; i < p->n; i++) {
        float sum = decayed ? u[i] + decay * w[i] : u[i];
        w[i] = clamp(w[i] + step * sum, limit);
        u[i] = sum * momentum;
    }
}

static void adam(const ds_optimizer *s, const ds_param *p, float rate, float limit, float *m)
{
    const ds_net_options *o = s->o;
    const float B1 = (float)o->B1, rest1 = (float)(1 - o->B1), B2 = (float)o->B2, rest2 = (float)(1 - o->B2);
    const float inverse = -1 / (float)s->batch, decay = p->decayed ? (float)o->decay : 0, eps = (float)o->eps;
    const float step = (float)(rate / (1 - pow(o->B1, (double)s->t)));
    const float unbias = (float)(1 / (1 - pow(o->B2, (double)s->t)));
    float *w = p->values, *u = p->gradient, *v = m + p->n;
#pragma omp for simd schedule(static) nowait
    for (size_t i = 0; i < p->n; i++) {
        float g = inverse * u[i] + decay * w[i];
        m[i] = B1 * m[i] + rest1 * g;
        v[i] = B2 * v[i] + rest2 * g * g;
        w[i] = clamp(w[i] - step * m[i] / (sqrtf(v[i] * unbias) + eps), limit);
        u[i] = 0;
    }
}

void ds_optimizer_step(ds_optimizer *s, float rate)
{
    s->t++;
#pragma omp parallel if (s->total >= PARALLEL_FROM && !s->n_resident)
    for (size_t i = 0, at = 0; i < (size_t)s->n; i++) {
        const ds_param *p = &s->params[i];
        float own = rate * (float)p->rate,
              limit = p->decayed && s->o->clip > 0 ? (float)s->o->clip : INFINITY;
        if (!p->gradient)
            continue;
        if (s->o->adam && !p->resident)
            adam(s, p, own, limit, s->moments + 2 * at);
        else if (!p->resident)
            sgd(s, p, own, limit);
        at += p->n;
    }
}

ds_rule ds_optimizer_rule(const ds_optimizer *s, float rate)
{
    const ds_net_options *o = s->o;
    return (ds_rule){.arrays = s->resident,
                     .n = s->n_resident,
                     .adam = o->adam,
                     .batch = s->batch,
                     .rate = rate,
                     .momentum = (float)o->momentum,
                     .decay = (float)o->decay,
                     .clip = (float)o->clip,
                     .B1 = o->B1,
                     .B2 = o->B2,
                     .eps = o->eps,
                     .t = s->t};
}
