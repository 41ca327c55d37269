/* A layer with parameters: product (convolution, connected; none for [batchnorm]), batch normalisation or bias, and what goes along in the
 * same pass over memory: the other input of a shortcut, activation, max pooling. Batch normalisation is the host's formula, variance over
 * N - 1 and d = sqrt(v) + 1e-6, and the exact gradient of it. */
#include "plugins/onednn/engine.h"

#include <math.h>
#include <stdlib.h>

/* ---- making ------------------------------------------------------------------------------------------------ */

static float *channel_array(const ds_plan *p, const ds_tensor *t)
{
    size_t bytes = (size_t)t->blocks * (size_t)p->k->block * sizeof(float), rounded = (bytes + 63) / 64 * 64;
    float *v = aligned_alloc(64, rounded);
    for (size_t i = 0; v && i < rounded / sizeof(float); i++)
        v[i] = 0;
    return v;
}

static int make_arrays(const ds_plan *p, ds_step *s, ds_error *e)
{
    ds_finish *f = &s->finish;
    float **const all[] = {&f->scale, &f->shift, &f->mean, &f->a, &f->b, &f->c};
    bool ok = true;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ok &= (*all[i] = channel_array(p, &s->product)) != NULL;
    size_t parts = s->product.planes * 2 * (size_t)p->k->block * sizeof(float);
    f->parts = p->train ? aligned_alloc(64, (parts + 63) / 64 * 64) : NULL;
    return ok && (f->parts || !p->train) ? DS_OK : ds_fail_memory(e);
}

/* The forward pass. */
static void lease_product(ds_plan *p, ds_step *s)
{
    s->in_place = !s->pooled && !(p->train && s->node->normalized);
    if (s->node->op == DS_OP_BATCHNORM) {
        s->in_place = false;
        s->product.value_buffer = s->inputs[0]->value_buffer;
    } else if (s->in_place)
        s->product.value_buffer = s->out->value_buffer;
    else
        s->product.value_buffer =
            ds_arena_want(&p->arena, ds_tensor_bytes(&s->product), s->number, s->number);
    if (s->trains)
        ds_arena_extend(&p->arena, s->product.value_buffer, ds_backward_moment(p, s));
    if (s->pooled)
        ds_lease_index(p, s);
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
    bool product = node->op != DS_OP_BATCHNORM;
    s->product = s->pooled ? ds_tensor_shape(p, node->out_c, node->out_h, node->out_w) : *s->out;
    s->product.value_buffer = s->product.grad_buffer[0] = s->product.grad_buffer[1] = 0;
    s->conv_activates =
        !p->train && node->op == DS_OP_CONVOLUTION && s->odd < 0 && (!s->inputs[1] || s->add_in_place);
    int rc = make_arrays(p, s, e);
    if (rc)
        return rc;
    lease_product(p, s);
    if (s->trains)
        lease_gradients(p, s);
    return product ? ds_product_make(p, s, e) : DS_OK;
}

static void release(ds_step *s)
{
    ds_finish *f = &s->finish;
    float *const all[] = {f->scale, f->shift, f->mean, f->a, f->b, f->c, f->parts};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    ds_product_free(s->linear);
}

/* ---- forward ----------------------------------------------------------------------------------------------- */

static float *part_of(const ds_plan *p, const ds_step *s, size_t plane)
{
    return s->finish.parts + plane * 2 * (size_t)p->k->block;
}

/* Mean and variance of channel f from those of its planes (Chan, Golub, LeVeque 1979). */
static void pool_moments(const ds_plan *p, const ds_step *s, int f)
{
    const ds_node *node = s->node;
    int block = p->k->block, batch = p->graph->batch;
    double places = (double)s->product.places, sum = 0, squares = 0, count = places * batch;
    for (int b = 0; b < batch; b++)
        sum += part_of(p, s, (size_t)b * (size_t)s->product.blocks + (size_t)(f / block))[f % block];
    double mean = sum / batch;
    for (int b = 0; b < batch; b++) {
        const float *v =
            part_of(p, s, (size_t)b * (size_t)s->product.blocks + (size_t)(f / block)) + f % block;
        squares += v[block] + places * (v[0] - mean) * (v[0] - mean);
    }
    node->mean[f] = (float)mean;
    node->variance[f] = (float)(squares / (count - 1));
    node->rolling_mean[f] = .99f * node->rolling_mean[f] + .01f * node->mean[f];
    node->rolling_variance[f] = .99f * node->rolling_variance[f] + .01f * node->variance[f];
}

static void measure(const ds_plan *p, const ds_step *s)
{
    const ds_tensor *t = &s->product;
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (size_t i = 0; i < t->planes; i++)
            p->k->moments(t->value + i * t->plane, t->places, part_of(p, s, i),
                          part_of(p, s, i) + p->k->block);
#pragma omp for schedule(static)
        for (int f = 0; f < t->c; f++)
            pool_moments(p, s, f);
    }
}

/* y = scale x + shift. An inference convolution has all of it in its weights and bias. */
static void set_affine(const ds_plan *p, const ds_step *s)
{
    const ds_node *node = s->node;
    const ds_finish *f = &s->finish;
    bool folded = !p->train && node->op == DS_OP_CONVOLUTION;
    const float *means = p->train ? node->mean : node->rolling_mean;
    const float *variances = p->train ? node->variance : node->rolling_variance;
    for (int i = 0; i < s->product.c; i++) {
        bool normalized = node->normalized && !folded;
        f->mean[i] = normalized ? means[i] : 0;
        f->scale[i] = normalized ? node->scales[i] / (sqrtf(variances[i]) + .000001f) : 1;
        f->shift[i] = (folded || !node->biases ? 0 : node->biases[i]) - f->mean[i] * f->scale[i];
    }
}

static size_t channels_at(const ds_plan *p, const ds_tensor *t, size_t plane)
{
    return plane % (size_t)t->blocks * (size_t)p->k->block;
}

static ds_affine affine_at(const ds_plan *p, const ds_step *s, size_t plane)
{
    size_t at = channels_at(p, &s->product, plane);
    return (ds_affine){s->finish.scale + at, s->finish.shift + at, s->finish.mean + at,
                       s->conv_activates ? 1 : s->slope};
}

static uint8_t *index_at(const ds_plan *p, const ds_step *s, size_t plane)
{
    uint8_t *index = ds_arena_at(&p->arena, s->index_buffer);
    return index ? index + plane * s->out->plane : NULL;
}

static void normalize(const ds_plan *p, const ds_step *s)
{
    const ds_tensor *t = &s->product, *out = s->out;
    const float *other = s->inputs[1] && !s->add_in_place ? s->inputs[1]->value : NULL;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++) {
        ds_affine f = affine_at(p, s, i);
        const float *x = t->value + i * t->plane;
        if (s->pooled)
            p->k->normalize_pool(x, &s->pool, &f, out->value + i * out->plane, index_at(p, s, i));
        else
            p->k->normalize(x, other ? other + i * t->plane : NULL, t->places, &f, out->value + i * t->plane);
    }
}

/* An inference convolution has all in it but pooling, the other input where that must stay as it is, an activation that it cannot do. */
static bool needs_finish(const ds_plan *p, const ds_step *s)
{
    bool folded = !p->train && s->node->op == DS_OP_CONVOLUTION;
    return !folded || s->pooled || (s->inputs[1] && !s->add_in_place) ||
           (!s->conv_activates && s->slope != 1);
}

static int forward(ds_plan *p, ds_step *s, const ds_backend_pass *pass)
{
    (void)pass;
    int rc = s->linear ? ds_product_forward(p, s) : DS_OK;
    if (rc)
        return rc;
    if (p->train && s->node->normalized)
        measure(p, s);
    if (needs_finish(p, s)) {
        set_affine(p, s);
        normalize(p, s);
    }
    if (s->odd >= 0)
        ds_odd_activate(p, s->out, s->out->value, s->odd);
    return DS_OK;
}

/* ---- backward ---------------------------------------------------------------------------------------------- */

/* g' = the gradient behind the activation: its sums, and where `keep` says so itself, over g. */
static void reduce(const ds_plan *p, const ds_step *s, float *g, const float *g2, bool keep)
{
    const ds_tensor *t = &s->product;
    const float *y = needs_output(s) ? s->out->value : NULL;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++) {
        size_t at = i * t->plane;
        ds_affine f = affine_at(p, s, i);
        ds_sums sums = {part_of(p, s, i), part_of(p, s, i) + p->k->block};
        if (s->pooled)
            p->k->reduce_pool(t->value + at, g + i * s->out->plane, index_at(p, s, i), &s->pool, &f, &sums);
        else
            p->k->reduce(t->value + at, y ? y + at : NULL, g + at, g2 ? g2 + at : NULL, t->places, &f, &sums,
                         keep ? g + at : NULL);
    }
}

/* Parameters' gradients of channel f, and dx = a g' + b + c x:
 * dx = scale ((g' - sum/N) / d - (x - mean) dot / ((N-1) sqrt(v) d^2)). */
static void collect(const ds_plan *p, const ds_step *s, int f)
{
    const ds_node *node = s->node;
    int block = p->k->block, batch = p->graph->batch;
    double sum = 0, dot = 0, count = (double)s->product.places * batch;
    for (int b = 0; b < batch; b++) {
        const float *v =
            part_of(p, s, (size_t)b * (size_t)s->product.blocks + (size_t)(f / block)) + f % block;
        sum += v[0];
        dot += v[block];
    }
    if (node->bias_updates)
        node->bias_updates[f] += (float)sum;
    s->finish.a[f] = 1;
    if (!node->normalized)
        return;
    double root = sqrt(node->variance[f]), d = root + 1e-6, scale = node->scales[f];
    double slope = root > 0 ? scale * dot / ((count - 1) * root * d * d) : 0;
    if (node->scale_updates)
        node->scale_updates[f] += (float)(dot / d);
    s->finish.a[f] = (float)(scale / d);
    s->finish.b[f] = (float)(slope * node->mean[f] - scale * sum / count / d);
    s->finish.c[f] = (float)-slope;
}

static void collect_all(const ds_plan *p, const ds_step *s)
{
#pragma omp parallel for schedule(static) if (s->product.c * p->graph->batch > 4096)
    for (int f = 0; f < s->product.c; f++)
        collect(p, s, f);
}

/* behind: g is g' already. */
static void spread(const ds_plan *p, const ds_step *s, const float *g, bool behind, float *dx)
{
    const ds_tensor *t = &s->product;
    const float *y = needs_output(s) ? s->out->value : NULL;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < t->planes; i++) {
        size_t at = i * t->plane, channels = channels_at(p, t, i);
        ds_affine f = affine_at(p, s, i);
        const ds_mix m = {s->finish.a + channels, s->finish.b + channels, s->finish.c + channels};
        f.slope = behind ? 1 : f.slope;
        if (s->pooled)
            p->k->gradient_pool(t->value + at, g + i * s->out->plane, index_at(p, s, i), &s->pool, &f, &m,
                                dx + at);
        else
            p->k->gradient(t->value + at, y ? y + at : NULL, g + at, t->places, &f, &m, dx + at);
    }
}

static void pass_to_other(const ds_plan *p, const ds_step *s, const float *g)
{
    bool add;
    if (!s->to[1].t)
        return;
    float *to = ds_target_open(p, &s->to[1], &add);
    if (!s->shares_gradient)
        ds_tensor_add(p, s->out, g, to);
    ds_target_close(p, &s->to[1]);
}

/* Where the gradient of the product goes: to the input ([batchnorm]), to a scratch, or over g. */
static float *product_gradient(const ds_plan *p, const ds_step *s, float *g)
{
    bool add;
    if (s->node->op == DS_OP_BATCHNORM)
        return s->to[0].t ? ds_target_open(p, &s->to[0], &add) : NULL;
    return s->scratch_buffer ? ds_arena_at(&p->arena, s->scratch_buffer) : g;
}

static int backward(ds_plan *p, ds_step *s, const ds_backend_pass *pass)
{
    (void)pass;
    const ds_node *node = s->node;
    bool join = s->pooled || s->odd >= 0;
    float *g = join ? ds_tensor_join(p, s->out) : s->out->grad[0];
    const float *g2 = join ? NULL : s->out->grad[1];
    if (s->odd >= 0)
        ds_odd_gradient(p, s->out, s->out->value, s->odd, g);
    bool keep = !s->pooled && (g2 || s->inputs[1] || (!node->normalized && s->slope != 1));
    reduce(p, s, g, g2, keep);
    collect_all(p, s);
    pass_to_other(p, s, g);
    float *dx = product_gradient(p, s, g);
    if (dx && (node->normalized || s->pooled))
        spread(p, s, g, keep, dx);
    if (node->op != DS_OP_BATCHNORM)
        return ds_product_backward(p, s, dx);
    ds_target_close(p, &s->to[0]);
    return DS_OK;
}

const ds_step_kind ds_step_layer = {"layer", true, make, forward, backward, release};
