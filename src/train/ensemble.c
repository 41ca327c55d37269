#include "train/ensemble.h"
#include "data/image.h"

int ds_ensemble_add(ds_ensemble *s, ds_net *net, const ds_cfg *cfg, ds_error *e)
{
    const ds_net_info *a = ds_net_get_info(s->n ? s->nets[0] : net), *b = ds_net_get_info(net);
    if (s->n == DS_MOST_NETS)
        return ds_fail_at(e, DS_EINPUT, cfg->path, 0, "more than %d networks, expected that many at most",
                          DS_MOST_NETS);
    if (a->inputs != b->inputs || a->w != b->w || a->c != b->c || a->logits != b->logits ||
        a->abstain != b->abstain)
        return ds_fail_at(e, DS_EINPUT, cfg->path, 0,
                          "has %d x %d x %d inputs and %d outputs%s, expected %d x %d x %d and %d%s", b->w,
                          b->h, b->c, b->logits, b->abstain ? ", one to abstain" : "", a->w, a->h, a->c,
                          a->logits, a->abstain ? ", one to abstain" : "");
    if (s->views > ds_views_most(cfg->net.flip))
        return ds_fail_at(e, DS_EINPUT, cfg->path, ds_section_line(cfg->sections, "flip"),
                          "flip=%d, expected 5 views at most, not %d", cfg->net.flip, s->views);
    s->flip = cfg->net.flip && (s->flip || !s->n);
    s->nets[s->n++] = net;
    return DS_OK;
}

bool ds_ensemble_is_mean(const ds_ensemble *s)
{
    return s->n * s->views > 1;
}

/* Another answer of network k to each image. */
static void pool(ds_ensemble *s, int k, int images, bool first)
{
    const ds_net_info *info = ds_net_get_info(s->nets[k]);
    const size_t n = (size_t)info->logits;
    const float *z = ds_net_logits(s->nets[k]);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < (size_t)images; i++)
        ds_pool_add(s->pools + i * (2 * n + 1), first, z + i * n, info->logits, info->cost_temperature);
}

int ds_ensemble_forward(ds_ensemble *s, const float *pixels, int images, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(s->nets[0]);
    const size_t batch = (size_t)info->batch, n = (size_t)info->logits, inputs = (size_t)info->inputs;
    if (!ds_ensemble_is_mean(s))
        return ds_net_forward(s->nets[0], pixels, images, e);
    if (!s->logits) {
        DS_ALLOC(s->view, batch * inputs);
        DS_ALLOC(s->logits, batch * n);
        DS_ALLOC(s->pools, batch * (2 * n + 1));
    }
    for (int v = s->views - 1; v >= 0; v--) {
        for (size_t i = 0; i < (size_t)images; i++)
            ds_view(pixels + i * inputs, info->w, info->h, info->c, s->flip, v, s->view + i * inputs);
        for (int k = s->n - 1; k >= 0; k--) {
            DS_TRY(ds_net_forward(s->nets[k], s->view, images, e));
            pool(s, k, images, v == s->views - 1 && k == s->n - 1);
        }
    }
    for (size_t i = 0; i < (size_t)images; i++)
        ds_pool_logits(s->pools + i * (2 * n + 1), s->n * s->views, info->logits, info->cost_temperature,
                       s->logits + i * n);
    return DS_OK;
}

const float *ds_ensemble_logits(const ds_ensemble *s)
{
    return ds_ensemble_is_mean(s) ? s->logits : ds_net_logits(s->nets[0]);
}
