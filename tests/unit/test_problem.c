/* An error that collects: what is kept, what a step answers, how it is printed. */
#include "base/memory.h"
#include "base/option.h"
#include "base/problem.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A reader of lines: each one above 0 is wrong. */
static int read_lines(const int *lines, int n, ds_error *e)
{
    const int before = ds_failures(e);
    for (int i = 0; i < n; i++)
        DS_TRY(ds_keep(e, lines[i] ? ds_fail_at(e, DS_EINPUT, "f", lines[i], "line %d", lines[i]) : DS_OK));
    return ds_failed_since(e, before);
}

static char *print(ds_problems *p)
{
    char *text;
    size_t size;
    FILE *f = ds_memstream(&text, &size);
    ds_problems_print(p, f);
    fclose(f);
    return text;
}

static void test_without(void **state)
{
    (void)state;
    ds_error e = {0};
    const int lines[] = {0, 3, 4};
    assert_int_equal(read_lines(lines, 3, NULL), DS_EINPUT);
    assert_int_equal(read_lines(lines, 3, &e), DS_EINPUT);
    assert_int_equal(e.line, 3);
    assert_false(e.kept);
    assert_int_equal(read_lines(lines, 1, &e), DS_OK);
}

/* A failure of a reader is told once, whoever keeps it again, and a sound one after it does not fail. */
static void test_all(void **state)
{
    (void)state;
    ds_problems all = {0};
    ds_error e = {.all = &all};
    const int lines[] = {7, 0, 3, 5}, sound[] = {0, 0};
    assert_int_equal(read_lines(lines, 4, &e), DS_EINPUT);
    assert_true(e.kept);
    assert_int_equal(ds_keep(&e, DS_EINPUT), DS_OK);
    assert_int_equal(ds_failures(&e), 3);
    assert_int_equal(read_lines(sound, 2, &e), DS_OK);
    assert_int_equal(ds_fail_at(&e, DS_EIO, NULL, 0, "once more"), DS_EIO);
    assert_false(e.kept);
    assert_int_equal(ds_keep(&e, DS_EIO), DS_OK);
    char *text = print(&all);
    assert_string_equal(text,
                        "error: f:3: line 3\nerror: f:5: line 5\nerror: f:7: line 7\nerror: once more\n");
    free(text);
    ds_problems_clear(&all);
    assert_int_equal(ds_failures(&e), 0);
}

static void test_many(void **state)
{
    (void)state;
    ds_problems all = {0};
    for (int i = 1; i <= 25; i++)
        ds_problem_add(&all, DS_WARNING, "f", i, "line %d", i);
    ds_problem_add(&all, DS_ERROR, "f", 1, "another");
    char *text = print(&all);
    assert_null(strstr(text, "f:21:"));
    assert_non_null(
        strstr(text, "warning: f:20: line 20\nwarning: f: and 5 more of this kind\nerror: f:1: another\n"));
    assert_int_equal(all.count[DS_WARNING], 25);
    free(text);
    ds_problems_clear(&all);
}

static void test_notes(void **state)
{
    (void)state;
    static const struct {
        const char *note, *file, *text;
        int line;
        ds_severity severity;
    } cases[] = {{"warning: a b.cfg:12: batch: 1", "a b.cfg", "batch: 1", 12, DS_WARNING},
                 {"note: x: 3 of 5: left out", "", "x: 3 of 5: left out", 0, DS_NOTE},
                 {"note: a:b:7: c:8: d", "a:b", "c:8: d", 7, DS_NOTE},
                 {"note: a:9", "", "a:9", 0, DS_NOTE}};
    ds_problems all = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ds_notes notes = {0};
        ds_note(&notes, "%s", cases[i].note);
        ds_problems_take(&all, &notes);
        assert_int_equal(notes.n, 0);
        assert_int_equal(all.n, 1);
        assert_string_equal(all.v->file, cases[i].file);
        assert_string_equal(all.v->text, cases[i].text);
        assert_int_equal(all.v->line, cases[i].line);
        assert_int_equal(all.v->severity, cases[i].severity);
        ds_problems_clear(&all);
    }
}

typedef struct keys {
    int number, word;
    double real;
} keys;

/* All wrong keys are told; what they would have set stays at its default. */
static void test_options(void **state)
{
    (void)state;
#define DS_STATE keys
    static const char *const words[] = {"one", "two", NULL};
    static const ds_option table[] = {OPT_INT("number", number, "", .def = "4", OPT_RANGE(1, 9)),
                                      OPT_ENUM("word", word, words, "", .def = "two"),
                                      OPT_REAL("real", real, "", .def = "0.5", OPT_RANGE(0, 1)), OPT_END};
    ds_pair pairs[] = {{"word", "three", 1}, {"unknown", "1", 2}, {"real", "7", 3}, {"number", "10", 4}};
    ds_problems all = {0};
    ds_error e = {.all = &all};
    keys k = {0};
    assert_int_equal(ds_option_fill(table, &k, pairs, 4, "here", "f", &e), DS_EINPUT);
    assert_int_equal(all.count[DS_ERROR], 4);
    assert_int_equal(k.number, 4);
    assert_int_equal(k.word, 1);
    assert_true(k.real == .5);
    ds_problems_clear(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_without), cmocka_unit_test(test_all),
                                       cmocka_unit_test(test_many), cmocka_unit_test(test_notes),
                                       cmocka_unit_test(test_options)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
