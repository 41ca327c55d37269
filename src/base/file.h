/* Whole files in, whole files out: reading with clear errors, writing to a temporary name that replaces the
 * old file only when everything is on the disk. */
#pragma once

#include "base/error.h"

/* Read all of `path` into fresh memory (caller frees), with a 0 byte after the last. `what` is what was
 * expected, for messages ("a cfg file"). DS_EIO: missing, unreadable or a directory. DS_EINPUT: more than
 * 2 GiB, or a device or pipe that does not end before. */
int ds_file_read(const char *path, const char *what, unsigned char **bytes, size_t *n, ds_error *e);

/* The same for text: also refuses an empty file and one with a 0 byte (DS_EINPUT). */
int ds_file_read_text(const char *path, const char *what, char **text, ds_error *e);

/* A file being written beside its final name. */
typedef struct ds_writer {
    FILE *f;         /* write here */
    char *path;      /* final name; of a link, its target */
    char *temporary; /* NULL: a device or a pipe, written in place */
    bool unnamed;    /* has that name only when it is whole */
} ds_writer;

/* Open; a directory is an error. The temporary file lies beside the final one, never behind a link, with the
 * rights of the file of before. It has no name until it is whole, so that hardly anything is left whatever
 * ends the program, or where the file system has no such files one that nobody can foresee; what a killed
 * program left of the same file is removed. On failure nothing is left behind and `w` is zeroed. */
int ds_writer_open(ds_writer *w, const char *path, ds_error *e);
/* From now on writers write nowhere, for the whole process. */
void ds_writer_mute(void);
/* 0, or the errno that writing has failed with, now or before: one that was lost is asked for by another
 * byte. */
int ds_flush(FILE *f);
/* Flush, sync, rename over the final name, sync the folder. On failure the old file stays and the
 * temporary one is removed. */
int ds_writer_commit(ds_writer *w, ds_error *e);
/* Forget everything; harmless on a zeroed or committed writer. */
void ds_writer_abort(ds_writer *w);

/* Directory of `path` ("." when it has none), fresh memory. */
char *ds_path_dir(const char *path);
/* dir/name, fresh memory. */
char *ds_path_join(const char *dir, const char *name);
/* Last component, a pointer into `path`. */
const char *ds_path_base(const char *path);
bool ds_path_exists(const char *path);
/* Would writing one change the other? Links and hard links are seen through; also two names of a file that
 * is yet to be made. Devices and pipes are never the same: writing there replaces nothing. */
bool ds_path_same(const char *a, const char *b);
/* Where the file that stands there may be kept: PATH.old, or where another file has that name PATH.old-2, ….
 * One with the same bytes is no other. Fresh memory. */
char *ds_path_spare(const char *path);
/* Create `path` and its parents where they are missing. */
int ds_make_dirs(const char *path, ds_error *e);
