/* When a warm-up ends. */
#include "train/warmup.h"
#include "plugins/plugin.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* The epoch that it ends with, 0: with none of them; why is in *w. */
static int end_of(ds_warmup *w, int asked, int epochs, const double *gap, int n)
{
    *w = ds_warmup_begin(asked, epochs);
    for (int i = 0; i < n; i++)
        if (ds_warmup_epoch(w, i + 1, gap ? gap[i] : NAN)) {
            assert_int_equal(w->end, i + 1);
            assert_false(ds_warmup_epoch(w, i + 2, 0)); /* and no other time */
            return i + 1;
        }
    return 0;
}

static void counted(void **state)
{
    (void)state;
    static const double wide[] = {1, 2, 3, 4, 5};
    ds_warmup w;
    assert_int_equal(end_of(&w, 3, 10, wide, 5), 3);
    assert_string_equal(ds_warmup_names[w.state], "epochs");
    assert_int_equal(end_of(&w, 0, 10, wide, 5), 0);
    assert_string_equal(ds_warmup_names[w.state], "none");
    assert_int_equal(w.end, 0);
}

static void seen(void **state)
{
    (void)state;
    static const double gap[] = {0.3, -0.2, 0.15, 0.04, 0.09, 0.11, 0.3};
    ds_warmup w;
    assert_int_equal(end_of(&w, DS_WARMUP_AUTO, 30, gap, 7), 6);
    assert_string_equal(ds_warmup_names[w.state], "gap");
}

static void at_the_latest(void **state)
{
    (void)state;
    static const double narrow[] = {-9, 0, 0.01, 0.02, 0.05, 0.03, 0.06, 0.07, 0.09, 0.08};
    ds_warmup w;
    assert_int_equal(end_of(&w, DS_WARMUP_AUTO, 15, narrow, 10), 9);
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
        cmocka_unit_test(at_the_latest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
