/* The CUDA backend on emulated libraries (tests/gpu) against the plain code: layers, whole steps, borders to the host, and every call of
 * the libraries that can fail. */
#include "tests/unit/onednn_pair.h"
#include "base/file.h"
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

/* ---- what fails ---- */

/* Two steps, inference, a fetch, in bf16. */
static int everything(const ds_cfg *cfg, const float *pixels, const int *labels, const uint32_t *ids,
                      ds_error *e)
{
    ds_net *net;
    double loss[4];
    int n;
    ds_net_setup s = {.batch = 4,
                      .train = true,
                      .samples = 9,
                      .epochs = 9,
                      .threads = 1,
                      .backend = "cuda:1",
                      .precision = "bf16"};
    DS_TRY(ds_net_new(cfg, &s, &net, e));
    const ds_param *p = ds_net_params(net, &n);
    ds_optimizer *o = ds_optimizer_new(&cfg->net, p, n, 4);
    int rc = 0;
    for (int i = 0; i < 2 && !rc; i++) {
        rc = ds_net_train(net, pixels, labels, ids, 0, loss, e);
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
    const int stride = 31; /* they take their time */
#else
    const int stride = 1;
#endif
    int refused = 0, n = 0;
    check(ds_cfg_parse(text, "test.cfg", &cfg, NULL, &e), &e, text);
    const int before = alive();
    do {
        e = (ds_error){0};
        fail_at(n += stride);
        int rc = everything(cfg, pixels, labels, ids, &e);
        if (rc && (!strstr(e.text, "cuda") || !failed()))
            fail_msg("call %d, %s: '%s'", n, failed(), e.text);
        if (alive() != before)
            fail_msg("call %d, %s: %d are left behind", n, failed(), alive() - before);
        refused += rc != 0;
    } while (failed());
    fail_at(0);
    assert_true(n > 200);
    assert_true(refused > 100 / stride);
    ds_cfg_free(cfg);
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
        cmocka_unit_test(layers),  cmocka_unit_test(host_between), cmocka_unit_test(steps),
        cmocka_unit_test(goes_on), cmocka_unit_test(statistics),   cmocka_unit_test(parts_of_a_batch),
    };
    const struct CMUnitTest emulated[] = {
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
