/* `classifier predict`: the most probable classes of images, one by one or a stream of them, and whether each
 * answer stands. */
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/place.h"
#include "cli/print.h"
#include "cli/together.h"
#include "data/image.h"
#include "data/loader.h"
#include "data/sandbox.h"
#include "data/stream.h"
#include "report/predict.h"
#include "select/select.h"
#include "train/predict.h"

#include <sys/stat.h>

typedef struct predict_state {
    double threshold;
    int format, top, batch;
    bool csv_safe;
    ds_texts lists;
    ds_run_flags run;
    bool untrusted;
    ds_sandbox *decoder; /* of untrusted images, owned */
} predict_state;

#define DS_STATE predict_state
const ds_option ds_predict_options[] = {
    OPT_TEXTS("list", lists,
              "the images of the list F, a path a line; -: standard input, answered as it comes",
              .unit = "F"),
    OPT_ENUM("format", format, ds_answer_format_names, "how to write the answers", .def = "text"),
    DS_CSV_SAFE,
    OPT_INT("top", top, "classes an image; without it top= of DATA", OPT_RANGE(1, 1048576), .unit = "K"),
    OPT_REAL("threshold", threshold, "accept confidences of at least T; without it that of [reject] in CFG",
             .unit = "T"),
    OPT_INT("batch", batch, "images at once, fewer where no more are there", .def = "32", OPT_RANGE(1, 4096)),
    OPT_FLAG("untrusted", untrusted, DS_UNTRUSTED_HELP),
    DS_RUN_THREADS,
    DS_RUN_LOADERS,
    DS_RUN_BACKEND,
    DS_RUN_MEAN,
    OPT_END,
};

/* What every image needs. */
typedef struct predictor {
    ds_predictor by;
    ds_ensemble *nets;
    ds_answer_writer to;
    ds_ranked *top;           /* to.top, owned */
    size_t images, bad, none; /* none: the answer is not-a-number */
    size_t accepted;
    char *text; /* of several ranks: where `to` writes what has not gone to rank 0, owned */
    size_t bytes;
} predictor;

static int predictor_init(predictor *p, ds_model *m, const predict_state *s, ds_error *e)
{
    int top = s->top ? s->top : m->data.top;
    DS_TRY(ds_predictor_init(&p->by, m, s->threshold, e));
    p->nets = &m->all;
    p->to = (ds_answer_writer){.f = stdout,
                               .format = s->format,
                               .csv_safe = s->csv_safe,
                               .names = (const char *const *)m->data.names,
                               .top = top < p->by.info->classes ? top : p->by.info->classes,
                               .score = ds_confidence_names[p->by.score.kind],
                               .by_class = p->by.thresholds != NULL,
                               .novelty_rate = p->by.novelty_rate};
    if (ds_score_is_probability(p->by.score.kind))
        DS_TRY(ds_check_share("threshold", s->threshold, DS_PROBABILITY, e));
    DS_ALLOC(p->top, (size_t)p->to.top);
    if (ds_together())
        p->to.f = ds_memstream(&p->text, &p->bytes);
    return DS_OK;
}

static double order_of(double log_p)
{
    return isnan(log_p) ? -INFINITY : log_p;
}

/* The surest classes, each once; the first of equals comes first. */
static void rank(const predictor *p, const ds_prediction *a)
{
    int n = 0, most = p->to.top;
    ds_ranked *top = p->top;
    const double *log_p = p->by.log_p;
    for (int i = 0; i < p->by.info->classes; i++) {
        double v = order_of(log_p[i]);
        if (n == most && !(v > order_of(log_p[top[n - 1].class])))
            continue;
        int at = n < most ? n++ : n - 1;
        for (; at > 0 && v > order_of(log_p[top[at - 1].class]); at--)
            top[at] = top[at - 1];
        top[at] = (ds_ranked){i, ds_predicted(&p->by, a, i)};
    }
}

static void put_image(predictor *p, const char *path, int row)
{
    const ds_prediction a = ds_predict(&p->by, row);
    rank(p, &a);
    p->none += isnan(a.probability);
    p->accepted += a.verdict == DS_ACCEPTED;
    ds_answer_put(&p->to, &(ds_answer){.path = path,
                                       .top = p->top,
                                       .confidence = a.confidence,
                                       .threshold = a.threshold,
                                       .novelty = a.novelty,
                                       .verdict = a.verdict});
}

/* The answers of a block of each rank to standard output. *any: is there more to come from one? */
static int put_blocks(predictor *p, bool *any, ds_error *e)
{
    ds_ranks *r = ds_together();
    size_t n;
    fclose(p->to.f);
    DS_FREED char *own = p->text, *all = ds_ranks_gather(r, own, p->bytes, &n);
    p->to.f = ds_memstream(&p->text, &p->bytes);
    if (!all)
        return ds_fail(e, DS_EUSAGE, "more than 2 GiB of answers at once, expected a smaller -batch or -top");
    fwrite(all, 1, n, stdout);
    return ds_ranks_agree(r, ds_flush_output(e), any, e);
}

static int put_batch(predictor *p, const ds_stream_batch *b, ds_error *e)
{
    if (b->images)
        DS_TRY(ds_ensemble_forward(p->nets, b->pixels, b->images, e));
    for (int i = 0, row = 0; i < b->n; i++) {
        const ds_stream_item *item = b->items[i];
        if (item->error.code && p->to.format == DS_ANSWER_TEXT) /* people see it beside the answers too */
            ds_error_print(&item->error, stderr);
        if (item->error.code)
            ds_answer_put(&p->to, &(ds_answer){.path = item->path, .error = item->error.text});
        else
            put_image(p, item->path, row++);
        p->images++;
        if (ds_together() && p->images % (size_t)p->by.info->batch == 0)
            DS_TRY(put_blocks(p, &(bool){true}, e));
    }
    p->bad += (size_t)(b->n - b->images);
    return ds_flush_output(e);
}

/* By a binomial test against the highest rate that the calibration images are likely to come from. */
static void warn_of_rejections(const predictor *p)
{
    const ds_reject *r = ds_net_get_reject(p->nets->nets[0]);
    const size_t images = p->images - p->bad, rejected = images - p->accepted;
    if (r->images == 0 || rejected == 0 ||
        1 - ds_binomial_cdf(rejected - 1, images, ds_rate_upper(r->rejected, r->images, 1e-3)) >= 1e-3)
        return;
    fprintf(stderr,
            "warning: %zu of %zu images are rejected (%.2f %%); of the calibration images it were %.2f %%: "
            "these seem to be of another kind\n",
            rejected, images, 100 * (double)rejected / (double)images,
            100 * (double)r->rejected / (double)r->images);
}

/* Until no rank has any more; all then know what was found by all. */
static int put_last(predictor *p, ds_error *e)
{
    size_t *const counts[] = {&p->images, &p->bad, &p->none, &p->accepted};
    double sums[4];
    for (bool any = true; any;) {
        any = false;
        DS_TRY(put_blocks(p, &any, e));
    }
    for (int i = 0; i < 4; i++)
        sums[i] = (double)*counts[i];
    ds_together()->pass->sum(sums, 4);
    for (int i = 0; i < 4; i++)
        *counts[i] = (size_t)sums[i];
    return DS_OK;
}

static int put_all(predictor *p, ds_stream *stream, const predict_state *s, ds_error *e)
{
    ds_stream_batch b;
    if (ds_together_first())
        ds_answer_begin(&p->to);
    do {
        DS_TRY(ds_stream_next(stream, &b, e));
        DS_TRY(put_batch(p, &b, e));
    } while (b.n);
    if (ds_together())
        DS_TRY(put_last(p, e));
    if (ds_together_first())
        ds_print_unanswered(p->none, p->images, stderr);
    if (ds_together_first() && isnan(s->threshold)) /* that of the cfg */
        warn_of_rejections(p);
    if (p->bad)
        return ds_fail(e, DS_EINPUT, "%zu of %zu images could not be read", p->bad, p->images);
    return DS_OK;
}

static int predict_stream(predictor *p, ds_paths *paths, const predict_state *s, bool as_stored, ds_error *e)
{
    ds_stream *stream;
    ds_stream_setup setup = {.paths = paths,
                             .w = p->by.info->w,
                             .h = p->by.info->h,
                             .c = p->by.info->c,
                             .as_stored = as_stored,
                             .most = p->by.info->batch,
                             .threads = ds_loader_threads(s->run.loaders),
                             .decoder = s->decoder};
    DS_TRY(ds_stream_new(&setup, &stream, e));
    int rc = put_all(p, stream, s, e);
    ds_stream_free(stream);
    return rc;
}

static int predict(const predict_state *s, const char *const *files, ds_model *m, ds_paths *paths,
                   ds_error *e)
{
    predictor p = {0};
    m->batch = s->batch;
    int rc = ds_model_open(m, files, DS_NO_LIST, &s->run, NULL, e);
    if (!rc)
        rc = predictor_init(&p, m, s, e);
    ds_print_notes(&m->notes, stderr);
    if (!rc)
        rc = ds_model_compare(m, NULL, ds_together(), e);
    if (!rc)
        rc = predict_stream(&p, paths, s, !m->data.exif, e);
    ds_predictor_clear(&p.by);
    if (ds_together() && p.to.f)
        fclose(p.to.f);
    free(p.text);
    free(p.top);
    return rc;
}

/* Do all ranks see the same images? Folders may differ. */
static int compare_images(ds_paths_setup setup, ds_ranks *r, ds_error *e)
{
    ds_path next;
    ds_paths *paths;
    uint64_t hash = DS_HASH;
    int rc;
    setup.notes = NULL;
    DS_TRY(ds_paths_new(&setup, &paths, e));
    do {
        rc = ds_paths_next(paths, -1, &next, e);
        hash = ds_hash(hash, next.path, next.path ? strlen(next.path) + 1 : 0);
        free(next.path);
    } while (!rc && next.kind != DS_PATH_END);
    ds_paths_free(paths);
    DS_TRY(ds_ranks_agree(r, rc, NULL, e));
    return ds_ranks_compare(r, "the images", hash, e);
}

static int share_out(const predict_state *s, ds_paths_setup *setup, ds_error *e)
{
    ds_ranks *r = ds_together();
    struct stat st;
    if (!r)
        return DS_OK;
    if (s->untrusted)
        return ds_fail(e, DS_EUSAGE, "-untrusted with %d ranks, expected one", r->size);
    for (int i = 0; i < s->lists.n; i++)
        if (ds_is_stdout(s->lists.v[i]) || (!stat(s->lists.v[i], &st) && !S_ISREG(st.st_mode)))
            return ds_fail(e, DS_EUSAGE, "-list %s with %d ranks, expected a file that all of them can read",
                           s->lists.v[i], r->size);
    DS_TRY(compare_images(*setup, r, e));
    setup->part = r->rank;
    setup->parts = r->size;
    setup->block = s->batch;
    return DS_OK;
}

static int predict_all(const predict_state *s, const char *const *operands, int n, ds_model *m, ds_error *e)
{
    DS_TRY(ds_check_operands(s->lists.n ? "DATA CFG WEIGHTS" : "DATA CFG WEIGHTS IMAGE", n, e));
    if (s->csv_safe && s->format != DS_ANSWER_CSV)
        return ds_fail(e, DS_EUSAGE, "-csv-safe without a CSV, expected -format csv");
    DS_TRY(ds_datafile_read(operands[0], &m->data, &m->notes, e));
    ds_paths_setup setup = {.operands = operands + 3,
                            .n_operands = n - 3,
                            .lists = (const char *const *)s->lists.v,
                            .n_lists = s->lists.n,
                            .labelled = m->data.labels_from == DS_LIST,
                            .notes = &m->notes};
    ds_paths *paths;
    DS_TRY(share_out(s, &setup, e));
    DS_TRY(ds_paths_new(&setup, &paths, e));
    int rc = predict(s, operands, m, paths, e);
    ds_print_notes(&m->notes, stderr);
    ds_paths_free(paths);
    return rc;
}

int ds_cmd_predict(int argc, char **argv, ds_error *e)
{
    predict_state s = {0};
    DS_FINALLY(ds_words_clear) ds_words w = {.table = ds_predict_options, .state = &s};
    DS_FINALLY(ds_model_close) ds_model m = {0};
    DS_TRY(ds_words_read(&w, argc, argv, argc, e));
    s.run.threads = ds_together_threads(s.run.threads);
    DS_TRY(s.untrusted && !ds_together() ? ds_decoder_new(&s.decoder, e) : DS_OK);
    int rc = predict_all(&s, w.operands, w.n, &m, e);
    ds_sandbox_free(s.decoder);
    return rc;
}
