#include "plugins/cuda/kernels.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "plugins/cuda/args.h.inc"
#include "base/pixel.h.inc"
#include "plugins/cuda/kernels.cu.inc"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a. */
static uint64_t hash_of(const void *bytes, size_t n, uint64_t hash)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ p[i]) * 0x100000001b3;
    return hash;
}

/* ---- kept ---- */

/* A file holds this, then the code. */
typedef struct header {
    uint64_t bytes, hash;
} header;

/* A name for each source, device and type; NULL: nowhere to keep it. */
static char *place_of(const char *source, const char *const *options, int n)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    uint64_t hash = hash_of(source, strlen(source), 0xcbf29ce484222325);
    for (int i = 0; i < n; i++)
        hash = hash_of(options[i], strlen(options[i]), hash);
    if (cache && *cache)
        return ds_format("%s/darknet-sat/cuda-%016llx", cache, (unsigned long long)hash);
    return home && *home ? ds_format("%s/.cache/darknet-sat/cuda-%016llx", home, (unsigned long long)hash)
                         : NULL;
}

/* NULL: it is not there, or not whole. */
static unsigned char *read_kept(const char *path)
{
    DS_FREED unsigned char *bytes = NULL;
    size_t n = 0;
    header h;
    if (!path || !ds_path_exists(path) || ds_file_read(path, "kernels", &bytes, &n, NULL) || n < sizeof h)
        return NULL;
    memcpy(&h, bytes, sizeof h);
    if (h.bytes != n - sizeof h || h.hash != hash_of(bytes + sizeof h, n - sizeof h, 0))
        return NULL;
    unsigned char *image = ds_xmalloc(n - sizeof h);
    memcpy(image, bytes + sizeof h, n - sizeof h);
    return image;
}

static void keep(const char *path, const unsigned char *image, size_t n)
{
    const header h = {n, hash_of(image, n, 0)};
    DS_FREED char *folder = path ? ds_path_dir(path) : NULL;
    ds_writer w;
    if (!path || ds_make_dirs(folder, NULL) || ds_writer_open(&w, path, NULL))
        return;
    fwrite(&h, sizeof h, 1, w.f);
    fwrite(image, 1, n, w.f);
    ds_writer_commit(&w, NULL);
}

/* ---- made ---- */

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
    char arch[40];
    snprintf(arch, sizeof arch, "--gpu-architecture=sm_%d", sm);
    const char *options[] = {arch, bf16 ? "-DBF16=1" : "-DBF16=0", "-DINFINITY=__int_as_float(0x7f800000)",
                             "-default-device"};
    const int n = sizeof options / sizeof *options;
    DS_FREED char *source = ds_format("%s\n%s\n%s", pixel_h, args_h, kernels_cu);
    DS_FREED char *path = place_of(source, options, n);
    size_t bytes = 0;
    if ((*image = read_kept(path)))
        return DS_OK;
    DS_TRY(ds_cuda_open_compiler(l, e));
    DS_TRY(compile(l, source, options, n, image, &bytes, e));
    keep(path, *image, bytes);
    return DS_OK;
}
