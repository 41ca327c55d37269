/* Opening libdarknet.so at run time, and the table of its functions. */
#include "host/private.h"

#include <dlfcn.h>
#include <omp.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#ifndef DS_DARKNET_LIBRARY
#define DS_DARKNET_LIBRARY "/usr/lib/darknet/libdarknet.so"
#endif

/* Loading the host flushes denormals in this thread on Debian 12, not on 13: flush on both, and without it.
 * */
void ds_host_settle(void)
{
#ifdef __SSE__
    enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x0040 };
    _mm_setcsr(_mm_getcsr() | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
#endif
}

int ds_host_room(int mib, ds_error *e)
{
    size_t size = ((size_t)mib + 24 * (size_t)omp_get_max_threads()) << 20;
    void *room = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return ds_fail(e, DS_EHOST,
                       "too little address space (ulimit -v), expected %zu MiB more for %d threads",
                       size >> 20, omp_get_max_threads());
    munmap(room, size);
    return DS_OK;
}

int ds_host_bind(void *handle, ds_host *host, ds_error *e)
{
#define DS_HOST_FIND(type, name, args)                                                                       \
    if (!(host->name = (type(*) args)dlsym(handle, #name)))                                                  \
        return ds_fail(e, DS_EHOST, "libdarknet.so has no function %s, expected Debian's package 'darknet'", \
                       #name);
    DS_HOST_FUNCTIONS(DS_HOST_FIND)
#undef DS_HOST_FIND
    return DS_OK;
}

int ds_host_open(const ds_host **host, ds_error *e)
{
    static ds_host table; /* the library stays open for good: dlclose gives nothing back */
    static void *handle;
    static bool bound;
    if (!bound) {
        DS_TRY(ds_host_room(512, e)); /* the libraries take 400 */
        handle = handle ? handle : dlopen(DS_DARKNET_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        if (!handle)
            return ds_fail(e, DS_EHOST, "cannot open " DS_DARKNET_LIBRARY ": %s%s", dlerror(),
                           access(DS_DARKNET_LIBRARY, F_OK) ? ", expected Debian's package 'darknet'" : "");
        DS_TRY(ds_host_bind(handle, &table, e));
        bound = true;
    }
    *host = &table;
    return DS_OK;
}
