/* What a server has done, as numbers for Prometheus; and what it answers, for the watch over its promise. */
#pragma once

#include "api/darknet-sat.h"
#include "report/watch.h"

#include <pthread.h>

enum { DS_LATENCIES = 14, DS_BATCHES = 13, DS_STATUSES = 10 };

typedef struct ds_metrics {
    pthread_mutex_t lock;                                /* initialised; all else is zero at first */
    double requests[DS_STATUSES];                        /* by status */
    double latency[DS_LATENCIES], latency_sum, answered; /* requests within each bound, their seconds, all */
    double batch[DS_BATCHES], images, batches;           /* batches within each bound */
    double verdicts[3];                                  /* by darknet_sat_verdict */
    ds_watch *watch;                                     /* NULL: none; not owned */
} ds_metrics;

/* A request has been answered; seconds < 0: none of images. */
void ds_metrics_request(ds_metrics *m, int status, double seconds);
/* n images were answered together; NULL: none of them. */
void ds_metrics_batch(ds_metrics *m, int n, const struct darknet_sat_answer *answers);
/* In the text format of Prometheus; queue: images that wait. */
void ds_metrics_write(ds_metrics *m, int queue, FILE *f);
