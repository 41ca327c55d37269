/* From the graph to steps, segments and memory. */
#include "plugins/cuda/engine.h"

static const ds_gpu_kind *const kinds[] = {
    [DS_OP_CONVOLUTION] = &ds_gpu_layer, [DS_OP_CONNECTED] = &ds_gpu_layer, [DS_OP_BATCHNORM] = &ds_gpu_layer,
    [DS_OP_MAXPOOL] = &ds_gpu_maxpool,   [DS_OP_AVGPOOL] = &ds_gpu_avgpool, [DS_OP_DROPOUT] = &ds_gpu_dropout,
    [DS_OP_SHORTCUT] = &ds_gpu_sum,      [DS_OP_ROUTE] = &ds_gpu_route,     [DS_OP_ACTIVATION] = &ds_gpu_sum};

static int padded(const ds_engine *x, int c)
{
    return (c + x->gpu.vector - 1) / x->gpu.vector * x->gpu.vector;
}

static ds_gpu_tensor shape_of(const ds_engine *x, int c, int h, int w)
{
    return (ds_gpu_tensor){
        .c = c, .cp = padded(x, c), .h = h, .w = w, .places = (size_t)x->graph.batch * (size_t)h * (size_t)w};
}

static ds_gpu_tensor *input_of(const ds_engine *x, int layer, int k)
{
    return x->output_of[x->graph.nodes[layer].inputs[k] + 1];
}

static bool same_shape(const ds_gpu_tensor *a, const ds_gpu_tensor *b)
{
    return a->c == b->c && a->h == b->h && a->w == b->w;
}

/* Whole vectors in each group, so that no padding lies between groups. */
static bool groups_fit(const ds_engine *x, const ds_node *node)
{
    return node->groups == 1 ||
           (node->c / node->groups % x->gpu.vector == 0 && node->out_c / node->groups % x->gpu.vector == 0);
}

static bool can_own(const ds_engine *x, int i)
{
    const ds_node *node = &x->graph.nodes[i];
    const bool passes = node->op == DS_OP_MAXPOOL || node->op == DS_OP_AVGPOOL || node->op == DS_OP_DROPOUT ||
                        node->op == DS_OP_ROUTE;
    if (node->op == DS_OP_HOST || (isnan(node->slope) && !passes))
        return false;
    if (node->op == DS_OP_SHORTCUT)
        return same_shape(input_of(x, i, 0), input_of(x, i, 1)) &&
               same_shape(input_of(x, i, 0), &x->tensors[i + 1]);
    if (node->op == DS_OP_ROUTE)
        for (int k = 0; k < node->n_inputs; k++)
            if (input_of(x, i, k)->h != node->out_h || input_of(x, i, k)->w != node->out_w)
                return false;
    return node->op != DS_OP_CONVOLUTION || groups_fit(x, node);
}

static void shape_tensors(ds_engine *x, const bool *refused)
{
    const ds_graph *g = &x->graph;
    x->tensors[0] = shape_of(x, g->nodes[0].c, g->nodes[0].h, g->nodes[0].w);
    x->output_of[0] = &x->tensors[0];
    for (int i = 0; i < g->n; i++) {
        const ds_node *node = &g->nodes[i];
        x->tensors[i + 1] = shape_of(x, node->out_c, node->out_h, node->out_w);
        x->tensors[i + 1].wants_gradient = g->train && i >= g->first;
        x->output_of[i + 1] = &x->tensors[i + 1];
        x->owned[i] = !refused[i] && can_own(x, i);
    }
}

static bool host_reads(const ds_engine *x, int i)
{
    const ds_graph *g = &x->graph;
    bool reads = i == g->n - 1;
    for (int j = 0; j < g->n; j++)
        for (int k = 0; k < g->nodes[j].n_inputs; k++)
            reads |= g->nodes[j].inputs[k] == i && !x->owned[j];
    return reads;
}

static bool is_alias(const ds_engine *x, int i)
{
    return x->output_of[i + 1] != &x->tensors[i + 1];
}

/* A [route] to one layer of ours is that layer's output by another name, unless the host wants to see it. */
static void alias_routes(ds_engine *x)
{
    for (int i = 0; i < x->graph.n; i++) {
        const ds_node *node = &x->graph.nodes[i];
        const int from = node->inputs[0];
        if (node->op == DS_OP_ROUTE && x->owned[i] && node->n_inputs == 1 && from >= 0 && x->owned[from] &&
            !host_reads(x, i) && !node->feature)
            x->output_of[i + 1] = x->output_of[from + 1];
    }
}

/* The host does not read an alias, but may read what it stands for. */
static void mark_borders(ds_engine *x)
{
    x->tensors[0].from_host = true;
    x->tensors[0].reader = -1;
    for (int i = 0; i < x->graph.n; i++) {
        x->tensors[i + 1].from_host = !x->owned[i];
        x->tensors[i + 1].reader = -1;
        x->tensors[i + 1].to_host = x->owned[i] && host_reads(x, i);
    }
}

static int readers_of(const ds_engine *x, const ds_gpu_tensor *t)
{
    int n = 0;
    for (int j = 0; j < x->graph.n; j++)
        for (int k = 0; k < x->graph.nodes[j].n_inputs && !is_alias(x, j); k++)
            n += input_of(x, j, k) == t;
    return n;
}

/* Can layer i + 1 be computed together with the step that ends at i? It must be the only reader. */
static bool goes_along(const ds_engine *x, const ds_gpu_step *s, int i)
{
    const ds_graph *g = &x->graph;
    const ds_gpu_tensor *t = &x->tensors[i + 1];
    return s->kind == &ds_gpu_layer && i + 1 < g->n && x->owned[i + 1] && !t->to_host &&
           !g->nodes[i].feature && !is_alias(x, i + 1) && readers_of(x, t) == 1 &&
           (!g->train || i >= g->first);
}

static void join_shortcut(ds_engine *x, ds_gpu_step *s)
{
    const ds_node *next = &x->graph.nodes[s->tail + 1];
    if (next->op != DS_OP_SHORTCUT || next->inputs[0] != s->tail || s->slope != 1 ||
        input_of(x, s->tail + 1, 1)->from_host)
        return;
    s->other = input_of(x, ++s->tail, 1);
    s->slope = next->slope;
}

static void join_pool(ds_engine *x, ds_gpu_step *s)
{
    const ds_node *next = &x->graph.nodes[s->tail + 1];
    if (next->op != DS_OP_MAXPOOL || next->size != 2 || next->stride != 2 || next->offset ||
        next->out_h * 2 != next->h || next->out_w * 2 != next->w)
        return;
    s->tail++;
    s->pooled = true;
}

static void make_step(ds_engine *x, int i)
{
    const ds_node *node = &x->graph.nodes[i];
    ds_gpu_step *s = &x->steps[x->n_steps++];
    *s = (ds_gpu_step){.kind = kinds[node->op], .node = node, .layer = i, .tail = i, .slope = node->slope};
    s->trains = x->graph.train && i >= x->graph.first;
    s->n_inputs = node->n_inputs;
    DS_ZALLOC(s->in, (size_t)node->n_inputs);
    DS_ZALLOC(s->to, (size_t)node->n_inputs);
    for (int k = 0; k < node->n_inputs; k++)
        s->in[k] = input_of(x, i, k);
    if (goes_along(x, s, i))
        join_shortcut(x, s);
    if (s->tail == i && goes_along(x, s, i))
        join_pool(x, s);
    s->out = &x->tensors[s->tail + 1];
    s->product = s->pooled ? shape_of(x, node->out_c, node->out_h, node->out_w) : *s->out;
}

static void make_steps(ds_engine *x)
{
    for (int i = 0; i < x->graph.n; i++)
        if (x->owned[i] && !is_alias(x, i)) {
            make_step(x, i);
            i = x->steps[x->n_steps - 1].tail;
        }
}

static void make_segments(ds_engine *x)
{
    for (int i = 0; i < x->graph.n; i++) {
        ds_gpu_segment *last = x->n_segments ? &x->segments[x->n_segments - 1] : NULL;
        if (!x->owned[i])
            continue;
        if (last && last->last == i - 1)
            last->last = i;
        else
            x->segments[x->n_segments++] = (ds_gpu_segment){.first = i, .last = i};
    }
}

static int make_room(ds_engine *x, const ds_gpu_tensor *t, void **place, ds_error *e)
{
    return ds_gpu_room(&x->gpu, ds_gpu_numbers(t) * x->gpu.size, place, e);
}

/* The next gradient of t; the steps ask in the order of the backward pass. */
static int make_target(ds_engine *x, ds_gpu_target *to, ds_gpu_tensor *t, bool only_writes, ds_error *e)
{
    const size_t bytes = ds_gpu_numbers(t) * x->gpu.size;
    if (!t->wants_gradient)
        return DS_OK;
    const int part = t->contributions++ > 0 && only_writes;
    *to = (ds_gpu_target){.t = t, .add = t->contributions > 1 && !only_writes};
    if (part && t->grad[1]) {
        to->scratch = true;
        x->scratch_bytes = bytes > x->scratch_bytes ? bytes : x->scratch_bytes;
    } else if (!t->grad[part])
        DS_TRY(make_room(x, t, &t->grad[part], e));
    to->at = t->grad[part];
    return DS_OK;
}

/* Nobody learns from a step whose output gets no gradient. */
static int make_targets(ds_engine *x, ds_gpu_step *s, ds_error *e)
{
    s->trains &= s->out->contributions > 0;
    if (s->trains && s->other)
        DS_TRY(make_target(x, &s->to_other, s->other, true, e));
    for (int k = 0; k < s->n_inputs && s->trains; k++)
        DS_TRY(make_target(x, &s->to[k], s->in[k], s->kind->only_writes, e));
    return DS_OK;
}

static int make_backward(ds_engine *x, ds_error *e)
{
    int k = x->n_steps - 1;
    for (int i = x->n_segments - 1; i >= 0 && x->graph.train; i--) {
        const ds_gpu_segment *g = &x->segments[i];
        for (int j = k; j >= 0 && x->steps[j].layer >= g->first; j--)
            if (x->steps[j].out->to_host && x->graph.nodes[x->steps[j].tail].delta)
                DS_TRY(make_target(x, &x->steps[j].from_host, x->steps[j].out, true, e));
        for (; k >= 0 && x->steps[k].layer >= g->first; k--)
            DS_TRY(make_targets(x, &x->steps[k], e));
    }
    return DS_OK;
}

static int make_values(ds_engine *x, ds_error *e)
{
    const ds_graph *g = &x->graph;
    for (int k = 0; k < x->n_steps; k++) {
        ds_gpu_step *s = &x->steps[k];
        DS_TRY(make_room(x, s->out, &s->out->value, e));
        for (int j = 0; j < s->n_inputs; j++)
            if (s->in[j]->from_host && s->in[j]->reader < 0) {
                s->in[j]->reader = s->layer;
                DS_TRY(make_room(x, s->in[j], &s->in[j]->value, e));
            }
    }
    for (int i = 0; i <= g->n; i++) {
        ds_gpu_tensor *t = &x->tensors[i];
        size_t floats = t->places * (size_t)t->c;
        if (t->value && (t->from_host || t->to_host))
            DS_TRY(ds_gpu_room(&x->gpu, floats * sizeof(float), &t->plain, e));
    }
    return DS_OK;
}

/* What does not belong to one step. */
static int make_common(ds_engine *x, ds_error *e)
{
    size_t widest = 0, features = 0;
    for (int i = 0; i <= x->graph.n; i++)
        widest = (size_t)x->tensors[i].cp > widest ? (size_t)x->tensors[i].cp : widest;
    for (int i = 0; i < x->graph.n; i++)
        if (x->graph.nodes[i].feature)
            features = widest * (size_t)x->graph.batch;
    const size_t blocks = (size_t)x->gpu.sms * 8 + widest,
                 pixels = x->tensors[0].places * (size_t)x->tensors[0].c;
    DS_TRY(ds_gpu_room(&x->gpu, blocks * 64 * sizeof(float), &x->partial, e));
    DS_TRY(ds_gpu_room(&x->gpu, widest * 2 * sizeof(unsigned), &x->sync, e));
    DS_TRY(ds_gpu_room(&x->gpu, 2 * sizeof *x->drop, &x->drop, e));
    DS_TRY(ds_gpu_pinned(&x->gpu, pixels * sizeof(float), &x->pixels, e));
    for (int i = 0; i < 2 && x->gpu.workspace_bytes; i++)
        DS_TRY(ds_gpu_room(&x->gpu, x->gpu.workspace_bytes, &x->gpu.workspace[i], e));
    if (x->scratch_bytes)
        DS_TRY(ds_gpu_room(&x->gpu, x->scratch_bytes, &x->scratch, e));
    if (features)
        DS_TRY(ds_gpu_room(&x->gpu, features * sizeof(float), &x->levels, e));
    return features ? ds_gpu_pinned(&x->gpu, features * sizeof(float), &x->features, e) : DS_OK;
}

int ds_engine_plan(ds_engine *x, const bool *refused, ds_error *e)
{
    const size_t n = (size_t)x->graph.n;
    x->culprit = -1;
    DS_ZALLOC(x->tensors, n + 1);
    DS_ZALLOC(x->output_of, n + 1);
    DS_ZALLOC(x->owned, n);
    DS_ZALLOC(x->steps, n);
    DS_ZALLOC(x->segments, n);
    shape_tensors(x, refused);
    alias_routes(x);
    mark_borders(x);
    make_steps(x);
    make_segments(x);
    DS_TRY(make_values(x, e));
    DS_TRY(make_backward(x, e));
    for (int k = 0; k < x->n_steps; k++)
        if (x->steps[k].kind == &ds_gpu_layer) {
            x->culprit = x->steps[k].layer;
            DS_TRY(ds_gpu_layer_plan(x, &x->steps[k], e));
            ds_row_add(x, &x->steps[k]);
        }
    x->culprit = -1;
    DS_TRY(ds_row_make(x, e));
    DS_TRY(make_common(x, e));
    for (int k = 0; k < x->n_steps; k++)
        if (x->steps[k].kind == &ds_gpu_layer)
            DS_TRY(ds_gpu_layer_bind(x, &x->steps[k], e));
    return DS_OK;
}

void ds_engine_unplan(ds_engine *x)
{
    for (int k = 0; k < x->n_steps; k++) {
        ds_gpu_conv_free(&x->gpu, &x->steps[k].conv);
        free(x->steps[k].in);
        free(x->steps[k].to);
    }
    for (int i = 0; i < x->n_segments; i++)
        for (int k = 0; k < 3; k++)
            if (x->segments[i].graphs[k])
                x->gpu.f.cuGraphExecDestroy(x->segments[i].graphs[k]);
    ds_row_free(&x->row);
    free(x->store.known);
    free(x->tensors);
    free(x->output_of);
    free(x->owned);
    free(x->steps);
    free(x->segments);
}
