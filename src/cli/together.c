#include "cli/together.h"
#include "base/file.h"

#include <sched.h>
#include <unistd.h>

/* A process is one rank, as it has one standard output: nothing is passed around that could be another. */
static ds_ranks ranks = {.size = 1};

ds_ranks *ds_together(void)
{
    return ranks.size > 1 ? &ranks : NULL;
}

bool ds_together_first(void)
{
    return ranks.rank == 0;
}

int ds_together_begin(const char *command, bool several, ds_error *e)
{
    int rank;
    const int size = ds_ranks_launched(&rank);
    if (size > 1 && !several) {
        ranks = (ds_ranks){.rank = rank, .size = size, .agreed = true};
        return ds_fail(e, DS_EUSAGE,
                       "'%s' is started %d times by mpirun, expected once: it does not share its work",
                       command, size);
    }
    DS_TRY(ds_ranks_open(&ranks, e));
    if (ranks.rank == 0)
        return DS_OK;
    ds_writer_mute();
    if (!freopen("/dev/null", "w", stdout))
        return ds_fail(e, DS_EIO, "cannot open /dev/null");
    return DS_OK;
}

/* What all ranks found wrong by themselves the first tells, and ends all, while the others wait. */
bool ds_together_tells(int rc)
{
    if (ranks.rank && rc && !ranks.agreed)
        sleep(2);
    return ranks.rank == 0 || (rc && !ranks.agreed);
}

void ds_together_end(int rc)
{
    if (!ranks.pass)
        return;
    if (rc && !ranks.agreed)
        ranks.pass->abort(ds_error_status(rc));
    ranks.pass->end();
}

int ds_together_threads(int asked)
{
    cpu_set_t bound, all;
    if (ranks.local < 1 || sched_getaffinity(0, sizeof bound, &bound))
        return asked;
    memset(&all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
    sched_getaffinity(0, sizeof all, &all);
    const int share = CPU_COUNT(&all) / ranks.local > 1 ? CPU_COUNT(&all) / ranks.local : 1;
    const int wanted = asked ? asked : share;
    if (CPU_COUNT(&bound) >= wanted) /* as bound is what somebody wanted */
        sched_setaffinity(0, sizeof bound, &bound);
    return wanted;
}
