/* When a warm-up ends. */
#include "train/warmup.h"
#include "plugins/plugin.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* The epoch that it ends with, 0: with none of them; why is in *w. */
static int end_of(ds_warmup *w, int asked, int epochs, const double *nll, int n)
{
    *w = ds_warmup_begin(asked, epochs, 10);
    for (int i = 0; i < n; i++)
        if (ds_warmup_epoch(w, i + 1, nll ? nll[i] : NAN)) {
            assert_int_equal(w->end, i + 1);
            assert_false(ds_warmup_epoch(w, i + 2, 9)); /* and no other time */
            return i + 1;
        }
    return 0;
}

static void counted(void **state)
{
    (void)state;
    static const double rising[] = {1, 2, 3, 4, 5};
    ds_warmup w;
    assert_int_equal(end_of(&w, 3, 10, rising, 5), 3);
    assert_string_equal(ds_warmup_names[w.state], "epochs");
    assert_int_equal(end_of(&w, 0, 10, rising, 5), 0);
    assert_string_equal(ds_warmup_names[w.state], "none");
    assert_int_equal(w.end, 0);
}

static void seen(void **state)
{
    (void)state;
    /* means 2.5, 1.75, 1.3, 1.305, 1.305, 1.2, 1.209, 1.22 */
    static const double nll[] = {3, 2, 1.5, 1.1, 1.51, 1.1, 1.3, 1.118, 1.322};
    ds_warmup w;
    assert_int_equal(end_of(&w, DS_WARMUP_AUTO, 30, nll, 9), 9);
    assert_string_equal(ds_warmup_names[w.state], "nll");
    assert_int_equal(w.at, 7);
    assert_true(w.lowest == (1.1 + 1.3) / 2);
    assert_int_equal(end_of(&w, DS_WARMUP_AUTO, 30, nll, 8), 0);
}

/* Ten classes: a guess has 2.303. */
static void knows_nothing_yet(void **state)
{
    (void)state;
    static const double nll[] = {2.39, 2.28, 2.295, 2.3, 2.3, 2.3, 2.26, 2.24, 2.25, 2.255, 2.27};
    ds_warmup w;
    assert_int_equal(end_of(&w, DS_WARMUP_AUTO, 30, nll, 11), 11);
    assert_string_equal(ds_warmup_names[w.state], "nll");
    assert_int_equal(w.at, 9);
}

static void at_the_latest(void **state)
{
    (void)state;
    static const double falling[] = {10, 9, 8, 7, 6, 5, 4, 3, 2, 1};
    ds_warmup w;
    assert_int_equal(end_of(&w, DS_WARMUP_AUTO, 15, falling, 10), 9);
    assert_string_equal(ds_warmup_names[w.state], "latest");
    assert_int_equal(end_of(&w, DS_WARMUP_AUTO, 15, NULL, 10), 9); /* no images held out */
    assert_string_equal(ds_warmup_names[w.state], "latest");
    assert_int_equal(end_of(&w, DS_WARMUP_AUTO, 1, NULL, 1), 0); /* none at all */
    assert_string_equal(ds_warmup_names[w.state], "latest");
    assert_int_equal(w.end, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counted),
        cmocka_unit_test(seen),
        cmocka_unit_test(knows_nothing_yet),
        cmocka_unit_test(at_the_latest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
