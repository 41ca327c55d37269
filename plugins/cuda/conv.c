#include "plugins/cuda/conv.h"

#include "base/clock.h"
#include "plugins/cuda/kept.h"

/* Of cudnn.h. */
enum { TYPE_HANDLE, TYPE_DATA, TYPE_BOOLEAN, TYPE_INT64, TYPE_FLOAT, TYPE_DOUBLE, TYPE_POINTER };
enum { TYPE_CONVOLUTION_MODE = 7, TYPE_HEUR_MODE = 8, TYPE_NOTE = 11, TYPE_POINTWISE_MODE = 14 };
enum { TYPE_DESCRIPTOR = 15 };
enum {
    POINTWISE = 0,
    CONVOLUTION = 1,
    ENGINE = 2,
    CONFIG = 3,
    HEURISTICS = 4,
    PLAN = 5,
    GRAPH = 15,
    PACK = 16,
    TENSOR = 17
};
enum { OP_FORWARD = 10, OP_FILTER = 11, OP_DATA = 12, OP_POINTWISE = 13, ADD = 0, RELU = 100 };
enum { FLOAT_TYPE = 0, BFLOAT16_TYPE = 9, CROSS_CORRELATION = 1, MODE_A = 3, MODE_FALLBACK = 2 };
enum { NOTE_TENSOR_CORE = 0, NOTE_NARROWED = 1, NOTE_REDUCED_SUMS = 2, NOTE_VARIES = 4 };
enum { MOST_CONFIGS = 64, MOST_MEASURED = 8 };
static const size_t most_workspace = (size_t)512 << 20;

/* What a plan is made from; gone with it. */
typedef struct parts {
    const ds_gpu *g;
    void *all[MOST_CONFIGS + 16];
    int n;
} parts;

static void clear(parts *m)
{
    while (m->n > 0)
        m->g->f.cudnnBackendDestroyDescriptor(m->all[--m->n]);
}

static int make(parts *m, int type, void **d, ds_error *e)
{
    DS_TRY(DS_DNN(m->g, cudnnBackendCreateDescriptor, type, d));
    m->all[m->n++] = *d;
    return DS_OK;
}

typedef struct attribute {
    int name, type;
    int64_t n;
    const void *value;
} attribute;

/* A descriptor with n attributes. */
static int make_of(parts *m, int type, const attribute *a, int n, void **d, ds_error *e)
{
    DS_TRY(make(m, type, d, e));
    for (int i = 0; i < n; i++)
        DS_TRY(DS_DNN(m->g, cudnnBackendSetAttribute, *d, a[i].name, a[i].type, a[i].n, a[i].value));
    return DS_DNN(m->g, cudnnBackendFinalize, *d);
}

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

/* n c h w numbers, stored n h w c, at place id - 1; from VIRTUAL on they are never in memory. */
enum { VIRTUAL = 10 };
static int make_tensor(parts *m, int64_t id, int type, const int *nchw, void **d, ds_error *e)
{
    const int64_t n = nchw[0], c = nchw[1], h = nchw[2], w = nchw[3], align = 16;
    const int64_t sizes[] = {n, c, h, w}, strides[] = {c * h * w, 1, w * c, c};
    const bool nowhere = id >= VIRTUAL;
    const attribute a[] = {{901, TYPE_DATA, 1, &type},       {902, TYPE_INT64, 4, sizes},
                           {903, TYPE_INT64, 4, strides},    {906, TYPE_INT64, 1, &id},
                           {907, TYPE_BOOLEAN, 1, &nowhere}, {900, TYPE_INT64, 1, &align}};
    return make_of(m, TENSOR, a, COUNT(a), d, e);
}

/* Attributes of the operations, of x, w, y, then of alpha. */
static const struct {
    int type, x, w, y, alpha;
} operations[DS_DIRECTIONS] = {{OP_FORWARD, 704, 703, 705, 700},
                               {OP_DATA, 710, 709, 711, 706},
                               {OP_FILTER, 716, 715, 717, 712},
                               {OP_FORWARD, 704, 703, 705, 700}};

static int make_convolution(parts *m, const ds_gpu_shape *s, int direction, void *y, void **operation,
                            ds_error *e)
{
    const int type = FLOAT_TYPE, mode = CROSS_CORRELATION, at = operations[direction].alpha;
    const int number = m->g->precision == DS_BF16 ? BFLOAT16_TYPE : FLOAT_TYPE;
    const int64_t dims = 2, pad[] = {s->pad, s->pad}, stride[] = {s->stride, s->stride}, dilation[] = {1, 1};
    const float one = 1, zero = 0;
    void *x, *w, *convolution;
    const attribute c[] = {{100, TYPE_DATA, 1, &type},     {101, TYPE_CONVOLUTION_MODE, 1, &mode},
                           {102, TYPE_INT64, 2, dilation}, {103, TYPE_INT64, 2, stride},
                           {104, TYPE_INT64, 2, pad},      {105, TYPE_INT64, 2, pad},
                           {106, TYPE_INT64, 1, &dims}};
    DS_TRY(make_of(m, CONVOLUTION, c, COUNT(c), &convolution, e));
    DS_TRY(make_tensor(m, 1 + DS_X, number, (int[]){s->n, s->c, s->h, s->w}, &x, e));
    DS_TRY(make_tensor(m, 1 + DS_W, number, (int[]){s->k, s->c / s->groups, s->r, s->s}, &w, e));
    const attribute o[] = {{operations[direction].x, TYPE_DESCRIPTOR, 1, &x},
                           {operations[direction].w, TYPE_DESCRIPTOR, 1, &w},
                           {operations[direction].y, TYPE_DESCRIPTOR, 1, &y},
                           {at, TYPE_FLOAT, 1, &one},
                           {at + 1, TYPE_FLOAT, 1, &zero},
                           {at + 2, TYPE_DESCRIPTOR, 1, &convolution}};
    return make_of(m, operations[direction].type, o, COUNT(o), operation, e);
}

/* y = x + b, or without b the activation of x. */
static int make_pointwise(parts *m, void *x, void *b, void *y, double slope, void **operation, ds_error *e)
{
    const int type = FLOAT_TYPE, mode = b ? ADD : RELU;
    void *how;
    const attribute p[] = {
        {0, TYPE_POINTWISE_MODE, 1, &mode}, {1, TYPE_DATA, 1, &type}, {5, TYPE_DOUBLE, 1, &slope}};
    DS_TRY(make_of(m, POINTWISE, p, b ? 2 : 3, &how, e));
    const attribute o[] = {{750, TYPE_DESCRIPTOR, 1, &how},
                           {751, TYPE_DESCRIPTOR, 1, &x},
                           {753, TYPE_DESCRIPTOR, 1, &y},
                           {752, TYPE_DESCRIPTOR, 1, &b}};
    return make_of(m, OP_POINTWISE, o, b ? 4 : 3, operation, e);
}

static int make_graph(parts *m, const ds_gpu_shape *s, int direction, void **graph, ds_error *e)
{
    const int number = m->g->precision == DS_BF16 ? BFLOAT16_TYPE : FLOAT_TYPE;
    const int of_y[] = {s->n, s->k, s->oh, s->ow}, of_bias[] = {1, s->k, 1, 1};
    const int more = direction == DS_FUSED ? 1 + s->other + (s->slope != 1) : 0;
    void *y[4], *add[3] = {NULL}, *all[4];
    for (int i = 0; i <= more; i++)
        DS_TRY(make_tensor(m, i < more ? VIRTUAL + i : 1 + DS_Y, i < more ? FLOAT_TYPE : number, of_y, &y[i],
                           e));
    if (more)
        DS_TRY(make_tensor(m, 1 + DS_BIAS, FLOAT_TYPE, of_bias, &add[0], e));
    if (more && s->other)
        DS_TRY(make_tensor(m, 1 + DS_OTHER, number, of_y, &add[1], e));
    DS_TRY(make_convolution(m, s, direction, y[0], &all[0], e));
    for (int i = 0; i < more; i++)
        DS_TRY(make_pointwise(m, y[i], add[i], y[i + 1], (double)s->slope, &all[i + 1], e));
    const attribute g[] = {{801, TYPE_DESCRIPTOR, 1 + more, all}, {800, TYPE_HANDLE, 1, &m->g->dnn[0]}};
    return make_of(m, GRAPH, g, COUNT(g), graph, e);
}

/* Numerical notes of the engine behind a configuration, a bit each. */
static int notes_of(const ds_gpu *g, void *config)
{
    int notes[16] = {0}, bits = 0;
    int64_t n = 0;
    void *engine = NULL;
    if (g->f.cudnnBackendCreateDescriptor(ENGINE, &engine))
        return -1;
    int rc = g->f.cudnnBackendGetAttribute(config, 300, TYPE_DESCRIPTOR, 1, &n, &engine);
    if (!rc)
        rc = g->f.cudnnBackendGetAttribute(engine, 1303, TYPE_NOTE, 16, &n, notes);
    for (int i = 0; i < n && i < 16 && !rc; i++)
        bits |= 1 << notes[i];
    g->f.cudnnBackendDestroyDescriptor(engine);
    return rc ? -1 : bits;
}

static bool is_wanted(const ds_gpu *g, int notes)
{
    const int forbidden = 1 << NOTE_VARIES | 1 << NOTE_REDUCED_SUMS |
                          (g->precision == DS_F32 ? 1 << NOTE_TENSOR_CORE | 1 << NOTE_NARROWED : 0);
    return notes >= 0 && !(notes & forbidden);
}

/* A plan that will do, and the workspace that it needs. */
typedef struct candidate {
    void *plan;
    int64_t bytes;
} candidate;

/* False: the engine will not, or needs too much memory. */
static bool try_config(ds_gpu *g, void *config, candidate *c)
{
    int64_t n = 0;
    const ds_cuda_library *f = &g->f;
    if (!is_wanted(g, notes_of(g, config)) || f->cudnnBackendCreateDescriptor(PLAN, &c->plan))
        return false;
    if (!f->cudnnBackendSetAttribute(c->plan, 401, TYPE_DESCRIPTOR, 1, &config) &&
        !f->cudnnBackendSetAttribute(c->plan, 400, TYPE_HANDLE, 1, &g->dnn[0]) &&
        !f->cudnnBackendFinalize(c->plan) &&
        !f->cudnnBackendGetAttribute(c->plan, 402, TYPE_INT64, 1, &n, &c->bytes) &&
        (size_t)c->bytes <= most_workspace)
        return true;
    f->cudnnBackendDestroyDescriptor(c->plan);
    return false;
}

static int make_pack(const ds_gpu *g, void *workspace, const void *const places[DS_PLACES], void **pack,
                     ds_error *e)
{
    const int64_t ids[DS_PLACES] = {1, 2, 3, 4, 5};
    int64_t n = 0;
    while (n < DS_PLACES && places[n])
        n++;
    parts m = {.g = g};
    const attribute a[] = {
        {1000, TYPE_INT64, n, ids}, {1001, TYPE_POINTER, n, places}, {1003, TYPE_POINTER, 1, &workspace}};
    int rc = make_of(&m, PACK, a, COUNT(a), pack, e);
    if (rc) {
        clear(&m);
        *pack = NULL;
    }
    return rc;
}

/* ---- measured ---- */

/* Memory that a plan of this shape is measured with: its tensors, and as much workspace as may be. */
typedef struct bench {
    char *all;
    size_t at[DS_PLACES + 1];
    int n;
} bench;

static int open_bench(ds_gpu *g, const ds_gpu_shape *s, int direction, bench *b, ds_error *e)
{
    const size_t y = (size_t)s->n * (size_t)s->k * (size_t)(s->oh * s->ow);
    const size_t sizes[] = {(size_t)s->n * (size_t)s->c * (size_t)(s->h * s->w),
                            (size_t)s->k * (size_t)(s->c / s->groups) * (size_t)(s->r * s->s), y,
                            2 * (size_t)s->k, y};
    b->n = direction == DS_FUSED ? 4 + s->other : 3;
    for (int i = 0; i < b->n; i++)
        b->at[i + 1] = b->at[i] + (sizes[i] * g->size + 255) / 256 * 256;
    DS_TRY(DS_CU(g, cuMemAlloc_v2, (void **)&b->all, b->at[b->n] + most_workspace));
    return DS_CU(g, cuMemsetD8Async, b->all, 0, b->at[b->n], g->streams[DS_GPU_MAIN]);
}

/* Seconds of ten calls in a graph, the second time. */
static int time_plan(ds_gpu *g, void *plan, void *pack, double *seconds, ds_error *e)
{
    void *graph = NULL;
    DS_TRY(DS_DNN(g, cudnnBackendExecute, g->dnn[0], plan, pack)); /* code is loaded at its first call */
    DS_TRY(ds_gpu_record(g, e));
    int rc = DS_OK;
    for (int i = 0; i < 10 && !rc; i++)
        rc = DS_DNN(g, cudnnBackendExecute, g->dnn[0], plan, pack);
    const int end = ds_gpu_recorded(g, &graph, rc ? NULL : e);
    rc = rc ? rc : end;
    for (int i = 0; i < 2 && !rc; i++) {
        const double start = ds_now();
        rc = ds_gpu_replay(g, graph, e);
        rc = rc ? rc : ds_gpu_wait(g, e);
        *seconds = ds_now() - start;
    }
    if (graph)
        g->f.cuGraphExecDestroy(graph);
    return rc;
}

/* INFINITY: it cannot be run after all. */
static double measure(ds_gpu *g, const bench *b, void *plan)
{
    const void *places[DS_PLACES] = {NULL};
    void *pack = NULL;
    double seconds = INFINITY;
    for (int i = 0; i < b->n; i++)
        places[i] = b->all + b->at[i];
    if (make_pack(g, b->all + b->at[b->n], places, &pack, NULL) || time_plan(g, plan, pack, &seconds, NULL))
        seconds = INFINITY;
    if (pack)
        g->f.cudnnBackendDestroyDescriptor(pack);
    return seconds;
}

/* ---- chosen ---- */

static void take(const ds_gpu *g, candidate *to, candidate c)
{
    if (to->plan)
        g->f.cudnnBackendDestroyDescriptor(to->plan);
    *to = c;
}

/* Of the configurations, best first by the library's own judgement, the first that will do; on a bench the
 * fastest of some, and *number says which. That may be known before, else it is negative. */
static int search(ds_gpu *g, parts *m, void *graph, int mode, const bench *b, int *number, candidate *best,
                  ds_error *e)
{
    void *heuristics, *configs[MOST_CONFIGS];
    const int only = *number, most = b ? MOST_MEASURED : 1;
    int64_t n = 0;
    double least = INFINITY;
    const attribute a[] = {{201, TYPE_DESCRIPTOR, 1, &graph}, {200, TYPE_HEUR_MODE, 1, &mode}};
    parts own = {.g = g};
    int rc = make_of(m, HEURISTICS, a, COUNT(a), &heuristics, e);
    for (int i = 0; i < MOST_CONFIGS && !rc; i++)
        rc = make(&own, CONFIG, &configs[i], e);
    if (!rc)
        rc = DS_DNN(g, cudnnBackendGetAttribute, heuristics, 202, TYPE_DESCRIPTOR, MOST_CONFIGS, &n, configs);
    for (int i = 0, tried = 0; i < n && tried < most && !rc; i++) {
        candidate c = {0};
        if ((only >= 0 && i != only) || !try_config(g, configs[i], &c))
            continue;
        tried++;
        const double seconds = b ? measure(g, b, c.plan) : 0;
        if (seconds < least) {
            take(g, best, c);
            least = seconds;
            *number = i;
        } else {
            take(g, &c, (candidate){0});
        }
    }
    clear(&own);
    return rc;
}

/* With -tune: what was the fastest before, or is now. */
static int tuned(ds_gpu *g, const ds_gpu_shape *s, int direction, parts *m, void *graph, candidate *best,
                 ds_error *e)
{
    DS_FREED char *key =
        ds_format("%s %d %d %d: %d %d %d %d, %d %d %d, %d %d, %d %d %d, %d %d %g", g->name, g->sm,
                  (int)g->f.cudnnGetVersion(), (int)g->precision, s->n, s->c, s->h, s->w, s->k, s->r, s->s,
                  s->oh, s->ow, s->stride, s->pad, s->groups, direction, s->other, (double)s->slope);
    size_t n = 0;
    int number = -1;
    DS_FREED unsigned char *kept = ds_kept_read(key, &n);
    if (kept && n == sizeof number)
        memcpy(&number, kept, n);
    if (number >= 0)
        DS_TRY(search(g, m, graph, MODE_A, NULL, &number, best, e));
    if (best->plan)
        return DS_OK;
    number = -1;
    bench b = {0};
    int rc = open_bench(g, s, direction, &b, e);
    rc = rc ? rc : search(g, m, graph, MODE_A, &b, &number, best, e);
    if (b.all)
        g->f.cuMemFree_v2(b.all);
    if (best->plan)
        ds_kept_write(key, &number, sizeof number);
    return rc;
}

static const char *const direction_names[] = {"forward", "data gradient", "filter gradient", "fused forward"};

int ds_gpu_conv_plan(ds_gpu *g, const ds_gpu_shape *s, int direction, ds_gpu_conv *c, ds_error *e)
{
    parts m = {.g = g};
    void *graph = NULL;
    candidate best = {0};
    ds_error why = {0};
    int any = -1;
    int made = make_graph(&m, s, direction, &graph, &why), rc = made;
    if (!made)
        rc = g->tune ? tuned(g, s, direction, &m, graph, &best, &why)
                     : search(g, &m, graph, MODE_A, NULL, &any, &best, &why);
    if (!made && !best.plan)
        rc = search(g, &m, graph, MODE_FALLBACK, NULL, &any, &best, &why);
    clear(&m);
    c->plan[direction] = best.plan;
    if ((size_t)best.bytes > g->workspace_bytes)
        g->workspace_bytes = (size_t)best.bytes;
    if (best.plan)
        return DS_OK;
    return ds_fail(e, DS_EHOST,
                   "cuDNN has no %s of %d x %d / %d, %d to %d channels at %d x %d, %d images%s%s",
                   direction_names[direction], s->r, s->s, s->stride, s->c, s->k, s->h, s->w, s->n,
                   rc ? ": " : "", rc ? why.text : "");
}

int ds_gpu_conv_run(const ds_gpu *g, ds_gpu_conv *c, int direction, int stream,
                    const void *const places[DS_PLACES], ds_error *e)
{
    if (!c->pack[direction])
        DS_TRY(make_pack(g, g->workspace[stream], places, &c->pack[direction], e));
    return DS_DNN(g, cudnnBackendExecute, g->dnn[stream], c->plan[direction], c->pack[direction]);
}

void ds_gpu_conv_free(const ds_gpu *g, ds_gpu_conv *c)
{
    for (int i = 0; i < DS_DIRECTIONS; i++) {
        if (c->plan[i])
            g->f.cudnnBackendDestroyDescriptor(c->plan[i]);
        if (c->pack[i])
            g->f.cudnnBackendDestroyDescriptor(c->pack[i]);
    }
    *c = (ds_gpu_conv){0};
}
