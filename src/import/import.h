/* Import: images of other formats and places become lists and a .data file. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ds_split {
    const char *name; /* "valid", "calib", … : a key of the .data file */
    int count;        /* images taken from the training images */
} ds_split;

typedef enum ds_import_kind {
    DS_IDX,
    DS_CIFAR10,
    DS_CIFAR100_FINE,
    DS_CIFAR100_COARSE,
    DS_FOLDERS
} ds_import_kind;

typedef struct ds_import {
    ds_import_kind kind;
    /* idx: the archive of the images, plain or .gz, and that of the labels. CIFAR: the folder of the binary
     * version, or its .tar.gz. Folders: a folder with one folder a class in it. */
    const char *source[2];
    const char *test[2]; /* the same of the test images; NULL: none. CIFAR has its own. */
    /* idx, CIFAR: file of class names, a line each; NULL: "0", "1", … (idx), those of the archive (CIFAR) */
    char *names;
    const ds_split *splits;
    int n_splits;
    int seed;
    char *out;      /* folder */
    bool untrusted; /* unpack archives in a child without rights: for a program of one thread */
} ds_import;

/* What was written, for the message. */
typedef struct ds_imported {
    int train, test; /* images for training, before the splits; test images of their own */
    int classes;
    char *data_path; /* owned */
} ds_imported;

/* Nothing is written unless all sources are whole and the splits fit; the .data file comes last. Errors
 * name the file. */
int ds_import_run(const ds_import *s, ds_imported *done, ds_error *e);

/* Seeded stratified split: part[i] = -1 (stays) or split number; each part keeps the class shares (largest
 * remainders). The counts sum up to at most n. */
void ds_split_stratified(const int *labels, int n, int classes, const ds_split *splits, int n_splits,
                         uint64_t seed, int *part);
