/* Mixtures of two training images, for the keys mixup= and regmixup= of [net] (Zhang et al. 2018; Pinto et
 * al. 2022): pixels s a + (1-s) b, and the loss of both labels in the same parts. */
#pragma once

#include "cfg/cfg.h"
#include "data/loader.h"

typedef struct ds_mixtures {
    float *pixels;        /* images x inputs; where a batch is of pictures instead, */
    ds_picture *pictures; /* images: the parts b */
    int *others;          /* images: labels of the parts b */
    float *shares;        /* images: s, from 1/2: an image's own label stays that of its larger part */
} ds_mixtures;

/* Is either key set? */
bool ds_mixes(const ds_net_options *o);
/* Room for `images` at once; release with ds_mixtures_clear. */
ds_mixtures ds_mixtures_new(int images, int inputs);
void ds_mixtures_clear(ds_mixtures *m);
/* Images [first, first + images) of a batch of o->batch (> 1), each with another of the whole batch: which
 * one and how much is a function of (seed, position, image), `position` being the batch's in the stream. */
void ds_mix(ds_mixtures *m, const ds_net_options *o, const ds_batch *b, int first, int images, int inputs,
            uint64_t seed, uint64_t position);
