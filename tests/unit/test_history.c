/* The records of training images: what visits make of them, and how their rows follow the images of a list. */
#include "train/history.h"
#include "base/file.h"
#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const float rows[3][4] = {{1, 3, 2, 9}, {0, -1, 5, -9}, {2, 2, 2, 7}};

/* Three classes, and a fourth logit that says "abstain" and does not count. */
static uint64_t visit(ds_records *r, int row, int label, uint32_t id)
{
    return ds_records_visit(r, rows[row], 4, 3, &label, &id, 1);
}

static double entropy(const float *z)
{
    double sum = 0, h = 0;
    for (int j = 0; j < 3; j++)
        sum += exp(z[j]);
    for (int j = 0; j < 3; j++)
        h -= exp(z[j]) / sum * log(exp(z[j]) / sum);
    return h;
}

static void visits(void **state)
{
    (void)state;
    ds_records r = ds_records_new(2);
    assert_int_equal(visit(&r, 0, 1, 1), 1); /* right, margin 1 */
    assert_int_equal(r.predictions[1], 1 | DS_RECORD_RIGHT);
    assert_int_equal(visit(&r, 1, 1, 1), 0); /* class 2 instead, margin -6 */
    assert_int_equal(r.predictions[1], 2);
    assert_int_equal(visit(&r, 0, 1, 1), 1);
    assert_int_equal(r.predictions[1], 2 | DS_RECORD_RIGHT); /* what else was predicted is kept */
    assert_int_equal(visit(&r, 2, 0, 1), 1);                 /* equal logits: the first one */
    assert_int_equal(r.visits[2], 4);
    assert_int_equal(r.visits[3], 1);
    assert_float_equal(r.means[2], (1 - 6 + 1 + 0) / 4., 1e-6);
    assert_float_equal(r.means[3], (2 * entropy(rows[0]) + entropy(rows[1]) + log(3)) / 4, 1e-6);
    assert_true(r.visits[0] == 0 && r.visits[1] == 0 && r.means[0] == 0 && r.predictions[0] == 0);
    ds_records_clear(&r);
}

static void a_batch(void **state)
{
    (void)state;
    ds_records r = ds_records_new(3);
    assert_int_equal(ds_records_visit(&r, rows[0], 4, 3, (int[]){1, 0, 0}, (uint32_t[]){2, 0, 2}, 3), 2);
    assert_int_equal(r.visits[0], 1);
    assert_int_equal(r.visits[4], 2);
    assert_int_equal(r.visits[1], 1);
    assert_int_equal(r.visits[5], 0);
    ds_records_clear(&r);
}

/* The entropy of a certain answer is 0, not 0 times infinity. */
static void extreme(void **state)
{
    (void)state;
    static const float z[3] = {1e30f, -1e30f, -INFINITY};
    ds_records r = ds_records_new(1);
    ds_records_visit(&r, z, 3, 3, (int[]){0}, (uint32_t[]){0}, 1);
    assert_true(r.means[1] == 0 && isfinite(r.means[0]));
    ds_records_clear(&r);
}

static void more_visits_than_a_counter_holds(void **state)
{
    (void)state;
    ds_records r = ds_records_new(1);
    for (int i = 0; i < 70000; i++)
        visit(&r, i % 4 ? 0 : 1, 1, 0);
    assert_in_range(r.visits[0], 32767, 65535);
    assert_float_equal((double)r.visits[1] / r.visits[0], .25, 1e-3);
    ds_records_clear(&r);
}

/* ---- rows follow images ---- */

static const char path[] = "/tmp/ds_history.ckpt";

static void save(ds_records *r, uint64_t *keys)
{
    ds_saved arrays[DS_RECORD_ARRAYS + 1];
    ds_records_arrays(r, arrays);
    arrays[DS_RECORD_ARRAYS] = (ds_saved){"images", "U64", r->n, 1, keys};
    json_auto_t *texts = json_object();
    assert_int_equal(ds_saved_write(path, texts, arrays, DS_RECORD_ARRAYS + 1, false, NULL), 0);
}

static void rows_follow_images(void **state)
{
    (void)state;
    uint64_t then[] = {30, 10, 20}, now[] = {20, 40, 30, 20};
    const ds_images images = {.n = 4, .keys = now};
    ds_records r = ds_records_new(3), s = ds_records_new(4);
    ds_saved arrays[DS_RECORD_ARRAYS];
    ds_saved_file f;
    size_t from[4];
    int fresh;
    for (uint32_t id = 0; id < 3; id++)
        for (uint32_t k = 0; k <= id; k++)
            visit(&r, 1, 0, id);
    save(&r, then);
    assert_int_equal(ds_saved_open(&f, strdup(path), "a checkpoint", NULL), 0);
    assert_int_equal(ds_saved_find(&f, &images, from, &fresh, NULL), 0);
    assert_int_equal(fresh, 1);
    ds_records_arrays(&s, arrays);
    assert_int_equal(ds_saved_follow(&f, arrays, DS_RECORD_ARRAYS, from, NULL), 0);
    const int wanted[] = {3, 0, 1, 3};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(s.visits[2 * i], wanted[i]);
        assert_int_equal(s.predictions[i], wanted[i] ? 2 : 0);
        assert_true(s.means[2 * i] == (wanted[i] ? -5 : 0));
    }
    ds_saved_close(&f);
    ds_records_clear(&r);
    ds_records_clear(&s);
}

/* An image twice in an unchanged list has two rows. */
static void equal_keys(void **state)
{
    (void)state;
    uint64_t keys[] = {7, 7};
    const ds_images images = {.n = 2, .keys = keys};
    ds_records r = ds_records_new(2);
    ds_saved_file f;
    size_t from[2];
    int fresh;
    save(&r, keys);
    assert_int_equal(ds_saved_open(&f, strdup(path), "a checkpoint", NULL), 0);
    assert_int_equal(ds_saved_find(&f, &images, from, &fresh, NULL), 0);
    assert_true(fresh == 0 && from[0] == 0 && from[1] == 1);
    ds_saved_close(&f);
    ds_records_clear(&r);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(visits),
        cmocka_unit_test(a_batch),
        cmocka_unit_test(extreme),
        cmocka_unit_test(more_visits_than_a_counter_holds),
        cmocka_unit_test(rows_follow_images),
        cmocka_unit_test(equal_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
