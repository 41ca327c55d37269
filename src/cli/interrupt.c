#include "cli/interrupt.h"

/* A handler can reach nothing but a variable of the program: the one exception to "no global state". */
volatile sig_atomic_t ds_interrupted;

static void on_interrupt(int signal_number)
{
    ds_interrupted = signal_number;
}

static const struct {
    int number, code;
} signals[] = {{SIGINT, DS_EINTERRUPT}, {SIGTERM, DS_ETERMINATE}, {SIGHUP, DS_EHANGUP}};
enum { SIGNALS = sizeof signals / sizeof *signals };

void ds_catch_interrupts(bool restart)
{
    const unsigned flags = SA_RESETHAND | (restart ? SA_RESTART : 0);
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)flags}, old;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < SIGNALS; i++)
        if (sigaction(signals[i].number, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(signals[i].number, &action, NULL);
}

int ds_code_of_signal(int rc, ds_error *e)
{
    for (int i = 0; rc == DS_EINTERRUPT && i < SIGNALS; i++)
        if (signals[i].number == ds_interrupted)
            return e->code = (ds_err)signals[i].code;
    return rc;
}
