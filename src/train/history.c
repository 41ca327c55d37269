#include "train/history.h"
#include "select/select.h"

ds_records ds_records_new(size_t n)
{
    ds_records r = {.n = n};
    DS_ZALLOC(r.predictions, n);
    DS_ZALLOC(r.visits, 2 * n);
    DS_ZALLOC(r.means, 2 * n);
    return r;
}

void ds_records_clear(ds_records *r)
{
    free(r->predictions);
    free(r->visits);
    free(r->means);
    *r = (ds_records){0};
}

static double margin(const float *z, int classes, int label)
{
    double other = -INFINITY;
    for (int j = 0; j < classes; j++)
        if (j != label && z[j] > other)
            other = z[j];
    return z[label] - other;
}

/* log Σ e^x - Σ x e^x / Σ e^x, x = z - z[top]. */
static double entropy(const float *z, int classes, int top)
{
    double sum = 1, weighted = 0;
    for (int j = 0; j < classes; j++) {
        const double x = (double)z[j] - z[top], p = exp(x);
        sum += j == top ? 0 : p;
        weighted += p > 0 ? x * p : 0;
    }
    return log(sum) - weighted / sum;
}

static void add(float *mean, double value, int visits)
{
    *mean = (float)(*mean + (value - *mean) / visits);
}

/* One image; is the prediction right? */
static bool visit(ds_records *r, const float *z, int classes, int label, size_t id)
{
    uint16_t *visits = r->visits + 2 * id;
    float *means = r->means + 2 * id;
    const int prediction = ds_argmax(z, classes);
    const bool right = prediction == label;
    if (!visits[0])
        r->predictions[id] = (uint32_t)label;
    if (visits[0] == UINT16_MAX) { /* the shares stay */
        visits[0] /= 2;
        visits[1] /= 2;
    }
    visits[0]++;
    visits[1] = (uint16_t)(visits[1] + !right);
    r->predictions[id] = right ? r->predictions[id] | DS_RECORD_RIGHT : (uint32_t)prediction;
    add(&means[0], margin(z, classes, label), visits[0]);
    add(&means[1], entropy(z, classes, prediction), visits[0]);
    return right;
}

uint64_t ds_records_visit(ds_records *r, const float *z, int row, int classes, const int *labels,
                          const uint32_t *ids, int images)
{
    uint64_t right = 0;
    for (int i = 0; i < images; i++)
        right += visit(r, z + (size_t)i * (size_t)row, classes, labels[i], ids[i]);
    return right;
}

void ds_records_arrays(const ds_records *r, ds_saved *arrays)
{
    arrays[0] = (ds_saved){"images.predictions", "U32", r->n, 1, r->predictions};
    arrays[1] = (ds_saved){"images.visits", "U16", r->n, 2, r->visits};
    arrays[2] = (ds_saved){"images.means", "F32", r->n, 2, r->means};
}

/* ---- rows follow their images ---- */

typedef struct place {
    uint64_t key;
    size_t row;
} place;

static int by_key(const void *a, const void *b)
{
    const uint64_t x = ((const place *)a)->key, y = ((const place *)b)->key;
    return (x > y) - (x < y);
}

int ds_images_find(const ds_images *images, const uint64_t *keys, size_t n, size_t *rows)
{
    const bool same = n == (size_t)images->n && !memcmp(keys, images->keys, n * sizeof *keys);
    DS_FREED place *all = DS_ALLOC(all, n);
    int fresh = 0;
    for (size_t i = 0; i < n; i++)
        all[i] = (place){keys[i], i};
    qsort(all, n, sizeof *all, by_key);
    for (int i = 0; i < images->n; i++) {
        const place wanted = {images->keys[i], (size_t)i}, /* a list may have an image twice */
            *found = same ? &wanted : bsearch(&wanted, all, n, sizeof *all, by_key);
        rows[i] = found ? found->row : n;
        fresh += !found;
    }
    return fresh;
}

int ds_saved_find(const ds_saved_file *f, const ds_images *images, size_t *rows, int *fresh, ds_error *e)
{
    const size_t n = ds_saved_rows(f, "images");
    DS_FREED uint64_t *keys = DS_ALLOC(keys, n);
    DS_TRY(ds_saved_read(f, &(ds_saved){"images", "U64", n, 1, keys}, e));
    *fresh = ds_images_find(images, keys, n, rows);
    return DS_OK;
}

static int follow(const ds_saved_file *f, const ds_saved *to, const size_t *rows, ds_error *e)
{
    const size_t n = ds_saved_rows(f, "images"), size = ds_saved_bytes(to) / to->rows;
    DS_FREED char *values = ds_xmalloc(n && f->n / n >= size ? size * n : 0);
    ds_saved from = *to;
    from.rows = n;
    from.values = values;
    DS_TRY(ds_saved_read(f, &from, e));
    for (size_t i = 0; i < to->rows; i++)
        if (rows[i] < n)
            memcpy((char *)to->values + i * size, values + rows[i] * size, size);
    return DS_OK;
}

int ds_saved_follow(const ds_saved_file *f, const ds_saved *arrays, int n, const size_t *rows, ds_error *e)
{
    for (int i = 0; i < n; i++)
        DS_TRY(follow(f, &arrays[i], rows, e));
    return DS_OK;
}
