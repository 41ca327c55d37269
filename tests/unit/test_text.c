#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* What `put` writes, fresh memory. */
static char *shown_name(const char *text, int width, int *columns)
{
    char *shown;
    size_t n;
    FILE *f = ds_memstream(&shown, &n);
    *columns = ds_put_name(f, text, width);
    fclose(f);
    return shown;
}

static void names_are_shown_on_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
        int columns;
    } rows[] = {
        {"", "", 0},
        {"a b\\n.png", "a b\\n.png", 9}, /* no control character: as it is */
        {"na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80", "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80", 9},
        {"a\nb\tc\rd", "a\\nb\\tc\\rd", 10},
        {"\x1b[31mred\x7f", "\\x1b[31mred\\x7f", 15},
        {"\x01\x08", "\\x01\\x08", 8},
        {"\xc2\x9b"
         "0m",
         "\\xc2\\x9b0m", 10}, /* C1 in UTF-8 */
        {"\xc2\xa0", "\xc2\xa0", 1},
        {"\x9b", "\\x9b", 4},
        {"caf\xe9.png", "caf\\xe9.png", 11},                                         /* Latin-1 */
        {"\xe2\x82", "\\xe2\\x82", 8},                                               /* cut off */
        {"\xc0\xaf\xe0\x80\xaf", "\\xc0\\xaf\\xe0\\x80\\xaf", 20},                   /* longer than need be */
        {"\xed\xa0\x80\xf4\x90\x80\x80", "\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80", 28}, /* no code points */
        {"\xf0\x80\x80\x8a", "\\xf0\\x80\\x80\\x8a", 16},
        {"x\xe2\x80\xaegnp.exe", "x\\xe2\\x80\\xaegnp.exe", 20}, /* right to left from here */
        {"\xe2\x80\xa8\xe2\x81\xa6", "\\xe2\\x80\\xa8\\xe2\\x81\\xa6", 24},
        {"\xe2\x80\x94\xef\xbf\xbd", "\xe2\x80\x94\xef\xbf\xbd", 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int columns;
        char *shown = shown_name(rows[i].text, 0, &columns);
        assert_string_equal(shown, rows[i].shown);
        assert_int_equal(columns, rows[i].columns);
        assert_int_equal(ds_put_name(NULL, rows[i].text, 0), rows[i].columns);
        free(shown);
    }
}

static void blanks_fill_a_column_up(void **state)
{
    (void)state;
    int columns;
    char *shown = shown_name("na\xc3\xafve\n", 9, &columns), *full = shown_name("long", 3, &columns);
    assert_string_equal(shown, "na\xc3\xafve\\n  ");
    assert_string_equal(full, "long");
    free(shown);
    free(full);
}

static void an_error_is_one_line(void **state)
{
    (void)state;
    ds_error e = {0};
    char *shown;
    size_t n;
    FILE *f = ds_memstream(&shown, &n);
    ds_fail_at(&e, DS_EINPUT, "a\nerror: b", 7, "no '%s'", "\x1b[2J\nnote: all is well");
    ds_error_print(&e, f);
    fclose(f);
    assert_string_equal(shown, "error: a\\nerror: b:7: no '\\x1b[2J\\nnote: all is well'\n");
    free(shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_shown_on_one_line),
        cmocka_unit_test(blanks_fill_a_column_up),
        cmocka_unit_test(an_error_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
