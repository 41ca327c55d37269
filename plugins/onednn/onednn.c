/* The backend: two plans of the graph, one for training and one for inference, and the door to them. */
#include "plugins/onednn/engine.h"

#include <stdlib.h>
#include <string.h>

typedef struct engine {
    ds_graph graph;
    ds_node *nodes; /* the graph's, copied */
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
    free(x->nodes);
    free(x);
}

static void note_refused(const engine *x, const ds_plan *p, int layer, const ds_error *why)
{
    if (x->graph.notes)
        ds_note(x->graph.notes, "note: layer %d stays with the host in %s: %s", layer,
                p->train ? "training" : "inference", why->text);
}

static int try_plan(engine *x, ds_plan *p, bool train, bool *refused, int *culprit, ds_error *e)
{
    *p = (ds_plan){.dnnl = x->dnnl, .k = ds_kernels_choose()};
    return ds_plan_make(p, &x->graph, train, refused, culprit, e);
}

/* A layer that oneDNN refuses stays with the host, and the plan is made anew. */
static int make_plan(engine *x, ds_plan *p, bool train, bool *refused, ds_error *e)
{
    for (;;) {
        int culprit = -1, rc = try_plan(x, p, train, refused, &culprit, e);
        if (rc != DS_EHOST || culprit < 0 || refused[culprit])
            return rc;
        note_refused(x, p, culprit, e);
        refused[culprit] = true;
        ds_plan_release(p);
    }
}

static int make_plans(engine *x, bool *owned, ds_error *e)
{
    bool *refused = calloc((size_t)x->graph.n, sizeof *refused);
    if (!refused)
        return ds_fail_memory(e);
    int rc = x->graph.train ? make_plan(x, &x->train, true, refused, e) : DS_OK;
    if (!rc)
        rc = make_plan(x, &x->infer, false, refused, e);
    for (int i = 0; i < x->graph.n && !rc; i++)
        owned[i] = x->infer.owned[i];
    /* what only inference refused must be the host's in training too: the walk asks once */
    for (int i = 0; i < x->graph.n && !rc && x->graph.train; i++)
        if (x->train.owned[i] != x->infer.owned[i]) {
            ds_plan_release(&x->train);
            rc = make_plan(x, &x->train, true, refused, e);
        }
    free(refused);
    return rc;
}

static int engine_create(const ds_graph *g, bool *owned, void **state, ds_error *e)
{
    engine *x = *state = calloc(1, sizeof *x);
    if (!x)
        return ds_fail_memory(e);
    x->graph = *g;
    int rc = ds_dnnl_new(&x->dnnl, e);
    if (!rc && !(x->nodes = malloc((size_t)g->n * sizeof *x->nodes)))
        rc = ds_fail_memory(e);
    if (!rc) {
        memcpy(x->nodes, g->nodes, (size_t)g->n * sizeof *x->nodes);
        x->graph.nodes = x->nodes;
        rc = make_plans(x, owned, e);
    }
    if (rc) {
        engine_free(x);
        *state = NULL;
    }
    return rc;
}

static int failed(int rc, const ds_plan *p, int layer, ds_error *e)
{
    return rc ? ds_fail(e, rc, "oneDNN failed in layer %d (%s)", layer, p->step_of[layer]->kind->name)
              : DS_OK;
}

static int refresh(ds_plan *p, ds_error *e)
{
    for (int k = 0; k < p->n_steps && !p->fresh; k++) {
        int rc = ds_product_refresh(p, &p->steps[k]);
        if (rc)
            return failed(rc, p, p->steps[k].layer, e);
    }
    p->fresh = true;
    return DS_OK;
}

static int engine_forward(void *state, int i, const ds_backend_pass *pass, ds_error *e)
{
    engine *x = state;
    ds_plan *p = pass->train ? &x->train : &x->infer;
    ds_step *s = p->step_of[i];
    int rc = refresh(p, e);
    if (rc || !s)
        return rc;
    if (pass->train)
        x->infer.fresh = false; /* the rolling averages move */
    p->tensors[0].plain = (float *)pass->pixels;
    ds_border_before_forward(p, s);
    rc = s->kind->forward(p, s, pass);
    ds_border_after_forward(p, s);
    return failed(rc, p, i, e);
}

static int engine_backward(void *state, int i, const ds_backend_pass *pass, ds_error *e)
{
    ds_plan *p = &((engine *)state)->train;
    ds_step *s = p->step_of[i];
    if (!s || !s->trains)
        return DS_OK;
    p->tensors[0].plain = (float *)pass->pixels;
    ds_border_before_backward(p, s);
    return failed(s->kind->backward(p, s, pass), p, i, e);
}

static void engine_changed(void *state)
{
    engine *x = state;
    x->train.fresh = x->infer.fresh = false;
}

const ds_backend ds_backend_onednn = {.abi = DS_BACKEND_ABI,
                                      .name = "onednn",
                                      .help = "oneDNN's convolutions, activations in its own layout",
                                      .describe = ds_dnnl_describe,
                                      .create = engine_create,
                                      .free = engine_free,
                                      .forward = engine_forward,
                                      .backward = engine_backward,
                                      .changed = engine_changed};
