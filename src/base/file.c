#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than any text or image has; a device may not end, and a file of holes may be as long as it likes. */
#define MOST ((size_t)2 << 30)

static int read_stream(FILE *f, const char *path, const char *what, size_t hint, unsigned char **bytes,
                       size_t *n, ds_error *e)
{
    size_t capacity = hint + 1, used = 0;
    unsigned char *buffer = hint <= MOST ? ds_xmalloc(capacity + 1) : NULL;
    while (buffer && used <= MOST) {
        used += fread(buffer + used, 1, capacity - used, f);
        if (used < capacity)
            break;
        capacity *= 2;
        buffer = ds_xrealloc(buffer, capacity + 1, 1);
    }
    if (!buffer || used > MOST || ferror(f)) {
        int problem = buffer && used <= MOST ? errno : EFBIG;
        free(buffer);
        if (problem == EFBIG)
            return ds_fail_at(e, DS_EINPUT, path, 0, "has more than 2 GiB, expected %s", what);
        return ds_fail_at(e, DS_EIO, path, 0, "cannot read: %s", strerror(problem));
    }
    buffer[used] = 0;
    *bytes = buffer;
    *n = used;
    return DS_OK;
}

int ds_file_read(const char *path, const char *what, unsigned char **bytes, size_t *n, ds_error *e)
{
    struct stat st = {0};
    FILE *f = fopen(path, "rb");
    if (!f)
        return ds_fail_at(e, DS_EIO, path, 0, "cannot open: %s, expected %s", strerror(errno), what);
    if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
        fclose(f);
        return ds_fail_at(e, DS_EIO, path, 0, "is a directory, expected %s", what);
    }
    int rc = read_stream(f, path, what, st.st_size > 0 ? (size_t)st.st_size : 4096, bytes, n, e);
    fclose(f);
    return rc;
}

int ds_file_read_text(const char *path, const char *what, char **text, ds_error *e)
{
    unsigned char *bytes;
    size_t n;
    *text = NULL;
    DS_TRY(ds_file_read(path, what, &bytes, &n, e));
    if (n > 0 && !memchr(bytes, 0, n)) {
        *text = (char *)bytes;
        return DS_OK;
    }
    free(bytes);
    return ds_fail_at(e, DS_EINPUT, path, 0, "is %s, expected %s", n ? "a binary file" : "empty", what);
}

/* Names for writing `path`: a link stays and its target is replaced; a device or a pipe cannot be replaced
 * and is written in place, without a temporary file. */
static int name_files(ds_writer *w, const char *path, ds_error *e)
{
    struct stat st, own;
    bool there = stat(path, &st) == 0, link = lstat(path, &own) == 0 && S_ISLNK(own.st_mode);
    if (there && S_ISDIR(st.st_mode))
        return ds_fail_at(e, DS_EIO, path, 0, "cannot write: is a directory, expected the name of a file");
    w->path = there && link ? realpath(path, NULL) : ds_strdup(path);
    if (!w->path)
        return ds_fail_at(e, DS_EIO, path, 0, "cannot write: %s", strerror(errno));
    if (!there || S_ISREG(st.st_mode))
        w->temporary = ds_format("%s.tmp%ld", w->path, (long)getpid());
    return DS_OK;
}

int ds_writer_open(ds_writer *w, const char *path, ds_error *e)
{
    *w = (ds_writer){0};
    int rc = name_files(w, path, e);
    if (!rc && !(w->f = fopen(w->temporary ? w->temporary : w->path, "wb")))
        rc = ds_fail_at(e, DS_EIO, path, 0, "cannot write: %s", strerror(errno));
    if (rc)
        ds_writer_abort(w);
    return rc;
}

int ds_writer_commit(ds_writer *w, ds_error *e)
{
    bool ok = fflush(w->f) == 0 && !ferror(w->f);
    if (ok && fsync(fileno(w->f)) && errno != EINVAL && errno != EROFS)
        ok = false;
    int problem = errno, rc = DS_OK;
    if (fclose(w->f) && ok) {
        ok = false;
        problem = errno;
    }
    w->f = NULL;
    if (ok && w->temporary && rename(w->temporary, w->path)) {
        ok = false;
        problem = errno;
    }
    if (!ok)
        rc = ds_fail_at(e, DS_EIO, w->path, 0, "cannot write: %s%s", strerror(problem),
                        w->temporary ? ", the file of before is unchanged" : "");
    else
        free(w->temporary), w->temporary = NULL;
    ds_writer_abort(w);
    return rc;
}

void ds_writer_abort(ds_writer *w)
{
    if (w->f)
        fclose(w->f);
    if (w->temporary)
        unlink(w->temporary);
    free(w->temporary);
    free(w->path);
    *w = (ds_writer){0};
}

char *ds_path_dir(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ds_strdup(".");
    return slash == path ? ds_strdup("/") : ds_strndup(path, (size_t)(slash - path));
}

char *ds_path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir);
    return ds_format(n && dir[n - 1] == '/' ? "%s%s" : "%s/%s", dir, name);
}

const char *ds_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool ds_path_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* The folder of `path` without links, a slash, the last component; fresh memory, NULL when there is no
 * such folder. */
static char *canonical(const char *path)
{
    char *dir = ds_path_dir(path), *real = realpath(dir, NULL);
    char *whole = real ? ds_path_join(real, ds_path_base(path)) : NULL;
    free(dir);
    free(real);
    return whole;
}

bool ds_path_same(const char *a, const char *b)
{
    struct stat sa, sb;
    bool has_a = stat(a, &sa) == 0, has_b = stat(b, &sb) == 0;
    if (has_a && has_b)
        return S_ISREG(sa.st_mode) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
    if (has_a || has_b)
        return false;
    char *ca = canonical(a), *cb = canonical(b);
    bool same = ca && cb && strcmp(ca, cb) == 0;
    free(ca);
    free(cb);
    return same;
}

int ds_make_dirs(const char *path, ds_error *e)
{
    char *copy = ds_strdup(path);
    int rc = DS_OK;
    for (char *p = copy + (*copy != 0); !rc; p++) {
        char c = *p;
        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        if (*copy && mkdir(copy, 0777) && errno != EEXIST)
            rc = ds_fail_at(e, DS_EIO, copy, 0, "cannot create directory: %s", strerror(errno));
        *p = c;
        if (!c)
            break;
    }
    struct stat st;
    if (!rc && (stat(path, &st) || !S_ISDIR(st.st_mode)))
        rc = ds_fail_at(e, DS_EIO, path, 0, "is no directory, expected one or a name that is free");
    free(copy);
    return rc;
}
