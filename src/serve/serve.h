/* Answers over HTTP: images come as files (POST /classify) or as numbers of the Open Inference Protocol,
 * version 2 (POST /v2/models/NAME/infer); those that wait are answered together. */
#pragma once

#include "api/darknet-sat.h"
#include "base/error.h"

typedef struct ds_server ds_server; /* opaque */

typedef struct ds_serve_setup {
    darknet_sat_model *model;
    const char *name;               /* of the model, in addresses */
    struct ds_sandbox *decoder;     /* of images (data/image.h) */
    const char *address;            /* of an interface, in numbers */
    int port;                       /* 0: any that is free */
    int workers, readers;           /* threads: that answer, that read images */
    int max_batch;                  /* images answered together */
    double max_wait;                /* seconds that the first of them waits for more */
    size_t max_body;                /* bytes of a request */
    double patience;                /* seconds for a request to arrive, and for the next one to begin */
    int max_connections, max_queue; /* max_queue: images that wait; more are told to come later */
    struct ds_watch *watch;         /* is told the scores of all answers; NULL: nothing watches */
} ds_serve_setup;

/* Listens and answers, on threads of its own, until it is freed. What the setup points to must outlive it.
 * DS_EIO: the address is taken, say. */
int ds_server_new(const ds_serve_setup *setup, ds_server **server, ds_error *e);
int ds_server_port(const ds_server *s);
/* To be called twice a second: ends connections whose requests do not arrive in time. */
void ds_server_tick(ds_server *s);
/* Takes no connections any more and waits, at most so many seconds, for the answers to what has been asked.
 * */
void ds_server_drain(ds_server *s, double seconds);
/* What is watched, as it is now, to a file of report/watch.h. */
int ds_server_save_watch(ds_server *s, const char *path, ds_error *e);
void ds_server_free(ds_server *s);
