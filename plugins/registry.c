#include "plugins/registry.h"

#include "plugins/cross_entropy.h"

#define DS_LAYER(name) extern const ds_layer ds_layer_##name;
#include "plugins/list.h"
#undef DS_LAYER

static const ds_layer *const layers[] = {
#define DS_LAYER(name) &ds_layer_##name,
#include "plugins/list.h"
#undef DS_LAYER
};

bool ds_layer_usable(const ds_layer *layer)
{
    return layer->abi == DS_PLUGIN_ABI;
}

/* The one place that changes after the program has begun. */
static const ds_layer *added[16];
enum { MOST_ADDED = sizeof added / sizeof *added };

const ds_layer *ds_layer_at(int i)
{
    for (size_t k = 0; k < sizeof layers / sizeof *layers; k++)
        if (ds_layer_usable(layers[k]) && i-- == 0)
            return layers[k];
    return i >= 0 && i < MOST_ADDED ? added[i] : NULL;
}

int ds_layer_add(const ds_layer *layer, const char *file, ds_error *e)
{
    int n = 0;
    if (!ds_layer_usable(layer))
        return ds_fail_at(e, DS_EINPUT, file, 0, "the layer was built for plugin ABI %d, expected %d",
                          layer->abi, DS_PLUGIN_ABI);
    if (!layer->name || !layer->help || !layer->options || !(layer->row || layer->forward))
        return ds_fail_at(e, DS_EINPUT, file, 0,
                          "an incomplete layer, expected name, help, options, row or forward");
    if (ds_layer_find(layer->name))
        return ds_fail_at(e, DS_EINPUT, file, 0, "[%s] is there already, expected another name", layer->name);
    while (n < MOST_ADDED && added[n])
        n++;
    if (n == MOST_ADDED)
        return ds_fail_at(e, DS_EINPUT, file, 0, "more than %d layers, expected that many at most",
                          MOST_ADDED);
    added[n] = layer;
    return DS_OK;
}

const ds_layer *ds_layer_find(const char *name)
{
    const ds_layer *layer;
    for (int i = 0; (layer = ds_layer_at(i)); i++)
        if (strcmp(layer->name, name) == 0)
            return layer;
    return NULL;
}

/* init of the layer, and what every cost section is asked for. */
static int ask(ds_instance *it, ds_error *e)
{
    ds_setup *s = &it->setup;
    bool cost = it->layer->role == DS_COST;
    if (cost) {
        s->classes = s->outputs = s->logits = s->inputs;
        s->temperature = 1;
    }
    if (it->layer->init)
        DS_TRY(it->layer->init(it->state, s, e));
    s->bound |= !it->layer->row;
    if (cost && s->classes < 2)
        return ds_fail(e, DS_EINPUT, "[%s] %d numbers come in, which makes %d classes, expected 2 or more",
                       it->layer->name, s->inputs, s->classes);
    return DS_OK;
}

/* Where the section, or its key, stands: init does not know. */
static void add_place(const ds_instance *it, const ds_pair *pairs, int n, const char *file, int line,
                      ds_error *e)
{
    if (!e || e->file[0])
        return;
    snprintf(e->file, sizeof e->file, "%s", file);
    e->line = line;
    for (int i = 0; i < n; i++)
        if (it->setup.key && strcmp(it->setup.key, pairs[i].key) == 0)
            e->line = pairs[i].line;
}

int ds_instance_init(ds_instance *it, const ds_pair *pairs, int n, const char *file, int line, ds_error *e)
{
    const ds_layer *layer = it->layer;
    char place[64];
    if (!ds_layer_usable(layer))
        return ds_fail_at(e, DS_EINPUT, file, line, "the layer was built for plugin ABI %d, expected %d",
                          layer->abi, DS_PLUGIN_ABI);
    snprintf(place, sizeof place, "[%s]", layer->name);
    it->setup.cfg = file;
    it->state = ds_xcalloc(1, layer->state_size);
    int rc = ds_option_fill(layer->options, it->state, pairs, n, place, file, e);
    if (!rc && (rc = ask(it, e)))
        add_place(it, pairs, n, file, line, e);
    if (rc)
        ds_instance_release(it);
    return rc;
}

void ds_instance_release(ds_instance *it)
{
    if (!it->state)
        return;
    if (it->layer->release)
        it->layer->release(it->state);
    ds_option_clear(it->layer->options, it->state);
    free(it->state);
    free(it->p);
    free(it->part);
    free(it->logits);
    free(it->setup.weights);
    it->setup.weights = NULL;
    it->state = it->p = NULL;
    it->part = it->logits = NULL;
    it->room = 0;
}

/* ---- weights of the classes ---- */

/* Of mean 1 over the images: as 1/n of a class of n images, or as 1/sqrt(n). */
static void balance(ds_setup *s, bool root)
{
    double images = 0, all = root ? 0 : s->classes;
    for (int c = 0; s->counts && c < s->classes; c++) {
        images += s->counts[c];
        all += root ? sqrt(s->counts[c]) : 0;
    }
    for (int c = 0; c < s->classes; c++) {
        const double n = s->counts ? s->counts[c] : 0;
        s->weights[c] = n > 0 ? images / all / (root ? sqrt(n) : n) : 1;
    }
}

int ds_weigh(ds_setup *s, const char *class_weights, ds_error *e)
{
    static const ds_option list[] = {{.name = "class_weights", .type = DS_REALS, .max = HUGE_VAL},
                                     {.type = DS_END}};
    ds_numbers w = {0};
    double most = 0;
    if (!class_weights || s->classes < 2)
        return DS_OK;
    s->key = "class_weights";
    const bool root = strcmp(class_weights, "sqrt") == 0;
    if (root || strcmp(class_weights, "balanced") == 0) {
        DS_ALLOC(s->weights, (size_t)s->classes);
        balance(s, root);
        s->key = NULL;
        return DS_OK;
    }
    int rc = ds_option_set(list, &w, class_weights, "", 0, NULL);
    for (int c = 0; c < w.n; c++)
        most = fmax(most, w.v[c]);
    s->weights = w.v;
    if (rc || w.n != s->classes || most == 0)
        return ds_fail(e, DS_EINPUT,
                       "class_weights=%s, expected balanced, sqrt, or a number from 0 for each of %d classes",
                       class_weights, s->classes);
    s->key = NULL;
    return DS_OK;
}

/* ---- a pass of a cost layer that gives `row` ---- */

static int check_pass(const ds_instance *it, const ds_pass *pass, ds_error *e)
{
    for (int b = 0; b < pass->batch; b++)
        if (pass->labels[b] < 0 || pass->labels[b] >= it->setup.classes)
            return ds_fail(e, DS_EINPUT, "image %d of the batch has label %d, expected 0 to %d", b,
                           pass->labels[b], it->setup.classes - 1);
    return it->layer->check && !pass->others ? it->layer->check(it->state, pass, e) : DS_OK;
}

static void weigh(const ds_setup *s, const ds_pass *pass)
{
    for (int b = 0; b < pass->batch; b++) {
        const double weight = s->weights[pass->labels[b]];
        float *gradient = pass->gradient + (size_t)b * (size_t)s->inputs;
        pass->loss[b] *= weight;
        for (int j = 0; j < s->inputs; j++)
            gradient[j] = (float)(gradient[j] * weight);
    }
}

static double mixed_row(const ds_instance *it, const ds_row *r, float *gradient)
{
    const ds_pass *pass = r->pass;
    const int labels[] = {pass->labels[r->b], pass->others[r->b]};
    double share = pass->shares[r->b], loss = 0;
    for (int j = 0; j < it->setup.inputs; j++)
        gradient[j] = 0;
    for (int k = 0; k < 2; k++, share = 1 - share) {
        const double weight = share * (it->setup.weights ? it->setup.weights[labels[k]] : 1);
        loss += weight * (pass->ids ? it->layer->row(it->state, r, labels[k], it->part)
                                    : ds_row_cross_entropy(r, labels[k], it->setup.inputs, it->part));
        for (int j = 0; j < it->setup.inputs; j++)
            gradient[j] += (float)(weight * it->part[j]);
    }
    return loss;
}

/* Loss and gradient at temperature 1, then the output at that of the section: C probabilities, and that of
 * "abstain" among all C + 1. */
static void run_row(ds_instance *it, const ds_pass *pass, int b)
{
    const ds_setup *s = &it->setup;
    const size_t at = (size_t)b * (size_t)s->inputs;
    const float *z = pass->input + at;
    float *output = pass->output + (size_t)b * (size_t)s->outputs;
    if (it->layer->logits) {
        float *logits = it->logits + (size_t)b * (size_t)s->logits;
        it->layer->logits(it->state, z, logits);
        z = logits;
    }
    ds_row row = ds_row_make(z, s->classes, pass->labels ? 1 : s->temperature, it->p);
    if (pass->labels) {
        row.pass = pass;
        row.b = b;
        pass->loss[b] = pass->others ? mixed_row(it, &row, pass->gradient + at)
                                     : it->layer->row(it->state, &row, pass->labels[b], pass->gradient + at);
        if (s->temperature != 1)
            row = ds_row_make(z, s->classes, s->temperature, it->p);
    }
    for (int j = 0; j < s->classes; j++)
        output[j] = (float)row.p[j];
    if (s->abstain)
        output[s->classes] = (float)(1 / (1 + exp(-ds_row_log(&row, s->classes))));
}

void ds_instance_reserve(ds_instance *it, int images)
{
    if (!it->layer->logits || images <= it->room)
        return;
    it->logits = ds_xrealloc(it->logits, (size_t)images * (size_t)it->setup.logits, sizeof *it->logits);
    it->room = images;
}

int ds_instance_forward(ds_instance *it, const ds_pass *pass, ds_error *e)
{
    const bool plain = pass->labels && !pass->others;
    if (!it->layer->row)
        return it->layer->forward(it->state, pass, e);
    if (pass->labels)
        DS_TRY(check_pass(it, pass, e));
    if (!it->p) {
        DS_ALLOC(it->p, (size_t)it->setup.classes);
        DS_ALLOC(it->part, (size_t)it->setup.inputs);
    }
    ds_instance_reserve(it, pass->batch);
    for (int b = 0; b < pass->batch; b++)
        run_row(it, pass, b);
    if (plain && it->layer->finish)
        it->layer->finish(it->state, pass);
    if (plain && it->setup.weights)
        weigh(&it->setup, pass);
    return DS_OK;
}
