/* Parts of the JSON output, for what else is written as JSON. */
#ifndef DS_REPORT_JSON_H
#define DS_REPORT_JSON_H

#include "report/report.h"

#include <jansson.h>

/* What ds_report_json writes; NULL without memory. */
json_t *ds_report_json_object(const ds_report *r);
/* A number, null when it is not finite. */
json_t *ds_report_json_number(double v);

#endif
