#include "base/safetensors.h"
#include "base/file.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

size_t ds_saved_bytes(const ds_saved *a)
{
    const size_t size = strstr(a->dtype, "64")   ? 8
                        : strstr(a->dtype, "32") ? 4
                        : strstr(a->dtype, "16") ? 2
                                                 : 1;
    return a->rows * a->columns * size;
}

/* Fresh memory. Blanks at its end let the arrays begin at a multiple of 8. */
static char *make_header(json_t *metadata, const ds_saved *a, int n)
{
    json_int_t at = 0;
    json_auto_t *all = json_pack("{s: O}", "__metadata__", metadata);
    for (int i = 0; i < n; i++) {
        json_int_t end = at + (json_int_t)ds_saved_bytes(&a[i]);
        json_t *one = json_pack("{s: s, s: [I, I], s: [I, I]}", "dtype", a[i].dtype, "shape",
                                (json_int_t)a[i].rows, (json_int_t)a[i].columns, "data_offsets", at, end);
        if (json_object_set_new(all, a[i].name, one))
            ds_out_of_memory();
        at = end;
    }
    DS_FREED char *text = json_dumps(all, JSON_COMPACT);
    if (!text)
        ds_out_of_memory();
    return ds_format("%s%*s", text, (int)(7 - (strlen(text) + 7) % 8), "");
}

/* A text of the metadata: the CRC-32 of all arrays, as they lie in the file. */
static void add_checksum(json_t *metadata, const ds_saved *a, int n)
{
    uLong crc = crc32_z(0, NULL, 0);
    for (int i = 0; i < n; i++)
        crc = crc32_z(crc, a[i].values, ds_saved_bytes(&a[i]));
    if (json_object_set_new(metadata, "crc32", json_sprintf("%08lx", crc)))
        ds_out_of_memory();
}

/* Files of other programs may have none. */
static bool is_whole(const ds_saved_file *f)
{
    char text[16];
    const char *crc = NULL;
    json_unpack(f->header, "{s: {s: s}}", "__metadata__", "crc32", &crc);
    snprintf(text, sizeof text, "%08lx", crc32_z(0, f->data, f->n));
    return f->header && (!crc || strcmp(crc, text) == 0);
}

/* There is one of the two files at any time. */
static void keep_old(const char *path)
{
    DS_FREED char *old = ds_format("%s.1", path);
    if (ds_path_exists(path) && (unlink(old), link(path, old)))
        rename(path, old); /* a file system without hard links */
}

int ds_saved_write(const char *path, json_t *metadata, const ds_saved *a, int n, bool keep, ds_error *e)
{
    ds_writer w;
    DS_TRY(ds_writer_open(&w, path, e));
    add_checksum(metadata, a, n);
    DS_FREED char *header = make_header(metadata, a, n);
    uint64_t length = strlen(header);
    fwrite(&length, sizeof length, 1, w.f);
    fputs(header, w.f);
    for (int i = 0; i < n; i++)
        fwrite(a[i].values, 1, ds_saved_bytes(&a[i]), w.f);
    if (keep && fflush(w.f) == 0 && !ferror(w.f))
        keep_old(path);
    return ds_writer_commit(&w, e);
}

int ds_saved_open(ds_saved_file *f, char *path, const char *what, ds_error *e)
{
    uint64_t length = 0;
    struct stat st;
    *f = (ds_saved_file){.path = path};
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return ds_fail_at(e, DS_EINPUT, path, 0, "is no regular file, expected %s", what);
    DS_TRY(ds_file_read(path, what, &f->bytes, &f->n, e));
    memcpy(&length, f->bytes, f->n < sizeof length ? 0 : sizeof length);
    if (length > 0 && length <= f->n - sizeof length) {
        f->data = f->bytes + sizeof length + length;
        f->n -= sizeof length + length;
        f->header = json_loadb((char *)f->data - length, length, JSON_REJECT_DUPLICATES, NULL);
    }
    return is_whole(f)
               ? DS_OK
               : ds_fail_at(e, DS_EINPUT, path, 0,
                            "is damaged, or of another kind, expected %s in the safetensors format", what);
}

size_t ds_saved_rows(const ds_saved_file *f, const char *name)
{
    json_int_t n, one, begin, end;
    bool fits = !json_unpack(json_object_get(f->header, name), "{s: [I, I], s: [I, I]}", "shape", &n, &one,
                             "data_offsets", &begin, &end) &&
                n > 0 && end > 0 && (size_t)n <= f->n && (size_t)end <= f->n;
    return fits ? (size_t)n : 0;
}

int ds_saved_read(const ds_saved_file *f, const ds_saved *a, ds_error *e)
{
    json_int_t rows, columns, begin, end;
    const char *dtype;
    if (json_unpack(json_object_get(f->header, a->name), "{s: s, s: [I, I], s: [I, I]}", "dtype", &dtype,
                    "shape", &rows, &columns, "data_offsets", &begin, &end) ||
        strcmp(dtype, a->dtype) != 0 || rows != (json_int_t)a->rows || columns != (json_int_t)a->columns ||
        begin < 0 || end < begin || (size_t)end > f->n || (size_t)(end - begin) != ds_saved_bytes(a))
        return ds_fail_at(e, DS_EINPUT, f->path, 0, "has no whole array '%s', expected %s [%zu, %zu]",
                          a->name, a->dtype, a->rows, a->columns);
    memcpy(a->values, f->data + begin, ds_saved_bytes(a));
    return DS_OK;
}

int ds_saved_text(const ds_saved_file *f, const char *name, char **text, ds_error *e)
{
    ds_saved a = {.dtype = "U8", .rows = ds_saved_rows(f, name), .columns = 1};
    snprintf(a.name, sizeof a.name, "%s", name);
    a.values = *text = ds_xcalloc(a.rows + 1, 1);
    return ds_saved_read(f, &a, e);
}

void ds_saved_close(ds_saved_file *f)
{
    json_decref(f->header);
    free(f->bytes);
    free(f->path);
    *f = (ds_saved_file){0};
}
