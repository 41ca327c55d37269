/* Functions that the program exports so that they replace the host's (which calls its own through the PLT):
 * its exits become errors, its random numbers repeatable. They have no argument to carry state, hence the
 * static variables here. */
#include "host/private.h"
#include "base/rng.h"

#include <setjmp.h>

static ds_rng generator = {1};
static jmp_buf *exit_point;
static char message[512];

void ds_host_seed(uint64_t seed)
{
    generator = ds_rng_make(seed, 0x77656967687473u /* "weights" */, 0);
}

int ds_host_guard(void (*call)(void *), void *arg, ds_error *e)
{
    jmp_buf here;
    if (setjmp(here)) {
        exit_point = NULL;
        return ds_fail(e, DS_EHOST, "Darknet refused: %s", message);
    }
    exit_point = &here;
    call(arg);
    exit_point = NULL;
    return DS_OK;
}

static _Noreturn void leave(const char *what, const char *detail)
{
    snprintf(message, sizeof message, "%s%s", what, detail);
    if (exit_point)
        longjmp(*exit_point, 1);
    ds_error e = {0};
    ds_fail(&e, DS_EHOST, "Darknet refused: %s", message);
    ds_error_print(&e, stderr);
    exit(1);
}

EXPORT void error(const char *s)
{
    leave(s, "");
}

EXPORT void file_error(char *s)
{
    leave("cannot open file ", s);
}

EXPORT float rand_uniform(float min, float max)
{
    return min + (max - min) * (float)ds_rng_uniform(&generator);
}

EXPORT float rand_normal(void)
{
    return (float)ds_rng_normal(&generator);
}
