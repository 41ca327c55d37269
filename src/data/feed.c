#include "data/feed.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CAPACITY = 1 << 16 };
static const char wanted[] = "a list of images, a path a line";

static int open_file(ds_feed *f, const char *path, ds_error *e)
{
    struct stat st;
    bool standard = strcmp(path, "-") == 0;
    f->name = standard ? "standard input" : path;
    f->fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0)
        return ds_fail_at(e, DS_EIO, path, 0, "cannot open: %s, expected %s", strerror(errno), wanted);
    if (fstat(f->fd, &st) == 0 && S_ISDIR(st.st_mode))
        return ds_fail_at(e, DS_EIO, f->name, 0, "is a directory, expected %s", wanted);
    f->buffer = malloc(CAPACITY + 1); /* room for the 0 byte after a last line */
    return f->buffer ? DS_OK : ds_fail_memory(e);
}

int ds_feed_open(ds_feed *f, const char *path, ds_error *e)
{
    *f = (ds_feed){0};
    int rc = open_file(f, path, e);
    if (rc)
        ds_feed_close(f);
    return rc;
}

void ds_feed_close(ds_feed *f)
{
    if (f->fd > STDIN_FILENO)
        close(f->fd);
    free(f->buffer);
    *f = (ds_feed){0};
}

void ds_feed_wait(const ds_feed *f, int wake, int milliseconds)
{
    struct pollfd both[2] = {{.fd = f->fd, .events = POLLIN}, {.fd = wake, .events = POLLIN}};
    poll(both, 2, milliseconds);
}

static bool has_more(const ds_feed *f)
{
    struct pollfd p = {.fd = f->fd, .events = POLLIN};
    return poll(&p, 1, 0) != 0; /* an error shows when it is read */
}

/* More bytes behind those that are there. */
static int fill(ds_feed *f, bool *later, ds_error *e)
{
    memmove(f->buffer, f->buffer + f->start, f->end - f->start);
    f->seen -= f->start;
    f->end -= f->start;
    f->start = 0;
    if (f->end == CAPACITY)
        return ds_fail_at(e, DS_EINPUT, f->name, f->line + 1, "has more than %d bytes, expected %s", CAPACITY,
                          wanted);
    if ((*later = !has_more(f)))
        return DS_OK;
    ssize_t got = read(f->fd, f->buffer + f->end, CAPACITY - f->end);
    if (got < 0) {
        *later = errno == EAGAIN || errno == EINTR;
        return *later ? DS_OK : ds_fail_at(e, DS_EIO, f->name, 0, "cannot read: %s", strerror(errno));
    }
    f->end += (size_t)got;
    f->ended = got == 0;
    return DS_OK;
}

/* The bytes up to `end` are a line; the next one begins `skip` bytes behind. */
static int cut(ds_feed *f, char *end, size_t skip, char **line, ds_error *e)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    char *begin = f->buffer + f->start;
    f->line++;
    *end = '\0';
    if (strlen(begin) != (size_t)(end - begin))
        return ds_fail_at(e, DS_EINPUT, f->name, f->line, "has a 0 byte, expected %s", wanted);
    f->start = f->seen = (size_t)(end - f->buffer) + skip;
    if (f->line == 1 && strncmp(begin, byte_order_mark, 3) == 0)
        begin += 3;
    *line = ds_trim(begin);
    return DS_OK;
}

int ds_feed_next(ds_feed *f, char **line, bool *later, ds_error *e)
{
    *line = NULL;
    *later = false;
    for (;;) {
        char *end = memchr(f->buffer + f->seen, '\n', f->end - f->seen);
        if (end)
            return cut(f, end, 1, line, e);
        f->seen = f->end;
        if (f->ended)
            return f->start < f->end ? cut(f, f->buffer + f->end, 0, line, e) : DS_OK;
        int rc = fill(f, later, e);
        if (rc || *later)
            return rc;
    }
}
