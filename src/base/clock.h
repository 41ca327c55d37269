/* The time since some moment, for measuring; it never goes back. */
#ifndef DS_BASE_CLOCK_H
#define DS_BASE_CLOCK_H

/* Seconds. */
double ds_now(void);

#endif
