/* Import of idx archives and class folders, and the stratified split: tiny archives in the exact format,
 * whole and damaged. */
#include "tests/unit/import.h"

#include "base/rng.h"
#include "base/text.h"
#include "data/image.h"

#include <sys/stat.h>
#include <unistd.h>

enum { N = 12, ROWS = 5, COLS = 3, SIZE = ROWS * COLS };

/* ---- archives ---- */

static size_t put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (24 - 8 * i));
    return 4;
}

typedef struct archive {
    unsigned char bytes[16 + N * SIZE + 1];
    size_t n;
} archive;

static archive make_images(void)
{
    archive a = {.n = 0};
    const uint32_t head[4] = {0x803, N, ROWS, COLS};
    for (int i = 0; i < 4; i++)
        a.n += put32(a.bytes + a.n, head[i]);
    for (int i = 0; i < N * SIZE; i++)
        a.bytes[a.n++] = (unsigned char)(i * 37 + i / 7);
    return a;
}

/* Labels 0, 1, 2, 0, 1, 2 … */
static archive make_labels(void)
{
    archive a = {.n = 0};
    a.n += put32(a.bytes, 0x801);
    a.n += put32(a.bytes + 4, N);
    for (int i = 0; i < N; i++)
        a.bytes[a.n++] = (unsigned char)(i % 3);
    return a;
}

static void put_archives(void)
{
    archive images = make_images(), labels = make_labels();
    put("images", images.bytes, images.n);
    put("labels", labels.bytes, labels.n);
    put_gz("images.gz", images.bytes, images.n);
    put_gz("labels.gz", labels.bytes, labels.n);
}

static ds_import plain(void)
{
    return (ds_import){.kind = DS_IDX, .source = {"images", "labels"}, .seed = 1, .out = "set"};
}

static void run(const ds_import *s, int train, int test)
{
    ds_imported done;
    ds_error e = {0};
    int rc = ds_import_run(s, &done, &e);
    if (rc)
        fail_msg("%s: %s", e.file, e.text);
    check_counts(s, &done, train, test);
    assert_int_equal(done.classes, 3);
    assert_true(ds_path_exists(done.data_path));
    free(done.data_path);
    free(done.other);
}

/* The import ends with this code, names the file (NULL: none) and says `words`; no .data file is there. */
static void refuse(const ds_import *s, int code, const char *file, const char *words)
{
    ds_imported done;
    ds_error e = {0};
    assert_int_equal(ds_import_run(s, &done, &e), code);
    assert_int_equal(e.code, code);
    assert_string_equal(e.file, file ? file : "");
    if (!strstr(e.text, words))
        fail_msg("'%s' does not say '%s'", e.text, words);
    assert_null(done.data_path);
    assert_false(ds_path_exists("set/set.data"));
}

static void check_pixels(const char *path, int i)
{
    int w, h, c;
    unsigned char *px = stbi_load(path, &w, &h, &c, 0);
    archive images = make_images();
    assert_non_null(px);
    assert_int_equal(w, COLS);
    assert_int_equal(h, ROWS);
    assert_int_equal(c, 1);
    assert_memory_equal(px, images.bytes + 16 + i * SIZE, SIZE);
    stbi_image_free(px);
}

/* ---- whole archives ---- */

static void test_plain(void **state)
{
    (void)state;
    put_archives();
    ds_import s = plain();
    run(&s, N, 0);
    for (int i = 0; i < N; i++) {
        char path[64];
        snprintf(path, sizeof path, "set/train/%d/%06d.png", i % 3, i);
        check_pixels(path, i);
    }
    expect_text("set/labels", "0\n1\n2\n");
    expect_text("set/set.data",
                "# written by classifier import\nclasses=3\ntrain=train.list\nlabels=labels\nnames=names\n"
                "labels_from=directory\nbackup=backup\ntop=3\n");
    assert_false(ds_path_exists("set/.import_unfinished"));
}

static void test_gz_test_and_splits(void **state)
{
    (void)state;
    put_archives();
    const ds_split splits[] = {{.name = "valid", .count = 3}, {.name = "calib", .count = 6}};
    ds_import s = {.kind = DS_IDX,
                   .source = {"images.gz", "labels.gz"},
                   .test = {"images", "labels.gz"},
                   .splits = splits,
                   .n_splits = 2,
                   .seed = 4,
                   .out = "deep/set/"};
    run(&s, 3, N);
    check_pixels("deep/set/train/2/000005.png", 5);
    check_pixels("deep/set/test/1/000010.png", 10);
    expect_text(
        "deep/set/set.data",
        "# written by classifier import\nclasses=3\ntrain=train.list\nvalid=valid.list\ncalib=calib.list\n"
        "test=test.list\nlabels=labels\nnames=names\nlabels_from=directory\nbackup=backup\ntop=3\n");
    char *all = text_of("deep/set/test.list");
    assert_ptr_equal(strstr(all, "test/0/000000.png\ntest/1/000001.png\n"), all);
    free(all);
}

static void test_names(void **state)
{
    (void)state;
    put_archives();
    put_text("names.txt", "\xef\xbb\xbfT-shirt/top\r\n  T-shirt_top \n..\n\n");
    ds_import s = plain();
    s.names = "names.txt";
    run(&s, N, 0);
    expect_text("set/labels", "T-shirt_top\nT-shirt_top_2\n_.\n");
    expect_text("set/names", "T-shirt/top\nT-shirt_top\n..\n");
    check_pixels("set/train/T-shirt_top_2/000001.png", 1);
    check_pixels("set/train/_./000002.png", 2);
}

static void test_bad_names(void **state)
{
    (void)state;
    put_archives();
    ds_import s = plain();
    s.names = "names.txt";
    refuse(&s, DS_EIO, "names.txt", "expected a text file with one class name a line");
    put_text("names.txt", "a\nb\n");
    refuse(&s, DS_EINPUT, "labels", "label 2 of image 2, expected 0 … 1: names.txt has 2 classes");
    put_text("names.txt", "a\n\nb\nc\n");
    refuse(&s, DS_EINPUT, "names.txt", "empty line, expected one class name a line");
    assert_false(ds_path_exists("set"));
}

/* ---- damaged archives ---- */

static void test_missing_and_foreign(void **state)
{
    (void)state;
    put_archives();
    ds_import s = plain();
    s.source[0] = "nowhere";
    refuse(&s, DS_EIO, "nowhere", "No such file");
    s.source[0] = ".";
    refuse(&s, DS_EIO, ".", "is a directory");
    put_text("text", "not an archive at all");
    s.source[0] = "text";
    refuse(&s, DS_EINPUT, "text", "begins with 0x6e6f7420, expected idx images (magic 0x00000803)");
    s.source[0] = "labels";
    refuse(&s, DS_EINPUT, "labels", "begins with 0x00000801, expected idx images");
    put_text("empty", "");
    s.source[0] = "empty";
    refuse(&s, DS_EINPUT, "empty", "is empty");
    s.source[0] = "images";
    s.source[1] = "images";
    refuse(&s, DS_EINPUT, "images", "begins with 0x00000803, expected idx labels (magic 0x00000801)");
}

static void test_length(void **state)
{
    (void)state;
    put_archives();
    archive images = make_images(), labels = make_labels();
    ds_import s = plain();
    put("images", images.bytes, 10);
    refuse(&s, DS_EINPUT, "images", "ends after 10 bytes, expected a header of 16");
    put("images", images.bytes, images.n - 1);
    refuse(&s, DS_EINPUT, "images", "ends after 179 bytes of data, its header promises 180");
    put("images", images.bytes, images.n + 1);
    refuse(&s, DS_EINPUT, "images", "goes on after the 180 bytes");
    put("images", images.bytes, images.n);
    put("labels", labels.bytes, labels.n - 2);
    refuse(&s, DS_EINPUT, "labels", "ends after 10 bytes of data, its header promises 12");
    put_gz("labels", labels.bytes, labels.n + 1);
    refuse(&s, DS_EINPUT, "labels", "goes on after the 12 bytes");
}

static void test_damaged_gz(void **state)
{
    (void)state;
    put_archives();
    unsigned char *bytes;
    size_t n;
    assert_int_equal(ds_file_read("images.gz", "", &bytes, &n, NULL), 0);
    ds_import s = plain();
    s.source[0] = "bad.gz";
    put("bad.gz", bytes, n / 2);
    refuse(&s, DS_EINPUT, "bad.gz", "ends too early");
    put("bad.gz", bytes, n - 6);
    refuse(&s, DS_EINPUT, "bad.gz", "ends too early");
    bytes[n - 6] ^= 1; /* in the checksum */
    put("bad.gz", bytes, n);
    refuse(&s, DS_EINPUT, "bad.gz", "damaged compressed data");
    free(bytes);
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        uint32_t n, rows, cols;
        const char *words;
    } bad[] = {{0, ROWS, COLS, "holds 0 items"},
               {N, 0, COLS, "images of 0 rows and 3 columns"},
               {N, ROWS, 0, "images of 5 rows and 0 columns"},
               {N, 0xffffffff, COLS, "images of 4294967295 rows"},
               {0xffffffff, ROWS, COLS, "holds 4294967295 items"},
               {0x3fffffff, 32768, 32768, "expected at most 8 GiB"},
               {400000000, ROWS, COLS, "its header promises 6000000000"},
               {N - 1, ROWS, COLS, "goes on after the 165 bytes"}};
    put_archives();
    ds_import s = plain();
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        archive images = make_images();
        put32(images.bytes + 4, bad[k].n);
        put32(images.bytes + 8, bad[k].rows);
        put32(images.bytes + 12, bad[k].cols);
        put("images", images.bytes, images.n);
        refuse(&s, DS_EINPUT, "images", bad[k].words);
    }
    archive images = make_images();
    put32(images.bytes + 4, N - 1);
    put("images", images.bytes, images.n - SIZE);
    refuse(&s, DS_EINPUT, "labels", "holds 12 labels, expected 11: as many as 'images' holds images");
}

static void test_labels(void **state)
{
    (void)state;
    put_archives();
    archive labels = make_labels();
    labels.bytes[8 + 7] = 9;
    put("test_labels", labels.bytes, labels.n);
    ds_import s = plain();
    s.test[0] = "images";
    s.test[1] = "test_labels";
    refuse(&s, DS_EINPUT, "test_labels", "label 9 of image 7, expected 0 … 2: labels has 3 classes");
    memset(labels.bytes + 8, 0, N);
    put("labels", labels.bytes, labels.n);
    s = plain();
    refuse(&s, DS_EINPUT, "labels", "expected at least 2");
}

/* ---- the folder and the splits ---- */

static void test_out_folder(void **state)
{
    (void)state;
    put_archives();
    ds_import s = plain();
    assert_int_equal(mkdir("set", 0777), 0);
    put_text("set/precious", "x");
    refuse(&s, DS_EINPUT, "set", "is not empty, expected a new folder");
    put_text("set/.import_unfinished", "");
    run(&s, N, 0);
    const ds_split splits[] = {{.name = "valid", .count = 3}};
    s.splits = splits;
    s.n_splits = 1;
    run(&s, N - 3, 0);
    s.n_splits = 0;
    run(&s, N, 0);
    assert_false(ds_path_exists("set/valid.list"));
    assert_true(ds_path_exists("set/precious"));
    put_text("set/set.data", "# somebody's own file, longer than a mark\nclasses=3\n");
    ds_imported done;
    assert_int_equal(ds_import_run(&s, &done, NULL), DS_EINPUT);
    expect_text("set/set.data", "# somebody's own file, longer than a mark\nclasses=3\n");
}

/* What stops half-way leaves no .data file, and the next import goes on from there. */
static void test_stops_half_way(void **state)
{
    (void)state;
    put_archives();
    ds_import s = plain();
    run(&s, N, 0);
    assert_int_equal(unlink("set/train/1/000004.png"), 0);
    assert_int_equal(mkdir("set/train/1/000004.png", 0777), 0);
    refuse(&s, DS_EIO, "set/train/1/000004.png", "cannot write");
    assert_false(ds_path_exists("set/train.list"));
    assert_int_equal(rmdir("set/train/1/000004.png"), 0);
    run(&s, N, 0);
}

static void test_bad_splits(void **state)
{
    (void)state;
    put_archives();
    ds_import s = plain();
    ds_split splits[2] = {{.name = "vaild", .count = 3}, {.name = "calib", .count = 2}};
    s.splits = splits;
    s.n_splits = 2;
    refuse(&s, DS_EUSAGE, NULL,
           "unknown split 'vaild', expected valid, calib or test; did you mean 'valid'?");
    splits[0].name = "train";
    refuse(&s, DS_EUSAGE, NULL, "split 'train'");
    splits[0].name = "calib";
    refuse(&s, DS_EUSAGE, NULL, "split 'calib' given twice");
    splits[0] = (ds_split){.name = "valid", .count = 10};
    refuse(&s, DS_EINPUT, NULL, "the splits take 12 images, expected fewer than the 12");
    splits[0] = (ds_split){.name = "test", .count = 3};
    s.test[0] = "images";
    s.test[1] = "labels";
    refuse(&s, DS_EUSAGE, NULL, "split 'test' besides -test");
    s.test[0] = NULL;
    run(&s, N - 5, 3);
}

/* Counts of each class in each split, n images in all. */
static void count_parts(const int *labels, const int *part, int n, int counts[3][8])
{
    memset(counts, 0, 3 * sizeof *counts);
    for (int i = 0; i < n; i++)
        counts[part[i] + 1][labels[i]]++;
}

/* Every class gets its share rounded down or up, and no class is rounded down that has a larger rest than one
 * rounded up. */
static void check_shares(const int *counts, const int *size, int classes, int count, int n)
{
    int sum = 0;
    double smallest_up = 1, largest_down = 0;
    for (int c = 0; c < classes; c++) {
        double share = (double)count * size[c] / n, rest = share - (int)share;
        int up = counts[c] - (int)share;
        assert_in_range(up, 0, 1);
        if (up && rest < smallest_up)
            smallest_up = rest;
        if (!up && rest > largest_down)
            largest_down = rest;
        sum += counts[c];
    }
    assert_int_equal(sum, count);
    assert_true(smallest_up >= largest_down);
}

static void test_stratified(void **state)
{
    (void)state;
    enum { IMAGES = 1009, CLASSES = 8 };
    int labels[IMAGES], part[IMAGES], again[IMAGES], other[IMAGES], counts[3][8], size[8] = {0};
    ds_rng r = ds_rng_make(7, 0, 0);
    for (int i = 0; i < IMAGES; i++)
        size[labels[i] = (int)(CLASSES * ds_rng_uniform(&r) * ds_rng_uniform(&r))]++;
    const ds_split splits[] = {{.name = "valid", .count = 101}, {.name = "calib", .count = 333}};
    ds_split_stratified(labels, IMAGES, CLASSES, splits, 2, 5, part);
    ds_split_stratified(labels, IMAGES, CLASSES, splits, 2, 5, again);
    ds_split_stratified(labels, IMAGES, CLASSES, splits, 2, 6, other);
    assert_memory_equal(part, again, sizeof part);
    assert_memory_not_equal(part, other, sizeof part);
    count_parts(labels, part, IMAGES, counts);
    for (int s = 0; s < 2; s++)
        check_shares(counts[s + 1], size, CLASSES, splits[s].count, IMAGES);
}

/* The first two splits of one image each use class 0 up; the third, due one of each class, makes up for it
 * elsewhere. */
static void test_class_used_up(void **state)
{
    (void)state;
    const int labels[] = {0, 0, 1, 1, 2, 2, 3, 3};
    const ds_split splits[] = {
        {.name = "a", .count = 1}, {.name = "b", .count = 1}, {.name = "c", .count = 4}};
    int part[8], counts[4] = {0};
    ds_split_stratified(labels, 8, 4, splits, 3, 1, part);
    for (int i = 0; i < 8; i++)
        counts[part[i] + 1]++;
    const int expected[4] = {2, 1, 1, 4};
    assert_memory_equal(counts, expected, sizeof counts);
}

/* Many splits that each round the same small classes up: every image is still dealt exactly once. */
static void test_stratified_all(void **state)
{
    (void)state;
    const int labels[] = {0, 1, 1, 2, 2, 2, 3};
    const ds_split splits[] = {{.name = "a", .count = 2},
                               {.name = "b", .count = 2},
                               {.name = "c", .count = 3},
                               {.name = "d", .count = 0}};
    int part[7], counts[4] = {0};
    ds_split_stratified(labels, 7, 4, splits, 4, 1, part);
    for (int i = 0; i < 7; i++) {
        assert_in_range(part[i], 0, 3);
        counts[part[i]]++;
    }
    for (int s = 0; s < 4; s++)
        assert_int_equal(counts[s], splits[s].count);
}

/* Colour, noise and a size that needs more than one deflate block. */
static void test_png_colour(void **state)
{
    (void)state;
    enum { W = 301, H = 127 };
    unsigned char *px = malloc(3 * W * H);
    ds_rng r = ds_rng_make(1, 2, 3);
    for (int i = 0; i < 3 * W * H; i++)
        px[i] = (unsigned char)ds_rng_below(&r, 256);
    for (int k = 0; k < 2; k++, px[5]++) {
        int w, h, c;
        size_t n, again_n;
        unsigned char *png = ds_png_encode(px, W, H, 3, &n), *again = ds_png_encode(px, W, H, 3, &again_n);
        assert_int_equal(n, again_n);
        assert_memory_equal(png, again, n);
        unsigned char *back = stbi_load_from_memory(png, (int)n, &w, &h, &c, 0);
        assert_non_null(back);
        assert_int_equal(w * 1000 + h * 10 + c, W * 1000 + H * 10 + 3);
        assert_memory_equal(back, px, 3 * W * H);
        stbi_image_free(back);
        free(again);
        free(png);
    }
    free(px);
}

/* ---- class folders ---- */

static void put_images(const char *dir, int n)
{
    assert_int_equal(ds_make_dirs(dir, NULL), 0);
    for (int i = 0; i < n; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%c.%s", dir, 'a' + i, i % 2 ? "PNG" : "jpeg");
        put_text(path, "");
    }
}

static ds_import photos(void)
{
    return (ds_import){.kind = DS_FOLDERS, .source = {"photos"}, .seed = 1, .out = "set"};
}

static void run_folders(const ds_import *s, int train, int test)
{
    ds_imported done;
    ds_error e = {0};
    if (ds_import_run(s, &done, &e))
        fail_msg("%s: %s", e.file, e.text);
    check_counts(s, &done, train, test);
    free(done.data_path);
    free(done.other);
}

static void refuse_folders(const ds_import *s, const char *file, const char *words)
{
    ds_imported done;
    ds_error e = {0};
    assert_true(ds_import_run(s, &done, &e) < 0);
    if (!strstr(e.text, words))
        fail_msg("'%s' does not say '%s'", e.text, words);
    char whole[256];
    snprintf(whole, sizeof whole, "%s%s%s", file[0] == '+' ? folder : "", file[0] == '+' ? "/" : "",
             file + (file[0] == '+'));
    assert_string_equal(e.file, whole);
    assert_false(ds_path_exists("set/set.data"));
}

/* Compare a list with `lines`, in which every '@' stands for the test's folder. */
static void expect_list(const char *path, const char *lines)
{
    char expected[2048], *to = expected;
    for (const char *p = lines; *p; p++)
        to += *p == '@' ? snprintf(to, 100, "%s", folder) : snprintf(to, 100, "%c", *p);
    expect_text(path, expected);
}

static void test_folders(void **state)
{
    (void)state;
    put_images("photos/sea gull", 2);
    put_images("photos/cat", 3);
    put_images("photos/cat/.hidden", 1);
    put_images("photos/.git", 1);
    put_text("photos/README", "no class");
    put_text("photos/cat/notes.txt", "no image");
    ds_import s = photos();
    run_folders(&s, 5, 0);
    expect_text("set/labels", "cat\nsea gull\n");
    expect_list("set/train.list", "@/photos/cat/a.jpeg\n@/photos/cat/b.PNG\n@/photos/cat/c.jpeg\n"
                                  "@/photos/sea gull/a.jpeg\n@/photos/sea gull/b.PNG\n");
    expect_text("set/set.data", "# written by classifier import\nclasses=2\ntrain=train.list\nlabels=labels\n"
                                "labels_from=directory\nbackup=backup\ntop=2\n");
    put_images("photos/cat/indoors", 1);
    put_images("exam/cat", 1);
    s.test[0] = "exam";
    run_folders(&s, 6, 1);
    expect_list("set/test.list", "@/exam/cat/a.jpeg\tcat\n");
    char *data = text_of("set/set.data");
    assert_non_null(strstr(data, "\nlabels_from=list\n"));
    assert_non_null(strstr(data, "\ntest=test.list\n"));
    free(data);
}

static void test_bad_folders(void **state)
{
    (void)state;
    ds_import s = photos();
    refuse_folders(&s, "photos", "No such file");
    put_images("photos/cat", 3);
    refuse_folders(&s, "+photos", "1 class folder there, expected one for each of at least 2 classes");
    put_images("photos/dog", 0);
    refuse_folders(&s, "+photos/dog", "no images there");
    put_images("photos/dog", 1);
    put_images("exam/dgo", 1);
    s.test[0] = "exam";
    refuse_folders(&s, "+exam", "folder 'dgo' is no class of the training folder, did you mean 'dog'?");
    s = photos();
    s.out = "photos/cat/lists/set";
    refuse_folders(&s, "photos/cat/lists/set", "lies among the images");
    assert_false(ds_path_exists("photos/cat/lists"));
    s = photos();
    assert_int_equal(symlink("..", "photos/dog/up"), 0);
    refuse_folders(&s, "+photos/dog/up", "link to a folder that holds it");
    assert_int_equal(unlink("photos/dog/up"), 0);
    assert_int_equal(symlink("self.png", "photos/dog/self.png"), 0);
    refuse_folders(&s, "+photos/dog/self.png", "Too many levels of symbolic links");
    assert_int_equal(unlink("photos/dog/self.png"), 0);
    put_images("photos/new\nline", 1);
    refuse_folders(&s, "+photos", "tab or line break");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)
    const struct CMUnitTest tests[] = {
        TEST(test_plain),       TEST(test_gz_test_and_splits),
        TEST(test_names),       TEST(test_bad_names),
        TEST(test_length),      TEST(test_missing_and_foreign),
        TEST(test_damaged_gz),  TEST(test_sizes),
        TEST(test_labels),      TEST(test_out_folder),
        TEST(test_bad_splits),  TEST(test_stops_half_way),
        TEST(test_stratified),  TEST(test_stratified_all),
        TEST(test_png_colour),  TEST(test_folders),
        TEST(test_bad_folders), TEST(test_class_used_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
