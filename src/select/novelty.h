/* Is an image none of the classes? How far its features, what layers put out, are from those of the training
 * images, and how rare that is among calibration images. */
#pragma once

#include "select/select.h"

/* Where in a network features come from, first layer first. Those of an image are `row` numbers, one depth
 * after the other: of each channel, mean plus standard deviation over its places. */
enum { DS_MOST_DEPTHS = 16, DS_MOST_FEATURES = 8192 };
typedef struct ds_depths {
    int n;
    int layer[DS_MOST_DEPTHS], channels[DS_MOST_DEPTHS];
    size_t row; /* sum of channels */
} ds_depths;

/* What is measured, larger = stranger. d(c): square of the Mahalanobis distance to the mean of class c with
 * the classes' shared covariance; d: to that of all images with their covariance. */
typedef enum ds_novelty_kind {
    DS_JOINT,               /* min d(c) - 0.8 d over the features of all depths at once */
    DS_MAHALANOBIS,         /* min d(c) of the last depth (Lee et al. 2018) */
    DS_RELATIVE,            /* min d(c) - d of the last depth (Ren et al. 2021) */
    DS_NOVELTY_CONFIDENCES, /* from here on: the confidences of undivided logits, negated */
    DS_NOVELTIES = DS_NOVELTY_CONFIDENCES + DS_CONFIDENCES
} ds_novelty_kind;
extern const char *const ds_novelty_names[DS_NOVELTIES + 1]; /* NULL-terminated */

/* n classes in c features, in one piece of memory that begins at `centre`. Their covariance is S = L L',
 * that of all images L (I + M D M') L' with D the classes' shares: d = |z|^2 - |R^-1 M'z|^2, z = L^-1
 * (x - centre). */
typedef struct ds_cloud {
    size_t c, n;
    float *centre;  /* c: the mean of all images */
    float *factor;  /* c x c: L, column by column */
    float *means;   /* c x n: M, the classes' L^-1 (mean - centre) */
    float *squares; /* n: their squared lengths; infinite for a class without images */
    float *inner;   /* n x n: R of R R' = D^-1 + M'M, column by column */
} ds_cloud;

/* Zero-initialise, set depths and classes; release with ds_novelty_clear. */
typedef struct ds_novelty {
    ds_depths depths;
    int classes;
    ds_novelty_kind kind;
    char *path;         /* of the file that it was read from, NULL: none */
    uint64_t weights;   /* hash of the network's parameters */
    ds_cloud clouds[2]; /* of all depths, of the last */
    double *scores;     /* n_scores, ascending: of the calibration images */
    size_t n_scores;
    struct ds_novelty_fit *fit; /* NULL but for what training images are added to */
} ds_novelty;
void ds_novelty_clear(ds_novelty *v);

/* ---- from training images ---- */

/* Needs row x row doubles, however many images come. DS_EINPUT: more than DS_MOST_FEATURES. */
int ds_novelty_begin(ds_novelty *v, ds_error *e);
/* The features of an image. */
void ds_novelty_add(ds_novelty *v, int label, const float *features);
/* Means and covariances. A hundredth of each feature's variance, scaled to the classes', is added to S.
 * DS_EINPUT: features that do not vary or are no numbers. */
int ds_novelty_finish(ds_novelty *v, ds_error *e);

/* ---- use ---- */

/* The scores of images with rows of depths.row features, of n logits, as ds_score_row takes them; infinite
 * where one is not a number. */
void ds_novelty_scores(const ds_novelty *v, ds_novelty_kind kind, const float *features, const float *logits,
                       int n, bool abstain, size_t images, double *scores);
/* Take over the scores of n calibration images, fresh memory, in any order. */
void ds_novelty_rank(ds_novelty *v, double *scores, size_t n);
/* (1 + the calibration images of at least this score) / (n_scores + 1). For an image of their kind it is at
 * most a with a probability of at most a (conformal; Vovk, Gammerman, Shafer 2005). */
double ds_novelty_p(const ds_novelty *v, double score);
/* The most ranks k with k / (n + 1) < rate: p < rate when the score is among the k largest of n + 1. */
size_t ds_novelty_ranks(size_t n, double rate);

/* ---- in a file ---- */

/* Of what is written, by which a cfg knows its file. */
uint64_t ds_novelty_hash(const ds_novelty *v);

/* What `kind` needs, in the safetensors format. DS_EIO. */
int ds_novelty_write(const ds_novelty *v, const char *path, ds_error *e);
/* DS_EINPUT: not such a file, or one of other depths or classes than v's. */
int ds_novelty_read(ds_novelty *v, const char *path, ds_error *e);
