#include "data/gz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FIRST_ROOM = 1 << 20, MOST_READ = 1 << 24 };

int ds_gz_open(const char *path, const char *what, gzFile *f, ds_error *e)
{
    struct stat st;
    if (stat(path, &st))
        return ds_fail_at(e, DS_EIO, path, 0, "cannot open: %s, expected %s", strerror(errno), what);
    if (S_ISDIR(st.st_mode))
        return ds_fail_at(e, DS_EIO, path, 0, "is a directory, expected %s", what);
    if (!(*f = gzopen(path, "rb")))
        return ds_fail_at(e, DS_EIO, path, 0, "cannot open: %s, expected %s", strerror(errno), what);
    return DS_OK;
}

static int read_failed(gzFile f, const char *path, ds_error *e)
{
    int code;
    const char *text = gzerror(f, &code);
    if (code == Z_ERRNO)
        return ds_fail_at(e, DS_EIO, path, 0, "cannot read: %s", strerror(errno));
    if (code == Z_BUF_ERROR)
        return ds_fail_at(e, DS_EINPUT, path, 0,
                          "the compressed data ends too early, expected a whole .gz file");
    return ds_fail_at(e, DS_EINPUT, path, 0, "damaged compressed data (%s), expected a whole .gz file", text);
}

int ds_gz_read(gzFile f, const char *path, unsigned char *bytes, size_t n, size_t *got, ds_error *e)
{
    *got = 0;
    while (*got < n) {
        size_t left = n - *got;
        int done = gzread(f, bytes + *got, left < MOST_READ ? (unsigned)left : MOST_READ);
        if (done < 0)
            return read_failed(f, path, e);
        if (done == 0)
            break;
        *got += (size_t)done;
    }
    int code;
    gzerror(f, &code);
    return *got < n && code != Z_OK ? read_failed(f, path, e) : DS_OK;
}

int ds_gz_read_grown(gzFile f, const char *path, size_t n, unsigned char **bytes, size_t *got, ds_error *e)
{
    size_t room = 0, came = 1;
    *bytes = NULL;
    *got = 0;
    while (*got < n && came > 0) {
        room = room ? 2 * room : FIRST_ROOM;
        room = room < n ? room : n;
        unsigned char *grown = realloc(*bytes, room);
        if (!grown)
            return ds_fail_memory(e);
        *bytes = grown;
        int rc = ds_gz_read(f, path, *bytes + *got, room - *got, &came, e);
        if (rc)
            return rc;
        *got += came;
    }
    return DS_OK;
}
