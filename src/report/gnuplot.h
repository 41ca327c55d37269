/* Pictures by gnuplot, which is a program of its own and may be missing. */
#ifndef DS_REPORT_GNUPLOT_H
#define DS_REPORT_GNUPLOT_H

#include "base/error.h"

#include <stdio.h>

/* A script being written. Zero-initialise. */
typedef struct ds_gnuplot {
    FILE *f; /* commands and data blocks go here, numbers and constant texts alone: no text of a user */
} ds_gnuplot;

/* Begin a script: a PNG of w x h pixels with the looks that all pictures share. DS_EIO. */
int ds_gnuplot_open(ds_gnuplot *g, int w, int h, ds_error *e);
/* Let gnuplot draw it into `path`, which is replaced when the picture is whole; closes the script. DS_EIO: gnuplot is
 * missing (the text names the package) or fails, or the file cannot be written; the file of before is unchanged then. */
int ds_gnuplot_draw(ds_gnuplot *g, const char *path, ds_error *e);
/* Forget the script; harmless on a zeroed or drawn one. */
void ds_gnuplot_abort(ds_gnuplot *g);

#endif
