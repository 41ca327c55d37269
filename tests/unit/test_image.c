/* Decoding, the central square and augmentation; the pixel functions against libdarknet's. */
#include "base/file.h"
#include "data/image.h"

#include <dlfcn.h>
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
#include <webp/encode.h>
#include <zlib.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>

/* The host's image, passed by value. */
typedef struct host_image {
    int w, h, c;
    float *data;
} host_image;

static struct host {
    host_image (*rotate_crop)(host_image im, float rad, float s, int w, int h, float dx, float dy,
                              float aspect);
    host_image (*center_crop)(host_image im, int w, int h);
    void (*flip)(host_image im);
    void (*distort)(host_image im, float hue, float saturation, float exposure);
    void (*release)(host_image im);
} host;

static char dir[] = "/tmp/test_image_XXXXXX";

static void *symbol(void *library, const char *name)
{
    void *s = dlsym(library, name);
    assert_non_null(s);
    return s;
}

static int setup(void **state)
{
    (void)state;
    void *library = dlopen("/usr/lib/darknet/libdarknet.so", RTLD_NOW | RTLD_LOCAL);
    if (!library || !mkdtemp(dir)) {
        fprintf(stderr, "%s\n", library ? "mkdtemp failed" : dlerror());
        return -1;
    }
    *(void **)&host.rotate_crop = symbol(library, "rotate_crop_image");
    *(void **)&host.center_crop = symbol(library, "center_crop_image");
    *(void **)&host.flip = symbol(library, "flip_image");
    *(void **)&host.distort = symbol(library, "distort_image");
    *(void **)&host.release = symbol(library, "free_image");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir);
}

/* ---- helpers ---- */

/* Waves with some noise, so that neighbours differ in every channel. */
static ds_image make_image(int w, int h, int c, uint64_t seed)
{
    ds_rng r = ds_rng_make(seed, 1, 2);
    ds_image im = {.w = w, .h = h, .c = c, .px = malloc((size_t)(w * h * c))};
    assert_non_null(im.px);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < c; k++) {
                double v = 128 + 100 * sin(x * .3 + k) * cos(y * .2 - k) + 60 * (ds_rng_uniform(&r) - .5);
                im.px[(y * w + x) * c + k] = (unsigned char)fmin(fmax(v, 0), 255);
            }
    return im;
}

static host_image to_host(const ds_image *im)
{
    host_image h = {im->w, im->h, im->c, calloc((size_t)(im->w * im->h * im->c), sizeof(float))};
    assert_non_null(h.data);
    for (int k = 0; k < im->c; k++)
        for (int i = 0; i < im->w * im->h; i++)
            h.data[k * im->w * im->h + i] = im->px[i * im->c + k] / 255.f;
    return h;
}

static void augment(const ds_image *im, const ds_augment *a, uint64_t seed, uint64_t epoch, uint64_t sample,
                    float *out)
{
    ds_rng r = ds_rng_make(seed, epoch, sample);
    const ds_draw draw = ds_augment_draw(a, im->w, im->h, &r);
    ds_augment_apply(im, a, &draw, out);
}

static double largest_difference(const float *a, const float *b, int n)
{
    double largest = 0;
    for (int i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        if (!(d <= largest)) /* a NaN counts */
            largest = d;
    }
    return largest;
}

static const float guard = -123.f;

static float *make_output(int n)
{
    float *out = malloc(((size_t)n + 1) * sizeof *out);
    assert_non_null(out);
    for (int i = 0; i <= n; i++)
        out[i] = guard;
    return out;
}

static char *path_of(const char *name)
{
    char *p = ds_path_join(dir, name);
    assert_non_null(p);
    return p;
}

static void write_bytes(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void remove_file(char *path)
{
    assert_int_equal(unlink(path), 0);
    free(path);
}

/* ---- decoding ---- */

static void test_png_round_trip(void **state)
{
    (void)state;
    char *path = path_of("a b.png");
    for (int c = 1; c <= 3; c += 2) {
        ds_image im = make_image(13, 7, c, 5), back;
        assert_true(stbi_write_png(path, 13, 7, c, im.px, 0));
        assert_int_equal(ds_image_read(path, c, &back, NULL), 0);
        assert_int_equal(back.w, 13);
        assert_int_equal(back.h, 7);
        assert_int_equal(back.c, c);
        assert_memory_equal(back.px, im.px, (size_t)(13 * 7 * c));
        ds_image_clear(&im);
        ds_image_clear(&back);
    }
    remove_file(path);
}

/* The rows of a BMP of negative height run from top to bottom. */
static void test_bmp_from_top_to_bottom(void **state)
{
    (void)state;
    enum { W = 4, H = 3, HEIGHT_AT = 22 };
    const int32_t height = -H;
    ds_image im = make_image(W, H, 3, 11), back;
    char *path = path_of("b.bmp");
    unsigned char *bytes;
    size_t n;
    assert_true(stbi_write_bmp(path, W, H, 3, im.px));
    assert_int_equal(ds_file_read(path, "a BMP", &bytes, &n, NULL), 0);
    memcpy(bytes + HEIGHT_AT, &height, sizeof height);
    write_bytes(path, bytes, n);
    assert_int_equal(ds_image_read(path, 3, &back, NULL), 0);
    assert_int_equal(back.h, H);
    for (int y = 0; y < H; y++)
        assert_memory_equal(back.px + y * 3 * W, im.px + (H - 1 - y) * 3 * W, 3 * W);
    ds_image_clear(&im);
    ds_image_clear(&back);
    free(bytes);
    remove_file(path);
}

static void test_channels_are_converted(void **state)
{
    (void)state;
    char *path = path_of("c.png");
    const unsigned char rgba[2 * 4] = {200, 100, 50, 255, 10, 10, 10, 0}, grey_alpha[4] = {7, 255, 9, 0};
    ds_image im;
    assert_true(stbi_write_png(path, 2, 1, 4, rgba, 0));
    assert_int_equal(ds_image_read(path, 3, &im, NULL), 0);
    const unsigned char rgb[6] = {200, 100, 50, 10, 10, 10};
    assert_memory_equal(im.px, rgb, 6);
    ds_image_clear(&im);
    assert_int_equal(ds_image_read(path, 1, &im, NULL), 0);
    assert_in_range(im.px[0], 122, 126); /* 0.299 R + 0.587 G + 0.114 B = 124 */
    assert_int_equal(im.px[1], 10);
    ds_image_clear(&im);
    assert_true(stbi_write_png(path, 2, 1, 2, grey_alpha, 0));
    assert_int_equal(ds_image_read(path, 3, &im, NULL), 0);
    const unsigned char grey3[6] = {7, 7, 7, 9, 9, 9};
    assert_memory_equal(im.px, grey3, 6);
    ds_image_clear(&im);
    remove_file(path);
}

static void put_number(unsigned char *at, size_t n)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(n >> (24 - 8 * i));
}

static size_t put_chunk(unsigned char *at, const char *kind, const void *bytes, size_t n)
{
    put_number(at, n);
    memcpy(at + 4, kind, 4);
    memcpy(at + 8, bytes, n);
    put_number(at + 8 + n, crc32(0, at + 4, (uInt)n + 4));
    return n + 12;
}

static void test_16_bit(void **state)
{
    (void)state;
    static const unsigned char header[13] = {0, 0, 0, 2, 0, 0, 0, 1, 16, 0, 0, 0, 0}; /* 2 x 1, 16-bit grey */
    unsigned char row[5] = {0, 0x12, 0x34, 0xfe, 0x01}, file[256] = "\x89PNG\r\n\x1a\n";
    int packed_n;
    unsigned char *packed = stbi_zlib_compress(row, 5, &packed_n, 8);
    size_t n = 8;
    n += put_chunk(file + n, "IHDR", header, 13);
    n += put_chunk(file + n, "IDAT", packed, (size_t)packed_n);
    n += put_chunk(file + n, "IEND", "", 0);
    free(packed);
    char *path = path_of("d.png");
    write_bytes(path, file, n);
    ds_image im;
    assert_int_equal(ds_image_read(path, 1, &im, NULL), 0);
    assert_int_equal(im.w, 2);
    assert_int_equal(im.px[0], 0x12);
    assert_int_equal(im.px[1], 0xfe);
    ds_image_clear(&im);
    remove_file(path);
}

static void expect_failure(const char *path, const char *words, int code)
{
    ds_image im;
    ds_error e = {0};
    assert_int_equal(ds_image_read(path, 3, &im, &e), code);
    assert_null(im.px);
    assert_string_equal(e.file, path);
    if (!strstr(e.text, words))
        fail_msg("'%s' lacks '%s'", e.text, words);
}

static void test_bad_files(void **state)
{
    (void)state;
    char *path = path_of("e.png");
    expect_failure(path, "No such file", DS_EIO);
    expect_failure(dir, "is a directory", DS_EIO);
    write_bytes(path, "", 0);
    expect_failure(path, "empty file", DS_EINPUT);
    write_bytes(path, "hello, this is no image", 23);
    expect_failure(path, "cannot decode: ", DS_EINPUT);
    write_bytes(path, "P6 20000 20000 255\n", 19);
    expect_failure(path, "20000 x 20000 pixels, expected 1 to 67108864 of them", DS_EINPUT);
    write_bytes(path, "P6 0 5 255\n1234", 15);
    expect_failure(path, ", expected ", DS_EINPUT); /* newer versions of stb_image say so themselves */
    write_bytes(path, "\xff\xd8\xff\xc0\0\x11\x08\0\0\0\x05\3\1\x22\0\2\x11\1\3\x11\1\xff\xd9", 23);
    expect_failure(path, "delayed height", DS_EINPUT); /* a JPEG without a height */
    write_bytes(path, "P5 ", 3);
    expect_failure(path, "cannot decode: ", DS_EINPUT);
    write_bytes(path, "P5 #2\n 2 2\n255\nabc", 18);
    expect_failure(path, "file without its end", DS_EINPUT);
    write_bytes(path, "P6 1 1 255\nab", 13);
    expect_failure(path, "file without its end", DS_EINPUT);
    write_bytes(path, "P5 2 1 65535\n\x12\x34\xfe\x01", 17);
    expect_failure(path, "16-bit PNM", DS_EINPUT);
    remove_file(path);
}

/* A PNG whose header is sound but for its sizes. */
static void test_png_sizes(void **state)
{
    (void)state;
    static const struct {
        unsigned char w[4], h[4];
        const char *words;
    } sizes[] = {{{0}, {0, 0, 0, 5}, "0 x 5 pixels, expected 1 to 67108864 of them"},
                 {{0, 0, 0, 5}, {0}, "5 x 0 pixels"},
                 {{0, 0, 0x4e, 0x20}, {0, 0, 0x4e, 0x20}, "20000 x 20000 pixels"},
                 {{0xff, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xff}, "4294967295 x 4294967295 pixels"}};
    char *path = path_of("sizes.png");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char file[64] = "\x89PNG\r\n\x1a\n", header[13] = {[8] = 8};
        memcpy(header, sizes[i].w, 4);
        memcpy(header + 4, sizes[i].h, 4);
        size_t n = 8 + put_chunk(file + 8, "IHDR", header, 13);
        n += put_chunk(file + n, "IEND", "", 0);
        write_bytes(path, file, n);
        expect_failure(path, sizes[i].words, DS_EINPUT);
    }
    remove_file(path);
}

static void expect_part_refused(const char *path, const unsigned char *bytes, size_t n)
{
    ds_image im;
    write_bytes(path, bytes, n);
    assert_int_equal(ds_image_read(path, 3, &im, NULL), DS_EINPUT);
}

static void expect_parts_refused(const char *source, size_t step, size_t tail)
{
    unsigned char *bytes;
    size_t n;
    ds_image im;
    char *path = path_of("part.img");
    assert_int_equal(ds_image_read(source, 3, &im, NULL), 0);
    ds_image_clear(&im);
    assert_int_equal(ds_file_read(source, "an image", &bytes, &n, NULL), 0);
    for (size_t k = 1; k < n - tail; k += step)
        expect_part_refused(path, bytes, k);
    expect_part_refused(path, bytes, n - tail);
    free(bytes);
    remove_file(path);
}

/* 2 x 2 pixels in every format that stb_image_write does not write. */
static const struct {
    const char *name;
    size_t n;
    const unsigned char *bytes;
} small_files[] = {
    {"grey.pgm", 15, (const unsigned char *)"P5 2 2 255\nabcd"},
    {"colour.ppm", 23, (const unsigned char *)"P6 2 2 255\nabcdefghijkl"},
    {"raw.psd", 52,
     (const unsigned char *)"8BPS\0\1\0\0\0\0\0\0\0\3\0\0\0\2\0\0\0\2\0\10\0\3"
                            "\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                            "abcdefghijkl"},
    {"packed.psd", 70,
     (const unsigned char *)"8BPS\0\1\0\0\0\0\0\0\0\3\0\0\0\2\0\0\0\2\0\10\0\3"
                            "\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
                            "\0\3\0\3\0\3\0\3\0\3\0\3"
                            "\1ab\1cd\1ef\1gh\1ij\1kl"},
};

static void test_small_files_truncated(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof small_files / sizeof *small_files; i++) {
        char *path = path_of(small_files[i].name);
        write_bytes(path, small_files[i].bytes, small_files[i].n);
        expect_parts_refused(path, 1, 1);
        remove_file(path);
    }
}

/* Tables that a JPEG never defined, in the first and in the progressive kind: the decoder must not take what memory held. */
static void test_jpeg_without_tables(void **state)
{
    (void)state;
    unsigned char *bytes;
    size_t n;
    char *path = path_of("tables.jpg");
    assert_int_equal(ds_file_read("/usr/share/darknet/data/dog.jpg", "an image", &bytes, &n, NULL), 0);
    for (size_t at = 2; bytes[at] == 0xff && bytes[at + 1] != 0xda;) {
        size_t length = 2 + ((size_t)bytes[at + 2] << 8 | bytes[at + 3]);
        if (bytes[at + 1] == 0xc4) {
            memmove(bytes + at, bytes + at + length, n - at - length);
            n -= length;
        } else {
            at += length;
        }
    }
    write_bytes(path, bytes, n);
    ds_image im;
    for (int k = 0; k < 20; k++) { /* with other leftovers in memory each time */
        unsigned char *leftovers = malloc(1 << 20);
        memset(leftovers, 0xff - k, 1 << 20);
        free(leftovers);
        if (ds_image_read(path, 3, &im, NULL) == 0)
            ds_image_clear(&im);
    }
    free(bytes);
    remove_file(path);
}

/* 8 x 8 pixels with a hundred million zeros behind them, packed. */
static void test_bomb(void **state)
{
    (void)state;
    static const unsigned char header[13] = {0, 0, 0, 8, 0, 0, 0, 8, 8, 0, 0, 0, 0};
    uLong zeros = 100000000, packed_n = compressBound(zeros);
    unsigned char *unpacked = calloc(zeros, 1), *packed = malloc(packed_n), *file = malloc(packed_n + 128);
    assert_true(unpacked && packed && file);
    assert_int_equal(compress(packed, &packed_n, unpacked, zeros), Z_OK);
    memcpy(file, "\x89PNG\r\n\x1a\n", 8);
    size_t n = 8;
    n += put_chunk(file + n, "IHDR", header, 13);
    n += put_chunk(file + n, "IDAT", packed, packed_n);
    n += put_chunk(file + n, "IEND", "", 0);
    char *path = path_of("bomb.png");
    write_bytes(path, file, n);
    expect_failure(path, "takes more memory than 8 x 8 pixels need", DS_EINPUT);
    file[n - 20] ^= 1;
    write_bytes(path, file, n);
    expect_failure(path, "wrong checksum", DS_EINPUT);
    free(unpacked);
    free(packed);
    free(file);
    remove_file(path);
}

/* A file that was cut off is refused, whatever is missing. */
static void test_truncated(void **state)
{
    (void)state;
    ds_image im = make_image(24, 24, 3, 9);
    char *path = path_of("f.png");
    assert_true(stbi_write_png(path, 24, 24, 3, im.px, 0));
    expect_parts_refused(path, 37, 1);
    assert_true(stbi_write_bmp(path, 24, 24, 3, im.px));
    expect_parts_refused(path, 37, 1);
    assert_true(stbi_write_tga(path, 24, 24, 3, im.px));
    expect_parts_refused(path, 37, 1);
    stbi_write_tga_with_rle = 0;
    assert_true(stbi_write_tga(path, 24, 24, 3, im.px));
    expect_parts_refused(path, 37, 1);
    expect_parts_refused("/usr/share/darknet/data/dog.jpg", 19001, 1);
    ds_image_clear(&im);
    remove_file(path);
}

/* ---- the central square ---- */

static void compare_center(int iw, int ih, int c, int w, int h)
{
    ds_image im = make_image(iw, ih, c, (uint64_t)(iw * 1000 + ih));
    float *out = make_output(w * h * c);
    ds_prepare_center(&im, w, h, out);
    host_image whole = to_host(&im), theirs = host.center_crop(whole, w, h);
    double d = largest_difference(out, theirs.data, w * h * c);
    if (!(d <= 1e-6))
        fail_msg("%dx%dx%d to %dx%d differs by %g", iw, ih, c, w, h, d);
    assert_true(out[w * h * c] == guard);
    host.release(theirs);
    free(whole.data);
    free(out);
    ds_image_clear(&im);
}

static void test_center_equals_host(void **state)
{
    (void)state;
    static const int sizes[][4] = {
        {28, 28, 28, 28},     {32, 32, 28, 28}, {20, 31, 32, 32},
        {500, 375, 224, 224}, {61, 40, 64, 48}, {1, 1, 8, 8},
        {1, 9, 5, 5},         {9, 2, 7, 3},     {479, 600, 28, 28} /* the host's dark last row */,
        {300, 200, 2, 2}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        compare_center(sizes[i][0], sizes[i][1], 3, sizes[i][2], sizes[i][3]);
        compare_center(sizes[i][0], sizes[i][1], 1, sizes[i][2], sizes[i][3]);
    }
}

static void test_center_to_one_pixel(void **state)
{
    (void)state;
    ds_image im = make_image(6, 4, 1, 3);
    float out = guard;
    ds_prepare_center(&im, 1, 1, &out);
    assert_true(fabsf(out - im.px[3 * 6 + 4] / 255.f) < 1e-6f);
    ds_image_clear(&im);
}

/* ---- augmentation ---- */

static host_image host_augment(host_image whole, const ds_augment *a, const ds_draw *d)
{
    host_image out = a->center
                         ? host.center_crop(whole, a->w, a->h)
                         : host.rotate_crop(whole, d->radians, d->scale, a->w, a->h, d->dx, d->dy, d->aspect);
    if (d->flip)
        host.flip(out);
    if (out.c == 3)
        host.distort(out, d->hue, d->saturation, d->exposure);
    return out;
}

static void compare_augment(const ds_image *im, const ds_augment *a, uint64_t sample, double limit)
{
    ds_rng r = ds_rng_make(11, 0, sample);
    ds_draw d = ds_augment_draw(a, im->w, im->h, &r);
    int n = a->w * a->h * im->c;
    float *out = make_output(n);
    ds_augment_apply(im, a, &d, out);
    assert_true(out[n] == guard);
    host_image whole = to_host(im), theirs = host_augment(whole, a, &d);
    if (im->c == 1)
        for (int i = 0; i < n; i++)
            theirs.data[i] = fminf(theirs.data[i] * d.exposure, 1);
    double difference = largest_difference(out, theirs.data, n);
    if (!(difference <= limit))
        fail_msg("sample %d (rad %g scale %g flip %d hue %g sat %g exp %g): differs by %g", (int)sample,
                 (double)d.radians, (double)d.scale, d.flip, (double)d.hue, (double)d.saturation,
                 (double)d.exposure, difference);
    host.release(theirs);
    free(whole.data);
    free(out);
}

static const ds_augment plain = {.w = 32,
                                 .h = 32,
                                 .min_size = 32,
                                 .max_size = 64,
                                 .aspect = 1,
                                 .saturation = 1,
                                 .exposure = 1,
                                 .flip = true};
static const ds_augment colour = {.w = 32,
                                  .h = 32,
                                  .min_size = 32,
                                  .max_size = 64,
                                  .aspect = 1,
                                  .saturation = .75,
                                  .exposure = .75,
                                  .hue = .1,
                                  .flip = true};
static const ds_augment turned = {.w = 32,
                                  .h = 32,
                                  .min_size = 28,
                                  .max_size = 48,
                                  .aspect = .75,
                                  .saturation = .75,
                                  .exposure = .75,
                                  .hue = .1,
                                  .angle = 7,
                                  .flip = true};

static void test_augment_equals_host(void **state)
{
    (void)state;
    ds_augment all[] = {plain, colour, turned, turned, turned, colour, colour};
    all[3].angle = 180;
    all[3].min_size = 9;
    all[4].w = 40;
    all[4].h = 21; /* 840 pixels: no multiple of the block */
    all[5].center = true;
    all[6].hue = 0;
    ds_image images[] = {make_image(32, 32, 3, 1), make_image(50, 37, 3, 2), make_image(28, 28, 1, 3),
                         make_image(3, 90, 3, 4)};
    for (size_t k = 0; k < sizeof images / sizeof *images; k++) {
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            for (uint64_t sample = 0; sample < 20; sample++)
                compare_augment(&images[k], &all[i], sample, 1e-4);
        ds_image_clear(&images[k]);
    }
}

/* Greys, pure colours and ties between channels, every hue shift in [-1, 1]. */
static void test_colours_equal_host(void **state)
{
    (void)state;
    ds_image im = {.w = 16, .h = 8, .c = 3, .px = malloc(16 * 8 * 3)};
    static const unsigned char levels[5] = {0, 64, 128, 200, 255};
    for (int i = 0; i < 125; i++) {
        im.px[3 * i] = levels[i % 5];
        im.px[3 * i + 1] = levels[i / 5 % 5];
        im.px[3 * i + 2] = levels[i / 25];
    }
    memset(im.px + 375, 90, 9);
    ds_augment a = {.w = 16, .h = 8};
    float out[16 * 8 * 3];
    for (int step = -10; step <= 10; step++) {
        ds_draw d = {
            .scale = 1, .aspect = 1, .hue = (float)step * .0997f, .saturation = 1.3f, .exposure = .9f};
        ds_augment_apply(&im, &a, &d, out);
        host_image whole = to_host(&im), theirs = host_augment(whole, &a, &d);
        double difference = largest_difference(out, theirs.data, 16 * 8 * 3);
        if (!(difference <= 1e-5))
            fail_msg("hue %g differs by %g", (double)d.hue, difference);
        host.release(theirs);
        free(whole.data);
    }
    ds_image_clear(&im);
}

static void test_draws_stay_in_their_ranges(void **state)
{
    (void)state;
    int flips = 0, sizes[64] = {0}, stretched = 0, n = 4000;
    for (int i = 0; i < n; i++) {
        ds_rng r = ds_rng_make(1, 2, (uint64_t)i);
        ds_draw d = ds_augment_draw(&turned, 40, 40, &r);
        int side = (int)fminf(40, 40 * d.aspect), size = (int)lroundf(d.scale * (float)side);
        assert_in_range(size, 28, 48);
        sizes[size]++;
        flips += d.flip;
        stretched += d.aspect > 1;
        assert_true(fabsf(d.radians) <= 7 * 2 * (float)M_PI / 360 && fabsf(d.hue) <= .1f);
        assert_true(d.aspect >= .7499f && d.aspect <= 1.3334f && d.saturation >= .7499f &&
                    d.exposure <= 1.3334f);
        assert_true(fabsf(d.dx) <= fabsf(40 * d.scale / d.aspect - 32) / 2 + 1e-4f);
    }
    assert_in_range(flips, n / 2 - 200, n / 2 + 200);
    assert_in_range(stretched, n / 2 - 200, n / 2 + 200);
    for (int size = 28; size <= 48; size++)
        assert_in_range(sizes[size], n / 21 / 2, n / 21 * 2);
}

/* Nothing but the square of the draw changes, to the mean colour; every pixel is hidden equally often. */
static void test_cutout(void **state)
{
    (void)state;
    enum { W = 12, H = 10, SIDE = 4, DRAWS = 12000 };
    ds_augment a = {
        .w = W, .h = H, .min_size = H, .max_size = H, .aspect = 1, .saturation = 1, .exposure = 1};
    ds_image im = make_image(W, H, 3, 8);
    float whole[3 * W * H], out[3 * W * H];
    int hidden[W * H] = {0};
    for (int i = 0; i < DRAWS; i++) {
        a.cutout = 0;
        augment(&im, &a, 1, 0, (uint64_t)i, whole);
        a.cutout = SIDE;
        augment(&im, &a, 1, 0, (uint64_t)i, out);
        ds_rng r = ds_rng_make(1, 0, (uint64_t)i);
        const ds_draw d = ds_augment_draw(&a, W, H, &r);
        for (int k = 0; k < 3 * W * H; k++) {
            const int x = k % W - d.cut_x + SIDE / 2, y = k / W % H - d.cut_y + SIDE / 2, plane = k / (W * H);
            const bool inside = x >= 0 && x < SIDE && y >= 0 && y < SIDE;
            double mean = 0;
            for (int j = 0; inside && i < 10 && j < W * H; j++)
                mean += whole[plane * W * H + j] / (double)(W * H);
            if (!inside)
                assert_true(out[k] == whole[k]);
            else if (i < 10)
                assert_float_equal(out[k], mean, 1e-6);
            hidden[k % (W * H)] += inside && plane == 0;
        }
    }
    for (int k = 0; k < W * H; k++)
        if (k % W >= SIDE && k % W < W - SIDE && k / W >= SIDE && k / W < H - SIDE)
            assert_in_range(hidden[k], DRAWS * SIDE * SIDE / (W * H) * 0.8,
                            DRAWS * SIDE * SIDE / (W * H) * 1.2);
    ds_image_clear(&im);
}

/* Moved by whole pixels, each way equally often, nothing else changed: what comes in is black. */
static void test_shift(void **state)
{
    (void)state;
    enum { W = 7, H = 6, MOST = 2, WAYS = (2 * MOST + 1) * (2 * MOST + 1), DRAWS = 100 * WAYS };
    ds_augment a = {
        .w = W, .h = H, .min_size = H, .max_size = H, .aspect = 1, .saturation = 1, .exposure = 1};
    ds_image im = make_image(W, H, 1, 8);
    float whole[W * H], out[W * H];
    int times[WAYS] = {0};
    augment(&im, &a, 1, 0, 0, whole);
    a.shift = MOST;
    for (int i = 0; i < DRAWS; i++) {
        ds_rng r = ds_rng_make(1, 0, (uint64_t)i);
        const ds_draw d = ds_augment_draw(&a, W, H, &r);
        const int dx = (int)d.dx, dy = (int)d.dy;
        assert_in_range(dx + MOST, 0, 2 * MOST);
        assert_in_range(dy + MOST, 0, 2 * MOST);
        times[(dy + MOST) * (2 * MOST + 1) + dx + MOST]++;
        augment(&im, &a, 1, 0, (uint64_t)i, out);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                const bool there = x + dx >= 0 && x + dx < W && y + dy >= 0 && y + dy < H;
                assert_true(out[y * W + x] == (there ? whole[(y + dy) * W + x + dx] : 0));
            }
    }
    for (int k = 0; k < WAYS; k++)
        assert_in_range(times[k], 60, 140);
    ds_image_clear(&im);
}

static void test_augment_depends_on_its_key_alone(void **state)
{
    (void)state;
    ds_image im = make_image(32, 32, 3, 8);
    float a[3072], b[3072];
    augment(&im, &turned, 1, 2, 3, a);
    augment(&im, &turned, 1, 2, 4, b);
    assert_memory_not_equal(a, b, sizeof a);
    augment(&im, &turned, 1, 2, 3, b);
    assert_memory_equal(a, b, sizeof a);
    ds_image_clear(&im);
}

/* ---- time ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Microseconds an image of ours and of the host for the same draws. */
static void time_once(const ds_image *im, host_image whole, const ds_augment *a, double *ours, double *theirs)
{
    enum { N = 50 };
    float out[3072];
    double start = now();
    for (uint64_t i = 0; i < N; i++)
        augment(im, a, 1, 1, i, out);
    *ours = (now() - start) / N * 1e6;
    start = now();
    for (uint64_t i = 0; i < N; i++) {
        ds_rng r = ds_rng_make(1, 1, i);
        ds_draw d = ds_augment_draw(a, im->w, im->h, &r);
        host.release(host_augment(whole, a, &d));
    }
    *theirs = (now() - start) / N * 1e6;
}

/* `limit`: of our time over the host's. */
static void compare_time(const char *name, const ds_augment *a, double limit)
{
    enum { RUNS = 41 };
    ds_image im = make_image(32, 32, 3, 8);
    host_image whole = to_host(&im);
    double ours[RUNS], theirs[RUNS], ratio[RUNS];
    for (int i = 0; i < RUNS; i++) {
        time_once(&im, whole, a, &ours[i], &theirs[i]);
        ratio[i] = ours[i] / theirs[i];
    }
    qsort(ratio, RUNS, sizeof *ratio, by_value);
    qsort(ours, RUNS, sizeof *ours, by_value);
    qsort(theirs, RUNS, sizeof *theirs, by_value);
    print_message("%-28s ours %5.1f us, host %5.1f us, ratio %.3f\n", name, ours[RUNS / 2], theirs[RUNS / 2],
                  ratio[RUNS / 2]);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__OPTIMIZE__)
    assert_true(ratio[RUNS / 2] <= limit);
#else
    (void)limit;
#endif
    free(whole.data);
    ds_image_clear(&im);
}

static void test_time_against_host(void **state)
{
    (void)state;
    ds_augment bright = plain, vivid = colour;
    bright.exposure = 1.5;
    vivid.hue = 0;
    compare_time("crop, flip", &plain, 1 / 3.);
    compare_time("with exposure", &bright, 1 / 3.);
    compare_time("with saturation, exposure", &vivid, 1 / 3.);
    compare_time("with hue as well", &colour, 1 / 3.);
    compare_time("with angle, aspect as well", &turned, 1);
}

/* ---- thumbnails ---- */

/* The PNG that stands for an image of these bytes, decoded again. */
static ds_image thumb_of(const void *bytes, size_t n)
{
    char *path = path_of("thumb");
    unsigned char *png;
    ds_image im;
    write_bytes(path, bytes, n);
    assert_int_equal(ds_thumb_png(path, &png, &n, NULL), 0);
    write_bytes(path, png, n);
    assert_int_equal(ds_image_read(path, 3, &im, NULL), 0);
    remove_file(path);
    free(png);
    return im;
}

static void test_thumb(void **state)
{
    (void)state;
    ds_image im = thumb_of("P5\n2 1\n255\n\x10\xf0", 13); /* as it is */
    assert_true(im.w == 2 && im.h == 1 && im.px[0] == 0x10 && im.px[5] == 0xf0);
    ds_image_clear(&im);
    static unsigned char ppm[15 + 300 * 100 * 3] = "P6\n300 100\n255\n";
    for (size_t i = 15; i < sizeof ppm; i++)
        ppm[i] = (unsigned char)((i - 15) % 900 / 3 % 2 ? 200 : 101); /* columns of two greys */
    im = thumb_of(ppm, sizeof ppm);
    assert_true(im.w == 96 && im.h == 32);
    for (int i = 0; i < 96 * 32 * 3; i++) /* of 3 or 4 columns each */
        assert_in_range(im.px[i], 134, 167);
    ds_image_clear(&im);
}

static void test_no_thumb(void **state)
{
    (void)state;
    unsigned char *png;
    size_t n;
    char *path = path_of("thumb");
    write_bytes(path, "no image", 8);
    assert_int_equal(ds_thumb_png(path, &png, &n, NULL), DS_EINPUT);
    remove_file(path);
    static const char *const no_files[] = {dir, "/dev/zero", ""};
    for (int i = 0; i < 3; i++)
        assert_int_equal(ds_thumb_png(no_files[i], &png, &n, NULL), DS_EIO);
}

/* 3 x 2 pixels of two planes, abcdef and ABCDEF. */
static void test_views(void **state)
{
    (void)state;
    static const char *const expected[2][10] = {
        {"abcdefABCDEF", "bcceffBCCEFF", "aabddeAABDDE", "defdefDEFDEF", "abcabcABCABC"},
        {"abcdefABCDEF", "cbafedCBAFED", "bcceffBCCEFF", "aabddeAABDDE", "defdefDEFDEF", "abcabcABCABC",
         "ccbffeCCBFFE", "baaeddBAAEDD", "fedfedFEDFED", "cbacbaCBACBA"},
    };
    float in[12], out[12];
    for (int i = 0; i < 12; i++)
        in[i] = (float)expected[0][0][i];
    for (int flip = 0; flip < 2; flip++) {
        assert_int_equal(ds_views_most(flip), flip ? 10 : 5);
        for (int v = 0; v < ds_views_most(flip); v++) {
            ds_view(in, 3, 2, 2, flip, v, out);
            for (int i = 0; i < 12; i++)
                assert_int_equal(out[i], expected[flip][v][i]);
        }
    }
}

/* By a 32nd of 64 and of 150 pixels. */
static void test_views_of_large_images(void **state)
{
    (void)state;
    static float in[64 * 150], out[64 * 150];
    for (int i = 0; i < 64 * 150; i++)
        in[i] = (float)i;
    ds_view(in, 64, 150, 1, false, 1, out);
    assert_true(out[0] == 2 && out[61] == 63 && out[63] == 63 && out[64] == 66);
    ds_view(in, 64, 150, 1, false, 4, out);
    assert_true(out[0] == 0 && out[4 * 64] == 0 && out[5 * 64 + 1] == 1 && out[6 * 64] == 64);
}

/* Lossless: the pixels; grey as stb_image makes it. Cut anywhere: an error. */
static void test_webp(void **state)
{
    (void)state;
    enum { W = 13, H = 7 };
    char *path = path_of("a.webp");
    ds_image im = make_image(W, H, 3, 5), back;
    uint8_t *bytes;
    const size_t n = WebPEncodeLosslessRGB(im.px, W, H, 3 * W, &bytes);
    write_bytes(path, bytes, n);
    assert_int_equal(ds_image_read(path, 3, &back, NULL), 0);
    assert_int_equal(back.w * 100 + back.h, 100 * W + H);
    assert_int_equal(back.file_channels, 3);
    assert_memory_equal(back.px, im.px, 3 * W * H);
    ds_image_clear(&back);
    assert_int_equal(ds_image_read(path, 1, &back, NULL), 0);
    for (int i = 0; i < W * H; i++) {
        const unsigned char *p = im.px + 3 * i;
        assert_int_equal(back.px[i], (p[0] * 77 + p[1] * 150 + p[2] * 29) >> 8);
    }
    ds_image_clear(&back);
    for (size_t cut = 13; cut < n; cut += 11) {
        write_bytes(path, bytes, cut);
        expect_failure(path, "cut off or damaged", DS_EINPUT);
    }
    expect_failure("tests/fuzz/corpus/image/webp-animated-flag", "WebP with an animation", DS_EINPUT);
    ds_image_clear(&im);
    WebPFree(bytes);
    remove_file(path);
}

/* The letter F, seen upright, as it is stored under each of the eight orientations (CIPA DC-008, 4.6.4). */
static void test_orientations(void **state)
{
    (void)state;
    static const char upright[] = "xxx x   xx  x   ";
    static const struct {
        int w;
        const char *stored; /* rows of w letters and a blank */
    } cases[9] = {[1] = {3, upright},
                  [2] = {3, "xxx   x  xx   x "},
                  [3] = {3, "  x  xx   x xxx "},
                  [4] = {3, "x   xx  x   xxx "},
                  [5] = {4, "xxxx x x  x    "},
                  [6] = {4, "x    x x  xxxx "},
                  [7] = {4, "   x  x x xxxx "},
                  [8] = {4, "xxxx  x x    x "}};
    for (int k = 1; k <= 8; k++) {
        const int w = cases[k].w, h = 12 / w;
        ds_image im = {.w = w, .h = h, .c = 1, .px = malloc(12)};
        for (int y = 0; y < h; y++)
            memcpy(im.px + y * w, cases[k].stored + y * (w + 1), (size_t)w);
        assert_true(ds_image_turn(&im, k));
        assert_int_equal(im.w, 3);
        for (int y = 0; y < 4; y++)
            if (memcmp(im.px + 3 * y, upright + 4 * y, 3) != 0)
                fail_msg("orientation %d: '%.12s'", k, (char *)im.px);
        ds_image_clear(&im);
    }
}

/* A JPEG that says 6 comes a quarter turned to the right, unless it is taken as stored. What lies about its
 * lengths has no orientation. */
static void test_exif(void **state)
{
    (void)state;
    static const char path[] = "tests/fuzz/corpus/image/jpeg-exif";
    enum { TIFF = 30, IFD_AT = TIFF + 4, ENTRIES = TIFF + 8, TYPE = TIFF + 12, VALUE = TIFF + 18 };
    ds_image as_stored, upright;
    unsigned char *bytes;
    size_t n;
    assert_int_equal(ds_image_read(path, 3 | DS_AS_STORED, &as_stored, NULL), 0);
    assert_int_equal(ds_image_read(path, 3, &upright, NULL), 0);
    assert_int_equal(as_stored.c, 3);
    assert_int_equal(upright.w, as_stored.h);
    assert_int_equal(upright.h, as_stored.w);
    for (int y = 0; y < upright.h; y++)
        for (int x = 0; x < upright.w; x++)
            assert_memory_equal(upright.px + 3 * (y * upright.w + x),
                                as_stored.px + 3 * ((as_stored.h - 1 - x) * as_stored.w + y), 3);
    ds_image_clear(&as_stored);
    ds_image_clear(&upright);
    assert_int_equal(ds_file_read(path, "a JPEG", &bytes, &n, NULL), 0);
    assert_int_equal(ds_exif_orientation(bytes, n), 6);
    static const struct {
        int at, byte;
    } lies[] = {{IFD_AT, 0xf0}, {IFD_AT + 3, 0xff}, {TYPE, 4},   {VALUE, 9},
                {VALUE, 0},     {TIFF + 2, 43},     {TIFF, 'X'}, {ENTRIES, 0}};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        const unsigned char before = bytes[lies[i].at];
        bytes[lies[i].at] = (unsigned char)lies[i].byte;
        if (ds_exif_orientation(bytes, n) != 1)
            fail_msg("lie %zu is believed", i);
        bytes[lies[i].at] = before;
    }
    bytes[ENTRIES + 1] = 0xff; /* more entries than there are bytes: the first is there */
    assert_int_equal(ds_exif_orientation(bytes, n), 6);
    for (size_t cut = 0; cut < TIFF + 20; cut++)
        assert_int_equal(ds_exif_orientation(bytes, cut), 1);
    free(bytes);
    assert_int_equal(ds_file_read("tests/fuzz/corpus/image/webp-exif", "a WebP", &bytes, &n, NULL), 0);
    assert_int_equal(ds_exif_orientation(bytes, n), 8);
    free(bytes);
}

/* By their first bytes, whatever they are called; by their names, where nothing is opened. */
static void test_foreign_formats_are_named(void **state)
{
    (void)state;
    char *path = path_of("a.png");
    static const char *const cases[][3] = {{"II*", "TIFF", "a.TIFF"},
                                           {"\1\1\1 ftypheic", "HEIC", "b.heic"},
                                           {"\1\1\1 ftypavif", "AVIF", "c.d.avif"}};
    for (size_t i = 0; i < 3; i++) {
        write_bytes(path, cases[i][0], strlen(cases[i][0]) + 1);
        expect_failure(path, cases[i][1], DS_EINPUT);
        assert_string_equal(ds_foreign_name(cases[i][2]), cases[i][1]);
    }
    assert_null(ds_foreign_name("a.png"));
    remove_file(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_webp),
        cmocka_unit_test(test_orientations),
        cmocka_unit_test(test_exif),
        cmocka_unit_test(test_foreign_formats_are_named),
        cmocka_unit_test(test_png_round_trip),
        cmocka_unit_test(test_bmp_from_top_to_bottom),
        cmocka_unit_test(test_channels_are_converted),
        cmocka_unit_test(test_16_bit),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_png_sizes),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_small_files_truncated),
        cmocka_unit_test(test_jpeg_without_tables),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_center_equals_host),
        cmocka_unit_test(test_center_to_one_pixel),
        cmocka_unit_test(test_augment_equals_host),
        cmocka_unit_test(test_colours_equal_host),
        cmocka_unit_test(test_draws_stay_in_their_ranges),
        cmocka_unit_test(test_cutout),
        cmocka_unit_test(test_shift),
        cmocka_unit_test(test_augment_depends_on_its_key_alone),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_views_of_large_images),
        cmocka_unit_test(test_thumb),
        cmocka_unit_test(test_no_thumb),
        cmocka_unit_test(test_time_against_host),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
