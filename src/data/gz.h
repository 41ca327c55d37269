/* Reading files that may be compressed. All errors name the path. */
#ifndef DS_DATA_GZ_H
#define DS_DATA_GZ_H

#include "base/error.h"

#include <stddef.h>
#include <zlib.h>

/* Open a plain or gzip file; close with gzclose. `what` says what was expected. DS_EIO: missing, unreadable, a directory. */
int ds_gz_open(const char *path, const char *what, gzFile *f, ds_error *e);
/* Up to n bytes. A file that ends before them is no error here (compressed data that breaks off is): *got says how many came. */
int ds_gz_read(gzFile f, const char *path, unsigned char *bytes, size_t n, size_t *got, ds_error *e);
/* The same into fresh memory that grows with what is really there, so that a damaged size costs none. The caller frees *bytes
 * (NULL when n is 0), on failure too. */
int ds_gz_read_grown(gzFile f, const char *path, size_t n, unsigned char **bytes, size_t *got, ds_error *e);

#endif
