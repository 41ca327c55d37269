#include "data/lines.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

static char *skip_mark(char *text)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    return strncmp(text, byte_order_mark, 3) == 0 ? text + 3 : text;
}

ds_lines ds_lines_of(char *text)
{
    return (ds_lines){.rest = skip_mark(text)};
}

char *ds_lines_next(ds_lines *l)
{
    char *line = strsep(&l->rest, "\n");
    if (!line)
        return NULL;
    l->line++;
    return ds_trim(line);
}

char *ds_line_label(char *line)
{
    char *tab = strrchr(line, '\t');
    if (!tab)
        return NULL;
    *tab = '\0';
    ds_trim(line);
    return ds_trim(tab + 1);
}

ds_near ds_near_of(const char *file, ds_notes *notes)
{
    struct stat st, own, here;
    ds_near n = {.file = file, .dir = ds_path_dir(file), .notes = notes};
    if (stat(file, &st) || !S_ISREG(st.st_mode) || stat(n.dir, &own) || stat(".", &here) ||
        (own.st_dev == here.st_dev && own.st_ino == here.st_ino)) {
        free(n.dir);
        n.dir = NULL;
    }
    return n;
}

static void tell(ds_near *n, const char *path, const char *own)
{
    DS_FREED char *taken = realpath(own, NULL), *other = realpath(path, NULL);
    ds_note(n->notes, "warning: %s: '%s' is %s, not %s of the current folder", n->file, path,
            taken ? taken : own, other ? other : path);
    n->told = true;
}

char *ds_near_find(ds_near *n, const char *path)
{
    char *own = path[0] != '/' && n->dir ? ds_path_join(n->dir, path) : NULL;
    const bool there = own && ds_path_exists(own);
    if (!own || (!there && ds_path_exists(path))) {
        free(own);
        return ds_strdup(path);
    }
    if (there && !n->told && ds_path_exists(path) && !ds_path_same(own, path))
        tell(n, path, own);
    return own;
}

enum { CAPACITY = 1 << 16 };
static const char wanted[] = "a list of images, a path a line";

int ds_feed_open(ds_feed *f, const char *path, ds_error *e)
{
    struct stat st;
    bool standard = strcmp(path, "-") == 0;
    *f = (ds_feed){.fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)};
    if (f->fd < 0)
        return ds_fail_at(e, DS_EIO, path, 0, "cannot open: %s, expected %s", strerror(errno), wanted);
    f->name = standard ? "standard input" : path;
    DS_ALLOC(f->buffer, CAPACITY + 1); /* room for the 0 byte after a last line */
    if (fstat(f->fd, &st) != 0 || !S_ISDIR(st.st_mode))
        return DS_OK;
    ds_fail_at(e, DS_EIO, f->name, 0, "is a directory, expected %s", wanted);
    ds_feed_close(f);
    return DS_EIO;
}

void ds_feed_close(ds_feed *f)
{
    if (f->fd > STDIN_FILENO)
        close(f->fd);
    free(f->buffer);
    *f = (ds_feed){0};
}

/* More bytes behind those that are there. */
static int fill(ds_feed *f, int milliseconds, bool *later, ds_error *e)
{
    memmove(f->buffer, f->buffer + f->start, f->end - f->start);
    f->seen -= f->start;
    f->end -= f->start;
    f->start = 0;
    if (f->end == CAPACITY)
        return ds_fail_at(e, DS_EINPUT, f->name, f->line + 1, "has more than %d bytes, expected %s", CAPACITY,
                          wanted);
    struct pollfd p = {.fd = f->fd, .events = POLLIN};
    int ready = poll(&p, 1, milliseconds);
    if ((*later = ready == 0 || (ready < 0 && errno == EINTR)))
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
    char *begin = f->buffer + f->start;
    f->line++;
    *end = '\0';
    if (strlen(begin) != (size_t)(end - begin))
        return ds_fail_at(e, DS_EINPUT, f->name, f->line, "has a 0 byte, expected %s", wanted);
    f->start = f->seen = (size_t)(end - f->buffer) + skip;
    *line = ds_trim(f->line == 1 ? skip_mark(begin) : begin);
    return DS_OK;
}

int ds_feed_next(ds_feed *f, int milliseconds, char **line, bool *later, ds_error *e)
{
    *line = NULL;
    *later = false;
    while (!*later) {
        char *end = memchr(f->buffer + f->seen, '\n', f->end - f->seen);
        if (end)
            return cut(f, end, 1, line, e);
        f->seen = f->end;
        if (f->ended)
            return f->start < f->end ? cut(f, f->buffer + f->end, 0, line, e) : DS_OK;
        DS_TRY(fill(f, milliseconds, later, e));
    }
    return DS_OK;
}
