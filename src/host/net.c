/* A network of the host with our plugins in it: building, asking, running. */
#include "host/private.h"

#include <malloc.h>
#include <omp.h>

static void fill_info(ds_net *n)
{
    const network *net = n->net;
    ds_net_info *info = &n->info;
    *info = (ds_net_info){.batch = net->batch,
                          .w = net->w,
                          .h = net->h,
                          .c = net->c,
                          .inputs = net->inputs,
                          .layers = net->n,
                          .cost = ds_cfg_cost(n->cfg),
                          .reject = ds_cfg_reject(n->cfg),
                          .cost_temperature = 1,
                          .precision = (int)n->graph.precision,
                          .threads = omp_get_max_threads(),
                          .backend = n->backend_name};
    const ds_attached *a = info->cost >= 0 ? ds_attached_of(&net->layers[info->cost]) : NULL;
    if (!a)
        return;
    info->logits = a->it.setup.logits;
    info->classes = a->it.setup.classes;
    info->abstain = a->it.setup.abstain;
    info->cost_temperature = a->it.setup.temperature;
    info->warmup_epochs = a->it.setup.warmup_epochs;
}

static int parse(ds_net *n, const ds_net_setup *setup, ds_error *e)
{
    DS_TRY(ds_host_open(&n->host, e));
    DS_FREED char *text = ds_cfg_lower(n->cfg, setup->batch, setup->batch ? 1 : 0);
    ds_host_seed(setup->seed);
    return ds_host_parse(n->host, text, ds_host_guard, &n->net, e);
}

/* The variance of a single value is 0 / 0; only a backend knows of those of other ranks. */
static int check_values(const ds_net *n, ds_error *e)
{
    for (int i = 0; i < n->net->n; i++) {
        const layer *l = &n->net->layers[i];
        const ds_section *s = &n->cfg->sections[i + 1];
        bool normalizes = l->type == BATCHNORM || (l->batch_normalize && l->rolling_mean);
        if (normalizes && n->graph.sum && !n->slots[i].owned)
            return ds_fail_at(e, DS_EINPUT, n->cfg->path, ds_section_line(n->cfg->sections, "sync_batchnorm"),
                              "sync_batchnorm=1, but layer %d is computed by Darknet's own code, expected 0, "
                              "or backend onednn",
                              i);
        if (normalizes && l->batch == 1 && l->out_h * l->out_w == 1)
            return ds_fail_at(e, DS_EINPUT, n->cfg->path, ds_section_line(s, "batch_normalize"),
                              "layer %d: [%s] cannot be trained with batch normalisation over a single value "
                              "a channel (1 image of 1 x 1), expected 2 images or more at once",
                              i, s->name);
    }
    return DS_OK;
}

static int equip(ds_net *n, const ds_net_setup *setup, ds_error *e)
{
    const size_t ranks = setup->ranks ? (size_t)setup->ranks->size : 1;
    ds_setup base = {.samples = setup->train ? setup->samples : 0,
                     .epochs = setup->train ? setup->epochs : 0,
                     .counts = setup->train ? setup->counts : NULL,
                     .notes = setup->notes,
                     .precision = setup->train ? NULL : ds_precision_names[n->graph.precision]};
    DS_ZALLOC(n->slots, n->net->n);
    DS_ZALLOC(n->loss, (size_t)n->net->batch * ranks);
    DS_ZALLOC(n->novelty, n->net->batch);
    n->context.pass.novelty = n->novelty;
    ds_depths_of(n->cfg, n->net, &n->depths);
    base.depths = setup->train || setup->features ? NULL : &n->depths;
    DS_TRY(ds_attach(n->cfg, n->net, &base, &n->context, e));
    fill_info(n);
    if (n->info.cost >= 0) {
        ds_instance *it = &ds_attached_of(&n->net->layers[n->info.cost])->it;
        ds_instance_reserve(it, n->net->batch);
        if (setup->ranks)
            n->context.whole = ds_whole_new(setup->ranks, n->net->batch, it->setup.inputs, it->setup.outputs);
    }
    ds_params_collect(n);
    for (int i = 0; i < n->net->n; i++)
        n->info.flops += ds_net_layer_row(n, i).flops;
    ds_walk_plan(n, setup->train);
    if (setup->features || ds_net_novelty(n))
        ds_features_make(n);
    ds_takeover(n);
    DS_TRY(ds_backend_attach(n, setup, e));
    return setup->train ? check_values(n, e) : DS_OK;
}

/* The network and all that was made for it. */
static void clear(ds_net *n)
{
    network *net = n->net;
    if (!net)
        return;
    ds_backend_detach(n);
    for (int i = 0; i < net->n; i++) {
        layer *l = &net->layers[i];
        ds_detach(l);
        free(n->slots && n->slots[i].own_buffers ? l->output : NULL);
        free(n->slots && n->slots[i].own_buffers ? l->delta : NULL);
    }
    /* free_network leaves these behind */
    free(net->seen);
    free(net->t);
    free(net->cost);
    free(net->workspace);
    if (n->host)
        n->host->free_network(net);
    else
        ds_host_unbuild(net);
    free(n->slots);
    free(n->params);
    free(n->scratch);
    free(n->taken);
    free(n->loss);
    ds_whole_free(n->context.whole);
    free(n->features);
    free(n->novelty);
}

/* Answering does without the library where the backend has all layers. *hosts: the first that it has not, -1:
 * it has all of them. */
static int build_alone(ds_net *n, const ds_net_setup *setup, int *hosts, ds_error *e)
{
    const ds_net before = *n;
    ds_net_setup quiet = *setup;
    quiet.verbose = false;
    *hosts = 0;
    if (setup->train || !n->backend || !(n->net = ds_host_build(n->cfg, setup->batch, hosts)))
        return DS_OK;
    DS_TRY(equip(n, &quiet, e));
    while (*hosts < n->net->n && (n->slots[*hosts].owned || ds_attached_of(&n->net->layers[*hosts])))
        ++*hosts;
    if (*hosts < n->net->n) {
        clear(n);
        *n = before;
    } else {
        *hosts = -1;
    }
    return DS_OK;
}

static int refuse(const ds_net *n, int layer, ds_error *e)
{
    const ds_section *s = &n->cfg->sections[layer + 1];
    const char *activation = ds_section_get(s, "activation");
    return ds_fail_at(e, DS_EINPUT, n->cfg->path, s->line,
                      "layer %d: [%s]%s%s of this shape is left to Darknet's library, which is not opened "
                      "here (`predict -v` "
                      "says why), expected layers of backend %s",
                      layer, s->name, activation ? " activation=" : "", activation ? activation : "",
                      n->backend_name);
}

static int build(ds_net *n, const ds_net_setup *setup, ds_error *e)
{
    int hosts;
    DS_TRY(ds_backend_choose(n, setup, e));
    DS_TRY(build_alone(n, setup, &hosts, e));
    if (hosts < 0)
        return DS_OK;
    if (setup->alone)
        return refuse(n, hosts, e);
    DS_TRY(parse(n, setup, e));
    return equip(n, setup, e);
}

int ds_net_new(const ds_cfg *cfg, const ds_net_setup *setup, ds_net **net, ds_error *e)
{
    ds_net *n = DS_ZALLOC(*net, 1);
    n->cfg = cfg;
    n->seed = setup->seed;
    n->samples = setup->samples;
    n->ranks = setup->ranks;
    n->dropout_active = true;
    n->context.pass.epochs = setup->epochs;
    omp_set_num_threads(setup->threads > 0 ? setup->threads : omp_get_num_procs());
    ds_host_settle();
    if (!setup->alone) /* big arrays come from the system: what nobody touches stays out of memory */
        mallopt(M_MMAP_THRESHOLD, 1 << 20);
    int rc = build(n, setup, e);
    if (rc) {
        ds_net_free(n);
        *net = NULL;
    }
    return rc;
}

void ds_net_free(ds_net *n)
{
    if (!n)
        return;
    clear(n);
    free(n->statistics);
    free(n->times);
    free(n);
}

const ds_net_info *ds_net_get_info(const ds_net *net)
{
    return &net->info;
}

const ds_reject *ds_net_get_reject(const ds_net *n)
{
    static const ds_reject none = {.score = {DS_MSP, 1, 2}, .threshold = NAN, .novelty_rate = NAN};
    const int i = n->info.reject;
    return i < 0 ? &none : ds_reject_of(ds_attached_of(&n->net->layers[i])->it.state);
}

const double *ds_net_novelty(const ds_net *n)
{
    return ds_net_get_reject(n)->novelty ? n->novelty : NULL;
}

/* Arrays of the size of a layer's output that are touched: what a backend keeps for itself it does not
 * need. */
static int arrays_of(const ds_net *n, int i)
{
    const layer *l = &n->net->layers[i];
    const ds_slot *s = &n->slots[i];
    const int train = n->scratch != NULL;
    return s->plain * (1 + train) + (s->owned ? 0 : (l->x != NULL) + (train && l->x_norm));
}

size_t ds_net_memory(const ds_net *n)
{
    const size_t library = (size_t)68 << 20; /* libdarknet.so and those that it takes along, as measured */
    const ds_history h = n->info.cost >= 0 ? ds_net_history(n) : (ds_history){0};
    size_t numbers = 0, workspace = 0;
    for (int i = 0; i < n->n_params; i++)
        numbers += n->params[i].n * (n->scratch && n->params[i].gradient ? 2 : 1);
    for (int i = 0; i < n->net->n; i++) {
        const layer *l = &n->net->layers[i];
        numbers += (size_t)arrays_of(n, i) * ds_batch_size(l, l->outputs);
        if (!n->slots[i].owned && l->workspace_size > workspace)
            workspace = l->workspace_size;
    }
    numbers += h.row * n->samples * (h.wide ? 2 : 1);
    return (n->host ? library : 0) + numbers * sizeof(float) + workspace +
           (n->whole ? n->backend->memory(n->whole) : 0);
}

static void set_batch(ds_net *n, int images)
{
    n->net->batch = images;
    for (int i = 0; i < n->net->n; i++)
        n->net->layers[i].batch = images;
}

/* Rows [0, images) belong to the images from `first` on. */
static void move_rows(float *rows, size_t row, int first, int images)
{
    if (rows && first > 0)
        memmove(rows + (size_t)first * row, rows, (size_t)images * row * sizeof *rows);
}

const float *ds_net_logits(const ds_net *n)
{
    const float *own = ds_attached_of(&n->net->layers[n->info.cost])->it.logits;
    return own ? own : n->net->layers[n->info.cost - 1].output;
}

static int forward_piece(ds_net *n, const float *pixels, int first, int images, ds_error *e)
{
    bool part = images < n->info.batch;
    DS_TRY(ds_backend_select(n, images, e));
    if (part)
        set_batch(n, images);
    ds_walk_forward(n, pixels ? pixels + (size_t)first * (size_t)n->info.inputs : NULL, n->net->n - 1, false);
    if (part)
        set_batch(n, n->info.batch);
    ds_backend_select(n, n->info.batch, e);
    if (n->info.cost > 0)
        move_rows((float *)ds_net_logits(n), (size_t)n->info.logits, first, images);
    move_rows(n->features, n->depths.row, first, images);
    memmove(n->novelty + first, n->novelty, (size_t)images * sizeof *n->novelty);
    return n->context.code;
}

/* Before the first pass: it starts threads, and oneDNN makes code in it. */
static int begin_pass(ds_net *n, ds_error *e)
{
    ds_context_start(&n->context, e);
    bool first = !n->begun;
    n->begun = true;
    return first ? ds_host_room(64, e) : DS_OK;
}

/* The last images come first: results of later pieces, which begin at row 0, then never reach those that have
 * been moved to their rows. */
int ds_net_forward(ds_net *n, const float *pixels, int images, ds_error *e)
{
    DS_TRY(begin_pass(n, e));
    while (images > 0) {
        int piece = ds_backend_piece(n, images);
        images -= piece;
        DS_TRY(forward_piece(n, pixels, images, piece, e));
    }
    return DS_OK;
}

ds_trained_images ds_net_trained(const ds_net *n)
{
    ds_trained_images t = {n->info.batch, ds_net_logits(n), n->context.pass.labels, n->context.pass.ids};
    if (n->context.whole)
        t = ds_whole_images(n->context.whole);
    if (ds_attached_of(&n->net->layers[n->info.cost])->it.logits)
        t.logits = ds_net_logits(n);
    return t;
}

static int check_losses(ds_net *n, double *loss, ds_error *e)
{
    bool finite = true;
    for (int b = 0, images = ds_net_trained(n).images; b < images; b++) {
        if (loss)
            loss[b] = n->loss[b];
        finite &= isfinite(n->loss[b]);
    }
    return finite ? DS_OK : ds_fail(e, DS_ENUMERIC, "the loss is not a number");
}

void ds_net_set_warming(ds_net *n, bool warming)
{
    n->context.pass.warming = warming;
}

void ds_net_set_mixture(ds_net *n, const int *others, const float *shares)
{
    n->context.pass.others = others;
    n->context.pass.shares = shares;
}

int ds_net_train(ds_net *n, const float *pixels, const int *labels, const uint32_t *ids, int epoch,
                 double *loss, ds_error *e)
{
    DS_TRY(begin_pass(n, e));
    n->context.pass.labels = labels;
    n->context.pass.ids = ids;
    n->context.pass.epoch = epoch;
    n->context.pass.loss = n->loss;
    n->step += ids || !n->context.pass.others;
    ds_walk_forward(n, pixels, n->info.cost, true);
    DS_TRY(n->context.code);
    DS_TRY(check_losses(n, loss, e));
    ds_walk_backward(n, pixels);
    return n->context.code;
}

void ds_net_set_seen(ds_net *n, uint64_t seen)
{
    n->step = seen / (uint64_t)ds_net_trained(n).images;
}

ds_history ds_net_history(const ds_net *n)
{
    const ds_attached *a = ds_attached_of(&n->net->layers[n->info.cost]);
    return a->it.layer->history ? a->it.layer->history(a->it.state) : (ds_history){0};
}

double ds_net_alpha(const ds_net *n, int epoch)
{
    const ds_attached *a = ds_attached_of(&n->net->layers[n->info.cost]);
    return a->it.layer->alpha ? a->it.layer->alpha(a->it.state, epoch, n->context.pass.epochs) : NAN;
}
