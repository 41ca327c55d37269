/* Distinct texts of a CSV column as small numbers. */
#ifndef DS_REPORT_TEXTS_H
#define DS_REPORT_TEXTS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Texts belong to the caller and must stay. Zero-initialise; release with ds_interned_clear. */
typedef struct ds_interned {
    char **text;     /* n, by number */
    uint64_t *hash;  /* n */
    int n, capacity; /* of the two arrays */
    int *slot;       /* open addressing: number or -1 */
    size_t slots;    /* a power of two, 0 at first */
} ds_interned;

/* The number of `text`, a new one when it is the first of its kind. DS_ENOMEM; DS_EINPUT for more than 2^30. */
int ds_interned_add(ds_interned *t, char *text, int *number, ds_error *e);
/* Put the texts into natural order ("2" before "10"), after which none can be added. rank: n, fresh memory, the new
 * number of each old one. DS_ENOMEM. */
int ds_interned_sort(ds_interned *t, int **rank, ds_error *e);
void ds_interned_clear(ds_interned *t);

#endif
