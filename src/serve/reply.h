/* What is said in JSON: answers, the model, errors; and images as the Open Inference Protocol has them. */
#pragma once

#include "serve/serve.h"

/* Texts in fresh memory. */
char *ds_reply_error(const char *text);
/* Of one image, for people and scripts. */
char *ds_reply_answer(const struct darknet_sat_info *info, const struct darknet_sat_answer *a);
char *ds_reply_model(const ds_serve_setup *setup);
char *ds_reply_server(void);

/* A request of the protocol. Zero-initialise; id and pixels are the caller's to free. */
typedef struct ds_question {
    char *id;
    unsigned outputs; /* that are asked for, bits */
    float *pixels;    /* n x channels x height x width in [0, 1], red first */
    int n;
} ds_question;

/* The name of what goes into a model, of exported ones, too. */
#define DS_INPUT "images"

/* DS_EINPUT: it is none such. */
int ds_question_read(const char *body, size_t bytes, const struct darknet_sat_info *info, ds_question *q,
                     ds_error *e);
/* n answers, as tensors. */
char *ds_reply_tensors(const ds_serve_setup *setup, const ds_question *q,
                       const struct darknet_sat_answer *answers);
