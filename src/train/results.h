/* BASE_results.csv: a line an epoch; BASE_results.png: the same as a picture. */
#pragma once

#include "data/data.h"
#include "train/warmup.h"

/* One line; a number without meaning (no valid=, no alpha) is NAN and becomes an empty field. */
typedef struct ds_result {
    int epoch;                         /* epochs begun or completed: 1 after the first */
    long batch;                        /* batches trained */
    int precision;                     /* that it was computed with: see ds_precision_names */
    int warmup;                        /* ds_warmup_state in the epoch: on, or why it ended */
    double train_loss, train_accuracy; /* means over the images of the epoch */
    double learning_rate;              /* of the last batch */
    double alpha;                      /* of the target: see plugin.h */
    double valid_top1, valid_nll, valid_ece, valid_aurc;
    double valid_balanced;                 /* mean accuracy of the classes that valid= has */
    double valid_worst, valid_worst_class; /* the lowest of these accuracies, and whose it is: from 0 */
    double images_per_second;              /* of training, without validation */
} ds_result;

/* The file, and all of it in memory: n lines behind the first. Zero-initialise; it cannot be moved. */
typedef struct ds_results {
    char *path, *text;
    size_t size;
    FILE *table; /* writes to text, size */
    int n;
} ds_results;

/* Keep the first so many lines of the file, where there is one: a run that goes on appends to them. 0: start
 * anew; the next ds_results_add replaces the file. DS_EINPUT for a file that is no such table. */
int ds_results_open(ds_results *r, const char *path, int keep, ds_error *e);
/* Append a line and rewrite the file (temporary name, rename). */
int ds_results_add(ds_results *r, const ds_result *row, ds_error *e);
void ds_results_clear(ds_results *r);

/* The file's loss, accuracy, learning rate and alpha over the epochs as a PNG, drawn by results.gp. DS_EIO:
 * gnuplot is missing or fails. */
int ds_results_plot(const ds_results *r, const char *path, ds_error *e);

/* Is `a` better than `b`: by that figure of valid= (not DS_BEST_AUTO), then by lower nll? Any result with the
 * figure is better than one without. */
bool ds_result_better(const ds_result *a, const ds_result *b, ds_best by);
