/* The functions of NVIDIA's three libraries that the backend calls. They are opened at run time: nothing of
 * CUDA is needed to build, and nothing to run without it. Handles, and addresses of the device, are void *.
 * The numbers that the functions take are those of cuda.h and cudnn.h, which never change. */
#pragma once

#include "base/error.h"

#define DS_CUDA_DRIVER(X)                                                                                    \
    X(cuInit, (unsigned))                                                                                    \
    X(cuDeviceGetCount, (int *))                                                                             \
    X(cuDeviceGet, (int *, int))                                                                             \
    X(cuDeviceGetName, (char *, int, int))                                                                   \
    X(cuDeviceGetAttribute, (int *, int, int))                                                               \
    X(cuDevicePrimaryCtxRetain, (void **, int))                                                              \
    X(cuDevicePrimaryCtxRelease_v2, (int))                                                                   \
    X(cuCtxSetCurrent, (void *))                                                                             \
    X(cuMemGetInfo_v2, (size_t *, size_t *))                                                                 \
    X(cuMemAlloc_v2, (void **, size_t))                                                                      \
    X(cuMemFree_v2, (void *))                                                                                \
    X(cuMemAllocHost_v2, (void **, size_t))                                                                  \
    X(cuMemFreeHost, (void *))                                                                               \
    X(cuMemcpyHtoDAsync_v2, (void *, const void *, size_t, void *))                                          \
    X(cuMemcpyDtoHAsync_v2, (void *, const void *, size_t, void *))                                          \
    X(cuMemsetD8Async, (void *, unsigned char, size_t, void *))                                              \
    X(cuStreamCreate, (void **, unsigned))                                                                   \
    X(cuStreamDestroy_v2, (void *))                                                                          \
    X(cuStreamSynchronize, (void *))                                                                         \
    X(cuStreamWaitEvent, (void *, void *, unsigned))                                                         \
    X(cuEventCreate, (void **, unsigned))                                                                    \
    X(cuEventDestroy_v2, (void *))                                                                           \
    X(cuEventRecord, (void *, void *))                                                                       \
    X(cuModuleLoadData, (void **, const void *))                                                             \
    X(cuModuleUnload, (void *))                                                                              \
    X(cuModuleGetFunction, (void **, void *, const char *))                                                  \
    X(cuOccupancyMaxActiveBlocksPerMultiprocessor, (int *, void *, int, size_t))                             \
    X(cuLaunchKernel, (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, \
                       void **, void **))                                                                    \
    X(cuLaunchCooperativeKernel,                                                                             \
      (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **))       \
    X(cuStreamBeginCapture_v2, (void *, int))                                                                \
    X(cuStreamEndCapture, (void *, void **))                                                                 \
    X(cuGraphInstantiateWithFlags, (void **, void *, unsigned long long))                                    \
    X(cuGraphLaunch, (void *, void *))                                                                       \
    X(cuGraphDestroy, (void *))                                                                              \
    X(cuGraphExecDestroy, (void *))                                                                          \
    X(cuGetErrorName, (int, const char **))

#define DS_CUDA_COMPILER(X)                                                                 \
    X(nvrtcCreateProgram,                                                                   \
      (void **, const char *, const char *, int, const char *const *, const char *const *)) \
    X(nvrtcCompileProgram, (void *, int, const char *const *))                              \
    X(nvrtcGetProgramLogSize, (void *, size_t *))                                           \
    X(nvrtcGetProgramLog, (void *, char *))                                                 \
    X(nvrtcGetCUBINSize, (void *, size_t *))                                                \
    X(nvrtcGetCUBIN, (void *, char *))                                                      \
    X(nvrtcDestroyProgram, (void **))

#define DS_CUDA_DNN(X)                                                     \
    X(cudnnCreate, (void **))                                              \
    X(cudnnDestroy, (void *))                                              \
    X(cudnnSetStream, (void *, void *))                                    \
    X(cudnnBackendCreateDescriptor, (int, void **))                        \
    X(cudnnBackendDestroyDescriptor, (void *))                             \
    X(cudnnBackendFinalize, (void *))                                      \
    X(cudnnBackendExecute, (void *, void *, void *))                       \
    X(cudnnBackendSetAttribute, (void *, int, int, int64_t, const void *)) \
    X(cudnnBackendGetAttribute, (void *, int, int, int64_t, int64_t *, void *))

typedef struct ds_cuda_library {
#define DS_CUDA_MEMBER(name, args) int(*name) args;
    DS_CUDA_DRIVER(DS_CUDA_MEMBER)
    DS_CUDA_COMPILER(DS_CUDA_MEMBER)
    DS_CUDA_DNN(DS_CUDA_MEMBER)
#undef DS_CUDA_MEMBER
    size_t (*cudnnGetVersion)(void);
    void (*cudnnGetLastErrorString)(char *, size_t); /* NULL: cuDNN 8 */
} ds_cuda_library;

/* Fill the driver's part, cuDNN's, the compiler's. They stay open as long as the process. DS_EHOST names the
 * library, or the function, that is missing. */
int ds_cuda_open_driver(ds_cuda_library *l, ds_error *e);
int ds_cuda_open_dnn(ds_cuda_library *l, ds_error *e);
int ds_cuda_open_compiler(ds_cuda_library *l, ds_error *e);
