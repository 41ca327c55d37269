/* What `classifier train` shows: the host's line a batch, or a bar on a terminal. */
#ifndef DS_CLI_PROGRESS_H
#define DS_CLI_PROGRESS_H

#include "train/train.h"

typedef struct ds_bar {
    FILE *out; /* batches */
    FILE *log; /* epochs; the same as out on a terminal, so that lines do not cut into the bar */
    bool terminal;
    double drawn; /* when, seconds of the monotonic clock */
    bool on_line; /* the bar stands on the current line */
    ds_train_plan plan;
} ds_bar;

/* Bar when `out` is a terminal. */
void ds_bar_start(ds_bar *bar, FILE *out, FILE *log, const ds_train_plan *plan);
void ds_bar_step(ds_bar *bar, const ds_train_step *step);
void ds_bar_epoch(ds_bar *bar, const ds_result *row, bool best);
/* Leave the bar's line; harmless twice or before the start. */
void ds_bar_end(ds_bar *bar);

#endif
