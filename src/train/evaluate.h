/* One pass over a list of images without training, and the check that network and data fit together. */
#pragma once

#include "cfg/cfg.h"
#include "data/data.h"
#include "host/host.h"
#include "select/answers.h"
#include "train/ensemble.h"

#include <signal.h>

/* Where the time of passes (in training: of steps) went, in seconds. The layers' own: ds_net_profile. */
typedef struct ds_times {
    long passes;
    int images, views;             /* of a pass, of an image */
    double total, waiting, update; /* all; for images; of the parameters, 0 without training */
    double ranks;                  /* at the end of a backward pass, for the sums of gradients of all ranks */
} ds_times;

typedef struct ds_eval_setup {
    ds_score score;
    int top;                         /* >= 1: for the share of ds_means */
    bool keep_logits, keep_features; /* in the answers; features: of a network made with them */
    ds_novelty *learner;             /* gets the features of the images, which have labels; may be NULL */
    bool one;                        /* by the first network, of the images themselves */
    bool as_stored;                  /* exif=0: images are not turned upright */
    int loaders;                     /* decoding threads, >= 1 */
    struct ds_cache *cache;          /* of decoded images, these from `first` on; NULL: none is kept */
    size_t first;
    const volatile sig_atomic_t *interrupted; /* stops with DS_EINTERRUPT once it is not 0; may be NULL */
    ds_ranks *ranks; /* each answers a share of the images, all get all answers; NULL: one */
    ds_times *times; /* filled when not NULL; zero-initialise */
} ds_eval_setup;

/* Forward of every image of the list, prepared as the host's `classifier valid` does. `a`: has the images'
 * paths and labels, if there are any; gets the answers. */
int ds_evaluate(ds_ensemble *nets, const ds_eval_setup *setup, ds_answers *a, ds_error *e);

/* Images at once: as many as the cfg's sub-batch holds in memory, some more where it trains one by one, never
 * more than there are. */
int ds_evaluation_batch(const ds_cfg *cfg, size_t images);

/* Does the network end in a cost section with as many classes as there are labels (any number where `data` is
 * of no file), and take images of 1 or 3 channels? DS_EINPUT at the section's line, naming both files. */
int ds_check_classes(const ds_datafile *data, const ds_cfg *cfg, ds_error *e);
