/* Writing PNG files: many of one size, fast rather than small. */
#ifndef DS_DATA_WRITE_PNG_H
#define DS_DATA_WRITE_PNG_H

#include "base/error.h"

#include <stddef.h>

typedef struct ds_png ds_png; /* opaque: buffers and deflate state for one image size */

/* For images of w x h pixels (each 1 … 32768) with c = 1 (grey) or 3 (RGB) bytes a pixel. */
int ds_png_new(int w, int h, int c, ds_png **png, ds_error *e);
/* Write one image (h rows of w * c bytes) to `path`, replacing what is there. */
int ds_png_write(ds_png *png, const unsigned char *px, const char *path, ds_error *e);
/* The same in memory: *n bytes of a PNG file in *bytes, which belong to `png` and stay until its next image. */
int ds_png_encode(ds_png *png, const unsigned char *px, const unsigned char **bytes, size_t *n, ds_error *e);
void ds_png_free(ds_png *png);

#endif
