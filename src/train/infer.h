/* Forward of any number of images at once. A network has a fixed batch: few images would take the time of all of it. So
 * there are two networks of the same weights, one for whole batches and one for single images; the second is made
 * when it is needed. */
#ifndef DS_TRAIN_INFER_H
#define DS_TRAIN_INFER_H

#include "cfg/cfg.h"
#include "host/host.h"

typedef struct ds_infer ds_infer; /* opaque */

/* `net` has its weights, and a batch of 1 or of `most`; it and the cfg must outlive the result. setup: for the other
 * network; its batch and notes are not used. */
int ds_infer_new(const ds_cfg *cfg, const ds_net_setup *setup, ds_net *net, int most, ds_infer **infer,
                 ds_error *e);
/* pixels: n x inputs, 1 <= n <= most; those behind them, up to `most`, are written over. `last`: no more images
 * come, another network is not worth its making. *logits: n x info.logits, valid until the next call. */
int ds_infer_run(ds_infer *f, float *pixels, int n, bool last, const float **logits, ds_error *e);
void ds_infer_free(ds_infer *f);

#endif
