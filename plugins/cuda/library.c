#include "plugins/cuda/library.h"

#include <dlfcn.h>

/* One of the names, which end with NULL; messages have the first. */
static int open_one(const char *const *names, const char *what, void **handle, ds_error *e)
{
    *handle = NULL;
    for (int i = 0; names[i] && !*handle; i++)
        *handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return *handle ? DS_OK
                   : ds_fail(e, DS_EHOST, "backend cuda: %s cannot be opened, expected %s (or -backend host)",
                             names[0], what);
}

static int find(void *handle, const char *library, const char *name, void *function, ds_error *e)
{
    *(void **)function = dlsym(handle, name);
    return *(void **)function
               ? DS_OK
               : ds_fail(e, DS_EHOST, "backend cuda: %s has no %s, expected a newer version", library, name);
}

#define FIND(name, args) DS_TRY(find(handle, names[0], #name, &l->name, e));

int ds_cuda_open_driver(ds_cuda_library *l, ds_error *e)
{
    static const char *const names[] = {"libcuda.so.1", NULL};
    void *handle;
    DS_TRY(open_one(names, "NVIDIA's driver", &handle, e));
    DS_CUDA_DRIVER(FIND)
    return DS_OK;
}

int ds_cuda_open_dnn(ds_cuda_library *l, ds_error *e)
{
    static const char *const names[] = {"libcudnn.so.9", "libcudnn.so.8", "libcudnn.so", NULL};
    void *handle;
    DS_TRY(open_one(names, "NVIDIA's cuDNN 9, or 8.9, where the loader finds it, by LD_LIBRARY_PATH say",
                    &handle, e));
    DS_CUDA_DNN(FIND)
    FIND(cudnnGetVersion, )
    *(void **)&l->cudnnGetLastErrorString = dlsym(handle, "cudnnGetLastErrorString"); /* cuDNN 9 has it */
    return l->cudnnGetVersion() >= 8900
               ? DS_OK
               : ds_fail(e, DS_EHOST, "backend cuda: libcudnn is version %zu, expected 8900 (8.9) or newer",
                         l->cudnnGetVersion());
}

int ds_cuda_open_compiler(ds_cuda_library *l, ds_error *e)
{
    static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", NULL};
    void *handle;
    DS_TRY(open_one(names, "NVIDIA's NVRTC 12 or 13 where the loader finds it, by LD_LIBRARY_PATH say",
                    &handle, e));
    DS_CUDA_COMPILER(FIND)
    return DS_OK;
}
