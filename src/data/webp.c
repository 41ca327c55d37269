/* WebP, by libwebp; its memory is bounded by the size that was checked. */
#include "data/image.h"

#include <webp/decode.h>

bool ds_is_webp(const unsigned char *bytes, size_t n)
{
    return n > 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

const char *ds_webp_size(const unsigned char *bytes, size_t n, int *w, int *h, int *channels)
{
    WebPBitstreamFeatures f;
    if (WebPGetFeatures(bytes, n, &f) != VP8_STATUS_OK)
        return "WebP that is cut off or damaged";
    *w = f.width;
    *h = f.height;
    *channels = f.has_alpha ? 4 : 3;
    return f.has_animation ? "WebP with an animation" : NULL;
}

const char *ds_webp_decode(const unsigned char *bytes, size_t n, int channels, ds_image *im)
{
    const size_t row = 3 * (size_t)im->w, all = row * (size_t)im->h;
    DS_FREED unsigned char *px = malloc(all);
    if (!px)
        return "WebP of more pixels than there is memory for";
    if (!WebPDecodeRGBInto(bytes, n, px, all, (int)row))
        return "WebP that is cut off or damaged";
    for (size_t i = 0; channels == 1 && i < all / 3; i++) /* stb_image's grey, as of the other formats */
        px[i] = (unsigned char)((px[3 * i] * 77 + px[3 * i + 1] * 150 + px[3 * i + 2] * 29) >> 8);
    im->px = px;
    im->c = channels;
    px = NULL;
    return NULL;
}
