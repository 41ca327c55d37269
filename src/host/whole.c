/* A sub-batch of several ranks: each computes its share of the images, and all of them the cost section of
 * all, whose weights and histories then are the same everywhere; of the gradient a rank keeps its rows. */
#include "host/private.h"

struct ds_whole {
    const ds_ranks *ranks;
    int share, images, inputs, outputs; /* images of a rank, of all */
    int *starts;
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
    void *arrays[] = {w->starts, w->input, w->output, w->gradient, w->shares, w->labels, w->others, w->ids};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
    free(w);
}

/* NULL where there are none. */
static void *gathered(const ds_whole *w, const void *mine, void *all, size_t row)
{
    if (mine)
        w->ranks->pass->gather(mine, all, w->starts, row);
    return mine ? all : NULL;
}

void ds_whole_gather(ds_whole *w, ds_pass *p)
{
    p->logits = gathered(w, p->input, w->input, (size_t)w->inputs * sizeof *w->input);
    p->labels = gathered(w, p->labels, w->labels, sizeof *w->labels);
    p->ids = gathered(w, p->ids, w->ids, sizeof *w->ids);
    p->shares = gathered(w, p->others ? p->shares : NULL, w->shares, sizeof *w->shares);
    p->others = gathered(w, p->others, w->others, sizeof *w->others);
    p->batch = w->images;
    p->input = w->input;
    p->output = w->output;
    p->gradient = w->gradient;
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
