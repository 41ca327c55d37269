/* A sub-batch of several ranks: each computes its share of the images, and all of them the cost section of
 * all, whose weights and histories then are the same everywhere; of the gradient a rank keeps its rows. */
#include "host/private.h"

typedef struct tag {
    int label, other;
    uint32_t id;
    float share;
} tag;

struct ds_whole {
    const ds_ranks *ranks;
    int share, images, inputs, outputs; /* images of a rank, of all */
    int *starts;
    tag *mine, *all;
    float *input, *output, *gradient, *shares; /* of all images, as those below */
    int *labels, *others;
    uint32_t *ids;
};

ds_whole *ds_whole_new(const ds_ranks *ranks, int share, int inputs, int outputs)
{
    ds_whole *w = DS_ZALLOC(w, 1);
    const int images = share * ranks->size;
    const size_t n = (size_t)images;
    *w = (ds_whole){.ranks = ranks, .share = share, .images = images, .inputs = inputs, .outputs = outputs};
    DS_ALLOC(w->starts, (size_t)ranks->size + 1);
    for (int r = 0; r <= ranks->size; r++)
        w->starts[r] = r * share;
    DS_ZALLOC(w->mine, (size_t)share);
    DS_ALLOC(w->all, n);
    DS_ALLOC(w->input, n * (size_t)inputs);
    DS_ALLOC(w->gradient, n * (size_t)inputs);
    DS_ALLOC(w->output, n * (size_t)outputs);
    DS_ALLOC(w->shares, n);
    DS_ALLOC(w->labels, n);
    DS_ALLOC(w->others, n);
    DS_ALLOC(w->ids, n);
    return w;
}

void ds_whole_free(ds_whole *w)
{
    if (!w)
        return;
    void *arrays[] = {w->starts, w->mine,   w->all,    w->input, w->output,
                      w->shares, w->labels, w->others, w->ids,   w->gradient};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
    free(w);
}

void ds_whole_gather(ds_whole *w, ds_pass *p)
{
    const ds_messages *pass = w->ranks->pass;
    for (int b = 0; b < w->share; b++)
        w->mine[b] = (tag){.label = p->labels[b],
                           .id = p->ids ? p->ids[b] : 0,
                           .other = p->others ? p->others[b] : 0,
                           .share = p->others ? p->shares[b] : 0};
    pass->gather(p->input, w->input, w->starts, (size_t)w->inputs * sizeof *w->input);
    pass->gather(w->mine, w->all, w->starts, sizeof *w->all);
    for (int b = 0; b < w->images; b++) {
        w->labels[b] = w->all[b].label;
        w->others[b] = w->all[b].other;
        w->ids[b] = w->all[b].id;
        w->shares[b] = w->all[b].share;
    }
    p->batch = w->images;
    p->input = p->logits = w->input;
    p->output = w->output;
    p->gradient = w->gradient;
    p->labels = w->labels;
    p->ids = p->ids ? w->ids : NULL;
    p->shares = p->others ? w->shares : NULL;
    p->others = p->others ? w->others : NULL;
}

void ds_whole_keep(const ds_whole *w, float *output, float *gradient)
{
    const size_t first = (size_t)w->starts[w->ranks->rank], n = (size_t)w->share;
    const size_t in = (size_t)w->inputs, out = (size_t)w->outputs;
    memcpy(output, w->output + first * out, n * out * sizeof *output);
    memcpy(gradient, w->gradient + first * in, n * in * sizeof *gradient);
}

ds_trained_images ds_whole_images(const ds_whole *w)
{
    return (ds_trained_images){w->images, w->input, w->labels, w->ids};
}
