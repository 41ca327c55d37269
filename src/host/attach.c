/* A plugin in the place of a host layer: the shim between Darknet's conventions and the arrays of plugin.h.
 * The state hangs on layer.uh, a pointer that only recurrent layers use. */
#include "host/private.h"

/* Raw logits of the cost section: what came into it, or what it made of that. */
static const float *cost_logits(const ds_attached *a, const network *net)
{
    const ds_attached *cost = ds_attached_of(&net->layers[a->cost]);
    if (cost->it.logits)
        return cost->it.logits;
    return net->index == a->cost ? net->input : net->layers[a->cost - 1].output;
}

void ds_context_start(ds_context *c, ds_error *e)
{
    c->pass.labels = NULL;
    c->code = 0;
    c->error = e;
}

void ds_context_record(ds_context *c, int rc, const ds_error *e)
{
    if (!rc || c->code)
        return;
    if (c->fatal)
        c->fatal(e);
    c->code = rc;
    ds_error_pass(c->error, e);
}

/* Scores mean nothing for other weights, which come after the file. */
static int check_weights(ds_attached *a, const ds_novelty *v, network *net, ds_error *e)
{
    ds_net whole = {.net = net};
    ds_params_collect(&whole);
    a->checked = ds_net_weights_hash(&whole) == v->weights;
    free(whole.params);
    return a->checked
               ? DS_OK
               : ds_fail_at(e, DS_EINPUT, v->path, 0,
                            "was made with other weights, expected those that `calibrate -novelty` had");
}

/* What [reject] novelty= looks at: where nobody collects features, what lies in the layers. */
static int give_features(ds_attached *a, network *net, ds_pass *pass, ds_error *e)
{
    const ds_depths *d = &a->depths;
    size_t at = 0;
    const ds_novelty *v = a->it.layer->role == DS_REJECT ? ds_reject_of(a->it.state)->novelty : NULL;
    if (!v)
        return DS_OK;
    if (!a->checked)
        DS_TRY(check_weights(a, v, net, e));
    if (pass->features)
        return DS_OK;
    /* the client may have set a larger batch since the last pass */
    a->features = ds_xrealloc(a->features, ds_batch_size(&net->layers[0], (int)d->row), sizeof *a->features);
    a->novelty = ds_xrealloc(a->novelty, (size_t)net->batch, sizeof *a->novelty);
    pass->novelty = a->novelty;
    for (int k = 0; k < d->n; at += (size_t)d->channels[k++])
        ds_measure_output(&net->layers[d->layer[k]], d->channels[k], a->features + at, d->row);
    pass->features = a->features;
    return DS_OK;
}

static void shim_forward(layer l, network net)
{
    ds_attached *a = ds_attached_of(&l);
    ds_context *c = a->context;
    ds_error e = {0};
    if (net.train && c->fatal) {
        ds_fail(&e, DS_EINPUT,
                "[%s] trains only under `classifier train` (it needs the number of each image)",
                a->it.layer->name);
        c->fatal(&e);
    }
    const bool train = a->it.layer->role == DS_COST && c->pass.labels;
    ds_pass pass = c->pass;
    pass.batch = l.batch;
    pass.input = net.input;
    pass.logits = cost_logits(a, &net);
    pass.output = l.output;
    pass.gradient = train ? l.delta : NULL;
    if (!train) {
        pass.labels = pass.others = NULL;
        pass.ids = NULL;
    }
    int rc = give_features(a, &net, &pass, &e);
    if (train && c->whole)
        ds_whole_gather(c->whole, &pass);
    if (!rc)
        rc = ds_instance_forward(&a->it, &pass, &e);
    if (train && c->whole)
        ds_whole_keep(c->whole, l.output, l.delta);
    ds_context_record(c, rc, &e);
    for (size_t i = 0; train && !rc && i < (size_t)l.batch * l.inputs; i++)
        l.delta[i] = -l.delta[i]; /* the host's sign */
}

/* Both kinds pass a gradient on by adding it, as the host's [softmax] and [route] do. */
static void shim_backward(layer l, network net)
{
    if (net.delta)
        for (size_t i = 0; i < (size_t)l.batch * l.inputs; i++)
            net.delta[i] += l.delta[i];
}

ds_attached *ds_attached_of(const layer *l)
{
    return l->forward == shim_forward ? (ds_attached *)l->uh : NULL;
}

void ds_detach(layer *l)
{
    ds_attached *a = ds_attached_of(l);
    if (!a)
        return;
    ds_instance_release(&a->it);
    free(a->features);
    free(a->novelty);
    free(a);
    l->uh = NULL;
    l->forward = NULL;
}

static int attach_one(const ds_cfg *cfg, network *net, int i, int cost, const ds_setup *base,
                      ds_context *context, ds_error *e)
{
    const ds_section *s = &cfg->sections[i + 1];
    layer *l = &net->layers[i];
    ds_attached *a = ds_xmalloc(sizeof *a);
    *a = (ds_attached){.it = {.layer = s->plugin, .setup = s->setup}, .cost = cost, .context = context};
    a->it.setup.samples = base->samples;
    a->it.setup.counts = base->counts;
    a->it.setup.epochs = base->epochs;
    a->it.setup.notes = base->notes;
    a->it.setup.precision = base->precision;
    if (base->depths) {
        a->depths = *base->depths;
        a->it.setup.depths = &a->depths;
    }
    int rc = ds_instance_init(&a->it, s->pairs, s->n, cfg->path, s->line, e);
    if (rc) {
        free(a);
        return rc;
    }
    l->forward = shim_forward;
    l->backward = shim_backward;
    l->uh = (struct layer *)a;
    l->outputs = a->it.setup.outputs;
    l->out_c = l->out_c && l->out_w * l->out_h == 1 ? l->outputs : l->out_c;
    return DS_OK;
}

int ds_attach(const ds_cfg *cfg, network *net, const ds_setup *setup, ds_context *context, ds_error *e)
{
    const ds_setup *end = NULL;
    for (int i = 0, cost = -1; i < net->n; i++) {
        const ds_section *s = &cfg->sections[i + 1];
        end = s->plugin ? &s->setup : NULL;
        if (!s->plugin)
            continue;
        if (s->plugin->role == DS_COST)
            cost = i;
        DS_TRY(attach_one(cfg, net, i, cost, setup, context, e));
    }
    if (end) {
        const layer *last = &net->layers[net->n - 1];
        net->outputs = last->outputs;
        net->truths = end->classes;
        net->output = last->output;
    }
    return DS_OK;
}
