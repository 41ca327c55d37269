#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/random.h>
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
    if (!f && errno == ENOMEM)
        return ds_fail_at(e, DS_ENOMEM, path, 0, "out of memory");
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

static int cannot_write(const char *path, ds_error *e)
{
    return ds_fail_at(e, DS_EIO, path, 0, "cannot write: %s", strerror(errno));
}

/* A temporary name is .BASE.tmp and 16 hexadecimal digits, in the folder of the file that it becomes. */
#define TEMPORARY ".tmp"
enum { DIGITS = 16, LONGEST = 200 }; /* LONGEST: of BASE in it */

static bool is_temporary_of(const char *name, const char *base)
{
    size_t n = strnlen(base, LONGEST), mark = strlen(TEMPORARY);
    return name[0] == '.' && strncmp(name + 1, base, n) == 0 && strncmp(name + 1 + n, TEMPORARY, mark) == 0 &&
           strspn(name + 1 + n + mark, "0123456789abcdef") == DIGITS && strlen(name) == 1 + n + mark + DIGITS;
}

/* What a killed writer of the same file left. A living one holds the lock of its file. */
static void remove_leftovers(const char *dir, const char *base)
{
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (!is_temporary_of(entry->d_name, base))
            continue;
        int fd = openat(dirfd(d), entry->d_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dirfd(d), entry->d_name, 0);
        if (fd >= 0)
            close(fd);
    }
    if (d)
        closedir(d);
}

/* A new file beside `path`, locked, with the rights of `old` where there is one. */
static int open_temporary(ds_writer *w, const struct stat *old, ds_error *e)
{
    DS_FREED char *dir = ds_path_dir(w->path);
    const char *base = ds_path_base(w->path);
    struct stat own = {0};
    int fd = -1;
    remove_leftovers(dir, base);
    if (access("/proc/self/fd", X_OK) == 0)
        fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    w->unnamed = fd >= 0;
    do { /* once more where another program took the file for a leftover before it was locked */
        uint64_t random = 0;
        if (fd >= 0 && !w->unnamed)
            close(fd);
        if (getrandom(&random, sizeof random, 0) < 0)
            random = (uint64_t)getpid();
        free(w->temporary);
        w->temporary = ds_format("%s/.%.*s" TEMPORARY "%016" PRIx64, dir, LONGEST, base, random);
        if (!w->unnamed)
            fd = open(w->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    } while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && !w->unnamed && fstat(fd, &own) == 0 &&
             own.st_nlink == 0);
    if (fd >= 0 && old && fchmod(fd, old->st_mode & 07777) && errno != EPERM) {
        close(fd);
        return cannot_write(w->path, e);
    }
    w->f = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (w->f)
        return DS_OK;
    free(w->temporary);
    w->temporary = NULL;
    return cannot_write(w->path, e);
}

static int writer_open(ds_writer *w, const char *path, ds_error *e)
{
    struct stat st;
    bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return ds_fail_at(e, DS_EIO, path, 0, "cannot write: is a directory, expected the name of a file");
    /* a link stays, its target is replaced */
    w->path = there && S_ISREG(st.st_mode) ? realpath(path, NULL) : ds_strdup(path);
    if (!w->path)
        return cannot_write(path, e);
    if (!there || S_ISREG(st.st_mode))
        return open_temporary(w, there ? &st : NULL, e);
    w->f = fopen(path, "wb"); /* a device or a pipe cannot be replaced */
    return w->f ? DS_OK : cannot_write(path, e);
}

/* One of several processes that do the same writes: this one does not. */
static bool mute;

void ds_writer_mute(void)
{
    mute = true;
}

int ds_writer_open(ds_writer *w, const char *path, ds_error *e)
{
    *w = (ds_writer){0};
    int rc = writer_open(w, mute ? "/dev/null" : path, e);
    if (rc)
        ds_writer_abort(w);
    return rc;
}

/* The name of a file is on the disk when its folder is. */
static bool sync_folder(const char *path)
{
    DS_FREED char *dir = ds_path_dir(path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd < 0 || fsync(fd) == 0 || errno == EINVAL || errno == EROFS;
    if (fd >= 0)
        close(fd);
    return ok;
}

int ds_flush(FILE *f)
{
    const bool failed = ferror(f);
    errno = 0;
    if (fflush(f) == 0 && !failed)
        return 0;
    if (!errno && fputc('\n', f) != EOF)
        fflush(f);
    return errno ? errno : EIO;
}

static bool give_name(const ds_writer *w)
{
    char at[40];
    snprintf(at, sizeof at, "/proc/self/fd/%d", fileno(w->f));
    return linkat(AT_FDCWD, at, AT_FDCWD, w->temporary, AT_SYMLINK_FOLLOW) == 0;
}

int ds_writer_commit(ds_writer *w, ds_error *e)
{
    int problem = ds_flush(w->f);
    bool ok = !problem && (fsync(fileno(w->f)) == 0 || errno == EINVAL || errno == EROFS) &&
              (!w->unnamed || give_name(w)) && (!w->temporary || rename(w->temporary, w->path) == 0);
    if (ok && w->temporary) {
        free(w->temporary);
        w->temporary = NULL;
        ok = sync_folder(w->path);
    }
    FILE *f = w->f;
    w->f = NULL;
    problem = problem ? problem : errno;
    if (fclose(f) && ok) {
        ok = false;
        problem = errno;
    }
    int rc =
        ok ? DS_OK
           : ds_fail_at(e, DS_EIO, w->path, 0, "cannot write: %s%s", strerror(problem),
                        w->temporary && ds_path_exists(w->path) ? ", the file of before is unchanged" : "");
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
    DS_FREED char *dir = ds_path_dir(path), *real = realpath(dir, NULL);
    return real ? ds_path_join(real, ds_path_base(path)) : NULL;
}

bool ds_path_same(const char *a, const char *b)
{
    struct stat sa, sb;
    bool has_a = stat(a, &sa) == 0, has_b = stat(b, &sb) == 0;
    if (has_a && has_b)
        return (S_ISREG(sa.st_mode) || S_ISDIR(sa.st_mode)) && sa.st_dev == sb.st_dev &&
               sa.st_ino == sb.st_ino;
    if (has_a || has_b)
        return false;
    DS_FREED char *ca = canonical(a), *cb = canonical(b);
    return ca && cb && strcmp(ca, cb) == 0;
}

char *ds_path_spare(const char *path)
{
    DS_FREED unsigned char *here = NULL;
    size_t n = 0;
    if (ds_file_read(path, "", &here, &n, NULL))
        n = 0;
    char *old = ds_format("%s.old", path);
    for (int i = 2; ds_path_exists(old); i++) {
        DS_FREED unsigned char *there = NULL;
        size_t m = 0;
        if (here && !ds_file_read(old, "", &there, &m, NULL) && m == n && memcmp(here, there, n) == 0)
            break;
        free(old);
        old = ds_format("%s.old-%d", path, i);
    }
    return old;
}

int ds_make_dirs(const char *path, ds_error *e)
{
    struct stat st;
    for (const char *end = path; *end;) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        DS_FREED char *dir = ds_strndup(path, (size_t)(end - path));
        if (mkdir(dir, 0777) && errno != EEXIST)
            return ds_fail_at(e, DS_EIO, dir, 0, "cannot create directory: %s", strerror(errno));
    }
    if (stat(path, &st) || !S_ISDIR(st.st_mode))
        return ds_fail_at(e, DS_EIO, path, 0, "is no directory, expected one or a name that is free");
    return DS_OK;
}
