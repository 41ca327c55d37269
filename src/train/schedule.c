#include "train/schedule.h"
#include "base/rng.h"

/* Keeps the numbers of policy=random apart from those of the images, whose keys are (seed, epoch, sample). */
enum { RATE_KEY = 0x72617465 };

static float steps_rate(const ds_net_options *o, uint64_t b)
{
    float rate = (float)o->learning_rate;
    for (int i = 0; i < o->steps.n && i < o->scales.n; i++) {
        if (o->steps.v[i] > (double)b)
            break;
        rate *= (float)o->scales.v[i];
    }
    return rate;
}

static float sigmoid_rate(const ds_net_options *o, uint64_t b)
{
    float x = (float)o->gamma * (float)((int64_t)b - o->step);
    return (float)((float)o->learning_rate * (1. / (1. + exp(x))));
}

static float powered(const ds_net_options *o, double base, double exponent)
{
    return (float)((float)o->learning_rate * pow(base, exponent));
}

long ds_schedule_average(const ds_net_options *o)
{
    return (long)ceil(o->average_from * o->max_batches);
}

float ds_schedule_rate(const ds_net_options *o, uint64_t b, uint64_t seed)
{
    float power = (float)o->power;
    if (o->average == DS_AVERAGE_SWA && (long)b > ds_schedule_average(o)) {
        if (!isnan(o->average_rate))
            return (float)o->average_rate;
        b = (uint64_t)ds_schedule_average(o);
    }
    if (o->burn_in > 0 && b < (uint64_t)o->burn_in)
        return powered(o, (float)b / (float)o->burn_in, power);
    switch ((ds_policy)o->policy) {
    case DS_STEP:
        return powered(o, (float)o->scale, (double)(b / (uint64_t)(o->step > 0 ? o->step : 1)));
    case DS_STEPS:
        return steps_rate(o, b);
    case DS_EXP:
        return powered(o, (float)o->gamma, (double)b);
    case DS_POLY:
        return powered(o, 1 - (float)b / (float)o->max_batches, power);
    case DS_COSINE:
        return (float)(o->learning_rate * (1 + cos(M_PI * (double)b / o->max_batches)) / 2);
    case DS_RANDOM: {
        ds_rng r = ds_rng_make(seed, b, RATE_KEY);
        return powered(o, (float)ds_rng_uniform(&r), power);
    }
    case DS_SIGMOID:
        return sigmoid_rate(o, b);
    case DS_CONSTANT:
        break;
    }
    return (float)o->learning_rate;
}
