/* Does a promise still hold? Bets against it whose wealth is evidence, on plain numbers, image by image; O(1)
 * an image. */
#ifndef DS_SELECT_WATCH_H
#define DS_SELECT_WATCH_H

#include <stdbool.h>

/* What bets have brought. While nothing has changed, E reaches 1/alpha, ever, with probability at most alpha,
 * and S reaches A within t images with probability at most t/A, whatever t. All members are numbers, so that
 * a state is written and read by a table. */
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

#endif
