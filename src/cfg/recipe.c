/* A network for images of somebody's own: a cfg whose input, outputs and run are edited to fit them. */
#include "cfg/sections.h"

#include "cfg/resnet18_cifar_sat.cfg.inc"
#include "cfg/small_sat.cfg.inc"
#include "cfg/vgg16bn_cifar_sat.cfg.inc"

static const ds_network networks[] = {
    {"small", small_sat_cfg, 4, true},
    {"resnet18", resnet18_cifar_sat_cfg, 8, false},
    {"vgg16", vgg16bn_cifar_sat_cfg, 32, false},
};

const ds_network *ds_network_find(const char *name)
{
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
        if (strcmp(networks[i].name, name) == 0)
            return &networks[i];
    return NULL;
}

enum { MOST_EDITS = 64 };
typedef struct plan {
    const ds_cfg *cfg;
    ds_edit v[MOST_EDITS]; /* n */
    int n;
    char numbers[MOST_EDITS][DS_NUMBER_TEXT]; /* values of v */
} plan;

/* value NULL: the key goes; key NULL: the section goes. More than MOST_EDITS: those of a network that is not
 * ours to shorten. */
static void edit(plan *p, int section, const char *key, const char *value)
{
    if (p->n < MOST_EDITS)
        p->v[p->n++] = (ds_edit){section, key, value};
}

static void set(plan *p, int section, const char *key, double value)
{
    if (p->n == MOST_EDITS)
        return;
    snprintf(p->numbers[p->n], DS_NUMBER_TEXT, "%.12g", value);
    edit(p, section, key, p->numbers[p->n]);
}

int ds_recipe_epochs(int images)
{
    enum { PASSES = 200000, LEAST = 30, MOST = 200 }; /* images shown in all; epochs */
    int epochs = PASSES / images;
    return epochs < LEAST ? LEAST : epochs > MOST ? MOST : epochs;
}

/* Halves of a batch until what lies between the layers, and its gradients, take a GiB at most. */
static int subdivisions(const ds_cfg *cfg, int batch)
{
    double numbers = 0;
    int parts = 1;
    for (int i = 0; i < cfg->n; i++)
        numbers += cfg->shapes[i].outputs;
    while (batch / parts > 4 && 8 * numbers * batch / parts > 1 << 30)
        parts *= 2;
    return parts;
}

/* Those of another cfg for an input of another size. */
static void set_crops(plan *p, const ds_recipe *r)
{
    const ds_net_options *net = &p->cfg->net;
    const struct {
        const char *key;
        int ours, theirs;
    } crops[] = {{"min_crop", r->size, net->min_crop}, {"max_crop", r->size * 9 / 8, net->max_crop}};
    for (size_t i = 0; i < 2; i++)
        if (r->ours)
            set(p, 0, crops[i].key, crops[i].ours);
        else if (ds_section_get(p->cfg->sections, crops[i].key))
            set(p, 0, crops[i].key, floor((double)crops[i].theirs * r->size / net->width));
}

static void set_net(plan *p, const ds_recipe *r)
{
    static const char *const gone[] = {"step", "steps", "scale", "scales", "power", "gamma", "burn_in"};
    const ds_net_options *net = &p->cfg->net;
    /* small where there are few images, so that an epoch has some steps */
    const int batch = r->images < 500 ? 16 : r->images < 2000 ? 32 : r->images < 20000 ? 64 : 128;
    const double steps = ((double)ds_recipe_epochs(r->images) * r->images + batch - 1) / batch;
    set(p, 0, "batch", batch);
    set(p, 0, "subdivisions", 1);
    set(p, 0, "height", r->size);
    set(p, 0, "width", r->size);
    set(p, 0, "channels", r->channels);
    set_crops(p, r);
    if (r->ours || !r->flip)
        set(p, 0, "flip", r->flip);
    set(p, 0, "learning_rate", net->learning_rate * (batch < net->batch ? (double)batch / net->batch : 1));
    set(p, 0, "max_batches", floor(steps));
    edit(p, 0, "policy", "cosine");
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        edit(p, 0, gone[i], NULL);
}

/* The layer that the cost section reads, through those that keep the number of outputs. */
static int set_outputs(plan *p, int cost, const ds_recipe *r, ds_error *e)
{
    static const char *const kept[] = {"avgpool", "dropout", "activation", "batchnorm", NULL};
    const ds_section *s = &p->cfg->sections[cost], *at = s - 1;
    while (at > p->cfg->sections && ds_word_index(kept, -1, ds_section_kind(at)) >= 0)
        at--;
    const char *key = ds_section_is(at, "connected")       ? "output"
                      : ds_section_is(at, "convolutional") ? "filters"
                                                           : NULL;
    long long outputs;
    if (!key || !ds_section_get(at, key) || !ds_parse_int(ds_section_get(at, key), &outputs))
        return ds_section_fail(p->cfg, at, "", e,
                               "the outputs cannot be fitted to other classes, expected a [connected] or "
                               "[convolutional] before [%s]",
                               s->name);
    set(p, (int)(at - p->cfg->sections), key, (double)outputs - s->setup.classes + r->classes);
    return DS_OK;
}

static int set_cost(plan *p, const ds_recipe *r, ds_error *e)
{
    const int cost = ds_cfg_cost(p->cfg) + 1;
    if (cost < 1)
        return ds_section_fail(p->cfg, &p->cfg->sections[p->cfg->n - 1], "", e,
                               "no cost section, expected [softmax] or [sat] as the last one");
    const ds_section *s = &p->cfg->sections[cost];
    if (ds_section_get(s, "classes"))
        set(p, cost, "classes", r->classes);
    if (r->unequal && ds_option_find(s->plugin->options, "class_weights"))
        edit(p, cost, "class_weights", "sqrt");
    edit(p, cost, "warmup_epochs", NULL);
    return set_outputs(p, cost, r, e);
}

/* Where a side would get below 7 pixels, the side stays. */
static void drop_pools(plan *p, int side)
{
    enum { LEAST = 14 };
    for (int i = 1; i < p->cfg->n; i++)
        if (!ds_section_is(&p->cfg->sections[i], "maxpool"))
            continue;
        else if (side >= LEAST)
            side = (side + 1) / 2;
        else
            edit(p, i, NULL, NULL);
}

/* Lines of comments go, which are about another network, and of empty lines all but the first. */
static char *without_comments(const char *text)
{
    char *copy = ds_strdup(text), *to = copy;
    for (size_t n; *text; text += n) {
        n = strcspn(text, "\n");
        n += text[n] == '\n';
        const char first = text[strspn(text, " \t\r")];
        const bool after_empty = to == copy || (to > copy + 1 && to[-2] == '\n');
        if (first == '#' || first == ';' || (first == '\n' && after_empty))
            continue;
        memcpy(to, text, n);
        to += n;
    }
    *to = '\0';
    return copy;
}

static int apply(const ds_cfg *cfg, const char *text, const ds_recipe *r, char **made, ds_error *e)
{
    plan p = {.cfg = cfg};
    set_net(&p, r);
    DS_TRY(set_cost(&p, r, e));
    if (r->pools)
        drop_pools(&p, r->size);
    return ds_cfg_edit(cfg, text, p.v, p.n, made, e);
}

static int divide(const char *text, const char *path, char **made, ds_error *e)
{
    DS_FINALLY(ds_cfg_free_at) ds_cfg *cfg = NULL;
    plan p = {0};
    DS_TRY(ds_cfg_parse(text, path, &cfg, NULL, e));
    set(&p, 0, "subdivisions", subdivisions(cfg, cfg->net.batch));
    return ds_cfg_edit(cfg, text, p.v, p.n, made, e);
}

int ds_recipe_apply(const char *text, const char *path, const ds_recipe *r, char **made, ds_error *e)
{
    DS_FINALLY(ds_cfg_free_at) ds_cfg *cfg = NULL;
    DS_FREED char *fitted = NULL;
    *made = NULL;
    DS_TRY(ds_cfg_parse(text, path, &cfg, NULL, e));
    DS_TRY(apply(cfg, text, r, &fitted, e));
    DS_FREED char *plain = without_comments(fitted);
    return divide(plain, path, made, e);
}
