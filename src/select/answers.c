#include "select/answers.h"

void ds_answers_clear(ds_answers *a)
{
    ds_free_texts(a->paths, a->n);
    ds_free_texts(a->names, a->classes);
    free(a->name);
    free(a->file);
    free(a->labels);
    free(a->predictions);
    free(a->confidences);
    free(a->wrong);
    free(a->logits);
    free(a->features);
    free(a->novelty);
    *a = (ds_answers){0};
}

const char *ds_answers_path(const ds_answers *a, size_t i)
{
    return a->paths ? a->paths[i] : "";
}

bool ds_answers_accepts(const ds_answers *a, size_t i, double threshold)
{
    const bool own = a->thresholds && a->predictions[i] >= 0;
    return ds_accepts(a->confidences[i], own ? a->thresholds[a->predictions[i]] : threshold);
}

bool ds_answers_unknown(const ds_answers *a, size_t i)
{
    return a->novelty && a->novelty[i] < a->novelty_rate;
}

static size_t row_of(const ds_answers *a)
{
    return (size_t)a->classes + a->abstain;
}

const float *ds_answers_logits(const ds_answers *a, size_t i)
{
    return a->logits + i * row_of(a);
}

void ds_answers_begin(ds_answers *a, bool keep_logits)
{
    a->predictions = ds_xrealloc(a->predictions, a->n, sizeof *a->predictions);
    a->confidences = ds_xrealloc(a->confidences, a->n, sizeof *a->confidences);
    if (a->labels)
        a->wrong = ds_xrealloc(a->wrong, a->n, sizeof *a->wrong);
    if (keep_logits)
        a->logits = ds_xrealloc(a->logits, a->n, row_of(a) * sizeof *a->logits);
    a->quality = (ds_quality){0};
}

static double confidence_of(const ds_answers *a, size_t i, const float *z, const ds_score *score)
{
    return ds_answers_unknown(a, i) ? NAN : ds_score_row(score, z, (int)row_of(a), a->abstain);
}

void ds_answers_put(ds_answers *a, size_t i, const float *z, const ds_score *score, double temperature,
                    int top)
{
    const size_t row = row_of(a);
    a->predictions[i] = ds_logits_valid(z, a->classes) ? ds_argmax(z, a->classes) : -1;
    a->confidences[i] = confidence_of(a, i, z, score);
    if (a->logits)
        memcpy(a->logits + i * row, z, row * sizeof *z);
    if (!a->labels)
        return;
    a->wrong[i] = a->predictions[i] != a->labels[i];
    DS_FREED double *log_p = DS_ALLOC(log_p, (size_t)a->classes);
    ds_log_softmax(z, a->classes, temperature, log_p);
    ds_quality_add(&a->quality, log_p, a->classes, a->labels[i], top);
}

void ds_answers_score(ds_answers *a, const ds_score *score)
{
    for (size_t i = 0; i < a->n; i++)
        a->confidences[i] = confidence_of(a, i, ds_answers_logits(a, i), score);
}

/* An array of elements of `size` bytes, or NULL, in the new order. */
static void *reordered(void *array, size_t size, const uint32_t *order, size_t n)
{
    if (!array)
        return NULL;
    char *to = ds_xrealloc(NULL, n, size);
    for (size_t i = 0; i < n; i++)
        memcpy(to + i * size, (char *)array + order[i] * size, size);
    free(array);
    return to;
}

void ds_answers_reorder(ds_answers *a, const uint32_t *order)
{
    a->paths = reordered(a->paths, sizeof *a->paths, order, a->n);
    a->labels = reordered(a->labels, sizeof *a->labels, order, a->n);
    a->predictions = reordered(a->predictions, sizeof *a->predictions, order, a->n);
    a->confidences = reordered(a->confidences, sizeof *a->confidences, order, a->n);
    a->wrong = reordered(a->wrong, sizeof *a->wrong, order, a->n);
    a->logits = reordered(a->logits, row_of(a) * sizeof *a->logits, order, a->n);
    a->features = reordered(a->features, a->row * sizeof *a->features, order, a->n);
    a->novelty = reordered(a->novelty, sizeof *a->novelty, order, a->n);
}

ds_answers ds_answers_part(const ds_answers *a, size_t from, size_t to)
{
    ds_answers part = *a;
    part.n = to - from;
    part.paths = a->paths ? a->paths + from : NULL;
    part.labels = a->labels ? a->labels + from : NULL;
    part.predictions = a->predictions ? a->predictions + from : NULL;
    part.confidences = a->confidences ? a->confidences + from : NULL;
    part.wrong = a->wrong ? a->wrong + from : NULL;
    part.logits = a->logits ? a->logits + from * row_of(a) : NULL;
    part.features = a->features ? a->features + from * a->row : NULL;
    part.novelty = a->novelty ? a->novelty + from : NULL;
    part.quality = (ds_quality){0};
    return part;
}
