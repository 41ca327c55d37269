/* What `classifier calibrate` says: percentages without rounding, the sentence of the promise. */
#include "report/calibration.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_percent(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *percent, *rest;
    } cases[] = {
        {0.001, "0.1 %", "99.9 %"},
        {0.02, "2 %", "98 %"},
        {0.05, "5 %", "95 %"},
        {0.1, "10 %", "90 %"},
        {0.5, "50 %", "50 %"},
        {0.25, "25 %", "75 %"},
        {0.9, "90 %", "10 %"},
        {0.07, "7 %", "93 %"},
        {0.29, "29 %", "71 %"},
        {0.0123, "1.23 %", "98.77 %"},
        {0.999999, "99.9999 %", "0.0001 %"},
        {1e-6, "0.0001 %", "99.9999 %"},
        {1.5e-9, "0.00000015 %", "99.99999985 %"},
        {0.1 + 0.2, "30.000000000000004 %", "69.999999999999996 %"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[DS_PERCENT_TEXT];
        assert_string_equal(ds_percent_text(cases[i].v, false, text), cases[i].percent);
        assert_string_equal(ds_percent_text(cases[i].v, true, text), cases[i].rest);
    }
}

static void test_smallest(void **state)
{
    (void)state;
    char text[DS_PERCENT_TEXT];
    assert_memory_equal(ds_percent_text(5e-324, true, text), "99.999", 6);
    assert_int_equal(strlen(text), 2 + 1 + 322 + 2);
    assert_string_equal(text + 320, "99995 %");
    ds_percent_text(2.2250738585072014e-308, true, text);
    assert_int_equal(strlen(text), 2 + 1 + 322 + 2);
    ds_percent_text(nextafter(1, 0), false, text);
    assert_string_equal(text, "99.99999999999999 %");
}

static char *text_of(const ds_calibration *c)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    ds_calibration_text(f, c);
    fclose(f);
    return text;
}

static void expect_text(const ds_calibration *c, const char *expected)
{
    char *text = text_of(c);
    assert_string_equal(text, expected);
    free(text);
}

static void test_text(void **state)
{
    (void)state;
    ds_calibration c = {.list = "p.csv",
                        .images = 400,
                        .temperature = 1,
                        .nll = {NAN, NAN},
                        .risk = 0.02,
                        .delta = 0.001,
                        .cut = {0.75, 300, 3, 0.75, 0.01}};
    expect_text(
        &c, "list             p.csv\n"
            "images           400, all for the threshold\n"
            "threshold        0.75\n"
            "coverage         75.00 % (300 accepted)\n"
            "reject rate      25.00 % (100 rejected)\n"
            "selective risk   1.00 % (3 errors among the accepted)\n"
            "with probability at least 99.9 % over the draw of the calibration images, the error rate among "
            "accepted images of the same kind is at most 2 %\n");
    c.model = "m.weights";
    c.fitted_on = 200;
    c.seed = 7;
    c.confidence = "margin";
    c.candidates[0] = (ds_candidate){"msp", 0.25, 0};
    c.candidates[1] = (ds_candidate){"margin", 0.125, 1.5};
    c.n_candidates = 2;
    c.temperature = 2;
    c.nll[0] = 0.5;
    c.nll[1] = 0.25;
    c.n_nan = 1;
    c.risk = NAN;
    c.coverage = 0.8;
    c.cut = (ds_cut){0.5, 0, 0, 0, NAN};
    expect_text(
        &c, "model            m.weights\n"
            "list             p.csv\n"
            "images           400: 200 to fit on, the other 200 for the threshold (-seed 7)\n"
            "  no confidence  1 (never accepted)\n"
            "temperature      2 (fitted; NLL of the images not fitted on: 0.250000, with 1 0.500000)\n"
            "confidence       margin (lowest AURC of the images fitted on)\n"
            "  msp            0.250000\n"
            "  margin         0.125000  at temperature 1.5\n"
            "threshold        0.5\n"
            "coverage         0.00 % (0 accepted)\n"
            "reject rate      100.00 % (200 rejected)\n"
            "selective risk   undefined\n"
            "no guarantee: the threshold was set for its coverage of these images (-risk R -delta D gives "
            "one)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percent),
        cmocka_unit_test(test_smallest),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
