/* libcuda.so.1 without a device: memory is the host's, streams do at once what they are told, kernels are emulated, a graph is a list. The
 * device has two multiprocessors, so that small tensors already take several blocks. */
#include "tests/gpu/mock.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int mock_slow, mock_plan, mock_fused;
size_t mock_room = (size_t)1 << 31;

enum { OUT_OF_MEMORY = 2, LAUNCH_FAILED = 719 };

static struct {
    int calls, at, alive, current;
    const char *failed;
} mock;

void mock_fail_at(int n)
{
    mock.calls = 0;
    mock.at = n;
    mock.failed = NULL;
}

const char *mock_failed(void)
{
    return mock.failed;
}

int mock_alive(void)
{
    return mock.alive;
}

void mock_live(int change)
{
    mock.alive += change;
}

int mock_fails(const char *name)
{
    if (++mock.calls != mock.at)
        return 0;
    mock.failed = name;
    return 1;
}

/* ---- graphs ---- */

typedef struct op {
    void (*fn)(void *);
    void *data;
} op;
typedef struct graph {
    op *ops;
    int n;
} graph;
static graph *recording;

void mock_do(void (*fn)(void *), const void *data, size_t n)
{
    void *copy = malloc(n);
    memcpy(copy, data, n);
    if (!recording) {
        fn(copy);
        free(copy);
        return;
    }
    recording->ops = realloc(recording->ops, ((size_t)recording->n + 1) * sizeof(op));
    recording->ops[recording->n++] = (op){fn, copy};
}

int cuGraphDestroy(void *g);

#define FAIL(code)            \
    if (mock_fails(__func__)) \
    return code

int cuStreamBeginCapture_v2(void *s, int mode)
{
    (void)s, (void)mode;
    FAIL(LAUNCH_FAILED);
    recording = calloc(1, sizeof *recording);
    return 0;
}

int cuStreamEndCapture(void *s, void **g)
{
    (void)s;
    *g = recording;
    recording = NULL;
    mock_live(1);
    if (!mock_fails(__func__))
        return 0;
    cuGraphDestroy(*g);
    *g = NULL;
    return LAUNCH_FAILED;
}

int cuGraphInstantiateWithFlags(void **exec, void *g, unsigned long long flags)
{
    (void)flags;
    FAIL(OUT_OF_MEMORY);
    graph *copy = calloc(1, sizeof *copy), *from = g;
    *copy = *from;
    from->n = 0;
    from->ops = NULL;
    *exec = copy;
    mock_live(1);
    return 0;
}

int cuGraphLaunch(void *exec, void *s)
{
    const graph *g = exec;
    (void)s;
    FAIL(LAUNCH_FAILED);
    for (int i = 0; i < g->n; i++)
        g->ops[i].fn(g->ops[i].data);
    return 0;
}

int cuGraphExecDestroy(void *exec)
{
    graph *g = exec;
    for (int i = 0; g && i < g->n; i++)
        free(g->ops[i].data);
    free(g ? g->ops : NULL);
    free(g);
    mock_live(-1);
    return 0;
}

int cuGraphDestroy(void *g)
{
    return cuGraphExecDestroy(g);
}

/* ---- the device ---- */

int cuInit(unsigned flags)
{
    (void)flags;
    FAIL(100);
    return 0;
}

int cuDeviceGetCount(int *n)
{
    FAIL(100);
    *n = 2;
    return 0;
}

int cuDeviceGet(int *device, int i)
{
    FAIL(101);
    *device = i;
    return 0;
}

int cuDeviceGetName(char *name, int n, int device)
{
    (void)device;
    FAIL(101);
    strncpy(name, "emulated", (size_t)n);
    return 0;
}

int cuDeviceGetAttribute(int *v, int attribute, int device)
{
    (void)device;
    FAIL(101);
    *v = attribute == 16 ? 2 : attribute == 75 ? 9 : 0;
    return 0;
}

int cuDevicePrimaryCtxRetain(void **c, int device)
{
    (void)device;
    FAIL(OUT_OF_MEMORY);
    *c = &mock;
    mock_live(1);
    return 0;
}

int cuDevicePrimaryCtxRelease_v2(int device)
{
    (void)device;
    mock_live(-1);
    return 0;
}

int cuCtxSetCurrent(void *c)
{
    FAIL(201);
    return c == &mock ? 0 : 201;
}

/* ---- memory ---- */

int cuMemGetInfo_v2(size_t *left, size_t *all)
{
    FAIL(201);
    *left = *all = mock_room;
    return 0;
}

static int allocate(void **p, size_t n)
{
    *p = malloc(n);
    memset(*p, 0xff, n < 1 << 20 ? n : 1 << 20); /* not a number, until it is cleared */
    mock_live(1);
    return 0;
}

int cuMemAlloc_v2(void **p, size_t n)
{
    FAIL(OUT_OF_MEMORY);
    return allocate(p, n);
}

int cuMemAllocHost_v2(void **p, size_t n)
{
    FAIL(OUT_OF_MEMORY);
    return allocate(p, n);
}

int cuMemFree_v2(void *p)
{
    free(p);
    mock_live(-1);
    return 0;
}

int cuMemFreeHost(void *p)
{
    return cuMemFree_v2(p);
}

int cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t n, void *s)
{
    (void)s;
    FAIL(LAUNCH_FAILED);
    memcpy(to, from, n);
    return recording != NULL; /* what is copied would be another in each run */
}

int cuMemcpyDtoHAsync_v2(void *to, const void *from, size_t n, void *s)
{
    return cuMemcpyHtoDAsync_v2(to, from, n, s);
}

int cuMemsetD8Async(void *p, unsigned char v, size_t n, void *s)
{
    (void)s;
    FAIL(LAUNCH_FAILED);
    memset(p, v, n);
    return 0;
}

/* ---- streams ---- */

static int make(void **p)
{
    *p = malloc(1);
    mock_live(1);
    return 0;
}

static int drop(void *p)
{
    free(p);
    mock_live(-1);
    return 0;
}

int cuStreamCreate(void **s, unsigned flags)
{
    (void)flags;
    FAIL(OUT_OF_MEMORY);
    return make(s);
}

int cuStreamDestroy_v2(void *s)
{
    return drop(s);
}

int cuEventCreate(void **event, unsigned flags)
{
    (void)flags;
    FAIL(OUT_OF_MEMORY);
    return make(event);
}

int cuEventDestroy_v2(void *event)
{
    return drop(event);
}

int cuStreamSynchronize(void *s)
{
    (void)s;
    FAIL(LAUNCH_FAILED);
    return 0;
}

int cuStreamWaitEvent(void *s, void *event, unsigned flags)
{
    (void)s, (void)event, (void)flags;
    FAIL(LAUNCH_FAILED);
    return 0;
}

int cuEventRecord(void *event, void *s)
{
    (void)event, (void)s;
    FAIL(LAUNCH_FAILED);
    return 0;
}

/* ---- kernels ---- */

int cuModuleLoadData(void **module, const void *image)
{
    FAIL(200);
    *module = malloc(1);
    *(char *)*module = *(const char *)image;
    mock_live(1);
    return 0;
}

int cuModuleUnload(void *module)
{
    return drop(module);
}

int cuModuleGetFunction(void **f, void *module, const char *name)
{
    const mock_kernel *k = *(char *)module == '1' ? emulated_1 : emulated_0;
    FAIL(500);
    while (k->name && strcmp(k->name, name) != 0)
        k++;
    *f = (void *)k;
    return k->name ? 0 : 500;
}

int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n, void *f, int threads, size_t room)
{
    (void)f, (void)threads, (void)room;
    FAIL(1);
    *n = 2;
    return 0;
}

typedef struct launch {
    const mock_kernel *k;
    int blocks, threads;
    size_t room;
    char args[256];
} launch;

static void do_launch(void *data)
{
    const launch *l = data;
    const mock_kernel *first = emulated_1;
    while (first->name && first != l->k)
        first++;
    (first->name ? emulate_1 : emulate_0)(l->k, l->blocks, l->threads, l->room, l->args);
}

static int enqueue(void *f, unsigned blocks, unsigned threads, unsigned room, void **list)
{
    _Alignas(16) launch l = {.k = f, .blocks = (int)blocks, .threads = (int)threads, .room = room};
    if (l.k->args > sizeof l.args)
        return 1;
    memcpy(l.args, list[0], l.k->args);
    mock_do(do_launch, &l, sizeof l);
    return 0;
}

int cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned room, void *s, void **list, void **extra)
{
    (void)gy, (void)gz, (void)by, (void)bz, (void)s, (void)extra;
    FAIL(LAUNCH_FAILED);
    return enqueue(f, gx, bx, room, list);
}

int cuLaunchCooperativeKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                              unsigned bz, unsigned room, void *s, void **list)
{
    (void)gy, (void)gz, (void)by, (void)bz, (void)s;
    FAIL(LAUNCH_FAILED);
    return gx > 4 ? 720 : enqueue(f, gx, bx, room, list); /* more than are resident */
}

int cuGetErrorName(int code, const char **name)
{
    *name = code == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_MOCK";
    return 0;
}
