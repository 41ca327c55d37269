#include "base/memory.h"
#include "base/text.h"
#include "select/answers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Answers to images of these paths; the label is the path, the confidence the place. */
static ds_answers answers_of(const char *file, const char *const *paths, size_t n)
{
    ds_answers a = {.n = n, .file = ds_strdup(file)};
    DS_ALLOC(a.paths, n);
    DS_ALLOC(a.labels, n);
    DS_ALLOC(a.confidences, n);
    for (size_t i = 0; i < n; i++) {
        a.paths[i] = ds_strdup(paths[i]);
        a.labels[i] = (int)i;
        a.confidences[i] = (double)i;
        DS_PUSH(a.names, a.classes, ds_strdup(paths[i]));
    }
    return a;
}

/* Match b with a: the confidences of b in their new order are `expected` (n_a), or the message holds `problem`. */
static void check(const char *const *a, size_t n_a, const char *const *b, size_t n_b, const double *expected,
                  const char *problem)
{
    ds_answers x = answers_of("x.csv", a, n_a), y = answers_of("y.csv", b, n_b);
    ds_error e = {0};
    int rc = ds_answers_match(&x, &y, &e);
    if (problem) {
        assert_int_equal(rc, DS_EINPUT);
        assert_string_equal(e.file, "y.csv");
        if (!strstr(e.text, problem))
            fail_msg("%s, expected %s", e.text, problem);
    } else {
        assert_int_equal(rc, DS_OK);
        for (size_t i = 0; i < n_a; i++) {
            assert_true(y.confidences[i] == expected[i]);
            assert_string_equal(y.paths[i], a[i]);
        }
    }
    ds_answers_clear(&x);
    ds_answers_clear(&y);
}

static void any_order_is_matched(void **state)
{
    (void)state;
    const char *a[] = {"c", "a", "b"}, *b[] = {"a", "b", "c"};
    check(a, 3, b, 3, (double[]){2, 0, 1}, NULL);
    check(b, 3, b, 3, (double[]){0, 1, 2}, NULL);
    check(NULL, 0, NULL, 0, NULL, NULL);
}

static void doubled_paths_are_matched_in_turn(void **state)
{
    (void)state;
    const char *a[] = {"x", "y", "x"}, *b[] = {"y", "x", "x"}, *once[] = {"x", "y"};
    check(a, 3, b, 3, (double[]){1, 0, 2}, NULL);
    check(a, 3, once, 2, NULL, "1 of the 3 images of x.csv are missing (first: 'x')");
}

/* The first by row, not by name. */
static void what_is_missing_is_counted(void **state)
{
    (void)state;
    const char *a[] = {"m", "z", "k", "b"}, *b[] = {"b", "w", "m", "d", "e"},
               *more[] = {"b", "w", "z", "k", "m", "d"};
    check(a, 4, b, 5, NULL, "2 of the 4 images of x.csv are missing (first: 'z')");
    check(a, 4, more, 6, NULL, "2 images are not in x.csv (first: 'w')");
    check(a, 4, NULL, 0, NULL, "4 of the 4 images of x.csv are missing (first: 'm')");
}

static void labels_are_compared_as_texts(void **state)
{
    (void)state;
    const char *a[] = {"c", "a", "b"}, *b[] = {"a", "b", "c"};
    ds_answers x = answers_of("x.csv", a, 3), y = answers_of("y.csv", b, 3);
    ds_error e = {0};
    y.labels[1] = 0;
    assert_int_equal(ds_answers_match(&x, &y, &e), DS_EINPUT);
    assert_non_null(strstr(e.text, "1 images have another label than in x.csv (first: 'b', 'a' for 'b')"));
    ds_answers_clear(&x);
    ds_answers_clear(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_is_matched),
        cmocka_unit_test(doubled_paths_are_matched_in_turn),
        cmocka_unit_test(what_is_missing_is_counted),
        cmocka_unit_test(labels_are_compared_as_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
