/* Everything that a run will need, looked at without running: what `classifier check` tells. */
#pragma once

#include "base/problem.h"
#include "train/train.h"

enum { DS_CHECK_LISTS = 4 };

typedef struct ds_checked_list {
    const char *key;  /* "train", "valid", "calib", "test" */
    ds_images images; /* n = 0: not named, or nothing of it could be read */
    int *counts;      /* data.classes: images of each class; NULL: n = 0, or there are no labels */
    int bad, grey;    /* that cannot be decoded, that have no colours */
    int w[2], h[2];   /* of the others, smallest and largest */
} ds_checked_list;

typedef struct ds_check {
    /* of the kinds "input" (cfg, .data file, labels, lists, backup=), "image", "duplicate" (in a list),
     * "overlap" (of lists), "contradiction" (same bytes, two labels), "network", "weights" */
    ds_problems problems;
    ds_datafile data;
    ds_checked_list lists[DS_CHECK_LISTS];
    /* of the network; 0 where the cfg makes none */
    size_t parameters;
    double flops;               /* of an image, forward */
    size_t training, answering; /* bytes of memory, estimated; training 0: there is nothing to train on */
} ds_check;

typedef struct ds_check_setup {
    /* of it: data, cfg, weights (NULL: none), epochs, net, loaders, cache_bytes */
    ds_train_setup run;
    struct ds_sandbox *decoder;      /* of untrusted images (image.h); NULL: loader threads */
    void (*tick)(int done, int all); /* how many images are decoded; may be NULL */
} ds_check_setup;

/* Nothing is written. Release with ds_check_clear. */
void ds_check_run(const ds_check_setup *setup, ds_check *c);
void ds_check_clear(ds_check *c);
