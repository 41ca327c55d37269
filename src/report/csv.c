#include "report/fields.h"
#include "report/report.h"

#include <math.h>
#include <string.h>

void ds_csv_put_field(FILE *f, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, f);
        return;
    }
    putc('"', f);
    for (const char *p = text; *p; p++) {
        if (*p == '"')
            putc('"', f);
        putc(*p, f);
    }
    putc('"', f);
}

/* printf writes a sign before some NaNs. */
void ds_csv_put_number(FILE *f, double v)
{
    if (isnan(v))
        fputs("nan", f);
    else
        fprintf(f, "%.17g", v);
}

static void put_row(FILE *f, const ds_prediction *p, const ds_selection *s)
{
    ds_csv_put_field(f, p->path);
    putc(',', f);
    ds_csv_put_field(f, s->names[p->label]);
    putc(',', f);
    ds_csv_put_field(f, s->names[p->prediction]);
    putc(',', f);
    ds_csv_put_number(f, p->confidence);
    fputs(ds_accepts(p->confidence, s->threshold) ? ",1\n" : ",0\n", f);
}

int ds_report_csv_write(FILE *f, const ds_selection *s, ds_error *e)
{
    fputs("path,label,prediction,confidence,accepted\n", f);
    for (size_t i = 0; i < s->n && !ferror(f); i++)
        put_row(f, &s->rows[i], s);
    return ds_report_flush(f, e);
}
