/* Do lists share an image? By the file that a path leads to, and by the bytes in it. */
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/data.h"
#include "data/lines.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PREFIX = 4096, /* bytes read first: most files of equal size differ there */
    CHUNK = 32768, /* bytes read at once, a multiple of 8 */
};

/* A line of a list. List 0 is the one that shall be apart from the others. */
typedef struct entry {
    char *path; /* owned */
    int list, line;
    bool readable, same_file;
    uint64_t size;
    uint64_t key[3];             /* equal keys: equal as far as is known */
    const struct entry *partner; /* of list 0: first entry of another list with an equal key; NULL: none */
} entry;

/* ---- reading ---- */

static int read_list(const ds_datafile *d, const char *path, int list, entry **v, size_t *n, ds_error *e)
{
    char *text, *line;
    DS_TRY(ds_file_read_text(path, "a list of images, one path a line", &text, e));
    ds_lines lines = ds_lines_of(text);
    while ((line = ds_lines_next(&lines))) {
        if (d->labels_from == DS_LIST)
            ds_line_label(line);
        if (*line)
            DS_PUSH(*v, *n, ((entry){.path = ds_path_near(line, path), .list = list, .line = lines.line}));
    }
    free(text);
    return DS_OK;
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

/* Two lanes of multiply and fold, eight bytes a step. Each step is one-to-one in the state and in the word,
 * so a lane tells any two inputs apart that differ in one word; both lanes agree on others by an accident of
 * 2^-128. */
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

/* The key becomes the size and the hash of the first `limit` bytes. */
static void hash_file(entry *x, uint64_t limit)
{
    unsigned char bytes[CHUNK];
    uint64_t h[2] = {0x243f6a8885a308d3u, 0x13198a2e03707344u};
    FILE *f = fopen(x->path, "rbe");
    size_t got = 0;
    for (uint64_t left = limit; f && left > 0; left -= got) {
        got = fread(bytes, 1, left < CHUNK ? (size_t)left : CHUNK, f);
        if (got == 0)
            break;
        memset(bytes + got, 0, -got & 7);
        hash_words(bytes, got, h);
    }
    x->readable = f && !ferror(f);
    if (f)
        fclose(f);
    x->key[0] = x->size;
    x->key[1] = h[0];
    x->key[2] = h[1];
}

/* ---- comparing: the entries that may still have a partner ---- */

typedef struct candidates {
    entry **v; /* n */
    size_t n;
    int threads;
} candidates;

static int compare_keys(const entry *x, const entry *y)
{
    for (int k = 0; k < 3; k++)
        if (x->key[k] != y->key[k])
            return x->key[k] < y->key[k] ? -1 : 1;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const entry *x = *(entry *const *)a, *y = *(entry *const *)b;
    int order = compare_keys(x, y);
    order = order ? order : x->list - y->list;
    return order ? order : x->line - y->line;
}

/* Those whose key no other side has are left out. */
static void match(candidates *c)
{
    size_t kept = 0, end, other;
    qsort(c->v, c->n, sizeof *c->v, compare);
    for (size_t i = 0; i < c->n; i = end) {
        for (end = i; end < c->n && compare_keys(c->v[i], c->v[end]) == 0; end++)
            ;
        for (other = i; other < end && c->v[other]->list == 0; other++)
            ;
        bool shared = other > i && other < end;
        for (size_t k = i; k < other; k++)
            c->v[k]->partner = shared ? c->v[other] : NULL;
        for (size_t k = i; k < end && shared; k++)
            c->v[kept++] = c->v[k];
    }
    c->n = kept;
}

static void match_files(candidates *c, entry *all, size_t n)
{
#pragma omp parallel for schedule(dynamic, 256) num_threads(c->threads)
    for (size_t i = 0; i < n; i++)
        look(&all[i]);
    for (size_t i = 0; i < n; i++)
        if (all[i].readable)
            c->v[c->n++] = &all[i];
    match(c);
    for (size_t i = 0; i < c->n; i++)
        c->v[i]->same_file = c->v[i]->list == 0;
}

static void match_sizes(candidates *c, entry *all, size_t n)
{
    c->n = 0;
    for (size_t i = 0; i < n; i++) {
        all[i].key[0] = all[i].size;
        all[i].key[1] = all[i].key[2] = 0;
        if (all[i].readable && !all[i].same_file)
            c->v[c->n++] = &all[i];
    }
    match(c);
}

/* By the first `limit` bytes, of which `known` are compared already. */
static void match_bytes(candidates *c, uint64_t known, uint64_t limit)
{
    size_t kept = 0;
#pragma omp parallel for schedule(dynamic, 64) num_threads(c->threads)
    for (size_t i = 0; i < c->n; i++)
        if (c->v[i]->size > known)
            hash_file(c->v[i], limit);
    for (size_t i = 0; i < c->n; i++) {
        c->v[i]->partner = NULL;
        if (c->v[i]->readable)
            c->v[kept++] = c->v[i];
    }
    c->n = kept;
    match(c);
}

/* ---- the verdict ---- */

/* paths: of the lists, as they were opened. */
static int tell_shared(const entry *all, size_t n, char *const *paths, ds_error *e)
{
    size_t shared = 0;
    const entry *first = NULL;
    for (size_t i = 0; i < n; i++)
        if (all[i].list == 0 && all[i].partner && shared++ == 0)
            first = &all[i];
    if (!first)
        return DS_OK;
    const entry *partner = first->partner;
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

static void tell_unreadable(const entry *all, size_t n, char *const *paths, ds_notes *notes)
{
    size_t unreadable = 0;
    const entry *first = NULL;
    for (size_t i = 0; i < n; i++)
        if (all[i].list && !all[i].readable && unreadable++ == 0)
            first = &all[i];
    if (first)
        ds_note(notes,
                "warning: %s:%d: image '%s' cannot be read, so it is not compared with %s (%zu such images)",
                paths[first->list], first->line, first->path, paths[0], unreadable);
}

/* Files are read only as far as needed: sizes, then the first bytes, then all. */
static int check(entry *all, size_t n, char *const *paths, int threads, ds_notes *notes, ds_error *e)
{
    candidates c = {.threads = threads};
    DS_ALLOC(c.v, n);
    match_files(&c, all, n);
    match_sizes(&c, all, n);
    match_bytes(&c, 0, PREFIX);
    match_bytes(&c, PREFIX, UINT64_MAX);
    free(c.v);
    tell_unreadable(all, n, paths, notes);
    return tell_shared(all, n, paths, e);
}

int ds_list_check_apart(const ds_datafile *d, const char *list, const char *const *others, int n, int threads,
                        ds_notes *notes, ds_error *e)
{
    entry *all = NULL;
    size_t entries = 0;
    int rc = DS_OK;
    char **paths;
    DS_ZALLOC(paths, (size_t)n + 1);
    for (int i = 0; i <= n && !rc; i++) {
        const char *name = i ? others[i - 1] : list;
        if (name) {
            paths[i] = ds_path_near(name, d->path);
            rc = read_list(d, paths[i], i, &all, &entries, e);
        }
    }
    if (!rc)
        rc = check(all, entries, paths, threads, notes, e);
    for (size_t i = 0; i < entries; i++)
        free(all[i].path);
    for (int i = 0; i <= n; i++)
        free(paths[i]);
    free(all);
    free(paths);
    return rc;
}
