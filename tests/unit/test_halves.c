/* Two parts of the calibration images: what is fitted on one must not know the other. */
#include "cli/halves.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 401, CLASSES = 4, ROW = CLASSES + 1 };

/* Logits that are too sure by half, the last one of an abstain output. */
static void fill(ds_halves *h, int *labels)
{
    for (size_t i = 0; i < N; i++) {
        ds_rng rng = ds_rng_make(5, 0, i);
        labels[i] = (int)ds_rng_below(&rng, CLASSES);
        for (int k = 0; k < ROW; k++)
            h->logits[i * ROW + (size_t)k] = (float)(2 * (ds_rng_normal(&rng) + (k == labels[i] ? 1.5 : 0)));
    }
}

static void make(ds_halves *h, int *labels, bool fit, int seed)
{
    assert_int_equal(ds_halves_init(h, N, ROW, CLASSES, true, labels, fit, seed, NULL), 0);
    fill(h, labels);
}

static void test_parts(void **state)
{
    (void)state;
    int labels[N], seen[N] = {0};
    ds_halves a, b;
    make(&a, labels, false, 1);
    assert_int_equal(a.n_fit, 0);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(a.order[i], i);
    ds_halves_release(&a);
    make(&a, labels, true, 1);
    assert_int_equal(a.n_fit, N / 2);
    for (int i = 0; i < N; i++)
        seen[a.order[i]]++;
    for (int i = 0; i < N; i++)
        assert_int_equal(seen[i], 1);
    make(&b, labels, true, 1);
    assert_memory_equal(a.order, b.order, sizeof a.order[0] * N);
    ds_halves_release(&b);
    make(&b, labels, true, 2);
    assert_memory_not_equal(a.order, b.order, sizeof a.order[0] * N);
    ds_halves_release(&a);
    ds_halves_release(&b);
}

static void test_scores(void **state)
{
    (void)state;
    int labels[N];
    ds_halves h;
    const ds_score score = {DS_MARGIN, 1.5, 2};
    make(&h, labels, true, 3);
    ds_halves_score(&h, &score, 10, N);
    for (size_t i = 10; i < N; i++) {
        const float *z = h.logits + h.order[i] * ROW;
        assert_true(h.confidence[i] == ds_score_row(&score, z, ROW, true));
        assert_int_equal(h.wrong[i], ds_argmax(z, CLASSES) != labels[h.order[i]]);
    }
    ds_halves_release(&h);
}

typedef struct fitted {
    double temperature, before, after;
    ds_score score;
    ds_candidate candidates[DS_CONFIDENCES];
    int n;
} fitted;

static fitted fit(ds_halves *h)
{
    fitted f = {.score = {DS_ENERGY, 1, 2}};
    assert_int_equal(ds_halves_fit_temperature(h, &f.temperature, &f.before, &f.after, NULL), 0);
    assert_int_equal(ds_halves_choose(h, &f.score, f.candidates, &f.n, NULL), 0);
    return f;
}

static void test_fit(void **state)
{
    (void)state;
    int labels[N];
    ds_halves h;
    make(&h, labels, true, 1);
    fitted f = fit(&h);
    assert_true(f.temperature > 1);
    assert_true(f.after < f.before);
    assert_int_equal(f.n, DS_CONFIDENCES);
    for (int k = 0; k < f.n; k++) {
        assert_string_equal(f.candidates[k].name, ds_confidence_names[k]);
        assert_true(f.candidates[f.score.kind].aurc <= f.candidates[k].aurc);
        if (k < (int)f.score.kind)
            assert_true(f.candidates[f.score.kind].aurc < f.candidates[k].aurc);
    }
    ds_halves_release(&h);
}

/* The images that set the threshold are spoilt: nothing that was fitted may move. */
static void test_second_part_has_no_say(void **state)
{
    (void)state;
    int labels[N];
    ds_halves h;
    make(&h, labels, true, 1);
    fitted a = fit(&h);
    for (size_t i = h.n_fit; i < N; i++) {
        labels[h.order[i]] = (labels[h.order[i]] + 1) % CLASSES;
        for (int k = 0; k < ROW; k++)
            h.logits[h.order[i] * ROW + (size_t)k] *= -7;
    }
    fitted b = fit(&h);
    assert_true(a.temperature == b.temperature);
    assert_true(a.after != b.after);
    assert_int_equal(a.score.kind, b.score.kind);
    for (int k = 0; k < a.n; k++)
        assert_true(a.candidates[k].aurc == b.candidates[k].aurc);
    ds_halves_release(&h);
}

/* No abstain output, two classes: neither abstain nor pnorm can be chosen. */
static void test_candidates(void **state)
{
    (void)state;
    int labels[N] = {0};
    ds_halves h;
    ds_candidate candidates[DS_CONFIDENCES];
    ds_score score = {DS_MSP, 1, 2};
    int n;
    assert_int_equal(ds_halves_init(&h, N, 2, 2, false, labels, true, 1, NULL), 0);
    for (size_t i = 0; i < N; i++) {
        labels[i] = (int)(i % 2);
        h.logits[2 * i] = (float)(i % 7);
        h.logits[2 * i + 1] = (float)(i % 5);
    }
    assert_int_equal(ds_halves_choose(&h, &score, candidates, &n, NULL), 0);
    assert_int_equal(n, DS_CONFIDENCES - 2);
    for (int k = 0; k < n; k++)
        assert_true(strcmp(candidates[k].name, "abstain") != 0 && strcmp(candidates[k].name, "pnorm") != 0);
    ds_halves_release(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),      cmocka_unit_test(test_scores),
        cmocka_unit_test(test_fit),        cmocka_unit_test(test_second_part_has_no_say),
        cmocka_unit_test(test_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
