/* The table of host functions, from a library that is open. */
#include "host/private.h"

#include <dlfcn.h>

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
