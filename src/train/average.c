#include "train/average.h"
#include "train/schedule.h"

enum { COUNT, LAST };
/* As in optimizer.c. */
enum { PARALLEL_FROM = 1 << 16 };

ds_average ds_average_new(const ds_net_options *o, const ds_param *params, int n)
{
    ds_average a = {.o = o, .params = params, .n = n};
    for (int i = 0; i < n; i++)
        a.total += params[i].gradient ? params[i].n : 0;
    if (o->average != DS_AVERAGE_NONE)
        DS_ZALLOC(a.values, a.total);
    return a;
}

void ds_average_clear(ds_average *a)
{
    free(a->values);
    *a = (ds_average){0};
}

int ds_average_check(const ds_cfg *cfg, int epochs, ds_error *e)
{
    const ds_net_options *o = &cfg->net;
    if (o->average != DS_AVERAGE_SWA || epochs * (1 - o->average_from) >= 2)
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, cfg->path, ds_section_line(&cfg->sections[0], "average_from"),
                      "average=swa with average_from=%g leaves %.3g of %d epochs to average, expected two or "
                      "more: more epochs, or a lower average_from",
                      o->average_from, epochs * (1 - o->average_from), epochs);
}

/* The share of the new weights; 0: they are no part of it. */
static double share(ds_average *a, long batch, bool epoch_end)
{
    const double k = (double)a->state[COUNT];
    if (a->o->average == DS_AVERAGE_EMA)
        return 1 - fmin(a->o->ema_alpha, (1 + k) / (10 + k));
    const long from = ds_schedule_average(a->o);
    if (batch < from) /* again, where a run goes on for longer than was said */
        a->state[COUNT] = 0;
    return epoch_end && batch > from ? 1 / ((double)a->state[COUNT] + 1) : 0;
}

void ds_average_add(ds_average *a, long batch, bool epoch_end)
{
    const float part = a->values && a->state[LAST] < (uint64_t)batch ? (float)share(a, batch, epoch_end) : 0;
    const bool first = a->state[COUNT] == 0;
    if (part == 0)
        return;
    for (size_t i = 0, at = 0; i < (size_t)a->n; i++) {
        const float *w = a->params[i].values;
        float *average = a->values + at;
        if (!a->params[i].gradient)
            continue;
#pragma omp parallel for simd schedule(static) if (a->params[i].n >= PARALLEL_FROM)
        for (size_t k = 0; k < a->params[i].n; k++)
            average[k] = first ? w[k] : average[k] + part * (w[k] - average[k]);
        at += a->params[i].n;
    }
    a->state[COUNT]++;
    a->state[LAST] = (uint64_t)batch;
}

bool ds_average_swap(ds_average *a)
{
    if (!a->values || !a->state[COUNT])
        return false;
    for (size_t i = 0, at = 0; i < (size_t)a->n; i++)
        for (size_t k = 0; a->params[i].gradient && k < a->params[i].n; k++, at++) {
            const float w = a->params[i].values[k];
            a->params[i].values[k] = a->values[at];
            a->values[at] = w;
        }
    return true;
}

int ds_average_arrays(ds_average *a, ds_saved *arrays)
{
    if (!a->values)
        return 0;
    arrays[0] = (ds_saved){"average", "F32", a->total, 1, a->values};
    arrays[1] = (ds_saved){"average.state", "U64", 2, 1, a->state};
    return 2;
}
