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
    ds_train_setup setup;
    const ds_train_events *events;
    /* read and made before the first batch */
    ds_cfg *cfg;
    ds_datafile data;
    char *prefix;           /* BACKUP/BASE, of the files that are written */
    ds_images train, valid; /* valid.n = 0: none */
    ds_net *net;
    const ds_net_info *info; /* of net */
    ds_train_plan plan;
    ds_augment augment;
    ds_optimizer *optimizer;
    ds_loader *stream; /* the training images, from `seen` on */
    double *losses;    /* info.batch: of the sub-batch at work */
    /* move on with the batches */
    uint64_t seen;
    float rate;     /* of the last batch */
    double average; /* of losses, see ds_train_step; NAN before the first batch */
    ds_tally tally;
    ds_times times;
    ds_results results;
    ds_result best; /* best.epoch = 0: none yet, its top-1 is NAN */
    time_t plotted; /* when BASE_results.png was drawn last; 0: never */
    bool unplotted; /* it cannot be drawn, which is noted */
} ds_job;

/* prepare.c: read and check everything, leave nothing changed but the backup folder, which is made. Close in
 * any case. */
int ds_job_open(ds_job *job, const ds_train_setup *setup, const ds_train_events *events, ds_error *e);
void ds_job_close(ds_job *job);
/* An endless stream of augmented training images from position `start` on. */
int ds_job_stream(const ds_job *job, uint64_t seed, uint64_t start, size_t cache_bytes, ds_loader **loader,
                  ds_error *e);
/* BACKUP/BASE and `suffix`, fresh memory. */
char *ds_job_path(const ds_job *job, const char *suffix);
int ds_job_save(const ds_job *job, const char *suffix, ds_error *e);
/* Batches done. */
long ds_job_batch(const ds_job *job);

/* epoch.c: statistics, validation, results line, files, when an epoch ends with the batch just done.
 * `last`: no batch follows, so the epoch may be incomplete. DS_EINTERRUPT: interrupted in validation,
 * nothing saved. */
int ds_epoch_end(ds_job *job, bool last, ds_error *e);
/* The same without validation and line, for an interrupted run: BASE.backup alone. */
int ds_epoch_interrupted(ds_job *job, ds_error *e);

#endif
