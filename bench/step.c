/* step CFG [-batch N] [-size S] [-backend NAME] [-tune] [-threads N]: whole steps of a network on random images, without reading
 * files; where the backend prepares images itself, it has them as bytes, of which half are mirrored.
 *
 *   train N    forward, backward, update of the parameters; with the shares of the cost section and of the update
 *   infer N    forward of a network that was built for it alone
 *   update N   update of the parameters alone, of the network of "train" */
#include "base/rng.h"
#include "base/clock.h"
#include "base/memory.h"
#include "bench/serve.h"
#include "train/model.h"
#include "host/host.h"
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The epoch of all steps is the last of so many, and no warm-up of a target lasts as long. */
enum { SAMPLES = 50000, EPOCHS = 2000000 };
/* Small enough that no network diverges on noise; it does not change the time of a step. */
static const float rate = 1e-5f;

typedef struct state {
    ds_bench b;
    ds_net *train, *infer;
    ds_optimizer *optimizer;
    float *pixels;        /* batch x inputs */
    ds_picture *pictures; /* batch; of bytes */
    unsigned char *bytes; /* batch x inputs */
    int *labels;          /* batch */
    uint32_t *ids;        /* batch */
    double *losses;       /* batch */
    double updating;      /* seconds, of the command */
} state;

/* ---- making ------------------------------------------------------------------------------------------------ */

/* A network for inference waits for the weights of a file. It gets some with which numbers keep their size from
 * layer to layer. */
static void set_parameters(ds_net *net)
{
    int n;
    size_t outputs = 1;
    const ds_param *p = ds_net_params(net, &n);
    ds_rng r = ds_rng_make(1, 0, 0);
    for (int i = 0; i < n; i++) {
        const bool weights = strcmp(p[i].name, "weights") == 0,
                   ones = strcmp(p[i].name, "scales") == 0 || strcmp(p[i].name, "variances") == 0;
        if (strcmp(p[i].name, "biases") == 0) /* of the same layer, before its weights */
            outputs = p[i].n;
        const float most = sqrtf(6 * (float)outputs / (float)p[i].n);
        for (size_t k = 0; k < p[i].n && (weights || ones); k++)
            p[i].values[k] = ones ? 1 : most * (2 * (float)ds_rng_uniform(&r) - 1);
    }
    ds_net_changed(net);
}

static int make_net(state *s, bool train, ds_net **net, ds_error *e)
{
    const ds_net_setup setup = {.batch = s->b.batch,
                                .train = train,
                                .samples = train ? SAMPLES : 0,
                                .epochs = train ? EPOCHS : 0,
                                .seed = 1,
                                .threads = s->b.threads,
                                .backend = s->b.backend,
                                .tune = s->b.tune,
                                .precision = ds_precision_flag(s->b.precision),
                                .notes = &s->b.notes};
    int rc = ds_net_new(s->b.cfg, &setup, net, e);
    if (!rc && ds_net_get_info(*net)->cost < 0)
        rc = ds_fail(e, DS_EINPUT, "the network has no cost section, expected [sat] or [softmax] at its end");
    if (!rc && !train)
        set_parameters(*net);
    return rc;
}

static void make_images(state *s, const ds_net_info *info)
{
    size_t batch = (size_t)info->batch, n = batch * (size_t)info->inputs;
    if (s->pixels)
        return;
    DS_ALLOC(s->pixels, n);
    DS_ALLOC(s->pictures, batch);
    DS_ALLOC(s->bytes, n);
    DS_ALLOC(s->labels, batch);
    DS_ALLOC(s->ids, batch);
    DS_ALLOC(s->losses, batch);
    ds_rng r = ds_rng_make(1, 0, 0);
    for (size_t i = 0; i < n; i++)
        s->pixels[i] = (float)ds_rng_uniform(&r);
    for (size_t i = 0; i < n; i++)
        s->bytes[i] = (unsigned char)(255 * s->pixels[i]);
    for (size_t i = 0; i < batch; i++) {
        const ds_draw draw = {.scale = 1, .aspect = 1, .saturation = 1, .exposure = 1, .flip = i % 2};
        s->pictures[i] =
            (ds_picture){s->bytes + i * (size_t)info->inputs, info->w, info->h, (unsigned)i, true, draw};
        s->labels[i] = (int)ds_rng_below(&r, (uint64_t)info->classes);
        s->ids[i] = (uint32_t)ds_rng_below(&r, SAMPLES);
    }
}

static int prepare_train(void *arg, ds_error *e)
{
    state *s = arg;
    int n, rc = s->train ? DS_OK : make_net(s, true, &s->train, e);
    if (rc || s->optimizer)
        return rc;
    const ds_param *p = ds_net_params(s->train, &n);
    s->optimizer = ds_optimizer_new(&s->b.cfg->net, p, n, s->b.batch);
    ds_net_profile_start(s->train);
    if (!rc)
        make_images(s, ds_net_get_info(s->train));
    return rc;
}

static int prepare_infer(void *arg, ds_error *e)
{
    state *s = arg;
    int rc = make_net(s, false, &s->infer, e);
    if (!rc)
        make_images(s, ds_net_get_info(s->infer));
    return rc;
}

static void release(state *s)
{
    ds_optimizer_free(s->optimizer);
    ds_net_free(s->train);
    ds_net_free(s->infer);
    free(s->pixels);
    free(s->pictures);
    free(s->bytes);
    free(s->labels);
    free(s->ids);
    free(s->losses);
    ds_bench_close(&s->b);
}

/* ---- steps ------------------------------------------------------------------------------------------------- */

static int begin_train(void *arg, ds_error *e)
{
    state *s = arg;
    (void)e;
    s->updating = 0;
    ds_net_profile_start(s->train);
    return DS_OK;
}

static int update(void *arg, ds_error *e)
{
    state *s = arg;
    double start = ds_now();
    ds_optimizer_step(s->optimizer, rate);
    const ds_rule rule = ds_optimizer_rule(s->optimizer, rate);
    int rc = ds_net_update(s->train, &rule, e);
    s->updating += ds_now() - start;
    return rc;
}

/* NULL: the network has pictures instead. */
static const float *pixels_of(const state *s, ds_net *net)
{
    ds_net_set_pictures(net, s->pictures, NULL);
    return ds_net_prepares(net) ? NULL : s->pixels;
}

static int train(void *arg, ds_error *e)
{
    state *s = arg;
    int rc = ds_net_train(s->train, pixels_of(s, s->train), s->labels, s->ids, EPOCHS - 1, s->losses, e);
    return rc ? rc : update(s, e);
}

static int infer(void *arg, ds_error *e)
{
    state *s = arg;
    return ds_net_forward(s->infer, pixels_of(s, s->infer), ds_net_get_info(s->infer)->batch, e);
}

static void tell_train(const void *arg, double seconds)
{
    const state *s = arg;
    const ds_layer_time *t = &ds_net_profile(s->train)[ds_net_get_info(s->train)->cost];
    double loss = 0;
    for (int i = 0; i < s->b.batch; i++)
        loss += s->losses[i] / s->b.batch;
    printf(" cost_share=%.5f update_share=%.5f loss=%.4g engine=%s", (t->forward + t->backward) / seconds,
           s->updating / seconds, loss, ds_net_get_info(s->train)->backend);
}

static void tell_infer(const void *arg, double seconds)
{
    const ds_net *net = ((const state *)arg)->infer;
    (void)seconds;
    printf(" logit=%.4g engine=%s", ds_net_logits(net)[0], ds_net_get_info(net)->backend);
}

static const ds_bench_mode modes[] = {
    {"train", prepare_train, begin_train, train, tell_train},
    {"infer", prepare_infer, NULL, infer, tell_infer},
    {"update", prepare_train, NULL, update, NULL},
};

int main(int argc, char **argv)
{
    ds_error e = {0};
    state s = {0};
    int rc = ds_bench_open(&s.b, argc, argv, true, &e);
    if (!rc)
        rc = ds_bench_serve(&s.b, "step", modes, sizeof modes / sizeof *modes, &s, &e);
    if (rc)
        ds_error_print(&e, stderr);
    release(&s);
    return ds_error_status(rc);
}
