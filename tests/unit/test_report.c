#include "report/fields.h"
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

static ds_answers read_text(const char *text)
{
    ds_answers csv = {0};
    ds_error e = {0};
    put_bytes(text, strlen(text));
    if (ds_report_csv_read(csv_path, true, &csv, &e))
        fail_msg("line %d: %s", e.line, e.text);
    return csv;
}

/* ---- CSV ---- */

static char *names[] = {"shirt", "T-shirt, \"top\"", "line\nbreak", "naïve"};
static char *paths[] = {"a b/c.png", "with,comma.png", "with\rreturn.png", "with\nnewline.png",
                        "",          "last.png"};
static int labels[] = {0, 1, 1, 2, 3, 3}, predictions[] = {0, 0, 1, 2, 2, 3};
static double confidences[] = {0.1, 1 / 3.0, 1 - 0x1p-53, -1e-300, NAN, 0.5};
enum { ROWS = sizeof labels / sizeof *labels };
static const ds_answers answers = {.n = ROWS,
                                   .paths = paths,
                                   .labels = labels,
                                   .predictions = predictions,
                                   .confidences = confidences,
                                   .names = names,
                                   .classes = 4};

/* The answers as they are written, fresh memory. */
static char *written_csv(double threshold)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    ds_report_csv_write(f, &answers, threshold, false);
    fclose(f);
    return text;
}

static void csv_is_written_exactly(void **state)
{
    (void)state;
    char *text = written_csv(0.5);
    assert_string_equal(text,
                        "path,label,prediction,confidence,accepted,verdict\n"
                        "a b/c.png,shirt,shirt,0.10000000000000001,0,unsure\n"
                        "\"with,comma.png\",\"T-shirt, \"\"top\"\"\",shirt,0.33333333333333331,0,unsure\n"
                        "\"with\rreturn.png\",\"T-shirt, \"\"top\"\"\",\"T-shirt, \"\"top\"\"\","
                        "0.99999999999999989,1,accepted\n"
                        "\"with\nnewline.png\",\"line\nbreak\",\"line\nbreak\",-1e-300,0,unsure\n"
                        ",naïve,\"line\nbreak\",nan,0,unsure\n"
                        "last.png,naïve,naïve,0.5,1,accepted\n");
    free(text);
}

static void csv_comes_back(void **state)
{
    (void)state;
    char *text = written_csv(NAN);
    ds_answers csv = read_text(text);
    assert_int_equal(csv.n, ROWS);
    for (size_t i = 0; i < csv.n; i++) {
        assert_string_equal(csv.paths[i], paths[i]);
        assert_int_equal(csv.wrong[i], labels[i] != predictions[i]);
        assert_string_equal(csv.names[csv.labels[i]], names[labels[i]]);
        assert_string_equal(csv.names[csv.predictions[i]], names[predictions[i]]);
        if (isnan(confidences[i]))
            assert_true(isnan(csv.confidences[i]));
        else
            assert_true(csv.confidences[i] == confidences[i]);
    }
    ds_answers_clear(&csv);
    free(text);
}

static void columns_come_in_any_order(void **state)
{
    (void)state;
    ds_answers csv = read_text("\xEF\xBB\xBF\"confidence\",extra, prediction ,label\r\n"
                               "0.5,\"x\r\n\"\"y\"\"\",cat,\"cat\"\r\n"
                               "\r\n"
                               "-NaN,,dog,\"cat\"\r\n"
                               "1e-3,,Cat,cat\r");
    assert_int_equal(csv.n, 3);
    assert_null(csv.paths);
    assert_true(csv.confidences[0] == 0.5 && isnan(csv.confidences[1]) && csv.confidences[2] == 1e-3);
    assert_true(!csv.wrong[0] && csv.wrong[1] && csv.wrong[2]);
    ds_answers_clear(&csv);
}

static void classes_are_the_distinct_texts(void **state)
{
    (void)state;
    ds_answers csv = read_text("label,prediction,confidence\n10,2,1\n2,1,1\n\"10\",10,1\n");
    assert_int_equal(csv.classes, 3);
    const char *const expected[] = {"1", "2", "10"};
    for (int i = 0; i < 3; i++)
        assert_string_equal(csv.names[i], expected[i]);
    assert_true(csv.labels[0] == 2 && csv.labels[1] == 1 && csv.labels[2] == 2);
    assert_true(csv.predictions[0] == 1 && csv.predictions[1] == 0 && csv.predictions[2] == 2);
    ds_answers_clear(&csv);
}

/* More texts than the first tables hold, met in another order than theirs. */
static void many_classes_keep_their_numbers(void **state)
{
    (void)state;
    enum { CLASSES = 3000 };
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    fputs("label,prediction,confidence\n", f);
    for (int i = 0; i < CLASSES; i++)
        fprintf(f, "%d,%d,0.5\n", i * 7 % CLASSES, (i * 7 + 1) % CLASSES);
    fclose(f);
    ds_answers csv = read_text(text);
    assert_int_equal(csv.classes, CLASSES);
    for (int i = 0; i < CLASSES; i++) {
        assert_int_equal(csv.labels[i], i * 7 % CLASSES);
        assert_int_equal(csv.predictions[i], (i * 7 + 1) % CLASSES);
    }
    ds_answers_clear(&csv);
    free(text);
}

static void a_file_without_labels_is_read(void **state)
{
    (void)state;
    ds_answers csv = {0};
    static const char text[] = "label,path,confidence,label\n?,a,0.5,?\n?,b,nan,?\n", lacking[] = "path\na\n";
    put_bytes(text, sizeof text - 1);
    assert_int_equal(ds_report_csv_read(csv_path, false, &csv, NULL), 0);
    assert_true(csv.n == 2 && csv.confidences[0] == 0.5 && isnan(csv.confidences[1]));
    assert_string_equal(csv.paths[1], "b");
    assert_true(!csv.labels && !csv.predictions && !csv.wrong && csv.classes == 0);
    ds_answers_clear(&csv);
    ds_error e = {0};
    put_bytes(lacking, sizeof lacking - 1);
    assert_int_equal(ds_report_csv_read(csv_path, false, &csv, &e), DS_EINPUT);
    assert_non_null(strstr(e.text, "no column 'confidence' in the header, expected the column confidence"));
}

static void short_files_are_read(void **state)
{
    (void)state;
    const char *const without_rows[] = {"label,prediction,confidence", "label,prediction,confidence\n\n"};
    for (int i = 0; i < 2; i++) {
        ds_answers csv = read_text(without_rows[i]);
        assert_int_equal(csv.n, 0);
        ds_answers_clear(&csv);
    }
    ds_answers csv = read_text("label,confidence,prediction,path\na,1,a,");
    assert_int_equal(csv.n, 1);
    assert_string_equal(csv.paths[0], "");
    ds_answers_clear(&csv);
    csv = read_text("label,confidence,prediction\na,1,\"a\"");
    assert_true(csv.n == 1 && !csv.wrong[0]);
    ds_answers_clear(&csv);
}

static void check_refused(const char *bytes, size_t n, int line, const char *part)
{
    ds_answers csv = {0};
    ds_error e = {0};
    put_bytes(bytes, n);
    assert_int_equal(ds_report_csv_read(csv_path, true, &csv, &e), DS_EINPUT);
    assert_string_equal(e.file, csv_path);
    if (e.line != line || !strstr(e.text, part))
        fail_msg("line %d: %s, expected line %d: %s", e.line, e.text, line, part);
    assert_null(csv.confidences);
    assert_null(csv.names);
}

static void malformed_csv_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line;
        const char *part;
    } cases[] = {
        {"", 1, "no header"},
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
    check_refused(binary, sizeof binary - 1, 2, "a 0 byte");
    ds_answers csv = {0};
    ds_error e = {0};
    assert_int_equal(ds_report_csv_read("/nonexistent/x.csv", true, &csv, &e), DS_EIO);
    assert_null(csv.names);
}

static void every_cut_of_a_file_is_survived(void **state)
{
    (void)state;
    char *text = written_csv(NAN);
    for (size_t n = strlen(text); n > 0; n--) {
        ds_answers csv = {0};
        put_bytes(text, n);
        if (ds_report_csv_read(csv_path, true, &csv, NULL) == 0) {
            assert_true(csv.n <= ROWS);
            ds_answers_clear(&csv);
        }
    }
    free(text);
}

/* ---- table and JSON ---- */

static ds_wish at_threshold(double threshold)
{
    return (ds_wish){.threshold = threshold, .coverage = NAN, .risk = NAN, .delta = NAN, .seed = 1};
}

/* 100 images, confidence i/100, the 10 least sure are wrong; the names and places of the list may be set. */
static ds_answers simple;

static ds_figures simple_figures(double threshold)
{
    static double confidence[100];
    static bool wrong[100];
    for (int i = 0; i < 100; i++) {
        confidence[i] = i / 100.0;
        wrong[i] = i < 10;
    }
    simple = (ds_answers){.n = 100, .confidences = confidence, .wrong = wrong};
    const ds_wish w = at_threshold(threshold);
    return ds_figures_at(&simple, &w);
}

/* The curve alone is theirs. */
static void clear(ds_figures *f)
{
    ds_curve_clear(&f->curve);
}

typedef void writer(FILE *f, const ds_figures *r);

static char *written(writer *w, const ds_figures *r)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    w(f, r);
    fclose(f);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("no '%s' in:\n%s", part, text ? text : "");
}

static void thresholds_are_plain_numbers(void **state)
{
    (void)state;
    ds_figures r = simple_figures(80);
    r.chosen.threshold = 80;
    char *text = written(ds_report_text, &r);
    assert_has(text, "threshold        80\n");
    free(text);
    clear(&r);
}

static void the_table_says_it_all(void **state)
{
    (void)state;
    ds_figures r = simple_figures(0.05);
    r.confidence = "msp";
    simple.file = (char[]){"valid.list"};
    r.threshold_note = "given";
    r.means.ece = 0.25;
    char *text = written(ds_report_text, &r);
    assert_has(text, "list             valid.list\n");
    assert_has(
        text,
        "images           100\naccuracy         90.00 % [82.38, 95.10]\nthreshold        0.05 (given)\n");
    assert_has(
        text, "coverage         95.00 % (95 accepted)\nreject rate      5.00 % [1.64, 11.28] (5 rejected)\n");
    assert_has(text,
               "selective risk   5.26 % [1.73, 11.86] (5 errors among the accepted)\nAURC             0.00");
    assert_has(text, "E-AURC           0.000000\n");
    assert_has(text, "AUROC            1.000000\nECE              0.250000\nin brackets      95 % intervals: "
                     "exact for rates\n");
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
    clear(&r);
}

static double json_number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_number(v))
        fail_msg("'%s' is missing or no number", key);
    return json_number_value(v);
}

static const char *const flat[] = {"n",    "accuracy",   "coverage", "reject_rate", "risk", "threshold",
                                   "aurc", "eaurc",      "augrc",    "auroc",       "nll",  "brier",
                                   "ece",  "confidence", "model",    "unknown_rate"};
enum { FLAT = sizeof flat / sizeof *flat };
static const char *const parts[] = {"intervals", "risk_control", "classes", "confusion", "lists", "compare"};
enum { PARTS = sizeof parts / sizeof *parts };

static void json_has_every_key(void **state)
{
    (void)state;
    ds_figures r = simple_figures(1 / 3.0);
    r.confidence = "msp";
    r.model = "back\xFFup/\xC3\xA9.weights";
    r.means.nll = 0.1;
    char *text = written(ds_report_json, &r);
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    assert_int_equal(json_object_size(o), FLAT + 3 + PARTS);
    for (int i = 0; i < FLAT; i++)
        assert_non_null(json_object_get(o, flat[i]));
    assert_true(json_is_integer(json_object_get(o, "n")) && json_number(o, "n") == 100);
    assert_true(json_number(o, "accuracy") == 0.9 && json_number(o, "threshold") == 1 / 3.0);
    assert_true(json_number(o, "coverage") == 0.66 && json_number(o, "reject_rate") == 0.34);
    assert_true(json_number(o, "aurc") == r.areas.aurc && json_number(o, "nll") == 0.1);
    assert_true(json_is_null(json_object_get(o, "brier")) && json_is_null(json_object_get(o, "ece")));
    assert_string_equal(json_string_value(json_object_get(o, "confidence")), "msp");
    assert_string_equal(json_string_value(json_object_get(o, "model")), "back\xef\xbf\xbd"
                                                                        "ffup/\xC3\xA9.weights");
    json_t *sentences = json_object_get(o, "conventions");
    assert_true(json_object_size(sentences) == 5 && json_is_string(json_object_get(sentences, "augrc")));
    assert_true(json_is_object(json_object_get(o, "intervals")));
    for (int i = 1; i < PARTS; i++)
        assert_true(json_is_null(json_object_get(o, parts[i])));
    json_decref(o);
    free(text);
    clear(&r);
}

static void json_has_the_tables(void **state)
{
    (void)state;
    ds_figures r = simple_figures(NAN);
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
    clear(&r);
}

/* ---- classes, lists, comparisons ---- */

/* Three images of cat: one accepted and right, two rejected of which one is right; two of dog, both accepted, one wrong;
 * none of eel. */
static char *class_names[] = {"cat", "dög", "eel"};
static ds_counts class_counts[] = {{3, 2, 1, 0, 2, 1, 0}, {2, 1, 2, 1, 1, 0, 0}, {0}};
static size_t confusion[] = {1, 0, 0, 2, 1, 1, 0, 0, 0, 0, 0, 0};

static const ds_answers shifted_answers = {.name = "shifted", .file = "s.list", .wrong = (bool[]){false}};
static const ds_answers noise_answers = {.name = "noise", .file = "n.list"};
static ds_list_figures some_lists[] = {
    {&shifted_answers, {.n = 4, 3, 2, 0}, 0.75},
    {&noise_answers, {.n = 3, 0, 0, 0}, NAN},
};

static ds_rival_figures some_rival(void)
{
    const ds_interval none = {NAN, NAN};
    return (ds_rival_figures){
        .file = "other.csv",
        .accuracy = 0.5,
        .other = {.aurc = 0.25, .eaurc = 0.125, .augrc = 0.1, .auroc = NAN},
        .difference = {.aurc = -0.2, .eaurc = -0.1, .augrc = -0.05, .auroc = NAN},
        .mine = {0.5, 80, 4, 0.8, 0.05},
        .its = {0.6, 90, 27, 0.9, 0.3},
        .boot = {{-0.3, -0.1}, none, none, none, {0.2, 0.6}, {-0.4, -0.125}, 0.04, 50},
    };
}

/* Figures with everything in them; the rival must outlive them. */
static ds_figures full_report(ds_rival_figures *rival)
{
    ds_figures r = simple_figures(0.05);
    simple.name = "test";
    simple.names = class_names;
    simple.classes = 3;
    r.classes = class_counts;
    r.confusion = confusion;
    r.lists = some_lists;
    r.n_lists = 2;
    r.rivals = rival;
    r.n_rivals = 1;
    r.boot = (ds_bootstrap){{0.001, 0.002}, {0, 0.5}, {NAN, NAN}, {0.25, 1}, {0, 0}, {NAN, NAN}, NAN, 200};
    r.seed = 9;
    return r;
}

static void rates_have_exact_intervals(void **state)
{
    (void)state;
    ds_rates r = ds_rates_of(&(ds_counts){.n = 3, 3, 1, 0}, true);
    assert_true(r.accuracy.value == 1 && r.accuracy.interval.high == 1);
    assert_float_equal(r.accuracy.interval.low, cbrt(0.025), 1e-12);
    assert_float_equal(r.reject.value, 2 / 3.0, 1e-15);
    assert_true(r.risk.value == 0 && r.risk.interval.low == 0);
    assert_float_equal(r.risk.interval.high, 0.975, 1e-12);
    r = ds_rates_of(&(ds_counts){.n = 3, 0, 1, 0}, false);
    assert_true(isnan(r.accuracy.value) && isnan(r.risk.value) && isnan(r.risk.interval.low));
    assert_float_equal(r.reject.value, 2 / 3.0, 1e-15);
    r = ds_rates_of(&(ds_counts){.n = 0, 0, 0, 0}, true);
    assert_true(isnan(r.accuracy.value) && isnan(r.reject.value) && isnan(r.reject.interval.high));
}

static void the_table_has_the_parts(void **state)
{
    (void)state;
    ds_rival_figures rival = some_rival();
    ds_figures r = full_report(&rival);
    char *text = written(ds_report_text, &r);
    assert_has(text,
               " [0.001000, 0.002000]\nE-AURC           0.000000 [0.000000, 0.500000]\nAUGRC            0.0");
    assert_has(text, "exact for rates, bootstrap for areas (200 replicates, seed 9)\n");
    assert_null(strstr(text, "confusion"));
    assert_has(text, "(AUROC: an image of test is surer than one of the list)\n");
    assert_has(
        text,
        "  test                   100      5.00 % [1.64, 11.28]     90.00 %      5.26 % [1.73, 11.86]  -\n");
    assert_has(text, "  shifted                  4     50.00 % [6.76, 93.24]     7"
                     "5.00 %      0.00 % [0.00, 84.19]  0.750000\n");
    assert_has(text, "  noise                    3  100.00 % [29.24, 100.00]   no "
                     "labels                            undefined\n");
    assert_has(text, "compared with other.csv\n");
    assert_has(text, "difference (paired bootstrap, 50 replicates)\n");
    assert_has(text, "  accuracy          0.900000  0.500000  +0.400000 [+0.200000, +0.600000]\n");
    assert_has(text, "  risk at 80 %      0.050000  0.300000  -0.250000 [-0.400000, -0.125000]\n");
    assert_has(text, "(the other accepts 90 %: equal confidences stay together)\n");
    assert_has(text, "  -0.100000\n  AUGRC");
    assert_has(text, "  AUROC            undefined\n");
    assert_has(text, "  p                     0.04 (of no difference in AURC)\n");
    free(text);
    clear(&r);
}

static void the_table_has_classes_when_asked(void **state)
{
    (void)state;
    ds_rival_figures rival = some_rival();
    ds_figures r = full_report(&rival);
    r.show_classes = true;
    char *text = written(ds_report_text, &r);
    assert_has(text, "  class    images    accuracy  reject rate        risk  accepted as       wrong\n"
                     "  cat           3     66.67 %      66.67 %      0.00 %            2     50.00 %\n"
                     "  dög           2     50.00 %       0.00 %     50.00 %            1      0.00 %\n"
                     "  eel           0   undefined    undefined   undefined            0   undefined\n");
    assert_has(text, "                 1      2      3  rejected\n"
                     "   1  cat        1      0      0         2\n"
                     "   2  dög        1      1      0         0\n"
                     "   3  eel        0      0      0         0\n");
    free(text);
    simple.thresholds = (double[]){0.5, -INFINITY, INFINITY};
    text = written(ds_report_text, &r);
    assert_has(text, "threshold        one of each class");
    assert_has(text, "  wrong  threshold\n");
    assert_has(text, "    50.00 %  0.5\n");
    assert_has(text, "     0.00 %  none\n");
    assert_has(text, "  undefined  never\n");
    free(text);
    r.classes = NULL;
    text = written(ds_report_text, &r);
    assert_has(text, "classes: more than 1000, too many");
    free(text);
    clear(&r);
}

static void the_table_tells_of_an_asked_risk(void **state)
{
    (void)state;
    ds_figures r = simple_figures(0.5);
    r.control = (ds_control){0.02, 0.001, {.feasible = true, .feasible_risk = 0.02}};
    char *text = written(ds_report_text, &r);
    assert_has(text, "risk asked for   2 % with probability 99.9 %: feasible\n");
    assert_has(text, "optimistic figures: the threshold was chosen on the very images");
    assert_has(text, "`classifier calibrate`");
    free(text);
    r.control.found = (ds_guarantee){.feasible_risk = 0.123};
    text = written(ds_report_text, &r);
    assert_has(text, "99.9 %: no feasible threshold, 12.3 % would be\n");
    free(text);
    r.control.found.feasible_risk = NAN;
    text = written(ds_report_text, &r);
    assert_has(text, "99.9 %: no feasible threshold\n");
    free(text);
    clear(&r);
}

static json_t *loaded(const ds_figures *r)
{
    char *text = written(ds_report_json, r);
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    free(text);
    return o;
}

static void assert_interval(const json_t *o, const char *key, double low, double high)
{
    const json_t *v = json_object_get(o, key);
    if (isnan(low)) {
        assert_true(json_is_null(v));
        return;
    }
    assert_int_equal(json_array_size(v), 2);
    assert_float_equal(json_number_value(json_array_get(v, 0)), low, 1e-12);
    assert_float_equal(json_number_value(json_array_get(v, 1)), high, 1e-12);
}

static void json_has_intervals(void **state)
{
    (void)state;
    ds_rival_figures rival = some_rival();
    ds_figures r = full_report(&rival);
    json_t *o = loaded(&r), *i = json_object_get(o, "intervals");
    assert_int_equal(json_object_size(i), 11);
    assert_true(json_number(i, "level") == 0.95 && json_number(i, "replicates") == 200);
    assert_true(json_number(i, "seed") == 9);
    assert_interval(i, "accuracy", r.rates.accuracy.interval.low, r.rates.accuracy.interval.high);
    assert_interval(i, "reject_rate", r.rates.reject.interval.low, r.rates.reject.interval.high);
    assert_interval(i, "risk", r.rates.risk.interval.low, r.rates.risk.interval.high);
    assert_interval(i, "unknown_rate", NAN, NAN); /* nothing is known of strangers */
    assert_interval(i, "aurc", 0.001, 0.002);
    assert_interval(i, "eaurc", 0, 0.5);
    assert_interval(i, "augrc", NAN, NAN);
    assert_interval(i, "auroc", 0.25, 1);
    json_decref(o);
    clear(&r);
}

static void json_has_classes(void **state)
{
    (void)state;
    ds_rival_figures rival = some_rival();
    ds_figures r = full_report(&rival);
    json_t *o = loaded(&r), *list = json_object_get(o, "classes"), *matrix = json_object_get(o, "confusion");
    assert_true(json_array_size(list) == 3 && json_array_size(matrix) == 3);
    json_t *cat = json_array_get(list, 0), *eel = json_array_get(list, 2);
    assert_int_equal(json_object_size(cat), 10);
    assert_true(json_number(cat, "accepted_as") == 2 && json_number(cat, "wrong_as") == 1);
    assert_true(json_number(cat, "threshold") == 0.05);
    assert_string_equal(json_string_value(json_object_get(cat, "name")), "cat");
    assert_true(json_number(cat, "n") == 3 && json_number(cat, "accepted") == 1);
    assert_true(json_number(cat, "accuracy") == 2 / 3.0 && json_number(cat, "reject_rate") == 2 / 3.0);
    assert_true(json_number(cat, "risk") == 0);
    assert_interval(json_object_get(cat, "intervals"), "risk", 0, 0.975);
    assert_true(json_number(eel, "n") == 0 && json_is_null(json_object_get(eel, "accuracy")));
    assert_true(json_is_null(json_object_get(json_object_get(eel, "intervals"), "reject_rate")));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(json_array_size(json_array_get(matrix, i)), 4);
        for (size_t j = 0; j < 4; j++)
            assert_int_equal(json_integer_value(json_array_get(json_array_get(matrix, i), j)),
                             confusion[4 * i + j]);
    }
    json_decref(o);
    clear(&r);
}

static void json_has_lists(void **state)
{
    (void)state;
    ds_rival_figures rival = some_rival();
    ds_figures r = full_report(&rival);
    json_t *o = loaded(&r), *list = json_object_get(o, "lists");
    assert_int_equal(json_array_size(list), 2);
    json_t *shifted = json_array_get(list, 0), *noise = json_array_get(list, 1);
    assert_int_equal(json_object_size(shifted), 12);
    assert_string_equal(json_string_value(json_object_get(shifted, "name")), "shifted");
    assert_string_equal(json_string_value(json_object_get(shifted, "file")), "s.list");
    assert_true(json_is_true(json_object_get(shifted, "labelled")) && json_number(shifted, "n") == 4);
    assert_true(json_number(shifted, "accepted") == 2 && json_number(shifted, "coverage") == 0.5);
    assert_true(json_number(shifted, "reject_rate") == 0.5 && json_number(shifted, "accuracy") == 0.75);
    assert_true(json_number(shifted, "risk") == 0 && json_number(shifted, "auroc") == 0.75);
    assert_interval(json_object_get(shifted, "intervals"), "risk", 0, 1 - sqrt(0.025));
    assert_true(json_is_false(json_object_get(noise, "labelled")) && json_number(noise, "reject_rate") == 1);
    assert_interval(json_object_get(noise, "intervals"), "reject_rate", cbrt(0.025), 1);
    assert_interval(json_object_get(noise, "intervals"), "accuracy", NAN, NAN);
    const char *const nulls[] = {"accuracy", "risk", "auroc"};
    for (int i = 0; i < 3; i++)
        assert_true(json_is_null(json_object_get(noise, nulls[i])));
    json_decref(o);
    clear(&r);
}

static void json_has_comparisons(void **state)
{
    (void)state;
    ds_rival_figures rival = some_rival();
    ds_figures r = full_report(&rival);
    json_t *o = loaded(&r), *v = json_array_get(json_object_get(o, "compare"), 0);
    assert_int_equal(json_object_size(v), 7);
    json_t *other = json_object_get(v, "other"), *d = json_object_get(v, "difference"),
           *i = json_object_get(v, "intervals");
    assert_true(json_object_size(other) == 7 && json_object_size(d) == 6 && json_object_size(i) == 6);
    assert_string_equal(json_string_value(json_object_get(v, "file")), "other.csv");
    assert_true(json_number(v, "coverage") == 0.8 && json_number(v, "risk") == 0.05);
    assert_true(json_number(v, "p_aurc") == 0.04);
    assert_true(json_number(other, "coverage") == 0.9 && json_number(other, "risk") == 0.3);
    assert_true(json_number(other, "accuracy") == 0.5 && json_number(other, "aurc") == 0.25);
    assert_float_equal(json_number(d, "accuracy"), 0.4, 1e-12);
    assert_float_equal(json_number(d, "risk"), -0.25, 1e-12);
    assert_true(json_number(d, "aurc") == -0.2 && json_is_null(json_object_get(d, "auroc")));
    assert_interval(i, "accuracy", 0.2, 0.6);
    assert_interval(i, "risk", -0.4, -0.125);
    assert_interval(i, "aurc", -0.3, -0.1);
    assert_interval(i, "eaurc", NAN, NAN);
    json_decref(o);
    clear(&r);
}

static void json_tells_of_an_asked_risk(void **state)
{
    (void)state;
    ds_figures r = simple_figures(0.1);
    r.control = (ds_control){0.02, 0.001, {.feasible_risk = 0.123}};
    json_t *o = loaded(&r), *v = json_object_get(o, "risk_control");
    assert_int_equal(json_object_size(v), 4);
    assert_true(json_number(v, "risk") == 0.02 && json_number(v, "delta") == 0.001);
    assert_true(json_is_false(json_object_get(v, "feasible")) && json_number(v, "feasible_risk") == 0.123);
    json_decref(o);
    r.control.found.feasible = true;
    o = loaded(&r);
    assert_true(json_is_true(json_object_get(json_object_get(o, "risk_control"), "feasible")));
    json_decref(o);
    clear(&r);
}

/* ---- undefined figures, failures ---- */

static void check_undefined(const ds_answers *a, size_t nulls)
{
    const ds_wish w = at_threshold(INFINITY);
    ds_figures r = ds_figures_at(a, &w);
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
    clear(&r);
    json_decref(o);
    free(text);
    free(table);
}

static void undefined_figures_are_null(void **state)
{
    (void)state;
    check_undefined(&(ds_answers){0}, FLAT - 1);
    const ds_answers a = {.n = 2, .confidences = (double[]){0.5, NAN}, .wrong = (bool[]){true, true}};
    check_undefined(&a, 9); /* risk threshold auroc nll brier ece confidence model unknown_rate */
    const ds_wish w = at_threshold(NAN);
    ds_figures r = ds_figures_at(&a, &w);
    char *table = written(ds_report_text, &r);
    assert_has(table, "  no confidence  1 (never accepted)\n");
    assert_has(table, "threshold        none\ncoverage         50.00 % (1 accepted)\n");
    free(table);
    clear(&r);
}

/* As a program gets a name back: U+FFFD and two digits are a byte. Fresh memory. */
static char *bytes_of(const char *text)
{
    char *bytes = calloc(strlen(text) + 1, 1), *out = bytes;
    for (; *text; out++) {
        unsigned byte;
        if (sscanf(text, "\xef\xbf\xbd%2x", &byte) == 1) {
            *out = (char)byte;
            text += 5;
        } else {
            *out = *text++;
        }
    }
    return bytes;
}

static void json_keeps_every_name(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"na\xc3\xafve.png", "na\xc3\xafve.png"},
        {"a\n\x1b\"\\", "a\n\x1b\"\\"},
        {"caf\xe9.png", "caf\xef\xbf\xbd"
                        "e9.png"},
        {"caf?.png", "caf?.png"},
        {"\xef\xbf\xbd"
         "e9",
         "\xef\xbf\xbd"
         "ef\xef\xbf\xbd"
         "bf\xef\xbf\xbd"
         "bde9"},
        {"\xc3\xa9\xe9", "\xc3\xa9\xef\xbf\xbd"
                         "e9"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *value = ds_json_text(rows[i][0]);
        char *back = bytes_of(json_string_value(value));
        assert_string_equal(json_string_value(value), rows[i][1]);
        assert_string_equal(back, rows[i][0]);
        free(back);
        json_decref(value);
    }
    for (unsigned i = 1; i < 1u << 16; i++) { /* any bytes are a text for jansson then */
        const char bytes[] = {(char)(0xE0 + i % 32), (char)(i >> 8), (char)i, (char)0xBF, '\0'};
        json_t *value = ds_json_text(bytes);
        char *back = bytes_of(json_string_value(value));
        assert_string_equal(back, bytes);
        free(back);
        json_decref(value);
    }
}

static void a_safe_csv_holds_no_formula_and_comes_back(void **state)
{
    (void)state;
    static char *wild[] = {"=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=x", "'x", "x=1", "y", "=\"a\",\n"};
    static const char *const safe[] = {
        "'=1+1", "'+1", "'-1", "'@x", "'\tx", "\"'\rx\"", "''=x", "'x", "x=1", "y", "\"'=\"\"a\"\",\n\""};
    enum { N = sizeof wild / sizeof *wild };
    double scores[N] = {-1};
    int right[N] = {0};
    for (int i = 0; i < N; i++)
        right[i] = i;
    const ds_answers a = {.n = N,
                          .paths = wild,
                          .labels = right,
                          .predictions = right,
                          .confidences = scores,
                          .names = wild,
                          .classes = N};
    char *text, *p;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    ds_report_csv_write(f, &a, NAN, true);
    fclose(f);
    p = strchr(text, '\n') + 1;
    for (int i = 0; i < N; i++) {
        char row[100];
        snprintf(row, sizeof row, "%s,%s,%s,%d,1,accepted\n", safe[i], safe[i], safe[i], i ? 0 : -1);
        if (strncmp(p, row, strlen(row)) != 0)
            fail_msg("expected %s in %s", row, p);
        p += strlen(row);
    }
    ds_answers b = read_text(text);
    for (int i = 0; i < N; i++) {
        assert_string_equal(b.paths[i], wild[i]);
        assert_string_equal(b.names[b.labels[i]], wild[i]);
    }
    ds_answers_clear(&b);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_is_written_exactly),
        cmocka_unit_test(csv_comes_back),
        cmocka_unit_test(columns_come_in_any_order),
        cmocka_unit_test(classes_are_the_distinct_texts),
        cmocka_unit_test(many_classes_keep_their_numbers),
        cmocka_unit_test(a_file_without_labels_is_read),
        cmocka_unit_test(short_files_are_read),
        cmocka_unit_test(malformed_csv_is_refused),
        cmocka_unit_test(every_cut_of_a_file_is_survived),
        cmocka_unit_test(the_table_says_it_all),
        cmocka_unit_test(thresholds_are_plain_numbers),
        cmocka_unit_test(rates_have_exact_intervals),
        cmocka_unit_test(the_table_has_the_parts),
        cmocka_unit_test(the_table_has_classes_when_asked),
        cmocka_unit_test(the_table_tells_of_an_asked_risk),
        cmocka_unit_test(json_has_every_key),
        cmocka_unit_test(json_has_the_tables),
        cmocka_unit_test(json_has_intervals),
        cmocka_unit_test(json_has_classes),
        cmocka_unit_test(json_has_lists),
        cmocka_unit_test(json_has_comparisons),
        cmocka_unit_test(json_tells_of_an_asked_risk),
        cmocka_unit_test(undefined_figures_are_null),
        cmocka_unit_test(json_keeps_every_name),
        cmocka_unit_test(a_safe_csv_holds_no_formula_and_comes_back),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
