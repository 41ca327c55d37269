/* Does a promise still hold? Bets against it whose wealth is evidence, on plain numbers, image by image; O(1)
 * an image. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What bets have brought. While nothing has changed, E reaches 1/alpha, ever, with probability at most alpha,
 * and S reaches A within t images with probability at most t/A, whatever t. All members are doubles, so that
 * a state is an array. */
typedef struct ds_evidence {
    double log_e;      /* E, from 1: all from the beginning on; natural logarithm */
    double s;          /* S, from 0: changes that come late (Shiryaev-Roberts), never above 1e300 */
    double e_at, s_at; /* after how many images E reached 1/alpha and S the run length A; 0: not yet */
} ds_evidence;

/* Errors among accepted images: is their rate above the promised one? Begin with `risk`, in (0, 1). */
typedef struct ds_watch_risk {
    double risk, images, wrong;
    ds_evidence evidence;
} ds_watch_risk;

/* One more accepted image of known label. E <- E (1 + lambda (wrong - risk)), S <- (S + 1) (1 + lambda
 * (wrong - risk)), lambda = clip((m - risk) / (v + (m - risk)^2), 0, 1/2 / risk) with the mean m = (errors
 * before + risk) / (images before + 1) and the variance v = m (1 - m), Waudby-Smith & Ramdas (2024); for S
 * never below that of m = 2 risk, or S would grow by 1 with each image of a network that does better than
 * promised. True: an alarm that there was not before. 0 < alpha < 1, run_length > 0. */
bool ds_watch_label(ds_watch_risk *w, bool wrong, double alpha, double run_length);

/* Scores without labels: are they those of the calibration images? The sorted calibration scores part the
 * next one's places, `calib` + 1 gaps, into bins of as many gaps as can be. Without change the next image
 * falls into bin k with probability (gaps + counts) / (calib + 1 + images), exactly, for any finite
 * calibration set. */
enum { DS_WATCH_BINS = 50, DS_WATCH_BETS = 7 };
typedef struct ds_watch_score {
    double calib, bins, images;                                           /* calib 0: not watched */
    double bound[DS_WATCH_BINS], tie[DS_WATCH_BINS], gaps[DS_WATCH_BINS]; /* bin k: below bound k, tie k */
    double counts[DS_WATCH_BINS], recent[DS_WATCH_BINS]; /* images seen; those with fading memory */
    double log_e[DS_WATCH_BETS], s[DS_WATCH_BETS];       /* of each bet */
    ds_evidence evidence;                                /* E their mean, S their sum */
} ds_watch_score;

/* values: n scores, n > 0, NaN as the lowest; equal ones are ordered by the seed. */
void ds_watch_score_begin(ds_watch_score *w, const double *values, size_t n, uint64_t seed);
/* One more image; seed as at the beginning. Each of seven bets multiplies its wealth by q_k / p_k of the
 * image's bin k, p the probabilities above, q one of: p (1 + c (2 u - 1)) with c = -1, -.3, .3, 1 and u the
 * middle of the bin in (0, 1) by p; half p, half p within the lowest tenth; the same within the highest; the
 * last some 500 images, smoothed by 50 p. True: an alarm that there was not before. */
bool ds_watch_score_add(ds_watch_score *w, double value, uint64_t seed, double alpha, double run_length);
