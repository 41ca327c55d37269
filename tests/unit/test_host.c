/* The host side: gradients through whole networks by finite differences, weights files, batch-norm
 * statistics, errors. */
#include "host/private.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/text.h"
#include "tests/unit/sane.h"

#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define NET "[net]\nbatch=6\nsubdivisions=1\nwidth=8\nheight=8\nchannels=3\nmax_batches=10\n"
#define CONV(filters, size, extra) \
    "[convolutional]\nfilters=" #filters "\nsize=" #size "\nstride=1\npad=1\nactivation=logistic\n" extra
#define BN "batch_normalize=1\n"
#define HEAD(outputs) "[connected]\noutput=" #outputs "\nactivation=linear\n"

/* All tests run with each of them. */
static const char *backend;

struct bench {
    ds_cfg *cfg;
    ds_net *net;
    float *pixels;
    int labels[6];
    uint32_t ids[6];
};

static void check(int rc, const ds_error *e)
{
    if (rc)
        fail_msg("%s:%d: %s", e->file, e->line, e->text);
}

static struct bench setup_text(const char *text, bool train)
{
    struct bench b = {0};
    ds_error e = {0};
    check(ds_cfg_parse(text, "test.cfg", &b.cfg, NULL, &e), &e);
    ds_net_setup s = {.train = train,
                      .features = true,
                      .samples = 20,
                      .epochs = 10,
                      .seed = 3,
                      .threads = 2,
                      .backend = backend};
    check(ds_net_new(b.cfg, &s, &b.net, &e), &e);
    const ds_net_info *info = ds_net_get_info(b.net);
    ds_rng r = ds_rng_make(5, 0, 0);
    size_t n = (size_t)info->batch * info->inputs;
    b.pixels = malloc(n * sizeof *b.pixels);
    for (size_t i = 0; i < n; i++)
        b.pixels[i] = (float)ds_rng_uniform(&r);
    for (int i = 0; i < 6; i++) {
        b.labels[i] = i % info->classes;
        b.ids[i] = (uint32_t)(3 * i);
    }
    return b;
}

static void teardown(struct bench *b)
{
    ds_net_free(b->net);
    ds_cfg_free(b->cfg);
    free(b->pixels);
}

/* sum over the batch of g . z, with g the gradient that the cost section gave at the start. */
static double projected(struct bench *b, const double *g)
{
    ds_walk_forward(b->net, b->pixels, b->net->info.cost - 1, true);
    const layer *cost = &b->net->net->layers[b->net->info.cost];
    const float *z = cost[-1].output;
    double sum = 0;
    for (int i = 0; i < b->net->info.batch * cost->inputs; i++)
        sum += g[i] * z[i];
    return sum;
}

static double difference(struct bench *b, const double *g, float *w, double h)
{
    float was = *w;
    *w = was + (float)h;
    ds_net_changed(b->net);
    double up = projected(b, g), step = *w;
    *w = was - (float)h;
    ds_net_changed(b->net);
    double down = projected(b, g);
    step -= *w;
    *w = was;
    return (up - down) / step;
}

/* Compare each parameter array: error norm against gradient norm. */
static void check_gradients(const char *text, double tolerance)
{
    struct bench b = setup_text(text, true);
    ds_error e = {0};
    double loss[6];
    ds_net_set_warming(b.net, 7 < ds_net_get_info(b.net)->warmup_epochs);
    check(ds_net_train(b.net, b.pixels, b.labels, b.ids, 7, loss, &e), &e);
    const layer *cost = &b.net->net->layers[b.net->info.cost];
    int n = b.net->info.batch * cost->inputs, arrays;
    const float *delta = cost->delta;
    double *g = malloc((size_t)n * sizeof *g);
    for (int i = 0; i < n; i++)
        g[i] = -(double)delta[i];
    const ds_param *p = ds_net_params(b.net, &arrays);
    int checked = 0;
    for (int k = 0; k < arrays; k++) {
        if (!p[k].gradient)
            continue;
        double error = 0, norm = 0;
        size_t stride = p[k].n / 12 + 1;
        for (size_t i = 0; i < p[k].n; i += stride) {
            double d = difference(&b, g, &p[k].values[i], 1e-2), a = -(double)p[k].gradient[i];
            error += (d - a) * (d - a);
            norm += a * a + 1e-8;
        }
        checked++;
        if (sqrt(error) > tolerance * sqrt(norm) + 2e-5)
            fail_msg("layer %d %s: gradient is %.2g off\n%s", p[k].layer, p[k].name, sqrt(error / norm),
                     text);
    }
    assert_true(checked > 0);
    free(g);
    teardown(&b);
}

static void gradients_shortcut(void **state)
{
    (void)state;
    check_gradients(NET CONV(4, 3, "")
                        CONV(4, 1, "") "[shortcut]\nfrom=-2\nactivation=linear\n" HEAD(4) "[softmax]\n",
                    5e-3);
    check_gradients(NET CONV(4, 3, BN)
                        CONV(4, 1, BN) "[shortcut]\nfrom=-2\nactivation=linear\n" HEAD(4) "[softmax]\n",
                    5e-3);
}

static void gradients_darknet53_block(void **state)
{
    (void)state;
    check_gradients(
        NET CONV(4, 3, BN) CONV(2, 1, BN)
            CONV(4, 3, BN) "[shortcut]\nfrom=-3\nactivation=linear\n" CONV(2, 1, BN)
                CONV(4, 3, BN) "[shortcut]\nfrom=-3\nactivation=linear\n[avgpool]\n" HEAD(4) "[softmax]\n",
        5e-3);
}

static void gradients_route(void **state)
{
    (void)state;
    check_gradients(NET CONV(4, 3, "") CONV(3, 1, "") "[route]\nlayers=-1,-2\n" CONV(4, 1, "")
                        HEAD(4) "[softmax]\n",
                    5e-3);
    check_gradients(
        NET CONV(4, 3, "") CONV(4, 1, "") CONV(4, 1, "") "[route]\nlayers=0,2\n" HEAD(4) "[softmax]\n", 5e-3);
}

static void gradients_sections(void **state)
{
    (void)state;
    static const char *const middle[] = {
        "[activation]\nactivation=logistic\n",
        "[batchnorm]\n",
        "[dropout]\nprobability=.3\n",
        "[avgpool]\n",
        "[reorg]\nstride=2\n",
        "[upsample]\nstride=2\n",
        "[local]\nfilters=2\nsize=3\nstride=1\npad=1\nactivation=logistic\n",
        "[deconvolutional]\nfilters=2\nsize=3\nstride=2\npad=1\nactivation=logistic\n",
        "[convolutional]\nfilters=3\nsize=1\nstride=2\npad=0\nactivation=logistic\n",
        "[convolutional]\nfilters=4\nsize=3\nstride=2\npad=1\ngroups=2\nactivation=tanh\n",
        "[connected]\noutput=9\nbatch_normalize=1\nactivation=logistic\n"};
    for (size_t i = 0; i < sizeof middle / sizeof *middle; i++) {
        char *plain = ds_format("%s%s%s%s", NET, CONV(4, 3, ""), middle[i], HEAD(4) "[softmax]\n");
        /* the layer before is also read by a shortcut, so that what the host overwrites would be lost */
        char *shared = ds_format("%s%s%s%s", NET, CONV(4, 3, ""), middle[i],
                                 HEAD(9) "[shortcut]\nfrom=0\nactivation=linear\n" HEAD(4) "[softmax]\n");
        check_gradients(plain, 6e-3);
        check_gradients(shared, 6e-3);
        free(plain);
        free(shared);
    }
    check_gradients(NET "[crop]\ncrop_width=8\ncrop_height=8\nflip=0\nangle=0\nnoadjust=1\n" CONV(4, 3, "")
                        HEAD(4) "[softmax]\n",
                    6e-3);
    check_gradients(NET "[maxpool]\nsize=2\nstride=2\n" CONV(4, 3, "") HEAD(4) "[softmax]\n", 6e-3);
    check_gradients(NET CONV(4, 3, "stopbackward=1\n") "[maxpool]\nsize=2\nstride=2\n" CONV(4, 1, "")
                        HEAD(4) "[softmax]\n",
                    6e-3);
}

/* The host multiplies what a buffer holds by 0, which leaves what is not a number. */
static void memory_of_others_counts_nothing(void **state)
{
    (void)state;
    enum { READ = 6 * 4 * 4 * 4 }; /* pixels: batch x c x out_h x out_w of the second layer */
    struct bench b = setup_text(NET CONV(4, 3, "") "[convolutional]\nfilters=3\nsize=1\nstride=2\nactivation="
                                                   "logistic\n" HEAD(4) "[softmax]\n",
                                true);
    if (b.net->taken)
        for (int i = 0; i < 2 * READ; i++)
            b.net->taken[i] = NAN;
    ds_error e = {0};
    double loss[6];
    int arrays;
    check(ds_net_train(b.net, b.pixels, b.labels, b.ids, 0, loss, &e), &e);
    check(ds_net_fetch(b.net, &e), &e);
    const ds_param *p = ds_net_params(b.net, &arrays);
    for (int k = 0; k < arrays; k++)
        for (size_t i = 0; p[k].gradient && i < p[k].n; i++)
            if (!isfinite(p[k].gradient[i]))
                fail_msg("layer %d %s: gradient %zu is not a number", p[k].layer, p[k].name, i);
    teardown(&b);
}

static void gradients_targets(void **state)
{
    (void)state;
    check_gradients(NET CONV(4, 3, BN) HEAD(4) "[sat]\nwarmup_epochs=2\n", 5e-3);
    check_gradients(NET CONV(4, 3, BN) HEAD(4) "[sat]\ntarget=ema\nwarmup_epochs=2\n", 5e-3);
    check_gradients(NET CONV(4, 3, BN) HEAD(
                        5) "[sat]\ntarget=abstain\nwarmup_epochs=2\nentropy=.1\n[reject]\nthreshold=.5\n",
                    5e-3);
    check_gradients(NET CONV(4, 3, BN) HEAD(5) "[sat]\ntarget=abstain\nwarmup_epochs=8\n[reject]\n", 5e-3);
    check_gradients(NET CONV(4, 3, BN) HEAD(5) "[gambler]\nwarmup_epochs=0\n", 5e-3);
    check_gradients(NET CONV(4, 3, BN) HEAD(4) "[route]\nlayers=-2\n" HEAD(4) "[route]\nlayers=0\n" HEAD(
                        1) "[route]\nlayers=1,3,-1\n[selective]\nauxiliary=1\n[reject]\nconfidence=abstain\n",
                    5e-3);
    check_gradients(NET CONV(4, 3, BN) HEAD(4) "[softmax]\n[cost]\ntype=sse\n", 5e-3);
}

/* Plain SGD, enough to move the batch statistics. */
static void train_steps(struct bench *b, int steps)
{
    ds_error e = {0};
    int arrays;
    const ds_param *p = ds_net_params(b->net, &arrays);
    for (int s = 0; s < steps; s++) {
        double loss[6];
        check(ds_net_train(b->net, b->pixels, b->labels, b->ids, 0, loss, &e), &e);
        for (int k = 0; k < arrays; k++)
            for (size_t i = 0; p[k].gradient && i < p[k].n; i++) {
                p[k].values[i] += .05f * p[k].gradient[i];
                p[k].gradient[i] = 0;
            }
        ds_net_changed(b->net);
    }
}

static void statistics_follow_training(void **state)
{
    (void)state;
    struct bench b = setup_text(NET CONV(8, 3, BN) CONV(8, 3, BN) HEAD(4) "[softmax]\n", true);
    ds_error e = {0};
    train_steps(&b, 30);
    assert_true(ds_net_has_batchnorm(b.net));
    ds_walk_forward(b.net, b.pixels, b.net->info.cost - 1, true);
    float fresh[24];
    memcpy(fresh, ds_net_logits(b.net), sizeof fresh);
    check(ds_net_forward(b.net, b.pixels, b.net->info.batch, &e), &e);
    double rolling = 0, pooled = 0;
    for (int i = 0; i < 24; i++)
        rolling = fmax(rolling, fabs(ds_net_logits(b.net)[i] - fresh[i]));
    ds_net_statistics_start(b.net);
    check(ds_net_statistics_add(b.net, b.pixels, &e), &e);
    check(ds_net_statistics_add(b.net, b.pixels, &e), &e);
    ds_net_statistics_finish(b.net);
    check(ds_net_forward(b.net, b.pixels, b.net->info.batch, &e), &e);
    for (int i = 0; i < 24; i++)
        pooled = fmax(pooled, fabs(ds_net_logits(b.net)[i] - fresh[i]));
    assert_true(rolling > .05);
    assert_true(pooled < .02); /* two equal batches: N-1 against 2N-1 */
    teardown(&b);
}

/* Rows [0, n x row) of `values` against those of the whole batch. */
static void check_rows(const char *what, int n, int row, const float *values, const float *whole)
{
    for (int i = 0; i < n * row; i++)
        if (!(fabs(values[i] - whole[i]) <= 1e-5 * (1 + fabs(whole[i]))))
            fail_msg("%s of %d images, row %d: %g, in a whole batch %g", what, n, i / row, values[i],
                     whole[i]);
}

static void check_pieces(const char *text)
{
    struct bench b = setup_text(text, true);
    ds_error e = {0};
    const ds_depths *depths;
    float logits[6 * 8], features[6 * 40];
    int row = b.net->info.logits;
    for (int round = 0; round < 2; round++) { /* again with other averages and weights */
        train_steps(&b, 2);
        check(ds_net_forward(b.net, b.pixels, 6, &e), &e);
        memcpy(logits, ds_net_logits(b.net), (size_t)(6 * row) * sizeof *logits);
        float *kept = (float *)ds_net_features(b.net, &depths);
        assert_true(depths->row > 0 && depths->row <= 40);
        memcpy(features, kept, 6 * depths->row * sizeof *features);
        for (int n = 1; n <= 6; n++) {
            memset((float *)ds_net_logits(b.net), 0, (size_t)(6 * row) * sizeof *logits);
            memset(kept, 0, 6 * depths->row * sizeof *kept);
            check(ds_net_forward(b.net, b.pixels, n, &e), &e);
            check_rows("logits", n, row, ds_net_logits(b.net), logits);
            check_rows("features", n, (int)depths->row, kept, features);
        }
    }
    double loss[6];
    check(ds_net_train(b.net, b.pixels, b.labels, b.ids, 7, loss, &e), &e);
    check(ds_net_forward(b.net, b.pixels, 6, &e), &e); /* with averages that training alone has moved */
    memcpy(logits, ds_net_logits(b.net), (size_t)(6 * row) * sizeof *logits);
    check(ds_net_forward(b.net, b.pixels, 5, &e), &e);
    check_rows("logits after training", 5, row, ds_net_logits(b.net), logits);
    teardown(&b);
}

/* Fewer images than a batch: the same results, for layers of the host between those of the backend too. */
static void pieces_of_a_batch(void **state)
{
    (void)state;
    check_pieces(NET CONV(8, 3, BN) "[dropout]\nprobability=.3\n[maxpool]\nsize=2\nstride=2\n" CONV(8, 1, "")
                     HEAD(5) "[sat]\ntarget=abstain\n[reject]\nthreshold=.3\n");
    check_pieces(NET CONV(4, 3, BN) "[reorg]\nstride=2\n" CONV(
        8, 1, BN) "[upsample]\nstride=2\n[route]\nlayers=-1,0\n"
                  "[local]\nfilters=2\nsize=3\nstride=1\npad=1\nactivation=logistic\n[avgpool]\n" HEAD(
                      4) "[softmax]\n");
    check_pieces(NET CONV(4, 3, "") CONV(4, 1, BN) "[shortcut]\nfrom=-2\nactivation=leaky\n" HEAD(
        4) "[softmax]\n[cost]\ntype=sse\n");
}

/* Those of the layers in `expected`, -1 ends them; `last`: channels of the last one. */
static void check_depths(const char *text, const int *expected, int last)
{
    struct bench b = setup_text(text, false);
    const ds_depths *d;
    assert_non_null(ds_net_features(b.net, &d));
    for (int k = 0; k < d->n; k++)
        assert_int_equal(d->layer[k], expected[k]);
    assert_int_equal(expected[d->n], -1);
    assert_int_equal(d->channels[d->n - 1], last);
    teardown(&b);
}

static void features_come_from(void **state)
{
    (void)state;
    static const char pool[] = "[maxpool]\nsize=2\nstride=2\n";
    char *text = ds_format("%s%s%s%s", NET CONV(4, 3, "") "[dropout]\nprobability=.5\n", pool,
                           CONV(6, 3, BN) "[route]\nlayers=-1\n" CONV(5, 3, "") "[avgpool]\n[dropout]\n",
                           HEAD(5) "[sat]\ntarget=abstain\n[reject]\n");
    check_depths(text, (int[]){0, 5, -1}, 5); /* what only passes on or averages is looked through */
    free(text);
    check_depths(NET CONV(4, 3, "") "[convolutional]\nfilters=7\nsize=1\nstride=2\nactivation=leaky\n" CONV(
                     3, 1, "") "[avgpool]\n[softmax]\n",
                 (int[]){0, 1, -1}, 7);
    check_depths(NET HEAD(6) HEAD(4) "[softmax]\n", (int[]){0, -1}, 6);
    check_depths(NET HEAD(4) "[softmax]\n", (int[]){0, -1}, 4); /* none comes before it */
}

static void features_are_levels(void **state)
{
    (void)state;
    struct bench b = setup_text(NET CONV(4, 3, "") HEAD(4) "[softmax]\n", false);
    ds_error e = {0};
    const ds_depths *d;
    check(ds_net_forward(b.net, b.pixels, 6, &e), &e);
    const float *features = ds_net_features(b.net, &d), *x = b.net->net->layers[0].output;
    for (int i = 0; i < 6 * 4 && x; i++) { /* the backend keeps that output to itself */
        double sum = 0, squares = 0;
        for (int k = 0; k < 64; k++) {
            sum += x[64 * i + k] / 64;
            squares += x[64 * i + k] * x[64 * i + k] / 64;
        }
        assert_true(fabs(features[i] - sum - sqrt(squares - sum * sum)) < 1e-5);
    }
    teardown(&b);
}

static char *temporary(void)
{
    char *path = ds_strdup("/tmp/ds_test_XXXXXX");
    close(mkstemp(path));
    return path;
}

static void resize_file(const char *path, long by)
{
    unsigned char *bytes;
    size_t n;
    ds_error e = {0};
    check(ds_file_read(path, "", &bytes, &n, &e), &e);
    FILE *f = fopen(path, "wb");
    fwrite(bytes, 1, by < 0 ? n - (size_t)-by : n, f);
    for (; by > 0; by--)
        fputc(0, f);
    fclose(f);
    free(bytes);
}

static const char two_layers[] = NET CONV(4, 3, BN) HEAD(5) "[sat]\ntarget=abstain\n[reject]\n";

static void weights_round_trip(void **state)
{
    (void)state;
    struct bench a = setup_text(two_layers, false), b = setup_text(two_layers, false);
    ds_error e = {0};
    ds_weights_info info;
    char *path = temporary();
    int arrays;
    const ds_param *p = ds_net_params(a.net, &arrays), *q = ds_net_params(b.net, &arrays);
    for (int k = 0; k < arrays; k++)
        for (size_t i = 0; i < p[k].n; i++)
            p[k].values[i] = (float)(k + 1) / (float)(i + 2);
    check(ds_net_save_weights(a.net, path, 77, &e), &e);
    check(ds_net_load_weights(b.net, path, -1, &info, &e), &e);
    assert_int_equal(info.seen, 77);
    assert_int_equal(info.loaded, a.net->info.layers);
    for (int k = 0; k < arrays; k++)
        assert_memory_equal(p[k].values, q[k].values, p[k].n * sizeof(float));
    free(path);
    teardown(&a);
    teardown(&b);
}

static void weights_of_wrong_size(void **state)
{
    (void)state;
    struct bench b = setup_text(two_layers, false);
    ds_error e = {0};
    ds_weights_info info;
    char *path = temporary();
    int arrays;
    const ds_param *p = ds_net_params(b.net, &arrays);
    check(ds_net_save_weights(b.net, path, 77, &e), &e);
    float before = p[0].values[0];
    static const long changes[] = {-4, 4, -1, -6000};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        check(ds_net_save_weights(b.net, path, 77, &e), &e);
        resize_file(path, changes[i]);
        assert_int_equal(ds_net_load_weights(b.net, path, -1, &info, &e), DS_EINPUT);
        assert_non_null(strstr(e.text, "expected"));
        assert_true(p[0].values[0] == before);
    }
    p[1].values[0] = NAN;
    check(ds_net_save_weights(b.net, path, 77, &e), &e);
    p[1].values[0] = 1;
    assert_int_equal(ds_net_load_weights(b.net, path, -1, &info, &e), DS_EINPUT);
    assert_non_null(strstr(e.text, "not finite"));
    check(ds_net_save_weights(b.net, path, 77, &e), &e);
    resize_file(path, -(long)((5 + 5 * 256) * sizeof(float))); /* without the connected layer */
    check(ds_net_load_weights(b.net, path, -1, &info, &e), &e);
    assert_int_equal(info.loaded, 1);
    check(ds_net_save_weights(b.net, path, 77, &e), &e);
    check(ds_net_load_weights(b.net, path, 1, &info, &e), &e);
    assert_int_equal(info.loaded, 1);
    assert_int_equal(ds_net_load_weights(b.net, "/nonexistent", -1, &info, &e), DS_EIO);
    check(ds_net_save_weights(b.net, path, (uint64_t)1 << 63, &e), &e);
    assert_int_equal(ds_net_load_weights(b.net, path, -1, &info, &e), DS_EINPUT);
    assert_non_null(strstr(e.text, "images seen"));
    unlink(path);
    free(path);
    teardown(&b);
}

/* The stock parser, reader and forward pass on our weights. */
static void stock_predicts_the_same(void **state)
{
    (void)state;
    static const char text[] =
        NET CONV(4, 3, BN) "[maxpool]\nsize=2\nstride=2\n" CONV(6, 1, BN) HEAD(4) "[softmax]\n";
    struct bench b = setup_text(text, true);
    ds_error e = {0};
    train_steps(&b, 3);
    char *weights = temporary(), *cfg = temporary();
    check(ds_net_save_weights(b.net, weights, 18, &e), &e);
    FILE *f = fopen(cfg, "w");
    fputs(text, f);
    fclose(f);
    void *host = dlopen("/usr/lib/darknet/libdarknet.so", RTLD_NOW | RTLD_LOCAL);
    network *(*load)(char *, char *, int) = (network * (*)(char *, char *, int)) dlsym(host, "load_network");
    float *(*predict)(network *, float *) = (float *(*)(network *, float *))dlsym(host, "network_predict");
    network *stock = load(cfg, weights, 0);
    assert_int_equal(*stock->seen, 18);
    float *out = predict(stock, b.pixels);
    check(ds_net_forward(b.net, b.pixels, b.net->info.batch, &e), &e);
    for (int i = 0; i < 24; i++)
        assert_float_equal(out[i], b.net->net->output[i], 1e-5);
    unlink(cfg);
    unlink(weights);
    free(cfg);
    free(weights);
    teardown(&b);
}

/* The array of the host's own layer that a parameter is. */
static float *of_stock(const network *stock, const ds_param *p)
{
    const layer *l = &stock->layers[p->layer];
    float *arrays[] = {l->biases, l->scales, l->rolling_mean, l->rolling_variance, l->weights};
    static const char *const names[] = {"biases", "scales", "means", "variances", "weights"};
    int i = 0;
    while (strcmp(names[i], p->name) != 0)
        i++;
    return arrays[i];
}

/* A file of so many numbers, 1, 2, …, read by the host and by us: the same places get the same numbers. */
static void check_reading(const char *keys, size_t numbers)
{
    char *text = ds_format(NET CONV(4, 3, BN "%s") HEAD(4) "[softmax]\n", keys);
    struct bench b = setup_text(text, false);
    ds_error e = {0};
    ds_weights_info info;
    char *path = temporary(), *cfg = temporary();
    FILE *f = fopen(path, "wb");
    fwrite((int32_t[]){0, 2, 0, 0, 0}, 4, 5, f);
    for (size_t i = 0; i < numbers; i++)
        fwrite(&(float){(float)i + 1}, sizeof(float), 1, f);
    fclose(f);
    f = fopen(cfg, "w");
    fputs(text, f);
    fclose(f);
    void *host = dlopen("/usr/lib/darknet/libdarknet.so", RTLD_NOW | RTLD_LOCAL);
    network *(*parse)(char *) = (network * (*)(char *)) dlsym(host, "parse_network_cfg");
    void (*load)(network *, char *) = (void (*)(network *, char *))dlsym(host, "load_weights");
    network *stock = parse(cfg);
    int arrays;
    const ds_param *p = ds_net_params(b.net, &arrays);
    for (int k = 0; k < arrays; k++)
        for (size_t i = 0; i < p[k].n; i++)
            p[k].values[i] = of_stock(stock, &p[k])[i] = -1;
    load(stock, path);
    check(ds_net_load_weights(b.net, path, -1, &info, &e), &e);
    for (int k = 0; k < arrays; k++)
        if (memcmp(p[k].values, of_stock(stock, &p[k]), p[k].n * sizeof(float)) != 0)
            fail_msg("%s: %s of layer %d", keys, p[k].name, p[k].layer);
    unlink(path);
    unlink(cfg);
    free(path);
    free(cfg);
    free(text);
    teardown(&b);
}

static void weights_as_their_keys_say(void **state)
{
    (void)state;
    enum { FILTERS = 4 * 9 * 3, HEAD_NUMBERS = 4 + 4 * 4 * 64 };
    check_reading("", 16 + FILTERS + HEAD_NUMBERS);
    check_reading("flipped=1\n", 16 + FILTERS + HEAD_NUMBERS);
    check_reading("dontload=1\n", HEAD_NUMBERS);
    check_reading("dontloadscales=1\n", 4 + FILTERS + HEAD_NUMBERS);
    check_reading("numload=2\n", 8 + FILTERS / 2 + HEAD_NUMBERS);
}

/* max |a - b| / max |b| of the logits of one random image, ours against the stock forward pass. */
static double against_stock(const char *name)
{
    ds_error e = {0};
    ds_cfg *cfg;
    ds_net *net;
    char *path = ds_format("/usr/share/darknet/cfg/%s", name), *weights = temporary();
    check(ds_cfg_read(path, &cfg, NULL, &e), &e);
    ds_net_setup s = {.batch = 1, .seed = 4, .threads = 2, .backend = backend};
    check(ds_net_new(cfg, &s, &net, &e), &e);
    sane_averages(net);
    check(ds_net_save_weights(net, weights, 0, &e), &e);
    void *host = dlopen("/usr/lib/darknet/libdarknet.so", RTLD_NOW | RTLD_LOCAL);
    network *(*load)(char *, char *, int) = (network * (*)(char *, char *, int)) dlsym(host, "load_network");
    void (*one)(network *, int) = (void (*)(network *, int))dlsym(host, "set_batch_network");
    float *(*predict)(network *, float *) = (float *(*)(network *, float *))dlsym(host, "network_predict");
    network *stock = load(path, weights, 0);
    one(stock, 1);
    float *pixels = malloc((size_t)net->info.inputs * sizeof *pixels);
    ds_rng r = ds_rng_make(1, 2, 3);
    for (int i = 0; i < net->info.inputs; i++)
        pixels[i] = (float)ds_rng_uniform(&r);
    predict(stock, pixels);
    check(ds_net_forward(net, pixels, net->info.batch, &e), &e);
    const float *a = ds_net_logits(net), *b = stock->layers[net->info.cost - 1].output;
    double error = 0, most = 0;
    for (int i = 0; i < net->info.logits; i++) {
        error = fmax(error, fabs(a[i] - b[i]));
        most = fmax(most, fabs(b[i]));
    }
    assert_true(most > 0);
    unlink(weights);
    free(weights);
    free(path);
    free(pixels);
    ((void (*)(network *))dlsym(host, "free_network"))(stock);
    ds_net_free(net);
    ds_cfg_free(cfg);
    return error / most;
}

static void stock_networks(void **state)
{
    (void)state;
    static const char *const names[] = {"cifar.cfg", "darknet.cfg", "darknet19.cfg", "resnet18.cfg"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        double error = against_stock(names[i]);
        if (error > 1e-3)
            fail_msg("%s: logits are %g off", names[i], error);
        print_message("%s: %.1e\n", names[i], error);
    }
}

static void seeds_decide(void **state)
{
    (void)state;
    struct bench a = setup_text(two_layers, false), b = setup_text(two_layers, false);
    int arrays;
    const ds_param *p = ds_net_params(a.net, &arrays), *q = ds_net_params(b.net, &arrays);
    for (int k = 0; k < arrays; k++)
        assert_memory_equal(p[k].values, q[k].values, p[k].n * sizeof(float));
    teardown(&a);
    teardown(&b);
}

static void reject_gives_zeros(void **state)
{
    (void)state;
    struct bench b =
        setup_text(NET CONV(4, 3, "") HEAD(5) "[sat]\ntarget=abstain\n[reject]\nthreshold=1\n", false);
    ds_error e = {0};
    check(ds_net_forward(b.net, b.pixels, b.net->info.batch, &e), &e);
    for (int i = 0; i < 6 * 4; i++)
        assert_true(b.net->net->output[i] == 0);
    assert_int_equal(b.net->net->outputs, 4);
    assert_int_equal(b.net->info.classes, 4);
    assert_int_equal(b.net->info.logits, 5);
    teardown(&b);
}

static void not_a_number_is_reported(void **state)
{
    (void)state;
    struct bench b = setup_text(NET CONV(4, 3, "") HEAD(4) "[softmax]\n", true);
    ds_error e = {0};
    b.pixels[3] = NAN;
    assert_int_equal(ds_net_train(b.net, b.pixels, b.labels, b.ids, 0, NULL, &e), DS_ENUMERIC);
    teardown(&b);
}

int main(int argc, char **argv)
{
    (void)argc;
    if (!getenv("GOMP_SPINCOUNT")) { /* as ./darknet does: threads that wait let others work */
        setenv("GOMP_SPINCOUNT", "20000", 1);
        execv("/proc/self/exe", argv);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_shortcut),
        cmocka_unit_test(gradients_darknet53_block),
        cmocka_unit_test(gradients_route),
        cmocka_unit_test(gradients_sections),
        cmocka_unit_test(memory_of_others_counts_nothing),
        cmocka_unit_test(gradients_targets),
        cmocka_unit_test(statistics_follow_training),
        cmocka_unit_test(weights_round_trip),
        cmocka_unit_test(weights_of_wrong_size),
        cmocka_unit_test(weights_as_their_keys_say),
        cmocka_unit_test(stock_predicts_the_same),
        cmocka_unit_test(seeds_decide),
        cmocka_unit_test(reject_gives_zeros),
        cmocka_unit_test(not_a_number_is_reported),
        cmocka_unit_test(pieces_of_a_batch),
        cmocka_unit_test(stock_networks),
        cmocka_unit_test(features_come_from),
        cmocka_unit_test(features_are_levels),
    };
    int failed = 0;
    const ds_backend *const *other = ds_backends();
    backend = "host";
    failed += cmocka_run_group_tests_name("host", tests, NULL, NULL);
    for (; *other && !(*other)->devices; other++) { /* test_cuda.c has the device */
        backend = (*other)->name;
        failed += cmocka_run_group_tests_name(backend, tests, NULL, NULL);
    }
    return failed;
}
