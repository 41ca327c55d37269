/* A network for answering, made without libdarknet.so, whose 250 shared libraries take most of the time of
 * a short answer. Where a backend computes every layer, the host's structs are but a table of shapes and
 * arrays, and this file fills in what the rest of the room reads of it. */
#include "host/private.h"
#include "cfg/sections.h"

/* What is needed to fill in one layer. */
typedef struct place {
    const ds_section *s;
    const ds_keys *keys;
    int number;
    layer *l;
} place;

/* Is it one that a slope describes? The others are the host's to compute. */
static bool set_activation(const place *p)
{
    static const ACTIVATION known[] = {[DS_RELU] = RELU, [DS_LINEAR] = LINEAR, [DS_LEAKY] = LEAKY};
    const int a = p->keys->activation;
    const bool is_known = a == DS_RELU || a == DS_LINEAR || a == DS_LEAKY;
    if (is_known)
        p->l->activation = known[a];
    return is_known;
}

static void add_averages(layer *l, size_t channels)
{
    DS_ZALLOC(l->scales, channels);
    DS_ZALLOC(l->rolling_mean, channels);
    DS_ZALLOC(l->rolling_variance, channels);
    DS_ZALLOC(l->mean, channels);
    DS_ZALLOC(l->variance, channels);
}

static void add_weights(const place *p, size_t filters, size_t weights)
{
    layer *l = p->l;
    DS_ZALLOC(l->weights, weights);
    DS_ZALLOC(l->biases, filters);
    l->batch_normalize = p->keys->batch_normalize;
    if (l->batch_normalize)
        add_averages(l, filters);
}

/* Each says whether the layer can do without the host. */

static bool convolutional(const place *p)
{
    const ds_keys *k = p->keys;
    layer *l = p->l;
    l->n = k->filters;
    l->size = k->size;
    l->stride = k->stride;
    l->pad = k->half ? k->size / 2 : k->padding;
    l->groups = k->groups;
    l->flipped = k->flipped;
    l->nweights = l->c / l->groups * l->n * l->size * l->size;
    add_weights(p, (size_t)l->n, (size_t)l->nweights);
    return !k->binary && !k->xnor && set_activation(p);
}

static bool connected(const place *p)
{
    add_weights(p, (size_t)p->l->outputs, (size_t)p->l->outputs * (size_t)p->l->inputs);
    return set_activation(p);
}

static bool batchnorm(const place *p)
{
    DS_ZALLOC(p->l->biases, p->l->c);
    add_averages(p->l, (size_t)p->l->c);
    return true;
}

static bool maxpool(const place *p)
{
    layer *l = p->l;
    l->stride = p->keys->stride;
    l->size = p->keys->size ? p->keys->size : l->stride;
    l->pad = ds_section_get(p->s, "padding") ? p->keys->padding : l->size - 1;
    return true;
}

static bool dropout(const place *p)
{
    p->l->probability = (float)p->keys->probability;
    return true;
}

static int resolved(const place *p, int layer)
{
    return layer < 0 ? p->number + layer : layer;
}

static bool shortcut(const place *p)
{
    p->l->index = resolved(p, p->keys->from);
    p->l->alpha = (float)p->keys->alpha;
    p->l->beta = (float)p->keys->beta;
    return set_activation(p);
}

static void add_route(const place *p, int n)
{
    p->l->type = ROUTE;
    p->l->n = n;
    DS_ZALLOC(p->l->input_layers, n);
}

static bool route(const place *p)
{
    add_route(p, p->keys->layers.n);
    for (int i = 0; i < p->l->n; i++)
        p->l->input_layers[i] = resolved(p, (int)p->keys->layers.v[i]);
    return true;
}

static const struct {
    const char *name;
    LAYER_TYPE type;
    bool (*fill)(const place *p); /* NULL: nothing is to be filled in */
} kinds[] = {
    {"convolutional", CONVOLUTIONAL, convolutional},
    {"connected", CONNECTED, connected},
    {"batchnorm", BATCHNORM, batchnorm},
    {"maxpool", MAXPOOL, maxpool},
    {"avgpool", AVGPOOL, NULL},
    {"dropout", DROPOUT, dropout},
    {"shortcut", SHORTCUT, shortcut},
    {"route", ROUTE, route},
    {"activation", ACTIVE, set_activation},
};

/* The stand-ins that ds_cfg_lower has. */
static bool plugin(const place *p)
{
    p->l->type = SOFTMAX;
    if (p->s->plugin->role != DS_REJECT)
        return true;
    add_route(p, 1);
    p->l->input_layers[0] = p->number - 1;
    return true;
}

static bool fill(const place *p)
{
    if (p->s->plugin)
        return plugin(p);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(p->s->kind->name, kinds[i].name) == 0) {
            p->l->type = kinds[i].type;
            return !kinds[i].fill || kinds[i].fill(p);
        }
    return false;
}

static bool build_layer(const ds_cfg *cfg, network *net, int i)
{
    const ds_shape *in = &cfg->shapes[i], *out = &cfg->shapes[i + 1];
    const ds_section *s = &cfg->sections[i + 1];
    layer *l = &net->layers[i];
    static const ds_keys none = {.learning_rate = 1}; /* of a plugin */
    const place p = {.s = s, .keys = s->keys ? s->keys : &none, .number = i, .l = l};
    *l = (layer){.batch = net->batch,
                 .inputs = in->outputs,
                 .outputs = out->outputs,
                 .h = in->h,
                 .w = in->w,
                 .c = in->c,
                 .out_h = out->h,
                 .out_w = out->w,
                 .out_c = out->c,
                 .learning_rate_scale = (float)p.keys->learning_rate,
                 .dontload = p.keys->dontload,
                 .dontloadscales = p.keys->dontloadscales,
                 .numload = p.keys->numload,
                 .dontsave = p.keys->dontsave};
    bool done = fill(&p);
    if (l->type != DROPOUT) /* takeover.c makes those */
        DS_ZALLOC(l->output, ds_batch_size(l, l->outputs));
    return done;
}

network *ds_host_build(const ds_cfg *cfg, int batch, int *hosts)
{
    network *net = DS_ZALLOC(net, 1);
    const ds_net_options *o = &cfg->net;
    net->n = cfg->n - 1;
    net->batch = batch ? batch : o->batch / o->subdivisions * o->time_steps;
    net->h = o->height;
    net->w = o->width;
    net->c = o->channels;
    net->inputs = cfg->shapes[0].outputs;
    DS_ZALLOC(net->layers, net->n);
    int i = 0;
    while (i < net->n && build_layer(cfg, net, i))
        i++;
    if (i == net->n)
        return net;
    *hosts = i;
    ds_host_unbuild(net);
    return NULL;
}

void ds_host_unbuild(network *net)
{
    for (int i = 0; i < net->n; i++) {
        layer *l = &net->layers[i];
        float *const arrays[] = {
            l->weights,          l->biases,     l->scales,         l->rolling_mean,
            l->rolling_variance, l->mean,       l->variance,       l->x,
            l->x_norm,           l->mean_delta, l->variance_delta, l->type == DROPOUT ? NULL : l->output};
        for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
            free(arrays[k]);
        free(l->input_layers);
    }
    free(net->layers);
    free(net);
}
