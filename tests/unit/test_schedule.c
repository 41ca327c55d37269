/* Learning rates against numbers of the host's get_current_rate, worked out by hand from its formulas. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "train/schedule.h"

#include <math.h>

static ds_net_options options(int policy)
{
    return (ds_net_options){
        .learning_rate = 0.1, .power = 4, .gamma = 1, .scale = 1, .step = 1, .policy = policy};
}

#define assert_rate(o, b, expected) \
    assert_float_equal(ds_schedule_rate(&(o), (b), 1), (expected), 1e-7 * (expected) + 1e-12)

static void test_constant_and_burn_in(void **state)
{
    (void)state;
    ds_net_options o = options(DS_CONSTANT);
    assert_rate(o, 0, 0.1);
    assert_rate(o, 1000000, 0.1);
    o.burn_in = 4;
    assert_rate(o, 0, 0);
    assert_rate(o, 1, 0.1 / 256);
    assert_rate(o, 3, 0.1 * 81 / 256);
    assert_rate(o, 4, 0.1);
}

static void test_burn_in_comes_before_every_policy(void **state)
{
    (void)state;
    for (int policy = DS_CONSTANT; policy <= DS_COSINE; policy++) {
        ds_net_options o = options(policy);
        o.burn_in = 10, o.power = 1, o.max_batches = 100;
        assert_rate(o, 5, 0.05);
    }
}

static void test_step(void **state)
{
    (void)state;
    ds_net_options o = options(DS_STEP);
    o.step = 10, o.scale = 0.5;
    assert_rate(o, 9, 0.1);
    assert_rate(o, 10, 0.05);
    assert_rate(o, 39, 0.0125);
}

static void test_steps(void **state)
{
    (void)state;
    double at[] = {100, 200}, by[] = {0.1, 0.5};
    ds_net_options o = options(DS_STEPS);
    o.steps = (ds_numbers){at, 2};
    o.scales = (ds_numbers){by, 2};
    assert_rate(o, 99, 0.1);
    assert_rate(o, 100, 0.01);
    assert_rate(o, 199, 0.01);
    assert_rate(o, 200, 0.005);
    /* the host multiplies floats */
    assert_true(ds_schedule_rate(&o, 200, 1) == 0.1f * 0.1f * 0.5f);
}

static void test_exp_poly_cosine_sigmoid(void **state)
{
    (void)state;
    ds_net_options o = options(DS_EXP);
    o.gamma = 0.5;
    assert_rate(o, 3, 0.0125);
    o = options(DS_POLY);
    o.max_batches = 100;
    assert_rate(o, 50, 0.00625);
    assert_rate(o, 100, 0);
    o = options(DS_COSINE);
    o.max_batches = 300;
    assert_rate(o, 0, 0.1);
    assert_rate(o, 100, 0.075);
    assert_rate(o, 150, 0.05);
    assert_rate(o, 300, 0);
    o = options(DS_SIGMOID);
    o.gamma = 0.1, o.step = 20;
    assert_rate(o, 20, 0.05);
    assert_rate(o, 40, 0.1 / (1 + exp(2)));
    assert_rate(o, 0, 0.1 / (1 + exp(-2)));
}

static void test_average_keeps_the_rate(void **state)
{
    (void)state;
    ds_net_options o = options(DS_COSINE);
    o.max_batches = 200, o.average = DS_AVERAGE_SWA, o.average_from = .499, o.average_rate = NAN;
    assert_int_equal(ds_schedule_average(&o), 100);
    assert_rate(o, 50, 0.05 * (1 + sqrt(.5)));
    assert_rate(o, 100, 0.05);
    assert_rate(o, 101, 0.05);
    assert_rate(o, 200, 0.05);
    o.average_rate = .01;
    assert_rate(o, 100, 0.05);
    assert_rate(o, 101, 0.01);
    o.average = DS_AVERAGE_EMA;
    assert_rate(o, 200, 0);
}

static void test_poly_is_the_hosts_float(void **state)
{
    (void)state;
    ds_net_options o = options(DS_POLY);
    o.max_batches = 3;
    float base = 1 - 1.0f / 3.0f;
    assert_true(ds_schedule_rate(&o, 1, 1) == (float)(0.1f * pow(base, 4.0)));
}

static void test_random(void **state)
{
    (void)state;
    ds_net_options o = options(DS_RANDOM);
    o.power = 1;
    double sum = 0;
    for (uint64_t b = 0; b < 1000; b++) {
        float rate = ds_schedule_rate(&o, b, 1);
        assert_true(rate >= 0 && rate <= 0.1f && rate == ds_schedule_rate(&o, b, 1));
        sum += rate;
    }
    assert_float_equal(sum / 1000, 0.05, 0.005);
    assert_true(ds_schedule_rate(&o, 7, 1) != ds_schedule_rate(&o, 7, 2));
    assert_true(ds_schedule_rate(&o, 7, 1) != ds_schedule_rate(&o, 8, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant_and_burn_in),
        cmocka_unit_test(test_burn_in_comes_before_every_policy),
        cmocka_unit_test(test_step),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_exp_poly_cosine_sigmoid),
        cmocka_unit_test(test_average_keeps_the_rate),
        cmocka_unit_test(test_poly_is_the_hosts_float),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
