/* .data files and lists: which images there are, and what their labels are. */
#pragma once

#include "base/option.h"

/* ---- datafile.c: the .data file ---- */

typedef enum ds_labels_from { DS_SUBSTRING, DS_DIRECTORY, DS_FILENAME, DS_LIST } ds_labels_from;

/* What valid= chooses the best weights by. */
typedef enum ds_best { DS_BEST_AUTO, DS_BEST_BALANCED, DS_BEST_TOP1, DS_BEST_NLL, DS_BEST_AURC } ds_best;
extern const char *const ds_best_names[]; /* NULL ends them */

enum { DS_DATA_FILES = 6 };
typedef struct ds_datafile {
    char *path;
    union {
        struct {
            char *train, *valid, *calib, *test, *labels_path, *names_path; /* as they can be opened */
        };
        char *files[DS_DATA_FILES]; /* the same */
    };
    char *backup;    /* as written: the current folder's */
    ds_notes *notes; /* where it is noted when a path could mean two files; may be NULL, outlives it */
    int classes_key; /* `classes=`, 0 when absent; checked against the labels */
    int top;
    bool exif;             /* images are turned upright (image.h) */
    int labels_from, best; /* ds_labels_from, ds_best */
    char **labels;         /* classes texts, unique, as in labels= */
    char **names;          /* classes texts for display; `labels` itself when names= is absent */
    int classes;
    struct ds_label_index *index; /* finds labels in paths */
} ds_datafile;

extern const ds_option ds_datafile_options[]; /* the files come first */
/* Reads the file and its labels. Relative paths are found in its folder, else in the current one (lines.h);
 * `backup` defaults to "backup". Errors with file:line; `d` is cleared then, unless `e` collects: then
 * it is what could be read, without `index` where the labels could not. */
int ds_datafile_read(const char *path, ds_datafile *d, ds_notes *notes, ds_error *e);
void ds_datafile_clear(ds_datafile *d);

/* ---- list.c: lists of images ---- */

typedef struct ds_images {
    int n;
    char **paths;   /* as they can be opened */
    int *labels;    /* n class indices; -1: unknown */
    char *list;     /* full path of the list, for messages */
    uint64_t *keys; /* n: 64-bit FNV-1a of the path as the list has it */
    int *lines;     /* n: where they stand in the list */
} ds_images;

/* Read the list at `list` (train=, valid= … of d); relative paths: the list's folder, else the current one.
 * labelled: an image with no or several labels is an error at list:line that names the image and the labels;
 * else labels do not matter or are none of d's, and every label is -1. After an error `images` is empty,
 * unless `e` collects: then it is what could be read, with the label -1 where that is wrong. */
int ds_images_read(const ds_datafile *d, const char *list, bool labelled, ds_images *images, ds_error *e);
/* Label of one path under the rules of d (not DS_LIST): class index or an error. */
int ds_label_of(const ds_datafile *d, const char *path, int *label, ds_error *e);
void ds_images_clear(ds_images *images);
/* How many images each of d's classes has, in fresh memory; a warning names those without any. */
int *ds_images_count(const ds_datafile *d, const ds_images *images, ds_notes *notes);
/* What is in an image's file. */
typedef struct ds_probe {
    int w, h, channels;
    char *reason; /* why it cannot be decoded; NULL: it can. Owned */
} ds_probe;

typedef struct ds_probe_setup {
    int channels, threads;             /* channels: maybe with DS_AS_STORED, image.h */
    struct ds_sandbox *decoder;        /* of untrusted images (image.h); NULL: the threads decode */
    void (*tick)(void *arg, int done); /* told by one of the threads how many are done; may be NULL */
    void *arg;
} ds_probe_setup;

/* Decode every image once, into `found` (n, zeroed; release with ds_probe_free). Returns the number of those
 * that cannot be decoded. */
int ds_images_probe(const ds_images *images, const ds_probe_setup *s, ds_probe *found);
void ds_probe_free(ds_probe *found, int n);
/* A failure, at its line of the list, for each one that cannot be decoded: see base/problem.h. */
int ds_probe_tell(const ds_images *images, const ds_probe *found, ds_error *e);
/* Those of the n flags leave the list, and join another, which may be zeroed. */
void ds_images_move(ds_images *from, const bool *which, ds_images *to);
/* Take those that cannot be decoded out of the list. */
void ds_images_drop(ds_images *images, const ds_probe *found);

/* ---- overlap.c: images that are the same: one file, links seen through, or the same bytes ---- */

typedef struct ds_same {
    int list, image;  /* lists[list].paths[image] */
    uint64_t file[2]; /* what is equal for one file by whatever name */
    uint64_t key[3];  /* what is equal for the same bytes */
} ds_same;

/* All images of n lists that equal another of them, those of equal bytes one after the other in the order of
 * lists and lines, in fresh memory; returns how many. `threads` threads read those files that have a
 * counterpart of equal size; one that cannot be read is left out. */
int ds_images_same(const ds_images *lists, int n, int threads, ds_same **same);
/* Behind the last of the n that has the bytes of the i-th. */
int ds_same_end(const ds_same *v, int n, int i);
bool ds_same_file(const ds_same *x, const ds_same *y);

/* Is every image of `list` in none of the `others` (n lists as written in d; NULL ones are skipped)?
 * DS_EINPUT at the first line of `list` that another list holds too: names that list's line, and how many
 * more there are. Images of `others` that cannot be read are not compared, which a note says; another one
 * says how many images of `list` have the bytes of one before. */
int ds_list_check_apart(const ds_datafile *d, const char *list, const char *const *others, int n, int threads,
                        ds_notes *notes, ds_error *e);
