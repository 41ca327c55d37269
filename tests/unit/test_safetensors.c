/* Arrays in a safetensors file: what was written is read, what is damaged is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/safetensors.h"
#include "base/text.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/ds_safetensors_XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/x.ckpt", mkdtemp(folder));
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    char *old = ds_format("%s.1", path);
    unlink(old);
    free(old);
    unlink(path);
    return rmdir(folder);
}

static void write_file(float first)
{
    float a[6] = {first, 1, 2, 3, 4, 5};
    uint64_t b[2] = {UINT64_MAX, 7};
    const ds_saved arrays[] = {{"a", "F32", 2, 3, a}, {"b", "U64", 2, 1, b}};
    json_t *texts = json_pack("{s: s}", "cfg", "[net]\n");
    assert_int_equal(ds_saved_write(path, texts, arrays, 2, true, NULL), 0);
    json_decref(texts);
}

/* Reads "a" of the file; the code of what went wrong. */
static int read_a(const char *of, float a[6])
{
    ds_saved_file f;
    ds_error e = {0};
    int rc = ds_saved_open(&f, ds_strdup(of), "arrays", &e);
    if (!rc)
        rc = ds_saved_read(&f, &(ds_saved){"a", "F32", 2, 3, a}, &e);
    ds_saved_close(&f);
    return rc;
}

static void test_there_and_back(void **state)
{
    (void)state;
    float a[6];
    uint64_t b[2];
    char *old = ds_format("%s.1", path);
    write_file(.5f);
    write_file(.25f);
    assert_int_equal(read_a(old, a), 0);
    assert_true(a[0] == .5f);
    assert_int_equal(read_a(path, a), 0);
    assert_true(a[0] == .25f && a[5] == 5);
    free(old);

    ds_saved_file f;
    assert_int_equal(ds_saved_open(&f, ds_strdup(path), "arrays", NULL), 0);
    assert_int_equal((f.data - f.bytes) % 8, 0);
    assert_int_equal(ds_saved_read(&f, &(ds_saved){"b", "U64", 2, 1, b}, NULL), 0);
    assert_true(b[0] == UINT64_MAX && b[1] == 7);
    assert_int_equal(ds_saved_read(&f, &(ds_saved){"b", "F64", 2, 1, b}, NULL), DS_EINPUT);
    assert_int_equal(ds_saved_read(&f, &(ds_saved){"b", "U64", 1, 2, b}, NULL), DS_EINPUT);
    assert_int_equal(ds_saved_read(&f, &(ds_saved){"c", "U64", 2, 1, b}, NULL), DS_EINPUT);
    ds_saved_close(&f);
}

static void put(const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(bytes, 1, n, f);
    fclose(f);
}

/* Each length, and each byte of the header changed: an error or the same array, nothing read out of bounds. */
static void test_damaged(void **state)
{
    (void)state;
    unsigned char *bytes;
    size_t n;
    float a[6];
    write_file(.5f);
    assert_int_equal(ds_file_read(path, "a file", &bytes, &n, NULL), 0);
    for (size_t i = 0; i + 17 < n; i++) { /* without the last byte of "a", too */
        put(bytes, i);
        assert_int_equal(read_a(path, a), DS_EINPUT);
    }
    for (size_t i = 0; i < n - 40; i++) {
        unsigned char kept = bytes[i];
        for (int k = 0; k < 8; k++) {
            bytes[i] = (unsigned char)(kept ^ 1 << k);
            put(bytes, n);
            read_a(path, a);
        }
        bytes[i] = kept;
    }
    for (size_t i = n - 40; i < n; i++) { /* the arrays themselves */
        bytes[i] ^= 1;
        put(bytes, n);
        assert_int_equal(read_a(path, a), DS_EINPUT);
        bytes[i] ^= 1;
    }
    free(bytes);
}

static void test_pipe(void **state)
{
    (void)state;
    ds_saved_file f;
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(ds_saved_open(&f, ds_strdup(path), "arrays", NULL), DS_EINPUT);
    ds_saved_close(&f);
    unlink(path);
}

static void check_refused(const char *header)
{
    char file[512] = {0};
    float a[6];
    uint64_t n = strlen(header);
    memcpy(file, &n, sizeof n);
    memcpy(file + sizeof n, header, n);
    put(file, sizeof n + n + 24);
    assert_int_equal(read_a(path, a), DS_EINPUT);
}

static void test_hostile_headers(void **state)
{
    (void)state;
    check_refused("[]");
    check_refused("{}");
    check_refused("{\"a\": 1}");
    check_refused("{\"a\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [8, 32]}}");
    check_refused("{\"a\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [-24, 0]}}");
    check_refused("{\"a\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [24, 0]}}");
    check_refused(
        "{\"a\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [0, 9223372036854775807]}}");
    check_refused("{\"a\": {\"dtype\": \"F32\", \"shape\": [3, 2], \"data_offsets\": [0, 24]}}");
    check_refused("{\"a\": {\"dtype\": 32, \"shape\": [2, 3], \"data_offsets\": [0, 24]}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_damaged), cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_hostile_headers),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
