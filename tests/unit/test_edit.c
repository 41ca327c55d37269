/* The keys of [reject] written into a cfg: everything else stays byte by byte, and the result is read as it was meant. */
#include "base/text.h"
#include "cfg/cfg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NET \
    "[net]\nwidth=8\nheight=8\nchannels=3\n\n# ten classes\n[connected]\noutput=10\nactivation=linear\n"

typedef struct edit_case {
    const char *what, *before, *after;
    const ds_pair *pairs;
    int n;
} edit_case;

static const ds_pair both[] = {{"threshold", "0.75", 0}, {"confidence", "margin", 0}};
static const ds_pair three[] = {
    {"threshold", "0.75", 0}, {"confidence", "msp", 0}, {"temperature", "1.5", 0}, {"pnorm_p", NULL, 0}};

static const edit_case cases[] = {
    {"a section at the end", NET "[softmax]\n",
     NET "[softmax]\n\n[reject]\nthreshold=0.75\nconfidence=margin\n", both, 2},
    {"no second empty line", NET "[softmax]\n# end\n\n",
     NET "[softmax]\n# end\n\n[reject]\nthreshold=0.75\nconfidence=margin\n", both, 2},
    {"no line ending at the end", NET "[sat]\ntarget=ema",
     NET "[sat]\ntarget=ema\n\n[reject]\nthreshold=0.75\nconfidence=margin\n", both, 2},
    {"values in their places, blanks and comments kept",
     NET "[softmax]\n[reject]\n; why\n  confidence = msp  \n#threshold=1\nthres hold=\t.5\n# last\n",
     NET "[softmax]\n[reject]\n; why\n  confidence = margin  \n#threshold=1\nthres hold=\t0.75\n# last\n",
     both, 2},
    {"a new key below the last one", NET "[softmax]\n[reject]\nconfidence=entropy\n\n# last\n",
     NET "[softmax]\n[reject]\nconfidence=margin\nthreshold=0.75\n\n# last\n", both, 2},
    {"an empty section", NET "[softmax]\n[reject]\n# last\n",
     NET "[softmax]\n[reject]\nthreshold=0.75\nconfidence=margin\n# last\n", both, 2},
    {"an empty section without line ending", NET "[softmax]\n[reject]",
     NET "[softmax]\n[reject]\nthreshold=0.75\nconfidence=margin\n", both, 2},
    {"a replaced value without line ending", NET "[softmax]\n[reject]\nthreshold=0.1\nconfidence=msp",
     NET "[softmax]\n[reject]\nthreshold=0.75\nconfidence=margin", both, 2},
    {"a key taken out", NET "[softmax]\n[reject]\nconfidence=pnorm\npnorm_p=3\n# last\n",
     NET "[softmax]\n[reject]\nconfidence=msp\nthreshold=0.75\ntemperature=1.5\n# last\n", three, 4},
    {"the last line taken out", NET "[softmax]\n[reject]\nconfidence=pnorm\npnorm_p=3",
     NET "[softmax]\n[reject]\nconfidence=msp\nthreshold=0.75\ntemperature=1.5\n", three, 4},
    {"other keys untouched", NET "[softmax]\n[reject]\nconfidence=pnorm\npnorm_p=3\ntemperature= 2\n",
     NET "[softmax]\n[reject]\nconfidence=pnorm\npnorm_p=3\ntemperature= 2\nthreshold=0.75\n", both, 1},
    {"a key of the same name in another section", NET "[softmax]\ntemperature=3\n[reject]\ntemperature=2\n",
     NET "[softmax]\ntemperature=3\n[reject]\ntemperature=1.5\nthreshold=0.75\nconfidence=msp\n", three, 4},
    {"a stock [cost] becomes comments", NET "[softmax]\ngroups=1\n\n[cost]\n# stays\n  type=sse\n\n",
     NET "[softmax]\ngroups=1\n\n# [cost]\n# stays\n#   "
         "type=sse\n\n[reject]\nthreshold=0.75\nconfidence=margin\n",
     both, 2},
};

static char *edit(const char *text, const ds_pair *pairs, int n)
{
    char *edited;
    ds_error e = {0};
    if (ds_cfg_edit_reject(text, "t.cfg", pairs, n, &edited, &e))
        fail_msg("%s:%d: %s\nin\n%s", e.file, e.line, e.text, text);
    return edited;
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const edit_case *c = &cases[i];
        char *edited = edit(c->before, c->pairs, c->n);
        if (strcmp(edited, c->after) != 0)
            fail_msg("%s: expected\n%s\ngot\n%s", c->what, c->after, edited);
        free(edited);
    }
}

/* Every "\n" as "\r\n"; fresh memory. */
static char *with_returns(const char *text)
{
    char *to = malloc(2 * strlen(text) + 1), *p = to;
    assert_non_null(to);
    for (; *text; text++) {
        if (*text == '\n')
            *p++ = '\r';
        *p++ = *text;
    }
    *p = '\0';
    return to;
}

static void test_line_endings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *before = with_returns(cases[i].before), *after = with_returns(cases[i].after);
        char *edited = edit(before, cases[i].pairs, cases[i].n);
        if (strcmp(edited, after) != 0)
            fail_msg("%s, CRLF: expected\n%s\ngot\n%s", cases[i].what, after, edited);
        free(before);
        free(after);
        free(edited);
    }
}

static void test_byte_order_mark(void **state)
{
    (void)state;
    char *edited = edit("\xef\xbb\xbf" NET "[softmax]\n", both, 1);
    assert_string_equal(edited, "\xef\xbb\xbf" NET "[softmax]\n\n[reject]\nthreshold=0.75\n");
    free(edited);
}

/* Writing the same keys again changes nothing. */
static void test_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *again = edit(cases[i].after, cases[i].pairs, cases[i].n);
        assert_string_equal(again, cases[i].after);
        free(again);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const ds_pair unknown[] = {{"treshold", "0.75", 0}};
    static const struct {
        const char *text;
        const ds_pair *pairs;
        int line;
        const char *part;
    } bad[] = {
        {NET "[softmax]\n[reject]\nthreshold=high\n", both, 12, "threshold"},
        {NET "[softmax]\n", unknown, 13, "treshold"},
        {NET "[softmax]\n[dropout]\n", both, 13, "[reject] after [dropout]"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *edited = (char *)1;
        ds_error e = {0};
        assert_int_equal(ds_cfg_edit_reject(bad[i].text, "t.cfg", bad[i].pairs, 1, &edited, &e), DS_EINPUT);
        assert_null(edited);
        assert_string_equal(e.file, "t.cfg");
        if (e.line != bad[i].line || !strstr(e.text, bad[i].part))
            fail_msg("expected line %d and '%s', got %d: %s", bad[i].line, bad[i].part, e.line, e.text);
    }
}

static void test_number_text(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *text;
    } numbers[] = {{0.75, "0.75"},
                   {80, "80"},
                   {0.1, "0.1"},
                   {1.0 / 3, "0.3333333333333333"},
                   {0.1 + 0.2, "0.30000000000000004"},
                   {-2.5, "-2.5"},
                   {1e-7, "1e-07"},
                   {0.7557969698352879, "0.7557969698352879"}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[DS_NUMBER_TEXT];
        double back;
        assert_string_equal(ds_number_text(numbers[i].v, text), numbers[i].text);
        assert_true(ds_parse_double(text, &back));
        assert_true(back == numbers[i].v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),           cmocka_unit_test(test_line_endings),
        cmocka_unit_test(test_byte_order_mark), cmocka_unit_test(test_again),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_number_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
