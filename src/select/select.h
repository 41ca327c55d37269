/* Selective prediction on plain arrays: confidences, metrics, thresholds. Knows nothing of networks.
 * Conventions (ties, empty sets, NaN) are stated at each function; formulas are in docs/formulas.md. */
#pragma once

#include "base/error.h"

/* ---- softmax.c ---- */

/* Do the n logits have a softmax? Not with a NaN, a +infinity, or nothing but -infinity (or n = 0): then
 * all below is NaN. */
bool ds_logits_valid(const float *z, int n);
/* The softmax of z/T and its logarithm in double; z: n logits, T > 0. p, log_p: n numbers. */
DS_PUBLIC void ds_softmax(const float *z, int n, double temperature, double *p);
void ds_log_softmax(const float *z, int n, double temperature, double *log_p);
/* Several answers to an image as one: each, n logits at a temperature of its own, is added to a pool of
 * 2 n + 1 numbers (logarithms of sums of probabilities, room, the sum of log sum exp(z/T)), which the first
 * makes. */
void ds_pool_add(double *pool, bool first, const float *z, int n, double temperature);
/* Their mean as n logits: softmax(z/T) is the mean of the softmaxes, log sum exp(z/T) that of theirs, so that
 * every score has its meaning; equal answers give themselves. NaN where one answer has no softmax. */
void ds_pool_logits(const double *pool, int answers, int n, double temperature, float *z);
/* Index of the largest (the first of equals); a NaN only where all are. n > 0. */
DS_PUBLIC int ds_argmax(const float *z, int n);

/* ---- confidence.c ---- */

/* X(number, word, do its thresholds lie in [0, 1]?, meaning). A new confidence is a line here and a case in
 * ds_score_row. */
#define DS_CONFIDENCE_LIST(X)                                                                           \
    X(DS_MSP, "msp", true, "largest class probability")                                                 \
    X(DS_MARGIN, "margin", true, "largest minus second largest class probability")                      \
    X(DS_ENTROPY, "entropy", false, "negative entropy of the class probabilities, in nats")             \
    X(DS_GINI, "gini", true, "sum of the squared class probabilities")                                  \
    X(DS_MAXLOGIT, "maxlogit", false, "largest logit")                                                  \
    X(DS_ENERGY, "energy", false, "temperature times the log of the sum of exponentials of the logits") \
    X(DS_PNORM, "pnorm", false, "largest centred logit divided by the p-norm of the centred logits")    \
    X(DS_ABSTAIN, "abstain", true,                                                                      \
      "1 minus the abstain probability, of [gambler], [selective] and [sat] target=abstain")

typedef enum ds_confidence {
#define DS_CONFIDENCE_ENUM(number, word, probability, help) number,
    DS_CONFIDENCE_LIST(DS_CONFIDENCE_ENUM)
#undef DS_CONFIDENCE_ENUM
        DS_CONFIDENCES
} ds_confidence;
extern const char *const ds_confidence_names[DS_CONFIDENCES + 1]; /* NULL-terminated */
extern const char *const ds_confidence_help[DS_CONFIDENCES];      /* one line, no full stop */

typedef struct ds_score {
    ds_confidence kind;
    double temperature; /* divides all logits, > 0 */
    double pnorm_p;     /* > 0 */
} ds_score;

/* Can the score be computed for this shape? `abstain`: the last of the n logits means "abstain" (then
 * DS_ABSTAIN works, and the others use the first n-1). pnorm with C = 2 is constant, abstain without an
 * abstain logit is undefined: DS_EINPUT. */
int ds_score_check(const ds_score *s, int n, bool abstain, ds_error *e);
/* Score of one row of n logits; higher = accept. NaN when undefined (pnorm of equal logits, logits without
 * a softmax, DS_ABSTAIN without an abstain logit). maxlogit is max(z/T), energy T logsumexp(z/T). */
double ds_score_row(const ds_score *s, const float *z, int n, bool abstain);
/* Do the thresholds of the score lie in [0, 1]? */
bool ds_score_is_probability(ds_confidence kind);
/* Accepted at `threshold`? A NaN never is; a NaN threshold ("none") accepts everything else. */
bool ds_accepts(double confidence, double threshold);
/* What is but zeroed is not accepted. */
typedef enum ds_verdict { DS_UNSURE, DS_ACCEPTED, DS_UNKNOWN } ds_verdict;
extern const char *const ds_verdict_names[]; /* "unsure" … */
/* Unknown where the p-value is below the rate: a NaN is not. */
ds_verdict ds_judge(double confidence, double threshold, double novelty, double novelty_rate);

/* ---- curve.c: the risk-coverage curve ---- */

/* Groups of equal confidence, surest first. Accepting up to group g accepts `accepted[g]` images,
 * `errors[g]` of them wrong.
 * NaN confidences are never accepted: they count in n but belong to no group. */
typedef struct ds_curve {
    size_t n;     /* images */
    size_t n_nan; /* of them with a NaN confidence */
    size_t wrong; /* of them wrong (NaN ones included) */
    size_t groups;
    double *threshold;
    size_t *accepted, *errors; /* cumulative */
} ds_curve;

/* confidence: n, infinities allowed; wrong: n flags. n = 0 is allowed. O(n log n). */
ds_curve ds_curve_of(const double *confidence, const bool *wrong, size_t n);
void ds_curve_clear(ds_curve *curve);

/* Groups that are accepted at a threshold. */
size_t ds_curve_groups_at(const ds_curve *c, double threshold);
/* Groups that hold the `images` surest ones, all when they are fewer; at least one when there is one. */
size_t ds_curve_groups_of(const ds_curve *c, double images);

/* One way to cut: what is accepted at a threshold. */
typedef struct ds_cut {
    double threshold; /* accept confidence >= threshold; +INFINITY: nothing accepted */
    size_t accepted, errors;
    double coverage; /* accepted / n, NaN for n = 0 */
    double risk;     /* errors / accepted, NaN when nothing is accepted */
} ds_cut;

/* The cut at a threshold (NaN: all but NaN accepted); `threshold` of the result is the one asked for. */
ds_cut ds_cut_at_threshold(const ds_curve *c, double threshold);
/* Smallest whole-group acceptance with coverage >= `coverage` in (0, 1]; everything acceptable when NaNs
 * make that impossible. */
ds_cut ds_cut_at_coverage(const ds_curve *c, double coverage);
/* Largest acceptance whose risk <= `risk` in [0, 1]; nothing accepted when there is none. */
ds_cut ds_cut_at_risk(const ds_curve *c, double risk);

/* ---- metrics.c ---- */

/* NaN where undefined: all for n = 0; auroc when all are right or all wrong. NaN confidences rank last, as
 * one tie group. */
typedef struct ds_areas {
    double aurc;  /* mean over k of E_k / k, E linear inside a tie group */
    double eaurc; /* aurc minus that of the best order */
    double augrc; /* area under (k/n, E_k/n) from (0, 0) */
    double auroc; /* P(a right one is surer than a wrong one), ties 1/2 */
} ds_areas;
ds_areas ds_areas_of(const ds_curve *c);

/* Figures of class probabilities, gathered image by image so that no n x C array is needed.
 * Zero-initialise. */
enum { DS_BINS = 15 };
typedef struct ds_quality {
    size_t n;
    size_t right;     /* the label is the most probable class; a NaN never is */
    size_t right_top; /* the label is among the `top` most probable */
    double nll_sum, brier_sum;
    size_t bin_n[DS_BINS], bin_right[DS_BINS];
    double bin_confidence[DS_BINS]; /* sums; bins are (l, u], 0 goes into the first */
} ds_quality;
/* log_p: log-probabilities of C classes (double), label in 0 … C-1; `top` >= 1. */
void ds_quality_add(ds_quality *q, const double *log_p, int classes, int label, int top);
/* Means over the images, NaN for none. accuracy, top: shares; nll: nats; ece: mean gap of a bin. */
typedef struct ds_means {
    double accuracy, top, nll, brier, ece;
} ds_means;
ds_means ds_quality_means(const ds_quality *q);

/* ---- bounds.c: exact binomial tails ---- */

/* Pr[Bin(m, p) <= k], 0 <= p <= 1 (NaN outside), to about 1e-12 of its value for m up to 10 million.
 * O(sqrt(m)): the probability of k by Loader's saddle point form (2000), the others by their ratios. */
double ds_binomial_cdf(size_t k, size_t m, double p);
/* One-sided Clopper-Pearson bounds at confidence 1 - delta on a rate with k hits in m, 0 < delta < 1.
 * k = m gives upper 1, k = 0 lower 0, m = 0 thus lower 0 and upper 1. NaN for k > m or a delta outside. */
double ds_rate_upper(size_t k, size_t m, double delta);
double ds_rate_lower(size_t k, size_t m, double delta);

typedef struct ds_interval {
    double low, high; /* NaN, NaN: undefined */
} ds_interval;
/* Two-sided exact interval at `level` in (0, 1), e.g. .95: (1 - level)/2 on each side. Undefined for m =
 * 0. */
ds_interval ds_rate_interval(size_t k, size_t m, double level);

/* ---- guarantee.c: a threshold that keeps a promise ---- */

typedef struct ds_guarantee {
    bool feasible;
    ds_cut cut;           /* of the calibration images; nothing accepted when not feasible */
    double feasible_risk; /* `risk` when feasible, else the smallest of the risks above it that would be, in
                           * steps of three digits; NaN: none below 1 */
} ds_guarantee;
/* The threshold of which, with probability at least 1 - delta over the draw of the calibration images, the
 * error rate among accepted images of the same kind is at most `risk`. Fixed-sequence testing
 * (Learn-then-Test, Angelopoulos et al. 2021) with several starts and the fallback of Wiens & Dmitrienko
 * (2005), on the n images whose confidence is a number. Starts are the m0 2^s surest, s = 0 ... K-1, at
 * level .95 delta/K each, and all n at .05 delta; m0 = ceil(log(.95 delta/K) / log(1 - risk)), K the
 * largest with m0 2^(K-1) <= n/2, at least 1. A cut, always to the end of a tie group, passes when
 * Pr[Bin(accepted, risk) <= errors] is at most the level: those of the starts it takes in and, if the cut
 * tried before it has passed, the level of that one. After one that has passed the next is max(1,
 * floor(n/200)) images later, or at a start; after a failure at the next start. The largest that passed is
 * taken. 0 < risk < 1, 0 < delta < 1: not feasible outside. */
ds_guarantee ds_guarantee_at(const ds_curve *c, double risk, double delta);
