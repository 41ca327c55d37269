#include "report/predict.h"

#include "select/select.h"

#include <stddef.h>

const ds_answer_format ds_answer_formats[] = {
    {NULL, ds_answer_text},
    {ds_answer_csv_begin, ds_answer_csv},
    {NULL, ds_answer_json},
};
const char *const ds_answer_format_names[] = {"text", "csv", "jsonl", NULL};

bool ds_answer_accepted(const ds_answer_writer *to, const ds_answer *a)
{
    return ds_accepts(a->confidence, to->threshold);
}
