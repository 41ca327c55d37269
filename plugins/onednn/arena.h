/* Memory for buffers that live for a while: two whose times do not meet may lie in the same place. */
#pragma once

#include "base/error.h"

typedef struct ds_lease {
    size_t bytes, offset;
    int from, to; /* first and last moment of use */
} ds_lease;

typedef struct ds_arena {
    ds_lease *leases;
    int n;
    char *memory;
    size_t bytes;
} ds_arena;

/* A number for ds_arena_at, from 1 on. */
int ds_arena_want(ds_arena *a, size_t bytes, int from, int to);
/* The buffer is in use at that moment too. id 0: nothing. */
void ds_arena_extend(ds_arena *a, int id, int moment);
/* If nobody needs buffer `from` after the moment, `to` is given up and `from` lives on in its place. */
bool ds_arena_hand_over(ds_arena *a, int from, int to, int moment);
/* Place all buffers, aligned to 64 bytes, and get the memory (zeros). */
int ds_arena_make(ds_arena *a, ds_error *e);
/* NULL for id 0. */
void *ds_arena_at(const ds_arena *a, int id);
void ds_arena_clear(ds_arena *a);
