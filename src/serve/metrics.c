#include "serve/metrics.h"

static const double seconds_within[DS_LATENCIES] = {.001, .002, .005, .01, .02, .05, .1,
                                                    .2,   .5,   1,    2,   5,   10,  INFINITY};
static const double images_within[DS_BATCHES] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, INFINITY};
static const int statuses[DS_STATUSES] = {200, 400, 404, 405, 411, 413, 415, 500, 503, 0};

static void count(double *within, const double *bounds, int n, double value)
{
    for (int i = n - 1; i >= 0 && value <= bounds[i]; i--)
        within[i]++;
}

void ds_metrics_request(ds_metrics *m, int status, double seconds)
{
    int i = 0;
    while (statuses[i] && statuses[i] != status)
        i++;
    pthread_mutex_lock(&m->lock);
    m->requests[i]++;
    if (seconds >= 0) {
        count(m->latency, seconds_within, DS_LATENCIES, seconds);
        m->latency_sum += seconds;
        m->answered++;
    }
    pthread_mutex_unlock(&m->lock);
}

/* An unknown image has no confidence, as `classifier watch` reads it. */
static void watch(ds_watch *w, const struct darknet_sat_answer *a)
{
    const double scores[] = {[DS_WATCH_CONFIDENCE] = a->verdict == DARKNET_SAT_UNKNOWN ? NAN : a->confidence,
                             [DS_WATCH_NOVELTY] = a->novelty};
    const int shares = ds_watch_scores(w);
    for (int i = 0; i < DS_WATCH_COLUMNS; i++)
        if (w->scores[i].calib > 0)
            ds_watch_score_add(&w->scores[i], scores[i], (uint64_t)w->seed, w->alpha / shares,
                               w->run_length * shares);
}

void ds_metrics_batch(ds_metrics *m, int n, const struct darknet_sat_answer *answers)
{
    pthread_mutex_lock(&m->lock);
    count(m->batch, images_within, DS_BATCHES, n);
    m->batches++;
    m->images += n;
    for (int i = 0; answers && i < n; i++) {
        m->verdicts[answers[i].verdict]++;
        if (m->watch)
            watch(m->watch, &answers[i]);
    }
    pthread_mutex_unlock(&m->lock);
}

static void write_kind(FILE *f, const char *name, const char *kind, const char *help)
{
    fprintf(f, "# HELP darknet_sat_%s %s\n# TYPE darknet_sat_%s %s\n", name, help, name, kind);
}

static void write_histogram(FILE *f, const char *name, const char *help, const double *within,
                            const double *bounds, int n, double sum, double all)
{
    write_kind(f, name, "histogram", help);
    for (int i = 0; i < n - 1; i++)
        fprintf(f, "darknet_sat_%s_bucket{le=\"%g\"} %.0f\n", name, bounds[i], within[i]);
    fprintf(f, "darknet_sat_%s_bucket{le=\"+Inf\"} %.0f\n", name, all);
    fprintf(f, "darknet_sat_%s_sum %.9g\ndarknet_sat_%s_count %.0f\n", name, sum, name, all);
}

void ds_metrics_write(ds_metrics *m, int queue, FILE *f)
{
    pthread_mutex_lock(&m->lock);
    write_kind(f, "requests_total", "counter", "Requests, by the status of their answer.");
    for (int i = 0; i < DS_STATUSES; i++)
        if (m->requests[i] > 0)
            fprintf(f, "darknet_sat_requests_total{code=\"%d\"} %.0f\n", statuses[i], m->requests[i]);
    write_histogram(f, "request_seconds", "Time from the first bytes of a request of images to its answer.",
                    m->latency, seconds_within, DS_LATENCIES, m->latency_sum, m->answered);
    write_histogram(f, "batch_images", "Images answered together.", m->batch, images_within, DS_BATCHES,
                    m->images, m->batches);
    write_kind(f, "images_total", "counter", "Images, by what became of their answer.");
    for (int i = 0; i < 3; i++)
        fprintf(f, "darknet_sat_images_total{verdict=\"%s\"} %.0f\n", darknet_sat_verdict_text(i),
                m->verdicts[i]);
    write_kind(f, "waiting_images", "gauge", "Images that wait or are being answered.");
    fprintf(f, "darknet_sat_waiting_images %d\n", queue);
    if (m->watch) {
        write_kind(f, "alarm", "gauge", "1: the answers are not those of the calibration images any more.");
        fprintf(f, "darknet_sat_alarm %d\n", ds_watch_alarmed(m->watch));
    }
    pthread_mutex_unlock(&m->lock);
}
