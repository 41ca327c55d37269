#include "train/evaluate.h"
#include "base/clock.h"
#include "base/memory.h"
#include "data/stream.h"

#include <string.h>

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

static int answer_all(ds_ensemble *nets, ds_stream *stream, const ds_eval_setup *s, ds_answers *a,
                      ds_error *e)
{
    ds_net *net = nets->nets[0];
    const ds_net_info *info = ds_net_get_info(net);
    const ds_depths *depths;
    const float *features = ds_net_features(net, &depths);
    const double *novelty = ds_net_novelty(net);
    a->novelty_rate = ds_net_get_reject(net)->novelty_rate;
    a->row = depths->row;
    if (s->keep_features)
        DS_ALLOC(a->features, a->n * a->row);
    if (novelty && !a->novelty)
        DS_ALLOC(a->novelty, a->n);
    for (size_t done = 0; done < a->n;) {
        ds_stream_batch b;
        if (s->interrupted && *s->interrupted)
            return ds_fail(e, DS_EINTERRUPT, "interrupted after %zu of %zu images", done, a->n);
        DS_TRY(next_images(nets, stream, s, &b, e));
        for (size_t i = 0; i < (size_t)b.n; i++, done++) {
            if (novelty)
                a->novelty[done] = novelty[i];
            ds_answers_put(a, done, ds_ensemble_logits(nets) + i * (size_t)info->logits, &s->score,
                           info->cost_temperature, s->top);
            if (s->learner)
                ds_novelty_add(s->learner, a->labels[done], features + i * a->row);
            if (s->keep_features)
                memcpy(a->features + done * a->row, features + i * a->row, a->row * sizeof *features);
        }
    }
    return DS_OK;
}

int ds_evaluate(ds_ensemble *nets, const ds_eval_setup *setup, ds_answers *a, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(nets->nets[0]);
    const ds_paths_setup listed = {
        .operands = (const char *const *)a->paths, .n_operands = (int)a->n, .files = true};
    ds_stream_setup s = {.w = info->w,
                         .h = info->h,
                         .c = info->c,
                         .as_stored = setup->as_stored,
                         .most = info->batch,
                         .threads = setup->loaders};
    ds_stream *stream;
    DS_TRY(ds_paths_new(&listed, &s.paths, e));
    int rc = ds_stream_new(&s, &stream, e);
    a->classes = info->classes;
    a->abstain = info->abstain;
    ds_answers_begin(a, setup->keep_logits);
    ds_ensemble first = {.nets = {nets->nets[0]}, .n = 1, .views = 1};
    rc = rc ? rc : answer_all(setup->one ? &first : nets, stream, setup, a, e);
    ds_stream_free(stream);
    ds_paths_free(s.paths);
    return rc;
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
