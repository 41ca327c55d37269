/* Import: images of other formats and places become lists and a .data file. */
#pragma once

#include "base/error.h"

/* What images are for, and its key of the .data file. */
typedef enum ds_part { DS_PART_TRAIN, DS_PART_VALID, DS_PART_CALIB, DS_PART_TEST, DS_PARTS } ds_part;
extern const char *const ds_part_names[DS_PARTS];

typedef struct ds_split {
    const char *name; /* of a part */
    int count;        /* images taken from the training images */
    double share;     /* of these, in place of a count above 0: at least an image */
    bool optional;    /* not taken where the part has images of its own */
} ds_split;

typedef enum ds_import_kind { DS_IDX, DS_CIFAR10, DS_CIFAR100, DS_FOLDERS } ds_import_kind;

/* The images of a part. */
typedef struct ds_import_set {
    int n;
    int *labels;  /* n: class of each */
    char **paths; /* n, owned: as the lists shall name them; NULL until an image in memory is written */
    int w, h, c;  /* of images in memory */
    const unsigned char **pixels; /* n: c planes (1 or 3) of h rows of w bytes; NULL: a file where it is */
} ds_import_set;

typedef struct ds_import {
    ds_import_kind kind;
    /* idx: the archive of the images, plain or .gz, and that of the labels. CIFAR: the folder of the binary
     * version, or its .tar.gz. Folders: a folder with one folder a class in it, or with such folders called
     * train, val(id), calib and test; or a .zip, .tar or .tar.gz of one, which is unpacked in `out`. */
    const char *source[2];
    const char *test[2]; /* the same of the test images; NULL: none. CIFAR has its own. */
    /* idx, CIFAR: file of class names, a line each; NULL: "0", "1", … (idx), those of the archive (CIFAR) */
    char *names;
    const ds_split *splits;
    int n_splits;
    int seed;
    bool together;       /* folders: images of the same bytes stay together, whatever the splits drew */
    char *out;           /* folder */
    const char *command; /* the .data file tells it; NULL: "import" */
    bool untrusted;      /* unpack archives in a child without rights: for a program of one thread */
    /* Before anything is written: may refuse the images for training, those of splits among them; or NULL */
    int (*look)(void *arg, const ds_import_set *train, int classes, ds_error *e);
    void *arg;
} ds_import;

/* What was written, for the message. */
typedef struct ds_imported {
    int n[DS_PARTS]; /* images for each */
    int classes;
    char *data_path; /* owned */
    int others;      /* files that were passed over, being no images by their names */
    char *other;     /* the first of them, owned; NULL: there is none */
    char *part;      /* a class that is called as a part (train, …) is, owned; NULL: there is none */
    int untrained;   /* classes without an image for training */
    bool deep;       /* all images lie in folders below those of their classes */
} ds_imported;

/* guess.c: what `path` is, by what lies there: fills kind, source and test, which may be of the names (NULL,
 * in; owned by the caller). */
enum { DS_GUESSED = 4 };
void ds_import_guess(const char *path, ds_import *s, char *names[DS_GUESSED]);
/* Nothing is written unless all sources are whole and the splits fit; the .data file comes last. Errors
 * name the file. */
int ds_import_run(const ds_import *s, ds_imported *done, ds_error *e);

/* Seeded stratified split: part[i] = -1 (stays) or split number; each part keeps the class shares (largest
 * remainders). The counts sum up to at most n. */
void ds_split_stratified(const int *labels, int n, int classes, const ds_split *splits, int n_splits,
                         uint64_t seed, int *part);
