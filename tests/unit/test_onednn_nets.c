/* The classifiers that come with Darknet: logits of the oneDNN backend against the plain code, seeded weights, sane averages. Without
 * arguments the small ones; each argument is a cfg file. */
#include "tests/unit/onednn_pair.h"
#include "tests/unit/sane.h"

#include <time.h>
#include <unistd.h>

#define FOLDER "/usr/share/darknet/cfg/"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The last output that is not a [cost], which has none in inference. */
static const float *last_output(const ds_net *net, int *outputs)
{
    const layer *l = &net->net->layers[net->net->n - 1];
    l -= l->type == COST;
    *outputs = l->outputs;
    return l->output;
}

/* Logits, or the last output of a network without a cost section of ours. */
static float *results(const ds_cfg *cfg, int backend, int batch, size_t *n)
{
    ds_net *net = build(cfg, backend, batch, false, 2);
    ds_error e = {0};
    sane_averages(net);
    ds_rng r = ds_rng_make(1, 2, 3);
    size_t inputs = (size_t)net->info.batch * (size_t)net->info.inputs; /* with time_steps */
    float *pixels = malloc(inputs * sizeof *pixels);
    for (size_t i = 0; i < inputs; i++)
        pixels[i] = (float)ds_rng_uniform(&r);
    double start = now();
    check(ds_net_forward(net, pixels, net->info.batch, &e), &e, cfg->path);
    print_message("%s, batch %d, %s: %.3f s\n", cfg->path, batch, ds_net_get_info(net)->backend,
                  now() - start);
    int row = net->info.logits;
    const float *values = net->info.cost > 0 ? ds_net_logits(net) : last_output(net, &row);
    *n = (size_t)net->info.batch * (size_t)row;
    float *copy = malloc(*n * sizeof *copy);
    memcpy(copy, values, *n * sizeof *copy);
    free(pixels);
    ds_net_free(net);
    return copy;
}

static void compare_file(const char *path, int batch)
{
    ds_cfg *cfg;
    ds_error e = {0};
    size_t n;
    check(ds_cfg_read(path, &cfg, NULL, &e), &e, path);
    float *a = results(cfg, HOST, batch, &n), *b = results(cfg, ONEDNN, batch, &n);
    double d = apart(b, a, n, 0);
    assert_true(largest(a, n) > 0);
    print_message("%s, batch %d: %.1e apart\n", path, batch, d);
    if (!(d <= 1e-3))
        fail_msg("%s: %g apart", path, d);
    free(a);
    free(b);
    ds_cfg_free(cfg);
}

static void small_networks(void **state)
{
    (void)state;
    static const char *const names[] = {"cifar.cfg", "darknet.cfg", "tiny.cfg", "extraction.cfg",
                                        "resnet18.cfg"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int batch = 1; batch <= 2; batch++) {
            char *path = ds_format("%s%s", FOLDER, names[i]);
            compare_file(path, batch);
            free(path);
        }
}

/* What our reader refuses cannot be compared. */
static void named_file(void **state)
{
    ds_cfg *cfg;
    ds_error e = {0};
    if (ds_cfg_read(*state, &cfg, NULL, &e)) {
        print_message("%s:%d: %s\n", e.file, e.line, e.text);
        skip();
    }
    ds_cfg_free(cfg);
    compare_file(*state, 1);
}

int main(int argc, char **argv)
{
    if (!getenv("GOMP_SPINCOUNT")) {
        setenv("GOMP_SPINCOUNT", "20000", 1);
        execv("/proc/self/exe", argv);
    }
    const struct CMUnitTest small[] = {cmocka_unit_test(small_networks)};
    int failed = argc > 1 ? 0 : cmocka_run_group_tests_name("networks", small, NULL, NULL);
    for (int i = 1; i < argc; i++) {
        const struct CMUnitTest one[] = {cmocka_unit_test_prestate(named_file, argv[i])};
        failed += cmocka_run_group_tests_name(argv[i], one, NULL, NULL);
    }
    return failed;
}
