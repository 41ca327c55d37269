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

bool ds_together_terminal(void)
{
    return !getenv("OMPI_COMM_WORLD_SIZE") && isatty(STDOUT_FILENO);
}

bool ds_together_first(void)
{
    return ranks.rank == 0;
}

int ds_together_begin(int argc, char **argv, ds_error *e)
{
    static const char *const program[] = {"/proc/self/exe"};
    DS_TRY(ds_ranks_open(&ranks, e));
    if (ranks.size == 1)
        return DS_OK;
    if (ranks.rank) {
        ds_writer_mute();
        if (!freopen("/dev/null", "w", stdout))
            return ds_fail(e, DS_EIO, "cannot open /dev/null");
    }
    DS_TRY(ds_ranks_compare_files(&ranks, program, 1, e));
    DS_FREED char *words = NULL;
    size_t n;
    FILE *f = ds_memstream(&words, &n);
    for (int i = 1; i < argc; i++) {
        fputc(' ', f);
        ds_put_word(f, argv[i]);
    }
    fclose(f);
    DS_FREED char *what = ds_format("the command line%s", words);
    return ds_ranks_compare(&ranks, what, ds_hash(DS_HASH, words, n), e);
}

int ds_together_alone(const char *command, ds_error *e)
{
    if (ranks.size == 1)
        return DS_OK;
    return ds_fail(e, DS_EUSAGE,
                   "'%s' is started %d times by mpirun, expected once: it does not share its work", command,
                   ranks.size);
}

bool ds_together_tells(int rc)
{
    if (!ranks.pass) /* what all ranks found wrong by themselves the first tells, and ends all */
        return ranks.rank == 0 || (rc && !sleep(2));
    const int first = ranks.pass->meet(rc != DS_OK, !rc || ranks.agreed);
    ranks.agreed = first >= 0;
    return rc && (first == ranks.rank || first < 0);
}

void ds_together_end(int rc)
{
    if (!ranks.pass)
        return;
    if (!ranks.agreed)
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

const char *const ds_cache_words[] = {"auto", NULL};

size_t ds_together_cache(int asked)
{
    const int here = ranks.local > 0 ? ranks.local : ranks.size; /* where nobody says how many: all */
    return asked >= 0 ? (size_t)asked << 20 : ds_memory_limit() / 4 / (size_t)here;
}
