#include "data/thread.h"

#include <signal.h>
#include <string.h>

int ds_thread_start(pthread_t *thread, void *(*run)(void *), void *argument, ds_error *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return problem ? ds_fail(e, DS_ENOMEM, "cannot start a loader thread: %s, expected fewer -loaders",
                             strerror(problem))
                   : DS_OK;
}
