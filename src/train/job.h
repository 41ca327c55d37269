/* What prepare.c, epoch.c and loop.c share: one training run. */
#pragma once

#include "cfg/cfg.h"
#include "data/loader.h"
#include "host/host.h"
#include "train/average.h"
#include "train/gradients.h"
#include "train/history.h"
#include "train/mixup.h"
#include "train/optimizer.h"
#include "train/train.h"

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
    char *cfg_text, *base; /* BASE: the name of the cfg */
    char *folder;          /* of the run, inside backup=; NULL: not chosen yet */
    int lock;              /* its descriptor */
    unsigned linked;       /* bit i: link i of backup= is ours */
    bool resumed;
    ds_saved_file checkpoint; /* what a run goes on from until it is restored */
    ds_images train, valid;   /* valid.n = 0: none; without valid= a part of train= may be kept out for it */
    ds_net *net;
    const ds_net_info *info; /* of net */
    ds_train_plan plan;
    ds_augment augment;
    ds_optimizer *optimizer;
    ds_gradients *gradients; /* of several ranks; NULL: one */
    ds_average mean;         /* of the weights */
    ds_cache *cache;         /* of the images of `train`, then of `valid` */
    ds_loader *stream;       /* the training images, from `seen` on */
    double *losses;          /* of the sub-batch at work, of all ranks */
    ds_mixtures mixtures;    /* info.batch; zeroed where images are not mixed */
    ds_records records;      /* of the training images */
    /* move on with the batches */
    uint64_t seen;
    double rate;    /* of the last batch, a float */
    double average; /* of losses, see ds_train_step; NAN before the first batch */
    ds_tally tally;
    ds_times times;
    ds_results results;
    ds_warmup warmup;
    ds_best by;     /* what the best weights are chosen by */
    ds_result best; /* best.epoch = 0: none yet, its figures are NAN */
    bool *lost;     /* train.n: could not be read in mid-run; n_lost of them */
    int n_lost;
    bool stop;                   /* a rank was interrupted */
    bool due;                    /* at the end of this epoch a checkpoint is written */
    struct ds_snapshot *writing; /* the checkpoint on its way to the disk; NULL: none */
    double saved;                /* when the last one was begun, seconds of the monotonic clock */
    double plotted;              /* the same of BASE_results.png; 0: never */
    bool unplotted;              /* it cannot be drawn, which is noted */
} ds_job;

/* prepare.c: read and check everything, leave nothing changed. Close in any case. */
int ds_job_open(ds_job *job, const ds_train_setup *setup, const ds_train_events *events, ds_error *e);
void ds_job_close(ds_job *job);
/* The part of it that needs no network and no pixels: all that is wrong there, where `e` collects. */
int ds_job_inspect(ds_job *job, const ds_train_setup *setup, ds_error *e);
/* job->net, once the plan is made. */
int ds_job_make_net(ds_job *job, ds_error *e);
/* An endless stream of augmented training images from position `start` on, `batch` at a time; fewer than a
 * whole one: of several ranks this one's. */
int ds_job_stream(ds_job *job, uint64_t seed, uint64_t start, int batch, ds_loader **loader, ds_error *e);
/* A list of the .data file, NULL for one that it does not name. */
int ds_job_read_list(const ds_job *job, const char *list, ds_images *images, ds_error *e);
/* Take the undecodable images out of the list, or fail for each of them. */
int ds_job_probe(const ds_job *job, ds_images *images, ds_error *e);
/* DS_ENUMERIC: a parameter is no finite number. */
int ds_job_check_finite(const ds_job *job, ds_error *e);
int ds_job_save(ds_job *job, const char *suffix, ds_error *e);
/* How many ranks there are; is this the one that writes? */
int ds_job_ranks(const ds_job *job);
bool ds_job_first(const ds_job *job);
/* Batches done. */
long ds_job_batch(const ds_job *job);

/* Is `epoch` one of the warm-up? Such epochs cannot be the best. */
bool ds_job_warming(const ds_job *job, int epoch);
/* Is there nothing left to train: max_batches are done, or -patience is at its end? */
bool ds_job_done(const ds_job *job);

/* folder.c: where a run writes. */
/* FOLDER/BASE and `suffix`, fresh memory. */
char *ds_job_path(const ds_job *job, const char *suffix);
/* DS_EUSAGE: -name is that of a link. */
int ds_folder_check_name(const ds_job *job, ds_error *e);
/* The folder of -name, or that of the run that began last, locked; there is none: job->folder stays NULL.
 * DS_EINPUT: another run has it. */
int ds_folder_find(ds_job *job, ds_error *e);
/* Unless there is one, the first free name, or with -exist-ok the folder found, whose checkpoints go; the
 * cfg and .data file in it; run.txt: command, versions, seed. */
int ds_folder_begin(ds_job *job, ds_error *e);
/* Make BASE and `suffix` in backup= a link to this run's, once. No link is no failure. */
void ds_folder_link(ds_job *job, const char *suffix);

/* checkpoint.c: "onednn (2.6.3, AVX-512), 2 threads": what the bits of a run depend on; fresh memory. */
char *ds_job_computed(const ds_job *job);
/* BASE.ckpt, all that the next batch depends on; the one before is kept. A copy of it is written by a thread,
 * after the one that is still being written, whose failure is told. */
int ds_checkpoint_begin(ds_job *job, ds_error *e);
/* What became of it, once; DS_OK while it is still being written, unless that is waited for. */
int ds_checkpoint_end(ds_job *job, bool wait, ds_error *e);
/* Both; whether the one before was written is no matter then. */
int ds_checkpoint_write(ds_job *job, ds_error *e);
/* Is the text of a cfg that which a run began with, but for a higher max_batches? `kept` is cut up; path and
 * run are for the message. DS_EINPUT. */
int ds_cfg_compare(const char *now, const char *path, char *kept, const char *run, ds_error *e);
/* Before the network is made: seed, -epochs, and whether the cfg is the same (DS_EINPUT). No checkpoint:
 * a new run. */
int ds_checkpoint_open(ds_job *job, ds_error *e);
/* The rest, into network, optimizer and job. History follows the images by their keys. */
int ds_checkpoint_restore(ds_job *job, ds_error *e);

/* epoch.c: statistics, validation, results line, files, when an epoch ends with the batch just done; at the
 * end of the run it may be incomplete. job->tally is cleared then: what still has images is an epoch whose
 * end is to come. DS_EINTERRUPT: interrupted in validation, nothing saved. */
int ds_epoch_end(ds_job *job, ds_error *e);
/* Without validation and line, for an interrupted run: BASE.ckpt, then BASE.backup; where all batches are
 * done, BASE.weights. */
int ds_epoch_interrupted(ds_job *job, ds_error *e);
