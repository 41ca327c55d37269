/* The backend: passes over segments, and the door to them. */
#include "plugins/cuda/engine.h"

enum { TRAIN, INFER, BACKWARD };

/* ---- a segment ---- */

static bool is_inside(const ds_gpu_segment *g, int layer)
{
    return layer >= g->first && layer <= g->last;
}

static ds_gpu_segment *segment_of(ds_engine *x, int layer)
{
    ds_gpu_segment *g = x->segments;
    while (!is_inside(g, layer))
        g++;
    return g;
}

/* Kernel from_plain or to_plain. */
static int border(ds_engine *x, int kernel, const ds_gpu_tensor *t, void *tensor, ds_error *e)
{
    const plain_args a = {t->plain, tensor, x->graph.batch, t->c, t->h * t->w, t->cp};
    return ds_gpu_run(&x->gpu, kernel, ds_gpu_numbers(t) / (size_t)x->gpu.vector, &a, e);
}

static int walk_forward(ds_engine *x, const ds_gpu_segment *g, bool train, ds_error *e)
{
    x->training = train;
    for (int i = 1; i <= x->graph.n; i++)
        if (x->tensors[i].plain && is_inside(g, x->tensors[i].reader))
            DS_TRY(border(x, DS_K_from_plain, &x->tensors[i], x->tensors[i].value, e));
    for (int k = 0; k < x->n_steps; k++) {
        ds_gpu_step *s = &x->steps[k];
        if (!is_inside(g, s->layer))
            continue;
        DS_TRY(s->kind->forward(x, s, e));
        if (s->out->to_host && s->kind != &ds_gpu_avgpool)
            DS_TRY(border(x, DS_K_to_plain, s->out, s->out->value, e));
    }
    return DS_OK;
}

static int walk_backward(ds_engine *x, const ds_gpu_segment *g, ds_error *e)
{
    for (int k = x->n_steps - 1; k >= 0; k--) {
        ds_gpu_step *s = &x->steps[k];
        if (is_inside(g, s->layer) && s->from_host.t) {
            DS_TRY(border(x, DS_K_from_plain, s->out, ds_gpu_place(x, &s->from_host), e));
            DS_TRY(ds_gpu_deliver(x, &s->from_host, e));
        }
    }
    for (int k = x->n_steps - 1; k >= 0; k--) {
        ds_gpu_step *s = &x->steps[k];
        if (!is_inside(g, s->layer) || !s->trains)
            continue;
        if (s->kind != &ds_gpu_layer) /* which adds both parts itself */
            DS_TRY(ds_gpu_join(x, s->out, e));
        DS_TRY(s->kind->backward(x, s, e));
    }
    for (int i = 0; i <= x->graph.n; i++) {
        const ds_gpu_tensor *t = &x->tensors[i];
        if (!t->from_host || !t->contributions || !is_inside(g, t->reader))
            continue;
        DS_TRY(ds_gpu_join(x, t, e));
        DS_TRY(border(x, DS_K_to_plain, t, t->grad[0], e));
    }
    DS_TRY(ds_gpu_order(&x->gpu, DS_GPU_MAIN, DS_GPU_SIDE,
                        e)); /* a stream that nothing forked is no part of a graph */
    return ds_gpu_order(&x->gpu, DS_GPU_SIDE, DS_GPU_MAIN, e);
}

static int walk(ds_engine *x, const ds_gpu_segment *g, int what, ds_error *e)
{
    return what == BACKWARD ? walk_backward(x, g, e) : walk_forward(x, g, what == TRAIN, e);
}

/* Once call by call, for code that is loaded at its first call; from then on as one graph. */
static int run(ds_engine *x, ds_gpu_segment *g, int what, ds_error *e)
{
    if (g->runs[what]++ == 0)
        return walk(x, g, what, e);
    if (!g->graphs[what]) {
        DS_TRY(ds_gpu_record(&x->gpu, e));
        int rc = walk(x, g, what, e);
        int end = ds_gpu_recorded(&x->gpu, &g->graphs[what], rc ? NULL : e);
        DS_TRY(rc ? rc : end);
    }
    return ds_gpu_replay(&x->gpu, g->graphs[what], e);
}

/* ---- borders ---- */

/* Floats of so many images. */
static size_t plain_bytes(const ds_gpu_tensor *t, int images)
{
    return (size_t)images * (size_t)t->c * (size_t)t->h * (size_t)t->w * sizeof(float);
}

/* Beside what the main stream still has to do. */
static int send_pixels(ds_engine *x, const ds_backend_pass *pass, ds_error *e)
{
    const ds_gpu_tensor *t = &x->tensors[0];
    const size_t bytes = plain_bytes(t, pass->images);
    memcpy(x->pixels, pass->pixels, bytes);
    DS_TRY(DS_CU(&x->gpu, cuMemcpyHtoDAsync_v2, t->plain, x->pixels, bytes, x->gpu.streams[DS_GPU_COPY]));
    DS_TRY(ds_gpu_order(&x->gpu, DS_GPU_COPY, DS_GPU_MAIN, e));
    return border(x, DS_K_from_plain, t, t->value, e);
}

static int send_inputs(ds_engine *x, const ds_gpu_segment *g, const ds_backend_pass *pass, ds_error *e)
{
    const uint64_t drop[] = {pass->step, pass->train && pass->drop};
    DS_TRY(ds_gpu_up(&x->gpu, x->drop, drop, sizeof drop, e));
    if (x->tensors[0].plain && is_inside(g, x->tensors[0].reader))
        DS_TRY(pass->pixels ? send_pixels(x, pass, e) : ds_gpu_prepare(x, pass, e));
    for (int i = 1; i <= x->graph.n; i++) {
        const ds_gpu_tensor *t = &x->tensors[i];
        if (t->plain && is_inside(g, t->reader))
            DS_TRY(
                ds_gpu_up(&x->gpu, t->plain, x->graph.nodes[i - 1].output, plain_bytes(t, pass->images), e));
    }
    return DS_OK;
}

static int get_outputs(ds_engine *x, const ds_gpu_segment *g, const ds_backend_pass *pass, ds_error *e)
{
    for (int i = g->first; i <= g->last; i++) {
        const ds_gpu_tensor *t = &x->tensors[i + 1];
        if (t->to_host)
            DS_TRY(ds_gpu_down(&x->gpu, x->graph.nodes[i].output, t->plain, plain_bytes(t, pass->images), e));
    }
    return ds_gpu_wait(&x->gpu, e);
}

static int get_features(ds_engine *x, const ds_gpu_segment *g, const ds_backend_pass *pass, ds_error *e)
{
    for (int i = g->first; i <= g->last; i++) {
        const ds_node *node = &x->graph.nodes[i];
        const ds_gpu_tensor *t = x->output_of[i + 1];
        const size_t c = (size_t)t->c, n = (size_t)pass->images;
        const level_args a = {t->value, x->levels, pass->images, t->c, t->cp, t->h * t->w};
        if (!node->feature)
            continue;
        DS_TRY(ds_gpu_run(&x->gpu, DS_K_level, n * c, &a, e));
        DS_TRY(ds_gpu_down(&x->gpu, x->features, x->levels, n * c * sizeof(float), e));
        DS_TRY(ds_gpu_wait(&x->gpu, e));
        for (size_t b = 0; b < n; b++)
            memcpy(node->feature + b * node->feature_row, x->features + b * c, c * sizeof(float));
    }
    return DS_OK;
}

/* Gradients of what the host has put out are added to its own. */
static int get_gradients(ds_engine *x, const ds_gpu_segment *g, ds_error *e)
{
    for (int i = 1; i <= x->graph.n; i++) {
        const ds_gpu_tensor *t = &x->tensors[i];
        const size_t bytes = plain_bytes(t, x->graph.batch);
        float *delta = x->graph.nodes[i - 1].delta;
        if (!t->from_host || !t->contributions || !is_inside(g, t->reader) || !delta)
            continue;
        DS_FREED float *more = ds_xmalloc(bytes);
        DS_TRY(ds_gpu_down(&x->gpu, more, t->plain, bytes, e));
        DS_TRY(ds_gpu_wait(&x->gpu, e));
        for (size_t k = 0; k < bytes / sizeof *more; k++)
            delta[k] += more[k];
    }
    return DS_OK;
}

/* ---- making ---- */

static void engine_free(void *state)
{
    ds_engine *x = state;
    if (!x)
        return;
    ds_engine_unplan(x);
    ds_gpu_close(&x->gpu);
    free(x);
}

static void tell(const ds_engine *x)
{
    for (int i = 0; i < x->graph.n; i++)
        if (!x->owned[i] && x->graph.nodes[i].op != DS_OP_HOST)
            ds_note(x->graph.notes, "note: layer %d stays with the host: its numbers go there and back", i);
}

static int make(ds_engine **state, const ds_graph *g, const bool *refused, ds_error *e)
{
    ds_engine *x = *state = ds_xcalloc(1, sizeof *x);
    x->graph = *g;
    x->culprit = -1;
    DS_TRY(ds_gpu_open(&x->gpu, g, e));
    return ds_engine_plan(x, refused, e);
}

/* A layer for which cuDNN has no plan stays with the host, and all is planned anew. */
static int engine_create(const ds_graph *g, bool *owned, void **state, ds_error *e)
{
    DS_FREED bool *refused = DS_ZALLOC(refused, g->n);
    ds_engine *x = NULL;
    int rc = make(&x, g, refused, e);
    while (rc == DS_EHOST && x->culprit >= 0) {
        ds_note(g->notes, "note: layer %d stays with the host: %s", x->culprit, e->text);
        refused[x->culprit] = true;
        engine_free(x);
        rc = make(&x, g, refused, e);
    }
    if (rc)
        engine_free(x);
    *state = rc ? NULL : x;
    for (int i = 0; i < g->n && !rc; i++)
        owned[i] = x->owned[i];
    if (!rc)
        tell(x);
    return rc;
}

/* ---- passes ---- */

static int engine_forward(void *state, int i, const ds_backend_pass *pass, ds_error *e)
{
    ds_engine *x = state;
    ds_gpu_segment *g = segment_of(x, i);
    if (g->first != i)
        return DS_OK;
    DS_TRY(ds_gpu_enter(&x->gpu, e));
    if (g == x->segments) {
        DS_TRY(ds_row_upload(x, e));
        DS_TRY(pass->train ? ds_row_gather(x, e) : DS_OK);
    }
    DS_TRY(send_inputs(x, g, pass, e));
    DS_TRY(run(x, g, pass->train ? TRAIN : INFER, e));
    x->row.device_newer |= pass->train; /* the averages move */
    DS_TRY(get_outputs(x, g, pass, e));
    return pass->train || !x->features ? DS_OK : get_features(x, g, pass, e);
}

static int engine_backward(void *state, int i, const ds_backend_pass *pass, ds_error *e)
{
    ds_engine *x = state;
    ds_gpu_segment *g = segment_of(x, i);
    (void)pass;
    DS_TRY(ds_gpu_enter(&x->gpu, e));
    if (i == g->last) {
        for (int k = 0; k < x->n_steps; k++) {
            const ds_gpu_step *s = &x->steps[k];
            if (s->from_host.t && is_inside(g, s->layer))
                DS_TRY(ds_gpu_up(&x->gpu, s->out->plain, x->graph.nodes[s->tail].delta,
                                 plain_bytes(s->out, x->graph.batch), e));
        }
        DS_TRY(run(x, g, BACKWARD, e));
        x->row.pending = true;
    }
    return i == g->first ? get_gradients(x, g, e) : DS_OK;
}

static int engine_update(void *state, const ds_rule *rule, ds_error *e)
{
    ds_engine *x = state;
    DS_TRY(ds_gpu_enter(&x->gpu, e));
    return ds_row_update(x, rule, e);
}

static int engine_fetch(void *state, ds_fetch what, ds_error *e)
{
    ds_engine *x = state;
    DS_TRY(ds_gpu_enter(&x->gpu, e));
    return ds_row_fetch(x, what, e);
}

static void engine_changed(void *state)
{
    ds_engine *x = state;
    x->row.host_newer = true;
    x->row.device_newer = false;
}

/* ---- what it is ---- */

static const char *engine_describe(ds_precision precision, int device)
{
    static char text[80];
    ds_gpu g;
    (void)precision;
    if (ds_gpu_look(&g, device, NULL)) /* `create` says why */
        return "no device";
    const int dnn = (int)g.f.cudnnGetVersion(), major = dnn / (dnn < 10000 ? 1000 : 10000);
    snprintf(text, sizeof text, "%s, cuDNN %d.%d", g.name, major, dnn / 100 % (major < 9 ? 10 : 100));
    return text;
}

static const char *engine_lacks(ds_precision precision, int device)
{
    ds_gpu g;
    if (precision == DS_F32 || ds_gpu_look(&g, device, NULL))
        return NULL;
    return g.sm >= 80 ? NULL : "the device has no fast bf16 and tf32, which compute capability 8.0 brings";
}

static bool engine_prepares(const void *state)
{
    return ((const ds_engine *)state)->owned[0];
}

static double engine_waited(const void *state)
{
    return ((const ds_engine *)state)->gpu.waited;
}

static size_t engine_memory(const void *state)
{
    return ((const ds_engine *)state)->gpu.pinned_bytes;
}

const ds_backend ds_backend_cuda = {.name = "cuda",
                                    .devices = true,
                                    .tunes = true,
                                    .whole = true,
                                    .describe = engine_describe,
                                    .lacks = engine_lacks,
                                    .create = engine_create,
                                    .free = engine_free,
                                    .forward = engine_forward,
                                    .prepares = engine_prepares,
                                    .waited = engine_waited,
                                    .backward = engine_backward,
                                    .changed = engine_changed,
                                    .update = engine_update,
                                    .fetch = engine_fetch,
                                    .memory = engine_memory};
