#include "train/optimizer.h"
#include "train/update.h"

#include <math.h>
#include <stdlib.h>
#ifdef _OPENMP
#include <omp.h>
#endif

/* Below this many parameters starting the threads costs more than they save. */
enum { PARALLEL_FROM = 1 << 16 };

/* The trained arrays count as one row of `total` parameters, which is cut into chunks of equal length: a chunk may hold a piece of a
 * large array or many small ones. */
struct ds_optimizer {
    const ds_param *params;
    size_t *start; /* n: where array i begins in the row */
    size_t total;
    int n, batch, threads;
    float momentum, decay, clip;
    bool adam;
    double B1, B2;
    float eps;
    float *m, *v; /* total each, in one allocation; NULL without Adam */
    long t;       /* steps done */
    const ds_update *update;
};

/* What is the same for all arrays of a step. */
typedef struct step {
    float rate;
    double unbias1;
    float unbias2;
} step;

static int thread_count(int asked)
{
#ifdef _OPENMP
    return asked > 0 ? asked : omp_get_max_threads();
#else
    return asked > 0 ? asked : 1;
#endif
}

static int make_row(ds_optimizer *o)
{
    if (!(o->start = calloc((size_t)o->n + 1, sizeof *o->start)))
        return DS_ENOMEM;
    for (int i = 0; i < o->n; i++) {
        o->start[i] = o->total;
        o->total += o->params[i].gradient ? o->params[i].n : 0;
    }
    if (!o->adam)
        return DS_OK;
    if (!(o->m = calloc(o->total + 1, 2 * sizeof *o->m)))
        return DS_ENOMEM;
    o->v = o->m + o->total;
    return DS_OK;
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
                        .eps = (float)o->eps,
                        .update = ds_update_get(ds_isa_best())};
    if (make_row(s)) {
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
    free(o->start);
    free(o->m);
    free(o);
}

void ds_optimizer_use(ds_optimizer *o, ds_isa isa)
{
    o->update = ds_update_get(isa);
}

static ds_sgd sgd_of(const ds_optimizer *o, const ds_param *p, float rate, float limit)
{
    return (ds_sgd){.decayed = p->decayed,
                    .decay = -o->decay * (float)o->batch,
                    .rate = rate / (float)o->batch,
                    .momentum = o->momentum,
                    .limit = limit};
}

static ds_adam adam_of(const ds_optimizer *o, const ds_param *p, const step *s, float rate, float limit)
{
    return (ds_adam){.inverse = -1 / (float)o->batch,
                     .decay = p->decayed ? o->decay : 0,
                     .B1 = (float)o->B1,
                     .rest1 = (float)(1 - o->B1),
                     .B2 = (float)o->B2,
                     .rest2 = (float)(1 - o->B2),
                     .step = (float)(rate / s->unbias1),
                     .unbias = s->unbias2,
                     .eps = o->eps,
                     .limit = limit};
}

/* Parameters [from, from + n) of array i. */
static void update_piece(const ds_optimizer *o, const step *s, int i, size_t from, size_t n)
{
    const ds_param *p = &o->params[i];
    float rate = s->rate * (float)p->rate, limit = p->decayed && o->clip > 0 ? o->clip : INFINITY;
    float *w = p->values + from, *u = p->gradient + from;
    size_t at = o->start[i] + from;
    if (o->adam)
        o->update->adam(adam_of(o, p, s, rate, limit), w, u, o->m + at, o->v + at, n);
    else
        o->update->sgd(sgd_of(o, p, rate, limit), w, u, n);
}

/* The last array that begins at or before `at`; those of no length in the row come before it. */
static int array_at(const ds_optimizer *o, size_t at)
{
    int low = 0, high = o->n;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (o->start[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void update_chunk(const ds_optimizer *o, const step *s, size_t from, size_t to)
{
    for (int i = array_at(o, from); from < to; i++) {
        size_t end = i + 1 < o->n ? o->start[i + 1] : o->total, stop = end < to ? end : to;
        if (from < stop)
            update_piece(o, s, i, from - o->start[i], stop - from);
        from = stop;
    }
}

void ds_optimizer_step(ds_optimizer *o, float rate)
{
    o->t++;
    const step s = {rate, 1 - pow(o->B1, (double)o->t), (float)(1 / (1 - pow(o->B2, (double)o->t)))};
    const size_t total = o->total;
#pragma omp parallel for schedule(dynamic) num_threads(o->threads) if (total >= PARALLEL_FROM)
    for (size_t from = 0; from < total; from += DS_OPTIMIZER_CHUNK)
        update_chunk(o, &s, from, total - from < DS_OPTIMIZER_CHUNK ? total : from + DS_OPTIMIZER_CHUNK);
}
