/* `classifier valid`: how often the answers are right and how honest their probabilities are. Nothing is
 * rejected here. */
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/print.h"
#include "cli/together.h"

typedef struct valid_flags {
    ds_run_flags run;
} valid_flags;

#define DS_STATE valid_flags
const ds_option ds_valid_options[] = {
    DS_RUN_THREADS, DS_RUN_BACKEND, DS_RUN_PROFILE, DS_RUN_LOADERS, DS_RUN_MEAN, OPT_END,
};

static int valid(ds_model *m, ds_answers *a, const char *const *files, const valid_flags *s, ds_error *e)
{
    int rc = ds_model_open(m, files, DS_VALID_LIST, &s->run, a, e);
    ds_print_notes(&m->notes, stderr);
    DS_TRY(rc);
    int top = m->data.top < a->classes ? m->data.top : a->classes;
    DS_TRY(ds_model_answer(m, &s->run, (ds_eval_setup){.score = {DS_MSP, 1, 2}, .top = top}, a, e));
    if (!ds_together_first())
        return DS_OK;
    const ds_means means = ds_quality_means(&a->quality);
    printf("top 1: %.6f\n", means.accuracy);
    if (top > 1)
        printf("top %d: %.6f\n", top, means.top);
    printf("nll: %.6f\n", means.nll);
    printf("ece: %.6f (%d bins)\n", means.ece, DS_BINS);
    printf("images: %zu (%s=", a->quality.n, a->name);
    ds_put_name(stdout, a->file, 0);
    puts(")");
    return DS_OK;
}

int ds_cmd_valid(int argc, char **argv, ds_error *e)
{
    valid_flags s = {0};
    DS_FINALLY(ds_words_clear)
    ds_words w = {.table = ds_valid_options, .state = &s, .needed = "DATA CFG WEIGHTS"};
    DS_FINALLY(ds_model_close) ds_model m = {0};
    DS_FINALLY(ds_answers_clear) ds_answers a = {0};
    DS_TRY(ds_words_read(&w, argc, argv, 3, e));
    s.run.threads = ds_together_threads(s.run.threads);
    return valid(&m, &a, w.operands, &s, e);
}
