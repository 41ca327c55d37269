#include "report/texts.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a; its low bits are mixed once more because they choose the slot. */
static uint64_t hash_of(const char *s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

/* Where `text` is, or the free slot where it belongs. */
static size_t find(const ds_interned *t, const char *text, uint64_t hash)
{
    size_t at = hash & (t->slots - 1);
    while (t->slot[at] >= 0 && (t->hash[t->slot[at]] != hash || strcmp(t->text[t->slot[at]], text) != 0))
        at = (at + 1) & (t->slots - 1);
    return at;
}

/* At least half of the slots stay free. */
static int grow_slots(ds_interned *t, ds_error *e)
{
    if ((size_t)t->n * 2 < t->slots)
        return DS_OK;
    size_t slots = t->slots ? t->slots * 2 : 64;
    int *slot = malloc(slots * sizeof *slot);
    if (!slot)
        return ds_fail_memory(e);
    for (size_t i = 0; i < slots; i++)
        slot[i] = -1;
    for (int i = 0; i < t->n; i++) {
        size_t at = t->hash[i] & (slots - 1);
        while (slot[at] >= 0)
            at = (at + 1) & (slots - 1);
        slot[at] = i;
    }
    free(t->slot);
    t->slot = slot;
    t->slots = slots;
    return DS_OK;
}

static int grow_texts(ds_interned *t, ds_error *e)
{
    if (t->n < t->capacity)
        return DS_OK;
    if (t->n >= 1 << 30)
        return ds_fail(e, DS_EINPUT, "more than %d different labels", t->n);
    int wanted = t->capacity ? t->capacity * 2 : 32;
    char **text = realloc(t->text, (size_t)wanted * sizeof *text);
    if (!text)
        return ds_fail_memory(e);
    t->text = text;
    uint64_t *hash = realloc(t->hash, (size_t)wanted * sizeof *hash);
    if (!hash)
        return ds_fail_memory(e);
    t->hash = hash;
    t->capacity = wanted;
    return DS_OK;
}

int ds_interned_add(ds_interned *t, char *text, int *number, ds_error *e)
{
    uint64_t hash = hash_of(text);
    int rc = grow_slots(t, e);
    if (rc)
        return rc;
    size_t at = find(t, text, hash);
    if (t->slot[at] < 0) {
        if ((rc = grow_texts(t, e)))
            return rc;
        t->text[t->n] = text;
        t->hash[t->n] = hash;
        t->slot[at] = t->n++;
    }
    *number = t->slot[at];
    return DS_OK;
}

typedef struct entry {
    char *text;
    int number;
} entry;

static int by_text(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int order = strverscmp(x->text, y->text);
    return order ? order : x->number - y->number;
}

int ds_interned_sort(ds_interned *t, int **rank, ds_error *e)
{
    size_t n = (size_t)t->n;
    entry *order = malloc((n + 1) * sizeof *order);
    *rank = malloc((n + 1) * sizeof **rank);
    if (!order || !*rank) {
        free(order);
        free(*rank);
        *rank = NULL;
        return ds_fail_memory(e);
    }
    for (size_t i = 0; i < n; i++)
        order[i] = (entry){t->text[i], (int)i};
    qsort(order, n, sizeof *order, by_text);
    for (size_t i = 0; i < n; i++) {
        t->text[i] = order[i].text;
        (*rank)[order[i].number] = (int)i;
    }
    free(order);
    /* the slots lead to the old numbers */
    free(t->slot);
    t->slot = NULL;
    t->slots = 0;
    return DS_OK;
}

void ds_interned_clear(ds_interned *t)
{
    free(t->text);
    free(t->hash);
    free(t->slot);
    *t = (ds_interned){0};
}
