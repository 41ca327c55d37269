/* -plugin FILE.so: layers that were built elsewhere. */
#include "base/file.h"
#include "cli/commands.h"
#include "plugins/registry.h"

#include <dlfcn.h>

/* A file without a slash is here, not where libraries are. */
int ds_open_plugin(const char *path, ds_error *e)
{
    const char *base = ds_path_base(path);
    DS_FREED char *file = ds_format("%s%s", base == path ? "./" : "", path),
                  *symbol = ds_format("ds_layer_%.*s", (int)strcspn(base, "."), base);
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
