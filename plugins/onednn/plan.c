/* From the graph to steps and memory: who computes which layer, which layers go together, how long each
 * buffer lives. */
#include "plugins/onednn/engine.h"

static const ds_step_kind *const kinds[] = {
    [DS_OP_CONVOLUTION] = &ds_step_layer,     [DS_OP_CONNECTED] = &ds_step_layer,
    [DS_OP_BATCHNORM] = &ds_step_layer,       [DS_OP_MAXPOOL] = &ds_step_maxpool,
    [DS_OP_AVGPOOL] = &ds_step_avgpool,       [DS_OP_DROPOUT] = &ds_step_dropout,
    [DS_OP_SHORTCUT] = &ds_step_shortcut,     [DS_OP_ROUTE] = &ds_step_route,
    [DS_OP_ACTIVATION] = &ds_step_activation,
};

static void shape_tensors(ds_plan *p)
{
    const ds_graph *g = p->graph;
    p->tensors[0] = ds_tensor_shape(p, g->nodes[0].c, g->nodes[0].h, g->nodes[0].w);
    p->output_of[0] = &p->tensors[0];
    for (int i = 0; i < g->n; i++) {
        const ds_node *node = &g->nodes[i];
        p->tensors[i + 1] = ds_tensor_shape(p, node->out_c, node->out_h, node->out_w);
        p->tensors[i + 1].wants_gradient = p->train && i >= g->first;
        p->tensors[i + 1].feature = p->train ? NULL : node->feature;
        p->tensors[i + 1].feature_row = node->feature_row;
        p->output_of[i + 1] = &p->tensors[i + 1];
    }
}

static ds_tensor *input_of(const ds_plan *p, int layer, int k)
{
    return p->output_of[p->graph->nodes[layer].inputs[k] + 1];
}

static bool host_reads(const ds_plan *p, int i)
{
    const ds_graph *g = p->graph;
    bool reads = i == g->n - 1;
    for (int j = 0; j < g->n; j++)
        for (int k = 0; k < g->nodes[j].n_inputs; k++)
            reads |= g->nodes[j].inputs[k] == i && !p->owned[j];
    return reads;
}

/* A [route] to one layer is that layer's output by another name, unless the host wants to see it, or computes
 * that layer: it then expects no gradient before the turn of the [route]. */
static void alias_routes(ds_plan *p)
{
    for (int i = 0; i < p->graph->n; i++) {
        const ds_node *node = &p->graph->nodes[i];
        if (node->op != DS_OP_ROUTE || !p->owned[i] || node->n_inputs != 1 || host_reads(p, i))
            continue;
        ds_tensor *t = input_of(p, i, 0);
        if (t > p->tensors && p->owned[t - p->tensors - 1])
            p->output_of[i + 1] = t;
    }
}

static bool is_alias(const ds_plan *p, int i)
{
    return p->output_of[i + 1] != &p->tensors[i + 1];
}

static int readers_of(const ds_plan *p, const ds_tensor *t)
{
    int n = 0;
    for (int j = 0; j < p->graph->n; j++)
        for (int k = 0; k < p->graph->nodes[j].n_inputs && !is_alias(p, j); k++)
            n += input_of(p, j, k) == t;
    return n;
}

/* The host does not read an alias, but may read what it stands for. */
static void mark_borders(ds_plan *p)
{
    p->tensors[0].from_host = true;
    for (int i = 0; i < p->graph->n; i++) {
        ds_tensor *t = &p->tensors[i + 1];
        t->from_host = !p->owned[i];
        t->to_host = p->owned[i] && !is_alias(p, i) && host_reads(p, i);
        if (t->from_host || t->to_host) {
            t->plain = p->graph->nodes[i].output;
            t->delta = p->graph->nodes[i].delta;
        }
    }
}

static void set_activation(ds_step *s, const ds_node *node)
{
    s->slope = isnan(node->slope) ? 1 : node->slope;
    s->odd = isnan(node->slope) ? node->activation : -1;
}

static ds_pool pool_of(const ds_plan *p, int i)
{
    const ds_node *node = &p->graph->nodes[i];
    return (ds_pool){node->h,    node->w,      node->out_h,  node->out_w,
                     node->size, node->stride, node->offset, p->tensors[i + 1].extent.next};
}

/* Can layer i + 1 be computed together with the step that ends at i? It must be the only reader. */
static bool goes_along(const ds_plan *p, const ds_step *s, int i)
{
    const ds_graph *g = p->graph;
    const ds_tensor *t = &p->tensors[i + 1];
    return s->kind == &ds_step_layer && i + 1 < g->n && p->owned[i + 1] && !t->to_host && !t->feature &&
           !is_alias(p, i + 1) && readers_of(p, t) == 1 && (!p->train || i >= g->first) && s->odd < 0;
}

static void join_shortcut(ds_plan *p, ds_step *s)
{
    const ds_node *next = &p->graph->nodes[s->tail + 1];
    if (next->op != DS_OP_SHORTCUT || next->inputs[0] != s->tail || s->slope != 1 ||
        !ds_tensor_same_shape(input_of(p, s->tail + 1, 1), &p->tensors[s->tail + 1]))
        return;
    s->tail++;
    s->inputs[s->n_inputs++] = input_of(p, s->tail, 1);
    set_activation(s, next);
}

static void join_pool(ds_plan *p, ds_step *s)
{
    const ds_node *next = &p->graph->nodes[s->tail + 1];
    if (next->op != DS_OP_MAXPOOL || (p->train && next->stride < next->size))
        return;
    s->tail++;
    s->pooled = true;
    s->pool = pool_of(p, s->tail);
}

static ds_step *make_step(ds_plan *p, int i)
{
    const ds_node *node = &p->graph->nodes[i];
    ds_step *s = &p->steps[p->n_steps];
    *s = (ds_step){.kind = kinds[node->op], .node = node, .number = p->n_steps++, .layer = i, .tail = i};
    s->trains = p->train && i >= p->graph->first;
    s->n_inputs = node->n_inputs;
    DS_ZALLOC(s->inputs, (size_t)node->n_inputs + 1); /* a shortcut may join */
    DS_ZALLOC(s->to, (size_t)node->n_inputs + 1);
    for (int k = 0; k < node->n_inputs; k++)
        s->inputs[k] = input_of(p, i, k);
    set_activation(s, node);
    s->pool = pool_of(p, i);
    if (goes_along(p, s, i))
        join_shortcut(p, s);
    if (s->tail == i && goes_along(p, s, i))
        join_pool(p, s);
    s->out = &p->tensors[s->tail + 1];
    p->step_of[i] = s;
    return s;
}

/* A pooling that reads a tensor anyway takes its features plane by plane; where there is none, who writes it
 * does. */
static void share_measuring(ds_plan *p)
{
    for (int k = 0; k < p->n_steps; k++)
        p->steps[k].out->measurer = k;
    for (int k = 0; k < p->n_steps; k++)
        if (p->steps[k].kind->plane)
            p->steps[k].inputs[0]->measurer = k;
}

/* Numbers for the host alone, the logits before all, stay floats: outputs of products, and what [avgpool]
 * makes such numbers of. */
static bool only_host_reads(const ds_plan *p, const ds_tensor *t)
{
    bool ours = !t->to_host;
    for (int k = 0; k < p->n_steps; k++)
        for (int j = 0; j < p->steps[k].n_inputs; j++)
            ours |= p->steps[k].inputs[j] == t;
    return !ours;
}

static void widen(ds_plan *p)
{
    for (int k = p->n_steps - 1; k >= 0 && p->bf16; k--) {
        ds_step *s = &p->steps[k];
        const ds_step *next = k + 1 < p->n_steps ? &p->steps[k + 1] : NULL;
        bool product =
            s->kind == &ds_step_layer && s->node->op != DS_OP_BATCHNORM && !s->pooled && !s->inputs[1];
        bool averaged = next && next->kind == &ds_step_avgpool && next->inputs[0] == s->out &&
                        next->out->k == p->k && readers_of(p, s->out) == 1;
        if ((product || s->kind == &ds_step_avgpool) && (only_host_reads(p, s->out) || averaged))
            s->out->k = p->k;
    }
}

/* The product can start from the host's own array: rows of numbers, or so few channels that a blocked copy
 * would be mostly padding. */
static bool starts_plain(const ds_plan *p, const ds_step *s)
{
    const ds_tensor *in = s->inputs[0];
    bool narrow = s->node->op == DS_OP_CONVOLUTION && in->c <= 3 && s->node->groups == 1 &&
                  !in->wants_gradient && !p->bf16;
    return in->from_host && (s->node->op == DS_OP_CONNECTED || narrow);
}

static void lease_input(ds_plan *p, const ds_step *s, ds_tensor *t)
{
    if (!t->value_buffer)
        t->value_buffer = ds_arena_want(&p->arena, ds_tensor_bytes(t), s->number, s->number);
    if (t->from_host && t->importer < 0)
        t->importer = s->number;
    ds_arena_extend(&p->arena, t->value_buffer, s->number);
    if (s->trains && s->kind->reads_input)
        ds_arena_extend(&p->arena, t->value_buffer, ds_backward_moment(p, s));
}

static void lease_values(ds_plan *p)
{
    for (int k = 0; k < p->n_steps; k++) {
        ds_step *s = &p->steps[k];
        s->plain_input = starts_plain(p, s);
        for (int j = s->plain_input; j < s->n_inputs; j++)
            lease_input(p, s, s->inputs[j]);
        s->out->value_buffer = ds_arena_want(&p->arena, ds_tensor_bytes(s->out), k, k);
    }
}

/* Inference: where nobody reads the other input of a shortcut afterwards, the convolution adds its product to
 * it. */
static void add_in_place(ds_plan *p)
{
    for (int k = 0; k < p->n_steps && !p->train; k++) {
        ds_step *s = &p->steps[k];
        ds_tensor *other = s->inputs[1];
        if (s->node->op != DS_OP_CONVOLUTION || !other || other == s->inputs[0])
            continue;
        s->add_in_place = ds_arena_hand_over(&p->arena, other->value_buffer, s->out->value_buffer, k);
        if (s->add_in_place)
            s->out->value_buffer = other->value_buffer;
    }
}

static int make_buffers(ds_plan *p, ds_step *s, ds_error *e)
{
    int now = ds_backward_moment(p, s);
    if (s->trains && s->out->to_host && s->out->delta)
        s->from_host = ds_target_make(p, s, s->out, false);
    s->trains &= s->out->contributions > 0; /* nobody learns from it */
    for (int part = 0; part < 2; part++)
        ds_arena_extend(&p->arena, s->out->grad_buffer[part], now);
    if (p->train && (s->pooled || s->kind->keeps_index))
        s->index_buffer = ds_arena_want(&p->arena, s->out->planes * s->out->extent.places * p->block,
                                        s->number, s->trains ? now : s->number);
    if (s->trains && s->kind->reads_output)
        ds_arena_extend(&p->arena, s->out->value_buffer, now);
    if (s->kind->make)
        return s->kind->make(p, s, e);
    for (int k = 0; k < s->n_inputs; k++)
        s->to[k] = ds_target_make(p, s, s->inputs[k], true);
    return DS_OK;
}

static void point_tensor(const ds_plan *p, ds_tensor *t)
{
    t->value = ds_arena_at(&p->arena, t->value_buffer);
    for (int part = 0; part < 2; part++)
        t->grad[part] = ds_arena_at(&p->arena, t->grad_buffer[part]);
}

static int get_memory(ds_plan *p, ds_error *e)
{
    DS_TRY(ds_arena_make(&p->arena, e));
    for (int i = 0; i <= p->graph->n; i++)
        point_tensor(p, &p->tensors[i]);
    for (int k = 0; k < p->n_steps; k++)
        point_tensor(p, &p->steps[k].product);
    return DS_OK;
}

int ds_plan_make(ds_plan *p, const ds_graph *g, bool train, const bool *refused, ds_error *e)
{
    size_t n = (size_t)g->n;
    p->graph = g;
    p->train = train;
    p->culprit = -1;
    p->k = ds_kernels_get((int)ds_dnnl_isa());
    p->bf16 = g->precision == DS_BF16 ? ds_kernels_bf16() : NULL;
    p->block = (size_t)p->k->block;
    DS_ZALLOC(p->tensors, n + 1);
    DS_ZALLOC(p->output_of, n + 1);
    DS_ZALLOC(p->steps, n);
    DS_ZALLOC(p->step_of, n);
    DS_ZALLOC(p->owned, n);
    for (size_t i = 0; i < n; i++) /* a place in a window is a byte */
        p->owned[i] = !refused[i] && g->nodes[i].op != DS_OP_HOST &&
                      (g->nodes[i].op != DS_OP_MAXPOOL || g->nodes[i].size <= 15);
    shape_tensors(p);
    alias_routes(p);
    mark_borders(p);
    for (int i = 0; i < g->n; i++)
        if (p->owned[i] && !is_alias(p, i))
            i = make_step(p, i)->tail;
    share_measuring(p);
    widen(p);
    lease_values(p);
    add_in_place(p);
    for (int k = p->n_steps - 1; k >= 0; k--) { /* gradients arrive in this order */
        p->culprit = p->steps[k].layer;
        DS_TRY(make_buffers(p, &p->steps[k], e));
    }
    p->culprit = -1;
    return get_memory(p, e);
}

void ds_plan_release(ds_plan *p)
{
    for (int k = 0; k < p->n_steps; k++) {
        ds_product_free(p->steps[k].linear);
        free(p->steps[k].inputs);
        free(p->steps[k].to);
    }
    free(p->tensors);
    free(p->output_of);
    free(p->steps);
    free(p->step_of);
    free(p->owned);
    ds_arena_clear(&p->arena);
}
