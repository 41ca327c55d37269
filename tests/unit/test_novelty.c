/* Novelty: scores against NumPy, p-values, ranks, the file. */
#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/text.h"
#include "select/novelty.h"
#include "tests/unit/vectors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static ds_depths depths_of(const double *channels, int n)
{
    ds_depths d = {.n = n};
    for (int k = 0; k < n; k++) {
        d.layer[k] = 3 * k;
        d.channels[k] = (int)channels[k];
        d.row += (size_t)d.channels[k];
    }
    return d;
}

/* What the vectors of the case at hand teach. */
static ds_novelty learnt(const vec_file *f)
{
    const vec_item *depths = vec_get(f, "depths"), *y = vec_get(f, "y");
    float *x = vec_floats(f, "x");
    ds_error e = {0};
    ds_novelty v = {.depths = depths_of(depths->v, depths->n), .classes = (int)vec_number(f, "classes")};
    assert_int_equal(ds_novelty_begin(&v, &e), 0);
    for (int i = 0; i < y->n; i++)
        ds_novelty_add(&v, (int)y->v[i], x + (size_t)i * v.depths.row);
    assert_int_equal(ds_novelty_finish(&v, &e), 0);
    free(x);
    return v;
}

static void check_scores(const ds_novelty *v, const vec_file *f, ds_novelty_kind kind)
{
    const vec_item *expected = vec_get(f, ds_novelty_names[kind]);
    float *test = vec_floats(f, "test");
    double *scores = DS_ALLOC(scores, expected->n);
    ds_novelty_scores(v, kind, test, NULL, 0, false, (size_t)expected->n, scores);
    for (int i = 0; i < expected->n; i++) {
        double got = scores[i];
        if (!(fabs(got - expected->v[i]) <=
              2e-5 * (1 + fabs(vec_get(f, "mahalanobis")->v[i]) + fabs(expected->v[i]))))
            fail_msg("%s, %s of row %d: %.9g, expected %.9g", vec_case(f), ds_novelty_names[kind], i, got,
                     expected->v[i]);
    }
    free(scores);
    free(test);
}

static void scores_equal_the_reference(void **state)
{
    (void)state;
    int cases = 0;
    vec_file *f = vec_open("novelty.txt");
    for (; vec_next(f); cases++) {
        ds_novelty v = learnt(f);
        for (int k = 0; k < DS_NOVELTY_CONFIDENCES; k++)
            check_scores(&v, f, (ds_novelty_kind)k);
        ds_novelty_clear(&v);
    }
    vec_close(f);
    assert_true(cases > 3);
}

static void confidences_are_negated(void **state)
{
    (void)state;
    const float z[] = {1, 3, 2, NAN, 0, 0}, features[2] = {0};
    double scores[2];
    ds_novelty v = {.depths = depths_of((double[]){1}, 1), .classes = 3};
    ds_score maxlogit = {DS_MAXLOGIT, 1, 2};
    ds_novelty_kind kind = (ds_novelty_kind)(DS_NOVELTY_CONFIDENCES + DS_MAXLOGIT);
    assert_string_equal(ds_novelty_names[kind], "maxlogit");
    ds_novelty_scores(&v, kind, features, z, 3, false, 2, scores);
    assert_true(scores[0] == -ds_score_row(&maxlogit, z, 3, false));
    assert_true(scores[1] == INFINITY);
}

/* (1 + how many are at least as large) / (n + 1), ties included. */
static void p_values(void **state)
{
    (void)state;
    double *scores = DS_ALLOC(scores, 5);
    memcpy(scores, (double[]){3, 1, 2, INFINITY, 2}, 5 * sizeof *scores);
    ds_novelty v = {.n_scores = 0};
    ds_novelty_rank(&v, scores, 5);
    static const double known[][2] = {{0, 6},   {1, 6}, {1.5, 5}, {2, 5},
                                      {2.5, 3}, {3, 3}, {4, 2},   {INFINITY, 2}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_true(ds_novelty_p(&v, known[i][0]) == known[i][1] / 6);
    ds_novelty_clear(&v);
}

/* k ranks of n + 1 lie below the rate, k + 1 do not. */
static void ranks(void **state)
{
    (void)state;
    for (size_t n = 1; n < 3000; n += 7)
        for (double rate = 0.0001; rate < 1; rate *= 1.9) {
            size_t k = ds_novelty_ranks(n, rate);
            assert_true(k == 0 || (double)k / (double)(n + 1) < rate);
            assert_false((double)(k + 1) / (double)(n + 1) < rate);
        }
    assert_int_equal(ds_novelty_ranks(99, 0.01), 0);
    assert_int_equal(ds_novelty_ranks(100, 0.01), 1);
    assert_int_equal(ds_novelty_ranks(9999, 0.01), 99); /* 100 / 10000 is not below */
}

/* 4,000 calibration sets of one population: the next image of it is unknown as often as promised. */
static void known_images_are_kept(void **state)
{
    (void)state;
    enum { SETS = 4000, N = 59 };
    const double rate = 0.06;
    size_t unknown = 0;
    for (int s = 0; s < SETS; s++) {
        ds_rng r = ds_rng_make(1, (uint64_t)s, 0);
        ds_novelty v = {.n_scores = 0};
        double *scores = DS_ALLOC(scores, N);
        for (int i = 0; i < N; i++)
            scores[i] = exp(ds_rng_normal(&r));
        ds_novelty_rank(&v, scores, N);
        unknown += ds_novelty_p(&v, exp(ds_rng_normal(&r))) < rate;
        ds_novelty_clear(&v);
    }
    const double share = (double)ds_novelty_ranks(N, rate) / (N + 1);
    assert_true(share == 3.0 / 60);
    assert_true(fabs((double)unknown / SETS - share) < 4 * sqrt(share * (1 - share) / SETS));
}

/* ---- the file ---- */

static char path[] = "/tmp/ds_novelty_XXXXXX";

static int make_path(void **state)
{
    (void)state;
    close(mkstemp(path));
    return 0;
}

static int drop_path(void **state)
{
    (void)state;
    return unlink(path);
}

static void comes_back(void **state)
{
    (void)state;
    vec_file *f = vec_open("novelty.txt");
    assert_true(vec_next(f));
    ds_novelty v = learnt(f);
    double *scores = DS_ALLOC(scores, 2);
    scores[0] = 7;
    scores[1] = -1;
    ds_novelty_rank(&v, scores, 2);
    v.weights = 0xfedcba9876543210;
    static const ds_novelty_kind kinds[] = {DS_JOINT, DS_MAHALANOBIS, DS_RELATIVE, DS_NOVELTY_CONFIDENCES};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        ds_error e = {0};
        ds_novelty back = {.depths = v.depths, .classes = v.classes};
        v.kind = kinds[k];
        assert_int_equal(ds_novelty_write(&v, path, &e), 0);
        assert_int_equal(ds_novelty_read(&back, path, &e), 0);
        assert_int_equal(back.kind, v.kind);
        assert_true(back.weights == v.weights && back.n_scores == 2);
        assert_true(ds_novelty_p(&back, 0) == 2.0 / 3);
        if (v.kind < DS_NOVELTY_CONFIDENCES)
            check_scores(&back, f, v.kind);
        ds_novelty_clear(&back);
    }
    ds_novelty_clear(&v);
    vec_close(f);
}

static void refuse(ds_novelty v, const char *what)
{
    ds_error e = {0};
    assert_int_equal(ds_novelty_read(&v, path, &e), DS_EINPUT);
    if (!strstr(e.text, what))
        fail_msg("'%s' lacks '%s'", e.text, what);
    assert_string_equal(e.file, path);
    ds_novelty_clear(&v);
}

static void others_are_refused(void **state)
{
    (void)state;
    vec_file *f = vec_open("novelty.txt");
    assert_true(vec_next(f));
    ds_novelty v = learnt(f), same = {.depths = v.depths, .classes = v.classes}, other = same;
    double *scores = DS_ZALLOC(scores, 1);
    ds_novelty_rank(&v, scores, 1);
    assert_int_equal(ds_novelty_write(&v, path, NULL), 0);
    other.classes++;
    refuse(other, "expected layers 0 (4), 3 (6); 4 classes");
    unsigned char *bytes;
    size_t n;
    assert_int_equal(ds_file_read(path, "", &bytes, &n, NULL), 0);
    for (size_t length = 0; length < n; length += 13) { /* cut short */
        FILE *out = fopen(path, "wb");
        fwrite(bytes, 1, length, out);
        fclose(out);
        refuse(same, "");
    }
    free(bytes);
    ds_novelty_clear(&v);
    vec_close(f);
}

static void useless_features_are_refused(void **state)
{
    (void)state;
    static const float same[2] = {1, 1}, none[2] = {NAN, 1};
    const float *const rows[] = {same, none};
    for (int k = 0; k < 2; k++) {
        ds_error e = {0};
        ds_novelty v = {.depths = depths_of((double[]){2}, 1), .classes = 2};
        assert_int_equal(ds_novelty_begin(&v, &e), 0);
        for (int i = 0; i < 9; i++)
            ds_novelty_add(&v, i % 2, rows[k]);
        assert_int_equal(ds_novelty_finish(&v, &e), DS_EINPUT);
        ds_novelty_clear(&v);
    }
    ds_novelty v = {.depths = depths_of((double[]){DS_MOST_FEATURES + 1}, 1), .classes = 2};
    assert_int_equal(ds_novelty_begin(&v, NULL), DS_EINPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_equal_the_reference),
        cmocka_unit_test(confidences_are_negated),
        cmocka_unit_test(p_values),
        cmocka_unit_test(ranks),
        cmocka_unit_test(known_images_are_kept),
        cmocka_unit_test(comes_back),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(useless_features_are_refused),
    };
    return cmocka_run_group_tests(tests, make_path, drop_path);
}
