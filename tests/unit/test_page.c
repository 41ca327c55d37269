#include "report/page.h"
#include "base/file.h"
#include "base/gnuplot.h"
#include "base/text.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/test_page_XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const others[] = {"chart.js", "plain"};
    char path[128];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, others[i]);
        unlink(path);
    }
    for (int i = 0; ds_report_files[i]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, ds_report_files[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_bytes(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* ---- escaping ---- */

static void expect_escaped(const char *text, ds_escape how, const char *expected)
{
    char *out = NULL;
    size_t n;
    FILE *f = open_memstream(&out, &n);
    ds_put_escaped(f, text, how);
    fclose(f);
    assert_string_equal(out, expected);
    free(out);
}

static void test_escape(void **state)
{
    (void)state;
    const char *hostile = "<a href=\"x\" b='y'>&</script><!--";
    expect_escaped(hostile, DS_AS_IS, hostile);
    expect_escaped(hostile, DS_AS_HTML,
                   "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;&lt;/script&gt;&lt;!--");
    expect_escaped("\"</SCRIPT>&\"", DS_AS_JSON, "\"\\u003c/SCRIPT\\u003e\\u0026\"");
    expect_escaped("a<b; '</Script>' '<!--' '<script>' x</y/", DS_AS_SCRIPT,
                   "a<b; '\\x3c/Script>' '\\x3c!--' '\\x3cscript>' x</y/");
    expect_escaped("", DS_AS_HTML, "");
    expect_escaped("naïve", DS_AS_HTML, "naïve");
}

static void test_base64(void **state)
{
    (void)state;
    /* RFC 4648, section 10 */
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *text = ds_base64(pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(text, pairs[i][1]);
        free(text);
    }
    char *text = ds_base64("\xff\xff\xfe\x00", 4);
    assert_string_equal(text, "///+AA==");
    free(text);
}

/* ---- the template ---- */

static int fill(const char *template, char **out, ds_error *e)
{
    const ds_slot slots[] = {{"a", "<{{b}}>", DS_AS_IS}, {"b", "<&>", DS_AS_HTML}};
    size_t n;
    FILE *f = open_memstream(out, &n);
    int rc = ds_template_fill(f, template, slots, 2, e);
    fclose(f);
    return rc;
}

static void test_template(void **state)
{
    (void)state;
    char *out;
    ds_error e = {0};
    assert_int_equal(fill("1 {{a}} { } }} {{b}}{{b}} 2", &out, &e), DS_OK);
    assert_string_equal(out, "1 <{{b}}> { } }} &lt;&amp;&gt;&lt;&amp;&gt; 2");
    free(out);
    assert_int_equal(fill("{{c}}", &out, &e), DS_EINPUT);
    assert_non_null(strstr(e.text, "'c'"));
    free(out);
    static const char *const wrong[] = {"{{ab}}", "{{}}", "{{a", "{{"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(fill(wrong[i], &out, &e), DS_EINPUT);
        free(out);
    }
}

/* ---- bins ---- */

static void test_bins(void **state)
{
    (void)state;
    ds_bin bins[5];
    ds_bins_make(bins, 5, 0, 1);
    assert_int_equal(ds_bins_find(bins, 5, 0), 0);
    assert_int_equal(ds_bins_find(bins, 5, 0.2), 0);
    assert_int_equal(ds_bins_find(bins, 5, nextafter(bins[0].high, 1)), 1);
    for (int b = 0; b < 5; b++)
        assert_int_equal(ds_bins_find(bins, 5, bins[b].high), b);
    assert_int_equal(ds_bins_find(bins, 5, 1), 4);
    assert_int_equal(ds_bins_find(bins, 5, -0x1p-1074), -1);
    assert_int_equal(ds_bins_find(bins, 5, 1.0000001), -1);
    assert_int_equal(ds_bins_find(bins, 5, NAN), -1);
    assert_int_equal(ds_bins_find(bins, 5, INFINITY), -1);
}

static char *names[] = {"cat", "</script><b>dog", "\xff\"'"};
static char *paths[] = {"b", "a.png", "</script>", "", "e", "f"};
static int labels[] = {0, 0, 1, 2, 1, 1}, predictions[] = {1, 0, 1, 0, 1, 0};
static double confidences[] = {0.25, 1, 0.5, NAN, 0.5, 0};
static bool wrong[] = {true, false, false, true, false, true};
enum { ROWS = sizeof labels / sizeof *labels };
static const ds_answers answers = {.n = ROWS,
                                   .paths = paths,
                                   .labels = labels,
                                   .predictions = predictions,
                                   .confidences = confidences,
                                   .wrong = wrong,
                                   .names = names,
                                   .classes = 3};

static void test_bins_of_confidences(void **state)
{
    (void)state;
    ds_page_bins b = ds_page_bins_of(&answers);
    assert_true(b.reliable);
    assert_int_equal(b.reliability[0].n, 1);
    assert_int_equal(b.reliability[0].right, 0);
    assert_int_equal(b.reliability[7].n, 2); /* 0.5 lies in (7/15, 8/15] */
    assert_int_equal(b.reliability[7].right, 2);
    assert_true(b.reliability[7].confidence == 1);
    assert_int_equal(b.histogram[4].n, 1); /* 0.25 lies in (.2, .25] */
    assert_int_equal(b.histogram[DS_HISTOGRAM - 1].right, 1);
}

static void test_bins_of_scores(void **state)
{
    (void)state;
    ds_answers s = {
        .n = 3, .confidences = (double[]){-3, 7, INFINITY}, .wrong = (bool[]){false, true, false}};
    ds_page_bins b = ds_page_bins_of(&s);
    assert_false(b.reliable);
    assert_true(b.histogram[0].low == -3 && b.histogram[DS_HISTOGRAM - 1].high == 7);
    assert_int_equal(b.histogram[0].n, 1);
    assert_int_equal(b.histogram[DS_HISTOGRAM - 1].n, 1);
    s.n = 1; /* one value: still a range */
    b = ds_page_bins_of(&s);
    assert_true(b.histogram[0].low < -3 && b.histogram[DS_HISTOGRAM - 1].high > -3);
    s.n = 0;
    b = ds_page_bins_of(&s);
    assert_true(!b.reliable && b.histogram[0].low == 0 && b.histogram[DS_HISTOGRAM - 1].high == 1);
}

static void test_bins_of_probabilities(void **state)
{
    (void)state;
    ds_answers a = answers;
    const double log_p[] = {-0.1, -3, -3};
    ds_quality_add(&a.quality, log_p, 3, 0, 1);
    ds_page_bins b = ds_page_bins_of(&a);
    assert_int_equal(b.reliability[13].n, 1); /* exp(-.1) = .905 lies in (13/15, 14/15] */
    assert_int_equal(b.reliability[7].n, 0);
}

/* ---- order, steps, gallery ---- */

static void test_order(void **state)
{
    (void)state;
    static const size_t expected[ROWS] = {1, 2, 4, 0, 5, 3};
    size_t *order = ds_page_order(&answers);
    assert_memory_equal(order, expected, sizeof expected);
    free(order);
}

enum { MANY = 1000 };

static void make_many(double *confidence, bool *bad, ds_curve *curve)
{
    for (int i = 0; i < MANY; i++) {
        confidence[i] = (double)i;
        bad[i] = i % 3 == 0;
    }
    *curve = ds_curve_of(confidence, bad, MANY);
}

static void test_steps(void **state)
{
    (void)state;
    double confidence[MANY];
    bool bad[MANY];
    ds_curve c;
    ds_steps s;
    make_many(confidence, bad, &c);
    s = ds_steps_of(&c, MANY, 10, 0);
    assert_true(s.n == MANY && !s.thinned);
    free(s.group);
    s = ds_steps_of(&c, MANY - 1, 10, 777);
    assert_true(s.thinned && s.n >= 10 && s.n <= 13);
    bool kept = false;
    for (size_t i = 0; i < s.n; i++) {
        kept = kept || c.accepted[s.group[i]] == 777;
        assert_true(i == 0 || s.group[i] > s.group[i - 1]);
    }
    assert_true(kept && s.group[s.n - 1] == MANY - 1);
    free(s.group);
    ds_curve_clear(&c);
}

static size_t count_marks(const unsigned char *marks, size_t n, unsigned char bit)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (marks[i] & bit) != 0;
    return sum;
}

static void test_gallery(void **state)
{
    (void)state;
    const double threshold = 0.3;
    double confidence[MANY];
    bool bad[MANY];
    unsigned char marks[MANY] = {0};
    ds_answers s = {.n = MANY, .confidences = confidence, .wrong = bad};
    for (int i = 0; i < MANY; i++) { /* one in ten is wrong, the 300 least sure are rejected */
        confidence[i] = (i + 0.5) / MANY;
        bad[i] = i % 10 == 0;
    }
    size_t *order = ds_page_order(&s);
    ds_gallery_mark(&s, threshold, order, 30, marks);
    assert_int_equal(count_marks(marks, MANY, DS_PICTURED), 30);
    for (size_t place = 0; place < MANY; place++) {
        if (place >= 700)
            assert_true(marks[place] & DS_LISTED);
        if (bad[order[place]] && place < 100) /* the ten surest mistakes */
            assert_true(marks[place] & DS_PICTURED);
        if (place >= MANY - 10)
            assert_true(marks[place] & DS_PICTURED);
        if (!bad[order[place]] && place < 700)
            assert_int_equal(marks[place], 0);
    }
    memset(marks, 0, sizeof marks);
    ds_gallery_mark(&s, threshold, order, 0, marks);
    assert_int_equal(count_marks(marks, MANY, DS_PICTURED), 0);
    assert_true(count_marks(marks, MANY, DS_LISTED) >= 300);
    memset(marks, 0, sizeof marks);
    ds_gallery_mark(&s, threshold, order, 5000, marks);
    assert_int_equal(count_marks(marks, MANY, DS_PICTURED), MANY);
    free(order);
}

/* ---- the page ---- */

static void read_text(const char *path, char **text)
{
    ds_error e = {0};
    if (ds_file_read_text(path, "a file", text, &e))
        fail_msg("%s: %s", path, e.text);
}

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)); p++)
        n++;
    return n;
}

/* A picture of every image but one. */
static int tiny_picture(const char *path, unsigned char **png, size_t *n, ds_error *e)
{
    if (strcmp(path, "b") == 0)
        return ds_fail(e, DS_EIO, "no <b>");
    *png = (unsigned char *)ds_strdup("foobar");
    *n = 6;
    return DS_OK;
}

static void check_pictures(const json_t *gallery)
{
    size_t i;
    json_t *item;
    size_t pictures = 0, problems = 0;
    json_array_foreach(gallery, i, item)
    {
        const char *uri = json_string_value(json_object_get(item, "picture"));
        const char *problem = json_string_value(json_object_get(item, "problem"));
        assert_true(!uri || strcmp(uri, "data:image/png;base64,Zm9vYmFy") == 0);
        assert_true(!problem || strcmp(problem, "no <b>") == 0);
        pictures += uri != NULL;
        problems += problem != NULL;
    }
    assert_true(pictures == 1 && problems == 1); /* of the three, one has no path */
}

/* For nothing accepted and for each threshold: low and high of reject rate and risk, in hundredths of a percent. */
static void check_bounds(const json_t *bounds)
{
    static const size_t accepted[] = {0, 1, 3, 4, 5}, errors[] = {0, 0, 0, 1, 2};
    assert_int_equal(json_array_size(bounds), 4 * 5);
    for (size_t k = 0; k < 5; k++) {
        ds_interval reject = ds_rate_interval(ROWS - accepted[k], ROWS, 0.95),
                    risk = ds_rate_interval(errors[k], accepted[k], 0.95);
        const double expected[] = {reject.low, reject.high, k ? risk.low : 0, k ? risk.high : 0};
        for (size_t i = 0; i < 4; i++) {
            double found = (double)json_integer_value(json_array_get(bounds, 4 * k + i));
            assert_float_equal(found, 1e4 * expected[i], 0.5000001);
        }
    }
}

/* The page holds exactly its own scripts, and its data is JSON with the hostile texts in it. */
static void check_page(const char *html)
{
    assert_int_equal(count_of(html, "<script"), 3);
    assert_int_equal(count_of(html, "</script"), 3);
    assert_int_equal(count_of(html, "{{"), 0);
    assert_non_null(strstr(html, "<title>Rejection report: &lt;&amp;.weights</title>"));
    assert_non_null(strstr(html, "chart('\\x3c/script>')"));
    const char *begin = strstr(html, "id=\"data\">");
    assert_non_null(begin);
    begin += strlen("id=\"data\">");
    json_t *page = json_loadb(begin, (size_t)(strstr(begin, "</script>") - begin), 0, NULL);
    assert_non_null(page);
    assert_string_equal(json_string_value(json_array_get(json_object_get(page, "names"), 1)), names[1]);
    json_t *data = json_object_get(page, "data");
    assert_int_equal(json_integer_value(json_object_get(data, "n")), ROWS);
    static const double thresholds[] = {1, 0.5, 0.25, 0};
    static const int surest_first[] = {0, 1, 1, 0, 1, 2};
    for (size_t i = 0; i < 4; i++)
        assert_true(json_number_value(json_array_get(json_object_get(data, "threshold"), i)) ==
                    thresholds[i]);
    for (size_t i = 0; i < ROWS; i++)
        assert_int_equal(json_integer_value(json_array_get(json_object_get(data, "labels"), i)),
                         surest_first[i]);
    check_bounds(json_object_get(data, "bounds"));
    assert_int_equal(json_array_size(json_object_get(page, "gallery")), ROWS);
    check_pictures(json_object_get(page, "gallery"));
    json_decref(page);
}

static void test_folder(void **state)
{
    (void)state;
    ds_error e = {0};
    ds_notes notes = {0};
    const ds_wish wish = {.threshold = 0.5, .coverage = NAN, .risk = NAN, .delta = NAN};
    ds_figures r = ds_figures_at(&answers, &wish);
    r.model = "dir/<&.weights";
    char *chart = ds_strdup(in_folder("chart.js"));
    write_bytes(chart, "chart('</script>')", 18);
    const ds_page page = {
        .figures = &r, .thumbs = 3, .thumb = tiny_picture, .chart_js = chart, .notes = &notes};
    assert_int_equal(ds_report_folder(folder, &page, &e), DS_OK);
    char *html;
    read_text(in_folder("report.html"), &html);
    check_page(html);
    free(html);

    json_t *json = json_load_file(in_folder("report.json"), 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(json, "n")), ROWS);
    assert_int_equal(json_array_size(json_object_get(json, "reliability")), DS_BINS);
    assert_int_equal(json_array_size(json_object_get(json, "histogram")), DS_HISTOGRAM);
    json_decref(json);
    char *csv;
    read_text(in_folder("predictions.csv"), &csv);
    assert_int_equal(count_of(csv, "\n"), ROWS + 1);
    free(csv);

    /* without Chart.js: a note, and a page all the same */
    assert_int_equal(unlink(chart), 0);
    ds_notes_clear(&notes);
    assert_int_equal(ds_report_folder(folder, &page, &e), DS_OK);
    assert_true(notes.n >= 1);
    assert_non_null(strstr(notes.text[notes.n - 1], "libjs-chart.js"));
    ds_notes_clear(&notes);
    free(chart);

    write_bytes(in_folder("plain"), "x", 1);
    assert_int_equal(ds_report_folder(in_folder("plain"), &page, &e), DS_EIO);
    ds_figures_clear(&r);
}

/* Without gnuplot on the path: a note that names the package, the file of before stays. */
static void test_gnuplot_missing(void **state)
{
    (void)state;
    ds_error e = {0};
    const char *path = in_folder("histogram.png");
    write_bytes(path, "before", 6);
    char *search = ds_strdup(getenv("PATH"));
    assert_int_equal(setenv("PATH", folder, 1), 0);
    assert_int_equal(ds_gnuplot("plot x\n", NULL, path, &e), DS_EIO);
    assert_int_equal(setenv("PATH", search, 1), 0);
    free(search);
    assert_non_null(strstr(e.text, "gnuplot-nox"));
    char *text;
    read_text(path, &text);
    assert_string_equal(text, "before");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_template),
        cmocka_unit_test(test_bins),
        cmocka_unit_test(test_bins_of_confidences),
        cmocka_unit_test(test_bins_of_scores),
        cmocka_unit_test(test_bins_of_probabilities),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_gallery),
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_gnuplot_missing),
    };
    return cmocka_run_group_tests_name("page", tests, make_folder, remove_folder);
}
