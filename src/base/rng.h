/* Randomness as a function of a key: the same (seed, a, b) gives the same numbers, whichever thread asks.
 * SplitMix64 (Steele, Lea, Flood 2014). */
#pragma once

#include <stdint.h>

typedef struct ds_rng {
    uint64_t state;
} ds_rng;

/* Generator of a key, e.g. (seed, epoch, sample). */
ds_rng ds_rng_make(uint64_t seed, uint64_t a, uint64_t b);
uint64_t ds_rng_next(ds_rng *r);
/* Uniform in [0, 1). */
double ds_rng_uniform(ds_rng *r);
/* Uniform integer in [0, n), n > 0, without bias. */
uint64_t ds_rng_below(ds_rng *r, uint64_t n);
/* Standard normal (Box-Muller, one number a call). */
double ds_rng_normal(ds_rng *r);
/* Fisher-Yates over n indices. */
void ds_rng_shuffle(ds_rng *r, uint32_t *v, uint32_t n);
