/* The oneDNN backend over many steps: dropout, statistics, parameters that change, learning, repeatability, memory, weights files. */
#include "tests/unit/onednn_pair.h"
#include "train/optimizer.h"

#include <dlfcn.h>
#include <unistd.h>

#define COUNT(v) (sizeof(v) / sizeof *(v))

static const char small_net[] = NET(8, 8, 3) CONV(16, 3, 1, "tanh", PAD BN) MAXPOOL(2, 2)
    CONV(32, 3, 1, "linear", PAD BN) CONV(32, 3, 1, "linear", PAD BN) SHORTCUT(-2, "tanh") "[avgpool]\n" HEAD;

/* ---- dropout ----------------------------------------------------------------------------------------------- */

enum { DROPPED = 300, CLASSES = 4 };

/* One picture through [connected] (300 numbers), [dropout], [connected] (4): the bias gradients of the first show what comes back through
 * the dropout, the weight gradients of the second what went out. */
static const char drop_net[] = NET(6, 6, 3) CONNECTED(300, "linear", "") "[dropout]\nprobability=.3\n" HEAD;

typedef struct mask {
    bool kept[DROPPED];
} mask;

static const ds_param *find(const ds_net *net, int layer, const char *name)
{
    int n;
    const ds_param *p = ds_net_params(net, &n);
    for (int i = 0; i < n; i++)
        if (p[i].layer == layer && strcmp(p[i].name, name) == 0)
            return &p[i];
    fail_msg("layer %d has no %s", layer, name);
    return NULL;
}

static void clear_gradients(ds_net *net)
{
    int n;
    const ds_param *p = ds_net_params(net, &n);
    for (int i = 0; i < n; i++)
        if (p[i].gradient)
            memset(p[i].gradient, 0, p[i].n * sizeof(float));
}

static void train_once(ds_net *net, const pair *p)
{
    ds_error e = {0};
    clear_gradients(net);
    check(ds_net_train(net, p->pixels, p->labels, p->ids, 0, p->loss[0], &e), &e, p->text);
}

/* The first layer's output: W x + b. */
static double undropped(const ds_net *net, const float *pixels, int j)
{
    const ds_param *w = find(net, 0, "weights"), *b = find(net, 0, "biases");
    size_t inputs = w->n / DROPPED;
    double sum = b->values[j];
    for (size_t i = 0; i < inputs; i++)
        sum += (double)w->values[(size_t)j * inputs + i] * pixels[i];
    return sum;
}

/* The mask of the pass before, seen from both sides, which must agree; kept numbers are scaled. */
static mask mask_of(const ds_net *net, const float *pixels)
{
    mask m;
    const float *back = find(net, 0, "biases")->gradient, *out = find(net, 2, "weights")->gradient;
    const float *delta = find(net, 2, "biases")->gradient, *w = find(net, 2, "weights")->values;
    for (int j = 0; j < DROPPED; j++) {
        double came = 0;
        m.kept[j] = out[j] != 0;
        for (int c = 0; c < CLASSES; c++) {
            assert_int_equal(out[c * DROPPED + j] != 0, m.kept[j]);
            came += (double)delta[c] * w[c * DROPPED + j];
        }
        assert_int_equal(back[j] != 0, m.kept[j]);
        if (!m.kept[j])
            continue;
        assert_float_equal(out[j] / delta[0], undropped(net, pixels, j) / .7, 1e-4);
        assert_float_equal(back[j], came / .7, 1e-5);
    }
    return m;
}

static int kept_of(const mask *m)
{
    int n = 0;
    for (int j = 0; j < DROPPED; j++)
        n += m->kept[j];
    return n;
}

static void dropout_masks(void **state)
{
    (void)state;
    pair p = pair_of(drop_net, 1, true, ONEDNN, ONEDNN);
    mask steps[4], again;
    int kept = 0;
    for (int s = 0; s < 4; s++) {
        train_once(p.net[0], &p);
        train_once(p.net[1], &p);
        steps[s] = mask_of(p.net[0], p.pixels);
        again = mask_of(p.net[1], p.pixels);
        assert_memory_equal(&steps[s], &again, sizeof again);
        kept += kept_of(&steps[s]);
        for (int before = 0; before < s; before++)
            assert_memory_not_equal(&steps[s], &steps[before], sizeof again);
    }
    /* 1200 numbers, standard deviation 16 */
    assert_true(abs(kept - 4 * DROPPED * 7 / 10) < 64);
    pair_free(&p);
}

/* Nothing is dropped in inference. */
static void dropout_sleeps(void **state)
{
    (void)state;
    pair p = pair_new(drop_net, 3, true);
    pair_train(&p);
    pair_forward(&p);
    check_logits(&p, "inference with dropout", 1e-4);
    pair_free(&p);
}

static float *all_gradients(const ds_net *net, size_t *n)
{
    int arrays;
    const ds_param *p = ds_net_params(net, &arrays);
    float *all = malloc(net->info.parameters * sizeof *all);
    *n = 0;
    for (int k = 0; k < arrays; k++)
        for (size_t i = 0; p[k].gradient && i < p[k].n; i++)
            all[(*n)++] = p[k].gradient[i];
    return all;
}

/* Masks depend on seed, step and place, not on threads: with others, every gradient would be. */
static void dropout_threads(void **state)
{
    (void)state;
    static const char text[] = NET(8, 8, 3) CONV(16, 3, 1, "tanh", PAD) "[dropout]\nprobability=.4\n" CONV(
        32, 3, 1, "tanh", PAD) "[dropout]\nprobability=.5\n" HEAD;
    pair p = pair_of(text, 3, true, ONEDNN, ONEDNN);
    ds_net_free(p.net[1]);
    p.net[1] = build(p.cfg, ONEDNN, 3, true, 1);
    vary_parameters(p.net[1]);
    for (int s = 0; s < 2; s++) {
        pair_train(&p);
        check_parameters(&p, "one thread", 1e-4);
    }
    pair_free(&p);
}

/* ---- batch normalisation ----------------------------------------------------------------------------------- */

static void draw_pixels(pair *p, int batch, int key)
{
    ds_rng r = ds_rng_make(12, (uint64_t)key, 0);
    for (int i = 0; i < batch * p->net[HOST]->info.inputs; i++)
        p->pixels[i] = (float)(ds_rng_uniform(&r) * (1 + key));
}

static void statistics(void **state)
{
    (void)state;
    static const char text[] = NET(7, 7, 3) CONV(16, 3, 1, "tanh", PAD BN)
        CONV(17, 1, 1, "tanh", BN) "[dropout]\nprobability=.5\n[batchnorm]\n" MAXPOOL(2, 2)
            CONNECTED(9, "tanh", BN) HEAD;
    pair p = pair_new(text, 5, true);
    ds_error e = {0};
    for (int k = HOST; k <= ONEDNN; k++) {
        ds_net_statistics_start(p.net[k]);
        for (int s = 0; s < 3; s++) {
            draw_pixels(&p, 5, s);
            check(ds_net_statistics_add(p.net[k], p.pixels, &e), &e, text);
        }
        ds_net_statistics_finish(p.net[k]);
    }
    check_parameters(&p, "statistics", 1e-4);
    const network *a = p.net[ONEDNN]->net, *b = p.net[HOST]->net;
    for (int i = 0; i < a->n; i++)
        if (b->layers[i].mean && b->layers[i].rolling_mean) {
            size_t n = (size_t)b->layers[i].out_c;
            assert_true(apart(a->layers[i].mean, b->layers[i].mean, n, .1) < 1e-5);
            assert_true(apart(a->layers[i].variance, b->layers[i].variance, n, 0) < 1e-5);
        }
    pair_forward(&p);
    check_logits(&p, "with new averages", 1e-4);
    pair_free(&p);
}

/* ---- parameters that change -------------------------------------------------------------------------------- */

static char *temporary(void)
{
    char *path = ds_strdup("/tmp/ds_test_XXXXXX");
    close(mkstemp(path));
    return path;
}

static void step(ds_net *net, ds_optimizer *o)
{
    ds_optimizer_step(o, .1f);
    ds_net_changed(net);
}

/* Steps, inference, new weights from a file: each shows in the next pass of either kind. */
static void changes_are_seen(void **state)
{
    (void)state;
    pair p = pair_new(small_net, 5, true);
    ds_error e = {0};
    ds_weights_info info;
    ds_optimizer *o[2];
    char *path = temporary();
    check(ds_net_save_weights(p.net[HOST], path, 1, &e), &e, path);
    for (int k = HOST; k <= ONEDNN; k++) {
        int n;
        const ds_param *q = ds_net_params(p.net[k], &n);
        o[k] = ds_optimizer_new(&p.cfg->net, q, n, 5);
    }
    for (int s = 0; s < 4; s++) {
        pair_train(&p);
        check_logits(&p, "training", 1e-3);
        if (s % 2)
            pair_forward(&p);
        for (int k = HOST; k <= ONEDNN; k++)
            step(p.net[k], o[k]);
        pair_forward(&p);
        check_logits(&p, "inference after a step", 1e-3);
    }
    for (int k = HOST; k <= ONEDNN; k++)
        check(ds_net_load_weights(p.net[k], path, -1, &info, &e), &e, path);
    pair_forward(&p);
    check_logits(&p, "loaded, inference", 1e-4);
    pair_train(&p);
    check_logits(&p, "loaded, training", 1e-4);
    for (int k = HOST; k <= ONEDNN; k++)
        ds_optimizer_free(o[k]);
    unlink(path);
    free(path);
    pair_free(&p);
}

/* An inference pass between forward and backward steps changes nothing, bit for bit. */
static void passes_do_not_disturb(void **state)
{
    (void)state;
    pair p = pair_of(small_net, 5, true, ONEDNN, ONEDNN);
    size_t n;
    ds_error e = {0};
    for (int s = 0; s < 3; s++) {
        check(ds_net_forward(p.net[1], p.pixels, p.net[1]->info.batch, &e), &e, small_net);
        pair_train(&p);
        float *a = all_gradients(p.net[0], &n), *b = all_gradients(p.net[1], &n);
        assert_memory_equal(a, b, n * sizeof *a);
        free(a);
        free(b);
    }
    pair_free(&p);
}

/* ---- learning ---------------------------------------------------------------------------------------------- */

enum { MANY_STEPS = 50, BATCH = 128 };

/* A class is a stripe of its own direction and colour under noise. */
static void draw_images(pair *p, int step_number)
{
    ds_rng r = ds_rng_make(11, (uint64_t)step_number, 0);
    for (int b = 0; b < BATCH; b++) {
        int label = p->labels[b] = (int)ds_rng_below(&r, CLASSES);
        for (int i = 0; i < 3 * 64; i++) {
            int x = i % 8, y = i / 8 % 8, c = i / 64;
            bool stripe = (label & 1 ? x : y) % 4 < 2 && c != label / 2;
            p->pixels[b * 192 + i] = (float)(ds_rng_uniform(&r) * .8 + (stripe ? .2 : 0));
        }
    }
}

static double mean_loss(const double *loss)
{
    double sum = 0;
    for (int b = 0; b < BATCH; b++)
        sum += loss[b];
    return sum / BATCH;
}

static void learns_alike(void **state)
{
    (void)state;
    pair p = pair_new(small_net, BATCH, true);
    ds_optimizer *o[2];
    double running[2] = {0}, first = 0;
    for (int k = HOST; k <= ONEDNN; k++) {
        int n;
        const ds_param *q = ds_net_params(p.net[k], &n);
        o[k] = ds_optimizer_new(&p.cfg->net, q, n, BATCH);
    }
    for (int s = 0; s < MANY_STEPS; s++) {
        draw_images(&p, s);
        pair_train(&p);
        for (int k = HOST; k <= ONEDNN; k++) {
            step(p.net[k], o[k]);
            double loss = mean_loss(p.loss[k]);
            running[k] = s ? .9 * running[k] + .1 * loss : loss;
        }
        first = s ? first : running[HOST];
        if (fabs(running[ONEDNN] - running[HOST]) > .01 * running[HOST])
            fail_msg("step %d: losses %g and %g", s, running[ONEDNN], running[HOST]);
    }
    print_message("loss %.3f, after %d steps %.4f and %.4f\n", first, MANY_STEPS, running[HOST],
                  running[ONEDNN]);
    assert_true(running[HOST] < .5 * first);
    for (int k = HOST; k <= ONEDNN; k++)
        ds_optimizer_free(o[k]);
    pair_free(&p);
}

/* ---- repeatability, memory --------------------------------------------------------------------------------- */

static void runs_are_equal(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        pair p = pair_of(small_net, 16, true, ONEDNN, ONEDNN);
        for (int k = 0; k < 2; k++) {
            ds_net_free(p.net[k]);
            p.net[k] = build(p.cfg, ONEDNN, 16, true, threads);
            vary_parameters(p.net[k]);
        }
        for (int s = 0; s < 3; s++) {
            size_t n;
            pair_train(&p);
            float *a = all_gradients(p.net[0], &n), *b = all_gradients(p.net[1], &n);
            assert_memory_equal(a, b, n * sizeof *a);
            assert_memory_equal(p.loss[0], p.loss[1], 16 * sizeof(double));
            free(a);
            free(b);
        }
        pair_forward(&p);
        assert_true(logits_apart(&p) == 0);
        pair_free(&p);
    }
}

static long resident_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

static void memory_stays(void **state)
{
    (void)state;
    static const char text[] = NET(6, 6, 3) CONV(16, 3, 1, "tanh", PAD BN) MAXPOOL(2, 2)
        CONV(16, 1, 1, "linear", BN) SHORTCUT(-2, "tanh") "[dropout]\nprobability=.2\n" HEAD;
    pair p = pair_of(text, 2, true, ONEDNN, ONEDNN);
    ds_net_free(p.net[0]);
    p.net[0] = build(p.cfg, ONEDNN, 2, true, 1);
    ds_error e = {0};
    long before = 0;
    for (int s = 0; s < 1020; s++) {
        train_once(p.net[0], &p);
        ds_net_changed(p.net[0]);
        check(ds_net_forward(p.net[0], p.pixels, p.net[0]->info.batch, &e), &e, text);
        before = s == 19 ? resident_bytes() : before;
    }
    long grown = resident_bytes() - before;
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed for a while */
    assert_true(grown < 1 << 20);
#endif
    print_message("%ld bytes more after 1000 steps\n", grown);
    pair_free(&p);
}

/* ---- weights files ----------------------------------------------------------------------------------------- */

/* Trained by one, saved, loaded into the other. */
static void weights_go_both_ways(void **state)
{
    (void)state;
    for (int from = HOST; from <= ONEDNN; from++) {
        pair p = pair_new(small_net, 5, true), q = pair_new(small_net, 5, false);
        ds_net *source = p.net[from], *target = q.net[!from];
        ds_error e = {0};
        ds_weights_info info;
        ds_optimizer *o;
        int n;
        char *path = temporary();
        const ds_param *params = ds_net_params(source, &n);
        o = ds_optimizer_new(&p.cfg->net, params, n, 5);
        for (int s = 0; s < 5; s++) {
            train_once(source, &p);
            step(source, o);
        }
        check(ds_net_save_weights(source, path, 25, &e), &e, path);
        check(ds_net_load_weights(target, path, -1, &info, &e), &e, path);
        check(ds_net_forward(source, p.pixels, source->info.batch, &e), &e, path);
        check(ds_net_forward(target, p.pixels, target->info.batch, &e), &e, path);
        assert_true(apart(target->net->output, source->net->output, 5 * CLASSES, 0) < 1e-4);
        ds_optimizer_free(o);
        unlink(path);
        free(path);
        pair_free(&p);
        pair_free(&q);
    }
}

/* Trained here, predicted by stock Darknet's own reader and code. */
static void stock_reads_them(void **state)
{
    (void)state;
    pair p = pair_of(small_net, 4, true, ONEDNN, ONEDNN);
    ds_error e = {0};
    char *weights = temporary(), *cfg = temporary();
    for (int s = 0; s < 3; s++)
        train_once(p.net[0], &p);
    check(ds_net_save_weights(p.net[0], weights, 12, &e), &e, weights);
    FILE *f = fopen(cfg, "w");
    fputs(small_net, f);
    fclose(f);
    void *host = dlopen("/usr/lib/darknet/libdarknet.so", RTLD_NOW | RTLD_LOCAL);
    network *(*load)(char *, char *, int) = (network * (*)(char *, char *, int)) dlsym(host, "load_network");
    float *(*predict)(network *, float *) = (float *(*)(network *, float *))dlsym(host, "network_predict");
    network *stock = load(cfg, weights, 0);
    const float *out = predict(stock, p.pixels);
    check(ds_net_forward(p.net[0], p.pixels, p.net[0]->info.batch, &e), &e, weights);
    assert_true(apart(p.net[0]->net->output, out, 4 * CLASSES, 0) < 1e-4);
    ((void (*)(network *))dlsym(host, "free_network"))(stock);
    unlink(cfg);
    unlink(weights);
    free(cfg);
    free(weights);
    pair_free(&p);
}

/* ---- a single value a channel ------------------------------------------------------------------------------ */

static int try_new(const char *text, int backend, int batch, bool train, ds_error *e)
{
    ds_cfg *cfg;
    ds_net *net;
    check(ds_cfg_parse(text, "test.cfg", &cfg, NULL, e), e, text);
    ds_net_setup s = {.batch = batch,
                      .train = train,
                      .samples = 9,
                      .epochs = 1,
                      .seed = 1,
                      .threads = 2,
                      .backend = backend == ONEDNN ? "onednn" : "host"};
    int rc = ds_net_new(cfg, &s, &net, e);
    ds_net_free(net);
    ds_cfg_free(cfg);
    return rc;
}

/* Their variance is 0 / 0. */
static void single_values_are_refused(void **state)
{
    (void)state;
    static const char *const nets[] = {
        NET(8, 8, 3) CONV(16, 3, 1, "tanh", PAD BN) CONNECTED(5, "tanh", BN) HEAD,
        NET(8, 8, 3) CONV(16, 3, 1, "tanh", PAD BN) CONV(16, 8, 1, "tanh", BN) HEAD,
        NET(8, 8, 3) "[avgpool]\n[batchnorm]\n" HEAD,
    };
    for (size_t i = 0; i < COUNT(nets); i++)
        for (int backend = HOST; backend <= ONEDNN; backend++) {
            ds_error e = {0};
            assert_int_equal(try_new(nets[i], backend, 1, true, &e), DS_EINPUT);
            assert_non_null(strstr(e.text, "layer 1"));
            assert_non_null(strstr(e.text, "single value"));
            check(try_new(nets[i], backend, 2, true, &e), &e, nets[i]);
            check(try_new(nets[i], backend, 1, false, &e), &e, nets[i]);
        }
}

/* See test_onednn.c. */
static void spin_less(char **argv)
{
    if (getenv("GOMP_SPINCOUNT"))
        return;
    setenv("GOMP_SPINCOUNT", "1000", 1);
    execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    (void)argc;
    spin_less(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dropout_masks),    cmocka_unit_test(dropout_sleeps),
        cmocka_unit_test(dropout_threads),  cmocka_unit_test(statistics),
        cmocka_unit_test(changes_are_seen), cmocka_unit_test(passes_do_not_disturb),
        cmocka_unit_test(learns_alike),     cmocka_unit_test(runs_are_equal),
        cmocka_unit_test(memory_stays),     cmocka_unit_test(weights_go_both_ways),
        cmocka_unit_test(stock_reads_them), cmocka_unit_test(single_values_are_refused),
    };
    return cmocka_run_group_tests_name("onednn training", tests, NULL, NULL);
}
