/* One network built twice, with the plain code of the host's side (the oracle) and with the backend, and how far they are apart. */
#pragma once

#include "host/private.h"
#include "base/rng.h"
#include "base/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define NET(w, h, c) "[net]\nbatch=4\nwidth=" #w "\nheight=" #h "\nchannels=" #c "\nmax_batches=10\n"
#define CONV(filters, size, stride, act, extra) \
    "[convolutional]\nfilters=" #filters "\nsize=" #size "\nstride=" #stride "\nactivation=" act "\n" extra
#define BN "batch_normalize=1\n"
#define PAD "pad=1\n"
#define HEAD "[connected]\noutput=4\nactivation=linear\n[softmax]\n"
#define MAXPOOL(size, stride) "[maxpool]\nsize=" #size "\nstride=" #stride "\n"
#define SHORTCUT(from, act) "[shortcut]\nfrom=" #from "\nactivation=" act "\n"
#define ROUTE(layers) "[route]\nlayers=" layers "\n"
#define CONNECTED(output, act, extra) "[connected]\noutput=" #output "\nactivation=" act "\n" extra

enum { HOST, ONEDNN, ONEDNN_BF16, CUDA, CUDA_BF16, CUDA_TF32 };

/* What pair_new and compare compare with the host. */
static int peer = ONEDNN;
static bool tune_peer; /* a GPU's */

typedef struct pair {
    const char *text;
    ds_cfg *cfg;
    ds_net *net[2];
    float *pixels; /* batch x inputs */
    int *labels;
    uint32_t *ids;
    double *loss[2];
} pair;

/* The messages of a failed build would otherwise not say which network. */
static inline void check(int rc, const ds_error *e, const char *text)
{
    if (rc)
        fail_msg("%s:%d: %s\n%s", e->file, e->line, e->text, text);
}

static inline ds_net *build(const ds_cfg *cfg, int backend, int batch, bool train, int threads)
{
    ds_error e = {0};
    ds_net *net;
    ds_net_setup s = {.batch = batch,
                      .train = train,
                      .features = !train,
                      .samples = 1000,
                      .epochs = 100,
                      .seed = 3,
                      .threads = threads,
                      .tune = tune_peer && backend >= CUDA,
                      .backend = backend == HOST  ? "host"
                                 : backend < CUDA ? "onednn"
                                                  : "cuda",
                      .precision = backend == ONEDNN_BF16 || backend == CUDA_BF16 ? "bf16"
                                   : backend == CUDA_TF32                         ? "tf32"
                                                                                  : "f32"};
    check(ds_net_new(cfg, &s, &net, &e), &e, s.backend);
    return net;
}

/* A fresh network has zero averages and equal scales, which would hide mistakes. */
static inline void vary_parameters(ds_net *net)
{
    int arrays;
    const ds_param *p = ds_net_params(net, &arrays);
    for (int k = 0; k < arrays; k++)
        for (size_t i = 0; i < p[k].n; i++)
            switch (p[k].name[0]) {
            case 'v':
                p[k].values[i] = .5f + (float)(i % 7) * .2f;
                break;
            case 'm':
                p[k].values[i] = (float)(i % 5) * .1f - .2f;
                break;
            case 's':
                p[k].values[i] = .7f + (float)(i % 3) * .4f;
                break;
            case 'b':
                p[k].values[i] = (float)(i % 4) * .1f - .1f;
                break;
            default:
                break;
            }
    ds_net_changed(net);
}

/* A network made without the library has no initial weights. */
static inline void copy_parameters(const ds_net *from, ds_net *to)
{
    int n, m;
    const ds_param *a = ds_net_params(from, &n), *b = ds_net_params(to, &m);
    assert_int_equal(n, m);
    for (int k = 0; k < n; k++) {
        assert_string_equal(a[k].name, b[k].name);
        assert_int_equal(a[k].layer, b[k].layer);
        assert_int_equal(a[k].n, b[k].n);
        memcpy(b[k].values, a[k].values, a[k].n * sizeof(float));
    }
    ds_net_changed(to);
}

static inline void fill_data(pair *p)
{
    const ds_net_info *info = ds_net_get_info(p->net[HOST]);
    ds_rng r = ds_rng_make(5, 0, 0);
    size_t n = (size_t)info->batch * (size_t)info->inputs, batch = (size_t)info->batch;
    p->pixels = malloc(n * sizeof *p->pixels);
    p->labels = malloc(batch * sizeof *p->labels);
    p->ids = malloc(batch * sizeof *p->ids);
    p->loss[HOST] = malloc(batch * sizeof(double));
    p->loss[ONEDNN] = malloc(batch * sizeof(double));
    for (size_t i = 0; i < n; i++)
        p->pixels[i] = (float)ds_rng_uniform(&r);
    for (int i = 0; i < info->batch; i++) {
        p->labels[i] = info->classes ? (i * 7 + 1) % info->classes : 0;
        p->ids[i] = (uint32_t)i;
    }
}

static inline pair pair_of(const char *text, int batch, bool train, int first, int second)
{
    const int backends[2] = {first, second};
    pair p = {.text = text};
    ds_error e = {0};
    check(ds_cfg_parse(text, "test.cfg", &p.cfg, NULL, &e), &e, text);
    for (int k = HOST; k <= ONEDNN; k++) {
        p.net[k] = build(p.cfg, backends[k], batch, train, 2);
        vary_parameters(p.net[k]);
    }
    copy_parameters(p.net[HOST], p.net[ONEDNN]);
    fill_data(&p);
    return p;
}

static inline pair pair_new(const char *text, int batch, bool train)
{
    return pair_of(text, batch, train, HOST, peer);
}

static inline void pair_free(pair *p)
{
    for (int k = HOST; k <= ONEDNN; k++) {
        ds_net_free(p->net[k]);
        free(p->loss[k]);
    }
    ds_cfg_free(p->cfg);
    free(p->pixels);
    free(p->labels);
    free(p->ids);
}

static inline double largest(const float *v, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)v[i]));
    return most;
}

/* max |a - b| / max |b|, INFINITY for what is not a number; `floor`: the least denominator. */
static inline double apart(const float *a, const float *b, size_t n, double floor)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        most = isfinite(d) ? fmax(most, d) : INFINITY;
    }
    double size = fmax(largest(b, n), floor);
    return size > 0 ? most / size : most;
}

static inline double logits_apart(const pair *p)
{
    const ds_net_info *info = ds_net_get_info(p->net[HOST]);
    size_t n = (size_t)info->batch * (size_t)info->logits;
    return apart(ds_net_logits(p->net[ONEDNN]), ds_net_logits(p->net[HOST]), n, 0);
}

static inline void pair_forward(pair *p)
{
    ds_error e = {0};
    for (int k = HOST; k <= ONEDNN; k++)
        check(ds_net_forward(p->net[k], p->pixels, p->net[k]->info.batch, &e), &e, p->text);
}

static inline void pair_train(pair *p)
{
    ds_error e = {0};
    for (int k = HOST; k <= ONEDNN; k++)
        check(ds_net_train(p->net[k], p->pixels, p->labels, p->ids, 0, p->loss[k], &e), &e, p->text);
}

static inline void check_logits(const pair *p, const char *when, double tolerance)
{
    double d = logits_apart(p);
    if (!(d <= tolerance))
        fail_msg("%s: logits are %.2g apart\n%s", when, d, p->text);
}

/* Gradients that are zero but for rounding (a bias before [batchnorm]) count against the largest of the network. */
static inline double gradient_floor(const pair *p)
{
    int arrays;
    double most = 0;
    const ds_param *q = ds_net_params(p->net[HOST], &arrays);
    for (int k = 0; k < arrays; k++)
        if (q[k].gradient)
            most = fmax(most, largest(q[k].gradient, q[k].n));
    return 1e-2 * most;
}

/* Values to 1e-5 (averages move in training), gradients to `tolerance`. */
static inline void check_parameters(const pair *p, const char *when, double tolerance)
{
    int arrays;
    ds_error e = {0};
    check(ds_net_fetch(p->net[ONEDNN], &e), &e, p->text);
    const ds_param *a = ds_net_params(p->net[ONEDNN], &arrays), *b = ds_net_params(p->net[HOST], &arrays);
    double floor = gradient_floor(p);
    for (int k = 0; k < arrays; k++) {
        double d = apart(a[k].values, b[k].values, b[k].n, .1);
        if (!(d <= 1e-5))
            fail_msg("%s: layer %d: %s are %.2g apart\n%s", when, b[k].layer, b[k].name, d, p->text);
        if (!a[k].gradient != !b[k].gradient)
            fail_msg("%s: layer %d: %s are trained by one alone\n%s", when, b[k].layer, b[k].name, p->text);
        d = b[k].gradient ? apart(a[k].gradient, b[k].gradient, b[k].n, floor) : 0;
        if (!(d <= tolerance))
            fail_msg("%s: layer %d: gradient of %s is %.2g off\n%s", when, b[k].layer, b[k].name, d, p->text);
    }
}

/* oneDNN has fast code for full blocks of channels, and for the first layer; what it has for others depends on version and machine. */
static inline bool has_fast_code(const layer *l, const char *backend)
{
    return !strstr(backend, "SSE4.1") && l->groups == 1 && l->c % 16 == 0 && l->n % 16 == 0 &&
           l->pad < l->size && l->w >= l->size && l->h >= l->size;
}

static inline bool must_be_owned(const layer *l, const char *backend)
{
    if (peer == CUDA && l->type == CONVOLUTIONAL)
        return l->groups == 1;
    switch (l->type) {
    case CONVOLUTIONAL:
        return has_fast_code(l, backend);
    case SHORTCUT:
        return l->alpha == 1 && l->beta == 1;
    case MAXPOOL:
        return l->size <= 15;
    case CONNECTED:
    case BATCHNORM:
    case AVGPOOL:
    case DROPOUT:
    case ROUTE:
    case ACTIVE:
        return true;
    default:
        return false;
    }
}

/* The host must not be peer with itself. */
static inline void check_owned(const pair *p)
{
    const ds_net *n = p->net[ONEDNN];
    for (int i = 0; i < n->info.cost; i++)
        if (must_be_owned(&n->net->layers[i], n->backend_name) && !n->slots[i].owned)
            fail_msg("layer %d stays with the host\n%s", i, p->text);
}

/* Everything that one training network can show: both forward passes, gradients, that they add up, that neither pass disturbs the other. */
static inline void compare_training(const char *text, int batch, double tolerance)
{
    pair p = pair_new(text, batch, true);
    check_owned(&p);
    pair_forward(&p);
    check_logits(&p, "inference", tolerance);
    pair_train(&p);
    check_logits(&p, "training", tolerance);
    check_parameters(&p, "first pass", tolerance);
    pair_forward(&p);
    check_logits(&p, "inference after training", tolerance);
    pair_train(&p);
    check_parameters(&p, "second pass", tolerance);
    pair_free(&p);
}

/* What layers put out, measured by the backend on its way. */
static inline void check_features(const pair *p, double tolerance)
{
    const ds_depths *d;
    const float *a = ds_net_features(p->net[ONEDNN], &d), *b = ds_net_features(p->net[HOST], &d);
    assert_true(d->n > 0);
    double off = apart(a, b, (size_t)p->net[HOST]->info.batch * d->row, 0);
    if (!(off <= tolerance))
        fail_msg("features are %.2g apart\n%s", off, p->text);
}

static inline void compare_inference(const char *text, int batch, double tolerance)
{
    pair p = pair_new(text, batch, false);
    check_owned(&p);
    pair_forward(&p);
    check_logits(&p, "inference alone", tolerance);
    check_features(&p, tolerance);
    pair_free(&p);
}

/* |a - b| / |b| in the Euclidean norm; `floor`: of the mean square of b. */
static inline double norm_apart(const float *a, const float *b, size_t n, double floor)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    size = fmax(sqrt(size), floor * sqrt((double)n));
    return isfinite(difference) ? sqrt(difference) / (size > 0 ? size : 1) : INFINITY;
}

static inline bool has_bf16(void)
{
    return peer == CUDA || !ds_backends()[0]->lacks(DS_BF16, 0);
}

/* bfloat16 against floats, both of the backend: values have 8 bits, and what is rounded may change its sign or which place of a window is
 * the largest. Layers that oneDNN refuses in one of both are the host's there. */
static inline void compare_bf16(const char *text, int batch, double tolerance)
{
    if (!has_bf16())
        return;
    pair p = pair_of(text, batch, true, peer, peer + 1);
    const ds_net_info *info = ds_net_get_info(p.net[0]);
    size_t logits = (size_t)info->batch * (size_t)info->logits;
    for (int i = 0; i < info->layers; i++)
        if (p.net[0]->slots[i].owned && !p.net[1]->slots[i].owned && p.net[0]->nodes[i].groups == 1)
            fail_msg("bf16: layer %d stays with the host\n%s", i, text);
    for (int pass = 0; pass < 2; pass++) {
        int arrays;
        pass ? pair_train(&p) : pair_forward(&p);
        for (int k = 0; k < 2; k++)
            assert_int_equal(ds_net_fetch(p.net[k], NULL), DS_OK);
        double d = norm_apart(ds_net_logits(p.net[1]), ds_net_logits(p.net[0]), logits, 0);
        if (!(d <= tolerance))
            fail_msg("bf16, %s: logits are %.2g apart\n%s", pass ? "training" : "inference", d, text);
        const ds_param *a = ds_net_params(p.net[1], &arrays), *b = ds_net_params(p.net[0], &arrays);
        double floor = 5 * gradient_floor(&p);
        for (int k = 0; k < arrays && pass; k++) {
            d = b[k].gradient ? norm_apart(a[k].gradient, b[k].gradient, b[k].n, floor) : 0;
            if (!(d <= 10 * tolerance))
                fail_msg("bf16: layer %d: gradient of %s is %.2g off\n%s", b[k].layer, b[k].name, d, text);
        }
    }
    pair_free(&p);
}

static inline void compare(const char *text, int batch, double tolerance)
{
    compare_inference(text, batch, tolerance);
    compare_training(text, batch, tolerance);
    compare_bf16(text, batch, 3e-2);
}
