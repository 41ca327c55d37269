#include "base/file.h"
#include "data/image.h"

#include <ctype.h>
#include <limits.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <zlib.h>

/* ---- what the decoder gets from us ---- */

/* stb_image asks for as much memory as a file says, leaves it unset, and asserts what a file can break. So
 * its memory is cleared and counted, and belongs to the image at work: a failed assertion ends that image
 * alone. */
enum { MOST_HELD = 64 }; /* a JPEG holds 14 blocks */
enum { DAMAGED = 1, CUT_OFF };
typedef struct workshop {
    struct held {
        void *p;
        size_t n;
    } held[MOST_HELD];
    size_t left; /* bytes that may still be taken */
    bool exceeded;
    jmp_buf broken;
} workshop;

static _Thread_local workshop *at_work;

/* The place of a block; of NULL: a free one. NULL: there is none. */
static struct held *find_held(const void *p)
{
    for (int i = 0; i < MOST_HELD; i++)
        if (at_work->held[i].p == p)
            return &at_work->held[i];
    return NULL;
}

static void *resize_held(void *old, size_t n)
{
    struct held *h = find_held(old);
    if (!h || n > at_work->left + h->n) {
        at_work->exceeded = true;
        return NULL;
    }
    unsigned char *p = old ? realloc(old, n) : calloc(n, 1);
    if (!p)
        return NULL;
    if (old && n > h->n)
        memset(p + h->n, 0, n - h->n);
    at_work->left += h->n;
    at_work->left -= n;
    *h = (struct held){p, n};
    return p;
}

static void free_held(void *p)
{
    struct held *h = p ? find_held(p) : NULL;
    if (!h)
        return;
    at_work->left += h->n;
    *h = (struct held){0};
    free(p);
}

#define STBI_MALLOC(n) resize_held(NULL, n)
#define STBI_REALLOC(p, n) resize_held(p, n)
#define STBI_FREE(p) free_held(p)
#define STBI_ASSERT(x) ((x) ? (void)0 : longjmp(at_work->broken, DAMAGED))
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_NO_PIC
#define STBI_FAILURE_USERMSG
/* stb_image 2.27 declares this function by the second name and defines it by the first. */
#define stbi__unpremultiply_on_load_thread stbi_set_unpremultiply_on_load_thread
#include <stb/stb_image.h> /* by this name a system header: its warnings are not ours */

/* The file in memory. stb_image would read zeros, or nothing, behind its end and go on. */
typedef struct source {
    const unsigned char *bytes;
    size_t n, at;
    const void *ahead; /* stb_image's buffer: what goes there is read ahead and may end early */
} source;

static int source_read(void *arg, char *to, int size)
{
    source *s = arg;
    size_t rest = s->at < s->n ? s->n - s->at : 0, n = (size_t)size < rest ? (size_t)size : rest;
    if ((const void *)to == s->ahead ? rest == 0 : n < (size_t)size)
        longjmp(at_work->broken, CUT_OFF);
    memcpy(to, s->bytes + (rest ? s->at : 0), n);
    s->at += n;
    return (int)n;
}

static void source_skip(void *arg, int n)
{
    source *s = arg;
    s->at += (size_t)n;
}

static int source_ended(void *arg)
{
    const source *s = arg;
    return s->at >= s->n;
}

static stbi_uc *load(source *s, int *w, int *h, int channels)
{
    stbi_io_callbacks callbacks = {source_read, source_skip, source_ended};
    stbi__context context;
    int c;
    s->ahead = context.buffer_start;
    stbi__start_callbacks(&context, &callbacks, s);
    return stbi__load_and_postprocess_8bit(&context, w, h, &c, channels);
}

/* ---- what is no image ---- */

static int refuse(const char *path, const char *reason, ds_error *e)
{
    return ds_fail_at(e, DS_EINPUT, path, 0,
                      "cannot decode: %s, expected a PNG, JPEG, WebP, BMP, GIF, TGA, 8-bit PNM or PSD image",
                      reason);
}

/* Do the Huffman tables of a segment (T.81, B.2.4.2) fill it, with at most 256 codes each? stb_image 2.27
 * writes behind its own where one has more, and takes what begins in the segment beyond its end. */
static bool has_sound_tables(const unsigned char *at, const unsigned char *end)
{
    enum { HEAD = 17, MOST_CODES = 256 };
    while (end - at >= HEAD) {
        int codes = 0;
        for (int i = 1; i < HEAD; i++)
            codes += at[i];
        if (codes > MOST_CODES || codes > end - at - HEAD)
            return false;
        at += HEAD + codes;
    }
    return at == end;
}

/* Behind a scan: the next marker that does not belong to its data (0 is a stuffed byte, d0 … d7 are
 * restarts). */
static const unsigned char *behind_scan(const unsigned char *at, const unsigned char *end)
{
    while (end - at >= 2 && (at[0] != 0xff || at[1] == 0 || (at[1] >= 0xd0 && at[1] <= 0xd7)))
        at++;
    return at;
}

/* Walks over the segments as stb_image does, which takes any end of the data for that of the picture. A
 * scan of no data costs as much as a whole picture: without a progressive frame there is one a component,
 * with one about ten. */
static bool is_whole_jpeg(const unsigned char *bytes, size_t n)
{
    enum { PROGRESSIVE = 0xc2, TABLES = 0xc4, END = 0xd9, SCAN = 0xda };
    int scans = 4;
    const unsigned char *at = bytes, *end = bytes + n;
    while ((at = memchr(at, 0xff, (size_t)(end - at)))) {
        while (at < end && *at == 0xff)
            at++;
        if (at == end || *at == END)
            return at < end;
        int marker = *at++;
        if (marker == 0 || (marker >= 0xd0 && marker <= 0xd8) || end - at < 2)
            continue;
        size_t length = (size_t)at[0] << 8 | at[1];
        if (length < 2 || length > (size_t)(end - at) ||
            (marker == TABLES && !has_sound_tables(at + 2, at + length)) || (marker == SCAN && scans-- == 0))
            return false;
        scans = marker == PROGRESSIVE ? 100 : scans;
        at = marker == SCAN ? behind_scan(at + length, end) : at + length;
    }
    return false;
}

static uint32_t big_endian(const unsigned char *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static bool is_png(const unsigned char *bytes, size_t n)
{
    return n > 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0;
}

/* A size, then the checksums of the chunks that matter (capital first letter), up to the last one. PNG
 * specification, 5.3 and 5.6. */
static bool is_whole_png(const unsigned char *bytes, size_t n)
{
    enum { SIGNATURE = 8, FRAME = 12, HEADER = 13 };
    if (n < SIGNATURE + FRAME + HEADER || memcmp(bytes + SIGNATURE + 4, "IHDR", 4) != 0)
        return false;
    for (size_t at = SIGNATURE; at + FRAME <= n;) {
        const unsigned char *chunk = bytes + at + 4; /* type, data, checksum */
        size_t length = big_endian(bytes + at);
        if (length > n - at - FRAME)
            return false;
        if (!(chunk[0] & 0x20) && crc32(0, chunk, (uInt)length + 4) != big_endian(chunk + 4 + length))
            return false;
        if (memcmp(chunk, "IEND", 4) == 0)
            return true;
        at += length + FRAME;
    }
    return false;
}

/* Formats that others write and nobody here reads. */
static const char *foreign_of(const unsigned char *bytes, size_t n)
{
    static const struct {
        const char *name;
        size_t at, n;
        const char *bytes;
    } marks[] = {{"TIFF", 0, 4, "II*\0"},     {"TIFF", 0, 4, "MM\0*"},    {"AVIF", 4, 7, "ftypavi"},
                 {"HEIC", 4, 7, "ftyphei"},   {"HEIC", 4, 8, "ftypmif1"}, {"HEIC", 4, 7, "ftyphev"},
                 {"JPEG XL", 0, 2, "\xff\n"}, {"JPEG XL", 4, 4, "JXL "},  {"JPEG 2000", 4, 4, "jP  "}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (n >= marks[i].at + marks[i].n && memcmp(bytes + marks[i].at, marks[i].bytes, marks[i].n) == 0)
            return marks[i].name;
    return NULL;
}

static const char *damage_of(const unsigned char *bytes, size_t n)
{
    if (n > 2 && bytes[0] == 0xff && bytes[1] > 1 && !is_whole_jpeg(bytes, n)) /* no TGA has that */
        return "JPEG that is cut off or damaged";
    if (is_png(bytes, n) && !is_whole_png(bytes, n))
        return "PNG that is cut off or has a wrong checksum";
    if (n > 4 && memcmp(bytes, "GIF8", 4) == 0 && !ds_gif_is_bounded(bytes, n))
        return "GIF with more pixels than its picture";
    if (bytes[0] == 'P' && stbi_is_16_bit_from_memory(bytes, (int)n))
        return "16-bit PNM"; /* stb_image mixes up its bytes */
    return NULL;
}

/* Bytes that decoding may take: for the data of the file, some copies of the pixels at 16 bit, and tables. */
static size_t allowance(size_t n, size_t pixels)
{
    return ((size_t)8 << 20) + 4 * n + 32 * pixels;
}

static int check_size(const char *path, long long w, long long h, ds_error *e)
{
    if (w > 0 && h > 0 && w <= DS_MOST_PIXELS / h)
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, path, 0, "cannot decode: %lld x %lld pixels, expected 1 to %lld of them",
                      w, h, DS_MOST_PIXELS);
}

static int decode_webp(const unsigned char *bytes, size_t n, const char *path, int channels, ds_image *im,
                       ds_error *e)
{
    const char *damage = ds_webp_size(bytes, n, &im->w, &im->h, &im->file_channels);
    if (damage)
        return refuse(path, damage, e);
    DS_TRY(check_size(path, im->w, im->h, e));
    damage = ds_webp_decode(bytes, n, channels, im);
    return damage ? refuse(path, damage, e) : DS_OK;
}

static int decode(workshop *work, const unsigned char *bytes, size_t n, const char *path, int channels,
                  ds_image *im, ds_error *e)
{
    int w, h, c;
    const char *damage = foreign_of(bytes, n);
    damage = damage ? damage : damage_of(bytes, n);
    if (ds_is_webp(bytes, n))
        return decode_webp(bytes, n, path, channels, im, e);
    if (damage)
        return refuse(path, damage, e);
    work->left = allowance(n, 0);
    source s = {.bytes = bytes, .n = n};
    if (is_png(bytes, n)) /* stb_image keeps sizes to itself that it takes for too large */
        DS_TRY(check_size(path, big_endian(bytes + 16), big_endian(bytes + 20), e));
    if (!stbi_info_from_memory(bytes, (int)n, &w, &h, &c)) {
        load(&s, &w, &h, channels); /* says what is wrong with a format that it knows */
        return refuse(path, stbi_failure_reason(), e);
    }
    h = h > -INT_MAX ? abs(h) : 0; /* of a BMP from top to bottom it is negative */
    DS_TRY(check_size(path, w, h, e));
    work->left = allowance(n, (size_t)w * (size_t)h);
    stbi_uc *px = load(&s, &im->w, &im->h, channels);
    if (work->exceeded)
        return ds_fail_at(e, DS_EINPUT, path, 0, "cannot decode: takes more memory than %d x %d pixels need",
                          w, h);
    if (!px)
        return refuse(path, stbi_failure_reason(), e);
    *find_held(px) = (struct held){0}; /* is the caller's from here on */
    im->px = px;
    im->c = channels;
    im->file_channels = c;
    return DS_OK;
}

int ds_image_decode(const unsigned char *bytes, size_t n, const char *path, int channels, ds_image *im,
                    ds_error *e)
{
    if (n == 0)
        return refuse(path, "empty file", e);
    if (n > INT_MAX)
        return refuse(path, "file above 2 GB", e);
    workshop work = {0};
    at_work = &work;
    int rc = DS_OK;
    switch (setjmp(work.broken)) {
    case 0:
        rc = decode(&work, bytes, n, path, channels & ~DS_AS_STORED, im, e);
        break;
    case CUT_OFF:
        rc = refuse(path, "file without its end", e);
        break;
    default:
        rc = refuse(path, "damaged file", e);
    }
    for (int i = 0; i < MOST_HELD; i++)
        free(work.held[i].p);
    at_work = NULL;
    if (!rc && !(channels & DS_AS_STORED) && !ds_image_turn(im, ds_exif_orientation(bytes, n)))
        rc = ds_fail_at(e, DS_ENOMEM, path, 0, "out of memory for %d x %d pixels", im->w, im->h);
    if (rc)
        ds_image_clear(im);
    return rc;
}

/* Who opens a pipe or a device may wait without end; a file that would be refused is not read. */
static int check_file(const char *path, bool untrusted, ds_error *e)
{
    struct stat st;
    const int there = stat(path, &st);
    if (!there && untrusted && S_ISREG(st.st_mode) && st.st_size > DS_MOST_UNTRUSTED)
        return ds_fail_at(e, DS_EINPUT, path, 0, "has %lld bytes, expected at most %d (untrusted image)",
                          (long long)st.st_size, DS_MOST_UNTRUSTED);
    if (there || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
        return DS_OK; /* reading says what is wrong */
    return ds_fail_at(e, DS_EIO, path, 0, "is a %s, expected a regular file",
                      S_ISFIFO(st.st_mode)   ? "named pipe"
                      : S_ISSOCK(st.st_mode) ? "socket"
                                             : "device");
}

int ds_image_read_by(struct ds_sandbox *decoder, const char *path, int channels, ds_image *im, ds_error *e)
{
    DS_FREED unsigned char *bytes = NULL;
    size_t n;
    *im = (ds_image){0};
    DS_TRY(check_file(path, decoder != NULL, e));
    DS_TRY(ds_file_read(path, "an image", &bytes, &n, e));
    return decoder ? ds_decoder_decode(decoder, bytes, n, path, channels, im, e)
                   : ds_image_decode(bytes, n, path, channels, im, e);
}

int ds_image_read(const char *path, int channels, ds_image *im, ds_error *e)
{
    return ds_image_read_by(NULL, path, channels, im, e);
}

void ds_image_clear(ds_image *im)
{
    free(im->px);
    *im = (ds_image){0};
}

void ds_image_free(ds_image *im)
{
    if (im)
        ds_image_clear(im);
    free(im);
}

/* Suffixes, and the format of those that cannot be decoded. */
static const char *const suffixes[][2] = {{"png|jpg|jpeg|webp|bmp|tga|ppm|pgm|gif|psd", NULL},
                                          {"tif|tiff", "TIFF"},
                                          {"heic|heif", "HEIC"},
                                          {"avif", "AVIF"},
                                          {"jxl", "JPEG XL"},
                                          {"jp2", "JPEG 2000"},
                                          {"dng|cr2|nef|arw", "raw"}};

static const char *const *find_suffix(const char *name)
{
    const char *dot = strrchr(name, '.');
    DS_FREED char *suffix = ds_strdup(dot ? dot + 1 : "");
    for (char *c = suffix; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    for (size_t k = 0; k < sizeof suffixes / sizeof *suffixes; k++)
        if (ds_has_word(suffixes[k][0], suffix))
            return suffixes[k];
    return NULL;
}

bool ds_is_image_name(const char *name)
{
    return find_suffix(name);
}

const char *ds_foreign_name(const char *name)
{
    const char *const *found = find_suffix(name);
    return found ? found[1] : NULL;
}
