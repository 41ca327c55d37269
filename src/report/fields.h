/* Texts and numbers inside CSV and JSON. */
#pragma once

#include "report/report.h"

#include <jansson.h>

/* ---- csv.c ---- */

/* Quoted where RFC 4180 asks for it; safe: see ds_report_csv_write. */
void ds_csv_put_field(FILE *f, const char *text, bool safe);
/* Would a spreadsheet compute it, but for apostrophes before it? */
bool ds_csv_is_formula(const char *text);
/* All digits, or nan without a sign. */
void ds_csv_put_number(FILE *f, double v);

/* ---- json.c: values for json_pack's "o", which makes NULL (no memory) of all when one of them is ---- */

/* null when it is not finite. */
json_t *ds_json_number(double v);
/* An infinite one as the largest number, which no confidence reaches; null where there is none (NaN). */
json_t *ds_json_threshold(double v);
/* [low, high], null when one of them is not finite. */
json_t *ds_json_interval(ds_interval v);
/* Any bytes, as ds_report_json puts them; NULL becomes null. */
json_t *ds_json_text(const char *s);
/* `value`, which is the array's from here on. */
void ds_json_append(json_t *array, json_t *value);
/* The array of one(from, 0) … one(from, n - 1). */
json_t *ds_json_array(size_t n, json_t *(*one)(const void *from, size_t i), const void *from);
/* The array of n texts. */
json_t *ds_json_texts(const char *const *texts, size_t n);
/* The members of b behind those of a, which it returns; b is gone. */
json_t *ds_json_join(json_t *a, json_t *b);
/* What ds_report_json writes. */
json_t *ds_report_json_object(const ds_figures *r);
/* Write `json`, all digits of its numbers, and a newline; it is gone then. flags: JSON_INDENT(2),
 * JSON_COMPACT. */
void ds_json_write(FILE *f, json_t *json, size_t flags);
/* The same in fresh memory, as short as can be and without the newline. */
char *ds_json_line(json_t *json);
