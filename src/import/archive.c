/* Archives: libarchive takes apart what zlib has unpacked. (libarchive's own reader of .gz does not look
 * at the checksum.) */
#include "import/parts.h"

#include "base/file.h"
#include "data/image.h"
#include "data/sandbox.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <langinfo.h>
#include <locale.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { FIRST_ROOM = 1 << 20 };
static const size_t most_handed_over = (size_t)9 << 30; /* bytes of a file */

typedef struct source {
    const char *path, *what, *to; /* to: a folder to unpack into */
    ds_import_file *files;
    int n; /* of them */
    int fd;
    gzFile f;
    struct archive *reader;
    ds_error *e;
    int rc; /* of zlib */
    unsigned char block[1 << 16];
} source;

static int open_source(source *s)
{
    struct stat st;
    if (stat(s->path, &st) == 0 && S_ISDIR(st.st_mode))
        return ds_fail_at(s->e, DS_EIO, s->path, 0, "is a directory, expected %s", s->what);
    if ((s->fd = open(s->path, O_RDONLY | O_CLOEXEC)) < 0)
        return ds_fail_at(s->e, DS_EIO, s->path, 0, "cannot open: %s, expected %s", strerror(errno), s->what);
    if (!(s->f = gzdopen(s->fd, "rb")) || !(s->reader = archive_read_new()))
        ds_out_of_memory();
    return DS_OK;
}

static void close_source(source *s)
{
    archive_read_free(s->reader);
    if (s->f)
        gzclose(s->f);
}

static int unpack_failed(const source *s, int code, const char *text)
{
    if (code == Z_ERRNO)
        return ds_fail_at(s->e, DS_EIO, s->path, 0, "cannot read: %s", strerror(errno));
    if (code == Z_BUF_ERROR)
        return ds_fail_at(s->e, DS_EINPUT, s->path, 0,
                          "the compressed data ends too early, expected a whole .gz file");
    return ds_fail_at(s->e, DS_EINPUT, s->path, 0, "damaged compressed data (%s), expected a whole .gz file",
                      text);
}

/* The next block of unpacked bytes, for libarchive: how many, 0 at the end, negative on failure. */
static la_ssize_t unpack(struct archive *reader, void *data, const void **block)
{
    (void)reader;
    source *s = data;
    int n = gzread(s->f, s->block, sizeof s->block), code;
    const char *text = gzerror(s->f, &code);
    *block = s->block;
    if (n == (int)sizeof s->block || code == Z_OK)
        return n;
    s->rc = unpack_failed(s, code, text);
    return ARCHIVE_FATAL;
}

static int failed(const source *s)
{
    return s->rc ? s->rc
                 : ds_fail_at(s->e, DS_EINPUT, s->path, 0,
                              "is no .tar, .tar.gz or .zip, or a damaged one (%s), expected %s",
                              archive_error_string(s->reader), s->what);
}

/* Up to file->most bytes. Memory grows with what is really there: a damaged size costs none. */
static int fill(const source *s, ds_import_file *file)
{
    size_t room = 0;
    do {
        room = 2 * room + FIRST_ROOM;
        room = room < file->most ? room : file->most;
        unsigned char *grown = realloc(file->bytes, room + 1);
        if (!grown)
            return ds_fail_at(s->e, DS_ENOMEM, s->path, 0, "out of memory after %zu bytes of it", file->n);
        file->bytes = grown;
        la_ssize_t came = archive_read_data(s->reader, grown + file->n, room - file->n);
        if (came < 0)
            return failed(s);
        file->n += (size_t)came;
        grown[file->n] = 0;
    } while (file->n == room && room < file->most);
    return DS_OK;
}

/* bytes: as the archive says. */
static int read_file(const source *s, ds_import_file *file, long long bytes)
{
    if (file->bytes)
        return ds_fail_at(s->e, DS_EINPUT, s->path, 0,
                          file->name ? "holds two files '%s', expected one"
                                     : "holds several files%s, expected one",
                          file->name ? file->name : "");
    if (file->name && (unsigned long long)bytes > file->most)
        return ds_fail_at(s->e, DS_EINPUT, s->path, 0, "'%s' in it has %lld bytes, expected at most %zu",
                          file->name, bytes, file->most);
    DS_TRY(fill(s, file));
    if (!file->look)
        return DS_OK;
    DS_TRY(file->look(file, s->e));
    return fill(s, file);
}

/* The wanted file that a member is, or NULL. */
static ds_import_file *wanted(const source *s, struct archive_entry *member)
{
    const char *path = archive_entry_pathname(member);
    bool regular = archive_entry_filetype(member) == AE_IFREG && !archive_entry_hardlink(member);
    for (int i = 0; i < s->n && path && regular; i++)
        if (!s->files[i].name || strcmp(ds_path_base(path), s->files[i].name) == 0)
            return &s->files[i];
    return NULL;
}

static int read_members(source *s)
{
    struct archive_entry *member;
    const void *block;
    int rc;
    /* a warning: names in another encoding */
    while ((rc = archive_read_next_header(s->reader, &member)) == ARCHIVE_OK || rc == ARCHIVE_WARN) {
        ds_import_file *file = wanted(s, member);
        if (file)
            DS_TRY(read_file(s, file, archive_entry_size(member)));
    }
    /* to the very end, where compressed data has its checksum */
    while (rc == ARCHIVE_EOF && unpack(s->reader, s, &block) > 0)
        ;
    return rc == ARCHIVE_EOF ? s->rc : failed(s);
}

static int read_all(source *s)
{
    DS_TRY(archive_read_open(s->reader, s, NULL, unpack, NULL) ? failed(s) : read_members(s));
    for (int i = 0; i < s->n; i++)
        if (!s->files[i].bytes)
            return ds_fail_at(s->e, DS_EINPUT, s->path, 0,
                              s->files[i].name ? "has no file '%s', expected %s" : "is empty%s, expected %s",
                              s->files[i].name ? s->files[i].name : "", s->what);
    return DS_OK;
}

/* So that reading members opens no files of time zones and character sets. */
static void prepare(void)
{
    setenv("TZ", "UTC0", 1);
    tzset();
    iconv_close(iconv_open("UTF-8", nl_langinfo(CODESET)));
}

/* In a child without rights: what came of it, and each file's size and bytes. */
static void hand_over(void *arg)
{
    source *s = arg;
    ds_error e = {0};
    s->e = &e;
    int rc = read_all(s);
    ds_child_write(&e, sizeof e);
    for (int i = 0; i < s->n && !rc; i++) {
        ds_child_write(&s->files[i].n, sizeof s->files[i].n);
        ds_child_write(s->files[i].bytes, s->files[i].n);
    }
}

static int receive_file(ds_cell *cell, ds_import_file *file, ds_error *e)
{
    size_t n;
    DS_TRY(ds_cell_receive(cell, &n, sizeof n, e));
    if (n > most_handed_over || !(file->bytes = malloc(n + 1)))
        return ds_cell_end(cell, "sent more than there is memory for", e);
    DS_TRY(ds_cell_receive(cell, file->bytes, n, e));
    file->bytes[n] = 0;
    file->n = n;
    return file->look ? file->look(file, e) : DS_OK;
}

static int read_untrusted(source *s)
{
    ds_sandbox_setup setup = {.prepare = prepare,
                              .work = hand_over,
                              .arg = s,
                              .material = "archive",
                              .fd = s->fd,
                              .seconds = 600,
                              .memory = most_handed_over + ((size_t)1 << 30)};
    ds_sandbox *sandbox;
    ds_cell *cell;
    DS_TRY(ds_sandbox_new(&setup, &sandbox, s->e));
    int rc = ds_sandbox_take(sandbox, s->path, false, &cell, s->e);
    if (!rc) {
        rc = ds_cell_verdict(cell, s->e);
        for (int i = 0; i < s->n && !rc; i++)
            rc = receive_file(cell, &s->files[i], s->e);
        ds_sandbox_give(sandbox, cell);
    }
    ds_sandbox_free(sandbox);
    return rc;
}

/* ---- archives of class folders, unpacked into files ---- */

enum { MOST_BYTES = 256 << 20, MOST_PACKED = 100, SLACK = 1 << 30 }; /* of an image; an archive unpacked */

/* 1: to be unpacked, as `path` says, into a folder that is there now. 0: hidden, a folder, or no image. */
static int check_member(const source *s, struct archive_entry *member, const char **path, ds_import_job *job)
{
    const char *name = archive_entry_pathname(member), *foreign;
    if (!name || *name == '/' || archive_entry_hardlink(member) ||
        (archive_entry_filetype(member) != AE_IFREG && archive_entry_filetype(member) != AE_IFDIR))
        return ds_fail_at(s->e, DS_EINPUT, s->path, 0,
                          "'%s' in it is no folder and no file of one, expected %s", name ? name : "",
                          s->what);
    while (strncmp(name, "./", 2) == 0)
        name += 2;
    *path = name;
    bool hidden = strncmp(name, "__MACOSX/", 9) == 0;
    for (const char *part = name; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL) {
        if (strcmp(part, "..") == 0 || strncmp(part, "../", 3) == 0)
            return ds_fail_at(s->e, DS_EINPUT, s->path, 0, "'%s' in it leads outside, expected %s", name,
                              s->what);
        hidden |= *part == '.' && part[1] != '/' && part[1] != '\0';
    }
    if (hidden)
        return 0;
    DS_FREED char *folder = ds_path_join(s->to, name), *dir = ds_path_dir(folder);
    const bool is_folder = archive_entry_filetype(member) == AE_IFDIR;
    DS_TRY(ds_make_dirs(is_folder ? folder : dir, s->e)); /* without images too, as folders have it */
    if (is_folder)
        return 0;
    if ((foreign = ds_foreign_name(name)))
        return ds_fail_at(s->e, DS_EINPUT, s->path, 0,
                          "'%s' in it is a %s image, expected " DS_IMAGE_SUFFIXES ": convert it", name,
                          foreign);
    if (!ds_is_image_name(name) && job->others++ == 0)
        job->other = ds_format("%s: %s", s->path, name);
    return ds_is_image_name(name);
}

/* Its folder is there; none above it can be a link. */
static int unpack_member(const source *s, const char *path, long long *left)
{
    DS_FREED char *to = ds_path_join(s->to, path);
    FILE *f = fopen(to, "wbxe");
    if (!f && errno == EEXIST)
        return ds_fail_at(s->e, DS_EINPUT, s->path, 0, "holds two files '%s', expected one", path);
    const void *block;
    size_t n;
    la_int64_t at;
    int rc = ARCHIVE_OK, why = f ? 0 : errno;
    while (!why && (rc = archive_read_data_block(s->reader, &block, &n, &at)) == ARCHIVE_OK &&
           at + (la_int64_t)n <= MOST_BYTES && (*left -= (long long)n) >= 0)
        why = fseeko(f, at, SEEK_SET) || (n && fwrite(block, 1, n, f) != n) ? errno : 0;
    if (f && fclose(f) && !why)
        why = errno;
    if (why)
        return ds_fail_at(s->e, DS_EIO, to, 0, "cannot write: %s", strerror(why));
    if (rc == ARCHIVE_OK)
        return ds_fail_at(
            s->e, DS_EINPUT, s->path, 0,
            "'%s' in it is too large: expected at most %d MiB of an image, and 1 GiB and %d times "
            "the archive's size",
            path, MOST_BYTES >> 20, MOST_PACKED);
    return rc == ARCHIVE_EOF ? DS_OK : failed(s);
}

static int unpack_members(source *s, ds_import_job *job)
{
    struct archive_entry *member;
    struct stat st;
    const char *path = NULL;
    const void *block;
    int rc;
    if (fstat(s->fd, &st))
        return ds_fail_at(s->e, DS_EIO, s->path, 0, "cannot read: %s", strerror(errno));
    long long left = (long long)st.st_size * MOST_PACKED + SLACK;
    const bool packed = !gzdirect(s->f);
    if (!packed) /* a .zip has its directory at the end */
        lseek(s->fd, 0, SEEK_SET);
    if (packed ? archive_read_open(s->reader, s, NULL, unpack, NULL)
               : archive_read_open_fd(s->reader, s->fd, sizeof s->block))
        return failed(s);
    while ((rc = archive_read_next_header(s->reader, &member)) == ARCHIVE_OK || rc == ARCHIVE_WARN) {
        const int is = check_member(s, member, &path, job);
        if (is)
            DS_TRY(is < 0 ? is : unpack_member(s, path, &left));
    }
    while (packed && rc == ARCHIVE_EOF && unpack(s->reader, s, &block) > 0)
        ;
    return rc == ARCHIVE_EOF ? s->rc : failed(s);
}

int ds_import_unpack(ds_import_job *job, ds_error *e)
{
    DS_FINALLY(close_source)
    source s = {.path = job->setup->source[0],
                .what = "one folder a class, alone or in train, valid, calib, test",
                .to = job->images,
                .e = e};
    DS_TRY(open_source(&s));
    archive_read_support_format_zip_seekable(s.reader);
    archive_read_support_format_tar(s.reader);
    const locale_t names = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL), before = uselocale(names);
    const int rc = unpack_members(&s, job);
    uselocale(before);
    if (names)
        freelocale(names);
    return rc;
}

int ds_import_read_files(const ds_import *setup, const char *archive, const char *what, ds_import_file *files,
                         int n, ds_error *e)
{
    DS_FINALLY(close_source)
    source s = {.path = archive, .what = what, .files = files, .n = n, .e = e};
    DS_TRY(open_source(&s));
    archive_read_support_format_empty(s.reader);
    archive_read_support_format_zip(s.reader);
    if (files[0].name)
        archive_read_support_format_tar(s.reader);
    else
        archive_read_support_format_raw(s.reader);
    return setup->untrusted ? read_untrusted(&s) : read_all(&s);
}
