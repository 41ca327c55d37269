/* The images that a command is given: files, folders, lists. One path after the other, in constant memory but
 * for the entries of the folders at hand. */
#pragma once

#include "base/error.h"

typedef struct ds_paths ds_paths; /* opaque */

/* All arrays and texts belong to the caller and must outlive the paths. */
typedef struct ds_paths_setup {
    const char *const *operands; /* n_operands: images, whatever their suffix, and folders */
    int n_operands;
    bool files; /* no operand is a folder: one that is cannot be read */
    /* n_lists: files with a path a line, "-": standard input; they follow the operands */
    const char *const *lists;
    int n_lists;
    bool labelled; /* PATH<tab>LABEL in the lists; the labels are left out */
    /* Of each `parts` blocks of so many paths block number `part` alone; parts 0: all. */
    int part, parts, block;
    ds_notes *notes; /* where it is noted when a path could mean two files; may be NULL */
} ds_paths_setup;

typedef enum ds_path_kind {
    DS_PATH_END,
    DS_PATH_LATER, /* more may come, but nothing came in time */
    DS_PATH_FOUND,
} ds_path_kind;

typedef struct ds_path {
    ds_path_kind kind;
    char *path;     /* FOUND: as it can be opened; the receiver frees it */
    ds_error error; /* code is not DS_OK: a folder that cannot be read, or has no images */
} ds_path;

/* Opens the lists: a missing one is DS_EIO. Folders are read when their turn comes. */
int ds_paths_new(const ds_paths_setup *s, ds_paths **paths, ds_error *e);
void ds_paths_free(ds_paths *p);

/* The next path, waited for so many milliseconds (-1: without end) where a list comes slowly. Folders give
 * the images below them (by suffix; hidden names are left out) sorted by bytes, folder by folder; links are
 * followed. Relative paths of a list are found in its folder, else in the current one. DS_EIO,
 * DS_EINPUT for a list that cannot be read, is not one, or is empty. */
int ds_paths_next(ds_paths *p, int milliseconds, ds_path *next, ds_error *e);
