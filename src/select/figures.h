/* What rejecting costs and gains: all the numbers of `classifier reject`. */
#pragma once

#include "select/answers.h"

/* Confidence level of all intervals. */
#define DS_LEVEL 0.95
/* More classes than this have no figures of their own (ImageNet's 1,000 do). */
enum { DS_MOST_CLASSES = 1000 };

/* A rate and its exact interval; NAN: undefined. */
typedef struct ds_rate {
    double value;
    ds_interval interval;
} ds_rate;

/* Images of a list or of a label. */
typedef struct ds_counts {
    size_t n, right;                 /* all images, those predicted rightly */
    size_t accepted, accepted_wrong; /* by ds_answers_accepts */
    size_t as, as_wrong;             /* by class: accepted as this one, and wrongly so */
    size_t unknown;                  /* of those that are not accepted */
} ds_counts;
/* Of all answers; without labels none counts as right or wrong. */
ds_counts ds_counts_of(const ds_answers *a, double threshold);
/* Of the images of each label. counts: classes. confusion: classes x (classes + 1), may be NULL: rows are
 * labels, columns predictions of accepted images, the last column counts the rejected. */
void ds_counts_by_class(const ds_answers *a, double threshold, ds_counts *counts, size_t *confusion);

/* accuracy is of all images, risk of the accepted ones; both undefined without labels. */
typedef struct ds_rates {
    ds_rate accuracy, reject, unknown, risk;
} ds_rates;
ds_rates ds_rates_of(const ds_counts *c, bool labelled);

/* Probability that an image of `in` is surer than one of `out`, ties 1/2, NaN lowest; NaN for an empty
 * side. */
double ds_auroc_two(const ds_answers *in, const ds_answers *out);

/* ---- bootstrap.c ---- */

/* Percentile intervals; NaN, NaN where undefined in every resample. */
typedef struct ds_bootstrap {
    ds_interval aurc, eaurc, augrc, auroc, accuracy;
    ds_interval risk; /* at a coverage */
    double p_aurc;  /* of two: twice the smaller share of resamples with a difference <= 0 or >= 0, the sample
                       * itself counted on both sides, at most 1 */
    int replicates; /* 0: none, nothing is defined */
} ds_bootstrap;
/* Quantiles (linear interpolation) at `level` in (0, 1) over `replicates` >= 0 resamples of the images
 * with replacement: figures of `a`, or with `b` (which answers the same images in the same order, else
 * NULL) those of a minus those of b on the same resamples. risk: when each accepts at least `coverage`
 * (ds_cut_at_coverage), undefined for coverage 0. Replicate r is a function of (seed, r), whatever the
 * number of threads. A resample that leaves a figure undefined is left out of its interval. O(n log n +
 * replicates n) time, up to 32 n bytes a thread. Fewer than 2^31 images. */
ds_bootstrap ds_bootstrap_of(const ds_answers *a, const ds_answers *b, double coverage, int replicates,
                             double level, uint64_t seed);

/* ---- figures.c ---- */

/* Another list of images at the chosen threshold. */
typedef struct ds_list_figures {
    const ds_answers *answers;
    ds_counts counts;
    double auroc; /* the first list's images against these: P(the former is surer) */
} ds_list_figures;

/* Another program's answers for the same images; differences are the first list's minus the other's. */
typedef struct ds_rival_figures {
    const char *file;
    double accuracy; /* the other's */
    ds_areas other, difference;
    /* both at the coverage of the chosen threshold; whole groups, so that `its` may accept more */
    ds_cut mine, its;
    ds_bootstrap boot; /* of the differences */
} ds_rival_figures;

/* A threshold that was asked for by -risk and -delta. */
typedef struct ds_control {
    double risk, delta; /* risk NAN: it was not */
    ds_guarantee found;
} ds_control;

/* NAN: unknown or undefined. Owns its arrays, but for texts and answers, which must outlive it. */
typedef struct ds_figures {
    const ds_answers *answers;
    ds_curve curve;
    ds_areas areas;
    ds_cut chosen; /* threshold NAN: none was set */
    ds_control control;
    double accuracy;          /* share of all images that are right */
    ds_means means;           /* NAN without probabilities */
    ds_rates rates;           /* at `chosen` */
    size_t unknown;           /* images */
    ds_bootstrap boot;        /* intervals of the areas */
    int seed;                 /* of the bootstrap */
    ds_counts *classes;       /* of each class; NULL: unknown or too many */
    size_t *confusion;        /* see ds_counts_by_class; NULL with `classes` */
    ds_list_figures *lists;   /* n_lists */
    ds_rival_figures *rivals; /* n_rivals */
    int n_lists, n_rivals;
    /* said beside them */
    const char *confidence;     /* name of the score; NULL: unknown */
    const char *model;          /* weights or cfg; NULL: unknown */
    const char *threshold_note; /* behind the threshold, e.g. "from the cfg"; NULL: nothing */
    bool chose_best;            /* the list also chose the best weights */
    bool show_classes;          /* in the table too */
} ds_figures;

/* What is asked for. One way at most to a threshold, NAN: not that one. */
typedef struct ds_wish {
    double threshold, coverage, risk, delta;
    int replicates, seed; /* of the bootstrap */
} ds_wish;

/* Curve, cut, accuracy, areas and rates of answers, the rest unknown. */
ds_figures ds_figures_at(const ds_answers *a, const ds_wish *w);
/* All figures of the first of n >= 1 lists, the others beside it, and rivals in its order
 * (ds_answers_match). */
ds_figures ds_figures_of(const ds_answers *lists, int n, const ds_answers *rivals, int n_rivals,
                         const ds_wish *w);
void ds_figures_clear(ds_figures *f);

/* 1 - coverage, without its rounding; NAN for no images. */
double ds_reject_rate(const ds_figures *f, const ds_cut *cut);
