/* Import: images of other formats and places become lists and a .data file. */
#ifndef DS_DATA_IMPORT_H
#define DS_DATA_IMPORT_H

#include "base/error.h"

#include <stdint.h>

/* ---- import_idx.c, import_cifar.c, import_folders.c, split.c ---- */

typedef struct ds_split {
    const char *name; /* "valid", "calib", … : a key of the .data file */
    int count;        /* images taken from the training images */
} ds_split;

typedef struct ds_import_idx {
    const char *images, *labels;           /* training archives, plain or .gz */
    const char *test_images, *test_labels; /* NULL: none */
    const char *names;                     /* file of class names, a line each; NULL: "0", "1", … */
    const ds_split *splits;
    int n_splits;
    uint64_t seed;
    const char *out; /* folder */
} ds_import_idx;

/* What was written, for the message. */
typedef struct ds_imported {
    int n, classes;
    char *data_path; /* owned */
    int train, test; /* images in these lists */
} ds_imported;

int ds_import_idx_run(const ds_import_idx *s, ds_imported *done, ds_error *e);

typedef enum ds_cifar { DS_CIFAR10, DS_CIFAR100_FINE, DS_CIFAR100_COARSE } ds_cifar;

typedef struct ds_import_cifar {
    ds_cifar kind;
    const char *source; /* the folder of the binary version, or its .tar.gz */
    const char *names;  /* file of class names, a line each; NULL: those of the archive */
    const ds_split *splits;
    int n_splits;
    uint64_t seed;
    const char *out;
} ds_import_cifar;
int ds_import_cifar_run(const ds_import_cifar *s, ds_imported *done, ds_error *e);

typedef struct ds_import_folders {
    const char *dir;      /* one folder a class below it */
    const char *test_dir; /* the same classes; NULL: none */
    const ds_split *splits;
    int n_splits;
    uint64_t seed;
    const char *out;
} ds_import_folders;
int ds_import_folders_run(const ds_import_folders *s, ds_imported *done, ds_error *e);

/* Seeded stratified split: part[i] = -1 (stays) or split number; each part keeps the class shares (largest
 * remainders). */
int ds_split_stratified(const int *labels, int n, int classes, const ds_split *splits, int n_splits,
                        uint64_t seed, int *part, ds_error *e);

#endif
