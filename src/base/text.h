/* Words and numbers: strict parsing, spelling suggestions. With it comes the part of the C library that every
 * file uses. */
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What layers that are built elsewhere may call: the program exports it (src/host/exports.list). */
#define DS_PUBLIC __attribute__((visibility("default")))

/* The whole of `s` as a number: no blanks, no rest, no overflow. False otherwise. "nan" and "inf" are no
 * numbers. */
bool ds_parse_int(const char *s, long long *value);
bool ds_parse_double(const char *s, double *value);
/* A finite number with the fewest digits (of %g, six at least: fewer turn 80 into 8e+01) that are read as
 * the same one. Returns `text`. */
enum { DS_NUMBER_TEXT = 32 };
const char *ds_number_text(double value, char text[DS_NUMBER_TEXT]);

/* Two doubles, for qsort. */
int ds_ascending(const void *a, const void *b);

/* The word of `words` (n of them; NULL entries are skipped) that is nearest to `word` by edit distance,
 * or NULL when none is near enough to be what was meant. */
const char *ds_nearest(const char *word, const char *const *words, int n);

/* Where `word` stands among n words, or with n = -1 up to a NULL; -1: it does not. */
int ds_word_index(const char *const *words, int n, const char *word);
/* Is it one of "words|with|bars|between"? */
bool ds_has_word(const char *words, const char *word);

/* Cut blanks, tabs, carriage returns and newlines off both ends, in place; returns the new start. */
char *ds_trim(char *s);

/* Bytes of the letter that `s` begins with, and its code point; 0: it begins with none of UTF-8 (RFC
 * 3629). */
int ds_letter(const char *s, uint32_t *code);
/* A text from outside, as people may see it, on one line: control characters, what turns the direction of
 * writing, and bytes that are not UTF-8 become \n, \t, \r, \xNN. Blanks fill it up to `width` columns, all
 * letters being one wide. Returns the columns that it takes; f NULL: it only counts. */
int ds_put_name(FILE *f, const char *text, int width);
/* `what`, such a text, a newline. */
void ds_put_line(FILE *f, const char *what, const char *text);

/* A word that a shell takes back as it is, in quotes where it needs them. */
void ds_put_word(FILE *f, const char *word);

/* FNV-1a of bytes; h: DS_HASH, or that of bytes before them. */
#define DS_HASH 0xcbf29ce484222325u
uint64_t ds_hash(uint64_t h, const void *bytes, size_t n);

/* Copies in fresh memory; NULL of NULL. */
char *ds_strdup(const char *s);
char *ds_strndup(const char *s, size_t n);
/* Frees the n texts of an array and the array, which may be NULL. */
void ds_free_texts(char **texts, size_t n);
/* printf into fresh memory. */
DS_PUBLIC char *ds_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A stream that writes into *text (fresh memory, there after fclose or fflush), of *size bytes; size NULL:
 * nobody asks, and the thread that opens it closes it. */
FILE *ds_memstream(char **text, size_t *size);
