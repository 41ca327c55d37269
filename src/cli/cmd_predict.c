/* `classifier predict`: the most probable classes of images, one by one or a stream of them, and whether each answer
 * stands. */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/flags.h"
#include "data/stream.h"
#include "report/predict.h"
#include "report/report.h"
#include "select/select.h"
#include "train/evaluate.h"
#include "train/infer.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

typedef struct predict_state {
    double threshold;
    int format, top, batch;
    ds_texts lists;
    ds_run_flags run;
} predict_state;

const ds_option ds_predict_options[] = {
    {"list", DS_TEXTS, offsetof(predict_state, lists), NULL, 0, 0, "F", NULL, NULL,
     "the images of the list F, a path a line; -: standard input, answered as it comes"},
    {"format", DS_ENUM, offsetof(predict_state, format), "text", 0, 0, NULL, ds_answer_format_names, NULL,
     "how to write the answers"},
    {"top", DS_INT, offsetof(predict_state, top), NULL, 1, 1048576, "K", NULL, NULL,
     "classes an image; without it top= of DATA"},
    {"threshold", DS_REAL, offsetof(predict_state, threshold), NULL, 0, 0, "T", NULL, NULL,
     "accept confidences of at least T; without it that of [reject] in CFG"},
    {"batch", DS_INT, offsetof(predict_state, batch), "32", 1, 4096, NULL, NULL, NULL,
     "images at once, fewer where no more are there"},
    DS_THREADS_OPTION(offsetof(predict_state, run)),
    DS_LOADERS_OPTION(offsetof(predict_state, run)),
    DS_BACKEND_OPTIONS(offsetof(predict_state, run)),
    {.type = DS_END},
};

/* What every image needs; all but the model is owned. */
typedef struct predictor {
    const ds_net_info *info;
    ds_score score;
    ds_answer_writer answers;
    const ds_answer_format *format;
    ds_infer *infer;
    double *log_p;  /* classes */
    ds_ranked *top; /* answers.top */
    size_t images, bad;
} predictor;

static int predictor_init(predictor *p, const ds_model *m, const predict_state *s, int most, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(m->net);
    int top = s->top ? s->top : m->data.top;
    *p = (predictor){.info = info, .format = &ds_answer_formats[s->format]};
    p->answers = (ds_answer_writer){.f = stdout,
                                    .names = (const char *const *)m->data.names,
                                    .top = top < info->classes ? top : info->classes};
    ds_net_get_reject(m->net, &p->score, &p->answers.threshold);
    p->answers.score = ds_confidence_names[p->score.kind];
    if (!isnan(s->threshold))
        p->answers.threshold = s->threshold;
    int rc = ds_score_check(&p->score, info->logits, info->abstain, e);
    if (!rc && ds_score_is_probability(p->score.kind))
        rc = ds_check_probability("threshold", s->threshold, e);
    if (rc)
        return rc;
    p->log_p = malloc((size_t)info->classes * sizeof *p->log_p);
    p->top = malloc((size_t)p->answers.top * sizeof *p->top);
    if (!p->log_p || !p->top)
        return ds_fail_memory(e);
    ds_net_setup setup = ds_net_setup_of(&s->run);
    return ds_infer_new(m->cfg, &setup, m->net, most, &p->infer, e);
}

static void predictor_release(predictor *p)
{
    ds_infer_free(p->infer);
    free(p->log_p);
    free(p->top);
}

static double order_of(double log_p)
{
    return isnan(log_p) ? -INFINITY : log_p;
}

/* The surest classes, each once; the first of equals comes first. */
static void rank(const predictor *p)
{
    int n = 0, most = p->answers.top;
    ds_ranked *top = p->top;
    for (int i = 0; i < p->info->classes; i++) {
        double v = order_of(p->log_p[i]);
        if (n == most && !(v > order_of(p->log_p[top[n - 1].class])))
            continue;
        int at = n < most ? n++ : n - 1;
        for (; at > 0 && v > order_of(p->log_p[top[at - 1].class]); at--)
            top[at] = top[at - 1];
        top[at] = (ds_ranked){i, exp(p->log_p[i])};
    }
}

static int put_image(predictor *p, const char *path, const float *logits, ds_error *e)
{
    ds_class_log_probabilities(p->info, logits, p->log_p);
    rank(p);
    double confidence = ds_score_row(&p->score, logits, p->info->logits, p->info->abstain);
    return p->format->put(&p->answers, &(ds_answer){.path = path, .top = p->top, .confidence = confidence},
                          e);
}

/* People see what went wrong beside the answers too. */
static int put_error(predictor *p, const char *path, const ds_error *problem, ds_error *e)
{
    p->bad++;
    if (p->format->put == ds_answer_text)
        ds_error_print(problem, stderr);
    return p->format->put(&p->answers, &(ds_answer){.path = path, .error = problem->text}, e);
}

static int put_batch(predictor *p, const ds_stream_batch *b, ds_error *e)
{
    const float *logits = NULL;
    int rc = b->images ? ds_infer_run(p->infer, b->pixels, b->images, b->last, &logits, e) : DS_OK;
    for (int i = 0; i < b->n && !rc; i++) {
        const ds_stream_item *item = &b->items[i];
        p->images++;
        if (item->error) {
            rc = put_error(p, item->path, item->error, e);
        } else {
            rc = put_image(p, item->path, logits, e);
            logits += p->info->logits;
        }
    }
    return rc ? rc : ds_report_flush(stdout, e);
}

static int put_all(predictor *p, ds_stream *stream, ds_error *e)
{
    ds_stream_batch b = {0};
    if (p->format->begin)
        p->format->begin(&p->answers);
    int rc;
    do {
        rc = ds_stream_next(stream, &b, e);
        if (!rc && b.n)
            rc = put_batch(p, &b, e);
    } while (!rc && b.n);
    if (!rc && p->bad)
        rc = ds_fail(e, DS_EINPUT, "%zu of %zu images could not be read", p->bad, p->images);
    return rc;
}

static int predict_stream(predictor *p, ds_paths *paths, const predict_state *s, int most, ds_error *e)
{
    ds_stream_setup setup = {.paths = paths,
                             .w = p->info->w,
                             .h = p->info->h,
                             .c = p->info->c,
                             .most = most,
                             .threads = ds_loader_threads(s->run.loaders)};
    if (!s->run.loaders && setup.threads > most)
        setup.threads = most;
    ds_stream *stream;
    int rc = ds_stream_new(&setup, &stream, e);
    if (rc)
        return rc;
    rc = put_all(p, stream, e);
    ds_stream_free(stream);
    return rc;
}

/* ---- how many at once ---- */

/* As many images as there are, at most `most`; -batch where there are more. `first`: what comes at once, which is one by one
 * where the input is slow. */
typedef struct sizes {
    int most, first;
} sizes;

static int find_sizes(ds_paths *paths, int batch, sizes *z, ds_error *e)
{
    enum { PATIENCE = 100 }; /* milliseconds, a part of what opening the network takes */
    int n;
    bool all;
    int rc = ds_paths_ahead(paths, batch, PATIENCE, &n, &all, e);
    z->most = all && n < batch ? n + !n : batch;
    z->first = all || n == batch ? z->most : 1;
    return rc;
}

/* ---- the command ---- */

static int predict(const predict_state *s, const ds_model_files *files, ds_model *m, ds_paths *paths,
                   ds_error *e)
{
    sizes z = {0};
    predictor p = {0};
    int rc = find_sizes(paths, s->batch, &z, e);
    if (rc)
        return rc;
    m->batch = z.first;
    rc = ds_model_open(m, files, DS_NO_LIST, &s->run, e);
    ds_print_notes(&m->notes, stderr);
    if (!rc)
        rc = predictor_init(&p, m, s, z.most, e);
    if (!rc)
        rc = predict_stream(&p, paths, s, z.most, e);
    predictor_release(&p);
    return rc;
}

static int predict_all(const predict_state *s, const char *const *operands, int n, ds_error *e)
{
    ds_model_files files = {operands[0], operands[1], operands[2]};
    ds_model m = {0};
    ds_paths *paths = NULL;
    int rc = ds_datafile_read(files.data, &m.data, e);
    ds_paths_setup setup = {.operands = operands + 3,
                            .n_operands = n - 3,
                            .lists = (const char *const *)s->lists.v,
                            .n_lists = s->lists.n,
                            .labelled = m.data.labels_from == DS_LIST};
    if (!rc)
        rc = ds_paths_new(&setup, &paths, e);
    if (!rc)
        rc = predict(s, &files, &m, paths, e);
    ds_paths_free(paths);
    ds_model_close(&m);
    return rc;
}

int ds_cmd_predict(int argc, char **argv, ds_error *e)
{
    static const char *const words[] = {"DATA", "CFG", "WEIGHTS", "IMAGE"};
    predict_state s = {0};
    const char **operands = malloc((size_t)(argc + 1) * sizeof *operands);
    int n = 0, rc = operands ? DS_OK : ds_fail_memory(e);
    if (!rc)
        rc = ds_flags_parse(ds_predict_options, &s, argc, argv, operands, argc, &n, e);
    if (!rc)
        rc = ds_check_operands(words, s.lists.n ? 3 : 4, n, e);
    if (!rc)
        rc = predict_all(&s, operands, n, e);
    ds_option_clear(ds_predict_options, &s);
    free(operands);
    return rc;
}
