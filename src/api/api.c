/* darknet-sat.h: a model is a queue of calls and threads that answer them, each with networks of its own. All
 * that a computation sets, OpenMP's number of threads and how denormals are treated, is of those threads. */
#include "api/darknet-sat.h"
#include "base/thread.h"
#include "data/image.h"
#include "train/predict.h"

#include <fenv.h>
#include <unistd.h>

typedef struct darknet_sat_image image;
typedef struct darknet_sat_answer answer;
typedef struct darknet_sat_error error;
typedef struct darknet_sat_options options;

_Static_assert(DARKNET_SAT_INPUT == (int)DS_EINPUT && DARKNET_SAT_USAGE == (int)DS_EUSAGE &&
                   DARKNET_SAT_IO == (int)DS_EIO && DARKNET_SAT_MEMORY == (int)DS_ENOMEM &&
                   DARKNET_SAT_BACKEND == (int)DS_EHOST && DARKNET_SAT_ACCEPTED == (int)DS_ACCEPTED &&
                   DARKNET_SAT_UNKNOWN == (int)DS_UNKNOWN,
               "the numbers of darknet-sat.h are ours");

/* A call that waits for its answers, on its caller's stack. */
typedef struct job {
    const image *images;
    size_t n;
    answer *answers;
    ds_error error;
    bool done;
    struct job *next;
} job;

typedef struct worker {
    darknet_sat_model *of;
    pthread_t thread;
    ds_model model;
    ds_predictor by;
    int channels;     /* of images as they are read (image.h) */
    float *pixels;    /* batch x inputs */
    ds_error *errors; /* batch */
    ds_error error;   /* why it could not begin */
} worker;

struct darknet_sat_model {
    ds_run_flags flags;
    const char *files[3]; /* while it is opened */
    int batch;
    worker *workers;
    int n, ready; /* of them: made, open or failed */
    pid_t process;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    job *first, *last; /* that nobody has begun */
    bool closing;
    struct darknet_sat_info info;
};

/* Returns its code. */
static int tell(const ds_error *from, error *to)
{
    char line[16] = "";
    if (from->line)
        snprintf(line, sizeof line, ":%d", from->line);
    if (to) {
        to->code = from->code;
        snprintf(to->text, sizeof to->text, "%s%s%s%s", from->file, line, from->file[0] ? ": " : "",
                 from->text);
    }
    return from->code;
}

/* ---- on a worker's thread ---- */

static int check_pixels(const image *im, const ds_net_info *net, ds_error *e)
{
    const bool floats = im->kind == DARKNET_SAT_FLOATS;
    if (im->channels != net->c)
        return ds_fail(e, DS_EINPUT, "%d channels, expected %d", im->channels, net->c);
    if (floats && (im->width != net->w || im->height != net->h))
        return ds_fail(e, DS_EINPUT, "%d x %d floats, expected %d x %d", im->width, im->height, net->w,
                       net->h);
    if (im->width < 1 || im->height < 1 || (long long)im->width * im->height > DS_MOST_PIXELS)
        return ds_fail(e, DS_EINPUT, "%d x %d pixels, expected 1 to %lld of them", im->width, im->height,
                       DS_MOST_PIXELS);
    const size_t size =
        (size_t)im->width * (size_t)im->height * (size_t)im->channels * (floats ? sizeof(float) : 1);
    return im->size == size ? DS_OK : ds_fail(e, DS_EINPUT, "%zu bytes, expected %zu", im->size, size);
}

static int read_image(const image *im, int channels, ds_image *out, ds_error *e)
{
    return im->kind == DARKNET_SAT_FILE ? ds_image_read(im->data, channels, out, e)
                                        : ds_image_decode(im->data, im->size, "", channels, out, e);
}

/* An image as the network takes it. */
static int prepare(const worker *w, const image *im, float *to, ds_error *e)
{
    const ds_net_info *net = w->by.info;
    DS_FINALLY(ds_image_clear) ds_image read = {0};
    ds_image given = {im->width, im->height, im->channels, (unsigned char *)im->data, 0};
    if (im->kind < DARKNET_SAT_FILE || im->kind > DARKNET_SAT_FLOATS || !im->data)
        return ds_fail(e, DS_EINPUT, "%s, expected an image's",
                       im->data ? "an unknown kind of data" : "no data");
    const bool pixels = im->kind >= DARKNET_SAT_PIXELS;
    DS_TRY(pixels ? check_pixels(im, net, e) : read_image(im, w->channels, &read, e));
    if (im->kind == DARKNET_SAT_FLOATS)
        memcpy(to, im->data, im->size);
    else
        ds_prepare_center(pixels ? &given : &read, net->w, net->h, to);
    return DS_OK;
}

static void put_answer(worker *w, int row, answer *to)
{
    const ds_prediction a = ds_predict(&w->by, row);
    double *p = (double *)to->probabilities;
    for (int c = 0; c < w->by.info->classes; c++)
        p[c] = ds_predicted(&w->by, &a, c);
    to->class_index = a.class;
    to->name = w->of->info.names ? w->of->info.names[a.class] : NULL;
    to->verdict = a.verdict;
    to->confidence = a.confidence;
    to->threshold = a.threshold;
    to->novelty = a.novelty;
}

/* Up to a batch of images; those that cannot be read leave no gap before the network. */
static int answer_batch(worker *w, const image *images, int n, answer *to, ds_error *e)
{
    const size_t inputs = (size_t)w->by.info->inputs;
    int rows = 0;
    memset(w->errors, 0, (size_t)n * sizeof *w->errors);
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < n; i++)
        prepare(w, &images[i], w->pixels + (size_t)i * inputs, &w->errors[i]);
    for (int i = 0; i < n; i++)
        if (!w->errors[i].code)
            memmove(w->pixels + (size_t)rows++ * inputs, w->pixels + (size_t)i * inputs,
                    inputs * sizeof *w->pixels);
    if (rows)
        DS_TRY(ds_ensemble_forward(&w->model.all, w->pixels, rows, e));
    for (int i = 0, row = 0; i < n; i++)
        if (!w->errors[i].code) {
            put_answer(w, row++, &to[i]);
        } else {
            to[i].error = w->errors[i].code;
            to[i].error_text = ds_strdup(w->errors[i].text);
            to[i].probabilities = NULL;
        }
    return DS_OK;
}

static void answer_job(worker *w, job *j)
{
    const size_t batch = (size_t)w->by.info->batch;
    int rc = DS_OK;
    for (size_t i = 0; i < j->n && !rc; i += batch)
        rc = answer_batch(w, j->images + i, (int)(j->n - i < batch ? j->n - i : batch), j->answers + i,
                          &j->error);
    if (!rc)
        j->error = (ds_error){0}; /* of something that went well in another way */
}

static int begin(worker *w, ds_error *e)
{
    w->model.batch = w->of->batch;
    DS_TRY(ds_model_open(&w->model, w->of->files, DS_NO_LIST, &w->of->flags, NULL, e));
    DS_TRY(ds_predictor_init(&w->by, &w->model, NAN, e));
    const bool as_stored = w->model.data.path && !w->model.data.exif;
    w->channels = w->by.info->c | (as_stored ? DS_AS_STORED : 0);
    DS_ZALLOC(w->pixels, (size_t)w->by.info->batch * (size_t)w->by.info->inputs);
    DS_ALLOC(w->errors, (size_t)w->by.info->batch);
    return DS_OK;
}

static void end(worker *w)
{
    ds_predictor_clear(&w->by);
    ds_model_close(&w->model);
    free(w->pixels);
    free(w->errors);
}

/* The next call; NULL: the model is closed. */
static job *take_job(darknet_sat_model *m)
{
    while (!m->first && !m->closing)
        pthread_cond_wait(&m->work, &m->lock);
    job *j = m->first;
    if (j)
        m->first = j->next;
    return j;
}

static void *run(void *arg)
{
    worker *w = arg;
    darknet_sat_model *m = w->of;
    fesetenv(FE_DFL_ENV); /* the thread has its creator's */
    const int rc = begin(w, &w->error);
    if (!rc)
        w->error = (ds_error){0}; /* of something that went well in another way */
    pthread_mutex_lock(&m->lock);
    m->ready++;
    pthread_cond_broadcast(&m->done);
    for (job *j; !rc && (j = take_job(m));) {
        pthread_mutex_unlock(&m->lock);
        answer_job(w, j);
        pthread_mutex_lock(&m->lock);
        j->done = true;
        pthread_cond_broadcast(&m->done);
    }
    pthread_mutex_unlock(&m->lock);
    end(w);
    return NULL;
}

static int start(worker *w, ds_error *e)
{
    const int failed = ds_thread_start(&w->thread, run, w);
    return failed ? ds_fail(e, DS_EHOST, "cannot start a thread: %s", strerror(failed)) : DS_OK;
}

static int start_all(darknet_sat_model *m, int workers, ds_error *e)
{
    int rc = DS_OK;
    DS_ZALLOC(m->workers, (size_t)workers);
    for (int i = 0; i < workers && !rc; i++) {
        m->workers[i].of = m;
        rc = start(&m->workers[i], e);
        m->n += !rc;
    }
    pthread_mutex_lock(&m->lock);
    while (m->ready < m->n)
        pthread_cond_wait(&m->done, &m->lock);
    pthread_mutex_unlock(&m->lock);
    for (int i = 0; i < m->n && !rc; i++)
        rc = m->workers[i].error.code ? ds_error_pass(e, &m->workers[i].error) : DS_OK;
    return rc;
}

static void describe(darknet_sat_model *m)
{
    worker *w = m->workers;
    const ds_net_info *net = w->by.info;
    DS_PUSH(w->model.notes.text, w->model.notes.n, NULL);
    m->info = (struct darknet_sat_info){.width = net->w,
                                        .height = net->h,
                                        .channels = net->c,
                                        .classes = net->classes,
                                        .batch = net->batch,
                                        .names = (const char *const *)w->model.data.names,
                                        .confidence = ds_confidence_names[w->by.score.kind],
                                        .threshold = w->by.threshold,
                                        .thresholds = w->by.thresholds,
                                        .novelty_rate = w->by.novelty_rate,
                                        .backend = net->backend,
                                        .notes = (const char *const *)w->model.notes.text,
                                        .upright = !(w->channels & DS_AS_STORED)};
}

static int in_range(const char *name, int value, int most, ds_error *e)
{
    return value >= 0 && value <= most ? DS_OK
                                       : ds_fail(e, DS_EUSAGE, "%s=%d, expected 0 to %d", name, value, most);
}

static int take_options(darknet_sat_model *m, const options *from, options *o, ds_error *e)
{
    if (from && from->size != sizeof *o)
        return ds_fail(e, DS_EUSAGE, "options of %zu bytes, expected %zu: those of this version", from->size,
                       sizeof *o);
    if (from)
        memcpy(o, from, from->size);
    DS_TRY(in_range("batch", o->batch, 4096, e));
    DS_TRY(in_range("threads", o->threads, 1024, e));
    DS_TRY(in_range("workers", o->workers, 64, e));
    m->flags.precision = o->precision ? ds_word_index(ds_precision_flags, -1, o->precision) : 0;
    if (m->flags.precision < 0)
        return ds_fail(e, DS_EUSAGE, "precision=%s, expected cfg, f32, bf16 or auto", o->precision);
    m->flags.threads = o->threads;
    m->flags.alone = true;
    m->batch = o->batch ? o->batch : 32;
    m->files[0] = o->data;
    return DS_OK;
}

int darknet_sat_open(const char *cfg, const char *weights, const options *given, darknet_sat_model **model,
                     error *to)
{
    ds_error e = {0};
    options o = {0};
    if (!model) {
        ds_fail(&e, DS_EUSAGE, "no place for the model");
        return tell(&e, to);
    }
    darknet_sat_model *m = DS_ZALLOC(m, 1);
    m->process = getpid();
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->work, NULL);
    pthread_cond_init(&m->done, NULL);
    m->files[1] = cfg;
    m->files[2] = weights;
    *model = NULL;
    if (take_options(m, given, &o, &e) || start_all(m, o.workers ? o.workers : 1, &e)) {
        darknet_sat_close(m);
        return tell(&e, to);
    }
    describe(m);
    *model = m;
    return DS_OK;
}

void darknet_sat_close(darknet_sat_model *m)
{
    if (!m || m->process != getpid())
        return;
    pthread_mutex_lock(&m->lock);
    m->closing = true;
    pthread_cond_broadcast(&m->work);
    pthread_mutex_unlock(&m->lock);
    for (int i = 0; i < m->n; i++)
        pthread_join(m->workers[i].thread, NULL);
    pthread_cond_destroy(&m->work);
    pthread_cond_destroy(&m->done);
    pthread_mutex_destroy(&m->lock);
    free(m->workers);
    free(m);
}

const struct darknet_sat_info *darknet_sat_info(const darknet_sat_model *m)
{
    return m ? &m->info : NULL;
}

/* What one call gives: a size_t, the answers' number, then these, then all probabilities. */
typedef struct block {
    size_t n;
    answer answers[];
} block;

static block *make_block(size_t n, int classes)
{
    const size_t each = sizeof(answer) + (size_t)classes * sizeof(double);
    block *b = n <= (SIZE_MAX / 2) / each ? calloc(1, sizeof *b + n * each) : NULL;
    if (!b)
        return NULL;
    b->n = n;
    for (size_t i = 0; i < n; i++)
        b->answers[i].probabilities = (const double *)(b->answers + n) + i * (size_t)classes;
    return b;
}

static void wait_for(darknet_sat_model *m, job *j)
{
    pthread_mutex_lock(&m->lock);
    *(m->first ? &m->last->next : &m->first) = j;
    m->last = j;
    pthread_cond_signal(&m->work);
    while (!j->done)
        pthread_cond_wait(&m->done, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

int darknet_sat_classify(darknet_sat_model *m, const image *images, size_t n, answer **answers, error *to)
{
    job j = {.images = images, .n = n};
    if (answers)
        *answers = NULL;
    if (!m || !answers || (n && !images))
        ds_fail(&j.error, DS_EUSAGE, "no %s", !m ? "model" : answers ? "images" : "place for the answers");
    else if (m->process != getpid())
        ds_fail(&j.error, DS_EUSAGE,
                "the model was opened before fork(), expected one that this process has opened");
    block *b = j.error.code ? NULL : make_block(n, m->info.classes);
    if (!b && !j.error.code)
        ds_fail(&j.error, DS_ENOMEM, "no memory for the answers to %zu images", n);
    if (!b)
        return tell(&j.error, to);
    j.answers = b->answers;
    wait_for(m, &j);
    if (!j.error.code) {
        *answers = b->answers;
        return DS_OK;
    }
    darknet_sat_free(b->answers);
    return tell(&j.error, to);
}

void darknet_sat_free(answer *answers)
{
    if (!answers)
        return;
    block *b = (block *)((char *)answers - offsetof(block, answers));
    for (size_t i = 0; i < b->n; i++)
        free((char *)answers[i].error_text);
    free(b);
}

static int classify_one(darknet_sat_model *m, const image *im, answer **answer_, error *to)
{
    int rc = darknet_sat_classify(m, im, 1, answer_, to);
    if (rc || !(rc = (*answer_)->error))
        return rc;
    if (to) {
        to->code = rc;
        const char *path = im->kind == DARKNET_SAT_FILE && im->data ? im->data : "";
        snprintf(to->text, sizeof to->text, "%.1000s%s%.1000s", path, *path ? ": " : "",
                 (*answer_)->error_text);
    }
    darknet_sat_free(*answer_);
    *answer_ = NULL;
    return rc;
}

int darknet_sat_classify_file(darknet_sat_model *m, const char *path, answer **a, error *e)
{
    return classify_one(m, &(image){.kind = DARKNET_SAT_FILE, .data = path}, a, e);
}

int darknet_sat_classify_bytes(darknet_sat_model *m, const void *bytes, size_t n, answer **a, error *e)
{
    return classify_one(m, &(image){.kind = DARKNET_SAT_BYTES, .data = bytes, .size = n}, a, e);
}

int darknet_sat_classify_pixels(darknet_sat_model *m, const unsigned char *pixels, int width, int height,
                                int channels, answer **a, error *e)
{
    const size_t size = (size_t)width * (size_t)height * (size_t)channels;
    return classify_one(m, &(image){DARKNET_SAT_PIXELS, pixels, size, width, height, channels}, a, e);
}

int darknet_sat_classify_floats(darknet_sat_model *m, const float *pixels, answer **a, error *e)
{
    static const struct darknet_sat_info none;
    const struct darknet_sat_info *i = m ? &m->info : &none;
    const size_t size = (size_t)i->width * (size_t)i->height * (size_t)i->channels * sizeof *pixels;
    return classify_one(m, &(image){DARKNET_SAT_FLOATS, pixels, size, i->width, i->height, i->channels}, a,
                        e);
}

const char *darknet_sat_version(void)
{
    return DS_VERSION;
}

const char *darknet_sat_code_text(int code)
{
    static const char *const texts[] = {[-DARKNET_SAT_OK] = "done",
                                        [-DARKNET_SAT_INPUT] = "a file, an image or an argument is wrong",
                                        [-DARKNET_SAT_USAGE] = "an option is wrong",
                                        [-DARKNET_SAT_IO] = "reading failed",
                                        [-DARKNET_SAT_MEMORY] = "out of memory",
                                        [-DARKNET_SAT_BACKEND] = "what computes the layers refused"};
    const int n = sizeof texts / sizeof *texts;
    return code <= 0 && code > -n && texts[-code] ? texts[-code] : "unknown code";
}

const char *darknet_sat_verdict_text(int verdict)
{
    return verdict >= DS_UNSURE && verdict <= DS_UNKNOWN ? ds_verdict_names[verdict] : "none";
}

void darknet_sat_on_out_of_memory(void (*handler)(void))
{
    ds_memory_handler(handler);
}
