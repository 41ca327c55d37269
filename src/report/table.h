/* The two halves of the table for people. */
#ifndef DS_REPORT_TABLE_H
#define DS_REPORT_TABLE_H

#include "report/report.h"

/* Room for a formatted number. */
enum { DS_TABLE_CELL = 48 };

/* "4.20 %", or "undefined"; the text is in `cell` or constant. */
const char *ds_table_percent(double v, char cell[DS_TABLE_CELL]);
/* "4.20 % [3.77, 4.66]", or "undefined". */
const char *ds_table_rate(const ds_rate *r, char cell[DS_TABLE_CELL]);

/* What a command may leave out: classes, other lists, comparisons. Errors of `f` are left for a flush to find. */
void ds_table_parts(FILE *f, const ds_report *r);

#endif
