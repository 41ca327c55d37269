/* What the files of import share. The way of an import: its reader (idx, CIFAR, folders) fills an
 * ds_import_job and looks at all that can be wrong with the sources; then the folder is opened, images are
 * written, and last the lists. */
#pragma once

#include "import/import.h"

/* A file of an archive, in memory. */
typedef struct ds_import_file ds_import_file;
struct ds_import_file {
    const char *name; /* last part of its path in the archive; NULL: the archive is the file, maybe packed */
    char *path;       /* for messages, owned */
    unsigned char *bytes; /* n and a 0 byte after them, owned; NULL: not there */
    size_t n, most;       /* what comes after `most` bytes is left out */
    /* NULL: none. Gets the first `most` bytes and sets how many may come in all. */
    int (*look)(ds_import_file *file, ds_error *e);
};
enum { DS_IMPORT_FILES = 7 };

typedef struct ds_import_job {
    const ds_import *setup;
    ds_import_file files[DS_IMPORT_FILES]; /* what `pixels` point into */
    ds_import_set sets[DS_PARTS];          /* n is 0 where a part has no images of its own */
    ds_split splits[DS_PARTS - 1];         /* of valid, calib, test; count 0: none */
    bool labels_in_lists;                  /* path<TAB>label instead of the parent folder's name */
    bool shallow;                          /* an image lies in the folder of its class itself */
    char **labels;                         /* classes texts, unique, as folders and lists have them; owned */
    char **names;                          /* classes texts for display, owned; NULL: the labels */
    int classes;
    int others;               /* files that are no images by their names */
    int untrained;            /* classes without an image for training */
    char *other;              /* the first of them, owned; NULL: there is none */
    const char *classes_path; /* the file that tells them, for messages */
    char *data_path;          /* DIR/NAME.data, NAME being the folder's last component */
    char *mark;               /* a file in the folder that makes it ours before it has a .data file */
    char *moved[7];           /* where a file of an earlier import is now, owned; NULL: there was none */
    bool kept[7];             /* it was there before, too */
    bool fresh;               /* the folder was empty */
    char *images;             /* folder in it for the files of an archive, owned; NULL: none */
    int lock;                 /* the folder, open: one process at a time imports into it */
    int *part;                /* of each image for training: its split, -1: none */
} ds_import_job;

/* ---- idx.c, cifar.c, folders.c: what a job imports, and its classes ---- */

int ds_import_read_idx(ds_import_job *job, ds_error *e);
int ds_import_read_cifar(ds_import_job *job, ds_error *e);
int ds_import_read_folders(ds_import_job *job, ds_error *e);
/* A class that is called as a part is (train, val, …), which folders that are no classes are; or NULL. */
const char *ds_import_part_name(const ds_import_job *job);

/* ---- import.c ---- */

/* Another image of a set: its pixels (NULL: a file where it is) and its path, taken over (NULL: in
 * memory). */
void ds_import_add(ds_import_set *set, const unsigned char *pixels, char *path, int label);
/* Image i of the file `path`, in memory. DS_EINPUT: `label` is none of the job's classes. */
int ds_import_add_pixels(const ds_import_job *job, ds_import_set *set, const unsigned char *pixels, int label,
                         int i, const char *path, ds_error *e);

/* ---- archive.c ---- */

/* Read n files, each of another name, from a .tar, .tar.gz or .zip, or one without a name; name, most and
 * look are set before. `what` says what was expected there, for messages. Missing, damaged or cut short:
 * an error that names the archive. With setup->untrusted a child without rights unpacks it. */
int ds_import_read_files(const ds_import *setup, const char *archive, const char *what, ds_import_file *files,
                         int n, ds_error *e);

/* The class folders of the archive setup->source[0], .zip, .tar or .tar.gz, into job->images. DS_EINPUT,
 * besides: names that lead outside, links, images in no format of ours, more than such an archive can
 * hold. What is hidden or no image is left out. */
int ds_import_unpack(ds_import_job *job, ds_error *e);

/* ---- write.c: what is written, in this order ---- */

/* Both without links: is `path` that folder, or in it? */
bool ds_import_is_inside(const char *path, const char *dir);

/* Make the folder, or reuse that of an earlier import. Any other folder that is not empty is refused, as are
 * a link in its place, a source that lies in it and a second process at the same time. job->mark makes it
 * ours, whatever happens. */
int ds_import_open_folder(ds_import_job *job, ds_error *e);
/* Take the .data file and lists of an earlier import away, so that one that stops half-way is not taken for a
 * whole one. */
int ds_import_remove_earlier(ds_import_job *job, ds_error *e);
/* Make job->images there, an empty folder for what an archive holds, and, when that is on the disk, give it a
 * name that is free. */
int ds_import_begin_images(ds_import_job *job, ds_error *e);
int ds_import_end_images(ds_import_job *job, ds_error *e);
/* After a failure: the files of the earlier import have their names again; job->images goes, and a folder
 * that was empty. */
void ds_import_put_back(ds_import_job *job);
/* Waits until all that is in the folder is on the disk. */
int ds_import_sync(const ds_import_job *job, ds_error *e);
/* Which of the images for training are for validation, and so on: job->part, counts of job->splits. */
void ds_import_share_out(ds_import_job *job);
/* For a job with images in memory: these become PART/LABEL/000000.png …, PART being train or test. They
 * are on the disk when this returns, before the first list names them. */
int ds_import_write_images(ds_import_job *job, ds_error *e);
/* Lists, labels, names and, last, the .data file. */
int ds_import_write_lists(ds_import_job *job, ds_error *e);
