#include "plugins/cuda/gpu.h"

#include "base/clock.h"

enum { THREADS = 256, ATTRIBUTE_SMS = 16, ATTRIBUTE_MAJOR = 75, ATTRIBUTE_MINOR = 76, OUT_OF_MEMORY = 2 };

/* ---- what went wrong ---- */

int ds_gpu_check(const ds_gpu *g, int code, const char *call, ds_error *e)
{
    const char *name = NULL;
    if (!code)
        return DS_OK;
    if (g->f.cuGetErrorName(code, &name) || !name)
        name = "an unknown error";
    return ds_fail(e, DS_EHOST, "backend cuda: %s failed: %s%s", call, name,
                   code == OUT_OF_MEMORY ? ", expected more memory, or a smaller batch= (or subdivisions=)"
                                         : "");
}

int ds_gpu_check_dnn(const ds_gpu *g, int code, const char *call, ds_error *e)
{
    char text[400] = "";
    if (!code)
        return DS_OK;
    if (g->f.cudnnGetLastErrorString)
        g->f.cudnnGetLastErrorString(text, sizeof text);
    return ds_fail(e, DS_EHOST, "backend cuda: %s failed: %d %s", call, code, text);
}

/* ---- opening ---- */

int ds_gpu_look(ds_gpu *g, int device, ds_error *e)
{
    int count = 0, major = 0, minor = 0;
    *g = (ds_gpu){0};
    DS_TRY(ds_cuda_open_driver(&g->f, e));
    DS_TRY(DS_CU(g, cuInit, 0));
    DS_TRY(DS_CU(g, cuDeviceGetCount, &count));
    if (device >= count)
        return ds_fail(e, DS_EUSAGE, "backend cuda:%d: there are %d devices, expected a number below that",
                       device, count);
    DS_TRY(DS_CU(g, cuDeviceGet, &g->device, device));
    DS_TRY(DS_CU(g, cuDeviceGetAttribute, &major, ATTRIBUTE_MAJOR, g->device));
    DS_TRY(DS_CU(g, cuDeviceGetAttribute, &minor, ATTRIBUTE_MINOR, g->device));
    DS_TRY(DS_CU(g, cuDeviceGetAttribute, &g->sms, ATTRIBUTE_SMS, g->device));
    g->sm = 10 * major + minor;
    DS_TRY(DS_CU(g, cuDeviceGetName, g->name, sizeof g->name, g->device));
    return ds_cuda_open_dnn(&g->f, e);
}

static int load_kernels(ds_gpu *g, ds_error *e)
{
#define NAME(name, args, barriers) #name,
    static const char *const names[] = {DS_CUDA_KERNELS(NAME)};
#undef NAME
    DS_FREED unsigned char *image = NULL;
    DS_TRY(ds_kernels_image(&g->f, g->sm, g->precision == DS_BF16, &image, e));
    DS_TRY(DS_CU(g, cuModuleLoadData, &g->module, image));
    for (int i = 0; i < DS_GPU_KERNELS; i++) {
        DS_TRY(DS_CU(g, cuModuleGetFunction, &g->kernels[i], g->module, names[i]));
        DS_TRY(DS_CU(g, cuOccupancyMaxActiveBlocksPerMultiprocessor, &g->resident[i], g->kernels[i], 512,
                     512 * 32));
    }
    return DS_OK;
}

int ds_gpu_open(ds_gpu *g, const ds_graph *graph, ds_error *e)
{
    DS_TRY(ds_gpu_look(g, graph->device, e));
    g->precision = graph->precision;
    g->tune = graph->tune;
    g->size = g->precision == DS_BF16 ? 2 : 4;
    g->vector = (int)(16 / g->size);
    DS_TRY(DS_CU(g, cuDevicePrimaryCtxRetain, &g->context, g->device));
    DS_TRY(ds_gpu_enter(g, e));
    for (int i = 0; i < DS_GPU_STREAMS; i++)
        DS_TRY(DS_CU(g, cuStreamCreate, &g->streams[i], 1)); /* non-blocking */
    DS_TRY(DS_CU(g, cuEventCreate, &g->event, 2));           /* without timing */
    for (int i = 0; i < 2; i++) {
        DS_TRY(DS_DNN(g, cudnnCreate, &g->dnn[i]));
        DS_TRY(DS_DNN(g, cudnnSetStream, g->dnn[i], g->streams[i]));
    }
    return load_kernels(g, e);
}

void ds_gpu_close(ds_gpu *g)
{
    if (!g->context)
        return;
    g->f.cuCtxSetCurrent(g->context);
    for (int i = 0; i < DS_GPU_STREAMS; i++)
        if (g->streams[i])
            g->f.cuStreamSynchronize(g->streams[i]);
    for (int i = 0; i < g->n_blocks; i++)
        g->f.cuMemFree_v2(g->blocks[i]);
    for (int i = 0; i < g->n_pinned; i++)
        g->f.cuMemFreeHost(g->pinned[i]);
    free(g->blocks);
    free(g->pinned);
    for (int i = 0; i < 2; i++)
        if (g->dnn[i])
            g->f.cudnnDestroy(g->dnn[i]);
    if (g->module)
        g->f.cuModuleUnload(g->module);
    if (g->event)
        g->f.cuEventDestroy_v2(g->event);
    for (int i = 0; i < DS_GPU_STREAMS; i++)
        if (g->streams[i])
            g->f.cuStreamDestroy_v2(g->streams[i]);
    g->f.cuDevicePrimaryCtxRelease_v2(g->device);
    *g = (ds_gpu){0};
}

int ds_gpu_enter(const ds_gpu *g, ds_error *e)
{
    return DS_CU(g, cuCtxSetCurrent, g->context);
}

/* ---- memory ---- */

int ds_gpu_room(ds_gpu *g, size_t bytes, void *place, ds_error *e)
{
    void **at = place;
    bytes = (bytes + 511) / 256 * 256;
    DS_TRY(DS_CU(g, cuMemAlloc_v2, at, bytes));
    DS_PUSH(g->blocks, g->n_blocks, *at);
    return DS_CU(g, cuMemsetD8Async, *at, 0, bytes, g->streams[DS_GPU_MAIN]);
}

int ds_gpu_pinned(ds_gpu *g, size_t bytes, void *place, ds_error *e)
{
    void **at = place;
    DS_TRY(DS_CU(g, cuMemAllocHost_v2, at, bytes + !bytes));
    DS_PUSH(g->pinned, g->n_pinned, *at);
    g->pinned_bytes += bytes;
    return DS_OK;
}

int ds_gpu_up(const ds_gpu *g, void *to, const void *from, size_t n, ds_error *e)
{
    return DS_CU(g, cuMemcpyHtoDAsync_v2, to, from, n, g->streams[DS_GPU_MAIN]);
}

int ds_gpu_down(const ds_gpu *g, void *to, const void *from, size_t n, ds_error *e)
{
    return DS_CU(g, cuMemcpyDtoHAsync_v2, to, from, n, g->streams[DS_GPU_MAIN]);
}

int ds_gpu_wait(ds_gpu *g, ds_error *e)
{
    const double start = ds_now();
    int rc = DS_CU(g, cuStreamSynchronize, g->streams[DS_GPU_MAIN]);
    g->waited += ds_now() - start;
    return rc;
}

int ds_gpu_order(const ds_gpu *g, int first, int then, ds_error *e)
{
    DS_TRY(DS_CU(g, cuEventRecord, g->event, g->streams[first]));
    return DS_CU(g, cuStreamWaitEvent, g->streams[then], g->event, 0);
}

/* ---- kernels ---- */

int ds_gpu_launch(const ds_gpu *g, int kernel, int blocks, int threads, bool together, const void *args,
                  ds_error *e)
{
    const unsigned n = (unsigned)blocks, t = (unsigned)threads, room = t * 32;
    void *list[] = {(void *)args}, *f = g->kernels[kernel], *s = g->streams[DS_GPU_MAIN];
    if (together)
        return DS_CU(g, cuLaunchCooperativeKernel, f, n, 1, 1, t, 1, 1, room, s, list);
    return DS_CU(g, cuLaunchKernel, f, n, 1, 1, t, 1, 1, room, s, list, NULL);
}

int ds_gpu_run(const ds_gpu *g, int kernel, size_t n, const void *args, ds_error *e)
{
    const size_t most = (size_t)g->sms * 8, blocks = (n + THREADS - 1) / THREADS;
    if (!n)
        return DS_OK;
    return ds_gpu_launch(g, kernel, (int)(blocks < most ? blocks : most), THREADS, false, args, e);
}

/* ---- graphs ---- */

int ds_gpu_record(const ds_gpu *g, ds_error *e)
{
    return DS_CU(g, cuStreamBeginCapture_v2, g->streams[DS_GPU_MAIN],
                 2); /* relaxed: cuDNN loads code lazily */
}

int ds_gpu_recorded(const ds_gpu *g, void **graph, ds_error *e)
{
    void *made = NULL;
    DS_TRY(DS_CU(g, cuStreamEndCapture, g->streams[DS_GPU_MAIN], &made));
    int rc = DS_CU(g, cuGraphInstantiateWithFlags, graph, made, 0);
    g->f.cuGraphDestroy(made);
    return rc;
}

int ds_gpu_replay(const ds_gpu *g, void *graph, ds_error *e)
{
    return DS_CU(g, cuGraphLaunch, graph, g->streams[DS_GPU_MAIN]);
}
