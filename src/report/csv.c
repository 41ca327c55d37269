#include "report/fields.h"

bool ds_csv_is_formula(const char *text)
{
    text += strspn(text, "'");
    return *text && strchr("=+-@\t\r", *text);
}

void ds_csv_put_field(FILE *f, const char *text, bool safe)
{
    const char *quote = text[strcspn(text, ",\"\r\n")] ? "\"" : "";
    fprintf(f, "%s%s", quote, safe && ds_csv_is_formula(text) ? "'" : "");
    for (; *text; text++) {
        if (*text == '"')
            putc('"', f);
        putc(*text, f);
    }
    fputs(quote, f);
}

/* printf writes a sign before some NaNs. */
void ds_csv_put_number(FILE *f, double v)
{
    if (isnan(v))
        fputs("nan", f);
    else
        fprintf(f, "%.17g", v);
}

static void put_row(FILE *f, const ds_answers *a, size_t i, double threshold, bool safe)
{
    const bool accepted = ds_answers_accepts(a, i, threshold);
    const ds_verdict verdict = ds_answers_unknown(a, i) ? DS_UNKNOWN : accepted ? DS_ACCEPTED : DS_UNSURE;
    ds_csv_put_field(f, ds_answers_path(a, i), safe);
    putc(',', f);
    ds_csv_put_field(f, a->names[a->labels[i]], safe);
    putc(',', f);
    if (a->predictions[i] >= 0)
        ds_csv_put_field(f, a->names[a->predictions[i]], safe);
    putc(',', f);
    ds_csv_put_number(f, a->confidences[i]);
    fprintf(f, ",%d,%s", accepted, ds_verdict_names[verdict]);
    if (a->novelty)
        fprintf(f, ",%.17g", a->novelty[i]);
    putc('\n', f);
}

void ds_report_csv_write(FILE *f, const ds_answers *a, double threshold, bool safe)
{
    fprintf(f, "path,label,prediction,confidence,accepted,verdict%s\n", a->novelty ? ",novelty" : "");
    for (size_t i = 0; i < a->n && !ferror(f); i++)
        put_row(f, a, i, threshold, safe);
}
