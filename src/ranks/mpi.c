/* libdarknet-sat-mpi.so: the messages between ranks, by MPI. */
#include "ranks/ranks.h"

#include <mpi.h>
#include <unistd.h>

DS_PUBLIC const ds_messages ds_mpi_messages;

/* Of `meet` alone, which does not wait until what a rank has left unfinished is done. */
static MPI_Comm ends;

static void start(int *rank, int *size)
{
    int level;
    /* Sums go round a ring, half of the numbers' bytes at a time: Open MPI's own choice for two or three
     * ranks sends all of them there, then all of them back. */
    setenv("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "1", 0);
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    MPI_Comm_size(MPI_COMM_WORLD, size);
    MPI_Comm_dup(MPI_COMM_WORLD, &ends);
}

static void gather(const void *mine, void *all, const int *starts, size_t row)
{
    int rank, size;
    MPI_Datatype type;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    int *counts = calloc((size_t)size, sizeof *counts);
    if (!counts)
        MPI_Abort(MPI_COMM_WORLD, 1);
    for (int r = 0; r < size; r++)
        counts[r] = starts[r + 1] - starts[r];
    MPI_Type_contiguous((int)row, MPI_BYTE, &type);
    MPI_Type_commit(&type);
    MPI_Allgatherv(mine, counts[rank], type, all, counts, starts, type, MPI_COMM_WORLD);
    MPI_Type_free(&type);
    free(counts);
}

static void share(void *bytes, size_t n)
{
    MPI_Bcast(bytes, (int)n, MPI_BYTE, 0, MPI_COMM_WORLD);
}

static void sum(double *values, size_t n)
{
    MPI_Allreduce(MPI_IN_PLACE, values, (int)n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

static void *sum_begin(float *values, int n)
{
    MPI_Request *request = malloc(sizeof *request);
    if (!request)
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Iallreduce(MPI_IN_PLACE, values, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD, request);
    return request;
}

/* The status is not wanted, but a request that is done becomes MPI_REQUEST_NULL, for which the next call is
 * nothing. */
static void sum_poll(void *request)
{
    int done;
    MPI_Test(request, &done, MPI_STATUS_IGNORE);
}

static void sum_end(void *request)
{
    MPI_Wait(request, MPI_STATUS_IGNORE);
    free(request);
}

static int meet(bool failed, bool patient)
{
    int first, size, done = 0;
    MPI_Request request;
    MPI_Comm_rank(ends, &first);
    MPI_Comm_size(ends, &size);
    first = failed ? first : size;
    MPI_Iallreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, ends, &request);
    for (const double until = MPI_Wtime() + 2; !done && (patient || MPI_Wtime() < until); usleep(1000))
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    return done ? first : -1;
}

static void end(void)
{
    MPI_Finalize();
}

static void stop(int status)
{
    MPI_Abort(MPI_COMM_WORLD, status);
}

const ds_messages ds_mpi_messages = {start,    gather,  share, sum, sum_begin,
                                     sum_poll, sum_end, meet,  end, stop};
