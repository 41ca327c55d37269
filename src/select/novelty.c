#include "select/novelty.h"
#include "select/search.h"
#include "base/safetensors.h"

#include <inttypes.h>

const char *const ds_novelty_names[DS_NOVELTIES + 1] = {"joint", "mahalanobis", "relative",
#define NAME(number, word, probability, help) word,
                                                        DS_CONFIDENCE_LIST(NAME)
#undef NAME
};

enum { ALL_DEPTHS, LAST_DEPTH, ROWS = 128, LANES = 16, COLUMNS = 4 };

/* A number of each of LANES images. */
typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float))));

/* What a score looks at, and which share of the distance to all images it takes off. */
static const struct {
    int depths;
    double share;
} ways[] = {
    [DS_JOINT] = {ALL_DEPTHS, .8}, [DS_MAHALANOBIS] = {LAST_DEPTH, 0}, [DS_RELATIVE] = {LAST_DEPTH, 1}};

/* The vectors of the machine at hand. */
#if defined __x86_64__ && !defined __SANITIZE_THREAD__ /* which does not survive their choice */
#define FAST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FAST
#endif

struct ds_novelty_fit {
    size_t n;        /* images */
    size_t *counts;  /* classes */
    double *sums;    /* classes x row */
    double *squares; /* row x row: sums of x x', lower triangle, column by column */
    double *rows;    /* row x ROWS: `waiting` images, the numbers of a feature side by side */
    int waiting;
};

void ds_novelty_clear(ds_novelty *v)
{
    for (int k = 0; k < 2; k++)
        free(v->clouds[k].centre);
    if (v->fit) {
        free(v->fit->counts);
        free(v->fit->sums);
        free(v->fit->squares);
        free(v->fit->rows);
    }
    free(v->fit);
    free(v->scores);
    free(v->path);
    *v = (ds_novelty){0};
}

/* Features of all depths, or of the last one, which stand at the end of a row. */
static size_t width(const ds_novelty *v, int depths)
{
    return depths == ALL_DEPTHS ? v->depths.row : (size_t)v->depths.channels[v->depths.n - 1];
}

/* Arrays of a cloud in one piece of memory. */
static size_t cloud_size(size_t c, size_t n)
{
    return c + c * c + c * n + n + n * n;
}

static ds_cloud cloud_in(float *memory, size_t c, size_t n)
{
    ds_cloud g = {.c = c, .n = n, .centre = memory};
    g.factor = g.centre + c;
    g.means = g.factor + c * c;
    g.squares = g.means + c * n;
    g.inner = g.squares + n;
    return g;
}

/* x = L^-1 x of some images at once, since L may be larger than a cache; factor: L, n x n, column by
 * column. COLUMNS of them a turn: each loads and stores the rest of x once. */
FAST static void substitute(const float *factor, size_t n, lanes *x)
{
    for (size_t j = 0; j < n; j += COLUMNS) {
        const size_t end = j + COLUMNS < n ? j + COLUMNS : n;
        for (size_t k = j; k < end; k++) {
            x[k] /= factor[k * n + k];
            for (size_t i = k + 1; i < end; i++)
                x[i] -= factor[k * n + i] * x[k];
        }
        const float *column = factor + j * n;
        for (size_t i = end; i < n; i++)
            x[i] -= column[i] * x[j] + column[n + i] * x[j + 1] + column[2 * n + i] * x[j + 2] +
                    column[3 * n + i] * x[j + 3];
    }
}

/* u = M'z */
FAST static void project(const ds_cloud *g, const lanes *z, lanes *u)
{
    for (size_t i = 0; i < g->c; i++)
        for (size_t m = 0; m < g->n; m++)
            u[m] += g->means[i * g->n + m] * z[i];
}

static void square(const lanes *x, size_t n, lanes *sum)
{
    *sum = (lanes){0};
    for (size_t i = 0; i < n; i++)
        *sum += x[i] * x[i];
}

/* Of n images, LANES at most, rows of `row` features. */
static void distances(const ds_cloud *g, const float *features, size_t row, size_t n, double share, double *d)
{
    DS_FREED lanes *z = DS_ZALLOC(z, g->c + g->n);
    lanes *u = z + g->c, length, all;
    for (size_t i = 0; i < g->c; i++)
        for (size_t b = 0; b < n; b++)
            z[i][b] = features[b * row + i] - g->centre[i];
    substitute(g->factor, g->c, z);
    project(g, z, u);
    square(z, g->c, &length);
    for (size_t b = 0; b < n; b++) {
        d[b] = INFINITY;
        for (size_t m = 0; m < g->n; m++)
            d[b] = fmin(d[b], length[b] + g->squares[m] - 2 * u[m][b]);
    }
    substitute(g->inner, g->n, u);
    square(u, g->n, &all);
    for (size_t b = 0; b < n; b++)
        d[b] -= share * (length[b] - all[b]);
}

void ds_novelty_scores(const ds_novelty *v, ds_novelty_kind kind, const float *features, const float *logits,
                       int n, bool abstain, size_t images, double *scores)
{
    const size_t row = v->depths.row;
    const ds_score s = {(ds_confidence)(kind - DS_NOVELTY_CONFIDENCES), 1, 2};
    const ds_cloud *g = kind < DS_NOVELTY_CONFIDENCES ? &v->clouds[ways[kind].depths] : NULL;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < images; i += LANES) {
        const size_t m = images - i < LANES ? images - i : LANES;
        if (g)
            distances(g, features + i * row + row - g->c, row, m, ways[kind].share, scores + i);
        for (size_t b = i; b < i + m; b++) {
            if (!g)
                scores[b] = -ds_score_row(&s, logits + b * (size_t)n, n, abstain);
            if (isnan(scores[b]))
                scores[b] = INFINITY;
        }
    }
}

void ds_novelty_rank(ds_novelty *v, double *scores, size_t n)
{
    free(v->scores);
    v->scores = scores;
    v->n_scores = n;
    qsort(scores, n, sizeof *scores, ds_ascending);
}

double ds_novelty_p(const ds_novelty *v, double score)
{
    const size_t smaller = DS_FIRST(i, v->n_scores, !(v->scores[i] < score));
    return (double)(1 + v->n_scores - smaller) / (double)(v->n_scores + 1);
}

size_t ds_novelty_ranks(size_t n, double rate)
{
    size_t k = (size_t)(rate * (double)(n + 1)) + 1;
    while (k > 0 && !((double)k / (double)(n + 1) < rate))
        k--;
    return k;
}

int ds_novelty_begin(ds_novelty *v, ds_error *e)
{
    const size_t row = v->depths.row;
    if (row > DS_MOST_FEATURES)
        return ds_fail(e, DS_EINPUT, "the network gives %zu features, expected %d at most for -novelty", row,
                       DS_MOST_FEATURES);
    struct ds_novelty_fit *f = DS_ZALLOC(v->fit, 1);
    DS_ZALLOC(f->counts, (size_t)v->classes);
    DS_ZALLOC(f->sums, (size_t)v->classes * row);
    DS_ZALLOC(f->squares, row * row);
    DS_ZALLOC(f->rows, row * ROWS);
    return DS_OK;
}

static void add_squares(struct ds_novelty_fit *f, size_t row)
{
#pragma omp parallel for schedule(dynamic, 8)
    for (size_t j = 0; j < row; j++)
        for (size_t i = j; i < row; i++) {
            const double *x = f->rows + i * ROWS, *y = f->rows + j * ROWS;
            double sum = 0;
#pragma omp simd reduction(+ : sum)
            for (size_t b = 0; b < ROWS; b++)
                sum += x[b] * y[b];
            f->squares[j * row + i] += sum;
        }
    memset(f->rows, 0, row * ROWS * sizeof *f->rows);
    f->waiting = 0;
}

void ds_novelty_add(ds_novelty *v, int label, const float *features)
{
    struct ds_novelty_fit *f = v->fit;
    const size_t row = v->depths.row;
    for (size_t i = 0; i < row; i++) {
        f->sums[(size_t)label * row + i] += features[i];
        f->rows[i * ROWS + (size_t)f->waiting] = features[i];
    }
    f->counts[label]++;
    f->n++;
    if (++f->waiting == ROWS)
        add_squares(f, row);
}

/* L of L L' = s, n x n, lower triangles, column by column; false: there is none. */
static bool factorize(double *s, size_t n, float *factor)
{
    for (size_t j = 0; j < n; j++) {
        double *column = s + j * n;
        const double root = sqrt(column[j]);
        if (!(root > 0))
            return false;
        column[j] = root;
        for (size_t i = j + 1; i < n; i++)
            column[i] /= root;
#pragma omp parallel for schedule(static) if (n - j > 64)
        for (size_t k = j + 1; k < n; k++)
            for (size_t i = k; i < n; i++)
                s[k * n + i] -= column[k] * column[i];
    }
    for (size_t i = 0; i < n * n; i++)
        factor[i] = (float)s[i];
    return true;
}

/* The covariance about the classes' means. A part of each feature's variance is added, so that those that
 * nearly stand still do not decide alone. */
static void covariance(const ds_novelty *v, size_t c, const double *centre, const double *means, double *s)
{
    const struct ds_novelty_fit *f = v->fit;
    const size_t row = v->depths.row, from = row - c;
    const double n = (double)f->n;
    DS_FREED double *variances = DS_ALLOC(variances, c);
    double mean = 0, ratio = 0;
    for (size_t j = 0; j < c; j++) {
        const double *squares = f->squares + (from + j) * row + from;
        for (size_t i = j; i < c; i++) {
            s[j * c + i] = squares[i] / n;
            for (size_t m = 0; m < (size_t)v->classes; m++)
                s[j * c + i] -= (double)f->counts[m] / n * means[m * c + i] * means[m * c + j];
        }
        variances[j] = squares[j] / n - centre[j] * centre[j];
        mean += variances[j] / (double)c;
    }
    for (size_t i = 0; i < c; i++)
        ratio += s[i * c + i] / (variances[i] + 1e-6 * mean) / (double)c;
    for (size_t i = 0; i < c; i++)
        s[i * c + i] += .01 * ratio * (variances[i] + 1e-6 * mean);
}

/* The means (n x c, about the centre) become M. */
static bool whiten(const struct ds_novelty_fit *f, ds_cloud *g, double *means)
{
    const size_t c = g->c, n = g->n;
    DS_FREED double *s = DS_ZALLOC(s, n * n);
    DS_FREED lanes *z = DS_ZALLOC(z, c);
    for (size_t m = 0; m < n; m++) {
        lanes length;
        for (size_t i = 0; i < c; i++)
            z[i][0] = means[m * c + i];
        substitute(g->factor, c, z);
        square(z, c, &length);
        for (size_t i = 0; i < c; i++) {
            means[m * c + i] = z[i][0];
            g->means[i * n + m] = (float)z[i][0];
        }
        g->squares[m] = f->counts[m] ? (float)length[0] : INFINITY;
        s[m * n + m] = (double)f->n / (double)f->counts[m];
    }
    for (size_t k = 0; k < c; k++)
        for (size_t j = 0; j < n; j++)
            for (size_t i = j; i < n; i++)
                s[j * n + i] += means[i * c + k] * means[j * c + k];
    return factorize(s, n, g->inner);
}

static bool make_cloud(const ds_novelty *v, ds_cloud *g, size_t c)
{
    const struct ds_novelty_fit *f = v->fit;
    const size_t n = (size_t)v->classes, row = v->depths.row;
    DS_FREED double *centre = DS_ZALLOC(centre, c), *means = DS_ZALLOC(means, n * c),
                    *s = DS_ZALLOC(s, c * c);
    float *memory = DS_ZALLOC(memory, cloud_size(c, n));
    *g = cloud_in(memory, c, n);
    for (size_t m = 0; m < n; m++)
        for (size_t i = 0; i < c; i++) {
            const double sum = f->sums[m * row + row - c + i];
            centre[i] += sum / (double)f->n;
            means[m * c + i] = f->counts[m] ? sum / (double)f->counts[m] : 0;
        }
    covariance(v, c, centre, means, s);
    for (size_t i = 0; i < c; i++) {
        g->centre[i] = (float)centre[i];
        for (size_t m = 0; m < n; m++)
            means[m * c + i] = f->counts[m] ? means[m * c + i] - centre[i] : 0;
    }
    return factorize(s, c, g->factor) && whiten(f, g, means);
}

int ds_novelty_finish(ds_novelty *v, ds_error *e)
{
    add_squares(v->fit, v->depths.row);
    for (int k = ALL_DEPTHS; k <= LAST_DEPTH; k++)
        if (!make_cloud(v, &v->clouds[k], width(v, k)))
            return ds_fail(
                e, DS_EINPUT,
                "the features of the training images do not vary or are no numbers, expected those of a "
                "trained network for -novelty");
    return DS_OK;
}

/* What the kind of score needs: two arrays, or the scores alone. */
static int list_arrays(const ds_novelty *v, ds_saved arrays[2])
{
    arrays[0] = (ds_saved){"scores", "F64", v->n_scores, 1, v->scores};
    if (v->kind >= DS_NOVELTY_CONFIDENCES)
        return 1;
    const ds_cloud *g = &v->clouds[ways[v->kind].depths];
    arrays[1] = (ds_saved){"cloud", "F32", cloud_size(g->c, g->n), 1, g->centre};
    return 2;
}

/* What a network must have in common with the file: "layers 1 (32), 4 (64); 10 classes". Fresh memory. */
static char *shape_text(const ds_novelty *v)
{
    char *text;
    FILE *f = ds_memstream(&text, NULL);
    for (int k = 0; k < v->depths.n; k++)
        fprintf(f, "%s %d (%d)", k ? "," : "layers", v->depths.layer[k], v->depths.channels[k]);
    fprintf(f, "; %d classes", v->classes);
    fclose(f);
    return text;
}

int ds_novelty_write(const ds_novelty *v, const char *path, ds_error *e)
{
    ds_saved arrays[2];
    DS_FREED char *shape = shape_text(v), *weights = ds_format("%016" PRIx64, v->weights);
    json_auto_t *texts = json_pack("{s: s, s: s, s: s}", "score", ds_novelty_names[v->kind], "features",
                                   shape, "weights", weights);
    return ds_saved_write(path, texts, arrays, list_arrays(v, arrays), false, e);
}

static int read_texts(ds_novelty *v, const ds_saved_file *f, ds_error *e)
{
    const char *kind = "", *found = "", *weights = "";
    json_unpack(json_object_get(f->header, "__metadata__"), "{s: s, s: s, s: s}", "score", &kind, "features",
                &found, "weights", &weights);
    for (v->kind = 0; v->kind < DS_NOVELTIES && strcmp(ds_novelty_names[v->kind], kind) != 0;)
        v->kind++;
    v->weights = strtoull(weights, NULL, 16);
    DS_FREED char *shape = shape_text(v);
    if (v->kind < DS_NOVELTIES && strcmp(shape, found) == 0)
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, f->path, 0,
                      "holds score '%.40s' of a network with features of '%.300s', expected %s", kind, found,
                      shape);
}

/* Of a class without images some numbers are infinite. */
static int check_values(const ds_novelty *v, const ds_saved_file *f, ds_error *e)
{
    bool fine = !isnan(v->scores[0]);
    for (size_t i = 1; i < v->n_scores; i++)
        fine = fine && v->scores[i - 1] <= v->scores[i];
    const ds_cloud *g = &v->clouds[v->kind < DS_NOVELTY_CONFIDENCES ? ways[v->kind].depths : 0];
    for (size_t i = 0; i < cloud_size(g->c, g->n); i++)
        fine = fine && !isnan(g->centre[i]) && (isfinite(g->centre[i]) || g->centre + i >= g->squares);
    for (size_t i = 0; i < g->c; i++)
        fine = fine && g->factor[i * g->c + i] > 0;
    for (size_t i = 0; i < g->n; i++)
        fine = fine && g->inner[i * g->n + i] > 0;
    return fine ? DS_OK
                : ds_fail_at(e, DS_EINPUT, f->path, 0,
                             "holds numbers that are none of a score, expected a .novelty file");
}

/* Memory for what the file says it holds. */
static int read_arrays(ds_novelty *v, const ds_saved_file *f, ds_error *e)
{
    ds_saved arrays[2];
    v->n_scores = ds_saved_rows(f, "scores");
    if (v->n_scores == 0)
        return ds_fail_at(e, DS_EINPUT, f->path, 0, "has no scores, expected a .novelty file");
    DS_ALLOC(v->scores, v->n_scores);
    if (v->kind < DS_NOVELTY_CONFIDENCES) {
        const int which = ways[v->kind].depths;
        const size_t c = width(v, which), n = (size_t)v->classes;
        float *memory = DS_ALLOC(memory, cloud_size(c, n));
        v->clouds[which] = cloud_in(memory, c, n);
    }
    for (int i = 0, n = list_arrays(v, arrays); i < n; i++)
        DS_TRY(ds_saved_read(f, &arrays[i], e));
    return check_values(v, f, e);
}

int ds_novelty_read(ds_novelty *v, const char *path, ds_error *e)
{
    DS_FINALLY(ds_saved_close) ds_saved_file f = {0};
    v->path = ds_strdup(path);
    DS_TRY(ds_saved_open(&f, ds_strdup(path), "a .novelty file", e));
    DS_TRY(read_texts(v, &f, e));
    return read_arrays(v, &f, e);
}

uint64_t ds_novelty_hash(const ds_novelty *v)
{
    ds_saved arrays[2];
    uint64_t hash = DS_HASH;
    for (int i = 0, n = list_arrays(v, arrays); i < n; i++)
        hash = ds_hash(hash, arrays[i].values, ds_saved_bytes(&arrays[i]));
    return hash;
}
