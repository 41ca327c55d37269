/* The files of an archive, unpacked in a folder or still in a .tar or .tar.gz. */
#include "data/import_parts.h"

#include "base/file.h"
#include "base/text.h"
#include "data/gz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A tar archive is blocks of 512 bytes: for each member a header, then its bytes, filled up with zeros; zeros at the end. */
enum {
    BLOCK = 512,
    NAME_BYTES = 100,
    SIZE_AT = 124,
    SIZE_BYTES = 12,
    SUM_AT = 148,
    SUM_BYTES = 8,
    TYPE_AT = 156
};
#define MOST_BYTES ((uint64_t)1 << 30)

typedef struct tar {
    gzFile f;
    const char *path, *what;
    ds_import_file *files; /* n wanted ones */
    int n;
} tar;

/* ---- one header ---- */

/* Octal digits between blanks, up to a blank or a 0 byte. False: something else. */
static bool get_octal(const unsigned char *p, int n, uint64_t *value)
{
    int i = 0, first;
    while (i < n && p[i] == ' ')
        i++;
    for (*value = 0, first = i; i < n && p[i] >= '0' && p[i] <= '7'; i++)
        *value = *value << 3 | (uint64_t)(p[i] - '0');
    return i > first && (i == n || p[i] == ' ' || p[i] == 0);
}

/* The sum counts its own bytes as blanks. */
static bool is_header(const unsigned char *head)
{
    uint64_t sum = 0, expected;
    for (int i = 0; i < BLOCK; i++)
        sum += i >= SUM_AT && i < SUM_AT + SUM_BYTES ? ' ' : head[i];
    return get_octal(head + SUM_AT, SUM_BYTES, &expected) && sum == expected;
}

static bool is_zero(const unsigned char *head)
{
    for (int i = 0; i < BLOCK; i++)
        if (head[i])
            return false;
    return true;
}

/* The wanted file that a header introduces, or NULL. */
static ds_import_file *wanted(const tar *t, const unsigned char *head)
{
    char name[NAME_BYTES + 1] = "";
    memcpy(name, head, NAME_BYTES);
    bool regular = head[TYPE_AT] == '0' || head[TYPE_AT] == 0;
    for (int i = 0; i < t->n && regular; i++)
        if (strcmp(ds_path_base(name), t->files[i].name) == 0)
            return &t->files[i];
    return NULL;
}

/* ---- one member ---- */

static int ends_early(const tar *t, const char *name, uint64_t got, uint64_t size, ds_error *e)
{
    return ds_fail_at(e, DS_EINPUT, t->path, 0,
                      "ends after %llu bytes of a file%s%s in it, expected %llu: is it a whole archive?",
                      (unsigned long long)got, *name ? " " : "", name, (unsigned long long)size);
}

static int skip(const tar *t, uint64_t n, ds_error *e)
{
    unsigned char block[16 * BLOCK];
    size_t got;
    for (uint64_t left = n; left > 0; left -= got) {
        size_t step = left < sizeof block ? (size_t)left : sizeof block;
        int rc = ds_gz_read(t->f, t->path, block, step, &got, e);
        if (rc)
            return rc;
        if (got < step)
            return ends_early(t, "", n - left + got, n, e);
    }
    return DS_OK;
}

static int read_member(const tar *t, ds_import_file *file, uint64_t size, ds_error *e)
{
    if (file->bytes)
        return ds_fail_at(e, DS_EINPUT, t->path, 0, "holds two files '%s', expected one", file->name);
    if (size > MOST_BYTES)
        return ds_fail_at(e, DS_EINPUT, t->path, 0, "'%s' in it has %llu bytes, expected at most 1 GiB",
                          file->name, (unsigned long long)size);
    int rc = ds_gz_read_grown(t->f, t->path, (size_t)size, &file->bytes, &file->n, e);
    if (!rc && file->n < size)
        rc = ends_early(t, file->name, file->n, size, e);
    unsigned char *longer = rc ? NULL : realloc(file->bytes, file->n + 1);
    if (!rc && !longer)
        rc = ds_fail_memory(e);
    if (rc)
        return rc;
    file->bytes = longer;
    file->bytes[file->n] = 0;
    return skip(t, (BLOCK - size % BLOCK) % BLOCK, e);
}

static int take_member(const tar *t, const unsigned char *head, ds_error *e)
{
    uint64_t size;
    if (!is_header(head) || !get_octal(head + SIZE_AT, SIZE_BYTES, &size))
        return ds_fail_at(e, DS_EINPUT, t->path, 0, "is no .tar or .tar.gz, or a damaged one, expected %s",
                          t->what);
    ds_import_file *file = wanted(t, head);
    return file ? read_member(t, file, size, e) : skip(t, (size + BLOCK - 1) / BLOCK * BLOCK, e);
}

/* ---- all members ---- */

/* To the very end, where compressed data has its checksum. */
static int read_members(const tar *t, ds_error *e)
{
    bool end = false;
    for (;;) {
        unsigned char head[BLOCK];
        size_t got;
        int rc = ds_gz_read(t->f, t->path, head, BLOCK, &got, e);
        if (rc || got == 0)
            return rc;
        if (!end && got < BLOCK)
            return ds_fail_at(e, DS_EINPUT, t->path, 0, "is too short for a .tar or .tar.gz, expected %s",
                              t->what);
        end |= got < BLOCK || is_zero(head);
        rc = end ? DS_OK : take_member(t, head, e);
        if (rc)
            return rc;
    }
}

static int read_tar(const char *path, const char *what, ds_import_file *files, int n, ds_error *e)
{
    tar t = {.path = path, .what = what, .files = files, .n = n};
    int rc = ds_gz_open(path, what, &t.f, e);
    if (rc)
        return rc;
    rc = read_members(&t, e);
    gzclose(t.f);
    for (int i = 0; i < n && !rc; i++)
        if (!files[i].bytes)
            rc = ds_fail_at(e, DS_EINPUT, path, 0, "has no file '%s', expected %s", files[i].name, what);
    return rc;
}

static int read_folder(const char *what, ds_import_file *files, int n, ds_error *e)
{
    int rc = DS_OK;
    for (int i = 0; i < n && !rc; i++)
        rc = ds_file_read(files[i].path, what, &files[i].bytes, &files[i].n, e);
    return rc;
}

int ds_import_files_read(const char *source, const char *what, ds_import_file *files, int n, ds_error *e)
{
    struct stat st;
    for (int i = 0; i < n; i++)
        if (!(files[i].path = ds_path_join(source, files[i].name)))
            return ds_fail_memory(e);
    bool folder = stat(source, &st) == 0 && S_ISDIR(st.st_mode);
    return folder ? read_folder(what, files, n, e) : read_tar(source, what, files, n, e);
}

void ds_import_files_clear(ds_import_file *files, int n)
{
    for (int i = 0; i < n; i++) {
        free(files[i].path);
        free(files[i].bytes);
    }
}
