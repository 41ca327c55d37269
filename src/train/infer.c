#include "train/infer.h"

#include <stdlib.h>
#include <string.h>

struct ds_infer {
    const ds_cfg *cfg;
    ds_net_setup setup;
    ds_net *given;      /* the caller's */
    ds_net *one, *many; /* batch 1 and `most`; NULL: not made yet */
    int most;
    float *logits; /* most x logits */
};

int ds_infer_new(const ds_cfg *cfg, const ds_net_setup *setup, ds_net *net, int most, ds_infer **infer,
                 ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(net);
    ds_infer *f = *infer = calloc(1, sizeof *f);
    if (!f)
        return ds_fail_memory(e);
    *f = (ds_infer){.cfg = cfg, .setup = *setup, .given = net, .most = most};
    f->setup.notes = NULL;
    f->one = info->batch == 1 ? net : NULL;
    f->many = info->batch == most ? net : NULL;
    f->logits = malloc((size_t)most * (size_t)info->logits * sizeof *f->logits);
    if (f->logits)
        return DS_OK;
    ds_infer_free(f);
    *infer = NULL;
    return ds_fail_memory(e);
}

void ds_infer_free(ds_infer *f)
{
    if (!f)
        return;
    if (f->one != f->given)
        ds_net_free(f->one);
    if (f->many != f->given)
        ds_net_free(f->many);
    free(f->logits);
    free(f);
}

/* The file of the weights may have changed since: the other network gets the numbers in use. */
static int make_net(const ds_infer *f, int batch, ds_net **net, ds_error *e)
{
    ds_net_setup setup = f->setup;
    setup.batch = batch;
    int n, rc = ds_net_new(f->cfg, &setup, net, e);
    if (rc)
        return rc;
    const ds_param *from = ds_net_params(f->given, &n), *to = ds_net_params(*net, &n);
    for (int i = 0; i < n; i++)
        memcpy(to[i].values, from[i].values, from[i].n * sizeof *from[i].values);
    ds_net_changed(*net);
    return DS_OK;
}

static int run_singly(ds_infer *f, const float *pixels, int n, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(f->one);
    size_t inputs = (size_t)info->inputs, row = (size_t)info->logits;
    int rc = DS_OK;
    for (int i = 0; i < n && !rc; i++) {
        rc = ds_net_forward(f->one, pixels + (size_t)i * inputs, 1, e);
        if (!rc)
            memcpy(f->logits + (size_t)i * row, ds_net_logits(f->one), row * sizeof *f->logits);
    }
    return rc;
}

/* The last image fills the batch. */
static int run_together(ds_infer *f, float *pixels, int n, ds_error *e)
{
    size_t inputs = (size_t)ds_net_get_info(f->many)->inputs;
    for (int i = n; i < f->most; i++)
        memcpy(pixels + (size_t)i * inputs, pixels + (size_t)(n - 1) * inputs, inputs * sizeof *pixels);
    return ds_net_forward(f->many, pixels, f->most, e);
}

/* A quarter of a batch one by one takes about as long as a whole batch. */
static bool are_few(const ds_infer *f, int n)
{
    return n <= f->most / 4;
}

int ds_infer_run(ds_infer *f, float *pixels, int n, bool last, const float **logits, ds_error *e)
{
    bool singly = are_few(f, n);
    ds_net **net = singly ? &f->one : &f->many, **other = singly ? &f->many : &f->one;
    if (!*net && last) {
        net = other;
        singly = !singly;
    }
    int rc = *net ? DS_OK : make_net(f, singly ? 1 : f->most, net, e);
    if (!rc)
        rc = singly ? run_singly(f, pixels, n, e) : run_together(f, pixels, n, e);
    *logits = singly ? f->logits : rc ? NULL : ds_net_logits(f->many);
    return rc;
}
