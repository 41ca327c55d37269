#include "base/file.h"
#include "data/image.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

/* Far above any photograph; keeps a damaged header from asking for all memory. */
static const long long most_pixels = 1LL << 26;

static int refuse(const char *path, const char *reason, ds_error *e)
{
    return ds_fail_at(e, DS_EINPUT, path, 0,
                      "cannot decode: %s, expected a PNG, JPEG, BMP, GIF, TGA, 8-bit PNM or PSD image",
                      reason);
}

/* stb_image fills the rest of a JPEG that was cut off with grey, in some versions without a word. */
static bool is_cut_off(const unsigned char *bytes, size_t n)
{
    return n > 2 && bytes[0] == 0xff && bytes[1] == 0xd8 && !memmem(bytes + 2, n - 2, "\xff\xd9", 2);
}

/* Where the pixels of a binary PNM begin, by stb_image's reading of its head: three numbers between blanks
 * and comments, then one byte; n when it has no end. */
static size_t pnm_head(const unsigned char *bytes, size_t n)
{
    size_t at = 2;
    for (int number = 0; number < 3; number++) {
        while (at < n && (isspace(bytes[at]) || bytes[at] == '#'))
            if (bytes[at++] == '#')
                while (at < n && bytes[at] != '\n' && bytes[at] != '\r')
                    at++;
        while (at < n && isdigit(bytes[at]))
            at++;
    }
    return at < n ? at + 1 : n;
}

/* stb_image 2.27 leaves what is missing of a PNM unset. */
static bool is_short_pnm(const unsigned char *bytes, size_t n, int w, int h, int c)
{
    bool is_pnm = n > 2 && bytes[0] == 'P' && (bytes[1] == '5' || bytes[1] == '6');
    return is_pnm && n - pnm_head(bytes, n) < (size_t)w * (size_t)h * (size_t)c;
}

static int decode(const unsigned char *bytes, size_t n, const char *path, int channels, ds_image *im,
                  ds_error *e)
{
    int w, h, c;
    if (n == 0)
        return refuse(path, "empty file", e);
    if (n > INT_MAX)
        return refuse(path, "file above 2 GB", e);
    if (!stbi_info_from_memory(bytes, (int)n, &w, &h, &c))
        return refuse(path, stbi_failure_reason(), e);
    if (w < 1 || h < 1)
        return refuse(path, "no pixels", e);
    if ((long long)w * h > most_pixels)
        return ds_fail_at(e, DS_EINPUT, path, 0, "cannot decode: %d x %d pixels, expected at most %lld", w, h,
                          most_pixels);
    if (is_cut_off(bytes, n))
        return refuse(path, "JPEG without its end", e);
    if (bytes[0] == 'P' && stbi_is_16_bit_from_memory(bytes, (int)n))
        return refuse(path, "16-bit PNM", e); /* stb_image mixes up its bytes */
    if (is_short_pnm(bytes, n, w, h, c))
        return refuse(path, "PNM without its end", e);
    im->px = stbi_load_from_memory(bytes, (int)n, &im->w, &im->h, &c, channels);
    im->c = channels;
    return im->px ? DS_OK : refuse(path, stbi_failure_reason(), e);
}

int ds_image_read(const char *path, int channels, ds_image *im, ds_error *e)
{
    unsigned char *bytes;
    size_t n;
    *im = (ds_image){0};
    int rc = ds_file_read(path, "an image", &bytes, &n, e);
    if (rc)
        return rc;
    rc = decode(bytes, n, path, channels, im, e);
    free(bytes);
    return rc;
}

void ds_image_clear(ds_image *im)
{
    free(im->px);
    *im = (ds_image){0};
}

bool ds_is_image_name(const char *name)
{
    static const char *const extensions[] = {".png", ".jpg", ".jpeg", ".bmp", ".tga",
                                             ".ppm", ".pgm", ".gif",  ".psd"};
    const char *dot = strrchr(name, '.');
    for (size_t k = 0; dot && k < sizeof extensions / sizeof *extensions; k++)
        if (strcasecmp(dot, extensions[k]) == 0)
            return true;
    return false;
}
