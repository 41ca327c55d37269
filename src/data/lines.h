/* What .data files, label files and lists share: trimmed lines with numbers, and paths relative to the file
 * that names them. */
#ifndef DS_DATA_LINES_H
#define DS_DATA_LINES_H

#include "base/error.h"

/* Walk over the lines of a text in memory, which is cut up in place. */
typedef struct ds_lines {
    char *rest;
    int line; /* number of the line returned last, from 1 */
} ds_lines;

ds_lines ds_lines_of(char *text);
/* The next line without blanks at its ends (possibly empty), or NULL at the end. */
char *ds_lines_next(ds_lines *l);

/* `path` as it is when absolute or found from the current folder, else inside the folder of the file
 * `beside`. Fresh memory, or NULL. */
char *ds_path_near(const char *path, const char *beside);

#endif
