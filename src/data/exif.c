/* Which way up an image is: the tag Orientation of its EXIF data (CIPA DC-008, 4.6.4; TIFF 6.0). */
#include "data/image.h"

/* TIFF data: n bytes; numbers beyond them are 0. */
typedef struct tiff {
    const unsigned char *at;
    size_t n;
    bool little;
} tiff;

static unsigned number(const tiff *t, size_t at, int bytes)
{
    unsigned value = 0;
    for (int i = 0; i < bytes && at < t->n && t->n - at >= (size_t)bytes; i++)
        value = value << 8 | t->at[at + (size_t)(t->little ? bytes - 1 - i : i)];
    return value;
}

/* Of the first directory; no other is followed. */
static int orientation_of(const unsigned char *bytes, size_t n)
{
    enum { ENTRY = 12, ORIENTATION = 0x112, SHORT = 3 };
    tiff t = {bytes, n, n > 4 && bytes[0] == 'I'};
    if (number(&t, 0, 2) != (t.little ? 0x4949 : 0x4d4d) || number(&t, 2, 2) != 42)
        return 1;
    const size_t at = number(&t, 4, 4), entries = number(&t, at, 2);
    for (size_t i = 0; i < entries; i++) {
        const size_t entry = at + 2 + ENTRY * i;
        const unsigned value = number(&t, entry + 8, 2);
        if (number(&t, entry, 2) == ORIENTATION)
            return number(&t, entry + 2, 2) == SHORT && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

static int of_chunk(const unsigned char *bytes, size_t n)
{
    const size_t head = n > 6 && memcmp(bytes, "Exif\0", 6) == 0 ? 6 : 0;
    return orientation_of(bytes + head, n - head);
}

static int of_jpeg(const unsigned char *bytes, size_t n)
{
    enum { APP1 = 0xe1, SCAN = 0xda };
    for (size_t at = 2; at + 4 <= n && bytes[at] == 0xff;) {
        const int marker = bytes[at + 1];
        const size_t length = (size_t)bytes[at + 2] << 8 | bytes[at + 3];
        if (marker == 0xff) { /* fills */
            at++;
            continue;
        }
        if (marker == SCAN || length < 2 || length > n - at - 2)
            return 1;
        if (marker == APP1 && length > 8 && memcmp(bytes + at + 4, "Exif\0", 6) == 0)
            return of_chunk(bytes + at + 4, length - 2);
        at += 2 + length;
    }
    return 1;
}

static int of_webp(const unsigned char *bytes, size_t n)
{
    enum { HEAD = 8 };
    for (size_t at = 12; at < n && n - at >= HEAD;) {
        const tiff t = {bytes, n, true};
        const size_t length = number(&t, at + 4, 4);
        if (length > n - at - HEAD)
            return 1;
        if (memcmp(bytes + at, "EXIF", 4) == 0)
            return of_chunk(bytes + at + HEAD, length);
        at += HEAD + length + length % 2;
    }
    return 1;
}

int ds_exif_orientation(const unsigned char *bytes, size_t n)
{
    if (n > 4 && bytes[0] == 0xff && bytes[1] == 0xd8)
        return of_jpeg(bytes, n);
    return ds_is_webp(bytes, n) ? of_webp(bytes, n) : 1;
}

bool ds_image_turn(ds_image *im, int orientation)
{
    const bool across = orientation >= 5; /* rows become columns */
    const bool left = strchr("\2\3\7\10", orientation), up = strchr("\3\4\6\7", orientation);
    const size_t c = (size_t)im->c, w = (size_t)im->w, h = (size_t)im->h;
    const size_t out_w = across ? h : w, out_h = across ? w : h;
    unsigned char *px = orientation > 1 ? malloc(w * h * c) : NULL, *to = px;
    for (size_t y = 0; px && y < out_h; y++)
        for (size_t x = 0; x < out_w; x++, to += c) {
            const size_t a = across ? y : x, b = across ? x : y;
            memcpy(to, im->px + ((up ? h - 1 - b : b) * w + (left ? w - 1 - a : a)) * c, c);
        }
    if (px) {
        free(im->px);
        im->px = px;
        im->w = (int)out_w;
        im->h = (int)out_h;
    }
    return px || orientation == 1;
}
