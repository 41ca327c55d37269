/* What is said in JSON: answers, the model, errors; and images as the Open Inference Protocol has them. */
#pragma once

#include "serve/serve.h"

/* Texts in fresh memory. */
char *ds_reply_error(const char *text);
/* Of one image, for people and scripts. */
char *ds_reply_answer(const struct darknet_sat_info *info, const struct darknet_sat_answer *a);
/* Of n images, as tensors; id: of the request, or NULL. */
char *ds_reply_tensors(const ds_serve_setup *setup, const char *id, const struct darknet_sat_answer *answers,
                       int n);
char *ds_reply_model(const ds_serve_setup *setup);
char *ds_reply_server(const ds_serve_setup *setup);

/* The images of a request: FP32, n x channels x height x width, in [0, 1], red first. *id, *pixels: fresh
 * memory. DS_EINPUT: it is none such. */
int ds_request_read(const char *body, size_t bytes, const struct darknet_sat_info *info, char **id,
                    float **pixels, int *n, ds_error *e);
