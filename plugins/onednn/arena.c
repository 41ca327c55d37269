#include "plugins/onednn/arena.h"

#include <sys/mman.h>

enum { ALIGNMENT = 64 };

int ds_arena_want(ds_arena *a, size_t bytes, int from, int to)
{
    ds_lease l = {.bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT,
                  .from = from < to ? from : to,
                  .to = from < to ? to : from};
    DS_PUSH(a->leases, a->n, l);
    return a->n;
}

void ds_arena_extend(ds_arena *a, int id, int moment)
{
    if (!id)
        return;
    ds_lease *l = &a->leases[id - 1];
    l->from = moment < l->from ? moment : l->from;
    l->to = moment > l->to ? moment : l->to;
}

bool ds_arena_hand_over(ds_arena *a, int from, int to, int moment)
{
    ds_lease *theirs = &a->leases[from - 1], *ours = &a->leases[to - 1];
    if (theirs->to > moment)
        return false;
    theirs->to = ours->to;
    ours->bytes = 0;
    return true;
}

static int larger_first(const void *x, const void *y)
{
    const ds_lease *a = *(ds_lease *const *)x, *b = *(ds_lease *const *)y;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    return a < b ? -1 : a > b;
}

/* The lowest place where no placed buffer of the same time lies. `placed` is sorted by nothing: after a
 * conflict the search goes on behind it until none is left. */
static size_t lowest_place(ds_lease *const *placed, int n, const ds_lease *l)
{
    size_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < n; i++) {
            const ds_lease *p = placed[i];
            if (p->from <= l->to && l->from <= p->to && at < p->offset + p->bytes &&
                p->offset < at + l->bytes) {
                at = p->offset + p->bytes;
                moved = true;
            }
        }
    }
    return at;
}

int ds_arena_make(ds_arena *a, ds_error *e)
{
    DS_FREED ds_lease **order = DS_ALLOC(order, a->n);
    for (int i = 0; i < a->n; i++)
        order[i] = &a->leases[i];
    qsort(order, (size_t)a->n, sizeof *order, larger_first);
    for (int i = 0; i < a->n; i++) {
        order[i]->offset = lowest_place(order, i, order[i]);
        size_t end = order[i]->offset + order[i]->bytes;
        a->bytes = end > a->bytes ? end : a->bytes;
    }
    a->bytes += !a->bytes;
    void *memory = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return ds_fail(e, DS_ENOMEM, "out of memory: the layers of the network need %zu MB", a->bytes >> 20);
    a->memory = memory;
    madvise(memory, a->bytes, MADV_HUGEPAGE); /* a wish */
    return DS_OK;
}

void *ds_arena_at(const ds_arena *a, int id)
{
    return id ? a->memory + a->leases[id - 1].offset : NULL;
}

void ds_arena_clear(ds_arena *a)
{
    if (a->memory)
        munmap(a->memory, a->bytes);
    free(a->leases);
    *a = (ds_arena){0};
}
