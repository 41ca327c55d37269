/* Texts of all kinds inside CSV and JSON. */
#ifndef DS_REPORT_FIELDS_H
#define DS_REPORT_FIELDS_H

#include <jansson.h>
#include <stdio.h>

/* csv.c: quoted where RFC 4180 asks for it. */
void ds_csv_put_field(FILE *f, const char *text);
/* All digits, or nan without a sign. */
void ds_csv_put_number(FILE *f, double v);

/* json.c: bytes that are not UTF-8 become '?', NULL becomes null. NULL when memory runs out. */
json_t *ds_json_text(const char *s);

#endif
