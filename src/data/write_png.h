/* PNG files, fast rather than small. */
#ifndef DS_DATA_WRITE_PNG_H
#define DS_DATA_WRITE_PNG_H

#include <stddef.h>

/* A PNG file in memory (*n bytes, fresh; the caller frees) of h rows of w * c bytes: c = 1 (grey) or 3
 * (RGB), at most 32768 x 32768 x 1 bytes in all. The same pixels give the same file. */
unsigned char *ds_png_encode(const unsigned char *px, int w, int h, int c, size_t *n);

#endif
