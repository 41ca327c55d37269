/* Processes that do one command together, each of them a rank: what their launcher (mpirun, srun) says, and
 * the few things that they do at the same time. The messages are MPI's: mpi.c, a library of its own, which
 * is opened where there are several. */
#pragma once

#include "base/error.h"

/* What all ranks call in the same order. MPI ends all of them, with a message, where it fails. */
typedef struct ds_messages {
    void (*start)(int *rank, int *size);
    /* Rank r's rows [starts[r], starts[r + 1]) of `row` bytes are `mine` there, and in `all` everywhere. */
    void (*gather)(const void *mine, void *all, const int *starts, size_t row);
    void (*share)(void *bytes, size_t n);  /* rank 0's become all ranks' */
    void (*sum)(double *values, size_t n); /* in place, in an order that is fixed */
    /* The same in the background; `end` waits and frees. The work goes on inside `poll` and `end`. */
    void *(*sum_begin)(float *values, int n);
    void (*sum_poll)(void *sum);
    void (*sum_end)(void *sum);
    /* What all do last: the first rank that has failed, or how many there are. -1 after two seconds without
     * the others, unless `patient`. */
    int (*meet)(bool failed, bool patient);
    void (*end)(void);
    void (*abort)(int status); /* of all ranks; not in step with them */
} ds_messages;

typedef struct ds_ranks {
    int rank, size; /* of several: 0 to size - 1; else 0 and 1 */
    int local;      /* how many of them are on this host, 0: the launcher does not say */
    char host[64];
    bool agreed; /* all ranks know what this one ends with, and end too */
    const ds_messages *pass;
} ds_ranks;

/* Meet the others, if there are any. DS_EHOST: MPI's part of the program is missing, or sees other ranks
 * than the launcher. */
int ds_ranks_open(ds_ranks *r, ds_error *e);
/* rc, with *e: what a rank's last step has returned. DS_OK where that is so on all ranks, else on all of
 * them the failure of the first that has one; rank and host are in its text, unless it is rank 0. *flag
 * (may be NULL) is true afterwards where one's is. r NULL: there is one rank, whose is what it is. */
int ds_ranks_agree(ds_ranks *r, int rc, bool *flag, ds_error *e);
/* DS_EINPUT on all ranks: one's `hash` of `what` is not that of rank 0. r NULL: there is one rank. */
int ds_ranks_compare(ds_ranks *r, const char *what, uint64_t hash, ds_error *e);
/* The same of n files' bytes; NULL is none. Where one cannot read them, all fail. */
int ds_ranks_compare_files(ds_ranks *r, const char *const *paths, int n, ds_error *e);
/* What each rank has in its memory, one behind the other, in fresh memory; NULL on all of them: they are too
 * large together. */
char *ds_ranks_gather(ds_ranks *r, const void *mine, size_t bytes, size_t *total);
