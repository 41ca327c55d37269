/* What several sub-commands share: opening data, network and weights, tables, checks of flags. */
#ifndef DS_CLI_COMMON_H
#define DS_CLI_COMMON_H

#include "base/error.h"
#include "base/option.h"
#include "cfg/cfg.h"
#include "data/data.h"
#include "host/host.h"
#include "train/evaluate.h"

#include <stddef.h>
#include <stdio.h>

/* ---- printing ---- */

/* Number, name, shapes, parameters and MFLOP of every layer, and their totals. */
void ds_print_layers(const ds_net *net, FILE *out);
/* A line a note; the notes are gone afterwards. */
void ds_print_notes(ds_notes *notes, FILE *out);

/* ---- flags ---- */

/* Flags of every command that runs a network over a list. */
typedef struct ds_run_flags {
    int threads, loaders, cache, backend;
    bool verbose, profile;
} ds_run_flags;

/* Their lines in an option table; `offset` is that of the ds_run_flags in the state. */
#define DS_THREADS_OPTION(offset)                                                                      \
    {                                                                                                  \
        "threads", DS_INT, (offset) + offsetof(ds_run_flags, threads), "0", 0, 1024, NULL, NULL, NULL, \
            "threads that compute; 0: one a core"                                                      \
    }
#define DS_LOADERS_OPTION(offset)                                                                     \
    {                                                                                                 \
        "loaders", DS_INT, (offset) + offsetof(ds_run_flags, loaders), "0", 0, 256, NULL, NULL, NULL, \
            "threads that decode images; 0: one a core, 8 at most"                                    \
    }
#define DS_CACHE_OPTION(offset)                                                                          \
    {                                                                                                    \
        "cache", DS_INT, (offset) + offsetof(ds_run_flags, cache), "512", 0, 1048576, "MIB", NULL, NULL, \
            "memory for decoded images"                                                                  \
    }

#ifdef DS_WITH_ONEDNN
#define DS_DEFAULT_BACKEND "onednn"
#else
#define DS_DEFAULT_BACKEND "host"
#endif
extern const char *const ds_backend_names[];
#define DS_BACKEND_OPTIONS(offset)                                                              \
    {"backend",                                                                                 \
     DS_ENUM,                                                                                   \
     (offset) + offsetof(ds_run_flags, backend),                                                \
     DS_DEFAULT_BACKEND,                                                                        \
     0,                                                                                         \
     0,                                                                                         \
     NULL,                                                                                      \
     ds_backend_names,                                                                          \
     NULL,                                                                                      \
     "who computes the layers: oneDNN, or Darknet's own code"},                                 \
    {                                                                                           \
        "v", DS_FLAG, (offset) + offsetof(ds_run_flags, verbose), NULL, 0, 0, NULL, NULL, NULL, \
            "tell which layers the backend leaves to Darknet"                                   \
    }
#define DS_PROFILE_OPTION(offset)                                                                     \
    {                                                                                                 \
        "profile", DS_FLAG, (offset) + offsetof(ds_run_flags, profile), NULL, 0, 0, NULL, NULL, NULL, \
            "print the time of each layer at the end"                                                 \
    }

/* A line a layer, from ds_net_profile. */
void ds_print_profile(const ds_net *net, const ds_times *p, FILE *out);

/* n operands came, `needed` are needed; `words` names them for the message. DS_EUSAGE names the first missing
 * one. */
int ds_check_operands(const char *const *words, int needed, int n, ds_error *e);
/* A fraction in (0, 1], or NAN for a flag that was not given. DS_EUSAGE suggests 0.8 for 80. */
int ds_check_fraction(const char *flag, double value, ds_error *e);
/* A number between 0 and 1, both excluded, or NAN. */
int ds_check_inside(const char *flag, double value, ds_error *e);
/* -risk and -delta: both such numbers, or neither is there. */
int ds_check_promise(double risk, double delta, ds_error *e);
/* A threshold of a score that is a probability: [0, 1], or NAN. */
int ds_check_probability(const char *flag, double value, ds_error *e);

/* ---- results must not replace what they are made from ---- */

/* "-" stands for standard output. */
bool ds_is_stdout(const char *path);
/* DS_EUSAGE when the flag's file is `input`; NULL for either: nothing to keep. */
int ds_keep_input(const char *flag, const char *path, const char *input, ds_error *e);
/* `keep` for every file that the .data file names. */
int ds_keep_listed(const ds_datafile *d, int (*keep)(const void *arg, const char *input, ds_error *e),
                   const void *arg, ds_error *e);

/* ---- a trained network and its images ---- */

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
    ds_images images;
    int batch;            /* images at once where there is no list */
    const char *list_key; /* "valid", "test" or "calib": where the images come from; NULL without a list */
    ds_notes notes;
} ds_model;

typedef struct ds_model_files {
    const char *data, *cfg, *weights;
} ds_model_files;

/* Read and check all of it, for evaluation: the weights must be complete, the classes those of the labels.
 * `m` zeroed in, but for `data` where it was read before, and `batch` with DS_NO_LIST; also after an error ds_model_close frees what is there. */
int ds_model_open(ds_model *m, const ds_model_files *files, ds_which_list which, const ds_run_flags *flags,
                  ds_error *e);
void ds_model_close(ds_model *m);

/* What the flags say about a network: threads, backend, verbose. */
ds_net_setup ds_net_setup_of(const ds_run_flags *flags);

/* One pass over `images`, which may be others than those of the list; see ds_evaluate. */
int ds_model_evaluate_images(ds_model *m, const ds_images *images, const ds_run_flags *flags,
                             int (*each)(void *arg, int image, const float *logits), void *arg, ds_error *e);
/* One pass over the images of the list. */
int ds_model_evaluate(ds_model *m, const ds_run_flags *flags,
                      int (*each)(void *arg, int image, const float *logits), void *arg, ds_error *e);

#endif
