/* BASE_results.csv: writing, reading back for a run that goes on, and which result is the best. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "train/results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER                                                                                               \
    "epoch,batch,precision,warmup,train_loss,train_accuracy,learning_rate,alpha,valid_top1,valid_nll,valid_" \
    "ece,"                                                                                                   \
    "valid_aurc,"                                                                                            \
    "valid_balanced,valid_worst,valid_worst_class,images_per_second\n"

static char folder[] = "/tmp/ds_results_XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/net_results.csv", folder);
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static ds_result row(int epoch, double top1, double nll)
{
    return (ds_result){epoch, epoch * 10L, 1,    DS_WARMUP_NLL, 0.5, 0.75, 0.1, NAN,
                       top1,  nll,         0.02, 0.125,         0.5, 0.25, 2,   1000};
}

static void assert_file(const char *expected)
{
    char *text = NULL;
    assert_int_equal(ds_file_read_text(path, "results", &text, NULL), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void add(ds_results *r, ds_result one)
{
    assert_int_equal(ds_results_add(r, &one, NULL), 0);
}

static void test_lines(void **state)
{
    (void)state;
    ds_results r;
    assert_int_equal(ds_results_open(&r, path, 0, NULL), 0);
    add(&r, row(1, 0.875, 0.25));
    add(&r, row(2, NAN, NAN));
    assert_file(HEADER "1,10,bf16,nll,0.5,0.75,0.1,,0.875,0.25,0.02,0.125,0.5,0.25,2,1000\n2,20,bf16,nll,0.5,"
                       "0.75,0.1,,,,0.02,"
                       "0.125,0.5,0.25,2,1000\n");
    ds_results_clear(&r);
}

static void test_going_on_keeps_the_lines_before(void **state)
{
    (void)state;
    ds_results r;
    assert_int_equal(ds_results_open(&r, path, 1, NULL), 0);
    assert_int_equal(r.n, 1);
    add(&r, row(2, 0.5, 1));
    assert_file(HEADER "1,10,bf16,nll,0.5,0.75,0.1,,0.875,0.25,0.02,0.125,0.5,0.25,2,1000\n2,20,bf16,nll,0.5,"
                       "0.75,0.1,,0.5,1,0."
                       "02,0.125,0.5,0.25,2,1000\n");
    ds_results_clear(&r);
}

static void test_fresh_run_starts_anew(void **state)
{
    (void)state;
    ds_results r;
    assert_int_equal(ds_results_open(&r, path, 0, NULL), 0);
    add(&r, row(1, 0.25, 2));
    assert_file(HEADER "1,10,bf16,nll,0.5,0.75,0.1,,0.25,2,0.02,0.125,0.5,0.25,2,1000\n");
    ds_results_clear(&r);
}

static void check_refused(const char *text, int line)
{
    ds_error e = {0};
    ds_results r;
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(ds_results_open(&r, path, 9, &e), DS_EINPUT);
    assert_int_equal(e.line, line);
    ds_results_clear(&r);
}

static void test_other_files_are_refused(void **state)
{
    (void)state;
    check_refused("something else\n", 1);
    check_refused(HEADER "1,10,f64,nll,0.5,0.75,0.1,,0.25,2,0.02,0.125,0.5,0.25,2,1000\n", 2);
    check_refused(HEADER "1,10,bf16,over,0.5,0.75,0.1,,0.25,2,0.02,0.125,0.5,0.25,2,1000\n", 2);
    check_refused(HEADER "1,10,bf16,nll,0.5\n", 2);
    check_refused(HEADER "1,10,bf16,nll,0.5,0.75,0.1,,0.25,2,0.02,0.125,0.5,0.25,2,1000,7\n", 2);
    check_refused(HEADER "1,10,bf16,nll,0.5,0.75,0.1,,0.25,2,0.02,0.125,0.5,0.25,2,1000\n\n2,x,bf16,nll,0.5,"
                         "0.75,0.1,,0.25,2,0."
                         "02,0.125,0.5,0.25,2,1000\n",
                  4);
}

static bool better(double top1, double nll, double top1_before, double nll_before)
{
    ds_result a = row(2, top1, nll), b = row(1, top1_before, nll_before);
    return ds_result_better(&a, &b, DS_BEST_TOP1);
}

static void test_better(void **state)
{
    (void)state;
    assert_true(better(0.9, 5, 0.8, 1));
    assert_false(better(0.8, 1, 0.9, 5));
    assert_true(better(0.9, 1, 0.9, 2));
    assert_false(better(0.9, 2, 0.9, 2));
    assert_false(better(NAN, NAN, 0.1, 1));
    assert_true(better(0.1, 1, NAN, NAN));
    assert_false(better(0.9, NAN, 0.9, 1));
}

static void test_better_by(void **state)
{
    (void)state;
    ds_result a = row(2, 0.5, 2), b = row(1, 0.75, 1);
    a.valid_balanced = 0.625;
    a.valid_aurc = 0.0625;
    assert_true(ds_result_better(&a, &b, DS_BEST_BALANCED) && !ds_result_better(&b, &a, DS_BEST_BALANCED));
    assert_true(ds_result_better(&a, &b, DS_BEST_AURC) && !ds_result_better(&b, &a, DS_BEST_AURC));
    assert_true(ds_result_better(&b, &a, DS_BEST_NLL) && !ds_result_better(&a, &b, DS_BEST_NLL));
    a.valid_aurc = b.valid_aurc;
    assert_true(ds_result_better(&b, &a, DS_BEST_AURC));
    b.valid_nll = a.valid_aurc = NAN;
    assert_true(ds_result_better(&a, &b, DS_BEST_NLL) && !ds_result_better(&a, &b, DS_BEST_AURC));
    assert_true(ds_result_better(&b, &a, DS_BEST_AURC) && !ds_result_better(&b, &b, DS_BEST_NLL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_going_on_keeps_the_lines_before),
        cmocka_unit_test(test_fresh_run_starts_anew),
        cmocka_unit_test(test_other_files_are_refused),
        cmocka_unit_test(test_better),
        cmocka_unit_test(test_better_by),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
