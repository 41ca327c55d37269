/* The lines of a file or of standard input as they come: what is not there yet can be waited for. */
#ifndef DS_DATA_FEED_H
#define DS_DATA_FEED_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

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
 * end, and, with *later set, when more may come but is not there yet. DS_EIO; DS_EINPUT for a line above 64 KiB
 * or one with a 0 byte. */
int ds_feed_next(ds_feed *f, char **line, bool *later, ds_error *e);
/* Wait until there is more, `wake` (a descriptor; -1: none) can be read, or the time is over (-1: without end). */
void ds_feed_wait(const ds_feed *f, int wake, int milliseconds);

#endif
