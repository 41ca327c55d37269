/* Jobs, from what a request holds to answers: some threads read images, others answer what has gathered. */
#pragma once

#include "serve/metrics.h"
#include "serve/serve.h"

typedef struct ds_job ds_job;
struct ds_job {
    /* On a thread of the queue: makes pixels and images. */
    int (*read)(ds_job *job, ds_error *e);
    float *pixels; /* images x what the network takes; the caller's */
    int images;
    /* On a thread of the queue, at the end: as many answers, or NULL and why. */
    void (*answered)(ds_job *job, const struct darknet_sat_answer *answers, const ds_error *why);
    ds_job *next;
};

typedef struct ds_queue ds_queue; /* opaque */

int ds_queue_new(const ds_serve_setup *setup, ds_metrics *metrics, ds_queue **queue, ds_error *e);
/* False: too many images wait, or the queue is closed. */
bool ds_queue_put(ds_queue *q, ds_job *job);
/* Images that wait or are being answered. */
int ds_queue_images(ds_queue *q);
/* All jobs are answered; no more are taken. */
void ds_queue_close(ds_queue *q);
/* It is closed. */
void ds_queue_free(ds_queue *q);
