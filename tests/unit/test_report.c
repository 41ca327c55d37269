#include "report/report.h"
#include "base/file.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char csv_path[] = "/tmp/test_report_XXXXXX";

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(csv_path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(csv_path);
}

static void put_bytes(const char *bytes, size_t n)
{
    FILE *f = fopen(csv_path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static ds_csv read_text(const char *text)
{
    ds_csv csv;
    ds_error e = {0};
    put_bytes(text, strlen(text));
    if (ds_report_csv_read(csv_path, &csv, &e))
        fail_msg("line %d: %s", e.line, e.text);
    return csv;
}

/* ---- CSV ---- */

static const char *const names[] = {"shirt", "T-shirt, \"top\"", "line\nbreak", "naïve"};
static const ds_prediction rows[] = {
    {"a b/c.png", 0, 0, 0.1},
    {"with,comma.png", 1, 0, 1 / 3.0},
    {"with\rreturn.png", 1, 1, 1 - 0x1p-53},
    {"with\nnewline.png", 2, 2, -1e-300},
    {"", 3, 2, NAN},
    {"last.png", 3, 3, 0.5},
};
enum { ROWS = sizeof rows / sizeof *rows };

/* What `write` prints for `s`, fresh memory. */
static char *written_csv(const ds_selection *s)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    assert_int_equal(ds_report_csv_write(f, s, NULL), 0);
    fclose(f);
    return text;
}

static void csv_is_written_exactly(void **state)
{
    (void)state;
    char *text = written_csv(&(ds_selection){rows, ROWS, names, 0.5});
    assert_string_equal(text, "path,label,prediction,confidence,accepted\n"
                              "a b/c.png,shirt,shirt,0.10000000000000001,0\n"
                              "\"with,comma.png\",\"T-shirt, \"\"top\"\"\",shirt,0.33333333333333331,0\n"
                              "\"with\rreturn.png\",\"T-shirt, \"\"top\"\"\",\"T-shirt, \"\"top\"\"\","
                              "0.99999999999999989,1\n"
                              "\"with\nnewline.png\",\"line\nbreak\",\"line\nbreak\",-1e-300,0\n"
                              ",naïve,\"line\nbreak\",nan,0\n"
                              "last.png,naïve,naïve,0.5,1\n");
    free(text);
}

static void csv_comes_back(void **state)
{
    (void)state;
    char *text = written_csv(&(ds_selection){rows, ROWS, names, NAN});
    ds_csv csv = read_text(text);
    assert_int_equal(csv.n, ROWS);
    for (size_t i = 0; i < csv.n; i++) {
        assert_string_equal(csv.path[i], rows[i].path);
        assert_int_equal(csv.wrong[i], rows[i].label != rows[i].prediction);
        if (isnan(rows[i].confidence))
            assert_true(isnan(csv.confidence[i]));
        else
            assert_true(csv.confidence[i] == rows[i].confidence);
    }
    ds_csv_clear(&csv);
    free(text);
}

static void columns_come_in_any_order(void **state)
{
    (void)state;
    ds_csv csv = read_text("\xEF\xBB\xBF\"confidence\",extra, prediction ,label\r\n"
                           "0.5,\"x\r\n\"\"y\"\"\",cat,\"cat\"\r\n"
                           "\r\n"
                           "-NaN,,dog,\"cat\"\r\n"
                           "1e-3,,Cat,cat\r");
    assert_int_equal(csv.n, 3);
    assert_null(csv.path);
    assert_true(csv.confidence[0] == 0.5 && isnan(csv.confidence[1]) && csv.confidence[2] == 1e-3);
    assert_true(!csv.wrong[0] && csv.wrong[1] && csv.wrong[2]);
    ds_csv_clear(&csv);
}

static void short_files_are_read(void **state)
{
    (void)state;
    const char *const without_rows[] = {"label,prediction,confidence", "label,prediction,confidence\n\n"};
    for (int i = 0; i < 2; i++) {
        ds_csv csv = read_text(without_rows[i]);
        assert_int_equal(csv.n, 0);
        ds_csv_clear(&csv);
    }
    ds_csv csv = read_text("label,confidence,prediction,path\na,1,a,");
    assert_int_equal(csv.n, 1);
    assert_string_equal(csv.path[0], "");
    ds_csv_clear(&csv);
    csv = read_text("label,confidence,prediction\na,1,\"a\"");
    assert_true(csv.n == 1 && !csv.wrong[0]);
    ds_csv_clear(&csv);
}

static void check_refused(const char *bytes, size_t n, int line, const char *part)
{
    ds_csv csv;
    ds_error e = {0};
    put_bytes(bytes, n);
    assert_int_equal(ds_report_csv_read(csv_path, &csv, &e), DS_EINPUT);
    assert_string_equal(e.file, csv_path);
    if (e.line != line || !strstr(e.text, part))
        fail_msg("line %d: %s, expected line %d: %s", e.line, e.text, line, part);
    assert_null(csv.confidence);
    assert_null(csv.text);
}

static void malformed_csv_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line;
        const char *part;
    } cases[] = {
        {"", 0, "is empty"},
        {"\n \n\xEF", 2, "no column 'label'"},
        {"\n\n", 1, "no header"},
        {"label,prediction,confidense\n", 1,
         "no column 'confidence' in the header, expected the columns label, "
         "prediction and confidence (is 'confidense' meant?)"},
        {"label;prediction;confidence\n", 1, "no column 'label'"},
        {"label,prediction,confidence,label\n", 1, "stands twice"},
        {"label,prediction,confidence\na,a,1\na,a\n", 3, "a row of 2 fields, expected 3"},
        {"label,prediction,confidence\n\"a\n\n\",a,1,\n", 2, "a row of 4 fields"},
        {"label,prediction,confidence\n\"a\nb\",a,1\na,a,x\n", 4, "confidence is 'x', expected a number"},
        {"label,prediction,confidence\na,a,\n", 2, "confidence is ''"},
        {"label,prediction,confidence\na,a,1e999\n", 2, "confidence is '1e999'"},
        {"label,prediction,confidence\na,a,inf\n", 2, "confidence is 'inf'"},
        {"label,prediction,confidence\na,a, 1\n", 2, "confidence is ' 1'"},
        {"label,prediction,confidence\na\"b\",a,1\n", 2, "a quote inside a field"},
        {"label,prediction,confidence\na,a,1\n\"a\"b,a,1\n", 3, "text after a closing quote"},
        {"label,prediction,confidence\na,a,1\n\"a,a,1\n\n", 3, "has no end"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused(cases[i].text, strlen(cases[i].text), cases[i].line, cases[i].part);
    static const char binary[] = "label,prediction,confidence\na,\0,1\n";
    check_refused(binary, sizeof binary - 1, 0, "is a binary file");
    ds_csv csv;
    ds_error e = {0};
    assert_int_equal(ds_report_csv_read("/nonexistent/x.csv", &csv, &e), DS_EIO);
    assert_null(csv.text);
}

static void every_cut_of_a_file_is_survived(void **state)
{
    (void)state;
    char *text = written_csv(&(ds_selection){rows, ROWS, names, NAN});
    for (size_t n = strlen(text); n > 0; n--) {
        ds_csv csv;
        put_bytes(text, n);
        if (ds_report_csv_read(csv_path, &csv, NULL) == 0) {
            assert_true(csv.n <= ROWS);
            ds_csv_clear(&csv);
        }
    }
    free(text);
}

/* ---- table and JSON ---- */

/* 100 images, confidence i/100, the 10 least sure are wrong. */
static ds_curve simple_curve(void)
{
    double confidence[100];
    bool wrong[100];
    for (int i = 0; i < 100; i++) {
        confidence[i] = i / 100.0;
        wrong[i] = i < 10;
    }
    ds_curve c;
    assert_int_equal(ds_curve_make(confidence, wrong, 100, &c, NULL), 0);
    return c;
}

typedef int writer(FILE *f, const ds_report *r, ds_error *e);

static char *written(writer *w, const ds_report *r)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    assert_int_equal(w(f, r, NULL), 0);
    fclose(f);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no '%s' in:\n%s", part, text);
}

static void thresholds_are_plain_numbers(void **state)
{
    (void)state;
    ds_curve c = simple_curve();
    ds_report r = ds_report_of(&c, ds_cut_at_threshold(&c, 80));
    r.chosen.threshold = 80;
    char *text = written(ds_report_text, &r);
    assert_has(text, "threshold        80\n");
    free(text);
    ds_curve_clear(&c);
}

static void the_table_says_it_all(void **state)
{
    (void)state;
    ds_curve c = simple_curve();
    ds_report r = ds_report_of(&c, ds_cut_at_threshold(&c, 0.05));
    r.confidence = "msp";
    r.list = "valid.list";
    r.threshold_note = "given";
    r.ece = 0.25;
    char *text = written(ds_report_text, &r);
    assert_has(text, "list             valid.list\n");
    assert_has(text, "images           100\naccuracy         90.00 %\nthreshold        0.05 (given)\n");
    assert_has(text, "coverage         95.00 % (95 accepted)\nreject rate      5.00 % (5 rejected)\n");
    assert_has(text, "selective risk   5.26 % (5 errors among the accepted)\nAURC             0.00");
    assert_has(text, "E-AURC           0.000000\n");
    assert_has(text, "AUROC            1.000000\nECE              0.250000\n");
    assert_has(text, "     100 %         100     10.00 %  0\n");
    assert_has(text, "      85 %          85      0.00 %  0.15\n");
    assert_has(text, "coverage at risk (chosen on these images: optimistic)");
    assert_has(text, "  <= 0.5 %     90.00 %      10.00 %  0.1\n");
    assert_has(text, "  <=   5 %     94.00 %       6.00 %  0.06\n");
    assert_null(strstr(text, "NLL"));
    assert_null(strstr(text, "best weights"));
    free(text);
    r.chose_best = true;
    text = written(ds_report_text, &r);
    assert_has(text, "(this list also chose the best weights: optimistic)");
    free(text);
    ds_curve_clear(&c);
}

static double json_number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_number(v))
        fail_msg("'%s' is missing or no number", key);
    return json_number_value(v);
}

static const char *const flat[] = {"n",         "accuracy", "coverage", "reject_rate", "risk",
                                   "threshold", "aurc",     "eaurc",    "augrc",       "auroc",
                                   "nll",       "brier",    "ece",      "confidence",  "model"};
enum { FLAT = sizeof flat / sizeof *flat };

static void json_has_every_key(void **state)
{
    (void)state;
    ds_curve c = simple_curve();
    ds_report r = ds_report_of(&c, ds_cut_at_threshold(&c, 1 / 3.0));
    r.confidence = "msp";
    r.model = "back\xFFup/\xC3\xA9.weights";
    r.nll = 0.1;
    char *text = written(ds_report_json, &r);
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    assert_int_equal(json_object_size(o), FLAT + 3);
    for (int i = 0; i < FLAT; i++)
        assert_non_null(json_object_get(o, flat[i]));
    assert_true(json_is_integer(json_object_get(o, "n")) && json_number(o, "n") == 100);
    assert_true(json_number(o, "accuracy") == 0.9 && json_number(o, "threshold") == 1 / 3.0);
    assert_true(json_number(o, "coverage") == 0.66 && json_number(o, "reject_rate") == 0.34);
    assert_true(json_number(o, "aurc") == r.areas.aurc && json_number(o, "nll") == 0.1);
    assert_true(json_is_null(json_object_get(o, "brier")) && json_is_null(json_object_get(o, "ece")));
    assert_string_equal(json_string_value(json_object_get(o, "confidence")), "msp");
    assert_string_equal(json_string_value(json_object_get(o, "model")), "back?up/??.weights");
    json_t *sentences = json_object_get(o, "conventions");
    assert_true(json_object_size(sentences) == 5 && json_is_string(json_object_get(sentences, "augrc")));
    json_decref(o);
    free(text);
    ds_curve_clear(&c);
}

static void json_has_the_tables(void **state)
{
    (void)state;
    ds_curve c = simple_curve();
    ds_report r = ds_report_of(&c, ds_cut_at_threshold(&c, NAN));
    char *text = written(ds_report_json, &r);
    json_t *o = json_loads(text, 0, NULL);
    json_t *risks = json_object_get(o, "risk_at_coverage"),
           *coverages = json_object_get(o, "coverage_at_risk");
    assert_true(json_array_size(risks) == 7 && json_array_size(coverages) == 4);
    const json_t *at95 = json_array_get(risks, 1), *at1 = json_array_get(coverages, 1);
    assert_true(json_object_size(at95) == 4 && json_object_size(at1) == 5);
    assert_true(json_number(at95, "coverage") == 0.95 && json_number(at95, "accepted") == 95);
    assert_true(json_number(at95, "risk") == 5 / 95.0 && json_number(at95, "threshold") == 0.05);
    assert_true(json_number(at1, "risk") == 0.01 && json_number(at1, "accepted") == 90);
    assert_true(json_number(at1, "coverage") == 0.9 && json_number(at1, "reject_rate") == 0.1);
    assert_true(json_number(at1, "threshold") == 0.1);
    assert_true(json_is_null(json_object_get(o, "threshold")) && json_is_null(json_object_get(o, "model")));
    json_decref(o);
    free(text);
    ds_curve_clear(&c);
}

static void check_undefined(const ds_curve *c, size_t nulls)
{
    ds_report r = ds_report_of(c, ds_cut_at_risk(c, 0.01));
    char *text = written(ds_report_json, &r), *table = written(ds_report_text, &r);
    json_t *o = json_loads(text, 0, NULL);
    size_t found = 0;
    for (int i = 0; i < FLAT; i++)
        found += json_is_null(json_object_get(o, flat[i]));
    assert_int_equal(found, nulls);
    assert_has(table, "nothing can be accepted\n");
    assert_has(table, "selective risk   undefined (0 errors");
    assert_null(strstr(table, "nan"));
    assert_null(strstr(table, "inf"));
    json_decref(o);
    free(text);
    free(table);
}

static void undefined_figures_are_null(void **state)
{
    (void)state;
    ds_curve c;
    assert_int_equal(ds_curve_make(NULL, NULL, 0, &c, NULL), 0);
    check_undefined(&c, FLAT - 1);
    assert_int_equal(ds_curve_make((double[]){0.5, NAN}, (bool[]){true, true}, 2, &c, NULL), 0);
    check_undefined(&c, 8); /* risk threshold auroc nll brier ece confidence model */
    ds_report r = ds_report_of(&c, ds_cut_at_threshold(&c, NAN));
    char *table = written(ds_report_text, &r);
    assert_has(table, "  no confidence  1 (never accepted)\n");
    assert_has(table, "threshold        none\ncoverage         50.00 % (1 accepted)\n");
    free(table);
    ds_curve_clear(&c);
}

static void a_full_disk_is_noticed(void **state)
{
    (void)state;
    ds_curve c = simple_curve();
    ds_report r = ds_report_of(&c, ds_cut_at_threshold(&c, NAN));
    ds_selection s = {rows, ROWS, names, NAN};
    FILE *full = fopen("/dev/full", "w");
    if (full) {
        ds_error e = {0};
        assert_int_equal(ds_report_text(full, &r, &e), DS_EIO);
        assert_has(e.text, "cannot write the report");
        clearerr(full);
        assert_int_equal(ds_report_json(full, &r, &e), DS_EIO);
        clearerr(full);
        assert_int_equal(ds_report_csv_write(full, &s, &e), DS_EIO);
        fclose(full);
    }
    ds_curve_clear(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_is_written_exactly),     cmocka_unit_test(csv_comes_back),
        cmocka_unit_test(columns_come_in_any_order),  cmocka_unit_test(short_files_are_read),
        cmocka_unit_test(malformed_csv_is_refused),   cmocka_unit_test(every_cut_of_a_file_is_survived),
        cmocka_unit_test(the_table_says_it_all),      cmocka_unit_test(thresholds_are_plain_numbers),
        cmocka_unit_test(json_has_every_key),         cmocka_unit_test(json_has_the_tables),
        cmocka_unit_test(undefined_figures_are_null), cmocka_unit_test(a_full_disk_is_noticed),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
