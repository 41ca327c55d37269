#include "report/predict.h"

#include <math.h>

/* printf writes a sign before some NaNs. */
static void number(char *text, size_t size, const char *format, double v)
{
    if (isnan(v))
        snprintf(text, size, "nan");
    else
        snprintf(text, size, format, v);
}

static void put_top(const ds_answer_writer *to, const ds_answer *a)
{
    for (int k = 0; k < to->top; k++) {
        char percent[48];
        number(percent, sizeof percent, "%.2f", 100 * a->top[k].probability);
        fprintf(to->f, "  %6s%%  %s\n", percent, to->names[a->top[k].class]);
    }
}

/* Four digits, or all of them where four would make a confidence and its threshold look equal. */
static void put_verdict(const ds_answer_writer *to, const ds_answer *a)
{
    bool close = a->confidence != to->threshold && fabs(a->confidence - to->threshold) < 1e-4;
    const char *format = close ? "%.17g" : "%.4f";
    char left[400], right[400];
    number(left, sizeof left, format, a->confidence);
    number(right, sizeof right, format, to->threshold);
    fprintf(to->f, "  %s: confidence %s (%s)", ds_answer_accepted(to, a) ? "accepted" : "REJECTED", left,
            to->score);
    if (isnan(to->threshold))
        fputs(", no threshold\n", to->f);
    else
        fprintf(to->f, ", threshold %s\n", right);
}

int ds_answer_text(const ds_answer_writer *to, const ds_answer *a, ds_error *e)
{
    (void)e;
    fprintf(to->f, "%s\n", a->path);
    if (a->error) {
        fprintf(to->f, "  error: %s\n", a->error);
        return DS_OK;
    }
    put_top(to, a);
    put_verdict(to, a);
    return DS_OK;
}
