/* Lines of text, in memory or as they come, and what .data files, label files and lists have in common. */
#pragma once

#include "base/error.h"

/* Walk over the lines of a text in memory, which is cut up in place. */
typedef struct ds_lines {
    char *rest;
    int line; /* number of the line returned last, from 1 */
} ds_lines;

ds_lines ds_lines_of(char *text);
/* The next line without blanks at its ends (possibly empty), or NULL at the end. */
char *ds_lines_next(ds_lines *l);

/* Cut PATH<tab>LABEL up in place: the label without blanks at its ends, NULL where there is none. */
char *ds_line_label(char *line);
/* Where the relative paths are that a file names: in its own folder, else in the current one. */
typedef struct ds_near {
    const char *file; /* the caller's, outlives it */
    char *dir;        /* owned; NULL: the current one is its own, or it is a pipe, which has none */
    ds_notes *notes;  /* may be NULL */
    bool told;
} ds_near;

/* Release with free(dir). */
ds_near ds_near_of(const char *file, ds_notes *notes);
/* `path` as it can be opened, in fresh memory. Where both folders have a file of that name, the first time is
 * noted. */
char *ds_near_find(ds_near *n, const char *path);

/* The lines of a list of images, of a file or of standard input as they come: what is not there yet can be
 * waited for. */
typedef struct ds_feed {
    const char *name; /* for messages: the path, or "standard input"; the caller's path outlives the feed */
    int fd;
    bool ended;
    int line;     /* number of the line returned last, from 1 */
    char *buffer; /* owned; [start, end) holds what is not yet returned, [start, seen) no end of a line */
    size_t start, seen, end;
} ds_feed;

/* "-": standard input. A missing file or a folder is DS_EIO; on failure `f` is zeroed. */
int ds_feed_open(ds_feed *f, const char *path, ds_error *e);
void ds_feed_close(ds_feed *f);
/* The next line in *line, without blanks at its ends, cut up in place: valid until the next call. NULL at the
 * end, and, with *later set, when none came in so many milliseconds (-1: any number) but more may. DS_EIO;
 * DS_EINPUT for a line above 64 KiB or one with a 0 byte. */
int ds_feed_next(ds_feed *f, int milliseconds, char **line, bool *later, ds_error *e);
