/* A cfg and weights without sections of plugins, of what stock Darknet and OpenCV compute alike. */
#include "export/private.h"

typedef struct cut {
    int layer;     /* the last with weights; -1: nothing changes */
    int outputs;   /* of it that stay */
    double factor; /* of them */
} cut;

static const char *obstacle(const ds_export *x, const ds_node *nodes, int i)
{
    const ds_node *n = &nodes[i];
    const ds_node *from = n->op == DS_OP_SHORTCUT && n->inputs[1] >= 0 ? &nodes[n->inputs[1]] : n;
    const bool known = n->op == DS_OP_MAXPOOL || n->op == DS_OP_AVGPOOL || n->op == DS_OP_DROPOUT ||
                       n->op == DS_OP_ROUTE ||
                       ds_has_word("linear|relu|leaky|logistic", ds_activation_of(x, i));
    if (n->op == DS_OP_HOST || n->op == DS_OP_BATCHNORM || n->op == DS_OP_ACTIVATION || !known)
        return "OpenCV does not read it from a cfg (-format onnx may)";
    if (from->out_h != n->out_h || from->out_w != n->out_w)
        return "OpenCV does not add layers of other sizes (-format onnx does)";
    return NULL;
}

static bool is_read_by_others(const ds_node *nodes, int cost, int i)
{
    for (int k = i + 2; k < cost; k++)
        for (int j = 0; j < nodes[k].n_inputs; j++)
            if (nodes[k].inputs[j] == i)
                return true;
    return false;
}

/* Every output of the cost section's input is one of a single layer, whatever pools them. */
static int find_cut(const ds_export *x, cut *c, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(x->net);
    const ds_node *nodes = ds_net_nodes(x->net), *last = &nodes[info->cost];
    const int inputs = x->cfg->shapes[info->cost].outputs;
    int i = info->cost - 1;
    *c = (cut){-1, info->classes, 1 / info->cost_temperature};
    if (inputs == info->classes && c->factor == 1)
        return DS_OK;
    bool pure = last->c == inputs;
    for (; i >= 0; i--) {
        pure &= !is_read_by_others(nodes, info->cost, i);
        if (nodes[i].op != DS_OP_AVGPOOL && nodes[i].op != DS_OP_MAXPOOL && nodes[i].op != DS_OP_DROPOUT)
            break;
    }
    c->layer = i;
    if (!pure || i < 0 || (nodes[i].op != DS_OP_CONVOLUTION && nodes[i].op != DS_OP_CONNECTED) ||
        nodes[i].groups > 1 || isnan(nodes[i].slope))
        return ds_export_refuse(
            x, info->cost,
            "what no class has (or the temperature) cannot be taken into the layer before, expected "
            "[convolutional] or [connected] with activation=linear, relu or leaky, that nothing else "
            "reads",
            e);
    return DS_OK;
}

static int check(const ds_export *x, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(x->net);
    const ds_confidence kind = x->reject->score.kind;
    for (int i = 0; i < info->cost; i++) {
        const char *why = obstacle(x, ds_net_nodes(x->net), i);
        if (why)
            return ds_export_refuse(x, i, why, e);
    }
    if (kind != DS_ABSTAIN && kind != DS_ENERGY && kind != DS_MAXLOGIT)
        return DS_OK;
    const ds_section *s = &x->cfg->sections[info->reject + 1];
    return ds_fail_at(
        e, DS_EINPUT, x->cfg->path, ds_section_line(s, "confidence"),
        "confidence=%s cannot be told from class probabilities, expected msp, margin, entropy, gini or "
        "pnorm, or -format onnx",
        ds_confidence_names[kind]);
}

/* All keys of a layer with weights or windows: where one is not given OpenCV assumes others than Darknet. */
static void put_kernel(const ds_export *x, int i, const cut *c, FILE *f)
{
    const ds_section *s = &x->cfg->sections[i + 1];
    const ds_node *n = &ds_net_nodes(x->net)[i];
    const char *padding = ds_section_get(s, "padding");
    if (n->op != DS_OP_CONNECTED)
        fprintf(f, "size=%d\nstride=%d\n", n->size, n->stride);
    if (n->op == DS_OP_MAXPOOL && padding)
        fprintf(f, "padding=%s\n", padding);
    else if (n->op == DS_OP_MAXPOOL)
        fprintf(f, "padding=%d\n", n->size - 1);
    else if (n->op == DS_OP_CONVOLUTION)
        fprintf(f, "padding=%d\ngroups=%d\n", n->pad, n->groups);
    if (n->weights)
        fprintf(f, "%s=%d\nbatch_normalize=%d\nactivation=%s\n",
                n->op == DS_OP_CONNECTED ? "output" : "filters", c->layer == i ? c->outputs : n->out_c,
                n->normalized, ds_activation_of(x, i));
}

static void put_section(const ds_export *x, int i, const cut *c, FILE *f)
{
    const ds_section *s = &x->cfg->sections[i + 1];
    const ds_node *n = &ds_net_nodes(x->net)[i];
    fprintf(f, "\n[%s]\n", ds_section_kind(s));
    if (n->weights || n->op == DS_OP_MAXPOOL)
        put_kernel(x, i, c, f);
    else
        for (int k = 0; k < s->n; k++)
            fprintf(f, "%s=%s\n", s->pairs[k].key, s->pairs[k].value);
}

static void put_parameters(const ds_export *x, const cut *c, FILE *f)
{
    int n;
    const ds_param *p = ds_net_params(x->net, &n);
    for (int i = 0; i < n; i++) {
        const ds_node *node = &ds_net_nodes(x->net)[p[i].layer];
        bool here = p[i].layer == c->layer;
        bool scaled = here && (strcmp(p[i].name, "biases") == 0 ||
                               strcmp(p[i].name, node->normalized ? "scales" : "weights") == 0);
        const size_t count = here ? p[i].n / (size_t)node->out_c * (size_t)c->outputs : p[i].n;
        for (size_t k = 0; scaled && k < count; k++) {
            float v = (float)(p[i].values[k] * c->factor);
            fwrite(&v, sizeof v, 1, f);
        }
        if (!scaled)
            fwrite(p[i].values, sizeof *p[i].values, count, f);
    }
}

int ds_export_cfg(const ds_export *x, FILE *cfg, FILE *weights, ds_error *e)
{
    static const int32_t version[5] = {0, 2, 0, 0, 0}; /* and no images seen, in 64 bits */
    const ds_net_info *info = ds_net_get_info(x->net);
    cut c;
    DS_TRY(check(x, e));
    DS_TRY(find_cut(x, &c, e));
    fprintf(cfg, "[net]\nbatch=1\nsubdivisions=1\nheight=%d\nwidth=%d\nchannels=%d\n", info->h, info->w,
            info->c);
    for (int i = 0; i < info->cost; i++)
        put_section(x, i, &c, cfg);
    fputs("\n[softmax]\ngroups=1\n", cfg);
    fwrite(version, sizeof version, 1, weights);
    put_parameters(x, &c, weights);
    return DS_OK;
}
