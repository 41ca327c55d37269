/* What `classifier watch` knows from one run to the next: as a file, and in words. */
#pragma once

#include "base/error.h"
#include "select/watch.h"

/* Columns of a CSV that are watched without labels. */
enum { DS_WATCH_CONFIDENCE, DS_WATCH_NOVELTY, DS_WATCH_COLUMNS };
extern const char *const ds_watch_columns[DS_WATCH_COLUMNS];

typedef struct ds_watch {
    double alpha, run_length, seed;
    ds_watch_risk labelled;                  /* risk 0: not watched */
    ds_watch_score scores[DS_WATCH_COLUMNS]; /* calib 0: not watched */
} ds_watch;

/* Of how many columns scores are watched: each has its part of alpha. */
int ds_watch_scores(const ds_watch *w);
/* One process at a time has a state: until *fd is closed or it ends. DS_EINPUT: another has it. */
int ds_watch_lock(const char *path, int *fd, ds_error *e);
/* In the safetensors format, which holds a CRC-32: the array "state", F64, as the struct above. DS_EINPUT: no
 * state, or one that is not as it was written. */
int ds_watch_read(const char *path, ds_watch *w, ds_error *e);
int ds_watch_write(const ds_watch *w, const char *path, ds_error *e);

bool ds_watch_alarmed(const ds_watch *w);
/* For people: the figures, their limits, and what is not said by them. */
void ds_watch_text(FILE *f, const ds_watch *w);
