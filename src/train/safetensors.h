/* Arrays in a file that other programs read too (https://github.com/huggingface/safetensors): the length of
 * the header as 64 bits, the header {"NAME": {"dtype", "shape", "data_offsets"}, …, "__metadata__": {texts}},
 * the arrays. */
#ifndef DS_TRAIN_SAFETENSORS_H
#define DS_TRAIN_SAFETENSORS_H

#include "base/error.h"

#include <jansson.h>
#include <stddef.h>

/* rows x columns numbers, which are the caller's. */
typedef struct ds_saved {
    char name[64];
    const char *dtype; /* "F32", "F64", "U64", "U8" */
    size_t rows, columns;
    void *values;
} ds_saved;

/* A file in memory; data: n bytes. Zero-initialise, close in any case. */
typedef struct ds_saved_file {
    char *path;
    unsigned char *bytes, *data;
    size_t n;
    json_t *header;
} ds_saved_file;

/* Write n arrays and an object of texts as ds_writer does; the file of before becomes PATH.1. */
int ds_saved_write(const char *path, json_t *metadata, const ds_saved *arrays, int n, ds_error *e);
/* DS_EIO; DS_EINPUT: not of this format. `path` (fresh memory) is the file's from now on. */
int ds_saved_open(ds_saved_file *f, char *path, ds_error *e);
/* Fill `values` from the array of that name, type and shape; DS_EINPUT: there is none. */
int ds_saved_read(const ds_saved_file *f, const ds_saved *array, ds_error *e);
void ds_saved_close(ds_saved_file *f);

#endif
