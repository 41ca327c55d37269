#include "plugins/cuda/conv.h"

#include "base/memory.h"

#include <stdlib.h>

/* Of cudnn.h. */
enum {
    TYPE_HANDLE = 0,
    TYPE_DATA = 1,
    TYPE_BOOLEAN = 2,
    TYPE_INT64 = 3,
    TYPE_FLOAT = 4,
    TYPE_POINTER = 6,
    TYPE_CONVOLUTION_MODE = 7,
    TYPE_HEUR_MODE = 8,
    TYPE_NOTE = 11,
    TYPE_DESCRIPTOR = 15
};
enum {
    CONVOLUTION = 1,
    ENGINE = 2,
    CONFIG = 3,
    HEURISTICS = 4,
    PLAN = 5,
    OP_FORWARD = 10,
    OP_FILTER = 11,
    OP_DATA = 12,
    GRAPH = 15,
    PACK = 16,
    TENSOR = 17
};
enum { FLOAT_TYPE = 0, BFLOAT16_TYPE = 9, CROSS_CORRELATION = 1, MODE_A = 3, MODE_FALLBACK = 2 };
enum { NOTE_TENSOR_CORE = 0, NOTE_NARROWED = 1, NOTE_REDUCED_SUMS = 2, NOTE_VARIES = 4 };
enum { MOST_CONFIGS = 64 };
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

/* n c h w numbers, stored n h w c. */
static int make_tensor(parts *m, int64_t id, int n, int c, int h, int w, void **d, ds_error *e)
{
    const int64_t sizes[] = {n, c, h, w}, strides[] = {(int64_t)c * h * w, 1, (int64_t)w * c, c}, align = 16;
    const int type = m->g->precision == DS_BF16 ? BFLOAT16_TYPE : FLOAT_TYPE;
    const attribute a[] = {{901, TYPE_DATA, 1, &type},
                           {902, TYPE_INT64, 4, sizes},
                           {903, TYPE_INT64, 4, strides},
                           {906, TYPE_INT64, 1, &id},
                           {900, TYPE_INT64, 1, &align}};
    return make_of(m, TENSOR, a, COUNT(a), d, e);
}

/* Attributes of the three operations, in the order of ds_gpu_conv_run's arguments, then of alpha. */
static const struct {
    int type, x, w, y, alpha;
} operations[] = {
    {OP_FORWARD, 704, 703, 705, 700}, {OP_DATA, 710, 709, 711, 706}, {OP_FILTER, 716, 715, 717, 712}};

static int make_graph(parts *m, const ds_gpu_shape *s, int direction, void **graph, ds_error *e)
{
    const int type = FLOAT_TYPE, mode = CROSS_CORRELATION, at = operations[direction].alpha;
    const int64_t dims = 2, pad[] = {s->pad, s->pad}, stride[] = {s->stride, s->stride}, dilation[] = {1, 1};
    const float one = 1, zero = 0;
    void *x, *w, *y, *convolution, *operation;
    const attribute c[] = {{100, TYPE_DATA, 1, &type},     {101, TYPE_CONVOLUTION_MODE, 1, &mode},
                           {102, TYPE_INT64, 2, dilation}, {103, TYPE_INT64, 2, stride},
                           {104, TYPE_INT64, 2, pad},      {105, TYPE_INT64, 2, pad},
                           {106, TYPE_INT64, 1, &dims}};
    DS_TRY(make_of(m, CONVOLUTION, c, COUNT(c), &convolution, e));
    DS_TRY(make_tensor(m, 1, s->n, s->c, s->h, s->w, &x, e));
    DS_TRY(make_tensor(m, 2, s->k, s->c / s->groups, s->r, s->s, &w, e));
    DS_TRY(make_tensor(m, 3, s->n, s->k, s->oh, s->ow, &y, e));
    const attribute o[] = {{operations[direction].x, TYPE_DESCRIPTOR, 1, &x},
                           {operations[direction].w, TYPE_DESCRIPTOR, 1, &w},
                           {operations[direction].y, TYPE_DESCRIPTOR, 1, &y},
                           {at, TYPE_FLOAT, 1, &one},
                           {at + 1, TYPE_FLOAT, 1, &zero},
                           {at + 2, TYPE_DESCRIPTOR, 1, &convolution}};
    DS_TRY(make_of(m, operations[direction].type, o, COUNT(o), &operation, e));
    const attribute g[] = {{801, TYPE_DESCRIPTOR, 1, &operation}, {800, TYPE_HANDLE, 1, &m->g->dnn[0]}};
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

/* NULL: the engine will not, or needs too much memory. */
static void *try_config(ds_gpu *g, void *config)
{
    void *plan = NULL;
    int64_t bytes = 0, n = 0;
    const ds_cuda_library *f = &g->f;
    if (!is_wanted(g, notes_of(g, config)) || f->cudnnBackendCreateDescriptor(PLAN, &plan))
        return NULL;
    if (f->cudnnBackendSetAttribute(plan, 401, TYPE_DESCRIPTOR, 1, &config) ||
        f->cudnnBackendSetAttribute(plan, 400, TYPE_HANDLE, 1, &g->dnn[0]) || f->cudnnBackendFinalize(plan) ||
        f->cudnnBackendGetAttribute(plan, 402, TYPE_INT64, 1, &n, &bytes) || (size_t)bytes > most_workspace) {
        f->cudnnBackendDestroyDescriptor(plan);
        return NULL;
    }
    if ((size_t)bytes > g->workspace_bytes)
        g->workspace_bytes = (size_t)bytes;
    return plan;
}

/* The first plan that will do, best first by the library's own judgement. */
static int search(ds_gpu *g, parts *m, void *graph, int mode, void **plan, ds_error *e)
{
    void *heuristics, *configs[MOST_CONFIGS];
    int64_t n = 0;
    const attribute a[] = {{201, TYPE_DESCRIPTOR, 1, &graph}, {200, TYPE_HEUR_MODE, 1, &mode}};
    parts own = {.g = g};
    int rc = make_of(m, HEURISTICS, a, COUNT(a), &heuristics, e);
    for (int i = 0; i < MOST_CONFIGS && !rc; i++)
        rc = make(&own, CONFIG, &configs[i], e);
    if (!rc)
        rc = DS_DNN(g, cudnnBackendGetAttribute, heuristics, 202, TYPE_DESCRIPTOR, MOST_CONFIGS, &n, configs);
    for (int64_t i = 0; i < n && !rc && !*plan; i++)
        *plan = try_config(g, configs[i]);
    clear(&own);
    return rc;
}

static const char *const direction_names[] = {"forward", "data gradient", "filter gradient"};

int ds_gpu_conv_plan(ds_gpu *g, const ds_gpu_shape *s, int direction, ds_gpu_conv *c, ds_error *e)
{
    parts m = {.g = g};
    void *graph = NULL, **plan = &c->plan[direction];
    ds_error why = {0};
    int made = make_graph(&m, s, direction, &graph, &why), rc = made;
    if (!made)
        rc = search(g, &m, graph, MODE_A, plan, &why);
    if (!made && !*plan)
        rc = search(g, &m, graph, MODE_FALLBACK, plan, &why);
    clear(&m);
    if (*plan)
        return DS_OK;
    return ds_fail(e, DS_EHOST,
                   "cuDNN has no %s of %d x %d / %d, %d to %d channels at %d x %d, %d images%s%s",
                   direction_names[direction], s->r, s->s, s->stride, s->c, s->k, s->h, s->w, s->n,
                   rc ? ": " : "", rc ? why.text : "");
}

static int make_pack(const ds_gpu *g, int stream, const void *x, const void *w, const void *y, void **pack,
                     ds_error *e)
{
    const int64_t ids[] = {1, 2, 3};
    const void *places[] = {x, w, y};
    parts m = {.g = g};
    const attribute a[] = {{1000, TYPE_INT64, 3, ids},
                           {1001, TYPE_POINTER, 3, places},
                           {1003, TYPE_POINTER, 1, &g->workspace[stream]}};
    int rc = make_of(&m, PACK, a, COUNT(a), pack, e);
    if (rc) {
        clear(&m);
        *pack = NULL;
    }
    return rc;
}

int ds_gpu_conv_run(const ds_gpu *g, ds_gpu_conv *c, int direction, int stream, const void *x, const void *w,
                    const void *y, ds_error *e)
{
    if (!c->pack[direction])
        DS_TRY(make_pack(g, stream, x, w, y, &c->pack[direction], e));
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
