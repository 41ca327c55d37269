/* Answers in another order and in two parts: what is fitted on one must not know the other. */
#include "select/answers.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 401, CLASSES = 4, ROW = CLASSES + 1 };

static const ds_score msp = {DS_MSP, 1, 2};

/* The answers of a network whose logits are too sure by half; the last one is of an abstain output. */
static ds_answers answers_made(void)
{
    ds_answers a = {.n = N, .classes = CLASSES, .abstain = true};
    DS_ALLOC(a.labels, N);
    DS_ALLOC(a.paths, N);
    for (size_t i = 0; i < N; i++) {
        a.labels[i] = (int)(i * 7 % CLASSES);
        a.paths[i] = ds_format("%zu", i);
    }
    ds_answers_begin(&a, true);
    for (size_t i = 0; i < N; i++) {
        ds_rng rng = ds_rng_make(5, 0, i);
        float z[ROW];
        for (int k = 0; k < ROW; k++)
            z[k] = (float)(2 * (ds_rng_normal(&rng) + (k == a.labels[i] ? 1.5 : 0)));
        ds_answers_put(&a, i, z, &msp, 1, 2);
    }
    return a;
}

static void a_network_answers(void **state)
{
    (void)state;
    ds_answers a = answers_made();
    ds_quality q = {0};
    assert_int_equal(a.quality.n, N);
    for (size_t i = 0; i < N; i++) {
        const float *z = a.logits + i * ROW;
        double log_p[CLASSES];
        ds_log_softmax(z, CLASSES, 1, log_p);
        ds_quality_add(&q, log_p, CLASSES, a.labels[i], 2);
        assert_int_equal(a.predictions[i], ds_argmax(z, CLASSES));
        assert_int_equal(a.wrong[i], a.predictions[i] != a.labels[i]);
        assert_true(a.confidences[i] == ds_score_row(&msp, z, ROW, true));
    }
    assert_memory_equal(&q, &a.quality, sizeof q);
    ds_answers_begin(&a, false); /* another pass */
    assert_int_equal(a.quality.n, 0);
    ds_answers_clear(&a);
    ds_answers_clear(&a);
}

/* Without labels there is nothing to be right about. */
static void unlabelled_images_are_answered(void **state)
{
    (void)state;
    ds_answers a = {.n = 1, .classes = 3};
    ds_answers_begin(&a, false);
    ds_answers_put(&a, 0, (float[]){0, 2, 1}, &msp, 1, 1);
    assert_true(a.predictions[0] == 1 && !a.wrong && !a.logits && a.quality.n == 0);
    assert_string_equal(ds_answers_path(&a, 0), "");
    ds_answers_clear(&a);
}

static void halves_hold_every_image_once(void **state)
{
    (void)state;
    int seen[N] = {0};
    ds_answers a = answers_made(), same = answers_made(), other = answers_made(), first = answers_made();
    assert_int_equal(ds_answers_halve(&a, 1), N / 2);
    ds_answers_halve(&same, 1);
    ds_answers_halve(&other, 2);
    for (size_t i = 0; i < N; i++) {
        size_t was = (size_t)atol(a.paths[i]);
        seen[was]++;
        assert_true(a.labels[i] == first.labels[was] && a.confidences[i] == first.confidences[was]);
        assert_true(a.predictions[i] == first.predictions[was] && a.wrong[i] == first.wrong[was]);
        assert_memory_equal(a.logits + i * ROW, first.logits + was * ROW, ROW * sizeof *a.logits);
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(seen[i], 1);
    assert_memory_equal(a.confidences, same.confidences, N * sizeof *a.confidences);
    assert_memory_not_equal(a.confidences, other.confidences, N * sizeof *a.confidences);
    ds_answers_clear(&a);
    ds_answers_clear(&same);
    ds_answers_clear(&other);
    ds_answers_clear(&first);
}

static void parts_are_scored_alone(void **state)
{
    (void)state;
    ds_answers a = answers_made();
    const ds_score score = {DS_MARGIN, 1.5, 2};
    const double before = a.confidences[9];
    ds_answers part = ds_answers_part(&a, 10, N);
    assert_int_equal(part.n, N - 10);
    ds_answers_score(&part, &score);
    assert_true(a.confidences[9] == before);
    for (size_t i = 10; i < N; i++)
        assert_true(a.confidences[i] == ds_score_row(&score, a.logits + i * ROW, ROW, true));
    ds_answers_clear(&a);
}

typedef struct fitted {
    double temperature, nll[2];
    ds_score score;
    ds_candidate candidates[DS_MOST_CANDIDATES];
    int n;
} fitted;

static fitted fit(const ds_answers *a)
{
    fitted f = {.score = {DS_ENERGY, 1, 2}};
    ds_answers first = ds_answers_part(a, 0, N / 2), rest = ds_answers_part(a, N / 2, N);
    assert_int_equal(ds_answers_fit_temperature(&first, &rest, &f.temperature, f.nll, NULL), 0);
    f.score.pnorm_p = ds_answers_fit_pnorm(&first);
    f.n = ds_answers_choose_score(&first, &f.score, (double[]){1, f.temperature}, 2, f.candidates);
    return f;
}

static double aurc_at(ds_answers *a, const ds_score *score)
{
    ds_answers_score(a, score);
    ds_curve curve = ds_curve_of(a->confidences, a->wrong, a->n);
    const double aurc = ds_areas_of(&curve).aurc;
    ds_curve_clear(&curve);
    return aurc;
}

static void the_first_norm_of_the_lowest_aurc_is_fitted(void **state)
{
    (void)state;
    ds_answers a = answers_made();
    const double p = ds_answers_fit_pnorm(&a), best = aurc_at(&a, &(ds_score){DS_PNORM, 1, p});
    bool differ = false;
    assert_true(p >= 1 && p <= 10);
    for (int k = 1; k <= 10; k++) {
        const double aurc = aurc_at(&a, &(ds_score){DS_PNORM, 1, k});
        assert_true(k < p ? aurc > best : aurc >= best);
        differ = differ || aurc > best;
    }
    assert_true(differ);
    ds_answers_clear(&a);
}

static void the_best_score_is_chosen(void **state)
{
    (void)state;
    ds_answers a = answers_made();
    fitted f = fit(&a);
    assert_true(f.temperature > 1);
    assert_true(f.nll[1] < f.nll[0]);
    assert_int_equal(f.n, 2 * DS_CONFIDENCES - 2); /* maxlogit and pnorm are the same at each temperature */
    int best = 0;
    ds_answers first = ds_answers_part(&a, 0, N / 2);
    for (int k = 0; k < f.n; k++) {
        const ds_candidate *c = &f.candidates[k];
        if (k < DS_CONFIDENCES)
            assert_string_equal(c->name, ds_confidence_names[k]);
        assert_true(c->temperature == (k < DS_CONFIDENCES ? 0 : f.temperature));
        best = c->aurc < f.candidates[best].aurc ? k : best;
    }
    assert_string_equal(f.candidates[best].name, ds_confidence_names[f.score.kind]);
    assert_true(f.score.temperature == (best < DS_CONFIDENCES ? 1 : f.temperature));
    assert_true(aurc_at(&first, &f.score) == f.candidates[best].aurc);
    ds_answers_clear(&a);
}

/* The images that set the threshold are spoilt: nothing that was fitted may move. */
static void the_second_part_has_no_say(void **state)
{
    (void)state;
    ds_answers a = answers_made();
    fitted before = fit(&a);
    for (size_t i = N / 2; i < N; i++) {
        a.labels[i] = (a.labels[i] + 1) % CLASSES;
        for (int k = 0; k < ROW; k++)
            a.logits[i * ROW + (size_t)k] *= -7;
    }
    fitted after = fit(&a);
    assert_true(before.temperature == after.temperature);
    assert_true(before.nll[1] != after.nll[1]);
    assert_memory_equal(&before.score, &after.score, sizeof before.score);
    for (int k = 0; k < before.n; k++)
        assert_true(before.candidates[k].aurc == after.candidates[k].aurc);
    ds_answers_clear(&a);
}

/* No abstain output, two classes: neither abstain nor pnorm can be chosen. */
static void scores_that_the_network_lacks_are_no_candidates(void **state)
{
    (void)state;
    ds_answers a = {.n = N, .classes = 2};
    ds_candidate candidates[DS_CONFIDENCES];
    ds_score score = msp;
    DS_ALLOC(a.labels, N);
    for (size_t i = 0; i < N; i++)
        a.labels[i] = (int)(i % 2);
    ds_answers_begin(&a, true);
    for (size_t i = 0; i < N; i++)
        ds_answers_put(&a, i, (float[]){(float)(i % 7), (float)(i % 5)}, &msp, 1, 1);
    int n = ds_answers_choose_score(&a, &score, (double[]){1}, 1, candidates);
    assert_int_equal(n, DS_CONFIDENCES - 2);
    for (int k = 0; k < n; k++)
        assert_true(strcmp(candidates[k].name, "abstain") != 0 && strcmp(candidates[k].name, "pnorm") != 0);
    ds_answers_clear(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_answers),
        cmocka_unit_test(unlabelled_images_are_answered),
        cmocka_unit_test(halves_hold_every_image_once),
        cmocka_unit_test(parts_are_scored_alone),
        cmocka_unit_test(the_first_norm_of_the_lowest_aurc_is_fitted),
        cmocka_unit_test(the_best_score_is_chosen),
        cmocka_unit_test(the_second_part_has_no_say),
        cmocka_unit_test(scores_that_the_network_lacks_are_no_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
