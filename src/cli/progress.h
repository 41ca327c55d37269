/* What `classifier train` shows: the host's line a batch, or a bar on a terminal; a line an epoch; notes. */
#pragma once

#include "train/train.h"

/* Zero-initialise. */
typedef struct ds_progress_view {
    ds_notes notes; /* of the run, printed when there is a place for them */
    FILE *log;      /* epochs; the same as for batches on a terminal, so that lines do not cut into the bar */
    bool terminal;
    double drawn; /* when, seconds of the monotonic clock */
    bool on_line; /* the bar stands on the current line */
    ds_train_plan plan;
} ds_progress_view;

/* Callbacks that print to standard output and standard error; `v` must outlive them. */
ds_train_events ds_progress_events(ds_progress_view *v);
/* Leave the bar's line, print what notes are left. */
void ds_progress_end(ds_progress_view *v);
