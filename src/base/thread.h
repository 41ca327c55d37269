/* A thread that no signal interrupts: those are for the threads that were there. */
#pragma once

#include <pthread.h>
#include <signal.h>

/* As pthread_create: 0, or what errno would be. */
static inline int ds_thread_start(pthread_t *thread, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int problem = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return problem;
}
