/* -plugin FILE.so: layers that were built elsewhere. */
#include "base/file.h"
#include "cli/commands.h"
#include "plugins/registry.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Does all that the headers tell of lie in the file? The loader maps it and would find out by a signal. */
static bool is_whole(int fd, uint64_t size)
{
    Elf64_Ehdr h;
    Elf64_Phdr part = {0};
    if (pread(fd, &h, sizeof h, 0) != sizeof h || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
        h.e_shoff > size || (uint64_t)h.e_shnum * h.e_shentsize > size - h.e_shoff)
        return false;
    for (uint64_t i = 0; i < h.e_phnum; i++)
        if (pread(fd, &part, sizeof part, (off_t)(h.e_phoff + i * sizeof part)) != sizeof part ||
            part.p_offset > size || part.p_filesz > size - part.p_offset)
            return false;
    return true;
}

static int check_library(const char *path, ds_error *e)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe has nobody to wait for */
    if (fd < 0 || fstat(fd, &st))
        return ds_fail(e, DS_EINPUT, "-plugin %s: cannot open: %s", path, strerror(errno));
    const bool whole = S_ISREG(st.st_mode) && is_whole(fd, (uint64_t)st.st_size);
    close(fd);
    return whole ? DS_OK
                 : ds_fail(e, DS_EINPUT,
                           "-plugin %s: is no shared library, or not all of one, expected FILE.so", path);
}

/* A file without a slash is here, not where libraries are. */
int ds_open_plugin(const char *path, ds_error *e)
{
    const char *base = ds_path_base(path);
    DS_FREED char *file = ds_format("%s%s", base == path ? "./" : "", path),
                  *symbol = ds_format("ds_layer_%.*s", (int)strcspn(base, "."), base);
    DS_TRY(check_library(path, e));
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return ds_fail(e, DS_EINPUT, "-plugin %s: %s", path, dlerror());
    const ds_layer *layer = dlsym(handle, symbol);
    if (!layer)
        /* cppcheck-suppress resourceLeak */
        return ds_fail_at(e, DS_EINPUT, path, 0, "has no %s, expected a layer of the file's name", symbol);
    /* cppcheck-suppress resourceLeak */
    return ds_layer_add(layer, path, e);
}
