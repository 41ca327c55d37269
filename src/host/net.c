/* A network of the host with our plugins in it: building, asking, running. */
#include "host/private.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

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
                          .cost = -1,
                          .reject = -1,
                          .cost_temperature = 1};
    info->cost = ds_cfg_cost(n->cfg, &info->reject);
    const ds_attached *a = info->cost >= 0 ? ds_attached_of(&net->layers[info->cost]) : NULL;
    if (!a)
        return;
    info->logits = a->it.setup.inputs;
    info->classes = a->it.setup.classes;
    info->abstain = a->it.setup.abstain;
    info->cost_temperature = a->it.setup.temperature;
}

static int parse(ds_net *n, const ds_net_setup *setup, ds_error *e)
{
    DS_TRY(ds_host_open(&n->host, e));
    char *text = ds_cfg_lower(n->cfg, setup->batch, setup->batch ? 1 : 0);
    ds_host_seed(setup->seed);
    int rc = ds_host_parse(n->host, text, true, &n->net, e);
    free(text);
    return rc;
}

/* The variance of a single value is 0 / 0. */
static int check_values(const ds_net *n, ds_error *e)
{
    for (int i = 0; i < n->net->n; i++) {
        const layer *l = &n->net->layers[i];
        const ds_section *s = &n->cfg->sections[i + 1];
        bool normalizes = l->type == BATCHNORM || (l->batch_normalize && l->rolling_mean);
        if (normalizes && l->batch == 1 && l->out_h * l->out_w == 1)
            return ds_fail_at(
                e, DS_EINPUT, n->cfg->path, ds_section_line(s, "batch_normalize"),
                "layer %d: [%s] cannot be trained with batch normalisation over a single value a "
                "channel (1 image of 1 x 1), expected 2 images or more at once",
                i, s->name);
    }
    return DS_OK;
}

static int build(ds_net *n, const ds_net_setup *setup, ds_error *e)
{
    int rc = parse(n, setup, e);
    if (rc)
        return rc;
    ds_setup base = {.samples = setup->train ? setup->samples : 0,
                     .epochs = setup->train ? setup->epochs : 0,
                     .notes = setup->notes};
    n->slots = calloc((size_t)n->net->n, sizeof *n->slots);
    n->loss = calloc((size_t)n->net->batch, sizeof *n->loss);
    if (!n->slots || !n->loss)
        return ds_fail_memory(e);
    if ((rc = ds_attach(n->cfg, n->net, &base, &n->context, e)))
        return rc;
    fill_info(n);
    if (setup->train && (rc = check_values(n, e)))
        return rc;
    if ((rc = ds_params_list(n, e)) || (rc = ds_walk_plan(n, setup->train, e)))
        return rc;
    if ((rc = ds_takeover(n, e)) || (rc = ds_backend_attach(n, setup, e)))
        return rc;
    return ds_takeover_work(n, setup->train, e);
}

int ds_net_new(const ds_cfg *cfg, const ds_net_setup *setup, ds_net **net, ds_error *e)
{
    *net = NULL;
    ds_net *n = calloc(1, sizeof *n);
    if (!n)
        return ds_fail_memory(e);
    n->cfg = cfg;
    n->seed = setup->seed;
    n->dropout_active = true;
    n->context.epochs = setup->epochs;
    n->work.threads = setup->threads > 0 ? setup->threads : omp_get_num_procs();
    omp_set_num_threads(n->work.threads);
    int rc = build(n, setup, e);
    if (rc) {
        ds_net_free(n);
        return rc;
    }
    *net = n;
    return DS_OK;
}

void ds_net_free(ds_net *n)
{
    if (!n)
        return;
    if (n->net) {
        network *net = n->net;
        ds_backend_detach(n);
        ds_takeover_release(n);
        for (int i = 0; i < net->n; i++)
            ds_detach(&net->layers[i]);
        /* free_network leaves these behind */
        free(net->seen);
        free(net->t);
        free(net->cost);
        free(net->workspace);
        n->host->free_network(net);
    }
    free(n->slots);
    free(n->params);
    free(n->scratch);
    free(n->loss);
    free(n->statistics);
    free(n->times);
    free(n);
}

const ds_net_info *ds_net_get_info(const ds_net *net)
{
    return &net->info;
}

const char *ds_net_backend(const ds_net *n)
{
    return n->backend_name;
}

bool ds_net_get_reject(const ds_net *n, ds_score *score, double *threshold)
{
    *score = (ds_score){.kind = DS_MSP, .temperature = 1, .pnorm_p = 2};
    *threshold = NAN;
    if (n->info.reject < 0)
        return false;
    ds_reject_get(ds_attached_of(&n->net->layers[n->info.reject])->it.state, score, threshold);
    return true;
}

static double layer_flops(const layer *l)
{
    double places = (double)l->out_w * l->out_h;
    switch (l->type) {
    case CONVOLUTIONAL:
        return 2.0 * l->n * l->size * l->size * (l->c / l->groups) * places;
    case DECONVOLUTIONAL:
        return 2.0 * l->n * l->size * l->size * l->c * l->w * l->h;
    case LOCAL:
        return 2.0 * l->n * l->size * l->size * l->c * places;
    case CONNECTED:
        return 2.0 * l->inputs * l->outputs;
    default:
        return 0;
    }
}

void ds_net_layer_row(const ds_net *n, int i, ds_layer_row *row)
{
    const layer *l = &n->net->layers[i];
    const ds_shape *in = &n->cfg->shapes[i], *out = &n->cfg->shapes[i + 1];
    *row = (ds_layer_row){.in_w = in->w,
                          .in_h = in->h,
                          .in_c = in->c,
                          .inputs = l->inputs,
                          .out_w = out->w,
                          .out_h = out->h,
                          .out_c = out->c,
                          .outputs = l->outputs,
                          .flops = layer_flops(l)};
    snprintf(row->name, sizeof row->name, "%s", n->cfg->sections[i + 1].name);
    for (int k = 0; k < n->n_params; k++)
        if (n->params[k].layer == i)
            row->parameters += n->params[k].n;
}

static void set_batch(ds_net *n, int images)
{
    n->net->batch = images;
    for (int i = 0; i < n->net->n; i++)
        n->net->layers[i].batch = images;
}

/* Rows [0, images) of what layer i put out belong to the images from `first` on. */
static void move_rows(const ds_net *n, int i, int first, int images)
{
    const layer *l = &n->net->layers[i];
    size_t row = (size_t)l->outputs;
    memmove(l->output + (size_t)first * row, l->output, (size_t)images * row * sizeof *l->output);
}

static int forward_piece(ds_net *n, const float *pixels, int first, int images, ds_error *e)
{
    bool part = images < n->info.batch;
    DS_TRY(ds_backend_select(n, images, e));
    if (part)
        set_batch(n, images);
    ds_walk_forward(n, pixels + (size_t)first * (size_t)n->info.inputs, n->net->n - 1, false);
    if (part)
        set_batch(n, n->info.batch);
    ds_backend_select(n, n->info.batch, e);
    if (first > 0) {
        move_rows(n, n->net->n - 1, first, images);
        if (n->info.cost > 0)
            move_rows(n, n->info.cost - 1, first, images);
    }
    return n->context.code;
}

/* The last images come first: results of later pieces, which begin at row 0, then never reach those that have been moved to
 * their rows. */
int ds_net_forward(ds_net *n, const float *pixels, int images, ds_error *e)
{
    n->context.labels = NULL;
    n->context.code = 0;
    n->context.error = e;
    while (images > 0) {
        int piece = ds_backend_piece(n, images);
        images -= piece;
        DS_TRY(forward_piece(n, pixels, images, piece, e));
    }
    return DS_OK;
}

const float *ds_net_logits(const ds_net *n)
{
    return n->net->layers[n->info.cost - 1].output;
}

const float *ds_net_output(const ds_net *n)
{
    return n->net->layers[n->net->n - 1].output;
}

static int check_losses(ds_net *n, double *loss, ds_error *e)
{
    bool finite = true;
    for (int b = 0; b < n->info.batch; b++) {
        if (loss)
            loss[b] = n->loss[b];
        finite &= isfinite(n->loss[b]);
    }
    return finite ? DS_OK : ds_fail(e, DS_ENUMERIC, "the loss is not a number");
}

int ds_net_train(ds_net *n, const float *pixels, const int *labels, const uint32_t *ids, int epoch,
                 double *loss, ds_error *e)
{
    n->context.labels = labels;
    n->context.ids = ids;
    n->context.epoch = epoch;
    n->context.loss = n->loss;
    n->context.code = 0;
    n->context.error = e;
    n->step++;
    ds_walk_forward(n, pixels, n->info.cost, true);
    if (n->context.code)
        return n->context.code;
    int rc = check_losses(n, loss, e);
    if (!rc)
        ds_walk_backward(n, pixels);
    return rc ? rc : n->context.code;
}

void ds_net_progress(const ds_net *n, int epoch, ds_progress *out)
{
    *out = (ds_progress){.alpha = NAN};
    const ds_attached *a = ds_attached_of(&n->net->layers[n->info.cost]);
    if (a->it.layer->progress)
        a->it.layer->progress(a->it.state, epoch, n->context.epochs, out);
}
