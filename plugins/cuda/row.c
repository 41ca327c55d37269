/* Parameters, their gradients and statistics on the device, and the host's copies of them. */
#include "plugins/cuda/engine.h"

static void add(ds_gpu_row *r, ds_gpu_array a)
{
    if (a.values)
        DS_PUSH(r->arrays, r->n_arrays, a);
}

static void add_filters(ds_gpu_row *r, ds_gpu_step *s)
{
    const ds_node *node = s->node;
    const ds_gpu_shape *p = &s->shape;
    ds_gpu_array a = {.values = node->weights,
                      .gradient = node->weight_updates,
                      .where = DS_ROW_FILTERS,
                      .at = r->n_products,
                      .k = s->product.c,
                      .c = s->in[0]->c / p->groups,
                      .rs = p->r * p->s,
                      .cp = p->c / p->groups};
    a.n = (size_t)a.k * (size_t)a.c * (size_t)a.rs;
    s->w_at = r->n_products;
    r->n_products += ((size_t)p->k * (size_t)a.rs * (size_t)a.cp + 63) / 64 * 64;
    r->staged = a.n > r->staged ? a.n : r->staged;
    add(r, a);
}

/* The n channels of an array, which has place for `padded`. */
static void add_channels(ds_gpu_row *r, const ds_gpu_step *s, float *values, float *gradient, int where,
                         size_t at, bool of_batch)
{
    add(r, (ds_gpu_array){values, gradient, (size_t)s->product.c, where, at, 0, 0, 0, 0, of_batch});
}

void ds_row_add(ds_engine *x, ds_gpu_step *s)
{
    ds_gpu_row *r = &x->row;
    const ds_node *node = s->node;
    const size_t c = (size_t)s->product.cp, o = r->n, t = r->n_statistics;
    if (s->linear)
        add_filters(r, s);
    s->o_at = o;
    s->s_at = t;
    add_channels(r, s, node->normalized ? node->scales : NULL, node->scale_updates, DS_ROW_OTHERS, o, false);
    add_channels(r, s, node->biases, node->bias_updates, DS_ROW_OTHERS, o + c, false);
    r->n += 2 * c;
    if (!node->normalized)
        return;
    float *const all[] = {node->mean, node->variance, node->rolling_mean, node->rolling_variance};
    for (size_t k = 0; k < 4; k++)
        add_channels(r, s, all[k], NULL, DS_ROW_STATISTICS, t + k * c, k < 2);
    r->n_statistics += 4 * c;
}

int ds_row_make(ds_engine *x, ds_error *e)
{
    ds_gpu_row *r = &x->row;
    ds_gpu *g = &x->gpu;
    const size_t others = r->n, size = sizeof(float);
    r->n += r->n_products;
    for (int i = 0; i < r->n_arrays; i++)
        r->arrays[i].at += r->arrays[i].where == DS_ROW_OTHERS ? r->n_products : 0;
    r->host_newer = true;
    DS_TRY(ds_gpu_room(g, r->n * size, &r->w, e));
    DS_TRY(ds_gpu_room(g, r->n_statistics * size, &r->statistics, e));
    DS_TRY(ds_gpu_room(g, r->staged * size, &r->staging, e));
    r->copy = r->w;
    if (g->size != size)
        DS_TRY(ds_gpu_room(g, r->n_products * g->size, &r->copy, e));
    if (!x->graph.train)
        return DS_OK;
    DS_TRY(ds_gpu_room(g, r->n * size, &r->u, e));
    DS_TRY(ds_gpu_room(g, r->n_products * g->size, &r->g, e));
    return ds_gpu_room(g, others * size, &r->gf, e);
}

void ds_row_free(ds_gpu_row *r)
{
    free(r->arrays);
    free(r->runs);
}

static float *place_of(const ds_gpu_row *r, const ds_gpu_array *a, float *row)
{
    return (a->where == DS_ROW_STATISTICS ? r->statistics : row) + a->at;
}

/* Between an array of the host and its place in a row (w, u, m or v). */
static int move(ds_engine *x, const ds_gpu_array *a, float *row, float *host, bool up, ds_error *e)
{
    const ds_gpu_row *r = &x->row;
    float *place = place_of(r, a, row), *to = a->where == DS_ROW_FILTERS ? r->staging : place;
    const filter_args f = {r->staging, place, a->k, a->c, a->rs, a->cp};
    if (!up && a->where == DS_ROW_FILTERS)
        DS_TRY(ds_gpu_run(&x->gpu, DS_K_filters_out, a->n, &f, e));
    DS_TRY(up ? ds_gpu_up(&x->gpu, to, host, a->n * sizeof *host, e)
              : ds_gpu_down(&x->gpu, host, to, a->n * sizeof *host, e));
    if (up && a->where == DS_ROW_FILTERS)
        return ds_gpu_run(&x->gpu, DS_K_filters_in, a->n, &f, e);
    return DS_OK;
}

static learn_args learn_of(const ds_gpu_row *r)
{
    return (learn_args){.w = r->w,
                        .u = r->u,
                        .m = r->m,
                        .v = r->v,
                        .g = r->g,
                        .gf = r->pending ? r->gf : NULL,
                        .copy = r->copy,
                        .to = (int)r->n,
                        .n_products = (int)r->n_products,
                        .clip = INFINITY};
}

int ds_row_upload(ds_engine *x, ds_error *e)
{
    ds_gpu_row *r = &x->row;
    for (int i = 0; i < r->n_arrays && r->host_newer; i++) {
        const ds_gpu_array *a = &r->arrays[i];
        DS_TRY(move(x, a, r->w, a->values, true, e));
        if (a->gradient && r->u)
            DS_TRY(move(x, a, r->u, a->gradient, true, e));
    }
    if (!r->host_newer)
        return DS_OK;
    for (int k = 0; k < x->n_steps; k++)
        DS_TRY(ds_gpu_layer_fold(x, &x->steps[k], e));
    r->pending = r->device_newer = r->host_newer = false;
    r->moments_newer = true;
    const learn_args a = learn_of(r);
    return r->copy == r->w ? DS_OK : ds_gpu_run(&x->gpu, DS_K_narrow, r->n_products, &a, e);
}

int ds_row_gather(ds_engine *x, ds_error *e)
{
    ds_gpu_row *r = &x->row;
    const learn_args a = learn_of(r);
    if (!r->pending)
        return DS_OK;
    r->pending = false;
    return ds_gpu_run(&x->gpu, DS_K_gather, r->n, &a, e);
}

static const ds_gpu_array *array_of(const ds_gpu_row *r, const float *values)
{
    for (int i = 0; i < r->n_arrays; i++)
        if (r->arrays[i].values == values)
            return &r->arrays[i];
    return NULL;
}

/* Adam's means and squares of all arrays. */
static int move_moments(ds_engine *x, bool up, ds_error *e)
{
    const ds_gpu_row *r = &x->row;
    for (int i = 0; i < r->n_trained && r->m; i++) {
        const ds_trained *t = &r->trained[i];
        const ds_gpu_array *a = array_of(r, t->values);
        DS_TRY(move(x, a, r->m, t->moments, up, e));
        DS_TRY(move(x, a, r->v, t->moments + t->n, up, e));
    }
    return DS_OK;
}

int ds_row_fetch(ds_engine *x, ds_fetch what, ds_error *e)
{
    ds_gpu_row *r = &x->row;
    const bool all = what == DS_FETCH_ALL;
    if (!r->device_newer)
        return DS_OK;
    DS_TRY(all ? ds_row_gather(x, e) : DS_OK);
    for (int i = 0; i < r->n_arrays; i++) {
        const ds_gpu_array *a = &r->arrays[i];
        if (all || a->of_batch)
            DS_TRY(move(x, a, r->w, a->values, false, e));
        if (all && a->gradient)
            DS_TRY(move(x, a, r->u, a->gradient, false, e));
    }
    DS_TRY(all ? move_moments(x, false, e) : DS_OK);
    r->device_newer = !all;
    return ds_gpu_wait(&x->gpu, e);
}

/* Behind the array at `i`, in the order of the row. */
static size_t end_of(const ds_gpu_row *r, int i)
{
    size_t end = r->arrays[i].where == DS_ROW_FILTERS ? r->n_products : r->n;
    for (int k = 0; k < r->n_arrays; k++)
        if (r->arrays[k].where == r->arrays[i].where && r->arrays[k].at > r->arrays[i].at &&
            r->arrays[k].at < end)
            end = r->arrays[k].at;
    return end;
}

/* Neighbours with the same rate make one run; arrays lie in the order of the row within their part. */
static void make_runs(ds_gpu_row *r, const ds_rule *rule)
{
    for (int where = DS_ROW_FILTERS; where <= DS_ROW_OTHERS; where++)
        for (int i = 0; i < r->n_arrays; i++) {
            const ds_trained *t = rule->arrays;
            while (t < rule->arrays + rule->n && t->values != r->arrays[i].values)
                t++;
            if ((int)r->arrays[i].where != where || t == rule->arrays + rule->n)
                continue;
            const ds_gpu_range run = {r->arrays[i].at, end_of(r, i), t->rate};
            ds_gpu_range *last = r->n_runs ? &r->runs[r->n_runs - 1] : NULL;
            if (last && last->to == run.from && last->rate == run.rate)
                last->to = run.to;
            else
                DS_PUSH(r->runs, r->n_runs, run);
        }
}

static int make_moments(ds_engine *x, ds_error *e)
{
    ds_gpu_row *r = &x->row;
    if (!r->m) {
        DS_TRY(ds_gpu_room(&x->gpu, r->n * sizeof(float), &r->m, e));
        DS_TRY(ds_gpu_room(&x->gpu, r->n * sizeof(float), &r->v, e));
    }
    DS_TRY(r->moments_newer ? move_moments(x, true, e) : DS_OK);
    r->moments_newer = false;
    return DS_OK;
}

static void set_rule(learn_args *a, const ds_rule *rule)
{
    a->adam = rule->adam;
    a->batch = (float)rule->batch;
    a->momentum = rule->momentum;
    a->decay = rule->decay;
    a->clip = rule->clip > 0 ? rule->clip : INFINITY;
    a->B1 = (float)rule->B1;
    a->rest1 = (float)(1 - rule->B1);
    a->B2 = (float)rule->B2;
    a->rest2 = (float)(1 - rule->B2);
    a->eps = (float)rule->eps;
    a->unbias = (float)(1 / (1 - pow(rule->B2, (double)rule->t)));
}

int ds_row_update(ds_engine *x, const ds_rule *rule, ds_error *e)
{
    ds_gpu_row *r = &x->row;
    r->trained = rule->arrays;
    r->n_trained = rule->n;
    DS_TRY(ds_row_upload(x, e));
    DS_TRY(rule->adam ? make_moments(x, e) : DS_OK);
    if (!r->runs)
        make_runs(r, rule);
    learn_args a = learn_of(r);
    set_rule(&a, rule);
    for (int i = 0; i < r->n_runs; i++) {
        const float rate = rule->rate * r->runs[i].rate;
        a.from = (int)r->runs[i].from;
        a.to = (int)r->runs[i].to;
        a.rate = rule->adam ? (float)(rate / (1 - pow(rule->B1, (double)rule->t))) : rate;
        DS_TRY(ds_gpu_run(&x->gpu, DS_K_learn, (size_t)(a.to - a.from), &a, e));
    }
    r->pending = false;
    r->device_newer = true;
    return DS_OK;
}
