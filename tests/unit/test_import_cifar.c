/* Import of CIFAR-10 and CIFAR-100: small archives in the exact format, in a folder and packed, whole and damaged. */
#include "tests/unit/import.h"

#include "base/text.h"

enum { PIXELS = 3072, BATCH = 4, MOST = 128 * (PIXELS + 2) };

static const char *const train10[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                      "data_batch_4.bin", "data_batch_5.bin"};
static const char names10[] = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";

/* ---- archives ---- */

/* Byte b of the pixels of image i. */
static unsigned char pixel(int i, int b)
{
    return (unsigned char)(i * 31 + b * 7 + b / 251);
}

/* n images from number `first` on; the class of image i is i % classes, a coarse label (CIFAR-100) a fifth of it. */
static size_t make_batch(unsigned char *p, int first, int n, int classes)
{
    unsigned char *begin = p;
    for (int i = first; i < first + n; i++) {
        if (classes == 100)
            *p++ = (unsigned char)(i % classes / 5);
        *p++ = (unsigned char)(i % classes);
        for (int b = 0; b < PIXELS; b++)
            *p++ = pixel(i, b);
    }
    return (size_t)(p - begin);
}

static void put_batch(const char *dir, const char *name, int first, int n, int classes)
{
    static unsigned char bytes[MOST];
    char *path = ds_path_join(dir, name);
    put(path, bytes, make_batch(bytes, first, n, classes));
    free(path);
}

/* Images 0 … 19 for training, 20 … 23 for the test. */
static void put10(void)
{
    assert_int_equal(ds_make_dirs("c10", NULL), 0);
    for (int k = 0; k < 5; k++)
        put_batch("c10", train10[k], BATCH * k, BATCH, 10);
    put_batch("c10", "test_batch.bin", 5 * BATCH, BATCH, 10);
    put_text("c10/batches.meta.txt", names10);
}

static void put_numbered(const char *path, const char *word, int n)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < n; i++)
        fprintf(f, "%s_%d\n", word, i);
    assert_int_equal(fclose(f), 0);
}

static void put100(void)
{
    assert_int_equal(ds_make_dirs("c100", NULL), 0);
    put_batch("c100", "train.bin", 0, 100, 100);
    put_batch("c100", "test.bin", 95, 10, 100);
    put_numbered("c100/fine_label_names.txt", "fine", 100);
}

/* ---- tar ---- */

/* A member in the format of POSIX; its size in octal, blanks around the sum as old programs wrote them. */
static size_t add_member(unsigned char *p, const char *name, char type, const void *bytes, size_t n)
{
    unsigned sum = 0;
    memset(p, 0, 512);
    snprintf((char *)p, 100, "%s", name);
    snprintf((char *)p + 124, 12, "%011zo", n);
    memset(p + 148, ' ', 8);
    p[156] = (unsigned char)type;
    memcpy(p + 257, "ustar\00000", 8);
    for (int i = 0; i < 512; i++)
        sum += p[i];
    snprintf((char *)p + 148, 8, "%06o", sum);
    memset(p + 512, 0, (n + 511) / 512 * 512);
    memcpy(p + 512, bytes, n);
    return 512 + (n + 511) / 512 * 512;
}

typedef struct packed {
    unsigned char *bytes;
    size_t n;
} packed;

static void pack_file(packed *t, const char *file)
{
    char path[128], member[256];
    unsigned char *bytes;
    size_t n;
    snprintf(path, sizeof path, "c10/%s", file);
    snprintf(member, sizeof member, "cifar-10-batches-bin/%s", file);
    assert_int_equal(ds_file_read(path, "", &bytes, &n, NULL), 0);
    t->n += add_member(t->bytes + t->n, member, '0', bytes, n);
    free(bytes);
}

/* c10 as the archive that is offered for download; without `leave_out`. */
static packed pack10(const char *leave_out)
{
    packed t = {calloc(1, 1 << 20), 0};
    t.n += add_member(t.bytes, "cifar-10-batches-bin/", '5', "", 0);
    t.n += add_member(t.bytes + t.n, "data_batch_1.bin", '2', "", 0); /* a link is no file */
    t.n += add_member(t.bytes + t.n, "cifar-10-batches-bin/readme.html", '0', "<html>", 6);
    static const char *const others[] = {"test_batch.bin", "batches.meta.txt"};
    for (int k = 0; k < 7; k++) {
        const char *file = k < 5 ? train10[4 - k] : others[k - 5];
        if (!leave_out || strcmp(file, leave_out) != 0)
            pack_file(&t, file);
    }
    t.n += 1024;
    return t;
}

/* ---- running ---- */

static ds_import plain(ds_import_kind kind)
{
    return (ds_import){
        .kind = kind, .source = {kind == DS_CIFAR10 ? "c10" : "c100"}, .seed = 1, .out = "set"};
}

static void run(const ds_import *s, int train, int test, int classes)
{
    ds_imported done;
    ds_error e = {0};
    int rc = ds_import_run(s, &done, &e);
    if (rc)
        fail_msg("%s: %s", e.file, e.text);
    check_counts(s, &done, train, test);
    assert_int_equal(done.classes, classes);
    assert_true(ds_path_exists(done.data_path));
    free(done.data_path);
    free(done.other);
}

/* The import ends with this code, names the file and says `words`; nothing is written. */
static void refuse(const ds_import *s, int code, const char *file, const char *words)
{
    ds_imported done;
    ds_error e = {0};
    assert_int_equal(ds_import_run(s, &done, &e), code);
    assert_string_equal(e.file, file);
    if (!strstr(e.text, words))
        fail_msg("'%s' does not say '%s'", e.text, words);
    assert_null(done.data_path);
    assert_false(ds_path_exists("set"));
}

/* The file holds image i, its planes interleaved. */
static void check_pixels(const char *path, int i)
{
    int w, h, c;
    unsigned char *px = stbi_load(path, &w, &h, &c, 0);
    if (!px)
        fail_msg("no image %s", path);
    assert_int_equal(w * 10000 + h * 100 + c, 323203);
    for (int b = 0; b < PIXELS; b++)
        assert_int_equal(px[b % 1024 * 3 + b / 1024], pixel(i, b));
    stbi_image_free(px);
}

/* ---- whole archives ---- */

static void test_cifar10(void **state)
{
    (void)state;
    put10();
    ds_import s = plain(DS_CIFAR10);
    run(&s, 5 * BATCH, BATCH, 10);
    check_pixels("set/train/airplane/000000.png", 0);
    check_pixels("set/train/horse/000017.png", 17);
    check_pixels("set/test/cat/000003.png", 23);
    expect_text("set/labels", "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n");
    expect_text("set/test.list",
                "test/airplane/000000.png\ntest/automobile/000001.png\ntest/bird/000002.png\n"
                "test/cat/000003.png\n");
    expect_text("set/set.data",
                "# written by classifier import\nclasses=10\ntrain=train.list\ntest=test.list\n"
                "labels=labels\nnames=names\nlabels_from=directory\nbackup=backup\ntop=5\n");
    assert_false(ds_path_exists("set/.import_unfinished"));
}

static void test_cifar100(void **state)
{
    (void)state;
    put100();
    ds_import s = plain(DS_CIFAR100);
    run(&s, 100, 10, 100);
    check_pixels("set/train/fine_99/000099.png", 99);
    check_pixels("set/test/fine_4/000009.png", 104);
}

static void test_again_with_splits_and_names(void **state)
{
    (void)state;
    put10();
    put_numbered("names.txt", "own", 10);
    const ds_split splits[] = {{.name = "valid", .count = 4}, {.name = "calib", .count = 6}};
    ds_import s = plain(DS_CIFAR10);
    run(&s, 5 * BATCH, BATCH, 10);
    assert_int_equal(unlink("c10/batches.meta.txt"), 0);
    s.names = "names.txt";
    s.splits = splits;
    s.n_splits = 2;
    run(&s, 5 * BATCH - 10, BATCH, 10);
    check_pixels("set/train/own_7/000017.png", 17);
    assert_true(ds_path_exists("set/calib.list"));
}

static void test_tar(void **state)
{
    (void)state;
    put10();
    packed t = pack10(NULL);
    put_gz("c10.tar.gz", t.bytes, t.n);
    put("c10.tar", t.bytes, t.n);
    free(t.bytes);
    static const char *const sources[] = {"c10.tar.gz", "c10.tar"};
    for (int k = 0; k < 2; k++) {
        ds_import s = plain(DS_CIFAR10);
        s.source[0] = sources[k];
        s.out = k ? "plain" : "packed";
        run(&s, 5 * BATCH, BATCH, 10);
    }
    check_pixels("packed/train/horse/000017.png", 17);
    check_pixels("plain/test/cat/000003.png", 23);
}

/* ---- damaged archives ---- */

static void test_missing(void **state)
{
    (void)state;
    ds_import s = plain(DS_CIFAR10);
    refuse(&s, DS_EIO, "c10", "No such file or directory, expected the files of cifar-10-binary.tar.gz");
    put10();
    assert_int_equal(unlink("c10/batches.meta.txt"), 0);
    refuse(&s, DS_EIO, "c10/batches.meta.txt", "No such file");
    assert_int_equal(unlink("c10/data_batch_4.bin"), 0);
    refuse(&s, DS_EIO, "c10/data_batch_4.bin", "expected the files of cifar-10-binary.tar.gz");
    s = plain(DS_CIFAR100);
    s.source[0] = "c10";
    refuse(&s, DS_EIO, "c10/train.bin", "expected the files of cifar-100-binary.tar.gz");
}

static void test_length(void **state)
{
    (void)state;
    put10();
    ds_import s = plain(DS_CIFAR10);
    static unsigned char bytes[MOST];
    make_batch(bytes, 0, BATCH + 1, 10);
    put("c10/data_batch_3.bin", bytes, BATCH * 3073 - 1);
    refuse(&s, DS_EINPUT, "c10/data_batch_3.bin", "has 12291 bytes, expected whole images of 3073 bytes");
    put("c10/data_batch_3.bin", bytes, BATCH * 3073 + 1);
    refuse(&s, DS_EINPUT, "c10/data_batch_3.bin", "has 12293 bytes");
    put("c10/data_batch_3.bin", bytes, BATCH * 3073);
    put("c10/test_batch.bin", "", 0);
    refuse(&s, DS_EINPUT, "c10/test_batch.bin", "has 0 bytes");
    put100();
    s = plain(DS_CIFAR100);
    put_batch("c100", "test.bin", 0, 5, 10); /* the records of CIFAR-10 */
    refuse(&s, DS_EINPUT, "c100/test.bin",
           "has 15365 bytes, expected whole images of 3074 bytes as in CIFAR-100");
}

static void test_labels(void **state)
{
    (void)state;
    put10();
    put100();
    static unsigned char bytes[MOST];
    ds_import s = plain(DS_CIFAR10);
    size_t n = make_batch(bytes, 0, BATCH, 10);
    bytes[2 * 3073] = 10;
    put("c10/data_batch_5.bin", bytes, n);
    refuse(&s, DS_EINPUT, "c10/data_batch_5.bin",
           "label 10 of image 2, expected 0 … 9: c10/batches.meta.txt has 10 classes");
    n = make_batch(bytes, 0, 10, 100);
    bytes[3 * 3074 + 1] = 100;
    put("c100/test.bin", bytes, n);
    s = plain(DS_CIFAR100);
    refuse(&s, DS_EINPUT, "c100/test.bin", "label 100 of image 3, expected 0 … 99");
}

static void test_names(void **state)
{
    (void)state;
    put10();
    ds_import s = plain(DS_CIFAR10);
    put_numbered("c10/batches.meta.txt", "n", 9);
    refuse(&s, DS_EINPUT, "c10/batches.meta.txt", "has 9 names, expected 10: one for each class of CIFAR-10");
    put_text("c10/batches.meta.txt", "");
    refuse(&s, DS_EINPUT, "c10/batches.meta.txt", "has no class name, expected one a line");
    put_text("c10/batches.meta.txt", "a\n\nb\n");
    refuse(&s, DS_EINPUT, "c10/batches.meta.txt", "empty line");
    put_numbered("eleven", "n", 11);
    s.names = "eleven";
    refuse(&s, DS_EINPUT, "eleven", "has 11 names, expected 10");
}

static void test_bad_splits(void **state)
{
    (void)state;
    put10();
    ds_import s = plain(DS_CIFAR10);
    ds_split split = {.name = "test", .count = 3};
    s.splits = &split;
    s.n_splits = 1;
    refuse(&s, DS_EUSAGE, "", "split 'test' besides");
    split = (ds_split){.name = "valid", .count = 20};
    refuse(&s, DS_EINPUT, "", "the splits take 20 images, expected fewer than the 20");
}

/* What stops half-way leaves no .data file, and the next import goes on from there. */
static void test_stops_half_way(void **state)
{
    (void)state;
    put10();
    ds_import s = plain(DS_CIFAR10);
    run(&s, 5 * BATCH, BATCH, 10);
    assert_int_equal(unlink("set/test/cat/000003.png"), 0);
    assert_int_equal(mkdir("set/test/cat/000003.png", 0777), 0);
    ds_imported done;
    ds_error e = {0};
    assert_int_equal(ds_import_run(&s, &done, &e), DS_EIO);
    assert_string_equal(e.file, "set/test/cat/000003.png");
    assert_false(ds_path_exists("set/set.data"));
    assert_int_equal(rmdir("set/test/cat/000003.png"), 0);
    run(&s, 5 * BATCH, BATCH, 10);
}

/* ---- damaged tar ---- */

static void refuse_packed(const packed *t, size_t n, const char *words)
{
    ds_import s = plain(DS_CIFAR10);
    s.source[0] = "bad.tar";
    put("bad.tar", t->bytes, n);
    refuse(&s, DS_EINPUT, "bad.tar", words);
}

static void test_bad_tar(void **state)
{
    (void)state;
    put10();
    packed t = pack10("data_batch_2.bin");
    refuse_packed(&t, t.n, "has no file 'data_batch_2.bin', expected the files of cifar-10-binary.tar.gz");
    free(t.bytes);
    t = pack10(NULL);
    refuse_packed(&t, 0, "has no file 'data_batch_1.bin'");
    refuse_packed(&t, 100, "is no .tar, .tar.gz or .zip, or a damaged one");
    refuse_packed(&t, 512 + 512 + 1024 + 512 + 1000, "or a damaged one (Truncated ");
    refuse_packed(&t, 512 + 512 + 512 + 6, "or a damaged one (Truncated ");
    t.bytes[1024 + 3] ^= 1; /* in a name */
    refuse_packed(&t, t.n, "is no .tar, .tar.gz or .zip, or a damaged one (Damaged tar archive");
    t.bytes[1024 + 3] ^= 1;
    pack_file(&t, "data_batch_3.bin"); /* behind the end: not part of the archive */
    t.n -= 1024 + 512 + 12800;
    pack_file(&t, "data_batch_3.bin");
    refuse_packed(&t, t.n, "holds two files 'data_batch_3.bin'");
    t.n = add_member(t.bytes, "data_batch_1.bin", '0', "", 0);
    memset(t.bytes + 148, ' ', 8);
    memcpy(t.bytes + 124, "77777777777", 12);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++)
        sum += t.bytes[i];
    snprintf((char *)t.bytes + 148, 8, "%06o", sum);
    refuse_packed(&t, t.n, "'data_batch_1.bin' in it has 8589934591 bytes, expected at most 1073741824");
    free(t.bytes);
}

static void test_damaged_gz(void **state)
{
    (void)state;
    put10();
    packed t = pack10(NULL);
    /* so many zeros that the checksum is not read along with the last member */
    put_gz("c10.tar.gz", t.bytes, t.n + (1 << 16));
    free(t.bytes);
    unsigned char *bytes;
    size_t n;
    assert_int_equal(ds_file_read("c10.tar.gz", "", &bytes, &n, NULL), 0);
    ds_import s = plain(DS_CIFAR10);
    s.source[0] = "bad.tar.gz";
    put("bad.tar.gz", bytes, n / 2);
    refuse(&s, DS_EINPUT, "bad.tar.gz", "ends too early");
    bytes[n - 6] ^= 1; /* in the checksum */
    put("bad.tar.gz", bytes, n);
    refuse(&s, DS_EINPUT, "bad.tar.gz", "damaged compressed data");
    free(bytes);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)
    const struct CMUnitTest tests[] = {
        TEST(test_cifar10),
        TEST(test_cifar100),
        TEST(test_again_with_splits_and_names),
        TEST(test_tar),
        TEST(test_missing),
        TEST(test_length),
        TEST(test_labels),
        TEST(test_names),
        TEST(test_bad_splits),
        TEST(test_stops_half_way),
        TEST(test_bad_tar),
        TEST(test_damaged_gz),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
