#include "ranks/ranks.h"
#include "base/file.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <limits.h>
#include <unistd.h>

#define LIBRARY "libdarknet-sat-mpi.so"

/* What launchers tell, the first that tells anything: Open MPI's mpirun; PMI; srun, whose own variables a
 * batch script has too, but for those of a step. */
static const struct {
    const char *size, *rank, *local;
} launchers[] = {{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"},
                 {"PMI_SIZE", "PMI_RANK", "MPI_LOCALNRANKS"},
                 {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", NULL}};

/* 0: it is none. */
static int number(const char *name)
{
    long long n;
    const char *text = name ? getenv(name) : NULL;
    return text && ds_parse_int(text, &n) && n >= 0 && n <= INT_MAX ? (int)n : 0;
}

static int launched(int *rank, int *local)
{
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        const int size = number(launchers[i].size);
        *rank = number(launchers[i].rank);
        *local = number(launchers[i].local);
        if (size > 0)
            return size;
    }
    return 1;
}

/* Beside the program, or where `make install` puts it. */
static void *open_library(void)
{
    static const char *const places[] = {"", "../lib/darknet-sat/", "../lib/x86_64-linux-gnu/darknet-sat/"};
    char self[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    void *handle = NULL;
    for (size_t i = 0; slash && !handle && i < sizeof places / sizeof *places; i++) {
        DS_FREED char *path = ds_format("%.*s/%s" LIBRARY, (int)(slash - self), self, places[i]);
        handle = access(path, F_OK) ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!handle && access(path, F_OK) == 0)
            return NULL;
    }
    return handle;
}

int ds_ranks_open(ds_ranks *r, ds_error *e)
{
    *r = (ds_ranks){.size = 1};
    const int size = launched(&r->rank, &r->local);
    if (size < 2)
        return DS_OK;
    gethostname(r->host, sizeof r->host - 1);
    dlerror();
    void *handle = open_library(); /* it stays open as long as the program */
    const ds_messages *pass = handle ? dlsym(handle, "ds_mpi_messages") : NULL;
    const char *why = pass ? NULL : dlerror();
    if (!pass)
        return ds_fail(e, DS_EHOST,
                       "%d ranks were started, and " LIBRARY " %s%s, expected it beside the program or in "
                       "../lib/darknet-sat, and Open MPI (Debian's package openmpi-bin)",
                       size, why ? "cannot be opened: " : "is missing", why ? why : "");
    int seen, rank;
    pass->start(&rank, &seen);
    r->size = size;
    r->pass = pass;
    if (seen == size) {
        r->rank = rank;
        return DS_OK;
    }
    return ds_fail(e, DS_EHOST,
                   "%d ranks were started, MPI sees %d, expected as many: srun needs --mpi=pmix, and mpirun "
                   "must be that of Open MPI",
                   size, seen);
}

/* ---- what all come to know ---- */

typedef struct report {
    int code, line;
    char host[64], file[512], text[1536];
} report;

/* A rank's report in each of `all`. */
static void gather_equal(const ds_ranks *r, const void *mine, void *all, size_t row)
{
    DS_FREED int *starts = DS_ALLOC(starts, (size_t)r->size + 1);
    for (int i = 0; i <= r->size; i++)
        starts[i] = i;
    r->pass->gather(mine, all, starts, row);
}

static int tell(ds_ranks *r, int rc, ds_error *e)
{
    int first = 0;
    report mine = {.code = rc, .line = e->line};
    DS_FREED report *all = DS_ALLOC(all, (size_t)r->size);
    memcpy(mine.host, r->host, sizeof mine.host);
    memcpy(mine.file, e->file, sizeof mine.file);
    memcpy(mine.text, e->text, sizeof mine.text);
    gather_equal(r, &mine, all, sizeof mine);
    while (!all[first].code)
        first++;
    r->agreed = true;
    const report *f = &all[first];
    if (first == 0 && r->rank == 0)
        return rc;
    return ds_fail_at(e, f->code, f->file[0] ? f->file : NULL, f->line, "rank %d on %s: %s", first, f->host,
                      f->text);
}

int ds_ranks_agree(ds_ranks *r, int rc, bool *flag, ds_error *e)
{
    double any[] = {rc != DS_OK, flag && *flag};
    if (!r)
        return rc;
    r->pass->sum(any, 2);
    if (flag)
        *flag = any[1] > 0;
    return any[0] > 0 ? tell(r, rc, e) : DS_OK;
}

/* rc: of finding the hash. */
static int compare(ds_ranks *r, int rc, const char *what, uint64_t hash, ds_error *e)
{
    uint64_t first = hash;
    r->pass->share(&first, sizeof first);
    if (!rc && first != hash)
        rc = ds_fail(e, DS_EINPUT, "%s: not the same as on rank 0, expected the same on every host", what);
    return ds_ranks_agree(r, rc, NULL, e);
}

int ds_ranks_compare(ds_ranks *r, const char *what, uint64_t hash, ds_error *e)
{
    return r ? compare(r, DS_OK, what, hash, e) : DS_OK;
}

int ds_ranks_compare_files(ds_ranks *r, const char *const *paths, int n, ds_error *e)
{
    for (int i = 0; r && i < n; i++) {
        size_t size = 0;
        DS_FREED unsigned char *bytes = NULL;
        if (!paths[i])
            continue;
        const int rc = ds_file_read(paths[i], "a file", &bytes, &size, e);
        DS_TRY(compare(r, rc, paths[i], ds_hash(DS_HASH, bytes, size), e));
    }
    return DS_OK;
}

char *ds_ranks_gather(ds_ranks *r, const void *mine, size_t bytes, size_t *total)
{
    DS_FREED size_t *sizes = DS_ALLOC(sizes, (size_t)r->size);
    DS_FREED int *starts = DS_ZALLOC(starts, (size_t)r->size + 1);
    gather_equal(r, &bytes, sizes, sizeof bytes);
    *total = 0;
    for (int i = 0; i < r->size; i++) {
        *total += sizes[i];
        if (sizes[i] > INT_MAX || *total > INT_MAX)
            return NULL;
        starts[i + 1] = (int)*total;
    }
    char *all = ds_xmalloc(*total);
    r->pass->gather(mine, all, starts, 1);
    return all;
}
