/* A layer with parameters: product (convolution, connected; none for [batchnorm]), batch normalisation or
 * bias, and what goes along in the same pass over memory: the other input of a shortcut, activation, max
 * pooling. Batch normalisation is the host's formula, variance over N - 1 and d = sqrt(v) + 1e-6, and the
 * exact gradient of it. */
#include "plugins/onednn/engine.h"

/* What follows a product keeps arrays of channels (blocks x block numbers, zero in padded channels) one after
 * the other in finish_buffer, and behind them the reductions of each plane (planes x 2 x block): y = scale x
 * + shift, the mean of x, dx = a g' + b + c x. */
enum { SCALE, SHIFT, MEAN, A, B, C, PARTS };

static size_t channels(const ds_plan *p, const ds_step *s)
{
    return (size_t)s->product.blocks * p->block;
}

static float *array(const ds_plan *p, const ds_step *s, int which)
{
    return (float *)ds_arena_at(&p->arena, s->finish_buffer) + (size_t)which * channels(p, s);
}

static float *part_of(const ds_plan *p, const ds_step *s, size_t plane)
{
    return array(p, s, PARTS) + plane * 2 * p->block;
}

/* The forward pass. */
static void lease_product(ds_plan *p, ds_step *s)
{
    size_t parts = p->train ? s->product.planes * 2 * p->block : 0;
    s->finish_buffer = ds_lease_always(p, (PARTS * channels(p, s) + parts) * sizeof(float));
    s->in_place = s->node->op != DS_OP_BATCHNORM && !s->pooled && !(p->train && s->node->normalized);
    if (s->node->op == DS_OP_BATCHNORM)
        s->product.value_buffer = s->inputs[0]->value_buffer;
    else if (s->in_place)
        s->product.value_buffer = s->out->value_buffer;
    else
        s->product.value_buffer =
            ds_arena_want(&p->arena, ds_tensor_bytes(&s->product), s->number, s->number);
    if (s->trains)
        ds_arena_extend(&p->arena, s->product.value_buffer, ds_backward_moment(p, s));
}

/* The sign of an output tells that of what came in; recomputing it from the product needs one array less. */
static bool needs_output(const ds_step *s)
{
    return !s->pooled && (s->inputs[1] || s->in_place || s->odd >= 0);
}

static void lease_gradients(ds_plan *p, ds_step *s)
{
    int now = ds_backward_moment(p, s);
    ds_tensor *other = s->inputs[1], *out = s->out;
    if (needs_output(s))
        ds_arena_extend(&p->arena, out->value_buffer, now);
    if (other && other->wants_gradient && other->contributions == 0) {
        s->shares_gradient = true;
        other->contributions = 1;
        other->grad_buffer[0] = out->grad_buffer[0];
        s->to[1] = (ds_target){.t = other, .arrival = 1};
    } else if (other)
        s->to[1] = ds_target_make(p, s, other, true);
    if (s->pooled || (s->node->normalized && s->shares_gradient))
        s->scratch_buffer = ds_arena_want(&p->arena, ds_tensor_bytes(&s->product), now, now);
    if (s->node->op == DS_OP_BATCHNORM)
        s->to[0] = ds_target_make(p, s, s->inputs[0], false);
}

static int make(ds_plan *p, ds_step *s, ds_error *e)
{
    const ds_node *node = s->node;
    s->product = s->pooled ? ds_tensor_shape(p, node->out_c, node->out_h, node->out_w) : *s->out;
    s->product.value_buffer = s->product.grad_buffer[0] = s->product.grad_buffer[1] = 0;
    s->conv_activates =
        !p->train && node->op == DS_OP_CONVOLUTION && s->odd < 0 && (!s->inputs[1] || s->add_in_place);
    lease_product(p, s);
    if (s->trains)
        lease_gradients(p, s);
    return node->op == DS_OP_BATCHNORM ? DS_OK : ds_product_make(p, s, e);
}

static ds_affine affine_at(const ds_plan *p, const ds_step *s, size_t plane, float slope)
{
    size_t at = plane % (size_t)s->product.blocks * p->block;
    return (ds_affine){array(p, s, SCALE) + at, array(p, s, SHIFT) + at, array(p, s, MEAN) + at, slope};
}

/* Channel f's two reductions of its plane in image b, `block` numbers apart. */
static const float *reduced(const ds_plan *p, const ds_step *s, int f, int b)
{
    size_t plane = (size_t)b * (size_t)s->product.blocks + (size_t)f / p->block;
    return part_of(p, s, plane) + (size_t)f % p->block;
}

/* Of channel f, its planes' (Chan, Golub, LeVeque 1979): mean, its square, variance. */
static void pool_moments(const ds_plan *p, const ds_step *s, int f, double *m)
{
    int batch = p->graph->batch;
    double places = (double)s->product.extent.places, sum = 0, squares = 0;
    for (int b = 0; b < batch; b++)
        sum += reduced(p, s, f, b)[0];
    m[0] = sum / batch;
    m[1] = m[0] * m[0];
    for (int b = 0; b < batch; b++) {
        const float *v = reduced(p, s, f, b);
        squares += v[p->block] + places * (v[0] - m[0]) * (v[0] - m[0]);
    }
    m[2] = squares / (places * batch - 1);
}

/* Of the parts of a larger batch, whose sums these are, one sample. */
static void join_parts(const ds_plan *p, const ds_step *s, double *m)
{
    const double k = p->graph->parts, n = (double)s->product.extent.places * p->graph->batch;
    const double mean = m[0] / k, between = fmax(0, m[1] - k * mean * mean);
    m[0] = mean;
    m[2] = ((n - 1) * m[2] + n * between) / (k * n - 1);
}

static void set_moments(const ds_node *node, int f, const double *m)
{
    node->mean[f] = (float)m[0];
    node->variance[f] = (float)m[2];
    node->rolling_mean[f] = .99f * node->rolling_mean[f] + .01f * node->mean[f];
    node->rolling_variance[f] = .99f * node->rolling_variance[f] + .01f * node->variance[f];
}

static void measure(const ds_plan *p, const ds_step *s)
{
    const ds_tensor *t = &s->product;
    const size_t n = 3 * (size_t)t->c;
    DS_FREED double *moments = DS_ALLOC(moments, n);
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (size_t i = 0; i < t->planes; i++)
            t->k->moments(ds_plane_at(t, t->value, i), t->extent, part_of(p, s, i),
                          part_of(p, s, i) + p->block);
#pragma omp for schedule(static)
        for (int f = 0; f < t->c; f++)
            pool_moments(p, s, f, moments + 3 * f);
    }
    if (p->graph->sum)
        p->graph->sum(moments, n);
    for (int f = 0; f < t->c; f++) {
        if (p->graph->sum)
            join_parts(p, s, moments + 3 * f);
        set_moments(s->node, f, moments + 3 * f);
    }
}

/* An inference convolution has batch normalisation and bias in its weights and bias. */
static bool is_folded(const ds_plan *p, const ds_step *s)
{
    return !p->train && s->node->op == DS_OP_CONVOLUTION;
}

static void set_affine(const ds_plan *p, const ds_step *s)
{
    const ds_node *node = s->node;
    bool folded = is_folded(p, s), normalized = node->normalized && !folded;
    const float *means = p->train ? node->mean : node->rolling_mean;
    const float *variances = p->train ? node->variance : node->rolling_variance;
    float *scale = array(p, s, SCALE), *shift = array(p, s, SHIFT), *mean = array(p, s, MEAN);
    for (int i = 0; i < s->product.c; i++) {
        mean[i] = normalized ? means[i] : 0;
        scale[i] = normalized ? node->scales[i] / (sqrtf(variances[i]) + .000001f) : 1;
        shift[i] = (folded || !node->biases ? 0 : node->biases[i]) - mean[i] * scale[i];
    }
}

static void normalize(const ds_plan *p, const ds_step *s)
{
    const ds_tensor *t = &s->product, *out = s->out;
    const void *other = s->inputs[1] && !s->add_in_place ? s->inputs[1]->value : NULL;
    float slope = s->conv_activates ? 1 : s->slope;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++) {
        ds_affine f = affine_at(p, s, i, slope);
        const void *x = ds_plane_at(t, t->value, i);
        void *y = ds_plane_at(out, out->value, i);
        if (s->pooled)
            t->k->normalize_pool(x, &s->pool, &f, y, ds_index_at(p, s, i));
        else
            t->k->normalize(x, ds_plane_at(t, other, i), t->extent, &f, y);
    }
}

/* A folded convolution has all in it but pooling, the other input where that must stay as it is, an
 * activation that it cannot do. */
static bool needs_finish(const ds_plan *p, const ds_step *s)
{
    return !is_folded(p, s) || s->pooled || (s->inputs[1] && !s->add_in_place) ||
           (!s->conv_activates && s->slope != 1);
}

static int forward(const ds_plan *p, ds_step *s)
{
    if (s->linear)
        DS_TRY(ds_product_forward(p, s));
    if (p->train && s->node->normalized)
        measure(p, s);
    if (needs_finish(p, s)) {
        set_affine(p, s);
        normalize(p, s);
    }
    ds_odd_activate(p, s);
    return DS_OK;
}

/* g' = the gradient behind the activation: its sums, and where `keep` says so itself, over g. */
static void reduce(const ds_plan *p, const ds_step *s, void *g, const void *g2, bool keep)
{
    const ds_tensor *t = &s->product;
    const void *y = needs_output(s) ? s->out->value : NULL;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++) {
        ds_affine f = affine_at(p, s, i, s->slope);
        ds_sums sums = {part_of(p, s, i), part_of(p, s, i) + p->block};
        const void *x = ds_plane_at(t, t->value, i);
        void *in = ds_plane_at(s->out, g, i);
        if (s->pooled)
            t->k->reduce_pool(x, in, ds_index_at(p, s, i), &s->pool, &f, &sums);
        else
            t->k->reduce(x, ds_plane_at(t, y, i), in, ds_plane_at(t, g2, i), t->extent, &f, &sums,
                         keep ? in : NULL);
    }
}

/* Of channel f: the sums of g' and g' (x - mean), and its parameters' gradients. */
static void collect(const ds_plan *p, const ds_step *s, int f, double *sums)
{
    const ds_node *node = s->node;
    sums[0] = sums[1] = 0;
    for (int b = 0; b < p->graph->batch; b++) {
        const float *v = reduced(p, s, f, b);
        sums[0] += v[0];
        sums[1] += v[p->block];
    }
    if (node->bias_updates)
        node->bias_updates[f] += (float)sums[0];
    if (node->normalized && node->scale_updates)
        node->scale_updates[f] += (float)(sums[1] / (sqrt(node->variance[f]) + 1e-6));
}

/* dx = a g' + b + c x = scale ((g' - sum/N) / d - (x - mean) dot / ((N-1) sqrt(v) d^2)) */
static void set_mix(const ds_plan *p, const ds_step *s, int f, const double *sums)
{
    const ds_node *node = s->node;
    const double parts = p->graph->sum ? p->graph->parts : 1;
    array(p, s, A)[f] = 1;
    if (!node->normalized)
        return;
    double count = (double)s->product.extent.places * p->graph->batch * parts;
    double root = sqrt(node->variance[f]), d = root + 1e-6, scale = node->scales[f];
    double slope = root > 0 ? scale * sums[1] / ((count - 1) * root * d * d) : 0;
    array(p, s, A)[f] = (float)(scale / d);
    array(p, s, B)[f] = (float)(slope * node->mean[f] - scale * sums[0] / count / d);
    array(p, s, C)[f] = (float)-slope;
}

static void collect_all(const ds_plan *p, const ds_step *s)
{
    const size_t n = 2 * (size_t)s->product.c;
    DS_FREED double *sums = DS_ALLOC(sums, n);
#pragma omp parallel for schedule(static) if (s->product.c * p->graph->batch > 4096)
    for (int f = 0; f < s->product.c; f++)
        collect(p, s, f, sums + 2 * f);
    if (p->graph->sum && s->node->normalized)
        p->graph->sum(sums, n);
    for (int f = 0; f < s->product.c; f++)
        set_mix(p, s, f, sums + 2 * f);
}

/* behind: g is g' already. */
static void spread(const ds_plan *p, const ds_step *s, const void *g, bool behind, void *dx)
{
    const ds_tensor *t = &s->product;
    const void *y = needs_output(s) ? s->out->value : NULL;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++) {
        size_t first = i % (size_t)t->blocks * p->block;
        ds_affine f = affine_at(p, s, i, behind ? 1 : s->slope);
        const ds_mix m = {array(p, s, A) + first, array(p, s, B) + first, array(p, s, C) + first};
        const void *x = ds_plane_at(t, t->value, i), *in = ds_plane_at(s->out, g, i);
        void *to = ds_plane_at(t, dx, i);
        if (s->pooled)
            t->k->gradient_pool(x, in, ds_index_at(p, s, i), &s->pool, &f, &m, to);
        else
            t->k->gradient(x, ds_plane_at(t, y, i), in, t->extent, &f, &m, to);
    }
}

static void pass_to_other(const ds_plan *p, const ds_step *s, const void *g)
{
    void *to = ds_target_open(p, &s->to[1]);
    if (to && !s->shares_gradient)
        ds_tensor_add(s->out, g, to);
    ds_target_close(p, &s->to[1]);
}

static int backward(const ds_plan *p, ds_step *s)
{
    const ds_node *node = s->node;
    bool join = s->pooled || s->odd >= 0;
    void *g = join ? ds_tensor_join(s->out) : s->out->grad[0];
    const void *g2 = join ? NULL : s->out->grad[1];
    ds_odd_gradient(p, s, g);
    bool keep = !s->pooled && (g2 || s->inputs[1] || (!node->normalized && s->slope != 1));
    reduce(p, s, g, g2, keep);
    collect_all(p, s);
    pass_to_other(p, s, g);
    /* to the input, to a scratch, or over g */
    void *dx = node->op == DS_OP_BATCHNORM ? ds_target_open(p, &s->to[0])
               : s->scratch_buffer         ? ds_arena_at(&p->arena, s->scratch_buffer)
                                           : g;
    if (dx && (node->normalized || s->pooled))
        spread(p, s, g, keep, dx);
    if (node->op != DS_OP_BATCHNORM)
        return ds_product_backward(p, s, dx);
    ds_target_close(p, &s->to[0]);
    return DS_OK;
}

const ds_step_kind ds_step_layer = {
    .name = "layer", .reads_input = true, .make = make, .forward = forward, .backward = backward};
