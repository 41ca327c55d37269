/* Ctrl-C, SIGTERM and SIGHUP as a wish to end well. */
#pragma once

#include "base/error.h"

#include <signal.h>

/* The signal that came, or 0. */
extern volatile sig_atomic_t ds_interrupted;
/* From now on they set it; the second one of a kind ends the program at once. What `nohup` ignores stays
 * ignored. restart: a read that waits goes on waiting; false: it ends. */
void ds_catch_interrupts(bool restart);
/* DS_EINTERRUPT, of rc and *e, as the code of the signal that came. */
int ds_code_of_signal(int rc, ds_error *e);
