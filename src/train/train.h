/* Training of a classifier, from the files' names to the files of weights. Prints nothing: it tells its
 * caller by callbacks.
 *
 * One step: `subdivisions` sub-batches of batch / subdivisions images go forward and backward, then every
 * parameter is updated once. The images come from an endless seeded stream in which each is met once an
 * epoch; the epoch of a batch is floor(images consumed before it / N). An epoch ends with the first batch
 * that ends at or past its border; then batch-norm averages are re-estimated over up to 2,000 training
 * images, valid= is evaluated, and the files of the run are written in its folder, BACKUP/BASE-1, -2, …:
 *
 *   BASE_results.csv      a line an epoch
 *   BASE.backup           the last epoch, or where the run was stopped
 *   BASE_best.weights     the best on valid= (see ds_best), then lower nll; epochs of a warm-up do not count
 *   BASE_<epoch>.weights  every so many epochs, when asked for
 *   BASE.weights          the end
 *   BASE_results.png      a picture of that table: now and then, and at the end
 *   BASE.ckpt             last of all, and every save_minutes: what -resume reads; BASE.ckpt.1: one older
 *                         (on a GPU this and BASE.backup at most every 5 seconds); written beside training
 *
 * with copies of the cfg and .data file and run.txt (command, versions, seed). BACKUP has links
 * to the files above, but the epochs' and the older checkpoint, of the run that wrote there last.
 *
 * Every file is written to a temporary name first: a full disk leaves the file of before. */
#pragma once

#include "host/host.h"
#include "train/evaluate.h"
#include "train/results.h"

#include <signal.h>

typedef struct ds_train_setup {
    const char *data, *cfg, *weights; /* paths; weights NULL: from nothing */
    bool clear;                       /* forget the images that the weights have seen */
    int upto;                         /* read weights of the first layers only, 0: of all */
    int epochs;                       /* instead of max_batches; 0: as the cfg says */
    int seed;
    ds_ranks *ranks;     /* that train together; NULL: one does */
    ds_net_setup net;    /* of it: threads, backend, precision, verbose */
    bool profile;        /* measure each layer; see ds_train_events.profile */
    int loaders;         /* decoding threads, 0: one a core, 8 at most */
    size_t cache_bytes;  /* decoded images kept in memory */
    bool skip_bad;       /* train without undecodable images instead of stopping */
    char *name;          /* of the run's folder; NULL: BASE-1, BASE-2, … */
    bool exist_ok;       /* begin in the newest folder instead of a new one */
    bool resume;         /* go on from its checkpoint, else begin in it, else in a new one */
    double save_minutes; /* between checkpoints inside an epoch; 0: none */
    int save_period;     /* epochs between BASE_<epoch>.weights; 0: none */
    int best;            /* ds_best; DS_BEST_AUTO: as the .data file says */
    int patience;        /* epochs without a better result until the end; 0: no end */
    /* For records and messages: as given, for a shell; the same without -name, -exist-ok, -resume; name and
     * version. */
    const char *command, *again, *program;
    const volatile sig_atomic_t *interrupted; /* stop after this batch once it is not 0; may be NULL */
    ds_notes *notes;                          /* may be NULL */
} ds_train_setup;

/* What is going to be done. */
typedef struct ds_train_plan {
    const char *train, *valid; /* full paths of the lists; valid NULL: none */
    int images, valid_images;  /* N, and those of valid= (0: none) */
    int batch;                 /* images a step, of all ranks */
    int ranks;
    long max_batches;
    int epochs;        /* total of the run: ceil(max_batches batch / N), or what -epochs said */
    int warmup_epochs; /* epochs until the target leaves its warm-up, or DS_WARMUP_AUTO; 0: it has none */
    uint64_t seen;     /* images seen before, 0 for a fresh run */
    ds_best best;      /* what the best weights are chosen by */
    char **names;      /* of the classes */
} ds_train_plan;

/* One batch done. */
typedef struct ds_train_step {
    long batch;               /* batches done, the host's number */
    uint64_t seen;            /* images seen */
    int epoch;                /* of this batch, from 0 */
    double position;          /* seen / N */
    double loss, average;     /* mean of the batch; .9 of the average before and .1 of it */
    double accuracy;          /* of this epoch's training images so far */
    double rate;              /* learning rate */
    double seconds;           /* of this batch, waiting for images included */
    double images_per_second; /* of this epoch so far */
    double seconds_left;      /* at the run's speed so far, without validation */
    bool warming;             /* the target does not move yet */
    double alpha;             /* of the target: see plugin.h */
} ds_train_step;

/* Callbacks, each of them optional. */
typedef struct ds_train_events {
    void *arg;
    void (*ready)(void *arg, const ds_net *net, const ds_train_plan *plan); /* before the first batch */
    void (*step)(void *arg, const ds_train_step *step);
    void (*epoch)(void *arg, const ds_result *result, bool best);
    /* After the last batch: the time of the steps, without validation. */
    void (*profile)(void *arg, const ds_net *net, const ds_times *times);
    /* The run reached its end. weights: BACKUP/BASE.weights; best: BACKUP/BASE_best.weights, which gave
     * *result; both NULL when none was chosen. */
    void (*done)(void *arg, const char *weights, const char *best, const ds_result *result);
} ds_train_events;

/* Errors before the first batch leave every file as it was. DS_ENUMERIC: the loss is no number.
 * DS_EINTERRUPT: stopped and saved as asked; the message says how to go on. The weights of a run that goes
 * on are bit for bit those of one that was never stopped, on the same number of threads. */
int ds_train(const ds_train_setup *setup, const ds_train_events *events, ds_error *e);
