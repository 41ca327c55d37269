/* Do lists share an image? By the file that a path leads to, and by the bytes in it. */
#include "data/data.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { CHUNK = 32768 }; /* bytes read at once */

/* ---- what is known of a file; `list` is -1 where it cannot be read ---- */

static void look(const char *path, ds_same *x)
{
    struct stat s;
    if (stat(path, &s) || !S_ISREG(s.st_mode)) {
        x->list = -1;
        return;
    }
    x->file[0] = (uint64_t)s.st_dev;
    x->file[1] = (uint64_t)s.st_ino;
    x->key[0] = (uint64_t)s.st_size;
}

/* The key becomes the size and two checksums. */
static void hash_file(const char *path, ds_same *x)
{
    unsigned char bytes[CHUNK];
    uLong crc = crc32(0, NULL, 0), adler = adler32(0, NULL, 0);
    FILE *f = fopen(path, "rbe");
    for (size_t got; f && (got = fread(bytes, 1, CHUNK, f));) {
        crc = crc32_z(crc, bytes, got);
        adler = adler32_z(adler, bytes, got);
    }
    if (!f || ferror(f))
        x->list = -1;
    if (f)
        fclose(f);
    x->key[1] = crc;
    x->key[2] = adler;
}

static int compare_keys(const ds_same *x, const ds_same *y)
{
    for (int k = 0; k < 3; k++)
        if (x->key[k] != y->key[k])
            return x->key[k] < y->key[k] ? -1 : 1;
    return 0;
}

bool ds_same_file(const ds_same *x, const ds_same *y)
{
    return memcmp(x->file, y->file, sizeof x->file) == 0;
}

static int compare(const void *a, const void *b)
{
    const ds_same *x = a, *y = b;
    int order = compare_keys(x, y);
    order = order ? order : x->list - y->list;
    return order ? order : x->image - y->image;
}

int ds_same_end(const ds_same *v, int n, int i)
{
    int end = i + 1;
    while (end < n && compare_keys(&v[i], &v[end]) == 0)
        end++;
    return end;
}

/* Those whose key no other one has are left out. Returns how many stay. */
static int match(ds_same *v, int n)
{
    int kept = 0, readable = 0;
    for (int i = 0; i < n; i++)
        if (v[i].list >= 0)
            v[readable++] = v[i];
    if (readable)
        qsort(v, (size_t)readable, sizeof *v, compare);
    for (int i = 0, end; i < readable; i = end) {
        end = ds_same_end(v, readable, i);
        for (int k = i; k < end && end > i + 1; k++)
            v[kept++] = v[k];
    }
    return kept;
}

int ds_images_same(const ds_images *lists, int n, int threads, ds_same **same)
{
    int all = 0;
    ds_same *v = NULL;
    (void)threads;
    for (int list = 0; list < n; list++)
        for (int i = 0; i < lists[list].n; i++)
            DS_PUSH(v, all, ((ds_same){.list = list, .image = i}));
#pragma omp parallel for schedule(dynamic, 256) num_threads(threads)
    for (int i = 0; i < all; i++)
        look(lists[v[i].list].paths[v[i].image], &v[i]);
    all = match(v, all);
#pragma omp parallel for schedule(dynamic, 64) num_threads(threads)
    for (int i = 0; i < all; i++)
        hash_file(lists[v[i].list].paths[v[i].image], &v[i]);
    *same = v;
    return match(v, all);
}

/* ---- lists that must not share an image ---- */

static int tell_shared(const ds_images *lists, const ds_same *v, int n, ds_notes *notes, ds_error *e)
{
    const ds_same *first = NULL, *partner = NULL;
    int shared = 0, copies = 0;
    for (int i = 0, end; i < n; i = end) {
        end = ds_same_end(v, n, i);
        for (int k = i + 1; k < end && v[k].list == 0; k++)
            copies++;
        for (int k = i; v[k].list == 0 && v[end - 1].list > 0; k++, shared++)
            if (!first || v[k].image < first->image) {
                first = &v[k];
                partner = &v[end - 1];
            }
    }
    if (copies)
        ds_note(
            notes,
            "warning: %s: %d of %d images have the bytes of one before: each counts as one drawn by chance",
            lists->list, copies, lists->n);
    if (!first)
        return DS_OK;
    /* the same file, if it can be, else the one that comes first */
    for (const ds_same *y = partner; y->list > 0; y--)
        if (ds_same_file(y, first) || !ds_same_file(partner, first))
            partner = y;
    const ds_images *other = &lists[partner->list];
    const bool same_file = ds_same_file(first, partner);
    char more[64] = "";
    if (shared > 1)
        snprintf(more, sizeof more, " (and %d more)", shared - 1);
    return ds_fail_at(e, DS_EINPUT, lists->list, lists->lines[first->image],
                      "image '%s' %s%s%s%s:%d%s, expected lists that share no image",
                      lists->paths[first->image], same_file ? "is also in " : "has the bytes of '",
                      same_file ? "" : other->paths[partner->image], same_file ? "" : "' in ", other->list,
                      other->lines[partner->image], more);
}

static void tell_unreadable(const ds_images *lists, int n, ds_notes *notes)
{
    const ds_images *first = NULL;
    int unreadable = 0, image = 0;
    for (const ds_images *l = lists + 1; l < lists + n; l++)
        for (int i = 0; i < l->n; i++)
            if (access(l->paths[i], R_OK) && unreadable++ == 0) {
                first = l;
                image = i;
            }
    if (first)
        ds_note(notes,
                "warning: %s:%d: image '%s' cannot be read, so it is not compared with %s (%d such images)",
                first->list, first->lines[image], first->paths[image], lists->list, unreadable);
}

int ds_list_check_apart(const ds_datafile *d, const char *list, const char *const *others, int n, int threads,
                        ds_notes *notes, ds_error *e)
{
    DS_FREED ds_same *same = NULL;
    int rc = DS_OK;
    DS_FREED ds_images *lists = DS_ZALLOC(lists, (size_t)n + 1);
    for (int i = 0; i <= n && !rc; i++)
        if (i == 0 || others[i - 1])
            rc = ds_images_read(d, i ? others[i - 1] : list, false, &lists[i], e);
    if (!rc) {
        int found = ds_images_same(lists, n + 1, threads, &same);
        tell_unreadable(lists, n + 1, notes);
        rc = tell_shared(lists, same, found, notes, e);
    }
    for (int i = 0; i <= n; i++)
        ds_images_clear(&lists[i]);
    return rc;
}
