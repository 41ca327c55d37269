/* From the graph to steps and memory: who computes which layer, which layers go together, how long each buffer lives. */
#include "plugins/onednn/engine.h"

#include <math.h>
#include <stdlib.h>

/* ---- tensors ----------------------------------------------------------------------------------------------- */

ds_tensor ds_tensor_shape(const ds_plan *p, int c, int h, int w)
{
    int block = p->k->block, blocks = (c + block - 1) / block;
    size_t places = (size_t)h * (size_t)w;
    return (ds_tensor){.c = c,
                       .h = h,
                       .w = w,
                       .blocks = blocks,
                       .places = places,
                       .plane = places * (size_t)block,
                       .planes = (size_t)p->graph->batch * (size_t)blocks,
                       .importer = -1};
}

size_t ds_tensor_bytes(const ds_tensor *t)
{
    return t->planes * t->plane * sizeof(float);
}

bool ds_tensor_same_shape(const ds_tensor *a, const ds_tensor *b)
{
    return a->c == b->c && a->h == b->h && a->w == b->w;
}

void ds_lease_index(ds_plan *p, ds_step *s)
{
    int last = s->trains ? ds_backward_moment(p, s) : s->number;
    if (p->train)
        s->index_buffer = ds_arena_want(&p->arena, s->out->planes * s->out->plane, s->number, last);
}

static void shape_tensors(ds_plan *p)
{
    const ds_graph *g = p->graph;
    p->tensors[0] = ds_tensor_shape(p, g->nodes[0].c, g->nodes[0].h, g->nodes[0].w);
    p->output_of[0] = &p->tensors[0];
    for (int i = 0; i < g->n; i++) {
        const ds_node *node = &g->nodes[i];
        p->tensors[i + 1] = ds_tensor_shape(p, node->out_c, node->out_h, node->out_w);
        p->tensors[i + 1].wants_gradient = p->train && i >= g->first;
        p->output_of[i + 1] = &p->tensors[i + 1];
    }
}

/* ---- who reads whom ---------------------------------------------------------------------------------------- */

static bool host_reads(const ds_plan *p, int i)
{
    const ds_graph *g = p->graph;
    bool reads = i == g->n - 1;
    for (int j = 0; j < g->n; j++)
        for (int k = 0; k < g->nodes[j].n_inputs; k++)
            reads |= g->nodes[j].inputs[k] == i && !p->owned[j];
    return reads;
}

static bool is_ours(const ds_plan *p, const ds_tensor *t)
{
    return t > p->tensors && p->owned[t - p->tensors - 1];
}

/* A [route] to one layer is that layer's output by another name, unless the host wants to see it, or computes that layer: it then expects no
 * gradient before the turn of the [route]. */
static void alias_routes(ds_plan *p)
{
    for (int i = 0; i < p->graph->n; i++) {
        const ds_node *node = &p->graph->nodes[i];
        ds_tensor *t = p->output_of[node->inputs[0] + 1];
        if (node->op == DS_OP_ROUTE && p->owned[i] && node->n_inputs == 1 && !host_reads(p, i) &&
            is_ours(p, t))
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
            n += p->output_of[p->graph->nodes[j].inputs[k] + 1] == t;
    return n;
}

static void mark_borders(ds_plan *p)
{
    const ds_graph *g = p->graph;
    p->tensors[0].from_host = true;
    for (int i = 0; i < g->n; i++) {
        ds_tensor *t = &p->tensors[i + 1];
        t->from_host = !p->owned[i];
        if (!p->owned[i] || host_reads(p, i)) {
            t->plain = g->nodes[i].output;
            t->delta = g->nodes[i].delta;
        }
        /* an alias is not read by the host, but what it stands for may be */
        ds_tensor *real = p->output_of[i + 1];
        if (p->owned[i] && real == t)
            t->to_host = host_reads(p, i);
    }
}

/* ---- steps ------------------------------------------------------------------------------------------------- */

static const ds_step_kind *kind_of(const ds_node *node)
{
    switch (node->op) {
    case DS_OP_CONVOLUTION:
    case DS_OP_CONNECTED:
    case DS_OP_BATCHNORM:
        return &ds_step_layer;
    case DS_OP_MAXPOOL:
        return &ds_step_maxpool;
    case DS_OP_AVGPOOL:
        return &ds_step_avgpool;
    case DS_OP_DROPOUT:
        return &ds_step_dropout;
    case DS_OP_SHORTCUT:
        return &ds_step_shortcut;
    case DS_OP_ROUTE:
        return &ds_step_route;
    case DS_OP_ACTIVATION:
        return &ds_step_activation;
    case DS_OP_HOST:
        break;
    }
    return NULL;
}

static void set_activation(ds_step *s, const ds_node *node)
{
    s->slope = isnan(node->slope) ? 1 : node->slope;
    s->odd = isnan(node->slope) ? node->activation : -1;
}

static ds_pool pool_of(const ds_node *node)
{
    return (ds_pool){.h = node->h,
                     .w = node->w,
                     .out_h = node->out_h,
                     .out_w = node->out_w,
                     .size = node->size,
                     .stride = node->stride,
                     .offset = node->offset};
}

/* Can layer i + 1 be computed together with the step that ends at i? It must be the only reader. */
static bool goes_along(const ds_plan *p, const ds_step *s, int i)
{
    const ds_graph *g = p->graph;
    const ds_tensor *t = &p->tensors[i + 1];
    return s->kind == &ds_step_layer && i + 1 < g->n && p->owned[i + 1] && !t->to_host &&
           !is_alias(p, i + 1) && readers_of(p, t) == 1 && (!p->train || i >= g->first) && s->odd < 0;
}

static void join_shortcut(ds_plan *p, ds_step *s)
{
    const ds_node *next = &p->graph->nodes[s->tail + 1];
    ds_tensor *other = p->output_of[next->inputs[1] + 1];
    if (next->op != DS_OP_SHORTCUT || next->inputs[0] != s->tail || s->slope != 1 ||
        !ds_tensor_same_shape(other, &p->tensors[s->tail + 1]))
        return;
    s->tail++;
    s->inputs[1] = other;
    set_activation(s, next);
}

static void join_pool(ds_plan *p, ds_step *s)
{
    const ds_node *next = &p->graph->nodes[s->tail + 1];
    if (next->op != DS_OP_MAXPOOL || (p->train && next->stride < next->size))
        return;
    s->tail++;
    s->pooled = true;
    s->pool = pool_of(next);
}

static void make_step(ds_plan *p, int i)
{
    const ds_graph *g = p->graph;
    const ds_node *node = &g->nodes[i];
    ds_step *s = &p->steps[p->n_steps];
    *s = (ds_step){.kind = kind_of(node), .node = node, .number = p->n_steps, .layer = i, .tail = i};
    s->trains = p->train && i >= g->first;
    s->inputs[0] = p->output_of[node->inputs[0] + 1];
    set_activation(s, node);
    if (node->op == DS_OP_SHORTCUT)
        s->inputs[1] = p->output_of[node->inputs[1] + 1];
    if (node->op == DS_OP_MAXPOOL)
        s->pool = pool_of(node);
    if (goes_along(p, s, i))
        join_shortcut(p, s);
    if (s->tail == i && goes_along(p, s, i))
        join_pool(p, s);
    s->out = &p->tensors[s->tail + 1];
    p->step_of[i] = s;
    p->n_steps++;
}

static void make_steps(ds_plan *p)
{
    for (int i = 0; i < p->graph->n; i++) {
        if (!p->owned[i] || is_alias(p, i))
            continue;
        make_step(p, i);
        i = p->steps[p->n_steps - 1].tail;
    }
}

static int list_parts(ds_plan *p, ds_step *s, ds_error *e)
{
    const ds_node *node = s->node;
    if (node->op != DS_OP_ROUTE)
        return DS_OK;
    s->n_parts = node->n_inputs;
    s->parts = calloc((size_t)s->n_parts, sizeof *s->parts);
    s->to_parts = calloc((size_t)s->n_parts, sizeof *s->to_parts);
    for (int k = 0; s->parts && k < s->n_parts; k++)
        s->parts[k] = p->output_of[node->inputs[k] + 1];
    return s->parts && s->to_parts ? DS_OK : ds_fail_memory(e);
}

/* ---- buffers ----------------------------------------------------------------------------------------------- */

/* The product can start from the host's own array: rows of numbers, or so few channels that a blocked copy would be mostly padding. */
static bool starts_plain(const ds_step *s)
{
    const ds_tensor *in = s->inputs[0];
    bool narrow =
        s->node->op == DS_OP_CONVOLUTION && in->c <= 3 && s->node->groups == 1 && !in->wants_gradient;
    return in->from_host && (s->node->op == DS_OP_CONNECTED || narrow);
}

static void lease_input(ds_plan *p, const ds_step *s, ds_tensor *t)
{
    if (!t->value_buffer)
        t->value_buffer = ds_arena_want(&p->arena, ds_tensor_bytes(t), s->number, s->number);
    if (t->from_host && t->importer < 0)
        t->importer = s->number;
    ds_arena_extend(&p->arena, t->value_buffer, s->number);
    if (s->trains && s->kind->reads_input_backward)
        ds_arena_extend(&p->arena, t->value_buffer, ds_backward_moment(p, s));
}

static void lease_values(ds_plan *p)
{
    for (int k = 0; k < p->n_steps; k++) {
        ds_step *s = &p->steps[k];
        s->plain_input = starts_plain(s);
        for (int j = 0; j < 2; j++)
            if (s->inputs[j] && !(j == 0 && s->plain_input))
                lease_input(p, s, s->inputs[j]);
        for (int j = 0; j < s->n_parts; j++)
            lease_input(p, s, s->parts[j]);
        s->out->value_buffer = ds_arena_want(&p->arena, ds_tensor_bytes(s->out), k, k);
    }
}

/* Inference: where nobody reads the other input of a shortcut afterwards, the convolution adds its product to it. */
static void add_in_place(ds_plan *p)
{
    for (int k = 0; k < p->n_steps && !p->train; k++) {
        ds_step *s = &p->steps[k];
        ds_tensor *other = s->inputs[1];
        if (s->node->op != DS_OP_CONVOLUTION || !other || other == s->inputs[0])
            continue;
        ds_lease *theirs = &p->arena.leases[other->value_buffer - 1],
                 *ours = &p->arena.leases[s->out->value_buffer - 1];
        if (theirs->to > k)
            continue;
        s->add_in_place = true;
        theirs->to = ours->to;
        ours->bytes = 0;
        s->out->value_buffer = other->value_buffer;
    }
}

/* Backwards, because gradients arrive in that order. */
static int make_backwards(ds_plan *p, int *culprit, ds_error *e)
{
    for (int k = p->n_steps - 1; k >= 0; k--) {
        ds_step *s = &p->steps[k];
        *culprit = s->layer;
        if (s->trains && s->out->to_host && s->out->delta)
            s->from_host = ds_target_make(p, s, s->out, false);
        s->trains &= s->out->contributions > 0; /* nobody learns from it */
        for (int part = 0; part < 2; part++)
            ds_arena_extend(&p->arena, s->out->grad_buffer[part], ds_backward_moment(p, s));
        int rc = s->kind->make(p, s, e);
        if (rc)
            return rc;
    }
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
    int rc = ds_arena_make(&p->arena, e);
    for (int i = 0; i <= p->graph->n && !rc; i++)
        point_tensor(p, &p->tensors[i]);
    for (int k = 0; k < p->n_steps && !rc; k++)
        point_tensor(p, &p->steps[k].product);
    return rc;
}

/* ---- all of it --------------------------------------------------------------------------------------------- */

static int allocate(ds_plan *p, ds_error *e)
{
    size_t n = (size_t)p->graph->n;
    p->tensors = calloc(n + 1, sizeof *p->tensors);
    p->output_of = calloc(n + 1, sizeof *p->output_of);
    p->steps = calloc(n, sizeof *p->steps);
    p->step_of = calloc(n, sizeof *p->step_of);
    p->owned = calloc(n, sizeof *p->owned);
    return p->tensors && p->output_of && p->steps && p->step_of && p->owned ? DS_OK : ds_fail_memory(e);
}

static bool can_own(const ds_node *node)
{
    if (node->op == DS_OP_MAXPOOL)
        return node->size <= 15; /* a place in the window is a byte */
    return kind_of(node) != NULL;
}

int ds_plan_make(ds_plan *p, const ds_graph *g, bool train, const bool *refused, int *culprit, ds_error *e)
{
    p->graph = g;
    p->train = train;
    *culprit = -1;
    int rc = allocate(p, e);
    if (rc)
        return rc;
    for (int i = 0; i < g->n; i++)
        p->owned[i] = can_own(&g->nodes[i]) && !refused[i];
    shape_tensors(p);
    alias_routes(p);
    mark_borders(p);
    make_steps(p);
    for (int k = 0; k < p->n_steps && !rc; k++)
        rc = list_parts(p, &p->steps[k], e);
    if (rc)
        return rc;
    lease_values(p);
    add_in_place(p);
    if (!rc)
        rc = make_backwards(p, culprit, e);
    return rc ? rc : get_memory(p, e);
}

void ds_plan_release(ds_plan *p)
{
    for (int k = 0; p->steps && k < p->n_steps; k++) {
        ds_step *s = &p->steps[k];
        if (s->kind->release)
            s->kind->release(s);
        free(s->parts);
        free(s->to_parts);
    }
    free(p->tensors);
    free(p->output_of);
    free(p->steps);
    free(p->step_of);
    free(p->owned);
    ds_arena_clear(&p->arena);
}
