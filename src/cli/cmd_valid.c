/* `classifier valid`: how often the answers are right and how honest their probabilities are. Nothing is
 * rejected here. */
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/model.h"
#include "cli/print.h"

#include <stdio.h>

typedef struct valid_flags {
    ds_run_flags run;
} valid_flags;

#define DS_STATE valid_flags
const ds_option ds_valid_options[] = {
    DS_RUN_THREADS, DS_RUN_BACKEND, DS_RUN_PROFILE, DS_RUN_LOADERS, DS_RUN_CACHE, OPT_END,
};

static int valid(ds_model *m, ds_answers *a, const ds_model_files *files, const valid_flags *s, ds_error *e)
{
    const ds_quality *q = &a->quality;
    int rc = ds_model_open(m, files, DS_VALID_LIST, &s->run, a, e);
    ds_print_notes(&m->notes, stderr);
    DS_TRY(rc);
    int top = m->data.top < a->classes ? m->data.top : a->classes;
    DS_TRY(ds_model_answer(m, &s->run, (ds_eval_setup){.score = {DS_MSP, 1, 2}, .top = top}, a, e));
    printf("top 1: %.6f\n", ds_quality_accuracy(q));
    if (top > 1)
        printf("top %d: %.6f\n", top, ds_quality_top(q));
    printf("nll: %.6f\n", ds_quality_nll(q));
    printf("ece: %.6f (%d bins)\n", ds_quality_ece(q), DS_BINS);
    printf("images: %zu (%s=%s)\n", q->n, a->name, a->file);
    return DS_OK;
}

int ds_cmd_valid(int argc, char **argv, ds_error *e)
{
    static const char *const words[] = {"DATA", "CFG", "WEIGHTS"};
    enum { NEEDED = 3 };
    valid_flags s = {0};
    ds_model m = {0};
    ds_answers a = {0};
    const char *operands[NEEDED];
    int n;
    DS_TRY(ds_flags_parse(ds_valid_options, &s, argc, argv, operands, NEEDED, &n, e));
    DS_TRY(ds_check_operands(words, NEEDED, n, e));
    int rc = valid(&m, &a, &(ds_model_files){operands[0], operands[1], operands[2]}, &s, e);
    ds_answers_clear(&a);
    ds_model_close(&m);
    return rc;
}
