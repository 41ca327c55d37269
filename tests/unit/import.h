/* For the tests of imports: cmocka, a folder of its own for each test, files, a decoder. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "import/import.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* A decoder of its own for this test, so that it can be linked with or without the project's. */
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
/* stb_image 2.27 declares this function by the second name and defines it by the first. */
#define stbi__unpremultiply_on_load_thread stbi_set_unpremultiply_on_load_thread
#include <stb/stb_image.h> /* by this name a system header: its warnings are not ours */

static char folder[64], home[1024];

static inline int enter(void **state)
{
    (void)state;
    assert_non_null(getcwd(home, sizeof home));
    snprintf(folder, sizeof folder, "/tmp/test_import.XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    return 0;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline int leave(void **state)
{
    (void)state;
    assert_int_equal(chdir(home), 0);
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void put(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline void put_text(const char *path, const char *text)
{
    put(path, text, strlen(text));
}

static inline void put_gz(const char *path, const void *bytes, size_t n)
{
    gzFile f = gzopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, bytes, (unsigned)n), (int)n);
    assert_int_equal(gzclose(f), Z_OK);
}

static inline char *text_of(const char *path)
{
    char *text;
    assert_int_equal(ds_file_read_text(path, "text", &text, NULL), 0);
    return text;
}

static inline void expect_text(const char *path, const char *expected)
{
    char *text = text_of(path);
    assert_string_equal(text, expected);
    free(text);
}

/* Lines of dir/name; 0 when it is not there. */
static inline int lines_in(const char *dir, const char *name)
{
    char *path = ds_path_join(dir, name), *text = ds_path_exists(path) ? text_of(path) : NULL;
    int n = 0;
    for (const char *p = text; p && *p; p++)
        n += *p == '\n';
    free(text);
    free(path);
    return n;
}

/* What is said to be imported, and what the lists hold: so many images. */
static inline void check_counts(const ds_import *s, const ds_imported *done, int train, int test)
{
    assert_int_equal(done->n[DS_PART_TRAIN], train);
    assert_int_equal(done->n[DS_PART_TEST], test);
    assert_int_equal(lines_in(s->out, "train.list"), train);
    assert_int_equal(lines_in(s->out, "test.list"), test);
}
