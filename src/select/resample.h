/* What the bootstraps share. */
#ifndef DS_SELECT_RESAMPLE_H
#define DS_SELECT_RESAMPLE_H

#include "base/rng.h"
#include "select/select.h"

/* The generator of replicate r: the same resample wherever one is drawn. */
static inline ds_rng ds_resample_rng(uint64_t seed, int r)
{
    return ds_rng_make(seed, (uint64_t)r, 0);
}

/* The next image of a resample, uniform in [0, n); its bias is below n / 2^64. */
static inline size_t ds_resample_draw(ds_rng *r, size_t n)
{
    return (size_t)((unsigned __int128)ds_rng_next(r) * n >> 64);
}

/* DS_EINPUT: too many images, replicates < 1, level outside (0, 1). */
int ds_resample_check(size_t n, int replicates, double level, ds_error *e);

/* Percentile interval of the values that are numbers, undefined when none is; values: `replicates`, lost. */
ds_interval ds_resample_interval(double *values, int replicates, double level);

#endif
