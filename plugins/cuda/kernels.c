/* The kernels as code of a device. */
#include "base/pixel.h.inc"
#include "plugins/cuda/args.h.inc"
#include "plugins/cuda/gpu.h"
#include "plugins/cuda/kept.h"
#include "plugins/cuda/kernels.cu.inc"

static int failed(const ds_cuda_library *l, void *program, ds_error *e)
{
    size_t n = 0;
    l->nvrtcGetProgramLogSize(program, &n);
    DS_FREED char *log = ds_xcalloc(n + 1, 1);
    l->nvrtcGetProgramLog(program, log);
    return ds_fail(e, DS_EHOST, "backend cuda: libnvrtc cannot compile the kernels: %.600s", log);
}

static int compile(const ds_cuda_library *l, const char *source, const char *const *options, int n,
                   unsigned char **image, size_t *bytes, ds_error *e)
{
    void *program = NULL;
    if (l->nvrtcCreateProgram(&program, source, "kernels.cu", 0, NULL, NULL))
        return ds_fail(e, DS_EHOST, "backend cuda: nvrtcCreateProgram failed");
    int rc = l->nvrtcCompileProgram(program, n, options) ? failed(l, program, e) : DS_OK;
    bool got = !rc && l->nvrtcGetCUBINSize(program, bytes) == 0;
    *image = ds_xmalloc(*bytes);
    got = got && l->nvrtcGetCUBIN(program, (char *)*image) == 0;
    l->nvrtcDestroyProgram(&program);
    return rc || got ? rc : ds_fail(e, DS_EHOST, "backend cuda: nvrtcGetCUBIN failed");
}

int ds_kernels_image(ds_cuda_library *l, int sm, bool bf16, unsigned char **image, ds_error *e)
{
    DS_FREED char *arch = ds_format("--gpu-architecture=sm_%d", sm);
    const char *options[] = {arch, bf16 ? "-DBF16=1" : "-DBF16=0", "-DINFINITY=__int_as_float(0x7f800000)",
                             "-default-device"};
    DS_FREED char *source = ds_format("%s\n%s\n%s", pixel_h, args_h, kernels_cu);
    DS_FREED char *key = ds_format("%s%s%s", arch, options[1], source);
    size_t bytes = 0;
    if ((*image = ds_kept_read(key, &bytes)))
        return DS_OK;
    DS_TRY(ds_cuda_open_compiler(l, e));
    DS_TRY(compile(l, source, options, sizeof options / sizeof *options, image, &bytes, e));
    ds_kept_write(key, *image, bytes);
    return DS_OK;
}
