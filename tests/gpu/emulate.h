/* CUDA's way to run a kernel, on the processor: each thread of a grid that meets at barriers is a fiber, and all blocks live at once, so
 * that barriers over the grid work. Included before kernels.cu. */
#include "plugins/cuda/args.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

typedef struct {
    unsigned x, y, z, w;
} __attribute__((aligned(16))) uint4;
typedef struct {
    float x, y, z, w;
} __attribute__((aligned(16))) float4;

typedef struct block {
    int arrived, generation;
    float *room, *slots;
} block;
typedef struct fiber {
    ucontext_t context;
    block *block;
    int tid, bid, done, begun;
    jmp_buf here;
} fiber;
static struct {
    int nt, nb;
    fiber *now;
    ucontext_t main;
    jmp_buf back;
    void (*body)(const void *);
    const void *args;
} emu;

/* swapcontext asks the kernel for the mask of signals; sanitizers do not understand the quick way. */
#ifdef __SANITIZE_ADDRESS__
static void emu_yield(void)
{
    swapcontext(&emu.now->context, &emu.main);
}
static __attribute__((noinline)) void emu_resume(fiber *f)
{
    swapcontext(&emu.main, &f->context);
}
#else
static void emu_yield(void)
{
    emu.now->begun = 1;
    if (!_setjmp(emu.now->here))
        _longjmp(emu.back, 1);
}
static __attribute__((noinline)) void emu_resume(fiber *f)
{
    if (_setjmp(emu.back))
        return;
    if (f->begun)
        _longjmp(f->here, 1);
    setcontext(&f->context);
}
#endif

static void emu_sync(void)
{
    block *b = emu.now->block;
    const int generation = b->generation;
    if (++b->arrived == emu.nt) {
        b->arrived = 0;
        b->generation++;
        return;
    }
    while (b->generation == generation)
        emu_yield();
}

static void emu_start(void)
{
    emu.body(emu.args);
    emu.now->done = 1;
    emu_yield();
}

static __attribute__((noinline)) void emu_prepare(fiber *f, char *stack, size_t size)
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = stack;
    f->context.uc_stack.ss_size = size;
    f->context.uc_link = &emu.main;
    makecontext(&f->context, emu_start, 0);
}

/* Without barriers: one thread after the other. */
static void emu_plain(void (*body)(const void *), int nb, int nt, const void *args)
{
    fiber one = {.done = 0};
    emu.nt = nt, emu.nb = nb, emu.now = &one;
    for (int i = 0; i < nb * nt; i++) {
        one.tid = i % nt, one.bid = i / nt;
        body(args);
    }
}

static void emu_launch(void (*body)(const void *), int nb, int nt, size_t bytes, const void *args)
{
    enum { STACK = 1 << 15 };
    const int n = nb * nt;
    fiber *all = calloc((size_t)n, sizeof *all);
    block *blocks = calloc((size_t)nb, sizeof *blocks);
    char *stacks = malloc((size_t)n * STACK);
    emu.nt = nt, emu.nb = nb, emu.body = body, emu.args = args;
    for (int b = 0; b < nb; b++) {
        blocks[b].room = aligned_alloc(16, (bytes + 31) / 16 * 16);
        blocks[b].slots = malloc((size_t)nt * sizeof(float));
    }
    for (int i = 0; i < n; i++) {
        all[i].block = &blocks[i / nt], all[i].tid = i % nt, all[i].bid = i / nt;
        emu_prepare(&all[i], stacks + (size_t)i * STACK, STACK);
    }
    for (int live = n; live;)
        for (int i = live = 0; i < n; i++)
            if (!all[i].done) {
                emu.now = &all[i];
                emu_resume(&all[i]);
                live += !all[i].done;
            }
    for (int b = 0; b < nb; b++) {
        free(blocks[b].room);
        free(blocks[b].slots);
    }
    free(stacks);
    free(blocks);
    free(all);
}

static float as_float(unsigned u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static unsigned as_uint(float f)
{
    unsigned u;
    memcpy(&u, &f, 4);
    return u;
}

static unsigned add_release(unsigned *p)
{
    return (*p)++;
}

static unsigned load_acquire(const unsigned *p)
{
    return *p;
}

static float emu_shuffle(float v, int m) /* all threads of a block take part */
{
    float *slots = emu.now->block->slots;
    slots[emu.now->tid] = v;
    emu_sync();
    v = slots[emu.now->tid ^ m];
    emu_sync();
    return v;
}

#define DEVICE static inline
#define KERNEL(name, args)                                                                                   \
    static void name##_body(const args a);                                                                   \
    static void name(const void *p)                                                                          \
    {                                                                                                        \
        name##_body(*(const args *)p);                                                                       \
    }                                                                                                        \
    static void name##_body(const args a)
#define TID (emu.now->tid)
#define BID (emu.now->bid)
#define NT (emu.nt)
#define NB (emu.nb)
#define SYNC emu_sync()
#define RELAX emu_yield()
#define ROOM                                                                                                 \
    float *room = emu.now->block->room;                                                                      \
    (void)room
#define SHUFFLE(v, m) emu_shuffle(v, m)
#define FRESH(p) (*(p))
#define ASFLOAT(u) as_float(u)
#define ASUINT(f) as_uint(f)
#define UNROLL
#define UNROLL4
#define UNROLL16
