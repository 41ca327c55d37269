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

static int read_images(const ds_datafile *d, ds_answers *a, ds_error *e)
{
    if (!a->labelled)
        return ds_images_read_unlabelled(d, a->file, &a->images, e);
    int rc = ds_images_read(d, a->file, &a->images, e);
    if (rc == DS_EINPUT && e && e->line)
        add_hint(a, e);
    return rc;
}

/* Room for the answers to the images, which are read. */
static int make_room(ds_answers *a, ds_error *e)
{
    size_t n = (size_t)a->images.n;
    a->n = n;
    a->path = a->images.paths;
    a->prediction = malloc((n + 1) * sizeof *a->prediction);
    a->confidence = malloc((n + 1) * sizeof *a->confidence);
    a->label = a->labelled ? malloc((n + 1) * sizeof *a->label) : NULL;
    a->wrong = a->labelled ? malloc((n + 1) * sizeof *a->wrong) : NULL;
    if (!a->prediction || !a->confidence || (a->labelled && (!a->label || !a->wrong)))
        return ds_fail_memory(e);
    if (a->labelled)
        memcpy(a->label, a->images.labels, n * sizeof *a->label);
    return DS_OK;
}

/* The model's own list moves into the first answers. */
static int take_list(ds_gathered *g, ds_error *e)
{
    ds_answers *a = &g->lists[0];
    a->images = g->model.images;
    g->model.images = (ds_images){0};
    a->file = ds_strdup(a->images.list);
    return a->file ? make_room(a, e) : ds_fail_memory(e);
}

static int read_lists(ds_gathered *g, const ds_reject_flags *s, ds_error *e)
{
    int rc = ds_gathered_name_lists(g, g->model.list_key, &s->lists, e);
    if (!rc)
        rc = take_list(g, e);
    for (int i = 1; i < g->n_lists && !rc; i++) {
        rc = read_images(&g->model.data, &g->lists[i], e);
        if (!rc) /* found beside the .data file, it has another name than on the command line */
            rc = ds_places_keep(s, g->lists[i].images.list, e);
        if (!rc)
            rc = make_room(&g->lists[i], e);
    }
    return rc;
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
    g->names = (const char *const *)g->model.data.labels;
    g->classes = g->model.data.classes;
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
    a->prediction[image] = ds_argmax(logits, p->info->classes);
    a->confidence[image] = ds_score_row(p->score, logits, p->info->logits, p->info->abstain);
    if (a->labelled)
        a->wrong[image] = a->prediction[image] != a->label[image];
    if (p->quality) {
        ds_class_log_probabilities(p->info, logits, p->log_p);
        ds_quality_add(p->quality, p->log_p, p->info->classes, a->label[image], 1);
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
        p.quality = i == 0 ? &g->quality : NULL;
        rc = ds_model_evaluate_images(&g->model, &p.a->images, &s->run, take_image, &p, e);
    }
    free(p.log_p);
    return rc;
}
