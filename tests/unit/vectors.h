/* Reader of the reference vectors (tests/vectors): `case NAME`, `NAME D0xD1 = v v v`, `NAME = v`, `end`.
 * Ends the test program on a malformed file. */
#pragma once

#include <stdbool.h>

typedef struct vec_item {
    char name[64];
    char word[64];     /* the value as text, for a scalar */
    double *v;         /* n numbers */
    int n, rows, cols; /* n = rows * cols; a scalar is 1 x 1, a vector n x 1 */
} vec_item;

typedef struct vec_file vec_file;

/* Opens FILE in $DS_VECTORS or tests/vectors. */
vec_file *vec_open(const char *file);
/* Next case; false at the end. Items stay valid until the next call. */
bool vec_next(vec_file *f);
const char *vec_case(const vec_file *f);
/* NULL when the case has no such item. */
const vec_item *vec_find(const vec_file *f, const char *name);
/* Fails the test when missing. */
const vec_item *vec_get(const vec_file *f, const char *name);
double vec_number(const vec_file *f, const char *name);
/* The item as floats, fresh memory. */
float *vec_floats(const vec_file *f, const char *name);
void vec_close(vec_file *f);
