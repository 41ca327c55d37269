#include "select/answers.h"

/* The NLL is convex in b = 1/T: its first derivative is the mean of E[z] - z_label, its second the mean of
 * Var[z], both under softmax(b z). */
typedef struct slope {
    double first, second;
    size_t images, improvable; /* of finite NLL; of them with a larger logit than the label's */
} slope;

static void add_image(slope *s, const float *z, int classes, int label, double b)
{
    if (!ds_logits_valid(z, classes) || isinf(z[label]))
        return;
    double most = z[ds_argmax(z, classes)], sum = 0, sum_d = 0, sum_dd = 0;
    for (int j = 0; j < classes; j++) {
        double d = z[j] - most, x = exp(b * d);
        if (isinf(d))
            continue;
        sum += x;
        sum_d += x * d;
        sum_dd += x * d * d;
    }
    double mean = sum_d / sum;
    s->first += mean - (z[label] - most);
    s->second += sum_dd / sum - mean * mean;
    s->images++;
    s->improvable += z[label] < most;
}

/* In a fixed number of parts, so that the sum does not depend on the number of threads. */
static slope slope_at(const ds_answers *a, double b)
{
    enum { PARTS = 64 };
    slope part[PARTS] = {0}, total = {0};
#pragma omp parallel for schedule(dynamic)
    for (size_t k = 0; k < PARTS; k++) {
        slope s = {0};
        for (size_t i = k * a->n / PARTS; i < (k + 1) * a->n / PARTS; i++)
            add_image(&s, ds_answers_logits(a, i), a->classes, a->labels[i], b);
        part[k] = s;
    }
    for (int k = 0; k < PARTS; k++) {
        total.first += part[k].first;
        total.second += part[k].second;
        total.images += part[k].images;
        total.improvable += part[k].improvable;
    }
    return total;
}

static int check_minimum(const ds_answers *a, ds_error *e)
{
    slope at_zero = slope_at(a, 0);
    if (!at_zero.images)
        return ds_fail(e, DS_EINPUT, "a temperature cannot be fitted without images that have finite logits");
    if (!at_zero.improvable)
        return ds_fail(e, DS_EINPUT,
                       "a temperature cannot be fitted to images that are all right: the smaller the better");
    if (!(at_zero.first < 0))
        return ds_fail(e, DS_EINPUT,
                       "a temperature cannot be fitted to logits that do not point to the labels: the larger "
                       "the better");
    return DS_OK;
}

/* The root of the first derivative, which is negative at `low` and positive at `high`: Newton's method inside
 * the bracket. */
static double find_root(const ds_answers *a, double low, double high)
{
    double b = low + (high - low) / 2;
    for (int i = 0; i < 200; i++) {
        slope s = slope_at(a, b);
        double next = b - s.first / s.second;
        if (fabs(next - b) <= 1e-14 * b)
            return next;
        if (s.first < 0)
            low = b;
        else
            high = b;
        b = next > low && next < high ? next : low + (high - low) / 2;
        if (b == low || b == high)
            break;
    }
    return b;
}

int ds_temperature_fit(const ds_answers *a, double *temperature, ds_error *e)
{
    double low = 0, high = 1;
    DS_TRY(check_minimum(a, e));
    while (slope_at(a, high).first < 0) {
        low = high;
        high *= 2;
    }
    *temperature = 1 / find_root(a, low, high);
    return DS_OK;
}
