/* Where a result goes: a file that is replaced when it is whole, or standard output; never what it is made
 * from. */
#pragma once

#include "base/file.h"
#include "data/data.h"

#include <sys/stat.h>

/* Zero-initialise. */
typedef struct ds_place {
    FILE *f; /* write here; NULL: nothing was asked for */
    ds_writer file;
} ds_place;

/* "-" stands for standard output. */
bool ds_is_stdout(const char *path);
/* Open before the work begins, so that an unwritable place is found early. path NULL: nothing is asked
 * for. DS_EUSAGE: the name of an image that exists. */
int ds_place_open(ds_place *p, const char *path, ds_error *e);
/* What was printed must have arrived: DS_EIO; DS_EPIPE where nobody reads it any more. */
int ds_flush_output(ds_error *e);
/* Everything is written. DS_EIO, DS_EPIPE. */
int ds_place_commit(ds_place *p, ds_error *e);
/* Forget it; harmless when zeroed or committed. */
void ds_place_abort(ds_place *p);

/* The files that a command will write, known before it opens them. Zero-initialise. */
typedef struct ds_output {
    const char *flag;
    char *path;       /* owned */
    bool there;       /* a file that would be replaced */
    struct stat file; /* it */
} ds_output;
typedef struct ds_outputs {
    ds_output *v;
    int n, there; /* there: how many are */
} ds_outputs;

/* The flag's file; NULL: none was asked for. DS_EUSAGE: another flag has it. */
int ds_outputs_add(ds_outputs *o, const char *flag, const char *path, ds_error *e);
/* DS_EUSAGE when one of the n files (NULL, one or all: none) that the outputs are made from is an output, by
 * a link or another spelling too. */
int ds_outputs_keep(const ds_outputs *o, const char *const *inputs, size_t n, ds_error *e);
/* The same for every file that the .data file names. */
int ds_outputs_keep_listed(const ds_outputs *o, const ds_datafile *d, ds_error *e);
void ds_outputs_clear(ds_outputs *o);
