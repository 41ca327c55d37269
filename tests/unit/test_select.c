#include "base/rng.h"
#include "select/select.h"
#include "tests/unit/vectors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Relative to the larger of the reference and `floor`; NaN equals NaN. */
static void near(const char *what, double got, double expected, double floor)
{
    double bound = 1e-10 * fmax(fabs(expected), floor);
    if ((isnan(got) && isnan(expected)) || fabs(got - expected) <= bound)
        return;
    fail_msg("%s: got %.17g, expected %.17g", what, got, expected);
}

/* ---- confidences ---- */

static void check_score(const vec_file *f, const char *item, ds_score score, bool abstain)
{
    const vec_item *expected = vec_get(f, item);
    float *z = vec_floats(f, "logits");
    int rows = vec_get(f, "logits")->rows, n = vec_get(f, "logits")->cols;
    assert_int_equal(expected->n, rows);
    for (int i = 0; i < rows; i++) {
        char what[160];
        snprintf(what, sizeof what, "%s %s row %d", vec_case(f), item, i);
        /* The reference takes these as differences of numbers near 1: it has no digits below 1e-16. */
        double floor = score.kind == DS_ENTROPY || score.kind == DS_MARGIN || abstain ? 1e-4 : 0;
        near(what, ds_score_row(&score, z + (size_t)i * (size_t)n, n, abstain), expected->v[i], floor);
    }
    free(z);
}

static void check_log_msp(const vec_file *f)
{
    const vec_item *logits = vec_get(f, "logits"), *expected = vec_get(f, "log_msp");
    float *z = vec_floats(f, "logits");
    double *log_p = malloc((size_t)logits->cols * sizeof *log_p);
    for (int i = 0; i < logits->rows; i++) {
        const float *row = z + (size_t)i * (size_t)logits->cols;
        ds_log_softmax(row, logits->cols, 1, log_p);
        near("log_msp", log_p[ds_argmax(row, logits->cols)], expected->v[i], 1e-4);
    }
    free(log_p);
    free(z);
}

static void confidences_equal_the_reference(void **state)
{
    (void)state;
    int cases = 0;
    vec_file *f = vec_open("confidence.txt");
    for (; vec_next(f); cases++) {
        for (int k = 0; k < DS_CONFIDENCES; k++)
            if (k != DS_PNORM)
                check_score(f, ds_confidence_names[k], (ds_score){(ds_confidence)k, 1, 2}, k == DS_ABSTAIN);
        check_log_msp(f);
        check_score(f, "pnorm_1", (ds_score){DS_PNORM, 1, 1}, false);
        check_score(f, "pnorm_2", (ds_score){DS_PNORM, 1, 2}, false);
        check_score(f, "pnorm_5", (ds_score){DS_PNORM, 1, 5}, false);
    }
    vec_close(f);
    assert_true(cases > 0);
}

static double score_of(ds_confidence kind, double temperature, const float *z, int n, bool abstain)
{
    return ds_score_row(&(ds_score){kind, temperature, 2}, z, n, abstain);
}

static void temperature_divides_all_logits(void **state)
{
    (void)state;
    const float z[] = {3, -1, 0.5f, 2}, half[] = {1.5f, -0.5f, 0.25f, 1};
    for (int k = 0; k < DS_CONFIDENCES; k++) {
        double factor = k == DS_ENERGY ? 2 : 1;
        bool abstain = k == DS_ABSTAIN;
        near(ds_confidence_names[k], score_of((ds_confidence)k, 2, z, 4, abstain),
             factor * score_of((ds_confidence)k, 1, half, 4, abstain), 0);
    }
}

static void class_scores_leave_the_abstain_logit_out(void **state)
{
    (void)state;
    const float with[] = {1, 2, -3, 9}, without[] = {1, 2, -3};
    for (int k = 0; k < DS_ABSTAIN; k++)
        assert_true(score_of((ds_confidence)k, 1, with, 4, true) ==
                    score_of((ds_confidence)k, 1, without, 3, false));
}

static void small_differences_survive(void **state)
{
    (void)state;
    const float sure_to_abstain[] = {0, 0, 100};
    near("abstain", score_of(DS_ABSTAIN, 1, sure_to_abstain, 3, true), 2 * exp(-100), 0);
    const float twins[] = {1, 1 - 0x1p-20f, -200};
    near("margin", score_of(DS_MARGIN, 1, twins, 3, false), tanh(0x1p-21), 0);
    const float sure[] = {50, 0};
    near("entropy", score_of(DS_ENTROPY, 1, sure, 2, false), -51 * exp(-50), 0);
    const float a[] = {30, 0, 0}, b[] = {31, 0, 0};
    assert_true(score_of(DS_MSP, 1, a, 3, false) < score_of(DS_MSP, 1, b, 3, false));
    for (int n = 2; n <= 1000; n++)
        assert_true(score_of(DS_MSP, 1, (float[1000]){0}, n, false) == 1.0 / n);
    const float huge[] = {3e38f, -3e38f, 0};
    assert_true(score_of(DS_MSP, 1, huge, 3, false) == 1);
    assert_true(isfinite(score_of(DS_PNORM, 1, huge, 3, false)));
}

static void undefined_scores_are_nan(void **state)
{
    (void)state;
    const float bad[][3] = {
        {1, NAN, 0}, {NAN, NAN, NAN}, {INFINITY, 0, 1}, {-INFINITY, -INFINITY, -INFINITY}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (int k = 0; k < DS_CONFIDENCES; k++)
            assert_true(isnan(score_of((ds_confidence)k, 1, bad[i], 3, k == DS_ABSTAIN)));
    const float equal[] = {0.1f, 0.1f, 0.1f};
    assert_true(isnan(score_of(DS_PNORM, 1, equal, 3, false)));
    assert_true(isnan(score_of(DS_ABSTAIN, 1, equal, 3, false)));
    assert_true(score_of(DS_MARGIN, 1, equal, 3, false) == 0);
    const float gone[] = {1, -INFINITY, -INFINITY};
    assert_true(score_of(DS_ENTROPY, 1, gone, 3, false) == 0);
    assert_true(score_of(DS_MSP, 1, equal, 1, false) == 1);
}

static void shapes_are_checked(void **state)
{
    (void)state;
    ds_error e = {0};
    for (int k = 0; k < DS_ABSTAIN; k++)
        assert_int_equal(ds_score_check(&(ds_score){(ds_confidence)k, 1, 2}, 3, false, &e), 0);
    assert_int_equal(ds_score_check(&(ds_score){DS_ABSTAIN, 1, 2}, 3, true, &e), 0);
    assert_int_equal(ds_score_check(&(ds_score){DS_ABSTAIN, 1, 2}, 3, false, &e), DS_EINPUT);
    assert_non_null(strstr(e.text, "target=abstain"));
    assert_int_equal(ds_score_check(&(ds_score){DS_PNORM, 1, 2}, 2, false, &e), DS_EINPUT);
    assert_int_equal(ds_score_check(&(ds_score){DS_PNORM, 1, 2}, 3, true, &e), DS_EINPUT);
    assert_int_equal(ds_score_check(&(ds_score){DS_PNORM, 1, 2}, 4, true, &e), 0);
    assert_int_equal(ds_score_check(&(ds_score){DS_PNORM, 1, 0}, 4, false, &e), DS_EINPUT);
    assert_int_equal(ds_score_check(&(ds_score){DS_MSP, 0, 2}, 4, false, &e), DS_EINPUT);
    assert_int_equal(ds_score_check(&(ds_score){DS_MSP, NAN, 2}, 4, false, &e), DS_EINPUT);
    assert_int_equal(ds_score_check(&(ds_score){DS_MSP, 1, 2}, 1, true, &e), DS_EINPUT);
}

static void softmax_and_argmax(void **state)
{
    (void)state;
    const float z[] = {1000, 1001, -1000}, nan_first[] = {NAN, -2, -2};
    double p[3], log_p[3];
    ds_softmax(z, 3, 1, p);
    near("p1", p[1], 1 / (1 + exp(-1)), 0);
    near("sum", p[0] + p[1] + p[2], 1, 0);
    ds_log_softmax(z, 3, 10, log_p);
    near("log p2", log_p[2], -200.1 - log1p(exp(-0.1)), 0);
    ds_softmax(nan_first, 3, 1, p);
    assert_true(isnan(p[0]) && isnan(p[2]));
    assert_int_equal(ds_argmax(z, 3), 1);
    assert_int_equal(ds_argmax(nan_first, 3), 1);
}

/* k answers of n logits with their temperatures; the mean is taken for temperature 2. */
static void answers_become_their_mean(void **state)
{
    (void)state;
    static const struct {
        int k, n;
        float z[3][4];
        double t[3];
    } cases[] = {
        {1, 4, {{1, -2, 7.5f, 3}}, {2}},
        {3, 4, {{1, -2, 7.5f, 3}, {1, -2, 7.5f, 3}, {1, -2, 7.5f, 3}}, {2, 2, 2}},
        {2, 4, {{10, 0, 0, 0}, {0, 2000, 0, 0}}, {1, 1}}, /* a loud one has no more to say */
        {3, 3, {{1, 2, 3}, {-900, 5, 900}, {4, 4, -INFINITY}}, {1, 3, 0.5}},
        {2, 2, {{1, -INFINITY}, {2, -INFINITY}}, {1, 1}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const int k = cases[c].k, n = cases[c].n;
        double pool[9], p[4], mean[4] = {0}, norm = 0;
        float z[4];
        for (int i = 0; i < k; i++) {
            const float *row = cases[c].z[i];
            ds_pool_add(pool, i == 0, row, n, cases[c].t[i]);
            ds_softmax(row, n, cases[c].t[i], p);
            for (int j = 0; j < n; j++)
                mean[j] += p[j] / k;
            const int best = ds_argmax(row, n);
            norm += (row[best] / cases[c].t[i] - log(p[best])) / k;
        }
        ds_pool_logits(pool, k, n, 2, z);
        ds_softmax(z, n, 2, p);
        for (int j = 0; j < n; j++)
            assert_true(fabs(p[j] - mean[j]) < 5e-7 * fmax(1, norm) && (isinf(z[j]) != 0) == (mean[j] == 0));
        const int best = ds_argmax(z, n);
        assert_true(fabs(z[best] / 2 - log(p[best]) - norm) < 1e-5 * fabs(norm));
        for (int j = 0; c < 2 && j < n; j++)
            assert_true(fabsf(z[j] - cases[c].z[0][j]) < 1e-5f);
    }
}

static void a_mean_with_an_answer_that_is_none_is_none(void **state)
{
    (void)state;
    static const float good[2] = {1, 2}, bad[][2] = {{NAN, 1}, {INFINITY, 0}, {-INFINITY, -INFINITY}};
    for (int c = 0; c < 6; c++) {
        double pool[5];
        float z[2];
        ds_pool_add(pool, true, c % 2 ? good : bad[c / 2], 2, 1);
        ds_pool_add(pool, false, c % 2 ? bad[c / 2] : good, 2, 1);
        ds_pool_logits(pool, 2, 2, 1, z);
        assert_true(isnan(z[0]) && isnan(z[1]));
    }
}

static void acceptance(void **state)
{
    (void)state;
    assert_true(ds_accepts(0.5, 0.5));
    assert_false(ds_accepts(0.5, 0.6));
    assert_true(ds_accepts(-3, NAN));
    assert_false(ds_accepts(NAN, NAN));
    assert_false(ds_accepts(NAN, -1));
    assert_false(ds_accepts(0.5, INFINITY));
    assert_true(ds_score_is_probability(DS_MSP));
    assert_false(ds_score_is_probability(DS_ENERGY));
}

/* ---- curve and areas ---- */

static ds_curve curve_of(const double *confidence, const bool *wrong, size_t n)
{
    return ds_curve_of(confidence, wrong, n);
}

static void check_item(const vec_file *f, const char *item, double got)
{
    char what[160];
    snprintf(what, sizeof what, "%s %s", vec_case(f), item);
    near(what, got, vec_number(f, item), 1);
}

/* Another tool's convention, whose numbers stand in the file too: the trapezoid over coverages from 1/n to 1
 * of risks E_k/k, errors growing linearly inside a group. */
static double trapezoid_of(const ds_curve *c)
{
    double sum = 0, before = NAN;
    for (size_t g = 0, k = 0; g < c->groups; g++) {
        const size_t first = k, base = g ? c->errors[g - 1] : 0;
        for (k++; k <= c->accepted[g]; k++) {
            double share = (double)(k - first) / (double)(c->accepted[g] - first);
            double risk = ((double)base + share * (double)(c->errors[g] - base)) / (double)k;
            sum += isnan(before) ? 0 : (before + risk) / 2 / (double)c->n;
            before = risk;
        }
        k--;
    }
    return sum;
}

static void check_metrics(const vec_file *f, const ds_curve *c)
{
    ds_areas a = ds_areas_of(c);
    check_item(f, "aurc", a.aurc);
    check_item(f, "eaurc", a.eaurc);
    check_item(f, "aurc_oracle", a.aurc - a.eaurc);
    check_item(f, "aurc_trapezoid", trapezoid_of(c));
    check_item(f, "augrc", a.augrc);
    check_item(f, "auroc", a.auroc);
    check_item(f, "risk_at_0.5", ds_cut_at_coverage(c, 0.5).risk);
    check_item(f, "risk_at_0.8", ds_cut_at_coverage(c, 0.8).risk);
    check_item(f, "risk_at_0.9", ds_cut_at_coverage(c, 0.9).risk);
    check_item(f, "risk_at_1.0", ds_cut_at_coverage(c, 1).risk);
    check_item(f, "cov_at_0.0", ds_cut_at_risk(c, 0).coverage);
    check_item(f, "cov_at_0.05", ds_cut_at_risk(c, 0.05).coverage);
    check_item(f, "cov_at_0.1", ds_cut_at_risk(c, 0.1).coverage);
    check_item(f, "cov_at_0.3", ds_cut_at_risk(c, 0.3).coverage);
}

static void metrics_equal_the_reference(void **state)
{
    (void)state;
    int cases = 0;
    vec_file *f = vec_open("metrics.txt");
    for (; vec_next(f); cases++) {
        const vec_item *confidence = vec_get(f, "conf"), *error = vec_get(f, "error");
        bool *wrong = calloc((size_t)error->n, sizeof *wrong);
        for (int i = 0; i < error->n; i++)
            assert_true((wrong[i] = error->v[i] != 0) == error->v[i]);
        ds_curve c = curve_of(confidence->v, wrong, (size_t)error->n);
        check_metrics(f, &c);
        ds_curve_clear(&c);
        free(wrong);
    }
    vec_close(f);
    assert_true(cases > 0);
}

static void no_images(void **state)
{
    (void)state;
    ds_curve c = curve_of(NULL, NULL, 0);
    ds_areas a = ds_areas_of(&c);
    assert_true(isnan(a.aurc) && isnan(a.eaurc));
    assert_true(isnan(a.augrc) && isnan(a.auroc));
    ds_cut cuts[] = {ds_cut_at_coverage(&c, 0.8), ds_cut_at_risk(&c, 1), ds_cut_at_threshold(&c, 0.5)};
    for (int i = 0; i < 3; i++)
        assert_true(cuts[i].accepted == 0 && isnan(cuts[i].coverage) && isnan(cuts[i].risk));
    assert_true(cuts[0].threshold == INFINITY && cuts[1].threshold == INFINITY);
    ds_curve_clear(&c);
}

static void one_image(void **state)
{
    (void)state;
    for (int w = 0; w < 2; w++) {
        ds_curve c = curve_of((double[]){0.7}, (bool[]){w}, 1);
        ds_areas a = ds_areas_of(&c);
        assert_true(a.aurc == w && a.eaurc == 0 && a.augrc == w / 2.0 && isnan(a.auroc));
        ds_cut risk = ds_cut_at_risk(&c, 0.1);
        assert_true(risk.accepted == (w ? 0 : 1) && risk.coverage == !w);
        assert_true(w ? isnan(risk.risk) && risk.threshold == INFINITY
                      : risk.risk == 0 && risk.threshold == 0.7);
        ds_curve_clear(&c);
    }
}

static void nan_confidences_are_never_accepted(void **state)
{
    (void)state;
    const double confidence[] = {NAN, 0.9, NAN, 0.8}, ranked[] = {-1, 0.9, -1, 0.8};
    const bool wrong[] = {true, false, false, true};
    ds_curve c = curve_of(confidence, wrong, 4), r = curve_of(ranked, wrong, 4);
    assert_true(c.n_nan == 2 && c.groups == 2 && c.wrong == 2);
    ds_areas a = ds_areas_of(&c), b = ds_areas_of(&r);
    assert_true(a.aurc == b.aurc && a.auroc == b.auroc && a.augrc == b.augrc);
    assert_true(ds_cut_at_coverage(&c, 1).accepted == 2 && ds_cut_at_coverage(&r, 1).accepted == 4);
    assert_true(ds_cut_at_threshold(&c, NAN).accepted == 2 && ds_cut_at_threshold(&c, NAN).errors == 1);
    ds_curve_clear(&c);
    ds_curve_clear(&r);
    c = curve_of((double[]){NAN, NAN}, (bool[]){true, false}, 2);
    a = ds_areas_of(&c);
    assert_true(c.groups == 0 && a.auroc == 0.5 && a.aurc == 0.5);
    assert_true(ds_cut_at_coverage(&c, 0.5).accepted == 0 && ds_cut_at_risk(&c, 1).coverage == 0);
    ds_curve_clear(&c);
}

static void the_order_holds_for_all_doubles(void **state)
{
    (void)state;
    const double confidence[] = {-0.0, 1e-310, -INFINITY, 5, 0.0, -2, INFINITY, -1e-310, -3};
    const double expected[] = {INFINITY, 5, 1e-310, 0, -1e-310, -2, -3, -INFINITY};
    const bool wrong[9] = {true};
    ds_curve c = curve_of(confidence, wrong, 9);
    assert_int_equal(c.groups, 8);
    for (size_t g = 0; g < c.groups; g++)
        assert_true(c.threshold[g] == expected[g]);
    assert_true(c.accepted[3] == 5 && c.errors[2] == 0 && c.errors[3] == 1 && c.errors[7] == 1);
    assert_true(ds_cut_at_threshold(&c, -0.0).accepted == 5);
    ds_curve_clear(&c);
}

static void fractions_are_not_rounded_up(void **state)
{
    (void)state;
    double confidence[100];
    bool wrong[100] = {false};
    for (int i = 0; i < 100; i++)
        confidence[i] = 1 - i / 100.0;
    for (int percent = 1; percent <= 100; percent++) {
        wrong[100 - percent] = true; /* the `percent` least sure */
        ds_curve c = curve_of(confidence, wrong, 100);
        assert_int_equal(ds_cut_at_coverage(&c, percent / 100.0).accepted, percent);
        assert_int_equal(ds_cut_at_risk(&c, percent / 100.0).accepted, 100);
        assert_true(ds_cut_at_risk(&c, (percent - 0.001) / 100).accepted < 100);
        ds_curve_clear(&c);
    }
}

static void ties_stay_together(void **state)
{
    (void)state;
    const double confidence[] = {0.9, 0.5, 0.5, 0.5, 0.1};
    const bool wrong[] = {false, true, false, false, true};
    ds_curve c = curve_of(confidence, wrong, 5);
    assert_int_equal(ds_cut_at_coverage(&c, 0.4).accepted, 4);
    assert_int_equal(ds_cut_at_coverage(&c, 0.2).accepted, 1);
    assert_int_equal(ds_cut_at_risk(&c, 0.2).accepted, 1);
    assert_int_equal(ds_cut_at_risk(&c, 0.25).accepted, 4);
    assert_int_equal(ds_cut_at_threshold(&c, 0.5).accepted, 4);
    assert_int_equal(ds_cut_at_threshold(&c, 0.51).accepted, 1);
    ds_curve_clear(&c);
}

/* Random confidences, many of them equal, some NaN; `kind` 0: mixed, 1: all right, 2: all wrong, 3: all
 * equal. */
static void draw(ds_rng *r, int kind, double *confidence, bool *wrong, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        confidence[i] = kind == 3 ? 0.25 : (double)ds_rng_below(r, n) / 7 - 3;
        if (kind != 3 && ds_rng_below(r, 10) == 0)
            confidence[i] = NAN;
        wrong[i] = kind == 2 || (kind != 1 && ds_rng_below(r, 4) == 0);
    }
}

static double pairs_in_order(const double *confidence, const bool *wrong, size_t n)
{
    double sum = 0, pairs = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            if (wrong[i] || !wrong[j])
                continue;
            double a = isnan(confidence[i]) ? -INFINITY : confidence[i];
            double b = isnan(confidence[j]) ? -INFINITY : confidence[j];
            sum += a > b ? 1 : a == b ? 0.5 : 0;
            pairs++;
        }
    return pairs > 0 ? sum / pairs : NAN;
}

static void check_cuts(const ds_curve *c, const double *confidence, const bool *wrong, size_t n)
{
    for (size_t g = 0; g < c->groups; g++) {
        size_t accepted = 0, errors = 0;
        for (size_t i = 0; i < n; i++)
            if (ds_accepts(confidence[i], c->threshold[g])) {
                accepted++;
                errors += wrong[i];
            }
        ds_cut cut = ds_cut_at_threshold(c, c->threshold[g]);
        assert_true(c->accepted[g] == accepted && c->errors[g] == errors);
        assert_true(cut.accepted == accepted && cut.errors == errors && cut.threshold == c->threshold[g]);
        assert_true(ds_cut_at_coverage(c, cut.coverage).accepted == accepted);
        assert_true(ds_cut_at_risk(c, cut.risk).accepted >= accepted);
    }
}

static void properties_hold(void **state)
{
    (void)state;
    ds_rng r = ds_rng_make(1, 2, 3);
    for (int round = 0; round < 200; round++) {
        double confidence[120];
        bool wrong[120];
        size_t n = 1 + (size_t)ds_rng_below(&r, 120);
        draw(&r, round % 4, confidence, wrong, n);
        ds_curve c = curve_of(confidence, wrong, n);
        ds_areas a = ds_areas_of(&c);
        double miss = (double)c.wrong / (double)n, hit = 1 - miss;
        near("auroc", a.auroc, pairs_in_order(confidence, wrong, n), 1);
        assert_true(a.eaurc > -1e-12);
        if (!isnan(a.auroc))
            near("augrc identity", a.augrc, (1 - a.auroc) * hit * miss + miss * miss / 2, 1);
        else
            assert_true(fabs(a.aurc - miss) < 1e-12 && fabs(a.augrc - miss / 2) < 1e-12);
        if (round % 4 == 3)
            near("aurc of equals", a.aurc, miss, 1);
        check_cuts(&c, confidence, wrong, n);
        ds_curve_clear(&c);
    }
}

static void many_images(void **state)
{
    (void)state;
    size_t n = 300000;
    double *confidence = malloc(n * sizeof *confidence);
    bool *wrong = malloc(n * sizeof *wrong);
    ds_rng r = ds_rng_make(7, 0, 0);
    for (size_t i = 0; i < n; i++) {
        confidence[i] = ds_rng_normal(&r);
        wrong[i] = ds_rng_uniform(&r) < 0.1;
    }
    ds_curve c = curve_of(confidence, wrong, n);
    assert_true(c.accepted[c.groups - 1] == n && c.errors[c.groups - 1] == c.wrong);
    for (size_t g = 1; g < c.groups; g++)
        assert_true(c.threshold[g] < c.threshold[g - 1] && c.accepted[g] > c.accepted[g - 1]);
    ds_areas a = ds_areas_of(&c);
    assert_true(fabs(a.auroc - 0.5) < 0.01 && fabs(a.aurc - 0.1) < 0.01);
    ds_curve_clear(&c);
    free(confidence);
    free(wrong);
}

/* ---- quality of probabilities ---- */

static double largest_gap(const ds_quality *q)
{
    double most = 0;
    for (int b = 0; b < DS_BINS; b++)
        if (q->bin_n[b])
            most = fmax(most, fabs((double)q->bin_right[b] - q->bin_confidence[b]) / (double)q->bin_n[b]);
    return most;
}

static void calibration_equals_the_reference(void **state)
{
    (void)state;
    int cases = 0;
    vec_file *f = vec_open("calibration.txt");
    for (; vec_next(f); cases++) {
        float *z = vec_floats(f, "logits");
        const vec_item *logits = vec_get(f, "logits"), *labels = vec_get(f, "labels");
        double *log_p = malloc((size_t)logits->cols * sizeof *log_p);
        ds_quality q = {0};
        for (int i = 0; i < logits->rows; i++) {
            ds_log_softmax(z + (size_t)i * (size_t)logits->cols, logits->cols, 1, log_p);
            ds_quality_add(&q, log_p, logits->cols, (int)labels->v[i], 1);
        }
        check_item(f, "ece", ds_quality_means(&q).ece);
        check_item(f, "mce", largest_gap(&q));
        check_item(f, "nll", ds_quality_means(&q).nll);
        check_item(f, "brier", ds_quality_means(&q).brier);
        check_item(f, "accuracy", ds_quality_means(&q).accuracy);
        assert_true(ds_quality_means(&q).top == ds_quality_means(&q).accuracy);
        free(log_p);
        free(z);
    }
    vec_close(f);
    assert_true(cases > 0);
}

static void add_probability(ds_quality *q, double p, int label)
{
    ds_quality_add(q, (double[]){log(p), log1p(-p)}, 2, label, 1);
}

static void bins_close_on_the_right(void **state)
{
    (void)state;
    for (int b = 7; b < DS_BINS; b++) {
        ds_quality q = {0};
        double border = (b + 1) / (double)DS_BINS;
        add_probability(&q, border - 1e-9, 0);
        add_probability(&q, b + 1 < DS_BINS ? border + 1e-9 : 1, 0);
        assert_int_equal(q.bin_n[b], b + 1 < DS_BINS ? 1 : 2);
    }
}

/* The bin of a probability that exp gives exactly, found near log p; -1 when exp skips it. */
static int bin_of_exactly(double p)
{
    double x = log(p);
    for (int i = 0; i < 8; i++)
        x = nextafter(x, -INFINITY);
    for (int i = 0; i < 16 && exp(x) != p; i++)
        x = nextafter(x, INFINITY);
    if (exp(x) != p)
        return -1;
    ds_quality q = {0};
    ds_quality_add(&q, (double[]){x, -1000}, 2, 0, 1);
    int bin = 0;
    while (!q.bin_n[bin])
        bin++;
    return bin;
}

static void bins_close_on_the_last_digit(void **state)
{
    (void)state;
    int found = 0;
    for (int b = 1; b < DS_BINS; b++) {
        double border = b / (double)DS_BINS;
        int at = bin_of_exactly(border), above = bin_of_exactly(nextafter(border, 1));
        assert_true((at == -1 || at == b - 1) && (above == -1 || above == b));
        found += (at >= 0) + (above >= 0);
    }
    assert_true(found > DS_BINS);
}

static void quality_of_odd_input(void **state)
{
    (void)state;
    ds_quality q = {0};
    assert_true(isnan(ds_quality_means(&q).accuracy) && isnan(ds_quality_means(&q).ece));
    assert_true(isnan(ds_quality_means(&q).nll) && isnan(ds_quality_means(&q).brier) &&
                isnan(ds_quality_means(&q).top));
    const double log_p[] = {log(0.4), log(0.4), log(0.15), log(0.05)};
    for (int label = 0; label < 4; label++)
        ds_quality_add(&q, log_p, 4, label, 3);
    assert_true(q.right == 1 && q.right_top == 3);
    ds_quality_add(&q, (double[]){NAN, NAN}, 2, 0, 2);
    assert_true(q.right == 1 && q.right_top == 3 && q.n == 5);
    assert_true(isnan(ds_quality_means(&q).nll) && isnan(ds_quality_means(&q).ece));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(confidences_equal_the_reference),
        cmocka_unit_test(temperature_divides_all_logits),
        cmocka_unit_test(class_scores_leave_the_abstain_logit_out),
        cmocka_unit_test(small_differences_survive),
        cmocka_unit_test(undefined_scores_are_nan),
        cmocka_unit_test(shapes_are_checked),
        cmocka_unit_test(softmax_and_argmax),
        cmocka_unit_test(answers_become_their_mean),
        cmocka_unit_test(a_mean_with_an_answer_that_is_none_is_none),
        cmocka_unit_test(acceptance),
        cmocka_unit_test(metrics_equal_the_reference),
        cmocka_unit_test(no_images),
        cmocka_unit_test(one_image),
        cmocka_unit_test(nan_confidences_are_never_accepted),
        cmocka_unit_test(the_order_holds_for_all_doubles),
        cmocka_unit_test(fractions_are_not_rounded_up),
        cmocka_unit_test(ties_stay_together),
        cmocka_unit_test(properties_hold),
        cmocka_unit_test(many_images),
        cmocka_unit_test(calibration_equals_the_reference),
        cmocka_unit_test(bins_close_on_the_right),
        cmocka_unit_test(bins_close_on_the_last_digit),
        cmocka_unit_test(quality_of_odd_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
