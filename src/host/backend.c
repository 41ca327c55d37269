/* From the host's layers to the graph that a backend sees, and back: which layers it computes, whose arrays
 * nobody needs any more. */
#include "host/private.h"

#include <limits.h>

extern const ds_backend ds_backend_onednn, ds_backend_cuda;

const ds_backend *const *ds_backends(void)
{
    static const ds_backend *const all[] = {
#ifdef DS_WITH_ONEDNN
        &ds_backend_onednn,
#endif
        &ds_backend_cuda, NULL};
    return all;
}

/* NAME, or NAME:N of a backend with several devices. */
static bool is_named(const ds_backend *b, const char *name, int *device)
{
    const size_t n = strlen(b->name);
    long long number = 0;
    if (strncmp(name, b->name, n) != 0)
        return false;
    bool numbered = b->devices && name[n] == ':' && ds_parse_int(name + n + 1, &number) && number >= 0;
    *device = number <= INT_MAX ? (int)number : INT_MAX;
    return !name[n] || numbered;
}

/* NULL: "host". */
static int find(const char *name, const ds_backend **backend, int *device, ds_error *e)
{
    *backend = NULL;
    *device = 0;
    if (strcmp(name, "host") == 0)
        return DS_OK;
    for (const ds_backend *const *all = ds_backends(); *all; all++)
        if (is_named(*all, name, device)) {
            *backend = *all;
            return DS_OK;
        }
    return ds_fail(e, DS_EUSAGE,
                   "backend '%s' is not part of this program, expected %scuda, cuda:N or host%s", name,
                   strcmp(DS_DEFAULT_BACKEND, "host") ? DS_DEFAULT_BACKEND ", " : "",
                   strcmp(DS_DEFAULT_BACKEND, "host") ? "" : " (it was built without oneDNN)");
}

/* ---- nodes ---- */

static ds_op op_of(const layer *l)
{
    static const ds_op ops[BLANK + 1] = {
        [CONVOLUTIONAL] = DS_OP_CONVOLUTION, [CONNECTED] = DS_OP_CONNECTED, [BATCHNORM] = DS_OP_BATCHNORM,
        [MAXPOOL] = DS_OP_MAXPOOL,           [AVGPOOL] = DS_OP_AVGPOOL,     [DROPOUT] = DS_OP_DROPOUT,
        [SHORTCUT] = DS_OP_SHORTCUT,         [ROUTE] = DS_OP_ROUTE,         [ACTIVE] = DS_OP_ACTIVATION};
    bool weighted = l->type == SHORTCUT && (l->alpha != 1 || l->beta != 1);
    return weighted || l->xnor || l->binary || ds_attached_of(l) ? DS_OP_HOST : ops[l->type];
}

static float slope_of(const layer *l)
{
    if (l->type == BATCHNORM || l->type == ROUTE || l->activation == LINEAR)
        return 1;
    return l->activation == RELU ? 0 : l->activation == LEAKY ? .1f : NAN;
}

static void set_node(const ds_net *n, int i, ds_node *node)
{
    const layer *l = &n->net->layers[i];
    bool trained = i >= n->first;
    *node = (ds_node){.op = op_of(l),
                      .size = l->size,
                      .stride = l->stride,
                      .pad = l->pad,
                      .groups = l->groups > 0 ? l->groups : 1,
                      .offset = l->type == MAXPOOL ? -l->pad / 2 : 0,
                      .probability = l->probability,
                      .activation = (int)l->activation,
                      .slope = slope_of(l),
                      .normalized = l->batch_normalize || l->type == BATCHNORM,
                      .feature = n->slots[i].feature,
                      .feature_row = n->depths.row,
                      .output = l->output,
                      .delta = l->delta,
                      .weights = l->weights,
                      .biases = l->biases,
                      .scales = l->scales,
                      .mean = l->mean,
                      .variance = l->variance,
                      .rolling_mean = l->rolling_mean,
                      .rolling_variance = l->rolling_variance,
                      .weight_updates = trained ? l->weight_updates : NULL,
                      .bias_updates = trained ? l->bias_updates : NULL,
                      .scale_updates = trained ? l->scale_updates : NULL};
    node->inputs = ds_inputs_of(n, i, &node->n_inputs);
    ds_shape_of(&n->cfg->shapes[i], l->inputs, &node->c, &node->h, &node->w);
    ds_shape_of(&n->cfg->shapes[i + 1], l->outputs, &node->out_c, &node->out_h, &node->out_w);
}

/* ---- activations ---- */

static void activate(const void *host, float *x, int n, int activation)
{
    ((const ds_host *)host)->activate_array(x, n, (ACTIVATION)activation);
}

static void gradient(const void *host, const float *y, int n, int activation, float *delta)
{
    ((const ds_host *)host)->gradient_array(y, n, (ACTIVATION)activation, delta);
}

/* ---- taking over ---- */

/* What the host reads or writes stays plain. Arrays of convolutions are the large ones; untouched they cost
 * address space alone, but gigabytes of it. */
static void drop_arrays(layer *l, bool plain)
{
    free(l->x);
    free(l->x_norm);
    l->x = l->x_norm = NULL;
    if (plain)
        return;
    free(l->output);
    free(l->delta);
    l->output = l->delta = NULL;
}

static void settle(ds_net *n)
{
    for (int i = 0; i < n->net->n; i++)
        n->slots[i].plain = !n->slots[i].owned || i == n->net->n - 1;
    for (int i = 0; i < n->net->n; i++)
        for (int k = 0; !n->slots[i].owned && k < n->nodes[i].n_inputs; k++)
            if (n->nodes[i].inputs[k] >= 0)
                n->slots[n->nodes[i].inputs[k]].plain = true;
    for (int i = 0; i < n->net->n; i++) {
        layer *l = &n->net->layers[i];
        if (n->slots[i].owned && l->type == CONVOLUTIONAL)
            drop_arrays(l, n->slots[i].plain);
        n->nodes[i].output = l->output;
        n->nodes[i].delta = l->delta;
    }
}

static void describe(ds_net *n, const ds_net_setup *setup)
{
    DS_ALLOC(n->nodes, n->net->n);
    for (int i = 0; i < n->net->n; i++)
        set_node(n, i, &n->nodes[i]);
    n->graph = (ds_graph){.nodes = n->nodes,
                          .n = n->net->n,
                          .batch = n->info.batch,
                          .precision = n->graph.precision,
                          .device = n->graph.device,
                          .train = setup->train,
                          .tune = setup->tune,
                          .part = n->ranks ? n->ranks->rank : 0,
                          .parts = n->ranks ? n->ranks->size : 1,
                          .sum = n->ranks && n->cfg->net.sync_batchnorm ? n->ranks->pass->sum : NULL,
                          .first = n->first,
                          .seed = setup->seed,
                          .activate = activate,
                          .gradient = gradient,
                          .host = n->host,
                          .notes = setup->verbose ? setup->notes : NULL};
}

static int choose_precision(const ds_net *n, const ds_net_setup *setup, ds_precision *precision, ds_error *e)
{
    const char *name = setup->precision ? setup->precision : ds_precision_names[n->cfg->net.precision];
    const bool automatic = strcmp(name, "auto") == 0;
    const ds_precision asked =
        automatic ? DS_BF16 : (ds_precision)ds_word_index(ds_precision_names, -1, name);
    const char *lacks = asked == DS_F32 ? NULL
                        : n->backend    ? n->backend->lacks(asked, n->graph.device)
                                        : "Darknet's own code knows f32 alone";
    *precision = lacks ? DS_F32 : asked;
    if (lacks && automatic)
        ds_note(setup->notes, "note: precision f32: %s", lacks);
    else if (lacks)
        return ds_fail(e, DS_EUSAGE, "precision %s: %s, expected f32 or auto", name, lacks);
    return DS_OK;
}

int ds_backend_choose(ds_net *n, const ds_net_setup *setup, ds_error *e)
{
    const char *name = setup->backend ? setup->backend : DS_DEFAULT_BACKEND;
    DS_TRY(find(name, &n->backend, &n->graph.device, e));
    if (setup->tune && !(n->backend && n->backend->tunes))
        return ds_fail(e, DS_EUSAGE, "-tune: backend %s has nothing to measure, expected -backend cuda",
                       name);
    if (setup->ranks && n->backend && n->backend->update)
        return ds_fail(e, DS_EUSAGE,
                       "backend %s keeps gradients to itself, which ranks must share, expected another",
                       name);
    DS_TRY(choose_precision(n, setup, &n->graph.precision, e));
    if (!n->backend) {
        snprintf(n->backend_name, sizeof n->backend_name, "host");
        return DS_OK;
    }
    snprintf(n->backend_name, sizeof n->backend_name, "%s (%s, %s%s)", n->backend->name,
             n->backend->describe(n->graph.precision, n->graph.device),
             ds_precision_names[n->graph.precision], setup->tune ? ", tuned" : "");
    return DS_OK;
}

int ds_backend_attach(ds_net *n, const ds_net_setup *setup, ds_error *e)
{
    describe(n, setup);
    if (!n->backend)
        return DS_OK;
    DS_FREED bool *owned = DS_ZALLOC(owned, n->net->n);
    int rc = n->backend->create(&n->graph, owned, &n->whole, e);
    for (int i = 0; i < n->net->n; i++)
        n->slots[i].owned = owned[i];
    for (int k = 0; k < n->n_params; k++)
        n->params[k].resident = n->backend->update && n->slots[n->params[k].layer].owned;
    n->state = n->whole;
    if (!rc)
        settle(n);
    return rc;
}

void ds_backend_detach(ds_net *n)
{
    for (size_t k = 0; k < sizeof n->pieces / sizeof *n->pieces; k++)
        if (n->pieces[k])
            n->backend->free(n->pieces[k]);
    if (n->whole)
        n->backend->free(n->whole);
    n->whole = n->state = NULL;
    memset(n->pieces, 0, sizeof n->pieces);
    free(n->nodes);
    n->nodes = NULL;
}

/* ---- fewer images than a batch ---- */

int ds_backend_piece(const ds_net *n, int images)
{
    return !n->backend || n->backend->whole || images == n->info.batch ? images : images & -images;
}

static int make_piece(const ds_net *n, int images, void **state, ds_error *e)
{
    ds_graph g = n->graph;
    g.batch = images;
    g.train = false;
    g.notes = NULL;
    bool same = true;
    DS_FREED bool *owned = DS_ZALLOC(owned, g.n);
    int rc = n->backend->create(&g, owned, state, e);
    for (int i = 0; i < g.n; i++)
        same &= owned[i] == n->slots[i].owned;
    if (rc || same)
        return rc;
    n->backend->free(*state);
    *state = NULL;
    return ds_fail(e, DS_EHOST, "backend %s computes other layers for %d images than for %d at once",
                   n->backend->name, images, n->graph.batch);
}

int ds_backend_select(ds_net *n, int images, ds_error *e)
{
    bool whole = !n->backend || n->backend->whole || images == n->info.batch;
    void **state = whole ? &n->whole : &n->pieces[__builtin_ctz((unsigned)images)];
    if (!whole && !*state)
        DS_TRY(make_piece(n, images, state, e));
    n->state = *state;
    return DS_OK;
}

/* ---- passes ---- */

static ds_backend_pass pass_of(const ds_net *n, const float *pixels, bool train)
{
    return (ds_backend_pass){.pixels = pixels,
                             .pictures = n->pictures,
                             .mixed = n->mixed,
                             .shares = n->context.pass.shares,
                             .images = n->net->batch,
                             .train = train,
                             .drop = n->dropout_active,
                             .step = n->step};
}

void ds_backend_forward(ds_net *n, int i, const float *pixels, bool train)
{
    ds_error e = {0};
    ds_backend_pass pass = pass_of(n, pixels, train);
    ds_context_record(&n->context, n->backend->forward(n->state, i, &pass, &e), &e);
}

void ds_backend_backward(ds_net *n, int i, const float *pixels)
{
    ds_error e = {0};
    ds_backend_pass pass = pass_of(n, pixels, true);
    ds_context_record(&n->context, n->backend->backward(n->state, i, &pass, &e), &e);
}

void ds_backend_moved(const ds_net *n)
{
    for (size_t k = 0; k < sizeof n->pieces / sizeof *n->pieces; k++)
        if (n->pieces[k])
            n->backend->changed(n->pieces[k]);
}

int ds_backend_fetch(const ds_net *n, ds_fetch what, ds_error *e)
{
    return n->whole && n->backend->fetch ? n->backend->fetch(n->whole, what, e) : DS_OK;
}

const ds_node *ds_net_nodes(const ds_net *n)
{
    return n->nodes;
}

int ds_net_fetch(const ds_net *n, ds_error *e)
{
    return ds_backend_fetch(n, DS_FETCH_ALL, e);
}

bool ds_net_prepares(const ds_net *n)
{
    return n->whole && n->backend->prepares && n->backend->prepares(n->whole);
}

void ds_net_set_pictures(ds_net *n, const ds_picture *pictures, const ds_picture *mixed)
{
    n->pictures = pictures;
    n->mixed = mixed;
}

double ds_backend_waited(const ds_net *n)
{
    return n->whole && n->backend->waited ? n->backend->waited(n->whole) : 0;
}

int ds_net_update(ds_net *n, const ds_rule *rule, ds_error *e)
{
    if (n->whole && n->backend->update)
        return n->backend->update(n->whole, rule, e);
    ds_net_changed(n);
    return DS_OK;
}

void ds_net_changed(ds_net *n)
{
    if (n->whole)
        n->backend->changed(n->whole);
    ds_backend_moved(n);
}
