#include "train/mixup.h"

/* Keeps these numbers apart from those of augmentation; RegMixup's alpha. */
enum { MIXUP_KEY = 0x6d6978, REGMIXUP_ALPHA = 20 };

bool ds_mixes(const ds_net_options *o)
{
    return o->mixup || o->regmixup;
}

ds_mixtures ds_mixtures_new(int images, int inputs)
{
    ds_mixtures m;
    DS_ALLOC(m.pixels, (size_t)images * (size_t)inputs);
    DS_ALLOC(m.pictures, (size_t)images);
    DS_ALLOC(m.others, (size_t)images);
    DS_ALLOC(m.shares, (size_t)images);
    return m;
}

void ds_mixtures_clear(ds_mixtures *m)
{
    free(m->pixels);
    free(m->pictures);
    free(m->others);
    free(m->shares);
    *m = (ds_mixtures){0};
}

/* log of a Gamma(alpha) variate: Marsaglia & Tsang 2000, below 1 by that of alpha + 1. */
static double log_gamma(double alpha, ds_rng *r)
{
    const double d = (alpha < 1 ? alpha + 1 : alpha) - 1. / 3, c = 1 / sqrt(9 * d);
    double x, v;
    do {
        x = ds_rng_normal(r);
        v = pow(1 + c * x, 3);
    } while (v <= 0 || log(1 - ds_rng_uniform(r)) >= x * x / 2 + d * (1 - v + log(v)));
    return log(d * v) + (alpha < 1 ? log(1 - ds_rng_uniform(r)) / alpha : 0);
}

/* The larger of two parts that are Beta(alpha, alpha); mixup=1 without it: halves, of half of the images. */
static float share(const ds_net_options *o, ds_rng *r)
{
    if (isnan(o->mixup_alpha) && o->mixup)
        return ds_rng_next(r) >> 63 ? 1 : .5F;
    const double alpha = isnan(o->mixup_alpha) ? REGMIXUP_ALPHA : o->mixup_alpha;
    const double a = log_gamma(alpha, r);
    return (float)(1 / (1 + exp(-fabs(a - log_gamma(alpha, r)))));
}

void ds_mix(ds_mixtures *m, const ds_net_options *o, const ds_batch *b, int first, int images, int inputs,
            uint64_t seed, uint64_t position)
{
    const uint64_t batch = (uint64_t)o->batch;
    const size_t row = (size_t)inputs;
    for (size_t i = 0; i < (size_t)images; i++) {
        const size_t own = (size_t)first + i;
        ds_rng r = ds_rng_make(seed ^ MIXUP_KEY, position + own, b->ids[own]);
        const size_t other = (own + 1 + ds_rng_below(&r, batch - 1)) % batch;
        const float s = m->shares[i] = share(o, &r);
        m->others[i] = b->labels[other];
        if (b->pictures)
            m->pictures[i] = b->pictures[other];
        for (size_t j = 0; j < row && b->pixels; j++)
            m->pixels[i * row + j] = s * b->pixels[own * row + j] + (1 - s) * b->pixels[other * row + j];
    }
}
