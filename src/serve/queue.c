#include "serve/queue.h"
#include "base/clock.h"
#include "base/thread.h"

typedef struct list {
    ds_job *first, *last;
    int images;
} list;

struct ds_queue {
    const ds_serve_setup *setup;
    const struct darknet_sat_info *info;
    ds_metrics *metrics;
    pthread_mutex_t lock;
    pthread_cond_t requests_came, pixels_came, turn_came;
    list requests, pixels; /* to read, to answer */
    int images;            /* in both, and at work */
    int turns;             /* to gather and compute: setup->workers without those taken */
    bool closing;
    pthread_t *threads;
    int n_threads;
};

static void push(list *l, ds_job *job)
{
    job->next = NULL;
    *(l->first ? &l->last->next : &l->first) = job;
    l->last = job;
    l->images += job->images;
}

static ds_job *pop(list *l)
{
    ds_job *job = l->first;
    l->first = job->next;
    l->images -= job->images;
    return job;
}

/* Images have left the queue, and with them a turn or none. */
static void leave(ds_queue *q, int images, int turns)
{
    pthread_mutex_lock(&q->lock);
    q->images -= images;
    q->turns += turns;
    if (q->closing && q->images == 0)
        pthread_cond_broadcast(&q->pixels_came);
    if (turns)
        pthread_cond_signal(&q->turn_came);
    pthread_mutex_unlock(&q->lock);
}

static void *read_all(void *arg)
{
    ds_queue *q = arg;
    pthread_mutex_lock(&q->lock);
    for (;;) {
        while (!q->requests.first && !q->closing)
            pthread_cond_wait(&q->requests_came, &q->lock);
        if (!q->requests.first)
            break;
        ds_job *job = pop(&q->requests);
        pthread_mutex_unlock(&q->lock);
        ds_error e = {0};
        int rc = job->read(job, &e);
        if (rc) {
            leave(q, 1, 0);
            job->answered(job, NULL, &e);
        }
        pthread_mutex_lock(&q->lock);
        if (!rc) {
            const bool first = !q->pixels.first; /* between it and the last of a batch nobody need wake up */
            q->images += job->images - 1;
            push(&q->pixels, job);
            if (first || q->pixels.images >= q->setup->max_batch)
                pthread_cond_signal(&q->pixels_came);
        }
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

/* Jobs, the first of them whatever its size. */
static int take(ds_queue *q, ds_job **jobs)
{
    int n = 0, images = 0;
    while (q->pixels.first && (n == 0 || images + q->pixels.first->images <= q->setup->max_batch)) {
        images += q->pixels.first->images;
        jobs[n++] = pop(&q->pixels);
    }
    return n;
}

/* Takes a turn and, once there is a batch or the first of it has waited long enough, jobs. 0: nothing will
 * come. */
static int gather(ds_queue *q, ds_job **jobs)
{
    int n = 0;
    while (!q->turns)
        pthread_cond_wait(&q->turn_came, &q->lock);
    q->turns--;
    while (n == 0 && !(q->closing && q->images == 0)) {
        const double end = ds_now() + q->setup->max_wait;
        const struct timespec until = {(time_t)end, (long)(1e9 * (end - (double)(time_t)end))};
        int late = 0;
        while (q->pixels.first && q->pixels.images < q->setup->max_batch && !q->closing && !late)
            late = pthread_cond_timedwait(&q->pixels_came, &q->lock, &until);
        n = take(q, jobs);
        if (n == 0)
            pthread_cond_wait(&q->pixels_came, &q->lock);
    }
    return n;
}

static void answer(ds_queue *q, ds_job *const *jobs, int n)
{
    const struct darknet_sat_info *info = q->info;
    const size_t inputs = (size_t)info->channels * (size_t)info->height * (size_t)info->width;
    DS_FREED struct darknet_sat_image *images = NULL;
    int n_images = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < jobs[i]->images; k++) {
            const struct darknet_sat_image im = {.kind = DARKNET_SAT_FLOATS,
                                                 .data = jobs[i]->pixels + (size_t)k * inputs,
                                                 .size = inputs * sizeof(float),
                                                 .width = info->width,
                                                 .height = info->height,
                                                 .channels = info->channels};
            DS_PUSH(images, n_images, im);
        }
    struct darknet_sat_answer *answers;
    struct darknet_sat_error failed = {0};
    ds_error e = {0};
    if (darknet_sat_classify(q->setup->model, images, (size_t)n_images, &answers, &failed))
        ds_fail(&e, DS_EHOST, "%s", failed.text);
    leave(q, n_images, 1); /* the next batch is computed while replies to this one are made */
    ds_metrics_batch(q->metrics, n_images, answers);
    for (int i = 0, at = 0; i < n; i++) {
        const int its = jobs[i]->images; /* answered, a job is its owner's */
        jobs[i]->answered(jobs[i], answers ? answers + at : NULL, &e);
        at += its;
    }
    darknet_sat_free(answers);
}

static void *answer_all(void *arg)
{
    ds_queue *q = arg;
    DS_FREED ds_job **jobs = DS_ALLOC(jobs, (size_t)q->setup->max_batch);
    pthread_mutex_lock(&q->lock);
    for (int n; (n = gather(q, jobs)) > 0;) {
        if (q->pixels.first)
            pthread_cond_signal(&q->pixels_came);
        pthread_mutex_unlock(&q->lock);
        answer(q, jobs, n);
        pthread_mutex_lock(&q->lock);
    }
    q->turns++;
    pthread_cond_signal(&q->turn_came);
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

bool ds_queue_put(ds_queue *q, ds_job *job)
{
    pthread_mutex_lock(&q->lock);
    const bool room = q->images < q->setup->max_queue && !q->closing;
    if (room) {
        job->images = 1;
        q->images++;
        push(&q->requests, job);
        pthread_cond_signal(&q->requests_came);
    }
    pthread_mutex_unlock(&q->lock);
    return room;
}

int ds_queue_images(ds_queue *q)
{
    pthread_mutex_lock(&q->lock);
    const int images = q->images;
    pthread_mutex_unlock(&q->lock);
    return images;
}

static int start(ds_queue *q, int n, void *(*run)(void *), ds_error *e)
{
    for (int i = 0; i < n; i++) {
        const int failed = ds_thread_start(&q->threads[q->n_threads], run, q);
        if (failed)
            return ds_fail(e, DS_EIO, "cannot start a thread: %s", strerror(failed));
        q->n_threads++;
    }
    return DS_OK;
}

int ds_queue_new(const ds_serve_setup *setup, ds_metrics *metrics, ds_queue **queue, ds_error *e)
{
    ds_queue *q = DS_ZALLOC(*queue, 1);
    pthread_condattr_t monotonic;
    q->setup = setup;
    q->info = darknet_sat_info(setup->model);
    q->metrics = metrics;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&q->requests_came, NULL);
    pthread_cond_init(&q->turn_came, NULL);
    pthread_cond_init(&q->pixels_came, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&q->lock, NULL);
    q->turns = setup->workers;
    DS_ALLOC(q->threads, (size_t)(setup->readers + 2 * setup->workers));
    int rc = start(q, setup->readers, read_all, e);
    if (!rc)
        rc = start(q, 2 * setup->workers, answer_all, e);
    if (!rc)
        return DS_OK;
    ds_queue_close(q);
    ds_queue_free(q);
    *queue = NULL;
    return rc;
}

void ds_queue_close(ds_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closing = true;
    pthread_cond_broadcast(&q->requests_came);
    pthread_cond_broadcast(&q->pixels_came);
    pthread_mutex_unlock(&q->lock);
    while (q->n_threads)
        pthread_join(q->threads[--q->n_threads], NULL);
}

void ds_queue_free(ds_queue *q)
{
    pthread_cond_destroy(&q->requests_came);
    pthread_cond_destroy(&q->turn_came);
    pthread_cond_destroy(&q->pixels_came);
    pthread_mutex_destroy(&q->lock);
    free(q->threads);
    free(q);
}
