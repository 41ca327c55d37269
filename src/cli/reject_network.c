#include "base/text.h"
#include "cli/reject.h"
#include "train/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A threshold belongs to its score: it goes when -confidence asks for another. */
static int set_score(ds_gathered *g, const ds_reject_flags *s, ds_error *e)
{
    const ds_net_info *info = ds_net_get_info(g->model.net);
    ds_net_get_reject(g->model.net, &g->score, &g->own);
    if (s->confidence >= 0 && s->confidence != (int)g->score.kind) {
        if (!isnan(g->own))
            ds_note(&g->model.notes, "note: the threshold in the cfg is one of %s and is not used for %s",
                    ds_confidence_names[g->score.kind], ds_confidence_names[s->confidence]);
        g->score.kind = (ds_confidence)s->confidence;
        g->own = NAN;
    }
    int rc = ds_score_check(&g->score, info->logits, info->abstain, e);
    if (!rc && ds_score_is_probability(g->score.kind))
        rc = ds_check_probability("threshold", s->threshold, e);
    return rc;
}

/* ---- lists ---- */

/* A list of images without labels is a common slip. */
static void add_hint(const ds_answers *a, ds_error *e)
{
    size_t at = strlen(e->text);
    snprintf(e->text + at, sizeof e->text - at, "; -list %s=%s:unlabelled takes images without labels",
             a->name, a->file);
}

static int read_images(const ds_datafile *d, const ds_answers *a, bool labelled, ds_images *images,
                       ds_error *e)
{
    if (!labelled)
        return ds_images_read_unlabelled(d, a->file, images, e);
    int rc = ds_images_read(d, a->file, images, e);
    if (rc == DS_EINPUT && e && e->line)
        add_hint(a, e);
    return rc;
}

/* Room for the answers to the images, which are read. */
static void make_room(ds_answers *a, const ds_images *images, bool labelled, const ds_datafile *d)
{
    size_t n = a->n = (size_t)images->n;
    if (!a->file)
        a->file = ds_strdup(images->list);
    a->classes = d->classes;
    DS_ALLOC(a->names, (size_t)d->classes);
    for (int i = 0; i < d->classes; i++)
        a->names[i] = ds_strdup(d->labels[i]);
    DS_ALLOC(a->paths, n);
    for (size_t i = 0; i < n; i++)
        a->paths[i] = ds_strdup(images->paths[i]);
    DS_ALLOC(a->predictions, n);
    DS_ALLOC(a->confidences, n);
    if (!labelled)
        return;
    DS_ALLOC(a->labels, n);
    DS_ALLOC(a->wrong, n);
    memcpy(a->labels, images->labels, n * sizeof *a->labels);
}

static int read_lists(ds_gathered *g, const ds_reject_flags *s, ds_error *e)
{
    DS_TRY(ds_gathered_name_lists(g, g->model.list_key, &s->lists, e));
    g->images[0] = g->model.images;
    g->model.images = (ds_images){0};
    for (int i = 1; i < g->n_lists; i++) {
        DS_TRY(read_images(&g->model.data, &g->lists[i], g->labelled[i], &g->images[i], e));
        /* found beside the .data file, it has another name than on the command line */
        DS_TRY(ds_places_keep(s, g->images[i].list, e));
    }
    for (int i = 0; i < g->n_lists; i++)
        make_room(&g->lists[i], &g->images[i], g->labelled[i], &g->model.data);
    return DS_OK;
}

int ds_gathered_open(ds_gathered *g, const ds_reject_flags *s, const ds_model_files *files, ds_error *e)
{
    int rc = ds_model_open(&g->model, files, DS_TEST_LIST, &s->run, e);
    if (!rc)
        rc = ds_places_keep_data(s, &g->model.data, e);
    if (!rc)
        rc = set_score(g, s, e);
    if (!rc)
        rc = read_lists(g, s, e);
    g->list_key = g->model.list_key;
    g->weights = files->weights;
    return rc;
}

/* ---- passes ---- */

typedef struct pass {
    const ds_net_info *info;
    const ds_score *score;
    ds_answers *a;
    ds_quality *quality; /* NULL: not wanted */
    double *log_p;       /* classes */
} pass;

static int take_image(void *arg, int image, const float *logits)
{
    const pass *p = arg;
    ds_answers *a = p->a;
    a->predictions[image] = ds_argmax(logits, p->info->classes);
    a->confidences[image] = ds_score_row(p->score, logits, p->info->logits, p->info->abstain);
    if (a->wrong)
        a->wrong[image] = a->predictions[image] != a->labels[image];
    if (p->quality) {
        ds_class_log_probabilities(p->info, logits, p->log_p);
        ds_quality_add(p->quality, p->log_p, p->info->classes, a->labels[image], 1);
    }
    return DS_OK;
}

int ds_gathered_evaluate(ds_gathered *g, const ds_reject_flags *s, ds_error *e)
{
    pass p = {.info = ds_net_get_info(g->model.net), .score = &g->score};
    int rc = DS_OK;
    p.log_p = malloc((size_t)p.info->classes * sizeof *p.log_p);
    if (!p.log_p)
        return ds_fail_memory(e);
    for (int i = 0; i < g->n_lists && !rc; i++) {
        p.a = &g->lists[i];
        p.quality = i == 0 ? &p.a->quality : NULL;
        rc = ds_model_evaluate_images(&g->model, &g->images[i], &s->run, take_image, &p, e);
    }
    free(p.log_p);
    return rc;
}
