/* `classifier valid`: how often the answers are right and how honest their probabilities are. Nothing is
 * rejected here. */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/flags.h"
#include "select/select.h"
#include "train/evaluate.h"

#include <stddef.h>
#include <stdlib.h>

typedef struct valid_state {
    ds_run_flags run;
} valid_state;

const ds_option ds_valid_options[] = {
    DS_THREADS_OPTION(offsetof(valid_state, run)), DS_BACKEND_OPTIONS(offsetof(valid_state, run)),
    DS_PROFILE_OPTION(offsetof(valid_state, run)), DS_LOADERS_OPTION(offsetof(valid_state, run)),
    DS_CACHE_OPTION(offsetof(valid_state, run)),   {.type = DS_END},
};

typedef struct tally {
    const ds_model *m;
    const ds_net_info *info;
    int top;
    double *log_p; /* classes, owned */
    ds_quality quality;
} tally;

static int count_image(void *arg, int image, const float *logits)
{
    tally *t = arg;
    ds_class_log_probabilities(t->info, logits, t->log_p);
    ds_quality_add(&t->quality, t->log_p, t->info->classes, t->m->images.labels[image], t->top);
    return DS_OK;
}

static void print_quality(const tally *t)
{
    const ds_quality *q = &t->quality;
    printf("top 1: %.6f\n", ds_quality_accuracy(q));
    if (t->top > 1)
        printf("top %d: %.6f\n", t->top, ds_quality_top(q));
    printf("nll: %.6f\n", ds_quality_nll(q));
    printf("ece: %.6f (%d bins)\n", ds_quality_ece(q), DS_BINS);
    printf("images: %zu (%s=%s)\n", q->n, t->m->list_key, t->m->images.list);
}

static int evaluate(ds_model *m, const valid_state *s, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(m->net);
    tally t = {.m = m, .info = info, .top = m->data.top < info->classes ? m->data.top : info->classes};
    if (!(t.log_p = malloc((size_t)info->classes * sizeof *t.log_p)))
        return ds_fail_memory(e);
    int rc = ds_model_evaluate(m, &s->run, count_image, &t, e);
    if (!rc)
        print_quality(&t);
    free(t.log_p);
    return rc;
}

int ds_cmd_valid(int argc, char **argv, ds_error *e)
{
    static const char *const words[] = {"DATA", "CFG", "WEIGHTS"};
    enum { NEEDED = 3 };
    valid_state s = {0};
    const char *operands[NEEDED];
    int n, rc = ds_flags_parse(ds_valid_options, &s, argc, argv, operands, NEEDED, &n, e);
    if (!rc)
        rc = ds_check_operands(words, NEEDED, n, e);
    if (rc)
        return rc;
    ds_model m = {0};
    ds_model_files files = {operands[0], operands[1], operands[2]};
    rc = ds_model_open(&m, &files, DS_VALID_LIST, &s.run, e);
    ds_print_notes(&m.notes, stderr);
    if (!rc)
        rc = evaluate(&m, &s, e);
    ds_model_close(&m);
    return rc;
}
