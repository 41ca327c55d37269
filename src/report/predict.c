#include "report/predict.h"

#include "report/fields.h"

/* printf writes a sign before some NaNs. */
static void number(char *text, size_t size, const char *format, double v)
{
    if (isnan(v))
        snprintf(text, size, "nan");
    else
        snprintf(text, size, format, v);
}

/* Four digits, or all of them where four would make a confidence and its threshold look equal. */
static void put_verdict(const ds_answer_writer *to, const ds_answer *a)
{
    const double threshold = a->threshold;
    bool close = a->confidence != threshold && fabs(a->confidence - threshold) < 1e-4;
    const char *format = close ? "%.17g" : "%.4f";
    char left[400], right[400];
    if (a->verdict == DS_UNKNOWN) {
        fprintf(to->f, "  UNKNOWN: like none of the classes (p %.4g, below %g)\n", a->novelty,
                to->novelty_rate);
        return;
    }
    number(left, sizeof left, format, a->confidence);
    number(right, sizeof right, format, threshold);
    fprintf(to->f, "  %s: confidence %s (%s)", a->verdict == DS_ACCEPTED ? "accepted" : "REJECTED", left,
            to->score);
    if (isnan(threshold))
        fputs(", no threshold\n", to->f);
    else
        fprintf(to->f, ", threshold %s%s\n", right, to->by_class ? " of its class" : "");
}

static void put_text(const ds_answer_writer *to, const ds_answer *a)
{
    ds_put_line(to->f, "", a->path);
    if (a->error) {
        ds_put_line(to->f, "  error: ", a->error);
        return;
    }
    for (int k = 0; k < to->top; k++) {
        char percent[48];
        number(percent, sizeof percent, "%.2f", 100 * a->top[k].probability);
        fprintf(to->f, "  %6s%%", percent);
        ds_put_line(to->f, "  ", to->names[a->top[k].class]);
    }
    put_verdict(to, a);
}

static void put_error_fields(const ds_answer_writer *to, const char *error)
{
    fputs(",,,,", to->f);
    ds_csv_put_field(to->f, error, to->csv_safe);
    fputs(isnan(to->novelty_rate) ? "," : ",,", to->f);
    for (int k = 0; k < to->top; k++)
        fputs(",,", to->f);
}

static void put_answer_fields(const ds_answer_writer *to, const ds_answer *a)
{
    bool accepted = a->verdict == DS_ACCEPTED;
    putc(',', to->f);
    if (accepted)
        ds_csv_put_field(to->f, to->names[a->top[0].class], to->csv_safe);
    fputs(accepted ? ",1," : ",0,", to->f);
    ds_csv_put_number(to->f, a->confidence);
    fprintf(to->f, ",,%s", ds_verdict_names[a->verdict]);
    if (!isnan(to->novelty_rate))
        fprintf(to->f, ",%.17g", a->novelty);
    for (int k = 0; k < to->top; k++) {
        putc(',', to->f);
        ds_csv_put_field(to->f, to->names[a->top[k].class], to->csv_safe);
        putc(',', to->f);
        ds_csv_put_number(to->f, a->top[k].probability);
    }
}

static void put_csv(const ds_answer_writer *to, const ds_answer *a)
{
    ds_csv_put_field(to->f, a->path, to->csv_safe);
    if (a->error)
        put_error_fields(to, a->error);
    else
        put_answer_fields(to, a);
    putc('\n', to->f);
}

static json_t *top_json(const ds_answer_writer *to, const ds_answer *a)
{
    json_t *top = json_array();
    for (int k = 0; k < to->top; k++)
        ds_json_append(top, json_pack("{so so}", "class", ds_json_text(to->names[a->top[k].class]),
                                      "probability", ds_json_number(a->top[k].probability)));
    return top;
}

static void put_json(const ds_answer_writer *to, const ds_answer *a)
{
    json_t *path = ds_json_text(a->path), *line;
    bool accepted = !a->error && a->verdict == DS_ACCEPTED;
    if (a->error)
        line = json_pack("{so so}", "path", path, "error", ds_json_text(a->error));
    else
        line = json_pack("{so so sb ss so so so so so}", "path", path, "answer",
                         ds_json_text(accepted ? to->names[a->top[0].class] : NULL), "accepted", accepted,
                         "verdict", ds_verdict_names[a->verdict], "confidence", ds_json_number(a->confidence),
                         "score", ds_json_text(to->score), "threshold", ds_json_threshold(a->threshold),
                         "novelty", ds_json_number(isnan(to->novelty_rate) ? NAN : a->novelty), "top",
                         top_json(to, a));
    ds_json_write(to->f, line, JSON_COMPACT);
}

const char *const ds_answer_format_names[] = {"text", "csv", "jsonl", NULL};

void ds_answer_begin(const ds_answer_writer *to)
{
    if (to->format != DS_ANSWER_CSV)
        return;
    fprintf(to->f, "path,answer,accepted,confidence,error,verdict%s",
            isnan(to->novelty_rate) ? "" : ",novelty");
    for (int k = 1; k <= to->top; k++)
        fprintf(to->f, ",class_%d,probability_%d", k, k);
    putc('\n', to->f);
}

void ds_answer_put(const ds_answer_writer *to, const ds_answer *a)
{
    if (to->format == DS_ANSWER_TEXT)
        put_text(to, a);
    else if (to->format == DS_ANSWER_CSV)
        put_csv(to, a);
    else
        put_json(to, a);
}
