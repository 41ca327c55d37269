/* .data files, label files and lists: what is read and every message about what is wrong. */
#include "base/file.h"
#include "base/text.h"
#include "data/data.h"

#include <math.h>
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

static char dir[] = "/tmp/test_datafile_XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"a.data",   "labels.txt", "names.txt",
                                        "list.txt", "Makefile",   "deps.sh"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *p = ds_path_join(dir, names[i]);
        unlink(p);
        free(p);
    }
    return rmdir(dir);
}

/* Text with 0 bytes is possible through `n`. */
static void put_bytes(const char *name, const char *bytes, size_t n)
{
    char *path = ds_path_join(dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    free(path);
}

static void put(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}

static int read_data(ds_datafile *d, ds_error *e)
{
    char *path = ds_path_join(dir, "a.data");
    *e = (ds_error){0};
    int rc = ds_datafile_read(path, d, NULL, e);
    free(path);
    return rc;
}

static void read_well(ds_datafile *d, const char *text)
{
    ds_error e = {0};
    put("a.data", text);
    if (read_data(d, &e))
        fail_msg("%s:%d: %s", e.file, e.line, e.text);
}

static void expect_error(const ds_error *e, const char *name, int line, const char *words)
{
    char *path = ds_path_join(dir, name);
    assert_string_equal(e->file, path);
    assert_int_equal(e->line, line);
    if (!strstr(e->text, words))
        fail_msg("'%s' lacks '%s'", e->text, words);
    free(path);
}

static void expect_bad_data(const char *text, const char *name, int line, const char *words)
{
    ds_datafile d;
    ds_error e = {0};
    put("a.data", text);
    assert_int_not_equal(read_data(&d, &e), 0);
    expect_error(&e, name, line, words);
    assert_null(d.labels);
}

/* ---- .data ---- */

static void test_all_keys(void **state)
{
    (void)state;
    ds_datafile d;
    put("labels.txt", "\xef\xbb\xbf"
                      "cat\r\ndog\r\n red fox \r\n\r\n\n");
    put("names.txt", "a cat\nA dog\nthe fox");
    read_well(&d,
              "# comment\n; another\n\n  classes = 3 \r\ntrain=\tmy images/train # 1.txt\r\n"
              "valid=v\ncalib=c\ntest=t\nlabels = labels.txt\nnames=names.txt\nbackup=some where/\ntop=2\n"
              "labels_from=directory\neval=imagenet\nmap=m\nresults=r\ntag=0\n");
    const char *const paths[] = {d.train, d.valid, d.calib, d.test, d.labels_path, d.names_path};
    static const char *const written[] = {
        "my images/train # 1.txt", "v", "c", "t", "labels.txt", "names.txt"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char *path = ds_path_join(dir, written[i]);
        assert_string_equal(paths[i], path);
        free(path);
    }
    assert_string_equal(d.backup, "some where/");
    assert_int_equal(d.top, 2);
    assert_int_equal(d.classes, 3);
    assert_int_equal(d.labels_from, DS_DIRECTORY);
    assert_string_equal(d.labels[0], "cat");
    assert_string_equal(d.labels[2], "red fox");
    assert_string_equal(d.names[2], "the fox");
    ds_datafile_clear(&d);
    assert_null(d.labels);
}

static void test_defaults(void **state)
{
    (void)state;
    ds_datafile d;
    put("labels.txt", "cat\ndog\n");
    read_well(&d, "labels=labels.txt\n");
    assert_null(d.train);
    assert_string_equal(d.backup, "backup");
    assert_int_equal(d.top, 1);
    assert_int_equal(d.labels_from, DS_SUBSTRING);
    assert_int_equal(d.classes, 2);
    assert_string_equal(d.names[1], "dog");
    ds_datafile_clear(&d);
}

static void test_bad_data(void **state)
{
    (void)state;
    put("labels.txt", "cat\ndog\n");
    put("names.txt", "one\n");
    expect_bad_data("", "a.data", 0, "is empty");
    expect_bad_data("# nothing\n", "a.data", 0, "no key=value");
    expect_bad_data("train=x\n", "a.data", 0, "no labels=");
    expect_bad_data("# x\n[net]\n", "a.data", 2, "a network, expected a .data file");
    expect_bad_data("labels=labels.txt\nhello\n", "a.data", 2, "'hello', expected key=value");
    expect_bad_data("labels=labels.txt\ntrain= \n", "a.data", 2, "'train=', expected a key and a value");
    expect_bad_data("labels=labels.txt\ntrian=x\n", "a.data", 2, "did you mean 'train'?");
    expect_bad_data("labels=labels.txt\ntop=1\n\ntop=2\n", "a.data", 4, "first in line 2");
    expect_bad_data("top=0\nlabels=labels.txt\n", "a.data", 1, "top=0, expected");
    expect_bad_data("labels=labels.txt\ntop=3\n", "a.data", 2, "top=3, expected at most the 2 classes");
    expect_bad_data("classes=2x\nlabels=labels.txt\n", "a.data", 1, "classes=2x, expected");
    expect_bad_data("labels=labels.txt\n\nclasses=3\n", "a.data", 3,
                    "labels.txt has 2 labels, expected the two to be equal");
    expect_bad_data("labels=labels.txt\nlabels_from=folder\n", "a.data", 2,
                    "labels_from=folder, expected substring|");
    expect_bad_data("labels=labels.txt\nnames=names.txt\n", "a.data", 2,
                    "names.txt has 1 names, expected 2");
    expect_bad_data("labels=labels.txt\nnames=none.txt\n", "a.data", 2, "none.txt: cannot open");
    expect_bad_data("labels=none.txt\n", "a.data", 1, "none.txt: cannot open");
    expect_bad_data("labels=labels.txt\ntree=t\n", "a.data", 2, "hierarchies are not supported");
    expect_bad_data("labels=labels.txt\ntag=1\n", "a.data", 2, "several labels an image");
}

static void test_bad_files(void **state)
{
    (void)state;
    ds_datafile d;
    ds_error e = {0};
    assert_int_equal(ds_datafile_read(dir, &d, NULL, &e), DS_EIO);
    assert_non_null(strstr(e.text, "is a directory"));
    put_bytes("a.data", "train=\0x", 8);
    assert_int_equal(read_data(&d, &e), DS_EINPUT);
    expect_error(&e, "a.data", 0, "binary");
}

static void test_bad_labels(void **state)
{
    (void)state;
    put("labels.txt", "cat\ndog\ncat\n");
    expect_bad_data("labels=labels.txt\n", "labels.txt", 3,
                    "label 'cat' again, expected each label once (first in line 1)");
    put("labels.txt", "cat\n \ndog\n");
    expect_bad_data("labels=labels.txt\n", "labels.txt", 2, "empty line");
    put("labels.txt", "\n\n");
    expect_bad_data("labels=labels.txt\n", "labels.txt", 0, "has no label");
    put("labels.txt", "");
    expect_bad_data("labels=labels.txt\n", "labels.txt", 0, "is empty");
}

/* ---- labels of paths ---- */

static void expect_label(const ds_datafile *d, const char *path, const char *label)
{
    ds_error e = {0};
    int found = -1;
    if (ds_label_of(d, path, &found, &e))
        fail_msg("%s", e.text);
    assert_string_equal(d->labels[found], label);
}

static void expect_no_label(const ds_datafile *d, const char *path, const char *words)
{
    ds_error e = {0};
    int found = -1;
    assert_int_equal(ds_label_of(d, path, &found, &e), DS_EINPUT);
    if (!strstr(e.text, words) || !strstr(e.text, path))
        fail_msg("'%s' lacks '%s'", e.text, words);
}

static void test_label_in_path(void **state)
{
    (void)state;
    ds_datafile d;
    put("labels.txt", "cat\ncaterpillar\ndog\n1\n10\nlöwe\n");
    read_well(&d, "labels=labels.txt\n");
    expect_label(&d, "x/cat/2.png", "cat");
    expect_label(&d, "dog", "dog");
    expect_label(&d, "x/dog_dog.png", "dog");
    expect_label(&d, "löwe.png", "löwe");
    expect_no_label(&d, "x/2.png", "has none of the 6 labels");
    expect_no_label(&d, "do", "has none of");
    expect_no_label(&d, "caterpillar/2.png", "has 2 labels (cat, caterpillar)");
    expect_no_label(&d, "x/10.png", "has 2 labels (1, 10)");
    expect_no_label(&d, "cat_and_dog.png", "expected exactly one label in the path (labels_from=substring)");
    ds_datafile_clear(&d);
}

static void test_label_from_directory(void **state)
{
    (void)state;
    ds_datafile d;
    put("labels.txt", "cat\ncats\nb c\n");
    read_well(&d, "labels=labels.txt\nlabels_from=directory\n");
    expect_label(&d, "x/cat/cats.png", "cat");
    expect_label(&d, "cats/1.png", "cats");
    expect_label(&d, "/cats/1.png", "cats");
    expect_label(&d, "x/b c/1.png", "b c");
    expect_no_label(&d, "cat/x/1.png", "labels_from=directory");
    expect_no_label(&d, "cat", "has none");
    expect_no_label(&d, "ca/1.png", "has none");
    ds_datafile_clear(&d);
}

static void test_label_from_file_name(void **state)
{
    (void)state;
    ds_datafile d;
    put("labels.txt", "cat\nbig_cat\ndog\n");
    read_well(&d, "labels=labels.txt\nlabels_from=filename\n");
    expect_label(&d, "dog/7_cat.png", "cat");
    expect_label(&d, "x/dog.png", "dog");
    expect_label(&d, "1_dog", "dog");
    expect_label(&d, "a_b_1.5_dog.jpeg", "dog");
    expect_no_label(&d, "x/1_big_cat.png", "has 2 labels");
    expect_no_label(&d, "x/1dog.png", "has none");
    expect_no_label(&d, "dog_1.png", "has none");
    ds_datafile_clear(&d);
}

/* ---- lists ---- */

static int read_list(const ds_datafile *d, const char *text, ds_images *images, ds_error *e)
{
    put("list.txt", text);
    *e = (ds_error){0};
    char *path = ds_path_join(dir, "list.txt");
    int rc = ds_images_read(d, path, true, images, e);
    free(path);
    return rc;
}

static void expect_bad_list(const ds_datafile *d, const char *text, int line, const char *words)
{
    ds_images images;
    ds_error e = {0};
    assert_int_equal(read_list(d, text, &images, &e), DS_EINPUT);
    expect_error(&e, "list.txt", line, words);
    assert_null(images.paths);
}

static void test_list(void **state)
{
    (void)state;
    ds_datafile d;
    ds_images images;
    ds_error e = {0};
    put("labels.txt", "cat\ndog\n");
    read_well(&d, "labels=labels.txt\n");
    assert_int_equal(read_list(&d, "a cat.png\r\n\r\n/x/dog.png\n\n  b_dog.png\na cat.png", &images, &e), 0);
    assert_int_equal(images.n, 4);
    char *near = ds_path_join(dir, "a cat.png");
    assert_string_equal(images.paths[0], near);
    assert_string_equal(images.paths[3], near);
    assert_string_equal(images.paths[1], "/x/dog.png");
    assert_int_equal(images.labels[0], 0);
    assert_int_equal(images.labels[1], 1);
    assert_int_equal(images.labels[2], 1);
    free(near);
    ds_images_clear(&images);
    expect_bad_list(&d, "cat.png\n\nx.png\n", 3, "image 'x.png' has none of the 2 labels");
    expect_bad_list(&d, "catdog.png\n", 1, "has 2 labels (cat, dog)");
    expect_bad_list(&d, "\n\n", 0, "has no images");
    expect_bad_list(&d, "", 0, "is empty");
    char *long_path = ds_format("cat.png\n%5000s\n", "xdog.png");
    memset(strchr(long_path, '\n') + 1, 'x', 4990);
    expect_bad_list(&d, long_path, 2, "a path of 5000 bytes, expected at most 4095");
    free(long_path);
    assert_int_equal(ds_images_read(&d, "none.txt", true, &images, &e), DS_EIO);
    assert_int_equal(ds_images_read(&d, dir, true, &images, &e), DS_EIO);
    put_bytes("list.txt", "\x89PNG\0\0", 6);
    char *list = ds_path_join(dir, "list.txt");
    assert_int_equal(ds_images_read(&d, list, true, &images, &e), DS_EINPUT);
    free(list);
    ds_datafile_clear(&d);
}

/* A path that the list's folder does not have is taken from the current one. */
static void test_list_relative_to_current_folder(void **state)
{
    (void)state;
    ds_datafile d;
    ds_images images;
    ds_error e = {0};
    put("labels.txt", "src\nplugins\n");
    read_well(&d, "labels=labels.txt\nlabels_from=directory\n");
    assert_int_equal(read_list(&d, "src/data\nsrc/nothing here\n", &images, &e), 0);
    assert_string_equal(images.paths[0], "src/data");
    assert_int_equal(strncmp(images.paths[1], dir, strlen(dir)), 0);
    ds_images_clear(&images);
    ds_datafile_clear(&d);
}

/* Where both folders have it, the list's is taken, which is noted once. */
static void test_list_in_doubt(void **state)
{
    (void)state;
    ds_notes notes = {0};
    ds_images images;
    ds_error e = {0};
    put("labels.txt", "cat\n");
    put("Makefile", "");
    put("deps.sh", "");
    put("a.data", "labels=labels.txt\nlabels_from=list\n");
    ds_datafile d;
    char *path = ds_path_join(dir, "a.data"), *own = ds_path_join(dir, "Makefile");
    assert_int_equal(ds_datafile_read(path, &d, &notes, NULL), 0);
    assert_int_equal(read_list(&d, "Makefile\tcat\ndeps.sh\tcat\nREADME.md\tcat\n", &images, &e), 0);
    assert_string_equal(images.paths[0], own);
    assert_int_equal(strncmp(images.paths[1], dir, strlen(dir)), 0);
    assert_string_equal(images.paths[2], "README.md");
    assert_int_equal(notes.n, 1);
    char *words = ds_format("list.txt: 'Makefile' is %s, not ", own);
    if (!strstr(notes.text[0], words))
        fail_msg("'%s' lacks '%s'", notes.text[0], words);
    free(words);
    free(own);
    free(path);
    ds_images_clear(&images);
    ds_datafile_clear(&d);
    ds_notes_clear(&notes);
}

static void test_list_with_labels(void **state)
{
    (void)state;
    ds_datafile d;
    ds_images images;
    ds_error e = {0};
    put("labels.txt", "cat\nred fox\n");
    read_well(&d, "labels=labels.txt\nlabels_from=list\n");
    assert_int_equal(read_list(&d, "/a b.png\tred fox\r\n/c.png\t cat \n/with\ttab.png\tcat\n", &images, &e),
                     0);
    assert_string_equal(images.paths[0], "/a b.png");
    assert_string_equal(images.paths[2], "/with\ttab.png");
    assert_int_equal(images.labels[0], 1);
    assert_int_equal(images.labels[1], 0);
    ds_images_clear(&images);
    expect_bad_list(&d, "/a.png\tcat\n/b.png cat\n", 2, "'/b.png cat' has no label");
    expect_bad_list(&d, "/a.png\trad fox\n", 1, "image '/a.png' has the label 'rad fox'");
    expect_bad_list(&d, "/a.png\trad fox\n", 1, "did you mean 'red fox'?");
    expect_bad_list(&d, "/a.png\t\n", 1, "has no label");
    ds_datafile_clear(&d);
}

/* Many labels of several lengths: the search agrees with strstr and takes little time. */
static void test_many_labels(void **state)
{
    (void)state;
    enum { LABELS = 1000, PATHS = 20000 };
    ds_datafile d;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    for (int i = 0; i < LABELS; i++)
        fprintf(f, i % 3 ? "n%08d\n" : "class_%d_\n", i * 7919 % 100000);
    fclose(f);
    put("labels.txt", text);
    free(text);
    read_well(&d, "labels=labels.txt\n");
    clock_t start = clock();
    for (int i = 0; i < PATHS; i++) {
        char path[128];
        int label = -1, k = i % LABELS;
        snprintf(path, sizeof path, "/data/imagenet/train/%s/%d_image.JPEG", d.labels[k], i);
        assert_int_equal(ds_label_of(&d, path, &label, NULL), 0);
        assert_int_equal(label, k);
    }
    double us = (double)(clock() - start) / CLOCKS_PER_SEC / PATHS * 1e6;
    print_message("label of a path among %d: %.2f us\n", LABELS, us);
    assert_true(us < 50);
    ds_datafile_clear(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_keys),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_bad_data),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_bad_labels),
        cmocka_unit_test(test_label_in_path),
        cmocka_unit_test(test_label_from_directory),
        cmocka_unit_test(test_label_from_file_name),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_list_relative_to_current_folder),
        cmocka_unit_test(test_list_in_doubt),
        cmocka_unit_test(test_list_with_labels),
        cmocka_unit_test(test_many_labels),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
