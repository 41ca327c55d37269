/* The average of weights: its numbers, when it takes them, what is swapped, what a checkpoint has of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "train/average.h"

#include <math.h>
#include <string.h>

/* Two trained arrays and one that is not. */
static float first[3], fixed[2], last[2], unused[3];
static const ds_param params[] = {{.name = "biases", .values = first, .gradient = unused, .n = 3},
                                  {.name = "means", .values = fixed, .n = 2},
                                  {.name = "weights", .values = last, .gradient = unused, .n = 2}};

/* The weights after a batch: no two alike. */
static double weight(int batch, int i)
{
    return sin(3 * batch + i) + i;
}

static void train(int batch)
{
    for (int i = 0; i < 7; i++)
        *(i < 3 ? &first[i] : i < 5 ? &fixed[i - 3] : &last[i - 5]) = (float)weight(batch, i);
}

/* Does the average have the numbers of `want` (7), and the network those of batch `now` again after that? */
static void check(ds_average *a, const double *want, int now)
{
    assert_true(ds_average_swap(a));
    for (int i = 0; i < 7; i++) {
        const float got = i < 3 ? first[i] : i < 5 ? fixed[i - 3] : last[i - 5];
        assert_float_equal(got, i < 3 || i > 4 ? want[i] : weight(now, i), 1e-6);
    }
    assert_true(ds_average_swap(a));
    assert_true(first[1] == (float)weight(now, 1) && last[1] == (float)weight(now, 6));
}

static void ema(void **state)
{
    (void)state;
    const ds_net_options o = {.average = DS_AVERAGE_EMA, .ema_alpha = .25, .max_batches = 100};
    ds_average a = ds_average_new(&o, params, 3);
    double want[7];
    assert_false(ds_average_swap(&a));
    for (int batch = 1; batch <= 6; batch++) {
        const double k = batch - 1, d = k ? fmin(.25, (1 + k) / (10 + k)) : 0;
        train(batch);
        ds_average_add(&a, batch, false);
        ds_average_add(&a, batch, true); /* an end of an epoch is no other batch */
        for (int i = 0; i < 7; i++)
            want[i] = (batch > 1 ? d * want[i] : 0) + (1 - d) * weight(batch, i);
        check(&a, want, batch);
    }
    ds_average_clear(&a);
}

static void swa(void **state)
{
    (void)state;
    const ds_net_options o = {.average = DS_AVERAGE_SWA, .average_from = .4, .max_batches = 10};
    ds_average a = ds_average_new(&o, params, 3);
    double sum[7] = {0}, want[7];
    int n = 0;
    for (int batch = 1; batch <= 10; batch++) { /* epochs of two batches */
        train(batch);
        ds_average_add(&a, batch, false);
        if (batch % 2 == 0)
            ds_average_add(&a, batch, true);
        assert_true(ds_average_swap(&a) == (batch >= 6) && ds_average_swap(&a) == (batch >= 6));
        if (batch % 2 || batch < 6)
            continue;
        ds_average_add(&a, batch, true); /* again, by a run that goes on there */
        n++;
        for (int i = 0; i < 7; i++) {
            sum[i] += weight(batch, i);
            want[i] = sum[i] / n;
        }
        check(&a, want, batch);
    }
    ds_average_clear(&a);
}

/* A run that was complete is continued for longer: its average begins again. */
static void swa_of_a_longer_run(void **state)
{
    (void)state;
    ds_net_options o = {.average = DS_AVERAGE_SWA, .average_from = .5, .max_batches = 10};
    ds_average a = ds_average_new(&o, params, 3);
    double want[7];
    train(10);
    ds_average_add(&a, 10, true);
    o.max_batches = 40;
    train(11);
    ds_average_add(&a, 11, false);
    assert_false(ds_average_swap(&a));
    train(30);
    ds_average_add(&a, 30, true);
    for (int i = 0; i < 7; i++)
        want[i] = weight(30, i);
    check(&a, want, 30);
    ds_average_clear(&a);
}

static void arrays(void **state)
{
    (void)state;
    ds_net_options o = {.average = DS_AVERAGE_NONE};
    ds_saved saved[2];
    ds_average a = ds_average_new(&o, params, 3);
    assert_int_equal(ds_average_arrays(&a, saved), 0);
    ds_average_add(&a, 1, true);
    assert_false(ds_average_swap(&a));
    ds_average_clear(&a);
    o.average = DS_AVERAGE_EMA;
    a = ds_average_new(&o, params, 3);
    assert_int_equal(ds_average_arrays(&a, saved), 2);
    assert_int_equal(saved[0].rows, 5);
    ds_average_clear(&a);
}

static void too_few_epochs(void **state)
{
    (void)state;
    ds_pair pairs[] = {{"average_from", "0.9", 7}};
    ds_section net = {.name = "net", .line = 1, .pairs = pairs, .n = 1};
    ds_cfg cfg = {
        .path = "x.cfg", .sections = &net, .n = 1, .net = {.average = DS_AVERAGE_SWA, .average_from = .75}};
    ds_error e = {0};
    assert_int_equal(ds_average_check(&cfg, 8, &e), 0);
    assert_int_equal(ds_average_check(&cfg, 7, &e), DS_EINPUT);
    assert_int_equal(e.line, 7);
    assert_non_null(strstr(e.text, "leaves 1.75 of 7 epochs"));
    cfg.net.average = DS_AVERAGE_EMA;
    assert_int_equal(ds_average_check(&cfg, 1, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ema),
        cmocka_unit_test(swa),
        cmocka_unit_test(swa_of_a_longer_run),
        cmocka_unit_test(arrays),
        cmocka_unit_test(too_few_epochs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
