/* Augmentation in two steps, the numbers and the pixels, so that a test can give the same numbers to the
 * host. */
#ifndef DS_DATA_AUGMENT_H
#define DS_DATA_AUGMENT_H

#include "base/rng.h"
#include "data/data.h"

typedef struct ds_draw {
    float radians;
    float scale;  /* network pixels an image pixel */
    float dx, dy; /* shift of the centre, network pixels */
    float aspect; /* x stretch */
    bool flip;
    float hue;                  /* added, in turns */
    float saturation, exposure; /* factors */
} ds_draw;

/* The numbers for an image of iw x ih pixels. */
ds_draw ds_augment_draw(const ds_augment *a, int iw, int ih, ds_rng *r);
/* Crop, rotate, mirror and distort. out: c x h x w floats. */
void ds_augment_apply(const ds_image *im, const ds_augment *a, const ds_draw *draw, float *out);

/* crop.c: c x h x w floats in [0, 1], mirrored when asked for. */
void ds_crop_center(const ds_image *im, int w, int h, bool flip, float *out);
/* Scaled, shifted and rotated by bilinear interpolation; zero outside the image. */
void ds_crop_random(const ds_image *im, int w, int h, const ds_draw *draw, float *out);

/* colour.c: c planes of n pixels in place; hue and saturation for c = 3 only. */
void ds_distort(float *out, int c, size_t n, const ds_draw *draw);

#endif
