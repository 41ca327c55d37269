/* What prepare.c, epoch.c and loop.c share: one training run. */
#ifndef DS_TRAIN_JOB_H
#define DS_TRAIN_JOB_H

#include "cfg/cfg.h"
#include "data/loader.h"
#include "host/host.h"
#include "train/optimizer.h"
#include "train/train.h"

#include <time.h>

/* Sums since the last epoch's end. */
typedef struct ds_tally {
    double loss, seconds;
    uint64_t right, images;
} ds_tally;

typedef struct ds_job {
    const ds_train_setup *setup;
    const ds_train_events *events;
    int loaders;
    char *base; /* of the files' names */
    ds_datafile data;
    ds_cfg *cfg;
    ds_images train, valid; /* valid.n = 0: none */
    ds_net *net;
    ds_augment augment;
    ds_train_plan plan;
    ds_optimizer *optimizer;
    ds_results results;
    /* moves on with the batches */
    uint64_t seen;
    float rate; /* of the last batch */
    ds_tally tally;
    ds_train_times times;
    ds_result best; /* best.epoch = 0: none yet */
    time_t plotted; /* when BASE_results.png was drawn last; 0: never */
    bool unplotted; /* it cannot be drawn, which is noted */
} ds_job;

/* prepare.c: read and check everything, leave nothing changed but the backup folder, which is made. Close in
 * any case. */
int ds_job_open(ds_job *job, const ds_train_setup *setup, const ds_train_events *events, ds_error *e);
void ds_job_close(ds_job *job);
/* BACKUP/BASE and `suffix`, fresh memory or NULL. */
char *ds_job_path(const ds_job *job, const char *suffix);
/* Batches done. */
long ds_job_batch(const ds_job *job);

/* epoch.c: statistics, validation, results line, files. `last`: no batch follows, so the epoch may be
 * incomplete. Resets the tally. DS_EINTERRUPT: interrupted in validation, nothing saved. */
int ds_epoch_end(ds_job *job, bool last, ds_error *e);
/* The same without validation and line, for an interrupted run: BASE.backup alone. */
int ds_epoch_interrupted(ds_job *job, ds_error *e);
int ds_job_save(const ds_job *job, const char *suffix, ds_error *e);

#endif
