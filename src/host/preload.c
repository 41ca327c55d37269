/* libdarknet-sat.so: preloaded into any program that uses libdarknet.so, it makes cfgs with plugin sections
 * work there, for inference. The functions below stand in for the host's; nobody who calls them looks for
 * errors, so here a failure prints and exits. */
#include "host/private.h"

#include <dlfcn.h>

static _Noreturn void fatal(const ds_error *e)
{
    ds_error_print(e, stderr);
    exit(ds_error_status(e->code));
}

/* The host's own functions. RTLD_NEXT finds nothing when the client opened the library with RTLD_LOCAL (as
 * Python's ctypes does); the caller then is inside the library itself, and its address leads there. */
static void *library_of(void *caller)
{
    Dl_info where;
    if (!dladdr(caller, &where) || !where.dli_fname)
        return NULL;
    return dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
}

static const ds_host *host_of(void *caller)
{
    static ds_host table;
    static bool bound;
    ds_error e = {0};
    if (bound)
        return &table;
    void *handle = library_of(caller);
    void *own = (void *)parse_network_cfg, *found = handle ? dlsym(handle, "parse_network_cfg") : NULL;
    bool in_library = found && found != own;
    if (ds_host_bind(in_library ? handle : RTLD_NEXT, &table, &e))
        fatal(&e);
    bound = true;
    return &table;
}

/* Who runs the network makes one pass an image. */
static void warn_of_mean(const ds_cfg *cfg)
{
    const ds_section *s = &cfg->sections[ds_cfg_reject(cfg) + 1]; /* [net] where there is none */
    const char *key = ds_section_get(s, "with") ? "with" : "views", *value = ds_section_get(s, key);
    if (value && strcmp(value, "1") != 0)
        fprintf(stderr, "warning: %s:%d: %s=%s: the threshold is that of a mean, here it promises nothing\n",
                cfg->path, ds_section_line(s, key), key, value);
}

static network *parse_ours(const ds_host *host, const char *path)
{
    static ds_context context = {.fatal = fatal};
    ds_error e = {0};
    ds_cfg *cfg;
    network *net = NULL;
    ds_depths depths;
    ds_setup setup = {.depths = &depths};
    if (ds_cfg_read(path, &cfg, NULL, &e))
        fatal(&e);
    warn_of_mean(cfg);
    DS_FREED char *text = ds_cfg_lower(cfg, 0, 0);
    if (ds_host_parse(host, text, NULL, &net, &e))
        fatal(&e);
    ds_depths_of(cfg, net, &depths);
    if (ds_attach(cfg, net, &setup, &context, &e))
        fatal(&e);
    ds_cfg_free(cfg);
    return net;
}

EXPORT network *parse_network_cfg(char *filename)
{
    const ds_host *host = host_of(__builtin_return_address(0));
    int line;
    return ds_cfg_file_plugin(filename, &line) ? parse_ours(host, filename)
                                               : host->parse_network_cfg(filename);
}

EXPORT void free_layer(layer l)
{
    const ds_host *host = host_of(__builtin_return_address(0));
    ds_detach(&l);
    host->free_layer(l);
}
