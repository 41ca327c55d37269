/* Arrays in a file that other programs read too (https://github.com/huggingface/safetensors): the length of
 * the header as 64 bits, the header {"NAME": {"dtype", "shape", "data_offsets"}, …, "__metadata__": {texts}},
 * the arrays. */
#pragma once

#include "base/error.h"

#include <jansson.h>

/* rows x columns numbers, which are the caller's. */
typedef struct ds_saved {
    char name[64];
    const char *dtype; /* "F32", "F64", "U64", "U32", "U16", "U8" */
    size_t rows, columns;
    void *values;
} ds_saved;

/* Bytes of its values. */
size_t ds_saved_bytes(const ds_saved *array);

/* A file in memory; data: n bytes. Zero-initialise, close in any case. */
typedef struct ds_saved_file {
    char *path;
    unsigned char *bytes, *data;
    size_t n;
    json_t *header;
} ds_saved_file;

/* Write n arrays and an object of texts, to which the CRC-32 of the arrays is added, as ds_writer does;
 * keep: the file of before becomes PATH.1. */
int ds_saved_write(const char *path, json_t *metadata, const ds_saved *arrays, int n, bool keep, ds_error *e);
/* DS_EIO; DS_EINPUT: not of this format, or other arrays than the checksum says. `path` (fresh memory) is
 * the file's from now on; what: what was expected, for messages ("a checkpoint"). */
int ds_saved_open(ds_saved_file *f, char *path, const char *what, ds_error *e);
/* The rows of an array, 0 where there is none or the file is too short for so many. */
size_t ds_saved_rows(const ds_saved_file *f, const char *name);
/* Fill `values` from the array of that name, type and shape; DS_EINPUT: there is none. */
int ds_saved_read(const ds_saved_file *f, const ds_saved *array, ds_error *e);
/* An array of bytes as a text in fresh memory, *text. */
int ds_saved_text(const ds_saved_file *f, const char *name, char **text, ds_error *e);
void ds_saved_close(ds_saved_file *f);
