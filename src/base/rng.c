#include "base/rng.h"

#include <math.h>

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

ds_rng ds_rng_make(uint64_t seed, uint64_t a, uint64_t b)
{
    uint64_t s = mix(seed + 0x9e3779b97f4a7c15u);
    s = mix(s ^ (a + 0x9e3779b97f4a7c15u));
    return (ds_rng){mix(s ^ (b + 0x9e3779b97f4a7c15u))};
}

uint64_t ds_rng_next(ds_rng *r)
{
    return mix(r->state += 0x9e3779b97f4a7c15u);
}

double ds_rng_uniform(ds_rng *r)
{
    return (double)(ds_rng_next(r) >> 11) * 0x1p-53;
}

uint64_t ds_rng_below(ds_rng *r, uint64_t n)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % n, v;
    do
        v = ds_rng_next(r);
    while (v >= limit);
    return v % n;
}

double ds_rng_normal(ds_rng *r)
{
    double u = 1 - ds_rng_uniform(r), v = ds_rng_uniform(r);
    return sqrt(-2 * log(u)) * cos(6.283185307179586477 * v);
}

void ds_rng_shuffle(ds_rng *r, uint32_t *v, uint32_t n)
{
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = (uint32_t)ds_rng_below(r, i), t = v[i - 1];
        v[i - 1] = v[j];
        v[j] = t;
    }
}
