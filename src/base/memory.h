/* Memory that is there or ends the program: no caller carries "out of memory" on. */
#pragma once

#include "base/text.h"

/* Fresh memory, never NULL (n = 0 gives a block too), not cleared; free with free(). A size that comes from
 * outside the program, from the header of a file, say, is checked before. */
DS_PUBLIC void *ds_xmalloc(size_t n);
/* `n` elements of `size` bytes, cleared. */
DS_PUBLIC void *ds_xcalloc(size_t n, size_t size);
/* As realloc: `p` may be NULL. */
DS_PUBLIC void *ds_xrealloc(void *p, size_t n, size_t size);

/* When memory runs out the program prints `error: out of memory` and ends with status 1. A program that
 * embeds this one may set a handler, called before that, which need not return (longjmp, another end);
 * NULL: none. */
void ds_memory_handler(void (*handler)(void));
/* The same end for memory that a library did not get. */
_Noreturn void ds_out_of_memory(void);

/* What the process may take: the machine's memory, its address space (ulimit -v), or what the control group
 * that it is in allows (version 1 or 2), or one of those above. */
size_t ds_memory_limit(void);

/* Of a local variable, whichever way its scope is left: its memory is freed; `clear` gets its address. */
#define DS_FREED __attribute__((cleanup(ds_free_at), unused))
#define DS_FINALLY(clear) __attribute__((cleanup(clear), unused))
DS_PUBLIC void ds_free_at(void *pointer);

/* Room for n elements of an array, not cleared; cleared: `int *v = DS_ALLOC(v, n);`. */
#define DS_ALLOC(array, n) ((array) = ds_xrealloc(NULL, (n), sizeof *(array)))
#define DS_ZALLOC(array, n) ((array) = ds_xcalloc((n), sizeof *(array)))
/* Append to an array of n elements that grows by this macro alone: its room is the power of two that holds
 * n. */
#define DS_PUSH(array, n, element)                                                      \
    do {                                                                                \
        if (((n) & ((n)-1)) == 0)                                                       \
            (array) = ds_xrealloc((array), (n) ? 2 * (size_t)(n) : 1, sizeof *(array)); \
        (array)[(n)++] = (element);                                                     \
    } while (0)
