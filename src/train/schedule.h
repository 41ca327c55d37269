/* The learning rate of a batch, as the host's `policy=` says. */
#pragma once

#include "cfg/cfg.h"

/* Rate at batch number `b` = images seen / batch. Like the host, the update after the first batch uses b = 1,
 * because the images of a batch count as seen before the update. Computed in the host's mixture of float and
 * double, so that the rates are the same numbers.
 *
 *   burn_in:   while b < burn_in: learning_rate (b / burn_in)^power
 *   constant:  learning_rate
 *   step:      learning_rate scale^floor(b / step)
 *   steps:     learning_rate times scales[i] from batch steps[i] on
 *   exp:       learning_rate gamma^b
 *   poly:      learning_rate (1 - b / max_batches)^power
 *   sigmoid:   learning_rate / (1 + e^(gamma (b - step)))
 *   cosine:    learning_rate (1 + cos(pi b / max_batches)) / 2; ours, not the host's
 *   random:    learning_rate u^power, u uniform in [0, 1) and a function of (seed, b)
 *
 * One deviation: b - step of `sigmoid` is signed; the host's unsigned difference wraps to 2^64 - x before
 * batch `step`. With average=swa, batches behind ds_schedule_average have average_rate, else the rate of that
 * batch. */
float ds_schedule_rate(const ds_net_options *o, uint64_t b, uint64_t seed);
/* The batch behind which average=swa begins: a share average_from of max_batches. */
long ds_schedule_average(const ds_net_options *o);
