/* The prefetching loader: order, epochs, determinism, errors, shutdown. */
#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/text.h"
#include "data/loader.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>

enum { N = 23, SIDE = 28, FLOATS = SIDE * SIDE };

static char dir[] = "/tmp/test_loader_XXXXXX";
static ds_images images; /* N grey PNGs; the first pixel of image i is 10 * i */

static const ds_augment augment = {.w = SIDE,
                                   .h = SIDE,
                                   .min_size = 28,
                                   .max_size = 40,
                                   .angle = 10,
                                   .aspect = .75,
                                   .saturation = 1,
                                   .exposure = 1.5,
                                   .flip = true};

static void write_png(const char *path, int i)
{
    unsigned char px[FLOATS];
    ds_rng r = ds_rng_make(3, (uint64_t)i, 0);
    for (int k = 0; k < FLOATS; k++)
        px[k] = (unsigned char)ds_rng_below(&r, 256);
    px[0] = (unsigned char)(10 * i);
    assert_true(stbi_write_png(path, SIDE, SIDE, 1, px, 0));
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    images = (ds_images){.n = N, calloc(N, sizeof(char *)), calloc(N, sizeof(int)), ds_strdup("list.txt")};
    for (int i = 0; i < N; i++) {
        images.paths[i] = ds_format("%s/%d.png", dir, i);
        images.labels[i] = i % 4;
        write_png(images.paths[i], i);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++)
        unlink(images.paths[i]);
    ds_images_clear(&images);
    return rmdir(dir);
}

static ds_loader_setup endless(int batch, int threads)
{
    return (ds_loader_setup){.images = &images,
                             .w = SIDE,
                             .h = SIDE,
                             .c = 1,
                             .batch = batch,
                             .threads = threads,
                             .augment = &augment,
                             .seed = 7};
}

static ds_loader *open_loader(const ds_loader_setup *s)
{
    ds_loader *l;
    ds_error e = {0};
    if (ds_loader_new(s, &l, &e))
        fail_msg("%s", e.text);
    return l;
}

/* The next `n` batches as one array of ids and one of pixels. */
static void collect(const ds_loader_setup *s, int n, uint32_t *ids, float *pixels)
{
    ds_loader *l = open_loader(s);
    ds_batch b;
    for (int i = 0; i < n; i++) {
        assert_int_equal(ds_loader_next(l, &b, NULL), 0);
        for (int k = 0; k < s->batch; k++)
            assert_int_equal(b.labels[k], images.labels[b.ids[k]]);
        memcpy(ids + i * s->batch, b.ids, (size_t)s->batch * sizeof *ids);
        if (pixels)
            memcpy(pixels + i * s->batch * FLOATS, b.pixels, (size_t)s->batch * FLOATS * sizeof *pixels);
    }
    ds_loader_free(l);
}

static void test_every_image_once_an_epoch(void **state)
{
    (void)state;
    enum { BATCH = 5, EPOCHS = 10 };
    uint32_t ids[N * EPOCHS];
    ds_loader_setup s = endless(BATCH, 2);
    collect(&s, N * EPOCHS / BATCH, ids, NULL);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        int seen[N] = {0};
        for (int i = 0; i < N; i++)
            seen[ids[epoch * N + i]]++;
        for (int i = 0; i < N; i++)
            assert_int_equal(seen[i], 1);
        if (epoch)
            assert_memory_not_equal(ids, ids + epoch * N, N * sizeof *ids);
    }
}

/* Classes of 16, 4, 0 and 3 images: as often as the others, an image again only after all of its class, and then
 * augmented otherwise; a stream that begins in the middle is the same one. */
static void test_balanced(void **state)
{
    (void)state;
    enum { BATCH = 4, BATCHES = 12 * N / BATCH, ALL = BATCH * BATCHES };
    static uint32_t ids[ALL], later[ALL / 2];
    static float pixels[ALL * FLOATS];
    int seen[N] = {0}, of[4] = {0}, again = 0;
    ds_loader_setup s = endless(BATCH, 3);
    s.balanced = 4;
    for (int i = 0; i < N; i++)
        images.labels[i] = i < 16 ? 0 : i < 20 ? 1 : 3;
    collect(&s, BATCHES, ids, pixels);
    for (int i = 0; i < ALL; i++) {
        of[images.labels[ids[i]]]++;
        seen[ids[i]]++;
        for (int k = i - 1; k >= 0 && k >= i - N; k--)
            if (ids[k] == ids[i]) {
                assert_memory_not_equal(pixels + k * FLOATS, pixels + i * FLOATS, FLOATS * sizeof *pixels);
                again++;
                break;
            }
    }
    assert_true(again > 0 && of[2] == 0);
    for (int c = 0; c < 4; c++)
        assert_in_range(of[c], c == 2 ? 0 : ALL / 3 - 3, c == 2 ? 0 : ALL / 3 + 3);
    for (int i = 0; i < N; i++) /* 92 of 16, of 4, of 3 */
        assert_in_range(seen[i], i < 16 ? 4 : i < 20 ? 20 : 27, i < 16 ? 8 : i < 20 ? 26 : 34);
    s.start = ALL / 2;
    s.threads = 1;
    collect(&s, BATCHES / 2, later, NULL);
    assert_memory_equal(later, ids + ALL / 2, BATCH * (BATCHES / 2) * sizeof *later);
    for (int i = 0; i < N; i++)
        images.labels[i] = i % 4;
}

static void test_batch_larger_than_an_epoch(void **state)
{
    (void)state;
    uint32_t large[4 * N], small[4 * N];
    ds_loader_setup s = endless(2 * N, 3);
    collect(&s, 2, large, NULL);
    s = endless(1, 1);
    collect(&s, 4 * N, small, NULL);
    assert_memory_equal(large, small, sizeof large);
}

static void test_threads_and_cache_change_nothing(void **state)
{
    (void)state;
    enum { BATCH = 6, BATCHES = 9 };
    uint32_t ids[2][BATCH * BATCHES];
    float *pixels[2] = {malloc(sizeof(float) * BATCH * BATCHES * FLOATS),
                        malloc(sizeof(float) * BATCH * BATCHES * FLOATS)};
    ds_loader_setup s = endless(BATCH, 1);
    collect(&s, BATCHES, ids[0], pixels[0]);
    s.threads = 3;
    for (size_t room = 0; room <= 8000; room += 4000) {
        s.cache = room ? ds_cache_new(N, room) : NULL;
        memset(pixels[1], 0, sizeof(float) * BATCH * BATCHES * FLOATS);
        collect(&s, BATCHES, ids[1], pixels[1]);
        ds_cache_free(s.cache);
        assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
        assert_memory_equal(pixels[0], pixels[1], sizeof(float) * BATCH * BATCHES * FLOATS);
    }
    s.cache = NULL;
    s.seed++;
    collect(&s, BATCHES, ids[1], pixels[1]);
    assert_memory_not_equal(ids[0], ids[1], sizeof ids[0]);
    free(pixels[0]);
    free(pixels[1]);
}

static void test_start_continues_a_stream(void **state)
{
    (void)state;
    enum { BATCH = 4, SKIPPED = 8, BATCHES = 6 };
    uint32_t whole[BATCH * (SKIPPED + BATCHES)], rest[BATCH * BATCHES];
    float *a = malloc(sizeof(float) * BATCH * (SKIPPED + BATCHES) * FLOATS),
          *b = malloc(sizeof(float) * BATCH * BATCHES * FLOATS);
    ds_loader_setup s = endless(BATCH, 2);
    collect(&s, SKIPPED + BATCHES, whole, a);
    s.start = BATCH * SKIPPED;
    collect(&s, BATCHES, rest, b);
    assert_memory_equal(whole + BATCH * SKIPPED, rest, sizeof rest);
    assert_memory_equal(a + BATCH * SKIPPED * FLOATS, b, sizeof(float) * BATCH * BATCHES * FLOATS);
    free(a);
    free(b);
}

/* Image 9 is damaged: some batches may come before it, then the error, again and again. */
static void test_undecodable_image(void **state)
{
    (void)state;
    FILE *f = fopen(images.paths[9], "wb");
    assert_non_null(f);
    assert_true(fputs("no image", f) >= 0);
    assert_int_equal(fclose(f), 0);
    ds_loader_setup s = endless(4, 3);
    ds_loader *l = open_loader(&s);
    ds_batch b;
    ds_error e = {0};
    for (int left = N; !ds_loader_next(l, &b, NULL); left--)
        assert_int_not_equal(left, 0);
    for (int i = 0; i < 3; i++) {
        e = (ds_error){0};
        assert_int_equal(ds_loader_next(l, &b, &e), DS_EINPUT);
        assert_string_equal(e.file, images.paths[9]);
        assert_non_null(strstr(e.text, "cannot decode"));
    }
    ds_loader_free(l);
}

static void count_lost(void *arg, uint32_t id, const ds_error *why)
{
    assert_int_equal(id, 9);
    assert_non_null(strstr(why->text, "expected"));
    ++*(int *)arg;
}

/* Image 9 is damaged still. Another image of its batch takes its place; a batch of lost ones alone is an error. */
static void test_lost_image(void **state)
{
    (void)state;
    int lost = 0;
    ds_batch b;
    ds_loader_setup s = endless(5, 2);
    s.lost = count_lost;
    s.arg = &lost;
    ds_loader *l = open_loader(&s);
    for (int i = 0; i < 2 * N / 5; i++) {
        assert_int_equal(ds_loader_next(l, &b, NULL), 0);
        for (int k = 0; k < s.batch; k++) {
            assert_int_not_equal(b.ids[k], 9);
            assert_int_equal(b.labels[k], images.labels[b.ids[k]]);
        }
    }
    assert_int_equal(lost, 2);
    ds_loader_free(l);
    s.batch = 1;
    int rc = 0;
    l = open_loader(&s);
    for (int i = 0; i < N && !rc; i++)
        rc = ds_loader_next(l, &b, NULL);
    assert_int_not_equal(rc, 0);
    ds_loader_free(l);
}

static void on_tick(void *arg, int done)
{
    int *last = arg;
    assert_in_range(done, 1, N);
    *last = done;
}

static void test_probe_and_drop(void **state)
{
    (void)state;
    ds_probe *found = NULL;
    assert_int_equal(unlink(images.paths[20]), 0);
    for (int threads = 1; threads <= 3; threads += 2) {
        int last = 0;
        const ds_probe_setup s = {.channels = 3, .threads = threads, .tick = on_tick, .arg = &last};
        ds_probe_free(found, N);
        found = calloc(N, sizeof *found);
        assert_int_equal(ds_images_probe(&images, &s, found), 2);
        assert_int_equal(last, threads == 1 ? N : last);
        for (int i = 0; i < N; i++) {
            assert_int_equal(found[i].reason != NULL, i == 9 || i == 20);
            assert_int_equal(found[i].channels, found[i].reason ? 0 : 1);
            assert_int_equal(found[i].w > 0 && found[i].h > 0, !found[i].reason);
        }
    }
    ds_images copy = {.n = N,
                      .paths = calloc(N, sizeof(char *)),
                      .labels = calloc(N, sizeof(int)),
                      .keys = calloc(N, sizeof(uint64_t)),
                      .lines = calloc(N, sizeof(int))};
    for (int i = 0; i < N; i++) {
        copy.paths[i] = ds_strdup(images.paths[i]);
        copy.labels[i] = copy.lines[i] = i;
        copy.keys[i] = (uint64_t)i;
    }
    ds_images_drop(&copy, found);
    assert_int_equal(copy.n, N - 2);
    for (int i = 0; i < copy.n; i++) {
        assert_int_equal(copy.labels[i], i + (i >= 9) + (i >= 19));
        assert_int_equal(copy.keys[i], copy.labels[i]);
        assert_int_equal(copy.lines[i], copy.labels[i]);
        assert_string_equal(copy.paths[i], images.paths[copy.labels[i]]);
    }
    ds_images_clear(&copy);
    ds_probe_free(found, N);
    write_png(images.paths[9], 9);
    write_png(images.paths[20], 20);
}

static void test_free_at_any_moment(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        ds_loader_setup s = endless(1 + i % 9, 1 + i % 4);
        ds_loader *l = open_loader(&s);
        ds_batch b;
        for (int k = 0; k < i % 5; k++)
            assert_int_equal(ds_loader_next(l, &b, NULL), 0);
        if (i % 2)
            nanosleep(&(struct timespec){0, 100000}, NULL);
        ds_loader_free(l);
    }
    ds_loader_free(NULL);
}

/* A batch that was handed out keeps its content until the next call, however long that takes. */
static void test_a_batch_stays_until_the_next_call(void **state)
{
    (void)state;
    ds_loader_setup s = endless(3, 2);
    ds_loader *l = open_loader(&s);
    ds_batch b;
    float before[3 * FLOATS];
    for (int i = 0; i < 12; i++) {
        assert_int_equal(ds_loader_next(l, &b, NULL), 0);
        memcpy(before, b.pixels, sizeof before);
        nanosleep(&(struct timespec){0, 3000000}, NULL);
        assert_memory_equal(before, b.pixels, sizeof before);
    }
    ds_loader_free(l);
}

static void test_no_images(void **state)
{
    (void)state;
    ds_images none = {.list = (char *)"l.txt"};
    ds_loader_setup s = endless(1, 1);
    ds_loader *l;
    ds_error e = {0};
    s.images = &none;
    assert_int_equal(ds_loader_new(&s, &l, &e), DS_EINPUT);
    assert_null(l);
    assert_string_equal(e.file, "l.txt");
}

/* A step of training takes longer than filling its batch: once decoded, nobody waits. */
static void test_cached_images_cost_little(void **state)
{
    (void)state;
    ds_loader_setup s = endless(128, 1);
    s.cache = ds_cache_new(N, 1 << 20);
    ds_loader *l = open_loader(&s);
    ds_batch b;
    enum { BATCHES = 40 };
    for (int i = 0; i < BATCHES; i++) /* all images are in memory after these */
        assert_int_equal(ds_loader_next(l, &b, NULL), 0);
    clock_t start = clock();
    for (int i = 0; i < BATCHES; i++)
        assert_int_equal(ds_loader_next(l, &b, NULL), 0);
    double ms = (double)(clock() - start) / CLOCKS_PER_SEC / BATCHES * 1e3;
    print_message("%.2f ms of a core for a batch of 128 cached 28x28 images\n", ms);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(ms < 10);
#endif
    ds_loader_free(l);
    ds_cache_free(s.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_image_once_an_epoch),
        cmocka_unit_test(test_balanced),
        cmocka_unit_test(test_batch_larger_than_an_epoch),
        cmocka_unit_test(test_threads_and_cache_change_nothing),
        cmocka_unit_test(test_start_continues_a_stream),
        cmocka_unit_test(test_undecodable_image),
        cmocka_unit_test(test_lost_image),
        cmocka_unit_test(test_probe_and_drop),
        cmocka_unit_test(test_free_at_any_moment),
        cmocka_unit_test(test_a_batch_stays_until_the_next_call),
        cmocka_unit_test(test_no_images),
        cmocka_unit_test(test_cached_images_cost_little),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
