#include "report/page.h"

void ds_bins_make(ds_bin *bins, int n, double low, double high)
{
    for (int b = 0; b < n; b++)
        bins[b] = (ds_bin){.low = low + (high - low) * b / n,
                           .high = b + 1 == n ? high : low + (high - low) * (b + 1) / n};
}

int ds_bins_find(const ds_bin *bins, int n, double confidence)
{
    int b = 0;
    if (!(confidence >= bins[0].low && confidence <= bins[n - 1].high))
        return -1;
    while (confidence > bins[b].high)
        b++;
    return b;
}

/* Count the images; those outside of the bins are left out. */
static void add_images(ds_bin *bins, int n, const ds_answers *a)
{
    for (size_t i = 0; i < a->n; i++) {
        int b = ds_bins_find(bins, n, a->confidences[i]);
        if (b < 0)
            continue;
        bins[b].n++;
        bins[b].right += !a->wrong[i];
        bins[b].confidence += a->confidences[i];
    }
}

static void add_quality(ds_bin *bins, const ds_quality *q)
{
    for (int b = 0; b < DS_BINS; b++) {
        bins[b].n = q->bin_n[b];
        bins[b].right = q->bin_right[b];
        bins[b].confidence = q->bin_confidence[b];
    }
}

ds_page_bins ds_page_bins_of(const ds_answers *a)
{
    ds_page_bins b = {0};
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < a->n; i++)
        if (isfinite(a->confidences[i])) {
            low = fmin(low, a->confidences[i]);
            high = fmax(high, a->confidences[i]);
        }
    bool none = low > high, unit = low >= 0 && high <= 1;
    b.reliable = a->quality.n || (unit && !none);
    ds_bins_make(b.reliability, DS_BINS, 0, 1);
    if (a->quality.n)
        add_quality(b.reliability, &a->quality);
    else if (b.reliable)
        add_images(b.reliability, DS_BINS, a);
    /* one value alone is a range too */
    double margin = low == high ? 0.5 + fabs(low) * 0x1p-40 : 0;
    ds_bins_make(b.histogram, DS_HISTOGRAM, unit || none ? 0 : low - margin,
                 unit || none ? 1 : high + margin);
    add_images(b.histogram, DS_HISTOGRAM, a);
    return b;
}

static int surest_first(const void *a, const void *b, void *arg)
{
    const double *confidences = arg;
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    double x = confidences[i], y = confidences[j];
    if (isnan(x) != isnan(y))
        return isnan(x) ? 1 : -1;
    if (x > y || x < y)
        return x > y ? -1 : 1;
    return i < j ? -1 : i > j;
}

size_t *ds_page_order(const ds_answers *a)
{
    size_t *order = DS_ALLOC(order, a->n);
    for (size_t i = 0; i < a->n; i++)
        order[i] = i;
    qsort_r(order, a->n, sizeof *order, surest_first, a->confidences);
    return order;
}

ds_steps ds_steps_of(const ds_curve *c, size_t all, size_t most, size_t keep)
{
    ds_steps s = {.thinned = c->n > all && c->groups > most};
    double next = 0, stride = (double)c->n / (double)most;
    DS_ALLOC(s.group, c->groups);
    for (size_t g = 0; g < c->groups; g++) {
        bool needed = c->accepted[g] == keep || g + 1 == c->groups;
        if (s.thinned && (double)c->accepted[g] < next && !needed)
            continue;
        s.group[s.n++] = g;
        while (next <= (double)c->accepted[g])
            next += stride;
    }
    return s;
}

enum { REJECTED_MOST = 10000, LISTED_LEAST = 50 };

/* One way over the images: the first ones of a kind are listed, and pictured while pictures are left. */
typedef struct pass {
    bool mistakes, hits; /* the kind */
    bool from_the_back;
    long listed, pictured; /* how many at most */
} pass;

/* Returns how many pictures were left over. */
static long mark(const ds_answers *a, const size_t *order, pass p, unsigned char *marks)
{
    for (size_t k = 0; k < a->n && (p.listed > 0 || p.pictured > 0); k++) {
        size_t place = p.from_the_back ? a->n - 1 - k : k;
        if (!(a->wrong[order[place]] ? p.mistakes : p.hits))
            continue;
        if (p.listed-- > 0)
            marks[place] |= DS_LISTED;
        if (!(marks[place] & DS_PICTURED) && p.pictured > 0) {
            marks[place] |= DS_LISTED | DS_PICTURED;
            p.pictured--;
        }
    }
    return p.pictured;
}

void ds_gallery_mark(const ds_answers *a, double threshold, const size_t *order, int thumbs,
                     unsigned char *marks)
{
    long third = thumbs / 3, left = thumbs - 2 * third, listed = third > LISTED_LEAST ? third : LISTED_LEAST;
    left += mark(a, order, (pass){true, false, false, listed, third}, marks);
    left += mark(a, order, (pass){false, true, true, listed, third}, marks);
    mark(a, order, (pass){true, true, true, LISTED_LEAST, left}, marks);
    listed = REJECTED_MOST;
    for (size_t place = a->n; place-- > 0 && listed > 0;)
        if (!ds_answers_accepts(a, order[place], threshold)) {
            marks[place] |= DS_LISTED;
            listed--;
        }
}
