/* Where results go: files that are replaced when they are whole, or standard output; never what they are made
 * from. */
#pragma once

#include "base/file.h"
#include "data/data.h"

#include <sys/stat.h>

/* "-" stands for standard output. */
bool ds_is_stdout(const char *path);
/* What was printed must have arrived: DS_EIO; DS_EPIPE where nobody reads it any more. */
int ds_flush_output(ds_error *e);

/* The files that a command will write, known before it opens them. Zero-initialise. */
typedef struct ds_output {
    const char *flag;
    char *path;     /* owned */
    FILE **f;       /* what it is written by, once it is open; NULL: somebody else opens it */
    ds_writer file; /* zeroed: standard output, or not open */
    bool there;     /* a file that would be replaced, `old` */
    struct stat old;
} ds_output;
typedef struct ds_outputs {
    ds_output *v;
    int n, there; /* there: how many are */
} ds_outputs;

/* The flag's file; path NULL: none was asked for. DS_EUSAGE: another flag has it. */
int ds_outputs_add(ds_outputs *o, const char *flag, const char *path, FILE **f, ds_error *e);
/* DS_EUSAGE when one of the n files (NULL, one or all: none) that the outputs are made from is an output, by
 * a link or another spelling too. */
int ds_outputs_keep(const ds_outputs *o, const char *const *inputs, size_t n, ds_error *e);
/* The same for every file that the .data file names. */
int ds_outputs_keep_listed(const ds_outputs *o, const ds_datafile *d, ds_error *e);
/* Open all of them before the work begins, so that an unwritable place is found early. DS_EUSAGE: the name of
 * an image that exists. */
int ds_outputs_open(ds_outputs *o, ds_error *e);
/* All is written to all of them. DS_EIO, DS_EPIPE. */
int ds_outputs_commit(ds_outputs *o, ds_error *e);
/* Forgets those that were not committed. */
void ds_outputs_clear(ds_outputs *o);
