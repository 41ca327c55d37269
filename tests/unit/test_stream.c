/* Streams of images: order, batches, errors, slow input, early end. */
#include "base/file.h"
#include "base/text.h"
#include "data/image.h"
#include "data/lines.h"
#include "data/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { N = 40, SIDE = 2, FLOATS = SIDE * SIDE, BAD = 13 };

static char dir[] = "/tmp/test_stream_XXXXXX";
static char *files[N]; /* image i has the pixels i; image BAD is none */

static void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void write_images(bool damaged)
{
    for (int i = 0; i < N; i++) {
        unsigned char pgm[] = "P5 2 2 255\n....";
        memset(pgm + 11, i, FLOATS);
        write_file(files[i], pgm, i == BAD || damaged ? 3 : 15);
    }
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    for (int i = 0; i < N; i++)
        files[i] = ds_format("%s/%02d.pgm", dir, i);
    write_images(false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++) {
        unlink(files[i]);
        free(files[i]);
    }
    return rmdir(dir);
}

static ds_paths *open_paths(const char *const *operands, int n, const char *const *lists, int n_lists)
{
    ds_error e = {0};
    ds_paths *p;
    ds_paths_setup s = {.operands = operands, .n_operands = n, .lists = lists, .n_lists = n_lists};
    if (ds_paths_new(&s, &p, &e))
        fail_msg("%s: %s", e.file, e.text);
    return p;
}

static ds_stream *open_cached(ds_paths *paths, int most, int threads, ds_cache *cache, size_t first)
{
    ds_error e = {0};
    ds_stream *s;
    ds_stream_setup setup = {.paths = paths,
                             .w = SIDE,
                             .h = SIDE,
                             .c = 1,
                             .most = most,
                             .threads = threads,
                             .cache = cache,
                             .first = first};
    if (ds_stream_new(&setup, &s, &e))
        fail_msg("%s", e.text);
    return s;
}

static ds_stream *open_stream(ds_paths *paths, int most, int threads)
{
    return open_cached(paths, most, threads, NULL, 0);
}

/* The images from `first` on, in order, each with its own pixels. */
static void check_batch(const ds_stream_batch *b, int first)
{
    int row = 0;
    for (int i = 0; i < b->n; i++) {
        int image = (first + i) % N;
        assert_string_equal(b->items[i]->path, files[image]);
        if (image == BAD) {
            assert_int_equal(b->items[i]->error.code, DS_EINPUT);
            assert_non_null(strstr(b->items[i]->error.text, "cannot decode"));
            continue;
        }
        assert_int_equal(b->items[i]->error.code, DS_OK);
        for (int k = 0; k < FLOATS; k++)
            assert_float_equal(b->pixels[row * FLOATS + k], image / 255., 1e-6);
        row++;
    }
    assert_int_equal(b->images, row);
}

/* To the end, which comes after `n` images and returns `end`. */
static void read_all(ds_stream *s, int most, int n, int end, ds_error *e)
{
    ds_stream_batch b;
    int seen = 0, rc;
    while (!(rc = ds_stream_next(s, &b, e)) && b.n) {
        assert_int_equal(b.n, n - seen < most ? n - seen : most);
        check_batch(&b, seen);
        seen += b.n;
    }
    assert_int_equal(seen, n);
    assert_int_equal(rc, end);
    assert_int_equal(ds_stream_next(s, &b, e), end);
    assert_int_equal(b.n, 0);
}

static void test_order_for_any_batch_and_threads(void **state)
{
    (void)state;
    const int sizes[] = {1, 7, 8, N, 100};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int threads = 1; threads <= 4; threads += 3) {
            ds_paths *p = open_paths((const char *const *)files, N, NULL, 0);
            ds_stream *s = open_stream(p, sizes[k], threads);
            read_all(s, sizes[k], N, DS_OK, NULL);
            ds_stream_free(s);
            ds_paths_free(p);
        }
}

/* The first batch of 7 from a cache, whose images from `first` on the files are; damaged: the files are, by now. */
static void read_cached(ds_cache *c, size_t first, bool damaged, void (*check)(const ds_stream_batch *b))
{
    ds_paths *p = open_paths((const char *const *)files, N, NULL, 0);
    write_images(damaged);
    ds_stream *s = open_cached(p, 7, 1, c, first);
    ds_stream_batch b;
    assert_int_equal(ds_stream_next(s, &b, NULL), DS_OK);
    check(&b);
    ds_stream_free(s);
    ds_paths_free(p);
    write_images(false);
}

static void expect_all(const ds_stream_batch *b)
{
    check_batch(b, 0);
}

enum { FIRST = 3, ROOM = 5 };

static void expect_the_kept(const ds_stream_batch *b)
{
    assert_int_equal(b->images, ROOM);
}

static void expect_those_before(const ds_stream_batch *b)
{
    assert_float_equal(b->pixels[(FIRST + 1) * FLOATS], 1 / 255., 1e-6);
}

/* What was decoded once is not read again, unless there was no room. */
static void test_kept_images(void **state)
{
    (void)state;
    const size_t bytes = sizeof(ds_image) + FLOATS;
    ds_cache *large = ds_cache_new(FIRST + N, N * bytes), *small = ds_cache_new(FIRST + N, ROOM * bytes);
    read_cached(large, FIRST, false, expect_all);
    read_cached(large, FIRST, true, expect_all);
    read_cached(large, 0, false, expect_those_before); /* places are not the files' */
    read_cached(small, FIRST, false, expect_all);
    read_cached(small, FIRST, true, expect_the_kept);
    ds_cache_free(large);
    ds_cache_free(small);
}

static void test_folder_is_sorted(void **state)
{
    (void)state;
    const char *folder = dir;
    ds_paths *p = open_paths(&folder, 1, NULL, 0);
    ds_stream *s = open_stream(p, 6, 3);
    read_all(s, 6, N, DS_OK, NULL);
    ds_stream_free(s);
    ds_paths_free(p);
}

static void test_freed_in_the_middle(void **state)
{
    (void)state;
    for (int batches = 0; batches < 3; batches++) {
        ds_paths *p = open_paths((const char *const *)files, N, NULL, 0);
        ds_stream *s = open_stream(p, 3, 2);
        ds_stream_batch b;
        for (int i = 0; i < batches; i++) {
            assert_int_equal(ds_stream_next(s, &b, NULL), DS_OK);
            check_batch(&b, 3 * i);
        }
        ds_stream_free(s);
        ds_paths_free(p);
    }
}

/* A pipe as a list: its name, and the end to write to. */
static int open_pipe(char name[40])
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    snprintf(name, 40, "/proc/self/fd/%d", ends[0]);
    return ends[1];
}

static void write_line(int fd, const char *path)
{
    char *line = ds_format("%s\n", path);
    assert_int_equal(write(fd, line, strlen(line)), strlen(line));
    free(line);
}

/* The reading end that was made with the writing end `fd`. */
static void close_pipe(const char *name, int fd)
{
    int reading = (int)strtol(strrchr(name, '/') + 1, NULL, 10);
    if (fd >= 0)
        close(fd);
    close(reading);
}

static void test_slow_input_is_answered_at_once(void **state)
{
    (void)state;
    char name[40];
    const char *list = name;
    int fd = open_pipe(name);
    ds_paths *p = open_paths(NULL, 0, &list, 1);
    ds_stream *s = open_stream(p, 8, 2);
    ds_stream_batch b;
    for (int i = 0; i < 3; i++) {
        write_line(fd, files[i]);
        assert_int_equal(ds_stream_next(s, &b, NULL), DS_OK); /* would wait for ever for a whole batch */
        assert_int_equal(b.n, 1);
        check_batch(&b, i);
    }
    assert_int_equal(write(fd, files[3], strlen(files[3])),
                     strlen(files[3])); /* a last line without an end */
    close(fd);
    assert_int_equal(ds_stream_next(s, &b, NULL), DS_OK);
    assert_int_equal(b.n, 1);
    check_batch(&b, 3);
    assert_int_equal(ds_stream_next(s, &b, NULL), DS_OK);
    assert_int_equal(b.n, 0);
    ds_stream_free(s);
    ds_paths_free(p);
    close_pipe(name, -1);
}

static void test_freed_while_input_is_waited_for(void **state)
{
    (void)state;
    char name[40];
    const char *list = name;
    int fd = open_pipe(name);
    ds_paths *p = open_paths(NULL, 0, &list, 1);
    ds_stream *s = open_stream(p, 4, 3);
    ds_stream_batch b;
    write_line(fd, files[0]);
    assert_int_equal(ds_stream_next(s, &b, NULL), DS_OK);
    assert_int_equal(b.n, 1);
    ds_stream_free(s); /* would hang */
    ds_paths_free(p);
    close_pipe(name, fd);
}

static void test_error_of_a_list_comes_after_its_images(void **state)
{
    (void)state;
    char name[40];
    const char *list = name;
    int fd = open_pipe(name);
    for (int i = 0; i < 20; i++)
        write_line(fd, files[i]);
    assert_int_equal(write(fd, "a\0b\n", 4), 4);
    close(fd);
    ds_paths *p = open_paths(NULL, 0, &list, 1);
    ds_stream *s = open_stream(p, 8, 2);
    ds_error e = {0};
    read_all(s, 8, 20, DS_EINPUT, &e);
    assert_int_equal(e.line, 21);
    assert_string_equal(e.file, name);
    ds_stream_free(s);
    ds_paths_free(p);
    close_pipe(name, -1);
}

static void test_lines_of_any_length(void **state)
{
    (void)state;
    enum { LONG = 65000 };
    char *path = ds_format("%s/lines", dir), *text = malloc(4 * LONG), *line;
    size_t n = 0;
    assert_non_null(text);
    for (int i = 0; i < 3; i++) {
        memset(text + n, 'a' + i, (size_t)LONG - (size_t)i);
        n += (size_t)LONG - (size_t)i;
        text[n++] = '\n';
    }
    write_file(path, text, n);
    ds_feed f;
    bool later;
    assert_int_equal(ds_feed_open(&f, path, NULL), DS_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ds_feed_next(&f, -1, &line, &later, NULL), DS_OK);
        assert_int_equal(strlen(line), LONG - i);
        assert_int_equal(line[0], 'a' + i);
        assert_int_equal(line[LONG - i - 1], 'a' + i);
        assert_int_equal(f.line, i + 1);
    }
    assert_int_equal(ds_feed_next(&f, -1, &line, &later, NULL), DS_OK);
    assert_null(line);
    assert_false(later);
    ds_feed_close(&f);

    memset(text, 'x', 2 * LONG);
    write_file(path, text, 2 * LONG);
    ds_error e = {0};
    assert_int_equal(ds_feed_open(&f, path, NULL), DS_OK);
    assert_int_equal(ds_feed_next(&f, -1, &line, &later, &e), DS_EINPUT);
    assert_int_equal(e.line, 1);
    ds_feed_close(&f);
    unlink(path);
    free(path);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_for_any_batch_and_threads),
        cmocka_unit_test(test_kept_images),
        cmocka_unit_test(test_folder_is_sorted),
        cmocka_unit_test(test_freed_in_the_middle),
        cmocka_unit_test(test_slow_input_is_answered_at_once),
        cmocka_unit_test(test_freed_while_input_is_waited_for),
        cmocka_unit_test(test_error_of_a_list_comes_after_its_images),
        cmocka_unit_test(test_lines_of_any_length),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
