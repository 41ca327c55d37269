/* Threads that decode. */
#ifndef DS_DATA_THREAD_H
#define DS_DATA_THREAD_H

#include "base/error.h"

#include <pthread.h>

/* Start one with all signals blocked: those belong to the caller's threads. DS_ENOMEM. */
int ds_thread_start(pthread_t *thread, void *(*run)(void *), void *argument, ds_error *e);

#endif
