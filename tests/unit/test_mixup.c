/* Mixtures: pixels, parts and partners, and what a cost section makes of two labels. */
#include "train/mixup.h"
#include "tests/unit/gradient.h"

enum { BATCH = 6, INPUTS = 5, MANY = 4000 };

static float pixels[BATCH * INPUTS];
static const int labels[BATCH] = {0, 1, 2, 3, 4, 5};
static const uint32_t ids[BATCH] = {10, 3, 7, 8, 2, 40};
static const ds_batch batch = {.pixels = pixels, .labels = labels, .ids = ids};

static ds_mixtures mixed(const ds_net_options *o, int first, int images, uint64_t seed, uint64_t position)
{
    ds_mixtures m = ds_mixtures_new(images, INPUTS);
    ds_mix(&m, o, &batch, first, images, INPUTS, seed, position);
    return m;
}

static int fill(void **state)
{
    (void)state;
    for (int i = 0; i < BATCH * INPUTS; i++)
        pixels[i] = (float)((i * 37) % 101) / 101;
    return 0;
}

static void test_pixels_are_those_of_both_labels(void **state)
{
    (void)state;
    const ds_net_options o = {.batch = BATCH, .regmixup = true, .mixup_alpha = 1};
    int with[BATCH] = {0};
    for (uint64_t position = 0; position < MANY; position += BATCH) {
        ds_mixtures m = mixed(&o, 0, BATCH, 1, position);
        for (int i = 0; i < BATCH; i++) {
            const float s = m.shares[i];
            with[(m.others[i] - i + BATCH) % BATCH]++;
            assert_true(s >= .5F && s <= 1);
            for (int j = 0; j < INPUTS; j++)
                assert_true(fabsf(m.pixels[i * INPUTS + j] -
                                  (s * pixels[i * INPUTS + j] + (1 - s) * pixels[m.others[i] * INPUTS + j])) <
                            1e-6F);
        }
        ds_mixtures_clear(&m);
    }
    assert_int_equal(with[0], 0); /* each of the others alike: 800 of 4002, within five deviations */
    for (int i = 1; i < BATCH; i++)
        assert_in_range(with[i], 670, 930);
}

static void test_parts_of_a_batch_are_those_of_the_whole(void **state)
{
    (void)state;
    const ds_net_options o = {.batch = BATCH, .mixup = true, .mixup_alpha = .3};
    ds_mixtures whole = mixed(&o, 0, BATCH, 5, 60), part = mixed(&o, 2, 3, 5, 60),
                seed = mixed(&o, 2, 3, 6, 60), later = mixed(&o, 2, 3, 5, 66);
    assert_memory_equal(part.pixels, whole.pixels + 2 * INPUTS, 3 * INPUTS * sizeof *pixels);
    assert_memory_equal(part.others, whole.others + 2, 3 * sizeof *labels);
    assert_memory_equal(part.shares, whole.shares + 2, 3 * sizeof(float));
    assert_memory_not_equal(part.shares, seed.shares, 3 * sizeof(float));
    assert_memory_not_equal(part.shares, later.shares, 3 * sizeof(float));
    ds_mixtures_clear(&whole);
    ds_mixtures_clear(&part);
    ds_mixtures_clear(&seed);
    ds_mixtures_clear(&later);
}

/* Of Beta(a, a): mean of (s - 1/2)^2 is 1 / (4 (2a + 1)), of its square 3 / (16 (2a + 1) (2a + 3)). */
static void test_shares(void **state)
{
    (void)state;
    static const double alphas[] = {.1, .5, 1, 3, 20};
    for (size_t k = 0; k < sizeof alphas / sizeof *alphas; k++) {
        const double a = alphas[k], variance = 1 / (4 * (2 * a + 1)),
                     fourth = 3 / (16 * (2 * a + 1) * (2 * a + 3));
        const ds_net_options o = {.batch = BATCH, .regmixup = true, .mixup_alpha = a == 20 ? NAN : a};
        double sum = 0, squares = 0;
        for (int n = 0; n < MANY; n++) {
            ds_mixtures m = mixed(&o, 0, 1, 1, (uint64_t)n);
            const double d = m.shares[0] - .5;
            sum += d * d / MANY;
            squares += d * d * d * d / MANY;
            ds_mixtures_clear(&m);
        }
        if (!(fabs(sum - variance) < 5 * sqrt((fourth - variance * variance) / MANY)) ||
            !(fabs(squares / fourth - 1) < .25))
            fail_msg("alpha %g: variance %g, expected %g; fourth moment %g, expected %g", a, sum, variance,
                     squares, fourth);
    }
}

static void test_halves(void **state)
{
    (void)state;
    const ds_net_options o = {.batch = BATCH, .mixup = true, .mixup_alpha = NAN};
    int halves = 0;
    for (int n = 0; n < MANY; n++) {
        ds_mixtures m = mixed(&o, 1, 1, 1, (uint64_t)n);
        assert_true(m.shares[0] == .5F || m.shares[0] == 1);
        halves += m.shares[0] == .5F;
        ds_mixtures_clear(&m);
    }
    assert_in_range(halves, MANY / 2 - 160, MANY / 2 + 160);
}

/* ---- cost sections ---- */

/* Loss of a mixture of labels 1 and 2: `layer` of `options`, or with ids NULL what becomes of it. */
static double loss_of(const char *layer, const char *options, const float *z, int n, float share, bool known,
                      float *gradient)
{
    ds_pair pairs[4];
    char *text;
    gradient_case c = {.layer = ds_layer_find(layer),
                       .pairs = pairs,
                       .n = pairs_of(options, 1, pairs, &text),
                       .label = 1,
                       .other = &(int){2},
                       .share = &share,
                       .anonymous = !known};
    double row[GRADIENT_MOST];
    for (int j = 0; j < n; j++)
        row[j] = z[j];
    const double loss = gradient_pass(row, n, &c);
    memcpy(gradient, c.gradient, (size_t)n * sizeof *gradient);
    check_row(gradient_pass, &c, row, n, gradient);
    free(text);
    return loss;
}

static const float logits[] = {1, -.5F, 2, .25F, -1, .75F, -2};

/* Against -sum t log p over the first C, whose gradient is p - t; t: what the label weighs. */
static void cross_entropy(const char *layer, const char *options, int n, int classes, bool known,
                          double first, double second)
{
    float gradient[GRADIENT_MOST];
    double sum = 0;
    for (int j = 0; j < classes; j++)
        sum += exp(logits[j]);
    const double loss = loss_of(layer, options, logits, n, .75F, known, gradient);
    assert_true(fabs(loss - (first * (log(sum) - logits[1]) + second * (log(sum) - logits[2]))) < 1e-6);
    for (int j = 0; j < n; j++) {
        const double t = j == 1 ? first : j == 2 ? second : 0;
        assert_true(fabs(gradient[j] - (j < classes ? (first + second) * exp(logits[j]) / sum - t : 0)) <
                    1e-6);
    }
}

static void test_cross_entropy_of_both_labels(void **state)
{
    (void)state;
    cross_entropy("softmax", "", 5, 5, true, .75, .25);
    cross_entropy("softmax", "class_weights=1,2,8,1,1", 5, 5, true, 1.5, 2);
    cross_entropy("sat", "target=blend alpha_start=0.4", 5, 5, false, .75, .25);
    cross_entropy("sat", "target=ema", 5, 5, false, .75, .25);
    cross_entropy("sat", "target=abstain class_weights=1,2,8,1", 5, 4, false, 1.5, 2);
    cross_entropy("sat", "target=elr", 5, 5, false, .75, .25);
    cross_entropy("gambler", "", 5, 4, false, .75, .25);
    cross_entropy("selective", "", 5, 4, false, .75, .25);
    cross_entropy("selective", "auxiliary=1", 7, 3, false, .75, .25);
}

/* Each label by its part: those of share 1 and 0. */
static void test_own_loss_of_both_labels(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"gambler", "warmup_epochs=0"}, {"sat", "target=blend"}};
    for (int k = 0; k < 2; k++) {
        float both[5], first[5], second[5];
        const double loss = loss_of(cases[k][0], cases[k][1], logits, 5, .75F, true, both),
                     want = .75 * loss_of(cases[k][0], cases[k][1], logits, 5, 1, true, first) +
                            .25 * loss_of(cases[k][0], cases[k][1], logits, 5, 0, true, second);
        assert_true(fabs(loss - want) < 1e-9);
        for (int j = 0; j < 5; j++)
            assert_true(fabsf(both[j] - (.75F * first[j] + .25F * second[j])) < 1e-6F);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pixels_are_those_of_both_labels),
        cmocka_unit_test(test_parts_of_a_batch_are_those_of_the_whole),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_cross_entropy_of_both_labels),
        cmocka_unit_test(test_own_loss_of_both_labels),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
