/* Prefetching: a ring of places that threads of its own fill. The caller puts jobs in, each into the next
 * place, and takes them out in the same order. */
#pragma once

#include "base/error.h"

typedef struct ds_ring ds_ring; /* opaque */

/* `fill` does the job in a place, several at a time on `threads` threads; signals go to other threads.
 * DS_ENOMEM when a thread cannot be started. */
int ds_ring_new(size_t places, int threads, void (*fill)(void *arg, size_t place), void *arg, ds_ring **ring,
                ds_error *e);
/* Waits for the jobs under way; the others are not begun. */
void ds_ring_free(ds_ring *r);

/* Jobs that were put in and not yet taken out. */
size_t ds_ring_jobs(const ds_ring *r);
/* The place of the next job, the caller's until it is put in; false: none is free. */
bool ds_ring_place(const ds_ring *r, size_t *place);
void ds_ring_put(ds_ring *r);
/* Takes the oldest n jobs out, 1 <= n <= ds_ring_jobs, as soon as all are done. Returns the place of the
 * first; the others follow it around the ring. They stay as they are until as many jobs are put in again. */
size_t ds_ring_take(ds_ring *r, size_t n);
