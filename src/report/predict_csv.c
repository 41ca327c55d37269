#include "report/fields.h"
#include "report/predict.h"

void ds_answer_csv_begin(const ds_answer_writer *to)
{
    fputs("path,answer,accepted,confidence,error", to->f);
    for (int k = 1; k <= to->top; k++)
        fprintf(to->f, ",class_%d,probability_%d", k, k);
    putc('\n', to->f);
}

static void put_error(const ds_answer_writer *to, const char *error)
{
    fputs(",,,,", to->f);
    ds_csv_put_field(to->f, error);
    for (int k = 0; k < to->top; k++)
        fputs(",,", to->f);
}

static void put_answer(const ds_answer_writer *to, const ds_answer *a)
{
    bool accepted = ds_answer_accepted(to, a);
    putc(',', to->f);
    if (accepted)
        ds_csv_put_field(to->f, to->names[a->top[0].class]);
    fputs(accepted ? ",1," : ",0,", to->f);
    ds_csv_put_number(to->f, a->confidence);
    putc(',', to->f);
    for (int k = 0; k < to->top; k++) {
        putc(',', to->f);
        ds_csv_put_field(to->f, to->names[a->top[k].class]);
        putc(',', to->f);
        ds_csv_put_number(to->f, a->top[k].probability);
    }
}

int ds_answer_csv(const ds_answer_writer *to, const ds_answer *a, ds_error *e)
{
    (void)e;
    ds_csv_put_field(to->f, a->path);
    if (a->error)
        put_error(to, a->error);
    else
        put_answer(to, a);
    putc('\n', to->f);
    return DS_OK;
}
