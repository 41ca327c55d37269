#include "report/page.h"

#include <math.h>

static double edge(int b, int n, double low, double high)
{
    return b == n ? high : low + (high - low) * b / n;
}

void ds_bins_make(ds_bin *bins, int n, double low, double high)
{
    for (int b = 0; b < n; b++)
        bins[b] = (ds_bin){.low = edge(b, n, low, high), .high = edge(b + 1, n, low, high)};
}

int ds_bins_find(const ds_bin *bins, int n, double confidence)
{
    if (!(confidence >= bins[0].low && confidence <= bins[n - 1].high))
        return -1;
    int first = 0, last = n - 1;
    while (first < last) {
        int middle = (first + last) / 2;
        if (confidence <= bins[middle].high)
            last = middle;
        else
            first = middle + 1;
    }
    return first;
}

void ds_bins_add(ds_bin *bins, int n, const ds_answers *a)
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

static void find_range(const ds_answers *a, double *low, double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (size_t i = 0; i < a->n; i++) {
        double c = a->confidences[i];
        if (!isfinite(c))
            continue;
        *low = fmin(*low, c);
        *high = fmax(*high, c);
    }
}

static void copy_quality(ds_bin *bins, const ds_quality *q)
{
    for (int b = 0; b < DS_BINS; b++) {
        bins[b].n = q->bin_n[b];
        bins[b].right = q->bin_right[b];
        bins[b].confidence = q->bin_confidence[b];
    }
}

ds_page_bins ds_page_bins_of(const ds_page *p)
{
    ds_page_bins b = {0};
    double low, high;
    find_range(p->answers, &low, &high);
    bool unit = low >= 0 && high <= 1;
    b.reliable = p->answers->quality.n || (unit && low <= high);
    ds_bins_make(b.reliability, DS_BINS, 0, 1);
    if (p->answers->quality.n)
        copy_quality(b.reliability, &p->answers->quality);
    else if (b.reliable)
        ds_bins_add(b.reliability, DS_BINS, p->answers);
    if (unit || low > high) {
        low = 0;
        high = 1;
    } else if (low == high) {
        low -= 0.5 + fabs(low) * 0x1p-40;
        high += 0.5 + fabs(high) * 0x1p-40;
    }
    ds_bins_make(b.histogram, DS_HISTOGRAM, low, high);
    ds_bins_add(b.histogram, DS_HISTOGRAM, p->answers);
    return b;
}
