/* `classifier serve`: answers over HTTP, on this machine alone unless told otherwise. */
#include "api/darknet-sat.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "data/image.h"
#include "data/loader.h"
#include "data/sandbox.h"
#include "report/watch.h"
#include "serve/serve.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

typedef struct serve_flags {
    char *listen, *state;
    int workers, max_batch, max_body, max_connections;
    double max_wait, timeout;
    bool open;
    ds_run_flags run;
} serve_flags;

#define DS_STATE serve_flags
const ds_option ds_serve_options[] = {
    OPT_TEXT("listen", listen, "where; port 0: any that is free", .def = "127.0.0.1:8080",
             .unit = "ADDR:PORT"),
    OPT_FLAG("open", open, "listen on other than loopback addresses too: whoever reaches them may ask"),
    OPT_INT("workers", workers, "batches answered at the same time, each by a copy of the network",
            .def = "1", OPT_RANGE(1, 64)),
    OPT_INT("max-batch", max_batch, "images answered together at most", .def = "32", OPT_RANGE(1, 4096)),
    OPT_REAL("max-wait", max_wait, "milliseconds that an image waits for others", .def = "2",
             OPT_RANGE(0, 1000), .unit = "MS"),
    OPT_INT("max-body", max_body, "of a request at most", .def = "16", OPT_RANGE(1, 256), .unit = "MIB"),
    OPT_REAL("timeout", timeout, "seconds in which a request must arrive, or the next one begin", .def = "30",
             OPT_RANGE(1, 3600), .unit = "S"),
    OPT_INT("max-connections", max_connections, "open at the same time at most", .def = "256",
            OPT_RANGE(1, 65536)),
    OPT_TEXT("state", state,
             "of `classifier watch`: the scores of all answers count there, and /metrics has its alarm",
             .unit = "F"),
    OPT_INT("threads", run.threads, "threads that compute a batch; 0: the cores by -workers", .def = "0",
            OPT_RANGE(0, 1024)),
    DS_RUN_LOADERS,
    OPT_ENUM("precision", run.precision, ds_precision_flags,
             "f32, bf16, auto (bf16 where that is fast), or cfg: as [net] says", .def = "cfg"),
    OPT_END,
};

/* All that is open, in the order in which it came. */
typedef struct open_all {
    ds_sandbox *decoder;
    darknet_sat_model *model;
    ds_server *server;
    char *name, *address;
    ds_watch watch;
    int lock;
} open_all;

static void close_all(open_all *o)
{
    ds_server_free(o->server);
    darknet_sat_close(o->model);
    ds_sandbox_free(o->decoder);
    free(o->name);
    free(o->address);
    if (o->lock >= 0)
        close(o->lock);
}

/* The file's name up to its first dot, as addresses may have it. */
static char *name_of(const char *cfg)
{
    const char *base = ds_path_base(cfg);
    char *name = ds_strndup(base, strcspn(base, "."));
    for (char *c = name; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '-'))
            *c = '_';
    return name;
}

/* "127.0.0.1:8080", "[::1]:8080". */
static int read_address(const char *text, bool everywhere, char **address, int *port, ds_error *e)
{
    const char *colon = strrchr(text, ':');
    const bool six = text[0] == '[' && colon > text && colon[-1] == ']';
    long long number;
    if (!colon || colon == text || !ds_parse_int(colon + 1, &number) || number < 0 || number > 65535)
        return ds_fail(e, DS_EUSAGE, "-listen %s, expected ADDR:PORT as in 127.0.0.1:8080", text);
    *port = (int)number;
    *address = strncmp(text, "localhost:", 10) == 0
                   ? ds_strdup("127.0.0.1")
                   : ds_strndup(text + six, (size_t)(colon - text) - 2 * six);
    if (everywhere || strncmp(*address, "127.", 4) == 0 || strcmp(*address, "::1") == 0)
        return DS_OK;
    return ds_fail(e, DS_EUSAGE,
                   "-listen %s is no loopback address (127.0.0.1, ::1): whoever reaches it could ask; "
                   "expected one, or -open",
                   text);
}

static int open_model(open_all *o, const serve_flags *s, const char *const *files, ds_error *e)
{
    struct darknet_sat_error failed;
    const int cores = (int)sysconf(_SC_NPROCESSORS_ONLN), each = cores / s->workers;
    const struct darknet_sat_options options = {.size = sizeof options,
                                                .data = files[0],
                                                .precision = ds_precision_flag(s->run.precision),
                                                .batch = s->max_batch,
                                                .threads = s->run.threads ? s->run.threads
                                                           : each > 0     ? each
                                                                          : 1,
                                                .workers = s->workers};
    const int rc = darknet_sat_open(files[1], files[2], &options, &o->model, &failed);
    if (rc)
        return ds_fail(e, (ds_err)rc, "%s", failed.text);
    const char *const *notes = darknet_sat_info(o->model)->notes;
    for (int i = 0; notes[i]; i++)
        fprintf(stderr, "%s\n", notes[i]);
    return DS_OK;
}

static int open_state(open_all *o, const char *path, ds_error *e)
{
    if (!path)
        return DS_OK;
    DS_TRY(ds_watch_lock(path, &o->lock, e));
    DS_TRY(ds_watch_read(path, &o->watch, e));
    if (!ds_watch_scores(&o->watch))
        return ds_fail_at(e, DS_EINPUT, path, 0,
                          "watches no scores, expected one begun with `classifier watch -calib`");
    if (o->watch.scores[DS_WATCH_NOVELTY].calib > 0 && isnan(darknet_sat_info(o->model)->novelty_rate))
        return ds_fail_at(e, DS_EINPUT, path, 0,
                          "watches a column novelty, which this cfg has not, expected a state begun with "
                          "images that it calibrated");
    return DS_OK;
}

static int save(open_all *o, const char *path, ds_error *e)
{
    return path ? ds_server_save_watch(o->server, path, e) : DS_OK;
}

/* Until a signal asks for the end. */
static int wait_for_end(open_all *o, const char *state, ds_error *e)
{
    double saved = ds_now();
    while (!ds_interrupted) {
        nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
        ds_server_tick(o->server);
        if (ds_now() - saved < 60)
            continue;
        saved = ds_now();
        ds_error failed = {0};
        if (save(o, state, &failed)) /* again in a minute */
            ds_error_print(&failed, stderr);
    }
    ds_server_drain(o->server, 10);
    return save(o, state, e);
}

static int serve(open_all *o, const serve_flags *s, const char *const *files, ds_error *e)
{
    int port = 0;
    DS_TRY(read_address(s->listen, s->open, &o->address, &port, e));
    DS_TRY(ds_decoder_new(&o->decoder, e)); /* while there is one thread */
    DS_TRY(open_model(o, s, files, e));
    DS_TRY(open_state(o, s->state, e));
    o->name = name_of(files[1]);
    const ds_serve_setup setup = {.model = o->model,
                                  .name = o->name,
                                  .decoder = o->decoder,
                                  .address = o->address,
                                  .port = port,
                                  .workers = s->workers,
                                  .readers = ds_loader_threads(s->run.loaders),
                                  .max_batch = s->max_batch,
                                  .max_wait = s->max_wait / 1e3,
                                  .max_body = (size_t)s->max_body << 20,
                                  .patience = s->timeout,
                                  .max_connections = s->max_connections,
                                  .max_queue = 8 * s->workers * s->max_batch,
                                  .watch = s->state ? &o->watch : NULL};
    signal(SIGPIPE, SIG_IGN); /* people go before their answer comes */
    ds_catch_interrupts(true);
    DS_TRY(ds_server_new(&setup, &o->server, e));
    const bool six = strchr(o->address, ':');
    printf("%s, %s: http://%s%s%s:%d/\n", o->name, darknet_sat_info(o->model)->backend, six ? "[" : "",
           o->address, six ? "]" : "", ds_server_port(o->server));
    fflush(stdout);
    return wait_for_end(o, s->state, e);
}

int ds_cmd_serve(int argc, char **argv, ds_error *e)
{
    serve_flags s = {0};
    DS_FINALLY(ds_words_clear) ds_words w = {.table = ds_serve_options, .state = &s, .needed = "CFG WEIGHTS"};
    DS_FINALLY(close_all) open_all o = {.lock = -1};
    DS_TRY(ds_words_read(&w, argc, argv, 3, e));
    const char *const files[] = {w.n == 3 ? w.operands[0] : NULL, w.operands[w.n - 2], w.operands[w.n - 1]};
    return serve(&o, &s, files, e);
}
