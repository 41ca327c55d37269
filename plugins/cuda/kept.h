/* What takes seconds to find out is kept in ~/.cache/darknet-sat ($XDG_CACHE_HOME). */
#pragma once

#include "base/error.h"

/* Fresh memory with the *n bytes that were kept under the key, a text of any length; NULL: none, or not
 * whole. */
unsigned char *ds_kept_read(const char *key, size_t *n);
/* A folder that cannot be written keeps nothing. */
void ds_kept_write(const char *key, const void *bytes, size_t n);
