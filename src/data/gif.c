/* Does the first picture of a GIF (GIF89a specification, 20 and appendix F) unpack to about as many pixels as
 * it has? stb_image does not stop where it is full: each code of 12 bits, and a file may hold any number of
 * them, still takes the time of thousands of pixels. */
#include "data/image.h"

/* Bytes behind the end are 0, which ends every sequence of blocks. */
typedef struct reader {
    const unsigned char *at, *end;
    int block; /* bytes left in the block of data at hand */
    uint32_t bits;
    int n_bits;
} reader;

static int next(reader *r)
{
    return r->at < r->end ? *r->at++ : 0;
}

static int next16(reader *r)
{
    int low = next(r);
    return low | next(r) << 8;
}

static void skip(reader *r, int n)
{
    r->at = r->end - r->at > n ? r->at + n : r->end;
}

/* The next code of `size` bits, -1 at the end of the data. */
static int next_code(reader *r, int size)
{
    while (r->n_bits < size) {
        if (r->block == 0 && (r->block = next(r)) == 0)
            return -1;
        r->block--;
        r->bits |= (uint32_t)next(r) << r->n_bits;
        r->n_bits += 8;
    }
    int code = (int)(r->bits & ((1u << size) - 1));
    r->bits >>= size;
    r->n_bits -= size;
    return code;
}

/* Up to what the decoder takes for an error, or beyond `most`. */
static long long unpacked(reader *r, long long most)
{
    enum { MOST_CODES = 8192 };
    uint16_t length[MOST_CODES + 1];
    const int least = next(r);
    if (least > 12)
        return 0;
    const int clear = 1 << least;
    int size = least + 1, free = clear + 2, before = -1, code;
    long long sum = 0;
    for (int i = 0; i < clear; i++)
        length[i] = 1;
    while (sum <= most && (code = next_code(r, size)) >= 0 && code != clear + 1) {
        if (code == clear) {
            size = least + 1;
            free = clear + 2;
            before = -1;
            continue;
        }
        if (code > free || (code == free && before < 0) || free == MOST_CODES)
            break;
        if (before >= 0)
            length[free++] = (uint16_t)(length[before] + 1);
        sum += length[code];
        size += (free & ((1 << size) - 1)) == 0 && free < 1 << 12;
        before = code;
    }
    return sum;
}

/* To the first picture, over extensions; a control extension of a wrong length ends as in stb_image. */
static bool find_picture(reader *r)
{
    enum { EXTENSION = 0x21, CONTROL = 0xf9, PICTURE = 0x2c, LENGTH = 4 };
    int tag;
    while ((tag = next(r)) == EXTENSION) {
        const bool control = next(r) == CONTROL;
        int n = control ? next(r) : LENGTH;
        const bool ends = n != LENGTH;
        skip(r, control ? n : 0);
        while (!ends && (n = next(r)))
            skip(r, n);
    }
    return tag == PICTURE;
}

/* Over a table of colours, if there is one. */
static void skip_colours(reader *r, int flags)
{
    skip(r, flags & 0x80 ? 3 * (2 << (flags & 7)) : 0);
}

bool ds_gif_is_bounded(const unsigned char *bytes, size_t n)
{
    enum { SIGNATURE = 6, SIZES = 4, SLACK = 1 << 20 };
    reader r = {.at = bytes, .end = bytes + n};
    skip(&r, SIGNATURE + SIZES);
    int flags = next(&r);
    skip(&r, 2);
    skip_colours(&r, flags);
    if (!find_picture(&r))
        return true;
    skip(&r, SIZES);
    const long long w = next16(&r), h = next16(&r), most = 2 * w * h + SLACK;
    skip_colours(&r, next(&r));
    return unpacked(&r, most) <= most;
}
