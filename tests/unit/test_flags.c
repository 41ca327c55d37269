#include "cli/flags.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct state {
    bool clear;
    int seed, kind;
    double threshold;
    char *json;
    ds_texts split;
    char *pairs;
} state;

static const char *const kinds[] = {"msp", "margin", NULL};
static const ds_option table[] = {
    {"clear", DS_FLAG, offsetof(state, clear), NULL, 0, 0, NULL, NULL, NULL, "start at zero"},
    {"seed", DS_INT, offsetof(state, seed), "1", 0, 100, NULL, NULL, NULL, "of the randomness"},
    {"threshold", DS_REAL, offsetof(state, threshold), NULL, 0, 0, NULL, NULL, NULL, "of the confidence"},
    {"confidence", DS_ENUM, offsetof(state, kind), "msp", 0, 0, NULL, kinds, NULL, "which one"},
    {"json", DS_TEXT, offsetof(state, json), NULL, 0, 0, "F", NULL, NULL, "file"},
    {"split", DS_TEXTS, offsetof(state, split), NULL, 0, 0, "NAME=COUNT", NULL, NULL, "parts"},
    {"pair", DS_TEXT, offsetof(state, pairs), NULL, 0, 0, "A B", NULL, NULL, "two, again and again"},
    {.type = DS_END},
};

enum { MAX = 2 };
typedef struct parsed {
    state s;
    const char *operands[MAX];
    int n, rc;
    ds_error e;
} parsed;

static parsed parse(char **argv)
{
    parsed p = {0};
    int argc = 0;
    while (argv[argc])
        argc++;
    ds_words w = {.table = table, .state = &p.s};
    p.rc = ds_words_read(&w, argc, argv, MAX, &p.e);
    p.n = w.n;
    memcpy(p.operands, w.operands, sizeof p.operands);
    free(w.operands);
    return p;
}
#define PARSE(...) parse((char *[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void fails(parsed p, const char *part)
{
    assert_int_equal(p.rc, DS_EUSAGE);
    if (!strstr(p.e.text, part))
        fail_msg("'%s' does not say '%s'", p.e.text, part);
    ds_option_clear(table, &p.s);
}

static void defaults_without_words(void **unused)
{
    (void)unused;
    parsed p = PARSE();
    assert_int_equal(p.rc, DS_OK);
    assert_int_equal(p.n, 0);
    assert_false(p.s.clear);
    assert_int_equal(p.s.seed, 1);
    assert_int_equal(p.s.kind, 0);
    assert_true(isnan(p.s.threshold));
    assert_null(p.s.json);
    ds_option_clear(table, &p.s);
}

static void one_and_two_dashes_mixed_with_operands(void **unused)
{
    (void)unused;
    parsed p =
        PARSE("a.data", "-seed", "7", "--clear", "a.cfg", "--threshold", "0.5", "-confidence", "margin");
    assert_int_equal(p.rc, DS_OK);
    assert_int_equal(p.n, 2);
    assert_string_equal(p.operands[0], "a.data");
    assert_string_equal(p.operands[1], "a.cfg");
    assert_int_equal(p.s.seed, 7);
    assert_true(p.s.clear);
    assert_int_equal(p.s.kind, 1);
    assert_true(p.s.threshold == 0.5);
    ds_option_clear(table, &p.s);
}

static void dash_is_a_value_and_negative_numbers_too(void **unused)
{
    (void)unused;
    parsed p = PARSE("-json", "-", "-threshold", "-2.5e1", "-");
    assert_int_equal(p.rc, DS_OK);
    assert_string_equal(p.s.json, "-");
    assert_true(p.s.threshold == -25);
    assert_int_equal(p.n, 1);
    assert_string_equal(p.operands[0], "-");
    ds_option_clear(table, &p.s);
}

static void pairs_add_up(void **unused)
{
    (void)unused;
    parsed p = PARSE("-pair", "a", "b", "x", "--pair", "c", "-1");
    assert_int_equal(p.rc, DS_OK);
    assert_string_equal(p.s.pairs, "a,b,c,-1");
    assert_string_equal(p.operands[0], "x");
    ds_option_clear(table, &p.s);
    fails(PARSE("-pair", "a"), "-pair without a value, expected text, A B");
    fails(PARSE("-pair", "a", "-clear"), "-pair without a value");
}

static void a_refused_word_leaves_what_was_there(void **unused)
{
    (void)unused;
    parsed p = PARSE("-confidence", "sure");
    assert_int_equal(p.rc, DS_EUSAGE);
    assert_int_equal(p.s.kind, 0); /* it is an index: that of the default */
    ds_option_clear(table, &p.s);
}

static void two_dashes_end_the_flags(void **unused)
{
    (void)unused;
    parsed p = PARSE("--", "-seed", "--");
    assert_int_equal(p.rc, DS_OK);
    assert_int_equal(p.n, 2);
    assert_string_equal(p.operands[0], "-seed");
    assert_string_equal(p.operands[1], "--");
    assert_int_equal(p.s.seed, 1);
    ds_option_clear(table, &p.s);
}

static void texts_may_repeat_others_not(void **unused)
{
    (void)unused;
    parsed p = PARSE("-split", "valid=3", "-split", "calib=4");
    assert_int_equal(p.rc, DS_OK);
    assert_int_equal(p.s.split.n, 2);
    assert_string_equal(p.s.split.v[1], "calib=4");
    ds_option_clear(table, &p.s);
    fails(PARSE("-seed", "1", "--seed", "2"), "-seed given twice");
    fails(PARSE("-clear", "-clear"), "-clear given twice");
}

static void unknown_flags_name_the_nearest(void **unused)
{
    (void)unused;
    fails(PARSE("-sede", "3"), "unknown flag '-sede', did you mean '-seed'?");
    fails(PARSE("--treshold", "3"), "did you mean '-threshold'?");
    fails(PARSE("-xyzzyplugh"), "unknown flag '-xyzzyplugh', expected one of the flags");
    fails(PARSE("-5"), "unknown flag '-5'");
}

static void values_are_needed_and_checked(void **unused)
{
    (void)unused;
    fails(PARSE("-seed"), "-seed without a value, expected an integer from 0 to 100");
    fails(PARSE("-json", "-clear"), "-json without a value");
    fails(PARSE("-seed", "--", "3"), "-seed without a value");
    fails(PARSE("-seed", "x"), "-seed x, expected an integer from 0 to 100");
    fails(PARSE("-seed", "101"), "-seed 101, expected");
    fails(PARSE("-seed", "99999999999999999999"), "-seed 99999999999999999999, expected");
    fails(PARSE("-threshold", "nan"), "-threshold nan, expected a number");
    fails(PARSE("-confidence", "mps"), "-confidence mps, expected msp|margin; did you mean 'msp'?");
}

static void operands_are_counted(void **unused)
{
    (void)unused;
    fails(PARSE("a", "b", "c"), "unexpected argument 'c', expected at most 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_without_words),
        cmocka_unit_test(one_and_two_dashes_mixed_with_operands),
        cmocka_unit_test(dash_is_a_value_and_negative_numbers_too),
        cmocka_unit_test(pairs_add_up),
        cmocka_unit_test(a_refused_word_leaves_what_was_there),
        cmocka_unit_test(two_dashes_end_the_flags),
        cmocka_unit_test(texts_may_repeat_others_not),
        cmocka_unit_test(unknown_flags_name_the_nearest),
        cmocka_unit_test(values_are_needed_and_checked),
        cmocka_unit_test(operands_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
