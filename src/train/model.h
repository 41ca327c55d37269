/* A trained network, and its answers to the images of a list. */
#pragma once

#include "cfg/cfg.h"
#include "data/data.h"
#include "host/host.h"
#include "select/answers.h"
#include "train/evaluate.h"

/* How networks run and which ones answer; flags of every command that runs a network over a list. */
typedef struct ds_run_flags {
    int threads, loaders, precision; /* index into ds_precision_flags */
    char *backend;
    bool tune, verbose, profile;
    bool alone;    /* no flag: of ds_net_setup */
    bool features; /* no flag: the network is to give them */
    int views;     /* 0: not given */
    char *with;    /* CFG and WEIGHTS in turn, with commas between; NULL: not given */
} ds_run_flags;

extern const char *const ds_precision_flags[]; /* NULL ends them */
/* For ds_net_setup: NULL for "cfg". */
const char *ds_precision_flag(int precision);

typedef enum ds_which_list {
    DS_NO_LIST,
    DS_VALID_LIST, /* valid= */
    DS_TEST_LIST,  /* test=, else valid= */
    DS_CALIB_LIST, /* calib= */
} ds_which_list;

typedef struct ds_model {
    ds_datafile data;
    ds_cfg *cfg;
    ds_net *net;
    int batch; /* images at once where there is no list */
    ds_notes notes;
    /* with others: */
    ds_ensemble all; /* which answer; `net` is the first */
    ds_cfg *cfgs[DS_MOST_NETS];
    ds_texts files;   /* CFG and WEIGHTS of each but the first */
    bool other_mean;  /* than the threshold in the cfg was made for */
    const char *with; /* with=, the flag's or the cfg's; NULL: there are none */
    char *title;      /* the weights, and what else answers */
} ds_model;

/* Read and check all of it (files: DATA, CFG, WEIGHTS), for evaluation: the weights must be complete, the
 * classes those of the labels; DATA NULL: there are no labels. `m` zeroed in, but for `data` where it was
 * read before, and `batch` with DS_NO_LIST; also after an error ds_model_close frees what is there. *a:
 * images, labels and class names of the list, whose key is its name; NULL with DS_NO_LIST. */
int ds_model_open(ds_model *m, const char *const *files, ds_which_list which, const ds_run_flags *flags,
                  ds_answers *a, ds_error *e);
/* DS_EINPUT: what the model was read from, or the list (may be NULL), is not the same on all ranks. r NULL:
 * there is one. */
int ds_model_compare(const ds_model *m, const char *list, ds_ranks *r, ds_error *e);
void ds_model_close(ds_model *m);

/* Images and labels of another list, and the class names; a->file is where it was found. */
int ds_model_read_list(const ds_model *m, const char *list, bool labelled, ds_answers *a, ds_error *e);
/* The value of a key of [reject], NULL: it is not there. */
const char *ds_model_key(const ds_model *m, const char *key);
/* Hash of the parameters, for [reject] weights=. Fresh memory. */
char *ds_model_weights(const ds_model *m);
/* Warnings where the threshold in the cfg, which is to be used, was found for another mean of answers, or
 * with other weights. */
void ds_model_tell_threshold(ds_model *m);

/* What the flags say about a network: threads, backend, verbose. */
ds_net_setup ds_net_setup_of(const ds_run_flags *flags);
