/* The kernels of one type, BF16=0|1, as functions: emulated_0, emulated_1. */
#include "tests/gpu/emulate.h"

#include "plugins/cuda/kernels.cu"
#include "tests/gpu/mock.h"

#define NAME_(b) emulated_##b
#define NAME(b) NAME_(b)
#define ENTRY(name, args, barriers) {#name, name, sizeof(args), barriers},
const mock_kernel NAME(BF16)[] = {DS_CUDA_KERNELS(ENTRY){0}};
#define RUN_(b) emulate_##b
#define RUN(b) RUN_(b)
void RUN(BF16)(const mock_kernel *k, int blocks, int threads, size_t room, const void *args)
{
    if (k->barriers)
        emu_launch(k->body, blocks, threads, room, args);
    else
        emu_plain(k->body, blocks, threads, args);
}
