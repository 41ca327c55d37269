/* bound CFG [-batch N] [-size S] [-threads N]: the convolutions of a network alone, as oneDNN computes them: what a step would take if nothing
 * else took time.
 *
 *   train N    of each convolution the output, the gradient of the weights, and (but for those of the network's input) that of the input
 *   infer N    of each the output
 *
 * Each is computed by the fastest of the algorithms, as measured here first. Their inputs and outputs stay in
 * oneDNN's blocked layout (the network's input in Darknet's), the weights in that of the algorithm: no layout is changed. All share an
 * array of inputs, one of outputs and one of gradients: what lies in the cache is there for the next. */
#include "base/text.h"
#include "base/clock.h"
#include "base/memory.h"
#include "bench/serve.h"
#include "cli/flags.h"
#include "plugins/onednn/dnnl.h"
#include "plugins/onednn/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef struct task {
    ds_conv *conv; /* by spec.algorithm */
    ds_conv_spec spec;
    float *weights; /* the convolution's or their gradient; owned */
} task;

typedef struct work {
    task *tasks; /* n, in the order of a step */
    int n;
    float *input, *output, *gradient, *scratch; /* shared by all tasks */
    size_t input_bytes, output_bytes, scratch_bytes;
} work;

typedef struct state {
    ds_bench b;
    ds_dnnl *dnnl;
    work train, infer;
} state;

/* ---- memory ------------------------------------------------------------------------------------------------ */

/* Numbers of both signs, none of them near 0. NULL: no memory. */
static float *room(size_t bytes)
{
    enum { PAGE = 1 << 21 };
    size_t rounded = (bytes + PAGE) / PAGE * PAGE;
    float *v = aligned_alloc(PAGE, rounded);
    if (!v)
        ds_out_of_memory();
    madvise(v, rounded, MADV_HUGEPAGE); /* a wish */
    for (size_t i = 0; i < rounded / sizeof *v; i++)
        v[i] = (float)(i % 16) * .01f - .075f;
    return v;
}

static size_t blocked_bytes(int batch, int c, int h, int w)
{
    size_t block = (size_t)ds_kernels_get((int)ds_dnnl_isa())->block,
           blocks = ((size_t)c + block - 1) / block;
    return (size_t)batch * blocks * block * (size_t)h * (size_t)w * sizeof(float);
}

static void larger(size_t *a, size_t b)
{
    *a = b > *a ? b : *a;
}

static void get_memory(work *w)
{
    w->input = room(w->input_bytes);
    w->output = room(w->output_bytes);
    w->gradient = room(w->input_bytes);
    w->scratch = room(w->scratch_bytes);
}

static void release_work(work *w)
{
    for (int i = 0; i < w->n; i++) {
        ds_conv_free(w->tasks[i].conv);
        free(w->tasks[i].weights);
    }
    free(w->tasks);
    free(w->input);
    free(w->output);
    free(w->gradient);
    free(w->scratch);
}

/* ---- the list of a step ------------------------------------------------------------------------------------ */

static int number(const ds_section *s, const char *key, int otherwise)
{
    const char *value = ds_section_get(s, key);
    long long n;
    return value && ds_parse_int(value, &n) ? (int)n : otherwise;
}

static bool is_bf16(const ds_bench *b)
{
    return strcmp(ds_precision_flags[b->precision], "bf16") == 0;
}

static ds_conv_spec spec_of(const ds_bench *b, int layer, ds_conv_kind kind)
{
    const ds_section *s = &b->cfg->sections[layer + 1];
    const ds_shape *in = &b->cfg->shapes[layer], *out = &b->cfg->shapes[layer + 1];
    int size = number(s, "size", 1);
    bool bf16 = is_bf16(b);
    return (ds_conv_spec){.kind = kind,
                          .bf16 = bf16,
                          .block = ds_kernels_get((int)ds_dnnl_isa())->block,
                          .batch = b->batch,
                          .groups = number(s, "groups", 1),
                          .c = in->c,
                          .h = in->h,
                          .w = in->w,
                          .n = out->c,
                          .out_h = out->h,
                          .out_w = out->w,
                          .size = size,
                          .stride = number(s, "stride", 1),
                          .pad = number(s, "pad", 0) ? size / 2 : number(s, "padding", 0),
                          .plain_input = layer == 0 && in->c <= 3 && !bf16};
}

static bool is_convolution(const ds_bench *b, int layer)
{
    return strcmp(ds_section_kind(&b->cfg->sections[layer + 1]), "convolutional") == 0;
}

static void list(const ds_bench *b, work *w, ds_conv_kind kind, int layer)
{
    if (is_convolution(b, layer) && !(kind == DS_CONV_GRAD_DATA && layer == 0))
        w->tasks[w->n++] = (task){.spec = spec_of(b, layer, kind)};
}

static int list_all(const ds_bench *b, work *w, bool train, ds_error *e)
{
    int layers = b->cfg->n - 1;
    DS_ZALLOC(w->tasks, 3 * (size_t)layers);
    for (int i = 0; i < layers; i++)
        list(b, w, train ? DS_CONV_TRAIN : DS_CONV_INFER, i);
    for (int i = layers - 1; i >= 0 && train; i--) {
        list(b, w, DS_CONV_GRAD_WEIGHTS, i);
        list(b, w, DS_CONV_GRAD_DATA, i);
    }
    return w->n ? DS_OK : ds_fail(e, DS_EINPUT, "the network has no [convolutional]");
}

/* ---- choosing ---------------------------------------------------------------------------------------------- */

enum { ALGORITHMS = DS_CONV_TILES + 1 };

/* All algorithms of all tasks are made, to know how much memory they need. */
typedef struct rivals {
    ds_conv *by[ALGORITHMS]; /* NULL: oneDNN has it not */
} rivals;

static void measure_room(work *w, const ds_conv_spec *s, const ds_conv *c)
{
    larger(&w->input_bytes, blocked_bytes(s->batch, s->c, s->h, s->w));
    larger(&w->output_bytes, blocked_bytes(s->batch, s->n, s->out_h, s->out_w));
    larger(&w->scratch_bytes, ds_conv_scratch_bytes(c));
}

static int make_rivals(ds_dnnl *d, work *w, const ds_conv_spec *spec, rivals *r, ds_error *e)
{
    ds_conv_spec s = *spec;
    bool any = false;
    for (int i = 0; i < ALGORITHMS; i++) {
        s.algorithm = (ds_conv_algorithm)i;
        if (ds_conv_new(d, &s, &r->by[i], e))
            continue;
        any = true;
        measure_room(w, &s, r->by[i]);
    }
    return any ? DS_OK : e->code;
}

static int compute(const work *w, const task *t)
{
    return ds_conv_run(t->conv,
                       &(ds_conv_args){.input = t->spec.kind == DS_CONV_GRAD_DATA ? w->gradient : w->input,
                                       .output = w->output,
                                       .weights = t->weights,
                                       .bias = w->input,
                                       .scratch = w->scratch});
}

/* Seconds of task t by c, the best of a few; INFINITY: it does not work. */
static double time_of(const work *w, task *t, ds_conv *c)
{
    enum { RUNS = 4 };
    double best = INFINITY;
    t->conv = c;
    t->weights = c ? room(ds_conv_weights_bytes(c)) : NULL;
    for (int i = 0; i < RUNS && t->weights; i++) {
        double start = ds_now();
        if (compute(w, t))
            break;
        best = fmin(best, ds_now() - start);
    }
    free(t->weights);
    return best;
}

static int choose(const work *w, task *t, rivals *r, ds_error *e)
{
    double best = INFINITY;
    for (int i = 0; i < ALGORITHMS; i++) {
        double time = time_of(w, t, r->by[i]);
        if (time >= best)
            continue;
        best = time;
        t->spec.algorithm = (ds_conv_algorithm)i;
    }
    if (best == INFINITY)
        return ds_fail(e, DS_EHOST, "oneDNN failed in a convolution");
    t->conv = r->by[t->spec.algorithm];
    t->weights = room(ds_conv_weights_bytes(t->conv));
    r->by[t->spec.algorithm] = NULL;
    return DS_OK;
}

static int prepare(state *s, work *w, bool train, ds_error *e)
{
    int rc = list_all(&s->b, w, train, e);
    rivals *all = ds_xcalloc((size_t)w->n + 1, sizeof *all);
    for (int i = 0; i < w->n && !rc; i++)
        rc = make_rivals(s->dnnl, w, &w->tasks[i].spec, &all[i], e);
    if (!rc)
        get_memory(w);
    for (int i = 0; i < w->n && !rc; i++)
        rc = choose(w, &w->tasks[i], &all[i], e);
    for (int i = 0; i < w->n; i++)
        for (int j = 0; j < ALGORITHMS; j++)
            ds_conv_free(all[i].by[j]);
    free(all);
    return rc;
}

/* ---- steps ------------------------------------------------------------------------------------------------- */

static int prepare_train(void *arg, ds_error *e)
{
    state *s = arg;
    return prepare(s, &s->train, true, e);
}

static int prepare_infer(void *arg, ds_error *e)
{
    state *s = arg;
    return prepare(s, &s->infer, false, e);
}

static int run(const work *w, ds_error *e)
{
    for (int i = 0; i < w->n; i++)
        if (compute(w, &w->tasks[i]))
            return ds_fail(e, DS_EHOST, "oneDNN failed in a convolution");
    return DS_OK;
}

static int train(void *arg, ds_error *e)
{
    return run(&((state *)arg)->train, e);
}

static int infer(void *arg, ds_error *e)
{
    return run(&((state *)arg)->infer, e);
}

static void tell(const state *s, const work *w)
{
    int by[ALGORITHMS] = {0};
    for (int i = 0; i < w->n; i++)
        by[w->tasks[i].spec.algorithm]++;
    printf(" convolutions=%d winograd=%d lowered=%d tiles=%d engine=oneDNN %s", w->n, by[DS_CONV_WINOGRAD],
           by[DS_CONV_LOWERED], by[DS_CONV_TILES], ds_dnnl_describe(is_bf16(&s->b)));
}

static void tell_train(const void *arg, double seconds)
{
    (void)seconds;
    tell(arg, &((const state *)arg)->train);
}

static void tell_infer(const void *arg, double seconds)
{
    (void)seconds;
    tell(arg, &((const state *)arg)->infer);
}

static const ds_bench_mode modes[] = {
    {"train", prepare_train, NULL, train, tell_train},
    {"infer", prepare_infer, NULL, infer, tell_infer},
};

int main(int argc, char **argv)
{
    ds_error e = {0};
    state s = {0};
    int rc = ds_bench_open(&s.b, argc, argv, false, &e);
    if (!rc)
        rc = ds_dnnl_new(&s.dnnl, &e);
    if (!rc)
        rc = ds_bench_serve(&s.b, "bound", modes, sizeof modes / sizeof *modes, &s, &e);
    if (rc)
        ds_error_print(&e, stderr);
    release_work(&s.train);
    release_work(&s.infer);
    ds_dnnl_free(s.dnnl);
    ds_bench_close(&s.b);
    return ds_error_status(rc);
}
