/* The time since some moment, for measuring; it never goes back. */
#pragma once

/* Seconds. */
double ds_now(void);
