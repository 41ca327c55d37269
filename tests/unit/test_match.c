#include "report/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

enum { MOST = 8 };

static ds_path_match matched(char *const *a, size_t n_a, char *const *b, size_t n_b, size_t *order)
{
    ds_path_match m;
    assert_int_equal(ds_match_paths(a, n_a, b, n_b, order, &m, NULL), 0);
    return m;
}

static void any_order_is_matched(void **state)
{
    (void)state;
    char *a[] = {"c", "a", "b"}, *b[] = {"a", "b", "c"};
    size_t order[MOST];
    ds_path_match m = matched(a, 3, b, 3, order);
    assert_true(m.missing == 0 && m.extra == 0 && !m.first_missing && !m.first_extra);
    assert_true(order[0] == 2 && order[1] == 0 && order[2] == 1);
    matched(b, 3, b, 3, order);
    assert_true(order[0] == 0 && order[1] == 1 && order[2] == 2);
    m = matched(NULL, 0, NULL, 0, order);
    assert_true(m.missing == 0 && m.extra == 0);
}

static void doubled_paths_are_matched_in_turn(void **state)
{
    (void)state;
    char *a[] = {"x", "y", "x"}, *b[] = {"y", "x", "x"};
    size_t order[MOST];
    ds_path_match m = matched(a, 3, b, 3, order);
    assert_true(m.missing == 0 && m.extra == 0);
    assert_true(order[0] == 1 && order[1] == 0 && order[2] == 2);
    char *once[] = {"x", "y"};
    m = matched(a, 3, once, 2, order);
    assert_true(m.missing == 1 && m.extra == 0);
    assert_string_equal(m.first_missing, "x");
}

/* The first by row, not by name. */
static void what_is_missing_is_counted(void **state)
{
    (void)state;
    char *a[] = {"m", "z", "k", "b"}, *b[] = {"b", "w", "m", "d", "e"};
    size_t order[MOST] = {9, 9, 9, 9};
    ds_path_match m = matched(a, 4, b, 5, order);
    assert_true(m.missing == 2 && m.extra == 3);
    assert_string_equal(m.first_missing, "z");
    assert_string_equal(m.first_extra, "w");
    assert_true(order[0] == 2 && order[3] == 0 && order[1] == 9);
    m = matched(a, 4, NULL, 0, order);
    assert_true(m.missing == 4 && m.extra == 0);
    assert_string_equal(m.first_missing, "m");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_is_matched),
        cmocka_unit_test(doubled_paths_are_matched_in_turn),
        cmocka_unit_test(what_is_missing_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
