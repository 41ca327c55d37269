#include "plugins/onednn/algorithm.h"
#include "base/clock.h"

#include "base/file.h"
#include "base/text.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* ---- the rule ---------------------------------------------------------------------------------------------- */

/* Places that tiles of 4 x 4 cover, over the places that there are. */
static double waste(const ds_conv_spec *s)
{
    int tiles = ((s->out_h + 3) / 4) * ((s->out_w + 3) / 4);
    return 16.0 * tiles / (s->out_h * s->out_w);
}

/* Winograd's F(4x4, 3x3) needs 4 times fewer multiplications and, measured with oneDNN 2.6 and AVX-512, up to 2.6 times less time. It loses
 * where tiles stick out far, and, but for the gradient of the weights, where few channels are summed or one tile is the whole picture. */
static bool rule(const ds_conv_spec *s)
{
    enum { FEW_IMAGES = 8, FEW_CHANNELS = 32 };
    int summed = s->kind == DS_CONV_GRAD_DATA ? s->n : s->c;
    bool possible =
        s->size == 3 && s->stride == 1 && s->pad <= 1 && s->groups == 1 && s->c % 16 == 0 && s->n % 16 == 0;
    if (!possible || waste(s) > 1.8)
        return false;
    if (s->kind == DS_CONV_INFER &&
        s->batch < FEW_IMAGES) /* they do not pay for transforming the weights beforehand */
        return false;
    return s->kind == DS_CONV_GRAD_WEIGHTS || (summed >= FEW_CHANNELS && s->out_h > 3 && s->out_w > 3);
}

/* ---- answers that were measured ---------------------------------------------------------------------------- */

struct ds_tune {
    char *path, *header;
    char *text; /* lines "key algorithm", each after a newline */
    bool changed;
};

/* Shape and direction; what follows the convolution does not change its algorithm. */
static char *key_of(const ds_conv_spec *s)
{
    static const char *const kinds[] = {"forward", "inference", "grad-data", "grad-weights"};
    return ds_format("%s batch %d groups %d in %dx%dx%d out %dx%dx%d size %d stride %d pad %d",
                     kinds[s->kind], s->batch, s->groups, s->c, s->h, s->w, s->n, s->out_h, s->out_w, s->size,
                     s->stride, s->pad);
}

int ds_tune_new(const char *path, ds_tune **tune, ds_error *e)
{
    ds_tune *t = *tune = calloc(1, sizeof *t);
    if (!t)
        return ds_fail_memory(e);
    t->path = ds_strdup(path);
    t->header = ds_format("# fastest convolutions: oneDNN %s, %d threads\n", ds_dnnl_describe(),
                          omp_get_max_threads());
    char *text = NULL;
    ds_error missing;
    if (t->header && ds_file_read_text(path, "a file of measured algorithms", &text, &missing) == DS_OK &&
        strncmp(text, t->header, strlen(t->header)) == 0)
        t->text = ds_strdup(text);
    else if (t->header)
        t->text = ds_strdup(t->header);
    free(text);
    return t->path && t->text ? DS_OK : ds_fail_memory(e);
}

int ds_tune_save(ds_tune *t, ds_error *e)
{
    ds_writer w;
    int rc = t->changed ? ds_writer_open(&w, t->path, e) : DS_OK;
    if (rc || !t->changed)
        return rc;
    fputs(t->text, w.f);
    t->changed = false;
    return ds_writer_commit(&w, e);
}

void ds_tune_free(ds_tune *t)
{
    if (!t)
        return;
    free(t->path);
    free(t->header);
    free(t->text);
    free(t);
}

/* The algorithm of a key, or NULL. */
static const char *find(const ds_tune *t, const char *key)
{
    size_t n = strlen(key);
    for (const char *line = t->text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, n) == 0 && line[n] == ':')
            return line + n + 2;
    }
    return NULL;
}

static void add(ds_tune *t, const char *key, bool winograd, double direct_ms, double winograd_ms)
{
    char *text = ds_format("%s%s: %s (%.3f ms direct, %.3f ms Winograd)\n", t->text, key,
                           winograd ? "winograd" : "direct", direct_ms, winograd_ms);
    if (!text)
        return;
    free(t->text);
    t->text = text;
    t->changed = true;
}

/* ---- measuring --------------------------------------------------------------------------------------------- */

static void *room(size_t bytes)
{
    size_t rounded = (bytes + 64) / 64 * 64;
    void *v = aligned_alloc(64, rounded);
    if (v)
        memset(v, 0, rounded);
    return v;
}

static size_t blocked_bytes(int batch, int c, int h, int w)
{
    size_t block = (size_t)ds_dnnl_block(), blocks = ((size_t)c + block - 1) / block;
    return (size_t)batch * blocks * block * (size_t)h * (size_t)w * sizeof(float);
}

/* Milliseconds, the best of a few; INFINITY when it does not run. */
static double time_of(ds_conv *c, const ds_conv_args *a)
{
    enum { RUNS = 5 };
    double best = INFINITY;
    for (int i = 0; i < RUNS; i++) {
        double start = ds_now();
        if (ds_conv_run(c, a))
            return INFINITY;
        best = fmin(best, 1e3 * (ds_now() - start));
    }
    return best;
}

static double measure(ds_dnnl *d, const ds_conv_spec *spec, bool winograd)
{
    ds_conv_spec s = *spec;
    ds_conv *c;
    ds_error e;
    s.winograd = winograd;
    s.bias = s.add = s.activate = false;
    if (ds_conv_new(d, &s, &c, &e))
        return INFINITY;
    void *in = room(blocked_bytes(s.batch, s.c, s.h, s.w)),
         *out = room(blocked_bytes(s.batch, s.n, s.out_h, s.out_w));
    void *weights = room(ds_conv_weights_bytes(c)), *scratch = room(ds_conv_scratch_bytes(c));
    double ms = INFINITY;
    if (in && out && weights && scratch)
        ms = time_of(c, &(ds_conv_args){.input = in, .output = out, .weights = weights, .scratch = scratch});
    free(in);
    free(out);
    free(weights);
    free(scratch);
    ds_conv_free(c);
    return ms;
}

bool ds_algorithm_winograd(ds_tune *tune, ds_dnnl *d, const ds_conv_spec *spec)
{
    char *key = tune ? key_of(spec) : NULL;
    if (!key)
        return rule(spec);
    const char *known = find(tune, key);
    bool winograd = known && strncmp(known, "winograd", 8) == 0;
    if (!known) {
        double direct = measure(d, spec, false), other = measure(d, spec, true);
        winograd = other < direct;
        add(tune, key, winograd, direct, other);
    }
    free(key);
    return winograd;
}
