/* From the logits of an image to its class, and whether that answer stands. */
#pragma once

#include "train/model.h"

typedef struct ds_predictor {
    const ds_model *model;
    const ds_net_info *info;
    ds_score score;
    double threshold;         /* of all classes, */
    const double *thresholds; /* or those of each; NULL: one for all */
    double novelty_rate;      /* NAN: nothing is known of strangers */
    const double *novelty;    /* of the last pass, NULL likewise */
    double *log_p;            /* classes: of the image at work, owned */
} ds_predictor;

/* What the network says of an image. */
typedef struct ds_prediction {
    int class;          /* the most probable, of equals the first */
    double probability; /* of it, as msp has it; NAN: the network gave none */
    double confidence;  /* by the score */
    double threshold;   /* that counted; NAN: none */
    double novelty;     /* p-value, 1 where nothing is known of strangers */
    ds_verdict verdict;
} ds_prediction;

/* The model is open. threshold: accept confidences of at least that; NAN: as its [reject] says, and notes
 * tell what speaks against it. DS_EINPUT, DS_EUSAGE: the score or the threshold have no meaning. */
int ds_predictor_init(ds_predictor *p, ds_model *m, double threshold, ds_error *e);
void ds_predictor_clear(ds_predictor *p);
/* Image `row` of the last pass of the model's networks. p->log_p: logarithms of its class probabilities. */
ds_prediction ds_predict(ds_predictor *p, int row);
/* Its probability of a class; of the answer's the one that msp has, to the last bit. */
double ds_predicted(const ds_predictor *p, const ds_prediction *a, int class);
