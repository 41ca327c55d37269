/* When the warm-up of a target ends. Too early the target learns from a network that knows little; too late
 * the network has learnt wrong labels by heart. */
#pragma once

#include <stdbool.h>

/* Where a warm-up stands: there is none, it lasts, or why it ended. */
typedef enum ds_warmup_state {
    DS_WARMUP_NONE,
    DS_WARMUP_ON,
    DS_WARMUP_EPOCHS, /* as many as asked for */
    DS_WARMUP_GAP,    /* the network learns labels by heart */
    DS_WARMUP_LATEST, /* it does not, but the target needs its time */
} ds_warmup_state;
extern const char *const ds_warmup_names[]; /* NULL ends them */

typedef struct ds_warmup {
    ds_warmup_state state;
    int end;    /* epochs that it lasts; of one that is seen while it lasts: at most */
    bool seen;  /* by the gap, not by counting */
    double gap; /* of the last epoch; NAN: none */
} ds_warmup;

/* The mean gap of two epochs that ends it, in nats. Measured: bench/label_noise.md. */
#define DS_WARMUP_MOST_GAP 0.1
/* asked: epochs; 0: none; DS_WARMUP_AUTO: as the gap says, at most three fifths of the run's `epochs`. */
ds_warmup ds_warmup_begin(int asked, int epochs);
/* Epoch `epoch`, counted from 1, is complete. gap: the nll of images that the network does not train on, whose
 * labels are as wrong as the others', minus its loss in training; NAN: there are no such images. True: the
 * warm-up ends with it. */
bool ds_warmup_epoch(ds_warmup *w, int epoch, double gap);
