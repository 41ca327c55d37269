/* Lists that share an image: by path, by link, by bytes; what is named, what is let through, and how long it takes. */
#include "base/file.h"
#include "base/text.h"
#include "data/data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/test_overlap_XXXXXX";
static ds_datafile data;

static char *place(const char *name)
{
    char *path = ds_path_join(dir, name);
    assert_non_null(path);
    return path;
}

static void put(const char *name, const void *bytes, size_t n)
{
    char *path = place(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    free(path);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

/* A file of n bytes that depend on `kind` in its first byte, or with `last` in its last alone. */
static void put_image(const char *name, size_t n, unsigned char kind, bool last)
{
    unsigned char *bytes = malloc(n);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)((i * 31 + i / 256) ^ (i == (last ? n - 1 : 0) ? kind : 0));
    put(name, bytes, n);
    free(bytes);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir) || chdir(dir))
        return -1;
    put_text("labels", "a\nb\n");
    put_text("a.data", "labels=labels\n");
    char *path = place("a.data");
    int rc = ds_datafile_read(path, &data, NULL, NULL);
    free(path);
    return rc;
}

static int teardown(void **state)
{
    (void)state;
    ds_datafile_clear(&data);
    char *command = ds_format("rm -r %s", dir);
    FILE *f = command ? popen(command, "r") : NULL;
    free(command);
    return f ? pclose(f) : -1;
}

static int check(const char *const *others, int n, int threads, ds_notes *notes, ds_error *e)
{
    *e = (ds_error){0};
    return ds_list_check_apart(&data, "calib", others, n, threads, notes, e);
}

static void expect_shared(const char *const *others, int n, int line, const char *words)
{
    ds_error e = {0};
    char *list = place("calib");
    for (int threads = 1; threads <= 3; threads++) {
        assert_int_equal(check(others, n, threads, NULL, &e), DS_EINPUT);
        assert_string_equal(e.file, list);
        if (e.line != line || !strstr(e.text, words))
            fail_msg("expected line %d and '%s', got %d: %s", line, words, e.line, e.text);
    }
    free(list);
}

static void expect_apart(int told, const char *const *others, int n)
{
    ds_error e = {0};
    ds_notes notes = {0};
    if (check(others, n, 2, &notes, &e))
        fail_msg("%s:%d: %s", e.file, e.line, e.text);
    assert_int_equal(notes.n, told); /* of images of equal bytes in the list itself */
    ds_notes_clear(&notes);
}

#define ONE(name) ((const char *const[]){name}), 1

static void test_paths(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        char name[] = "0.png";
        name[0] = (char)('0' + i);
        put_image(name, 100, (unsigned char)i, false);
    }
    put_text("calib", "0.png\n\n1.png\n2.png\n");
    put_text("train", "3.png\n4.png\n");
    put_text("test", "5.png\n./2.png\n1.png\n");
    expect_apart(0, ONE("train"));
    expect_apart(0, ONE(NULL));
    expect_shared((const char *const[]){"train", NULL, "test"}, 3, 3, "1.png' is also in ");
    expect_shared((const char *const[]){"train", NULL, "test"}, 3, 3, "test:3 (and 1 more), expected");
    expect_shared(ONE("calib"), 1, "calib:1 (and 2 more), expected");
}

static void test_links(void **state)
{
    (void)state;
    char *from = place("0.png"), *soft = place("soft.png"), *hard = place("hard.png");
    assert_int_equal(symlink("0.png", soft), 0);
    assert_int_equal(link(from, hard), 0);
    put_text("train", "4.png\nsoft.png\n");
    expect_shared(ONE("train"), 1, "0.png' is also in ");
    put_text("train", "4.png\nhard.png\n");
    expect_shared(ONE("train"), 1, "train:2, expected");
    free(from);
    free(soft);
    free(hard);
}

/* Copies of every length about the borders of what is read at once; the same length and one other byte is another image. */
static void test_contents(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 7, 8, 9, 4095, 4096, 4097, 32768, 36865, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        put_image("0.png", sizes[i], 1, false);
        put_image("1.png", sizes[i], 2, true);
        put_image("copy.png", sizes[i], 2, true);
        put_image("last.png", sizes[i], 3, true);
        put_image("first.png", sizes[i], 3, false);
        put_image("longer.png", sizes[i] + 1, 1, false);
        put_text("calib", sizes[i] > 1 ? "0.png\n1.png\n" : "5.png\n1.png\n");
        put_text("train", sizes[i] > 1 ? "last.png\nfirst.png\nlonger.png\n" : "last.png\nlonger.png\n");
        expect_apart(0, ONE("train"));
        put_text("train", "last.png\nlonger.png\ncopy.png\n");
        expect_shared(ONE("train"), 2, "1.png' has the bytes of ");
        expect_shared(ONE("train"), 2, "copy.png' in ");
        expect_shared(ONE("train"), 2, "train:3, expected");
    }
}

static void test_both_kinds_are_counted(void **state)
{
    (void)state;
    put_text("calib", "1.png\n5.png\n4.png\n");
    put_text("train", "copy.png\n4.png\n");
    expect_shared(ONE("train"), 1, "1.png' has the bytes of ");
    expect_shared(ONE("train"), 1, "train:1 (and 1 more)");
    put_text("train", "copy.png\n1.png\n"); /* the file itself says more than a copy of it */
    expect_shared(ONE("train"), 1, "1.png' is also in ");
    expect_shared(ONE("train"), 1, "train:2, expected");
    put_text("train", "copy.png\n4.png\n");
    put_text("calib", "5.png\n4.png\n1.png\n");
    expect_shared(ONE("train"), 2, "train:2 (and 1 more)");
}

/* Equal images within the list itself all count, each once. */
static void test_doubles(void **state)
{
    (void)state;
    put_text("calib", "5.png\n1.png\n1.png\ncopy.png\n");
    put_image("another.png", 100000, 2, true);
    put_text("train", "3.png\nanother.png\nanother.png\n");
    expect_shared(ONE("train"), 2, "train:2 (and 2 more)");
}

static void test_labels_in_the_list(void **state)
{
    (void)state;
    put_text("calib", "5.png\ta\n4.png\tb\n");
    put_text("train", "3.png\ta\n4.png \ta\n");
    data.labels_from = DS_LIST;
    expect_shared(ONE("train"), 2, "train:2, expected");
    data.labels_from = DS_SUBSTRING;
}

static void test_missing(void **state)
{
    (void)state;
    ds_error e = {0};
    ds_notes notes = {0};
    put_text("calib", "5.png\n4.png\n");
    put_text("train", "3.png\nno.png\nno_either.png\n");
    assert_int_equal(check(ONE("train"), 2, &notes, &e), 0);
    assert_int_equal(notes.n, 1);
    assert_non_null(strstr(notes.text[0], "train:2: image '"));
    assert_non_null(strstr(notes.text[0], "(2 such images)"));
    ds_notes_clear(&notes);
    assert_int_equal(check(ONE("no_list"), 2, &notes, &e), DS_EIO);
    assert_non_null(strstr(e.file, "no_list"));
}

/* Groups within and between lists; equal files are told from equal bytes. */
static void test_same(void **state)
{
    (void)state;
    ds_images lists[2];
    ds_same *v;
    char text[200] = "";
    put_image("0.png", 50, 1, false);
    put_image("1.png", 60, 2, true);
    put_image("copy.png", 60, 2, true);
    put_image("5.png", 60, 3, true);
    put_text("a", "no.png\n1.png\n5.png\n0.png\n");
    put_text("b", "copy.png\n1.png\n0.png\n");
    assert_int_equal(ds_images_read(&data, "a", false, &lists[0], NULL), 0);
    assert_int_equal(ds_images_read(&data, "b", false, &lists[1], NULL), 0);
    int n = ds_images_same(lists, 2, 2, &v);
    assert_int_equal(n, 5);
    for (int i = 0; i < n; i++) {
        bool last = i + 1 == n || memcmp(v[i].key, v[i + 1].key, sizeof v->key) != 0;
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%d:%d %s", v[i].list, v[i].image, last ? "| " : "");
    }
    assert_string_equal(text, "0:3 1:2 | 0:1 1:0 1:1 | "); /* the shorter file comes first */
    for (int i = 0; i + 1 < n; i++)
        assert_int_equal(memcmp(v[i].file, v[i + 1].file, sizeof v->file) == 0, i == 0);
    free(v);
    ds_images_clear(&lists[0]);
    ds_images_clear(&lists[1]);
}

/* Lists of 60,000 lines, all of one size, so that every file is read. */
static void test_many(void **state)
{
    (void)state;
    enum { N = 3000, LINES = 20 };
    char *text[2] = {NULL, NULL};
    size_t size;
    for (int k = 0; k < 2; k++) {
        FILE *f = open_memstream(&text[k], &size);
        for (int i = 0; i < N; i++) {
            char name[40];
            unsigned char bytes[500] = {(unsigned char)i, (unsigned char)(i >> 8), (unsigned char)k};
            snprintf(name, sizeof name, "%d_%d.bin", k, i);
            put(name, bytes, sizeof bytes);
        }
        for (int j = 0; j < LINES; j++)
            for (int i = 0; i < N; i++)
                fprintf(f, "%s/%d_%d.bin\n", dir, k, i);
        fclose(f);
    }
    put_text("calib", text[0]);
    put_text("train", text[1]);
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    expect_apart(1, ONE("train"));
    clock_gettime(CLOCK_MONOTONIC, &b);
    double seconds = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
    print_message("%d against %d images: %.2f s\n", N * LINES, N * LINES, seconds);
    assert_true(seconds < 30);
    free(text[0]);
    free(text[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),    cmocka_unit_test(test_links),
        cmocka_unit_test(test_contents), cmocka_unit_test(test_both_kinds_are_counted),
        cmocka_unit_test(test_doubles),  cmocka_unit_test(test_labels_in_the_list),
        cmocka_unit_test(test_missing),  cmocka_unit_test(test_same),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
