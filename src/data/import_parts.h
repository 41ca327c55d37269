/* What the imports share: files of an archive, class names, images, and the folder they write to with its lists, its label
 * files, its .data file. */
#ifndef DS_DATA_IMPORT_PARTS_H
#define DS_DATA_IMPORT_PARTS_H

#include "data/import.h"

#include <stdbool.h>
#include <stddef.h>

/* The images of one archive or folder. */
typedef struct ds_import_set {
    int n, capacity;
    char **paths; /* n, owned: as the lists shall name them */
    int *labels;  /* n: class of each */
} ds_import_set;

typedef struct ds_import {
    char *dir;       /* the folder, as the user wrote it */
    char *data_path; /* dir/NAME.data, NAME being the folder's last component */
    char *mark;      /* a file that stands in the folder while an import is under way */
    char **labels;   /* classes texts, unique; owned */
    char **names;    /* classes texts for display, owned; NULL: none */
    int classes;
    ds_import_set train, test;
    bool has_test;        /* test images of their own */
    bool labels_in_lists; /* path<TAB>label instead of the parent folder's name */
} ds_import;

/* ---- import_write.c ---- */

/* Before anything is written: do the names of the splits fit, and is at least one of n images left for
 * training? */
int ds_import_check_splits(const ds_split *splits, int n_splits, bool has_test, int n, ds_error *e);
/* Make the folder, or reuse that of an earlier import; its .data file and lists are taken away first,
 * so that an import that stops half-way is not taken for a whole one. Any other folder that is not
 * empty is refused. */
int ds_import_open(ds_import *im, const char *out, ds_error *e);
/* When all images are in place: lists, labels, names and, last, the .data file. */
int ds_import_finish(ds_import *im, const ds_split *splits, int n_splits, uint64_t seed, ds_imported *done,
                     ds_error *e);
void ds_import_clear(ds_import *im);

/* Takes over `path` (freed on failure too; NULL counts as out of memory). */
int ds_import_add(ds_import_set *set, char *path, int label, ds_error *e);

/* ---- import_classes.c ---- */

/* Call the classes "0", "1", … */
int ds_import_number_classes(ds_import *im, int classes, ds_error *e);
/* One class a line of a file. */
int ds_import_read_names(ds_import *im, const char *path, ds_error *e);
/* The same from memory: `text` is cut up in place, `path` is for messages. */
int ds_import_take_names(ds_import *im, char *text, const char *path, ds_error *e);
/* When all names are there: a label for each, unique and fit to be a folder's name. */
int ds_import_label_classes(ds_import *im, ds_error *e);

/* ---- import_images.c ---- */

/* n images of one size in memory, and their labels. */
typedef struct ds_import_pixels {
    int n, w, h, c;                   /* an image is c planes (1 or 3) of h rows of w bytes */
    const unsigned char *px, *labels; /* of the first image */
    size_t px_step, label_step;       /* bytes from one image to the next */
} ds_import_pixels;

/* Are all labels below im->classes? The message names the file that holds them, `path`, and the one that tells the number of
 * classes, `who`. */
int ds_import_check_labels(const ds_import *im, const ds_import_pixels *p, const char *path, const char *who,
                           ds_error *e);
/* The images become PART/LABEL/000000.png … below the folder, numbered on from those that `set` holds, and are added to it. */
int ds_import_write_images(const ds_import *im, ds_import_set *set, const char *part,
                           const ds_import_pixels *p, ds_error *e);
/* All of them on the disk before the first list names them. */
int ds_import_sync(const ds_import *im, ds_error *e);

/* ---- import_files.c ---- */

/* A file of an archive. */
typedef struct ds_import_file {
    const char *name;     /* last part of its path */
    char *path;           /* for messages, owned */
    unsigned char *bytes; /* n and a 0 byte after them, owned */
    size_t n;
} ds_import_file;

/* Read n files, each of another name, from the folder `source`, or from `source` as a .tar or .tar.gz; only the names are set
 * before. `what` says what was expected there. Missing, damaged or cut short: an error; call ds_import_files_clear all the
 * same. */
int ds_import_files_read(const char *source, const char *what, ds_import_file *files, int n, ds_error *e);
void ds_import_files_clear(ds_import_file *files, int n);

#endif
