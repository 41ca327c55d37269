/* A device at work for one network: its memory, two streams, the kernels, cuDNN's handles. Calls are put into
 * a stream and return; what they did is there after ds_gpu_wait, and so is what went wrong with them. */
#pragma once

#include "plugins/backend.h"
#include "plugins/cuda/args.h"
#include "plugins/cuda/library.h"

#define DS_GPU_KERNEL(name, args, barriers) DS_K_##name,
enum { DS_CUDA_KERNELS(DS_GPU_KERNEL) DS_GPU_KERNELS };
#undef DS_GPU_KERNEL

/* Gradients of weights meet the others in the update alone: their stream runs beside. */
enum { DS_GPU_MAIN, DS_GPU_SIDE, DS_GPU_COPY, DS_GPU_STREAMS };

typedef struct ds_gpu {
    ds_cuda_library f;
    int device, sms, sm; /* multiprocessors; 90: compute capability 9.0 */
    ds_precision precision;
    bool tune; /* plans are measured */
    char name[40];
    int vector;  /* numbers in 16 bytes */
    size_t size; /* bytes of an activation */
    void *context, *module, *kernels[DS_GPU_KERNELS];
    int resident[DS_GPU_KERNELS];           /* blocks of 512 threads that a multiprocessor takes */
    void *streams[DS_GPU_STREAMS], *dnn[2]; /* cuDNN's handles, of the first two */
    void *event;                            /* orders streams */
    void *workspace[2];
    size_t workspace_bytes; /* of each */
    void **blocks;          /* n_blocks, of the device; freed with it */
    int n_blocks;
    void **pinned; /* n_pinned, of the host */
    int n_pinned;
    size_t pinned_bytes;
    double waited; /* seconds, in ds_gpu_wait */
} ds_gpu;

/* A call of the driver, or of cuDNN, in a function that has `e`: 0 or DS_EHOST. */
#define DS_CU(g, call, ...) ds_gpu_check(g, (g)->f.call(__VA_ARGS__), #call, e)
#define DS_DNN(g, call, ...) ds_gpu_check_dnn(g, (g)->f.call(__VA_ARGS__), #call, e)
int ds_gpu_check(const ds_gpu *g, int code, const char *call, ds_error *e);
int ds_gpu_check_dnn(const ds_gpu *g, int code, const char *call, ds_error *e);

/* Name and compute capability of a device alone, and the libraries but for the compiler. */
int ds_gpu_look(ds_gpu *g, int device, ds_error *e);
/* The graph's device in its precision. Close in any case. */
int ds_gpu_open(ds_gpu *g, const ds_graph *graph, ds_error *e);
void ds_gpu_close(ds_gpu *g);
/* Every thread that calls what follows must have said this once. */
int ds_gpu_enter(const ds_gpu *g, ds_error *e);
/* Zeroed memory of the device, or locked memory of the host, for as long as it is open. */
int ds_gpu_room(ds_gpu *g, size_t bytes, void *place, ds_error *e);
int ds_gpu_pinned(ds_gpu *g, size_t bytes, void *place, ds_error *e);
/* The main stream copies n bytes to or from memory of the host that need not be locked. */
int ds_gpu_up(const ds_gpu *g, void *to, const void *from, size_t n, ds_error *e);
int ds_gpu_down(const ds_gpu *g, void *to, const void *from, size_t n, ds_error *e);
int ds_gpu_wait(ds_gpu *g, ds_error *e);
/* What comes next in `then` waits for what is in `first`. */
int ds_gpu_order(const ds_gpu *g, int first, int then, ds_error *e);
/* Kernel DS_K_… on the main stream for n units of work, a thread each (or fewer: kernels loop). */
int ds_gpu_run(const ds_gpu *g, int kernel, size_t n, const void *args, ds_error *e);
/* The same with exactly so many blocks of `threads`; together: they meet at a barrier. */
int ds_gpu_launch(const ds_gpu *g, int kernel, int blocks, int threads, bool together, const void *args,
                  ds_error *e);
/* Work of the main stream (and of what it orders) as a graph. */
int ds_gpu_record(const ds_gpu *g, ds_error *e);
int ds_gpu_recorded(const ds_gpu *g, void **graph, ds_error *e);
int ds_gpu_replay(const ds_gpu *g, void *graph, ds_error *e);

/* kernels.c: the kernels for compute capability `sm`, compiled, or as they were kept; fresh memory. */
int ds_kernels_image(ds_cuda_library *l, int sm, bool bf16, unsigned char **image, ds_error *e);
