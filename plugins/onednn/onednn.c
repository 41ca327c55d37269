/* The backend: two plans of the graph, one for training and one for inference, and the door to them. */
#include "plugins/onednn/engine.h"

typedef struct engine {
    ds_graph graph;
    ds_dnnl *dnnl;
    ds_plan train, infer;
} engine;

static void engine_free(void *state)
{
    engine *x = state;
    if (!x)
        return;
    ds_plan_release(&x->train);
    ds_plan_release(&x->infer);
    ds_dnnl_free(x->dnnl);
    free(x);
}

/* A layer that oneDNN refuses stays with the host, and the plan is made anew. */
static int make_plan(engine *x, ds_plan *p, bool train, bool *refused, ds_error *e)
{
    for (;;) {
        *p = (ds_plan){.dnnl = x->dnnl};
        int rc = ds_plan_make(p, &x->graph, train, refused, e);
        if (rc != DS_EHOST || p->culprit < 0 || refused[p->culprit])
            return rc;
        ds_note(x->graph.notes, "note: layer %d stays with the host in %s: %s", p->culprit,
                train ? "training" : "inference", e->text);
        refused[p->culprit] = true;
        ds_plan_release(p);
    }
}

/* The walk asks once who computes a layer: what one plan leaves to the host, the other does too. */
static int make_plans(engine *x, bool *refused, ds_error *e)
{
    bool differ = true;
    while (differ) {
        ds_plan_release(&x->train);
        ds_plan_release(&x->infer);
        DS_TRY(make_plan(x, &x->infer, false, refused, e));
        if (!x->graph.train)
            return DS_OK;
        DS_TRY(make_plan(x, &x->train, true, refused, e));
        differ = false;
        for (int i = 0; i < x->graph.n; i++)
            if (x->train.owned[i] != x->infer.owned[i])
                differ = refused[i] = true;
    }
    return DS_OK;
}

static int engine_create(const ds_graph *g, bool *owned, void **state, ds_error *e)
{
    engine *x = *state = ds_xcalloc(1, sizeof *x);
    DS_FREED bool *refused = DS_ZALLOC(refused, g->n);
    x->graph = *g;
    int rc = ds_dnnl_new(&x->dnnl, e);
    if (!rc)
        rc = make_plans(x, refused, e);
    for (int i = 0; i < g->n && !rc; i++)
        owned[i] = x->infer.owned[i];
    if (!rc)
        return DS_OK;
    engine_free(x);
    *state = NULL;
    return rc;
}

static int failed(int rc, const ds_plan *p, int layer, ds_error *e)
{
    return rc ? ds_fail(e, rc, "oneDNN failed in layer %d (%s)", layer, p->step_of[layer]->kind->name)
              : DS_OK;
}

/* The plan runs; nothing of a pass outlives it. */
static void start(ds_plan *p, const ds_backend_pass *pass)
{
    p->pass = pass;
    p->tensors[0].plain = (float *)pass->pixels;
}

static int refresh(ds_plan *p, ds_error *e)
{
    for (int k = 0; k < p->n_steps && !p->fresh; k++)
        DS_TRY(failed(ds_product_refresh(p, &p->steps[k]), p, p->steps[k].layer, e));
    p->fresh = true;
    return DS_OK;
}

/* Copies for the first step that reads. */
static void import_inputs(const ds_step *s)
{
    for (int k = 0; k < s->n_inputs; k++)
        if (s->inputs[k]->importer == s->number)
            ds_tensor_from_plain(s->inputs[k], s->inputs[k]->plain, s->inputs[k]->value);
}

static void hand_over(const ds_step *s)
{
    bool measures = s->out->feature && s->out->measurer == s->number;
#pragma omp parallel for schedule(static) if (measures)
    for (size_t i = 0; i < (measures ? s->out->planes : 0); i++)
        ds_tensor_measure(s->out, i);
    if (s->out->to_host)
        ds_tensor_to_plain(s->out, s->out->value, false, s->out->plain);
}

static int engine_forward(void *state, int i, const ds_backend_pass *pass, ds_error *e)
{
    engine *x = state;
    ds_plan *p = pass->train ? &x->train : &x->infer;
    ds_step *s = p->step_of[i];
    DS_TRY(refresh(p, e));
    if (!s)
        return DS_OK;
    if (pass->train)
        x->infer.fresh = false; /* the rolling averages move */
    start(p, pass);
    import_inputs(s);
    int rc = s->kind->forward(p, s);
    hand_over(s);
    return failed(rc, p, i, e);
}

static int engine_backward(void *state, int i, const ds_backend_pass *pass, ds_error *e)
{
    ds_plan *p = &((engine *)state)->train;
    ds_step *s = p->step_of[i];
    if (!s || !s->trains)
        return DS_OK;
    start(p, pass);
    void *to = ds_target_open(p, &s->from_host);
    if (to)
        ds_tensor_from_plain(s->out, s->out->delta, to);
    ds_target_close(p, &s->from_host);
    return failed(s->kind->backward(p, s), p, i, e);
}

static void engine_changed(void *state)
{
    engine *x = state;
    x->train.fresh = x->infer.fresh = false;
}

static const char *engine_describe(ds_precision precision, int device)
{
    (void)device;
    return ds_dnnl_describe(precision == DS_BF16);
}

static const char *engine_lacks(ds_precision precision, int device)
{
    (void)device;
    if (precision == DS_TF32)
        return "GPUs alone compute it (-backend cuda)";
    bool can = precision == DS_F32 || (ds_kernels_bf16() && ds_dnnl_has_amx());
    return can ? NULL : "the processor has no AMX, or ONEDNN_MAX_CPU_ISA forbids it";
}

static size_t engine_memory(const void *state)
{
    const engine *x = state;
    return x->train.arena.bytes + x->infer.arena.bytes;
}

const ds_backend ds_backend_onednn = {.name = "onednn",
                                      .describe = engine_describe,
                                      .lacks = engine_lacks,
                                      .create = engine_create,
                                      .free = engine_free,
                                      .forward = engine_forward,
                                      .backward = engine_backward,
                                      .changed = engine_changed,
                                      .memory = engine_memory};
