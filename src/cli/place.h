/* Where a result goes: a file that is replaced when it is whole, or standard output; never what it is made
 * from. */
#ifndef DS_CLI_PLACE_H
#define DS_CLI_PLACE_H

#include "base/file.h"
#include "data/data.h"

#include <stdbool.h>
#include <stdio.h>

/* Zero-initialise. */
typedef struct ds_place {
    FILE *f; /* write here; NULL: nothing was asked for */
    ds_writer file;
} ds_place;

/* "-" stands for standard output. */
bool ds_is_stdout(const char *path);
/* Open before the work begins, so that an unwritable place is found early. path NULL: nothing is asked
 * for. */
int ds_place_open(ds_place *p, const char *path, ds_error *e);
/* What was printed must have arrived: DS_EIO; DS_EPIPE where nobody reads it any more. */
int ds_flush_output(ds_error *e);
/* Everything is written. DS_EIO, DS_EPIPE. */
int ds_place_commit(ds_place *p, ds_error *e);
/* Forget it; harmless when zeroed or committed. */
void ds_place_abort(ds_place *p);

/* DS_EUSAGE when the flag's file is `input`; NULL for either: nothing to keep. */
int ds_keep_input(const char *flag, const char *path, const char *input, ds_error *e);
/* `keep` for every file that the .data file names. */
int ds_keep_listed(const ds_datafile *d, int (*keep)(const void *arg, const char *input, ds_error *e),
                   const void *arg, ds_error *e);

#endif
