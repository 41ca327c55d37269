/* Which labels of train= are likely to be wrong, by what a training has seen of its images (history.h). */
#pragma once

#include "cfg/cfg.h"
#include "data/data.h"

typedef struct ds_suspect {
    int image;    /* of ds_audit.images */
    int proposed; /* the other class that it was taken for last; the label itself: for none */
    double score; /* higher: more likely wrong */
    bool wrong;   /* by the truth, where there is one */
} ds_suspect;

/* Zero-initialise, clear in any case. */
typedef struct ds_audit {
    ds_datafile data;
    ds_cfg *cfg;
    ds_images images; /* of train= */
    ds_suspect *v;    /* n, the most suspicious first: the images that were trained on */
    int n;
    int flagged; /* the first ones, of positive scores: another class had the larger logit on average */
    /* With a truth: suspects whose label is wrong, proposals for them that are right, and P(one with a wrong
     * label is more suspicious than one with a right one). */
    int wrong, mended;
    double auroc;
} ds_audit;

/* checkpoint: a BASE.ckpt of `classifier train`. truth: a list of the same images, PATH<tab>LABEL, or NULL.
 * The score is minus the mean margin over the epochs (see ds_records), which found more than the share of
 * wrong epochs and than the soft labels of target=ema (bench/label_noise.md). DS_EINPUT: a checkpoint of
 * another cfg or another list, a truth without an image. */
int ds_audit_run(ds_audit *a, const char *data, const char *cfg, const char *checkpoint, const char *truth,
                 ds_notes *notes, ds_error *e);
void ds_audit_clear(ds_audit *a);
/* How many of the k most suspicious labels are wrong, by the truth. */
int ds_audit_hits(const ds_audit *a, int k);
