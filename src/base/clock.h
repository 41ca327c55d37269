/* The time since some moment, for measuring; it never goes back. */
#pragma once

#include <time.h>

/* Seconds. */
static inline double ds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
