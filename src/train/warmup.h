/* When the warm-up of a target ends. Too early the target learns from a network that knows little; too late
 * the network has learnt wrong labels by heart. */
#pragma once

#include <stdbool.h>

/* Where a warm-up stands: there is none, it lasts, or why it ended. */
typedef enum ds_warmup_state {
    DS_WARMUP_NONE,
    DS_WARMUP_ON,
    DS_WARMUP_EPOCHS, /* as many as asked for */
    DS_WARMUP_NLL,    /* that of held-out images rises */
    DS_WARMUP_LATEST, /* it has not, but the target needs its time */
} ds_warmup_state;
extern const char *const ds_warmup_names[]; /* NULL ends them */

typedef struct ds_warmup {
    ds_warmup_state state;
    int end;            /* epochs that it lasts; of one that is seen while it lasts: at most */
    bool seen;          /* by the nll, not by counting */
    int at;             /* the later epoch of the lowest mean nll of two, 0: none yet */
    double lowest, nll; /* that mean; nll of the last epoch, NAN: none yet */
    double known;       /* nll of a network that has begun to know something */
} ds_warmup;

/* asked: epochs; 0: none; DS_WARMUP_AUTO: as the nll of `classes` says, at most three fifths of the run's
 * `epochs`. */
ds_warmup ds_warmup_begin(int asked, int epochs, int classes);
/* Epoch `epoch`, counted from 1, is complete. nll: of images that the network does not train on, whose
 * labels are as wrong as the others'; NAN: there are none. Means of two epochs count: the warm-up ends when
 * one is .01 above the lowest, and that 1 % below ln C, a guess (bench/label_noise.md). True: it ends with
 * this epoch. */
bool ds_warmup_epoch(ds_warmup *w, int epoch, double nll);
