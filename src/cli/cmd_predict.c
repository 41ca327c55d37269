/* `classifier predict`: the most probable classes of single images, and whether the answer stands. */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/flags.h"
#include "select/select.h"
#include "train/evaluate.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

typedef struct predict_state {
    double threshold;
    ds_run_flags run;
} predict_state;

const ds_option ds_predict_options[] = {
    {"threshold", DS_REAL, offsetof(predict_state, threshold), NULL, 0, 0, "T", NULL, NULL,
     "accept confidences of at least T; without it that of [reject] in CFG"},
    DS_THREADS_OPTION(offsetof(predict_state, run)),
    DS_BACKEND_OPTIONS(offsetof(predict_state, run)),
    {.type = DS_END},
};

/* What every image needs; the arrays are owned. */
typedef struct predictor {
    const ds_model *m;
    const ds_net_info *info;
    ds_score score;
    double threshold; /* NAN: everything is accepted */
    float *pixels;    /* c x h x w */
    double *log_p;    /* classes; a printed class becomes -INFINITY */
    ds_scratch scratch;
} predictor;

static int predictor_init(predictor *p, const ds_model *m, double threshold, ds_error *e)
{
    *p = (predictor){.m = m, .info = ds_net_get_info(m->net)};
    ds_net_get_reject(m->net, &p->score, &p->threshold);
    if (!isnan(threshold))
        p->threshold = threshold;
    int rc = ds_score_check(&p->score, p->info->logits, p->info->abstain, e);
    if (!rc && ds_score_is_probability(p->score.kind))
        rc = ds_check_probability("threshold", threshold, e);
    if (rc)
        return rc;
    p->pixels = malloc((size_t)p->info->inputs * sizeof *p->pixels);
    p->log_p = malloc((size_t)p->info->classes * sizeof *p->log_p);
    return p->pixels && p->log_p ? DS_OK : ds_fail_memory(e);
}

static void predictor_release(predictor *p)
{
    free(p->pixels);
    free(p->log_p);
    free(p->scratch.v);
}

/* The surest classes, each once; the first of equals comes first. */
static void print_top(predictor *p)
{
    int classes = p->info->classes, top = p->m->data.top < classes ? p->m->data.top : classes;
    for (int k = 0; k < top; k++) {
        int best = 0;
        for (int i = 1; i < classes; i++)
            if (p->log_p[i] > p->log_p[best])
                best = i;
        printf("  %6.2f%%  %s\n", 100 * exp(p->log_p[best]), p->m->data.names[best]);
        p->log_p[best] = -INFINITY;
    }
}

/* Four digits, or all of them where four would make a confidence and its threshold look equal. */
static void print_verdict(const predictor *p, double confidence)
{
    bool accepted = ds_accepts(confidence, p->threshold);
    bool close = confidence != p->threshold && fabs(confidence - p->threshold) < 1e-4;
    const char *format = close ? "%.17g" : "%.4f";
    char left[48], right[48];
    snprintf(left, sizeof left, format, confidence);
    snprintf(right, sizeof right, format, p->threshold);
    printf("  %s: confidence %s (%s)", accepted ? "accepted" : "REJECTED", left,
           ds_confidence_names[p->score.kind]);
    if (isnan(p->threshold))
        puts(", no threshold");
    else
        printf(", threshold %s\n", right);
}

static int predict(predictor *p, const char *path, ds_error *e)
{
    const ds_net_info *info = p->info;
    ds_image im = {0};
    int rc = ds_image_read(path, info->c, &im, e);
    if (!rc)
        rc = ds_prepare_center(&im, info->w, info->h, p->pixels, &p->scratch, e);
    if (!rc)
        rc = ds_net_forward(p->m->net, p->pixels, e);
    ds_image_clear(&im);
    if (rc)
        return rc;
    const float *logits = ds_net_logits(p->m->net);
    ds_class_log_probabilities(info, logits, p->log_p);
    printf("%s\n", path);
    print_top(p);
    print_verdict(p, ds_score_row(&p->score, logits, info->logits, info->abstain));
    return DS_OK;
}

static int predict_all(const predict_state *s, const ds_model_files *files, const char **images, int n,
                       ds_error *e)
{
    ds_model m = {0};
    predictor p = {0};
    int rc = ds_model_open(&m, files, DS_NO_LIST, &s->run, e);
    ds_print_notes(&m.notes, stderr);
    if (!rc)
        rc = predictor_init(&p, &m, s->threshold, e);
    for (int i = 0; i < n && !rc; i++)
        rc = predict(&p, images[i], e);
    predictor_release(&p);
    ds_model_close(&m);
    return rc;
}

int ds_cmd_predict(int argc, char **argv, ds_error *e)
{
    static const char *const words[] = {"DATA", "CFG", "WEIGHTS", "IMAGE"};
    enum { NEEDED = 4 };
    predict_state s = {0};
    const char **operands = malloc((size_t)(argc + 1) * sizeof *operands);
    if (!operands)
        return ds_fail_memory(e);
    int n = 0, rc = ds_flags_parse(ds_predict_options, &s, argc, argv, operands, argc, &n, e);
    if (!rc)
        rc = ds_check_operands(words, NEEDED, n, e);
    if (!rc) {
        ds_model_files files = {operands[0], operands[1], operands[2]};
        rc = predict_all(&s, &files, operands + 3, n - 3, e);
    }
    free(operands);
    return rc;
}
