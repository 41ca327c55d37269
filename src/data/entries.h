/* What lies in a folder, and which of it is an image. */
#ifndef DS_DATA_ENTRIES_H
#define DS_DATA_ENTRIES_H

#include "base/error.h"

#include <dirent.h>
#include <stdbool.h>

/* Zeroed: empty. */
typedef struct ds_entries {
    struct dirent **v; /* n, owned */
    int n;
} ds_entries;

/* The visible entries of a folder, sorted by bytes, so that every locale gives the same order. `what` is what
 * was expected, for the message. DS_EIO; the list is empty then. */
int ds_entries_read(const char *dir, const char *what, ds_entries *list, ds_error *e);
void ds_entries_release(ds_entries *list);

/* The suffix of an image, in whatever case. */
bool ds_is_image_name(const char *name);
/* All of them, for messages. */
#define DS_IMAGE_SUFFIXES ".png, .jpg, .bmp, .tga, .ppm, .pgm, .gif or .psd"

#endif
