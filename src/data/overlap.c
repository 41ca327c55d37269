/* Do lists share an image? By the file that a path leads to, and by the bytes in it. */
#include "base/file.h"
#include "base/text.h"
#include "data/data.h"
#include "data/lines.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PREFIX = 4096, /* bytes read first: most files of equal size differ there */
    CHUNK = 32768, /* bytes read at once, a multiple of 8 */
};
#define NONE SIZE_MAX

typedef struct entry {
    char *path;
    int line;
    int list; /* number of its list */
    bool readable;
    bool live; /* takes part in the comparison that is under way */
    uint64_t size;
    uint64_t key[3]; /* equal keys: equal as far as is known */
    size_t partner;  /* entry of the other side with an equal key, or NONE */
    bool same_file;
} entry;

/* The entries of one or more lists. */
typedef struct entries {
    entry *v; /* n */
    size_t n, capacity;
} entries;

static void entries_clear(entries *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->v[i].path);
    free(a->v);
    *a = (entries){0};
}

/* ---- reading ---- */

static int add_entry(entries *a, const char *path, const char *list, int number, int line, ds_error *e)
{
    if (a->n == a->capacity) {
        size_t wanted = a->capacity ? 2 * a->capacity : 1024;
        entry *grown = realloc(a->v, wanted * sizeof *grown);
        if (!grown)
            return ds_fail_memory(e);
        a->v = grown;
        a->capacity = wanted;
    }
    char *found = ds_path_near(path, list);
    if (!found)
        return ds_fail_memory(e);
    a->v[a->n++] = (entry){.path = found, .line = line, .list = number, .partner = NONE};
    return DS_OK;
}

/* The path of a line: what stands before the label, where the list holds that. */
static char *path_of(const ds_datafile *d, char *line)
{
    char *tab = d->labels_from == DS_LIST ? strrchr(line, '\t') : NULL;
    if (tab)
        *tab = '\0';
    return ds_trim(line);
}

static int read_list(const ds_datafile *d, const char *list, int number, entries *a, ds_error *e)
{
    char *text, *line;
    int rc = ds_file_read_text(list, "a list of images, one path a line", &text, e);
    if (rc)
        return rc;
    ds_lines lines = ds_lines_of(text);
    while (!rc && (line = ds_lines_next(&lines)))
        if (*line)
            rc = add_entry(a, path_of(d, line), list, number, lines.line, e);
    free(text);
    return rc;
}

/* ---- what is known of a file ---- */

static void look(entry *x)
{
    struct stat s;
    x->readable = stat(x->path, &s) == 0 && S_ISREG(s.st_mode);
    if (!x->readable)
        return;
    x->size = (uint64_t)s.st_size;
    x->key[0] = (uint64_t)s.st_dev;
    x->key[1] = (uint64_t)s.st_ino;
}

/* Two lanes of multiply and fold, eight bytes a step. Each step is one-to-one in the state and in the word, so a
 * lane tells any two inputs apart that differ in one word; both lanes agree on others by an accident of 2^-128. */
static void hash_words(const unsigned char *bytes, size_t n, uint64_t h[2])
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        h[0] = (h[0] ^ word) * 0x9e3779b97f4a7c15u;
        h[0] ^= h[0] >> 32;
        h[1] = (h[1] ^ (word << 29 | word >> 35)) * 0xd6e8feb86659fd93u;
        h[1] ^= h[1] >> 29;
    }
}

/* Up to n bytes, fewer at the end of the file; -1: an error. */
static ssize_t read_full(int fd, unsigned char *bytes, size_t n)
{
    size_t got = 0;
    while (got < n) {
        ssize_t r = read(fd, bytes + got, n - got);
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        got += (size_t)r;
    }
    return (ssize_t)got;
}

/* The key becomes the size and the hash of the first `limit` bytes. */
static void hash_file(entry *x, uint64_t limit)
{
    unsigned char bytes[CHUNK];
    uint64_t h[2] = {0x243f6a8885a308d3u, 0x13198a2e03707344u}, left = limit;
    int fd = open(x->path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 0;
    while (left > 0 && got >= 0) {
        size_t wanted = left < CHUNK ? (size_t)left : CHUNK;
        got = read_full(fd, bytes, wanted);
        if (got <= 0)
            break;
        memset(bytes + got, 0, (size_t)(-got & 7));
        hash_words(bytes, (size_t)got, h);
        left -= (uint64_t)got;
    }
    if (fd >= 0)
        close(fd);
    if (got < 0) {
        x->readable = x->live = false;
        x->partner = NONE;
    }
    x->key[0] = x->size;
    x->key[1] = h[0];
    x->key[2] = h[1];
}

static void look_all(entries *a, int threads)
{
    (void)threads;
#pragma omp parallel for schedule(dynamic, 256) num_threads(threads)
    for (size_t i = 0; i < a->n; i++)
        look(&a->v[i]);
}

/* Of the live ones that are longer than `above`: the first `limit` bytes. */
static void hash_all(entries *a, uint64_t above, uint64_t limit, int threads)
{
    (void)threads;
#pragma omp parallel for schedule(dynamic, 64) num_threads(threads)
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].live && a->v[i].size > above)
            hash_file(&a->v[i], limit);
}

/* ---- comparing ---- */

static int compare_keys(const uint64_t *a, const uint64_t *b)
{
    for (int k = 0; k < 3; k++)
        if (a[k] != b[k])
            return a[k] < b[k] ? -1 : 1;
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    const entry *x = *(entry *const *)a, *y = *(entry *const *)b;
    return compare_keys(x->key, y->key);
}

/* First of the n sorted entries with this key, or n. */
static size_t find_key(entry *const *sorted, size_t n, const uint64_t *key)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_keys(sorted[middle]->key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && compare_keys(sorted[low]->key, key) == 0 ? low : n;
}

/* Live entries keep living when the other side has their key; those of `own` get its first entry as partner. */
static void match(entry **sorted, entries *own, entries *other)
{
    size_t n = 0;
    for (size_t i = 0; i < own->n; i++)
        if (own->v[i].live) {
            sorted[n++] = &own->v[i];
            own->v[i].partner = NONE;
        }
    qsort(sorted, n, sizeof *sorted, compare_entries);
    for (size_t j = 0; j < other->n; j++) {
        if (!other->v[j].live)
            continue;
        size_t first = find_key(sorted, n, other->v[j].key);
        other->v[j].live = first < n;
        if (first < n && sorted[first]->partner == NONE)
            sorted[first]->partner = j;
    }
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && compare_keys(sorted[i - 1]->key, sorted[i]->key) == 0)
            sorted[i]->partner = sorted[i - 1]->partner;
        sorted[i]->live = sorted[i]->partner != NONE;
    }
}

static void match_files(entry **sorted, entries *own, entries *other)
{
    for (size_t i = 0; i < own->n; i++)
        own->v[i].live = own->v[i].readable;
    for (size_t j = 0; j < other->n; j++)
        other->v[j].live = other->v[j].readable;
    match(sorted, own, other);
    for (size_t i = 0; i < own->n; i++)
        own->v[i].same_file = own->v[i].partner != NONE;
}

static void key_by_size(entries *a)
{
    for (size_t i = 0; i < a->n; i++) {
        entry *x = &a->v[i];
        x->live = x->readable && !x->same_file;
        x->key[0] = x->size;
        x->key[1] = x->key[2] = 0;
    }
}

/* Files are read only as far as needed: sizes, then the first bytes, then all. */
static void match_contents(entry **sorted, entries *own, entries *other, int threads)
{
    key_by_size(own);
    key_by_size(other);
    match(sorted, own, other);
    hash_all(own, 0, PREFIX, threads);
    hash_all(other, 0, PREFIX, threads);
    match(sorted, own, other);
    hash_all(own, PREFIX, UINT64_MAX, threads);
    hash_all(other, PREFIX, UINT64_MAX, threads);
    match(sorted, own, other);
}

/* ---- the verdict ---- */

/* paths: of the lists, as they were opened; [0] is that of `own`. */
static int tell_shared(const entries *own, const entries *other, char *const *paths, ds_error *e)
{
    size_t shared = 0;
    const entry *first = NULL;
    for (size_t i = 0; i < own->n; i++)
        if (own->v[i].partner != NONE && shared++ == 0)
            first = &own->v[i];
    if (!first)
        return DS_OK;
    const entry *partner = &other->v[first->partner];
    char more[64] = "";
    if (shared > 1)
        snprintf(more, sizeof more, " (and %zu more)", shared - 1);
    const char *expected = "expected lists that share no image";
    if (first->same_file)
        return ds_fail_at(e, DS_EINPUT, paths[0], first->line, "image '%s' is also in %s:%d%s, %s",
                          first->path, paths[partner->list], partner->line, more, expected);
    return ds_fail_at(e, DS_EINPUT, paths[0], first->line, "image '%s' has the bytes of '%s' in %s:%d%s, %s",
                      first->path, partner->path, paths[partner->list], partner->line, more, expected);
}

static void tell_unreadable(const entries *other, char *const *paths, ds_notes *notes)
{
    size_t unreadable = 0;
    const entry *first = NULL;
    for (size_t j = 0; j < other->n; j++)
        if (!other->v[j].readable && unreadable++ == 0)
            first = &other->v[j];
    if (first)
        ds_note(notes,
                "warning: %s:%d: image '%s' cannot be read, so it is not compared with %s (%zu such images)",
                paths[first->list], first->line, first->path, paths[0], unreadable);
}

static int compare(entries *own, entries *other, char *const *paths, int threads, ds_notes *notes,
                   ds_error *e)
{
    entry **sorted = malloc((own->n + 1) * sizeof(entry *));
    if (!sorted)
        return ds_fail_memory(e);
    look_all(own, threads);
    look_all(other, threads);
    match_files(sorted, own, other);
    match_contents(sorted, own, other, threads);
    free(sorted);
    tell_unreadable(other, paths, notes);
    return tell_shared(own, other, paths, e);
}

int ds_list_check_apart(const ds_datafile *d, const char *list, const char *const *others, int n, int threads,
                        ds_notes *notes, ds_error *e)
{
    entries own = {0}, other = {0};
    char **paths = calloc((size_t)n + 1, sizeof *paths);
    int rc = paths ? DS_OK : ds_fail_memory(e);
    for (int i = 0; i <= n && !rc; i++) {
        const char *name = i ? others[i - 1] : list;
        if (!name)
            continue;
        paths[i] = ds_path_near(name, d->path);
        rc = paths[i] ? read_list(d, paths[i], i, i ? &other : &own, e) : ds_fail_memory(e);
    }
    if (!rc)
        rc = compare(&own, &other, paths, threads, notes, e);
    for (int i = 0; paths && i <= n; i++)
        free(paths[i]);
    free(paths);
    entries_clear(&own);
    entries_clear(&other);
    return rc;
}
