/* The pixels of one image: decoding, the central square, augmentation. */
#pragma once

#include "base/error.h"
#include "base/pixel.h"
#include "base/rng.h"

/* w x h x c bytes, interleaved rows, c = 1 or 3. */
typedef struct ds_image {
    int w, h, c;
    unsigned char *px; /* owned */
    int file_channels; /* 1 to 4, of the file that it was decoded from; 0: of none */
} ds_image;

/* With `channels`: pixels as they are stored, whatever EXIF data says of their orientation. */
enum { DS_AS_STORED = 4 };
/* Decode from a file (stb_image or libwebp, from memory) to `channels` 1 or 3, which may be `| DS_AS_STORED`:
 * otherwise a JPEG or WebP is turned upright. Grey, alpha, 16 bit are converted; of a GIF the first picture
 * is taken. An error names the path and the reason. */
int ds_image_read(const char *path, int channels, ds_image *im, ds_error *e);
/* The same of n bytes in memory; *im zeroed in. */
int ds_image_decode(const unsigned char *bytes, size_t n, const char *path, int channels, ds_image *im,
                    ds_error *e);
void ds_image_clear(ds_image *im);
/* Of fresh memory; NULL is allowed. */
void ds_image_free(ds_image *im);

/* Far above any photograph; keeps a damaged header from asking for all memory. (Fuzzing takes fewer.) */
#ifndef DS_MOST_PIXELS
#define DS_MOST_PIXELS (1LL << 26)
#endif

/* decoder.c: images of strangers, decoded in children without rights (sandbox.h); what these do not survive
 * is an error of that image alone. To be called while the program has one thread; freed by ds_sandbox_free.
 * DS_EIO: the system does not let a child give up its rights. */
struct ds_sandbox;
enum { DS_MOST_UNTRUSTED = 256 << 20 }; /* bytes of a file */
int ds_decoder_new(struct ds_sandbox **decoder, ds_error *e);
/* As ds_image_read and ds_image_decode; decoder NULL: ds_image_read. */
int ds_image_read_by(struct ds_sandbox *decoder, const char *path, int channels, ds_image *im, ds_error *e);
int ds_decoder_decode(struct ds_sandbox *decoder, const unsigned char *bytes, size_t n, const char *path,
                      int channels, ds_image *im, ds_error *e);

/* cache.c: decoded images that stay in memory, for any number of threads. */
typedef struct ds_cache ds_cache; /* opaque */
/* Of so many images, `most` bytes at most. */
ds_cache *ds_cache_new(size_t images, size_t most);
void ds_cache_free(ds_cache *c);
/* Those from `first` on, which nobody may be using, are decoded anew. */
void ds_cache_forget(ds_cache *c, size_t first);
/* Image i, as ds_image_read_by gives it the first time; c NULL: every time. It is the cache's, or where that
 * has no room, the caller's: *own, else NULL. NULL: an error. */
const ds_image *ds_cache_read(ds_cache *c, size_t i, struct ds_sandbox *decoder, const char *path,
                              int channels, ds_image **own, ds_error *e);

/* The suffix of an image, in whatever case; also of those that cannot be decoded. */
bool ds_is_image_name(const char *name);
/* "TIFF": the format that a suffix says, of those that cannot be decoded; NULL: none of them. */
const char *ds_foreign_name(const char *name);
/* Suffixes of the others, for messages. */
#define DS_IMAGE_SUFFIXES ".png, .jpg, .webp, .bmp, .tga, .ppm, .pgm, .gif or .psd"

/* thumb.c: the image at `path` as a PNG of at most 96 pixels a side, *n bytes of fresh memory in *png.
 * DS_EIO, DS_EINPUT: no regular file, or none that can be decoded. */
int ds_thumb_png(const char *path, unsigned char **png, size_t *n, ds_error *e);

/* Preprocessing of valid, predict and reject: the largest central square, bilinear to w x h, [0, 1], as
 * the host's `classifier valid` (center_crop_image). out: c x h x w floats. */
void ds_prepare_center(const ds_image *im, int w, int h, float *out);

/* views.c: view i of prepared pixels, c x h x w as `out`: 0 is the image itself, with flip 1 its mirror
 * image; then it is moved left, right, up and down by a 32nd of its side, at least a pixel, the border
 * repeated; with flip then the mirror images of these. ds_views_most: how many there are. */
int ds_views_most(bool flip);
void ds_view(const float *px, int w, int h, int c, bool flip, int i, float *out);

/* Augmentation of training, the host's meanings (random_augment_image, flip, random_distort_image). */
typedef struct ds_augment {
    int w, h; /* of the network */
    /* short side after scaling, a uniform integer; the host's min_ratio * w and max_ratio * w */
    double min_size, max_size;
    double angle;                        /* degrees */
    double aspect, saturation, exposure; /* factors, 1: none */
    double hue;                          /* 0: none */
    bool flip;                           /* mirror half of the images */
    bool center;                         /* the central square instead of a random crop */
    int cutout;                          /* side of a square that is hidden, network pixels; 0: none */
    int shift; /* moved by at most that many whole pixels either way, after all else; 0: none */
} ds_augment;
/* What the host's functions (rotate_crop_image, flip_image, distort_image) give for the same drawn numbers,
 * and then a square of it in the mean colour of the image (cutout: DeVries & Taylor 2017). Numbers and pixels
 * are two steps: a test gives the host the same numbers. */

/* The numbers for an image of iw x ih pixels. */
ds_draw ds_augment_draw(const ds_augment *a, int iw, int ih, ds_rng *r);
/* Crop, rotate, mirror, distort and cut out. out: c x h x w floats. */
void ds_augment_apply(const ds_image *im, const ds_augment *a, const ds_draw *draw, float *out);

/* crop.c: c x h x w floats in [0, 1], the central square, or scaled, shifted, rotated by bilinear
 * interpolation, zero outside the image; mirrored. */
void ds_crop(const ds_image *im, int w, int h, const ds_draw *draw, float *out);
/* colour.c: c planes of n pixels in place; hue and saturation for c = 3 only. */
void ds_distort(float *out, int c, size_t n, const ds_draw *draw);

/* ---- exif.c ---- */

/* 1 (upright) to 8, of n bytes of a JPEG or WebP; 1 of others. */
int ds_exif_orientation(const unsigned char *bytes, size_t n);
/* Turn pixels that are stored so upright. False: out of memory. */
bool ds_image_turn(ds_image *im, int orientation);

/* ---- webp.c: what is wrong, or NULL ---- */

bool ds_is_webp(const unsigned char *bytes, size_t n);
const char *ds_webp_size(const unsigned char *bytes, size_t n, int *w, int *h, int *channels);
/* im: of that size, which was checked; gets its pixels. */
const char *ds_webp_decode(const unsigned char *bytes, size_t n, int channels, ds_image *im);

/* ---- gif.c ---- */

/* Of n bytes: false where decoding would take longer than the size of the picture explains. */
bool ds_gif_is_bounded(const unsigned char *bytes, size_t n);

/* ---- png.c ---- */

/* A PNG file in memory (*n bytes, fresh; the caller frees) of h rows of w * c bytes: c = 1 (grey) or 3
 * (RGB), at most 32768 x 32768 x 1 bytes in all. The same pixels give the same file. */
unsigned char *ds_png_encode(const unsigned char *px, int w, int h, int c, size_t *n);
