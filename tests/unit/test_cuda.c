/* The CUDA backend on emulated libraries (tests/gpu) against the plain code: layers, whole steps, borders to the host, and every call of
 * the libraries that can fail. */
#include "tests/unit/onednn_pair.h"
#include "base/file.h"
#include "data/loader.h"
#include "train/mixup.h"
#include "train/optimizer.h"

#include <dlfcn.h>
#include <limits.h>
#include <unistd.h>

#define EXACT 1e-4
#define COUNT(v) (sizeof(v) / sizeof *(v))
#define FIRST CONV(16, 3, 1, "leaky", PAD BN)
#define LAST "[connected]\noutput=5\nactivation=linear\n[sat]\ntarget=abstain\nclasses=4\n"

static void (*fail_at)(int n);
static const char *(*failed)(void);
static int (*alive)(void);
static size_t no_matter, *room = &no_matter; /* what an emulated device has free */
static int *slow, *plan, *fused;

/* The emulated libraries lie beside the tests; the loader then finds them by their names. */
static void open_mocks(void)
{
    static const char *const names[] = {"libcuda.so.1", "libcudnn.so.9", "libnvrtc.so.13"};
    char self[PATH_MAX] = "";
    void *h[3];
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    *strrchr(self, '/') = 0;
    for (int i = 0; i < 3; i++) {
        char *path = ds_format("%s/gpu/%s", self, names[i]);
        if (!(h[i] = dlopen(path, RTLD_NOW)))
            fail_msg("%s", dlerror());
        free(path);
    }
    *(void **)&fail_at = dlsym(h[0], "mock_fail_at");
    *(void **)&failed = dlsym(h[0], "mock_failed");
    *(void **)&alive = dlsym(h[0], "mock_alive");
    *(void **)&room = dlsym(h[0], "mock_room");
    *(void **)&slow = dlsym(h[0], "mock_slow");
    *(void **)&plan = dlsym(h[0], "mock_plan");
    *(void **)&fused = dlsym(h[0], "mock_fused");
}

static void layers(void **state)
{
    (void)state;
    static const char *const all[] = {
        CONV(5, 3, 1, "leaky", PAD BN) CONV(7, 3, 1, "relu", PAD) HEAD,
        CONV(24, 3, 2, "leaky", PAD BN) CONV(40, 1, 1, "linear", BN) CONV(3, 5, 1, "leaky", PAD) HEAD,
        CONV(32, 3, 1, "leaky", PAD BN) MAXPOOL(2, 2) CONV(11, 1, 1, "linear", "") "[avgpool]\n[softmax]\n",
        CONV(9, 3, 1, "linear", PAD) MAXPOOL(2, 2) CONV(18, 3, 1, "relu", PAD BN) MAXPOOL(2, 2) HEAD,
        FIRST MAXPOOL(3, 2) CONV(6, 1, 1, "leaky", "") MAXPOOL(2, 1) MAXPOOL(1, 2) HEAD,
        FIRST CONV(16, 3, 1, "linear", PAD BN) SHORTCUT(-2, "relu") HEAD,
        FIRST CONV(16, 3, 1, "linear", PAD) SHORTCUT(0, "leaky") SHORTCUT(0, "linear") SHORTCUT(-2, "relu")
            HEAD,
        FIRST CONV(16, 3, 1, "linear", PAD BN) SHORTCUT(0, "relu") CONV(16, 1, 1, "linear", BN)
            SHORTCUT(-2, "relu") CONV(16, 3, 1, "relu", PAD BN) CONV(16, 3, 1, "linear", PAD BN)
                SHORTCUT(-3, "relu") "[avgpool]\n" HEAD,
        FIRST CONV(32, 3, 2, "linear", PAD BN) ROUTE("-2") MAXPOOL(1, 2) CONV(32, 1, 1, "linear", PAD BN)
            SHORTCUT(-4, "relu") HEAD,
        FIRST CONV(5, 1, 1, "leaky", "") ROUTE("-1,0") CONV(8, 1, 1, "leaky", BN) ROUTE("-1") HEAD,
        CONV(6, 3, 1, "linear",
             PAD) "[batchnorm]\n" SHORTCUT(-2, "leaky") "[activation]\nactivation=leaky\n" HEAD,
        CONNECTED(21, "leaky", BN) CONNECTED(8, "relu", "") HEAD,
        FIRST CONV(16, 3, 1, "leaky", PAD BN "groups=2\n") HEAD,
        FIRST "[dropout]\nprobability=.4\n" CONV(9, 3, 1, "leaky", PAD) "[dropout]\nprobability=.3\n" HEAD,
        FIRST CONV(16, 3, 1, "leaky", "stopbackward=1\n" PAD BN) CONV(8, 3, 1, "leaky", PAD BN) HEAD,
    };
    for (size_t i = 0; i < COUNT(all); i++) {
        char *text = ds_format("%s%s", NET(8, 8, 3), all[i]);
        compare(text, 4, EXACT);
        free(text);
    }
}

/* Layers that only the host has, before, between and behind; branches over them. */
static void host_between(void **state)
{
    (void)state;
    static const char *const all[] = {
        FIRST CONV(8, 3, 1, "tanh", PAD BN) CONV(7, 3, 1, "leaky", PAD BN) HEAD,
        CONV(16, 3, 1, "tanh", PAD) FIRST SHORTCUT(0, "leaky") HEAD,
        FIRST "[activation]\nactivation=logistic\n" FIRST SHORTCUT(0, "leaky") SHORTCUT(1, "leaky") HEAD,
        CONV(16, 3, 1, "tanh", PAD) FIRST CONV(16, 1, 1, "elu", "") SHORTCUT(0, "leaky") ROUTE("0,1,2") HEAD,
        FIRST MAXPOOL(2, 2) "[upsample]\nstride=2\n" SHORTCUT(0, "leaky") CONNECTED(9, "tanh", "") HEAD,
    };
    for (size_t i = 0; i < COUNT(all); i++) {
        char *text = ds_format("%s%s", NET(8, 8, 3), all[i]);
        pair p = pair_new(text, 4, true);
        for (int pass = 0; pass < 3; pass++) {
            pair_forward(&p);
            check_logits(&p, "inference", EXACT);
            pair_train(&p);
            check_logits(&p, "training", EXACT);
            check_parameters(&p, "training", EXACT);
        }
        pair_free(&p);
        free(text);
    }
}

/* ---- learning ---- */

static void learn(ds_net *net, ds_optimizer *o)
{
    ds_error e = {0};
    ds_optimizer_step(o, .05f);
    const ds_rule rule = ds_optimizer_rule(o, .05f);
    check(ds_net_update(net, &rule, &e), &e, "update");
}

static void check_values(const pair *p, const char *when, double tolerance)
{
    int n;
    const ds_param *a = ds_net_params(p->net[1], &n), *b = ds_net_params(p->net[0], &n);
    for (int k = 0; k < n; k++) {
        double d = apart(a[k].values, b[k].values, b[k].n, .1);
        if (!(d <= tolerance))
            fail_msg("%s: layer %d: %s are %.2g apart\n%s", when, b[k].layer, b[k].name, d, p->text);
    }
}

#define BODY \
    FIRST MAXPOOL(2, 2) CONV(9, 3, 1, "leaky", PAD BN "learning_rate=.5\n") CONV(6, 1, 1, "leaky", "")
#define LEARNER BODY LAST

/* Steps of two sub-batches, by both rules; weights, momentum, moments arrive at the host. */
static void steps(void **state)
{
    (void)state;
    static const char *const rules[] = {"decay=.01\n", "decay=.01\nclip=.2\n",
                                        "adam=1\ndecay=.01\nlearning_rate=.01\n"};
    for (size_t r = 0; r < COUNT(rules); r++) {
        char *text = ds_format("%s%s%s", NET(8, 8, 3), rules[r], LEARNER);
        pair p = pair_new(text, 4, true);
        ds_optimizer *o[2];
        for (int k = 0; k < 2; k++) {
            int n;
            const ds_param *q = ds_net_params(p.net[k], &n);
            o[k] = ds_optimizer_new(&p.cfg->net, q, n, 8);
        }
        for (int s = 0; s < 4; s++) {
            pair_train(&p);
            pair_train(&p);
            for (int k = 0; k < 2; k++)
                learn(p.net[k], o[k]);
            pair_forward(&p);
            check_logits(&p, rules[r], 5e-3);
        }
        assert_int_equal(ds_net_fetch(p.net[1], NULL), DS_OK);
        check_values(&p, rules[r], 5e-3);
        for (int i = 0; i < 3; i++) {
            float *a = ds_optimizer_moments(o[1], i), *b = ds_optimizer_moments(o[0], i);
            assert_true(!a || apart(a, b, 2 * ds_net_params(p.net[0], &(int){0})[i].n, 0) < 5e-3);
        }
        for (int k = 0; k < 2; k++)
            ds_optimizer_free(o[k]);
        pair_free(&p);
        free(text);
    }
}

/* Two networks, the second going on from what the first one's arrays hold: the same bits. */
static void goes_on(void **state)
{
    (void)state;
    pair p = pair_of(NET(8, 8, 3) "adam=1\n" BODY HEAD, 4, true, CUDA_BF16, CUDA_BF16); /* no history */
    ds_error e = {0};
    ds_optimizer *o[2];
    int n;
    for (int k = 0; k < 2; k++) {
        const ds_param *q = ds_net_params(p.net[k], &n);
        o[k] = ds_optimizer_new(&p.cfg->net, q, n, 4);
    }
    for (int s = 0; s < 4; s++) {
        check(ds_net_train(p.net[0], p.pixels, p.labels, p.ids, 0, p.loss[0], &e), &e, p.text);
        learn(p.net[0], o[0]);
        if (s == 1) {
            assert_int_equal(ds_net_fetch(p.net[0], &e), DS_OK);
            const ds_param *a = ds_net_params(p.net[0], &n), *b = ds_net_params(p.net[1], &n);
            for (int i = 0; i < n; i++) {
                memcpy(b[i].values, a[i].values, a[i].n * sizeof(float));
                if (!a[i].gradient)
                    continue;
                memcpy(b[i].gradient, a[i].gradient, a[i].n * sizeof(float));
                memcpy(ds_optimizer_moments(o[1], i), ds_optimizer_moments(o[0], i),
                       2 * a[i].n * sizeof(float));
            }
            *ds_optimizer_steps(o[1]) = *ds_optimizer_steps(o[0]);
            ds_net_changed(p.net[1]);
        }
        if (s < 2)
            continue;
        check(ds_net_train(p.net[1], p.pixels, p.labels, p.ids, 0, p.loss[1], &e), &e, p.text);
        learn(p.net[1], o[1]);
    }
    for (int k = 0; k < 2; k++)
        assert_int_equal(ds_net_fetch(p.net[k], &e), DS_OK);
    check_values(&p, "going on", 0);
    assert_memory_equal(p.loss[0], p.loss[1], 4 * sizeof(double));
    for (int k = 0; k < 2; k++)
        ds_optimizer_free(o[k]);
    pair_free(&p);
}

static void statistics(void **state)
{
    (void)state;
    pair p = pair_new(NET(8, 8, 3) LEARNER, 4, true);
    ds_error e = {0};
    for (int k = 0; k < 2; k++) {
        ds_net_statistics_start(p.net[k]);
        for (int s = 0; s < 3; s++) {
            for (int i = 0; i < 4 * p.net[k]->info.inputs; i++)
                p.pixels[i] = (float)((i * 7 + s * i % 11) % 19) / 19;
            check(ds_net_statistics_add(p.net[k], p.pixels, &e), &e, p.text);
        }
        ds_net_statistics_finish(p.net[k]);
    }
    pair_forward(&p);
    check_logits(&p, "with new averages", EXACT);
    check_parameters(&p, "statistics", EXACT);
    pair_free(&p);
}

/* Fewer images than a batch. */
static void parts_of_a_batch(void **state)
{
    (void)state;
    pair p = pair_new(NET(8, 8, 3) LEARNER, 4, false);
    ds_error e = {0};
    for (int n = 1; n <= 4; n++) {
        for (int k = 0; k < 2; k++)
            check(ds_net_forward(p.net[k], p.pixels, n, &e), &e, p.text);
        size_t logits = (size_t)n * (size_t)p.net[0]->info.logits;
        assert_true(apart(ds_net_logits(p.net[1]), ds_net_logits(p.net[0]), logits, 0) < EXACT);
    }
    pair_free(&p);
}

/* ---- pictures ---- */

extern const ds_backend ds_backend_cuda;

enum { IMAGES = 9, BATCH = 4, PASSES = 6 };
static char folder[] = "/tmp/test_cuda_XXXXXX";
static ds_images images;

/* Wider, higher, smaller, the same; the last is larger than what is sent. */
static int write_images(void **state)
{
    (void)state;
    static const int sides[IMAGES][2] = {{50, 37}, {20, 16}, {3, 40}, {20, 16},  {24, 24},
                                         {9, 9},   {1, 1},   {33, 8}, {160, 120}};
    unsigned char px[160 * 120 * 3];
    assert_non_null(mkdtemp(folder));
    images = (ds_images){
        .n = IMAGES, calloc(IMAGES, sizeof(char *)), calloc(IMAGES, sizeof(int)), ds_strdup("list.txt")};
    for (int i = 0; i < IMAGES; i++) {
        size_t n;
        ds_rng r = ds_rng_make(4, (uint64_t)i, 0);
        for (size_t k = 0; k < sizeof px; k++)
            px[k] = (unsigned char)(ds_rng_below(&r, 4) * 85);
        unsigned char *png = ds_png_encode(px, sides[i][0], sides[i][1], 3, &n);
        images.paths[i] = ds_format("%s/%d.png", folder, i);
        FILE *f = fopen(images.paths[i], "wb");
        assert_true(fwrite(png, 1, n, f) == n && !fclose(f));
        free(png);
    }
    return 0;
}

static int remove_images(void **state)
{
    (void)state;
    for (int i = 0; i < IMAGES; i++)
        unlink(images.paths[i]);
    ds_images_clear(&images);
    return rmdir(folder);
}

/* A state whose only layer puts its input out. */
static void *copier(const ds_augment *a, int c, ds_precision precision, float *output)
{
    static const int pixels = -1;
    const ds_node node = {DS_OP_ACTIVATION, c, a->h, a->w, c, a->h, a->w, &pixels, 1, .groups = 1, .slope = 1,
                          .output = output};
    const ds_graph g = {.nodes = &node, .n = 1, .batch = BATCH, .train = true, .precision = precision};
    static ds_node kept;
    static ds_graph graph;
    kept = node;
    graph = g;
    graph.nodes = &kept;
    bool owned;
    void *state;
    ds_error e = {0};
    check(ds_backend_cuda.create(&graph, &owned, &state, &e), &e, "a copy");
    assert_true(owned && ds_backend_cuda.prepares(state));
    return state;
}

static float farthest(const float *a, const float *b, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fabsf(a[i] - b[i]) > most ? fabsf(a[i] - b[i]) : most;
    return most;
}

/* Batches of two epochs and more, from the processor's loader and by the device. */
static void compare_pictures(const ds_augment *a, int c, const ds_net_options *o, ds_precision precision)
{
    ds_loader_setup s = {&images, a->w, a->h, c, .batch = BATCH, .threads = 2, .augment = a, .seed = 3};
    const size_t inputs = (size_t)(c * a->w * a->h);
    ds_loader *l[2];
    ds_cache *cache[2];
    ds_mixtures m[2];
    float *output = calloc(BATCH * inputs, sizeof *output);
    void *state = copier(a, c, precision, output);
    for (int k = 0; k < 2; k++) {
        s.pictures = k;
        s.cache = cache[k] = ds_cache_new((size_t)images.n, k ? 4000 : 1 << 20);
        assert_int_equal(ds_loader_new(&s, &l[k], NULL), 0);
        m[k] = ds_mixtures_new(BATCH, (int)inputs);
    }
    for (int pass = 0; pass < PASSES; pass++) {
        ds_batch b[2];
        ds_error e = {0};
        for (int k = 0; k < 2; k++) {
            check(ds_loader_next(l[k], &b[k], &e), &e, "a batch");
            if (o->mixup)
                ds_mix(&m[k], o, &b[k], 0, BATCH, (int)inputs, 3, (uint64_t)(pass * BATCH));
        }
        const ds_backend_pass p = {.pictures = b[1].pictures,
                                   .mixed = o->mixup ? m[1].pictures : NULL,
                                   .shares = m[1].shares,
                                   .images = BATCH,
                                   .train = true};
        check(ds_backend_cuda.forward(state, 0, &p, &e), &e, "a pass");
        const float off = farthest(output, o->mixup ? m[0].pixels : b[0].pixels, BATCH * inputs);
        if (!(off <= 1 / 255.F))
            fail_msg("pass %d, precision %d: %g of 255 apart", pass, precision, 255 * (double)off);
    }
    for (int k = 0; k < 2; k++) {
        ds_loader_free(l[k]);
        ds_cache_free(cache[k]);
        ds_mixtures_clear(&m[k]);
    }
    ds_backend_cuda.free(state);
    free(output);
}

/* All keys of [net] that change a picture, images that stay on the device and images that do not. */
static void pictures(void **state)
{
    (void)state;
    static const ds_augment none = {
        .w = 20, .h = 16, .min_size = 16, .max_size = 16, .aspect = 1, .saturation = 1, .exposure = 1};
    ds_augment all[10];
    for (size_t i = 0; i < COUNT(all); i++)
        all[i] = none;
    all[1].flip = true;
    all[1].max_size = 40;
    all[2].angle = 30;
    all[2].min_size = 5;
    all[3].aspect = .6;
    all[4].saturation = .5;
    all[5].exposure = 3;
    all[6].hue = .4;
    all[7].cutout = 7;
    all[9].shift = 4;
    all[8] = (ds_augment){20, 16, 9, 33, 180, .7, .6, 1.7, .2, true, false, 9, 3};
    const size_t plenty = *room;
    for (size_t i = 0; i < 2 * COUNT(all); i++) {
        ds_augment *a = &all[i / 2];
        a->center = i % 2; /* both, of each */
        *room = i % 3 ? plenty : 0;
        for (int mixup = 0; mixup < 2; mixup++)
            compare_pictures(a, i % 4 ? 3 : 1,
                             &(ds_net_options){.batch = BATCH, .mixup = mixup, .mixup_alpha = 1},
                             i % 5 ? DS_BF16 : DS_F32);
    }
    *room = plenty;
}

/* ---- what fails ---- */

/* A step of pixels, one of pictures that are mixed; inference, a fetch, in bf16. */
static int everything(bool train, bool tune, const ds_cfg *cfg, const float *pixels, const int *labels,
                      const uint32_t *ids, ds_error *e)
{
    ds_net *net;
    double loss[4];
    int n;
    ds_net_setup s = {.batch = 4,
                      .train = train,
                      .samples = 9,
                      .epochs = 9,
                      .threads = 1,
                      .backend = "cuda:1",
                      .precision = "bf16",
                      .tune = tune};
    DS_TRY(ds_net_new(cfg, &s, &net, e));
    if (!train) {
        const int answered = ds_net_forward(net, pixels, 4, e);
        ds_net_free(net);
        return answered;
    }
    const ds_param *p = ds_net_params(net, &n);
    ds_optimizer *o = ds_optimizer_new(&cfg->net, p, n, 4);
    static const unsigned char px[48];
    ds_picture pictures[4];
    for (unsigned i = 0; i < 4; i++)
        pictures[i] =
            (ds_picture){px, 4, 4, i, i % 2, {.scale = 1, .aspect = 1, .saturation = 1, .exposure = 1}};
    ds_net_set_pictures(net, pictures, pictures);
    ds_net_set_mixture(net, labels, (float[]){.5F, 1, .7F, .9F});
    int rc = 0;
    for (int i = 0; i < 2 && !rc; i++) {
        rc = ds_net_train(net, i && ds_net_prepares(net) ? NULL : pixels, labels, ids, 0, loss, e);
        const ds_rule rule = ds_optimizer_rule(o, .1f);
        rc = rc ? rc : ds_net_update(net, &rule, e);
        rc = rc ? rc : ds_net_forward(net, pixels, 4, e);
    }
    rc = rc ? rc : ds_net_fetch(net, e);
    ds_optimizer_free(o);
    ds_net_free(net);
    return rc;
}

/* Each call of the libraries fails once: a message that names it, nothing left behind. An engine or a configuration that fails is not
 * taken; a plan that does not come is the host's layer. */
static void every_call_fails(void **state)
{
    (void)state;
    static const char text[] = NET(4, 4, 3) CONV(8, 3, 1, "leaky", PAD BN) LAST;
    static float pixels[4 * 4 * 4 * 3];
    const int labels[4] = {0, 1, 2, 3};
    const uint32_t ids[4] = {0, 1, 2, 3};
    ds_error e = {0};
    ds_cfg *cfg;
#ifdef DS_SANITIZED
    const int slower = 29; /* they take their time */
#else
    const int slower = 1;
#endif
    const size_t plenty = *room;
    check(ds_cfg_parse(text, "test.cfg", &cfg, NULL, &e), &e, text);
    const int before = alive();
    for (int kind = 0; kind < 3; kind++) { /* as it comes, tuned, tuned for answers alone */
        const bool tune = kind > 0;
        const int stride = tune ? 8 * slower + 29 : slower;
        int refused = 0, n = 0;
        do {
            e = (ds_error){0};
            *room = n % 16 ? 0 : plenty;
            fail_at(n += stride);
            int rc = everything(kind < 2, tune, cfg, pixels, labels, ids, &e);
            if (rc && (!strstr(e.text, "cuda") || !failed()))
                fail_msg("call %d, %s: '%s'", n, failed(), e.text);
            if (alive() != before)
                fail_msg("call %d, %s: %d are left behind", n, failed(), alive() - before);
            refused += rc != 0;
        } while (failed());
        assert_true(n > 200);
        assert_true(refused >= 90 / stride);
    }
    fail_at(0);
    *room = plenty;
    ds_cfg_free(cfg);
}

/* The engine of a network that measures, with what is kept in a folder. */
static int tuned(const char *cache, bool tune)
{
    ds_error e = {0};
    ds_cfg *cfg;
    ds_net *net;
    static float pixels[4 * 48];
    const ds_net_setup s = {.backend = "cuda", .batch = 4, .tune = tune};
    setenv("XDG_CACHE_HOME", cache, 1);
    check(ds_cfg_parse(NET(4, 4, 3) CONV(8, 3, 1, "leaky", PAD) LAST, "test.cfg", &cfg, NULL, &e), &e, "");
    check(ds_net_new(cfg, &s, &net, &e), &e, "");
    check(ds_net_forward(net, pixels, 4, &e), &e, "");
    ds_net_free(net);
    ds_cfg_free(cfg);
    unsetenv("XDG_CACHE_HOME");
    return *plan;
}

static void the_fastest_is_kept(void **state)
{
    (void)state;
    char first[] = "/tmp/test_cuda_XXXXXX", second[] = "/tmp/test_cuda_XXXXXX";
    assert_true(mkdtemp(first) && mkdtemp(second));
    *slow = 1;
    assert_int_equal(tuned(first, false), 1);
    assert_int_equal(tuned(first, true), 2);
    *slow = 2;
    assert_int_equal(tuned(first, true), 2);
    assert_int_equal(tuned(second, true), 1);
    *slow = 0;
    DS_FREED char *command = ds_format("rm -r %s %s", first, second);
    assert_int_equal(system(command), 0);
}

/* With -tune an answer's layers are one plan each, where the graph says so; weights that change are folded anew. */
static void fused_inference(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int plans;
    } all[] = {{FIRST CONV(5, 3, 2, "relu", PAD) HEAD, 3},
               {FIRST MAXPOOL(2, 2) CONV(16, 1, 1, "linear", BN) "[avgpool]\n" HEAD, 3},
               {FIRST CONV(16, 3, 1, "linear", PAD BN) SHORTCUT(0, "leaky") CONV(16, 1, 1, "linear", "")
                    SHORTCUT(-2, "linear") HEAD,
                4},
               {FIRST "[batchnorm]\n" CONV(16, 3, 1, "relu", PAD BN "groups=2\n") ROUTE("-1,0")
                    CONNECTED(9, "leaky", BN) HEAD,
                4}};
    for (size_t i = 0; i < COUNT(all); i++)
        for (int kind = CUDA; kind <= CUDA_TF32; kind++) {
            DS_FREED char *text = ds_format("%s%s", NET(8, 8, 3), all[i].text);
            tune_peer = true;
            pair p = pair_of(text, 4, false, HOST, kind);
            tune_peer = false;
            for (int pass = 0; pass < 2; pass++) {
                *fused = 0;
                pair_forward(&p);
                check_logits(&p, "fused", kind == CUDA_BF16 ? 5e-2 : EXACT);
                assert_int_equal(*fused, all[i].plans);
                int n;
                for (int k = 0; k < 2; k++) {
                    const ds_param *a = ds_net_params(p.net[k], &n);
                    for (int j = 0; j < n; j++)
                        for (size_t m = 0; m < a[j].n; m++)
                            a[j].values[m] *= 1.25F;
                    ds_net_changed(p.net[k]);
                }
            }
            pair_free(&p);
        }
}

static void no_such_device(void **state)
{
    (void)state;
    ds_error e = {0};
    ds_cfg *cfg;
    ds_net *net;
    check(ds_cfg_parse(NET(4, 4, 3) LAST, "test.cfg", &cfg, NULL, &e), &e, "");
    assert_int_equal(ds_net_new(cfg, &(ds_net_setup){.backend = "cuda:2"}, &net, &e), DS_EUSAGE);
    assert_non_null(strstr(e.text, "cuda:2: there are 2 devices"));
    assert_int_equal(ds_net_new(cfg, &(ds_net_setup){.backend = "cuda:x"}, &net, &e), DS_EUSAGE);
    ds_cfg_free(cfg);
}

/* ---- a real device ---- */

/* How far a cfg's network in each precision is from oneDNN's: logits of inference and training, gradients array by array. */
static void compare_file(const char *path, int batch)
{
    static const char *const names[] = {[CUDA] = "f32", [CUDA_BF16] = "bf16", [CUDA_TF32] = "tf32"};
    DS_FREED char *text = NULL;
    ds_error e = {0};
    check(ds_file_read_text(path, "a cfg", &text, &e), &e, path);
    for (int kind = CUDA; kind <= CUDA_TF32; kind++) {
        pair p = pair_of(text, batch, true, ONEDNN, kind);
        size_t logits = (size_t)p.net[0]->info.batch * (size_t)p.net[0]->info.logits;
        double worst = 0, d[2];
        int n, at = 0;
        for (int pass = 0; pass < 2; pass++) {
            pass ? pair_train(&p) : pair_forward(&p);
            d[pass] = norm_apart(ds_net_logits(p.net[1]), ds_net_logits(p.net[0]), logits, 0);
        }
        check(ds_net_fetch(p.net[1], &e), &e, path);
        const ds_param *a = ds_net_params(p.net[1], &n), *b = ds_net_params(p.net[0], &n);
        for (int k = 0; k < n; k++) {
            double off =
                b[k].gradient ? norm_apart(a[k].gradient, b[k].gradient, b[k].n, gradient_floor(&p)) : 0;
            if (off > worst) {
                worst = off;
                at = b[k].layer;
            }
        }
        print_message("%s, batch %d, %s: logits %.1e, in training %.1e; gradients %.1e (layer %d)\n", path,
                      batch, names[kind], d[0], d[1], worst, at);
        if (kind == CUDA && !(d[0] < 1e-3 && d[1] < 1e-3 && worst < 2e-2))
            fail_msg("%s: f32 is too far from the processor's", path);
        pair_free(&p);
    }
}

static void named_file(void **state)
{
    compare_file(*state, 8);
}

/* Arguments are cfg files; then, or with CUDA_TEST=device, it is a real device that works. */
int main(int argc, char **argv)
{
    const struct CMUnitTest anywhere[] = {
        cmocka_unit_test(layers),
        cmocka_unit_test(host_between),
        cmocka_unit_test(steps),
        cmocka_unit_test(goes_on),
        cmocka_unit_test(statistics),
        cmocka_unit_test(parts_of_a_batch),
        cmocka_unit_test_setup_teardown(pictures, write_images, remove_images),
    };
    const struct CMUnitTest emulated[] = {
        cmocka_unit_test(the_fastest_is_kept),
        cmocka_unit_test(fused_inference),
        cmocka_unit_test(no_such_device),
        cmocka_unit_test(every_call_fails),
    };
    peer = CUDA;
    bool real = argc > 1 || getenv("CUDA_TEST");
    if (!real) {
        unsetenv("XDG_CACHE_HOME"); /* so that the kernels are compiled each time */
        unsetenv("HOME");
        open_mocks();
    }
    int failures = argc > 1 ? 0 : cmocka_run_group_tests_name("device", anywhere, NULL, NULL);
    for (int i = 1; i < argc; i++) {
        const struct CMUnitTest one[] = {cmocka_unit_test_prestate(named_file, argv[i])};
        failures += cmocka_run_group_tests_name(argv[i], one, NULL, NULL);
    }
    return failures + (real ? 0 : cmocka_run_group_tests_name("emulated", emulated, NULL, NULL));
}
