#include "train/evaluate.h"
#include "base/clock.h"
#include "data/stream.h"

/* A whole batch is computed in any case: what is behind the last image is of one before. */
static int next_images(ds_ensemble *nets, ds_stream *stream, const ds_eval_setup *s, ds_stream_batch *b,
                       ds_error *e)
{
    const int batch = ds_net_get_info(nets->nets[0])->batch;
    const double start = ds_now();
    DS_TRY(ds_stream_next(stream, b, e));
    for (int i = 0; i < b->n; i++)
        if (b->items[i]->error.code)
            return ds_error_pass(e, &b->items[i]->error);
    const double ready = ds_now();
    DS_TRY(ds_ensemble_forward(nets, b->pixels, batch, e));
    if (s->times) {
        s->times->passes++;
        s->times->images = batch;
        s->times->views = nets->views;
        s->times->waiting += ready - start;
        s->times->total += ds_now() - start;
    }
    return DS_OK;
}

/* What the networks say of one image. */
typedef struct said {
    const float *logits, *features; /* features: NULL where there are none, as novelty */
    const double *novelty;
} said;

typedef struct pass {
    ds_ensemble *nets;
    const ds_eval_setup *setup;
    ds_answers *a;
    /* With several ranks: bytes of an image, novelty first, and of all three, a multiple of 8. */
    size_t novelty, logits, features, row;
    int *starts; /* of each rank's images; NULL: there is one */
    char *own;   /* what was said of this one's, until it is there of all */
} pass;

static void take(const pass *p, size_t i, const said *x)
{
    ds_answers *a = p->a;
    const ds_eval_setup *s = p->setup;
    if (x->novelty)
        a->novelty[i] = *x->novelty;
    ds_answers_put(a, i, x->logits, &s->score, ds_net_get_info(p->nets->nets[0])->cost_temperature, s->top);
    if (s->learner)
        ds_novelty_add(s->learner, a->labels[i], x->features);
    if (s->keep_features)
        memcpy(a->features + i * a->row, x->features, a->row * sizeof *x->features);
}

static void put_aside(const pass *p, size_t i, const said *x)
{
    char *to = p->own + i * p->row;
    if (p->novelty)
        memcpy(to, x->novelty, p->novelty);
    memcpy(to + p->novelty, x->logits, p->logits);
    if (p->features)
        memcpy(to + p->novelty + p->logits, x->features, p->features);
}

static int answer(const pass *p, ds_stream *stream, size_t n, ds_error *e)
{
    const ds_eval_setup *s = p->setup;
    const ds_depths *depths;
    ds_net *net = p->nets->nets[0];
    const float *features = ds_net_features(net, &depths);
    const double *novelty = ds_net_novelty(net);
    for (size_t done = 0; done < n;) {
        ds_stream_batch b;
        if (s->interrupted && *s->interrupted)
            return ds_fail(e, DS_EINTERRUPT, "interrupted after %zu of %zu images", done, n);
        DS_TRY(next_images(p->nets, stream, s, &b, e));
        for (size_t i = 0; i < (size_t)b.n; i++, done++) {
            const said x = {ds_ensemble_logits(p->nets) + i * p->logits / sizeof(float),
                            features ? features + i * p->a->row : NULL, novelty ? novelty + i : NULL};
            p->starts ? put_aside(p, done, &x) : take(p, done, &x);
        }
    }
    return DS_OK;
}

/* Of all ranks, in the order of the list. */
static void take_all(const pass *p)
{
    DS_FREED char *all = ds_xmalloc(p->a->n * p->row);
    p->setup->ranks->pass->gather(p->own, all, p->starts, p->row);
    for (size_t i = 0; i < p->a->n; i++) {
        const char *at = all + i * p->row, *logits = at + p->novelty;
        const said x = {(const float *)logits, (const float *)(logits + p->logits),
                        p->novelty ? (const double *)at : NULL};
        take(p, i, &x);
    }
}

/* Whole batches are a rank's, so that its answers are those that one rank would have. */
static int *share_out(const ds_ranks *r, size_t images, int batch)
{
    const int n = (int)images, batches = (n + batch - 1) / batch;
    int *starts = DS_ALLOC(starts, (size_t)r->size + 1);
    for (int k = 0; k <= r->size; k++) {
        const int64_t at = (int64_t)batches * k / r->size * batch;
        starts[k] = at < n ? (int)at : n;
    }
    return starts;
}

/* Images [first, first + n) of the list. */
static int answer_part(const pass *p, size_t first, size_t n, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(p->nets->nets[0]);
    const ds_paths_setup listed = {
        .operands = (const char *const *)p->a->paths + first, .n_operands = (int)n, .files = true};
    ds_stream_setup s = {.w = info->w,
                         .h = info->h,
                         .c = info->c,
                         .as_stored = p->setup->as_stored,
                         .cache = p->setup->cache,
                         .first = p->setup->first + first,
                         .most = info->batch,
                         .threads = p->setup->loaders};
    ds_stream *stream;
    DS_TRY(ds_paths_new(&listed, &s.paths, e));
    int rc = ds_stream_new(&s, &stream, e);
    rc = rc ? rc : answer(p, stream, n, e);
    ds_stream_free(stream);
    ds_paths_free(s.paths);
    return rc;
}

static int answer_shared(pass *p, ds_error *e)
{
    ds_ranks *r = p->setup->ranks;
    DS_FREED int *starts = share_out(r, p->a->n, ds_net_get_info(p->nets->nets[0])->batch);
    const size_t first = (size_t)starts[r->rank], n = (size_t)starts[r->rank + 1] - first;
    DS_FREED char *own = ds_xmalloc(n * p->row);
    p->starts = starts;
    p->own = own;
    DS_TRY(ds_ranks_agree(r, n ? answer_part(p, first, n, e) : DS_OK, NULL, e));
    take_all(p);
    return DS_OK;
}

int ds_evaluate(ds_ensemble *nets, const ds_eval_setup *setup, ds_answers *a, ds_error *e)
{
    ds_net *net = nets->nets[0];
    const ds_net_info *info = ds_net_get_info(net);
    const ds_depths *depths;
    ds_ensemble first = {.nets = {net}, .n = 1, .views = 1};
    pass p = {.nets = setup->one ? &first : nets, .setup = setup, .a = a};
    ds_net_features(net, &depths);
    a->classes = info->classes;
    a->abstain = info->abstain;
    a->novelty_rate = ds_net_get_reject(net)->novelty_rate;
    a->row = depths->row;
    ds_answers_begin(a, setup->keep_logits);
    if (setup->keep_features)
        DS_ALLOC(a->features, a->n * a->row);
    if (ds_net_novelty(net) && !a->novelty)
        DS_ALLOC(a->novelty, a->n);
    p.logits = (size_t)info->logits * sizeof(float);
    p.features = setup->keep_features || setup->learner ? a->row * sizeof(float) : 0;
    p.novelty = ds_net_novelty(net) ? sizeof(double) : 0;
    p.row = (p.novelty + p.logits + p.features + 7) / 8 * 8;
    return setup->ranks ? answer_shared(&p, e) : answer_part(&p, 0, a->n, e);
}

int ds_evaluation_batch(const ds_cfg *cfg, size_t images)
{
    enum { FEWEST = 16, MOST = 128 };
    int batch = cfg->net.batch / (cfg->net.subdivisions > 0 ? cfg->net.subdivisions : 1);
    batch = batch < FEWEST ? FEWEST : batch > MOST ? MOST : batch;
    return images < (size_t)batch ? (int)images : batch;
}

int ds_check_classes(const ds_datafile *data, const ds_cfg *cfg, ds_error *e)
{
    const int cost = ds_cfg_cost(cfg), channels = cfg->net.channels;
    if (cost < 0)
        return ds_fail_at(e, DS_EINPUT, cfg->path, cfg->sections[cfg->n - 1].line,
                          "the network has no cost section, expected one ([softmax], [sat]) at its end");
    if (channels != 1 && channels != 3)
        return ds_fail_at(e, DS_EINPUT, cfg->path, cfg->sections[0].line,
                          "channels=%d, expected 1 or 3 for images", channels);
    const ds_section *s = &cfg->sections[cost + 1];
    if (!data->path || s->setup.classes == data->classes)
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, cfg->path, s->line,
                      "[%s] has %d classes%s, expected %d, the number of labels of %s (labels=%s): filters= "
                      "or output=%d of the layer before",
                      s->name, s->setup.classes, s->setup.abstain ? " and one output to abstain" : "",
                      data->classes, data->path, data->labels_path ? data->labels_path : "",
                      data->classes * (s->setup.inputs / s->setup.classes) + s->setup.abstain);
}
