#include "select/select.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Doubles as integers whose ascending order is the descending order of the doubles; equal doubles (0 and -0
 * too) get equal keys. */
static uint64_t key_of(double confidence)
{
    uint64_t bits;
    confidence += 0.0;
    memcpy(&bits, &confidence, sizeof bits);
    return bits >> 63 ? bits : ~(bits | UINT64_C(1) << 63);
}

static double confidence_of(uint64_t key)
{
    uint64_t bits = key >> 63 ? key : ~(key | UINT64_C(1) << 63);
    double confidence;
    memcpy(&confidence, &bits, sizeof confidence);
    return confidence;
}

/* One pass by the byte at `shift`; false when all keys share that byte and nothing was moved. */
static bool radix_pass(const uint64_t *from, uint64_t *to, size_t n, int shift)
{
    size_t start[256] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++)
        start[from[i] >> shift & 255]++;
    if (start[from[0] >> shift & 255] == n)
        return false;
    for (int b = 0; b < 256; b++) {
        size_t count = start[b];
        start[b] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        to[start[from[i] >> shift & 255]++] = from[i];
    return true;
}

/* Ascending; scratch: n. */
static void sort_keys(uint64_t *keys, uint64_t *scratch, size_t n)
{
    uint64_t *from = keys, *to = scratch;
    for (int shift = 0; n > 1 && shift < 64; shift += 8) {
        if (!radix_pass(from, to, n, shift))
            continue;
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != keys)
        memcpy(keys, from, n * sizeof *keys);
}

/* Walk both sorted lists group by group; fills the arrays of `c` when it has them. Returns the number of
 * groups. */
static size_t merge(const uint64_t *right, size_t n_right, const uint64_t *wrong, size_t n_wrong, ds_curve *c)
{
    size_t r = 0, w = 0, groups = 0;
    while (r < n_right || w < n_wrong) {
        uint64_t key = r == n_right || (w < n_wrong && wrong[w] < right[r]) ? wrong[w] : right[r];
        while (r < n_right && right[r] == key)
            r++;
        while (w < n_wrong && wrong[w] == key)
            w++;
        if (c->threshold) {
            c->threshold[groups] = confidence_of(key);
            c->accepted[groups] = r + w;
            c->errors[groups] = w;
        }
        groups++;
    }
    return groups;
}

static int fill_groups(ds_curve *c, const uint64_t *right, size_t n_right, const uint64_t *wrong,
                       size_t n_wrong, ds_error *e)
{
    c->groups = merge(right, n_right, wrong, n_wrong, c);
    if (!c->groups)
        return DS_OK;
    c->threshold = malloc(c->groups * sizeof *c->threshold);
    c->accepted = malloc(c->groups * sizeof *c->accepted);
    c->errors = malloc(c->groups * sizeof *c->errors);
    if (!c->threshold || !c->accepted || !c->errors)
        return ds_fail_memory(e);
    merge(right, n_right, wrong, n_wrong, c);
    return DS_OK;
}

int ds_curve_make(const double *confidence, const bool *wrong, size_t n, ds_curve *curve, ds_error *e)
{
    *curve = (ds_curve){.n = n};
    if (n == 0)
        return DS_OK;
    if (n > SIZE_MAX / 2 / sizeof(uint64_t))
        return ds_fail_memory(e);
    uint64_t *keys = malloc(2 * n * sizeof *keys);
    if (!keys)
        return ds_fail_memory(e);
    /* Right ones from the front, wrong ones from the back: sorted apart, they need no flag beside the key. */
    size_t n_right = 0, n_wrong = 0;
    for (size_t i = 0; i < n; i++) {
        curve->wrong += wrong[i];
        if (isnan(confidence[i]))
            curve->n_nan++;
        else if (wrong[i])
            keys[n - ++n_wrong] = key_of(confidence[i]);
        else
            keys[n_right++] = key_of(confidence[i]);
    }
    sort_keys(keys, keys + n, n_right);
    sort_keys(keys + n - n_wrong, keys + n, n_wrong);
    int rc = fill_groups(curve, keys, n_right, keys + n - n_wrong, n_wrong, e);
    free(keys);
    if (rc)
        ds_curve_clear(curve);
    return rc;
}

void ds_curve_clear(ds_curve *curve)
{
    free(curve->threshold);
    free(curve->accepted);
    free(curve->errors);
    *curve = (ds_curve){0};
}

/* Accepting the first `groups` groups. */
static ds_cut cut_of(const ds_curve *c, size_t groups)
{
    ds_cut cut = {.threshold = INFINITY};
    if (groups) {
        cut.threshold = c->threshold[groups - 1];
        cut.accepted = c->accepted[groups - 1];
        cut.errors = c->errors[groups - 1];
    }
    cut.coverage = c->n ? (double)cut.accepted / (double)c->n : NAN;
    cut.risk = cut.accepted ? (double)cut.errors / (double)cut.accepted : NAN;
    return cut;
}

ds_cut ds_cut_at_threshold(const ds_curve *c, double threshold)
{
    size_t low = 0, high = c->groups;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ds_accepts(c->threshold[middle], threshold))
            low = middle + 1;
        else
            high = middle;
    }
    ds_cut cut = cut_of(c, low);
    cut.threshold = threshold;
    return cut;
}

/* fraction * count has two roundings; a product this far off an integer is meant to be that integer. */
static const double slack = 8 * DBL_EPSILON;

ds_cut ds_cut_at_coverage(const ds_curve *c, double coverage)
{
    double wanted = coverage * (double)c->n * (1 - slack);
    size_t low = 0, high = c->groups;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((double)c->accepted[middle] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return cut_of(c, low < c->groups ? low + 1 : c->groups);
}

ds_cut ds_cut_at_risk(const ds_curve *c, double risk)
{
    size_t groups = c->groups;
    while (groups && (double)c->errors[groups - 1] > risk * (double)c->accepted[groups - 1] * (1 + slack))
        groups--;
    return cut_of(c, groups);
}
