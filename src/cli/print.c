#include "cli/print.h"

#include "cli/together.h"
#include "data/loader.h"

/* "28 x 28 x 16", or the count where there is no image shape. */
static const char *shape_text(const ds_shape *s, char text[40])
{
    const bool image = s->w > 0 && s->h > 0 && s->c > 0;
    snprintf(text, 40, image ? "%d x %d x %d" : "%d", image ? s->w : s->outputs, s->h, s->c);
    return text;
}

void ds_print_layers(const ds_net *net, FILE *out)
{
    const ds_net_info *info = ds_net_get_info(net);
    fprintf(out, "%5s  %-16s %-18s %-18s %12s %10s\n", "layer", "name", "input", "output", "parameters",
            "MFLOP");
    for (int i = 0; i < info->layers; i++) {
        const ds_layer_row r = ds_net_layer_row(net, i);
        char in[40], to[40];
        fprintf(out, "%5d  %-16s %-18s %-18s %12zu %10.3f\n", i, r.name, shape_text(&r.in, in),
                shape_text(&r.out, to), r.parameters, r.flops / 1e6);
    }
    fprintf(out, "%5s  %-16s %-18s %-18s %12zu %10.3f\n", "total", "", "", "", info->parameters,
            info->flops / 1e6);
}

/* flops: of one direction, all images of a pass. A layer without time was computed together with the one
 * before. */
static void print_time(FILE *out, double seconds, double flops, const ds_times *p)
{
    if (seconds <= 0)
        fprintf(out, " %10s %9s", "", "");
    else if (flops <= 0)
        fprintf(out, " %10.3f %9s", 1e3 * seconds / (double)p->passes, "");
    else
        fprintf(out, " %10.3f %9.1f", 1e3 * seconds / (double)p->passes,
                flops * (double)p->passes / seconds * 1e-9);
}

static void print_share(FILE *out, const char *what, double seconds, const ds_times *p)
{
    fprintf(out, "%5s  %-16s %10.3f %9s %10s %9s %7.2f %%\n", "", what, 1e3 * seconds / (double)p->passes, "",
            "", "", 100 * seconds / p->total);
}

void ds_print_profile(const ds_net *net, const ds_times *p, FILE *out)
{
    const ds_layer_time *times = ds_net_profile(net);
    double rest = p->total - p->waiting - p->update - p->ranks, device = 0;
    fprintf(out, "profile of %ld passes of %d images, backend %s\n", p->passes, p->images,
            ds_net_get_info(net)->backend);
    fprintf(out, "%5s  %-16s %10s %9s %10s %9s %9s\n", "layer", "name", "forward ms", "GFLOP/s", "backward",
            "GFLOP/s", "share");
    for (int i = 0; times && i < ds_net_get_info(net)->layers; i++) {
        const ds_layer_row r = ds_net_layer_row(net, i);
        double sum = times[i].forward + times[i].backward, flops = r.flops * p->images * p->views;
        fprintf(out, "%5d  %-16s", i, r.name);
        print_time(out, times[i].forward, flops, p);
        print_time(out, times[i].backward, 2 * flops, p);
        fprintf(out, " %7.2f %%\n", 100 * sum / p->total);
        rest -= sum;
        device += times[i].waited;
    }
    if (device > 0)
        print_share(out, "of it: device", device, p);
    if (p->ranks > 0)
        print_share(out, "gradients of all ranks", p->ranks, p);
    if (p->update > 0)
        print_share(out, "update", p->update, p);
    print_share(out, "waiting for data", p->waiting, p);
    print_share(out, "rest", rest, p);
    print_share(out, "all", p->total, p);
    fprintf(out, "%.1f images/s\n", (double)p->passes * p->images / p->total);
}

int ds_check_labelled(const ds_datafile *d, ds_error *e)
{
    for (int c = 0; c < d->classes; c++)
        if (strchr(d->labels[c], '\t'))
            return ds_fail_at(e, DS_EINPUT, d->labels_path, c + 1,
                              "the label has a tab, expected none: it ends the path in PATH<tab>LABEL");
    return DS_OK;
}

void ds_print_labelled(FILE *out, const char *path, const char *label)
{
    DS_FREED char *whole = realpath(path, NULL);
    fprintf(out, "%s\t%s\n", whole ? whole : path, label);
}

void ds_print_unanswered(size_t none, size_t images, FILE *out)
{
    if (none)
        fprintf(
            out,
            "warning: %zu of %zu images have an answer that is not-a-number (training diverged?): none is "
            "right, none is accepted\n",
            none, images);
}

void ds_print_notes(ds_notes *notes, FILE *out)
{
    for (int i = 0; i < notes->n && ds_together_first(); i++)
        ds_put_line(out, "", notes->text[i]);
    ds_notes_clear(notes);
}

int ds_model_answer(ds_model *m, const ds_run_flags *flags, ds_eval_setup how, ds_answers *a, ds_error *e)
{
    ds_times times = {0};
    how.loaders = ds_loader_threads(flags->loaders);
    how.as_stored = !m->data.exif;
    how.times = &times;
    how.ranks = ds_together();
    DS_TRY(ds_model_compare(m, a->file, how.ranks, e));
    for (int i = 0; flags->profile && i < m->all.n; i++)
        ds_net_profile_start(m->all.nets[i]);
    DS_TRY(ds_evaluate(&m->all, &how, a, e));
    size_t none = 0;
    for (size_t i = 0; i < a->n; i++)
        none += a->predictions[i] < 0;
    if (!ds_together_first())
        return DS_OK;
    ds_print_unanswered(none, a->n, stderr);
    for (int i = 0; flags->profile && i < m->all.n; i++)
        ds_print_profile(m->all.nets[i], &times, stderr);
    return DS_OK;
}
