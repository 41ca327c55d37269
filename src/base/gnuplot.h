/* Pictures by gnuplot, which is a program of its own and may be missing. */
#pragma once

#include "base/error.h"

/* Let gnuplot run the commands of `script`, which set the terminal and plot, but set no output: what it
 * draws goes to `png`, which is replaced when the picture is whole. The looks that all pictures share are
 * set before. `csv` is the script's ARG1, a table to plot (the script sets its separator); NULL: none. The
 * script holds numbers and constant texts alone, no text of a user. DS_EIO: gnuplot is missing (the text
 * names the package) or fails, or a file cannot be read or written; the file of before stays then. */
int ds_gnuplot(const char *script, const char *csv, const char *png, ds_error *e);
