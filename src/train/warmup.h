/* When the warm-up of a target ends. Too early the target learns from a network that knows little; too late
 * the network has learnt wrong labels by heart. */
#pragma once

#include <stdbool.h>

/* Where a warm-up stands: there is none, it lasts, or why it ended. */
typedef enum ds_warmup_state {
    DS_WARMUP_NONE,
    DS_WARMUP_ON,
    DS_WARMUP_EPOCHS, /* as many as asked for */
    DS_WARMUP_NLL,    /* that of the held-out images rises */
    DS_WARMUP_LATEST, /* nothing told, but the target needs its time */
} ds_warmup_state;
extern const char *const ds_warmup_names[]; /* NULL ends them */

typedef struct ds_warmup {
    ds_warmup_state state;
    int end;   /* epochs that it lasts; of one that is seen while it lasts: at most */
    bool seen; /* by the nll, not by counting */
    /* The nll of the last epoch, the lowest mean of two that follow each other, and the later of these. */
    double last, lowest;
    int at;
} ds_warmup;

/* asked: epochs; 0: none; DS_WARMUP_AUTO: what the nll says, at most half of the run's `epochs`. */
ds_warmup ds_warmup_begin(int asked, int epochs);
/* Epoch `epoch`, counted from 1, is complete, and `nll` that of images with labels like the training ones,
 * which the network does not train on; NAN: there are none. True: the warm-up ends with it. */
bool ds_warmup_epoch(ds_warmup *w, int epoch, double nll);
