#include "train/audit.h"
#include "base/file.h"
#include "train/evaluate.h"
#include "train/job.h"

static int read_inputs(ds_audit *a, const char *data, const char *cfg, ds_notes *notes, ds_error *e)
{
    DS_TRY(ds_datafile_read(data, &a->data, notes, e));
    if (!a->data.train)
        return ds_fail_at(e, DS_EINPUT, data, 0, "train= is missing, expected the list of training images");
    DS_TRY(ds_cfg_read(cfg, &a->cfg, notes, e));
    DS_TRY(ds_check_classes(&a->data, a->cfg, e));
    return ds_images_read(&a->data, a->data.train, true, &a->images, e);
}

static int check_cfg(const ds_saved_file *f, const char *path, ds_error *e)
{
    DS_FREED char *now = NULL, *then = NULL;
    DS_TRY(ds_file_read_text(path, "a network .cfg", &now, e));
    DS_TRY(ds_saved_text(f, "cfg", &then, e));
    return ds_cfg_compare(now, path, then, f->path, e);
}

/* The images of the file must all be there; others of the list were kept out, or have come since. */
static int find_images(const ds_audit *a, const ds_saved_file *f, size_t *rows, ds_notes *notes, ds_error *e)
{
    int fresh;
    const int known = (int)ds_saved_rows(f, "images");
    DS_TRY(ds_saved_find(f, &a->images, rows, &fresh, e));
    if (a->images.n - fresh != known)
        return ds_fail_at(
            e, DS_EINPUT, f->path, 0,
            "has %d images, of which %s holds %d, expected the checkpoint of a training on this list", known,
            a->images.list, a->images.n - fresh);
    if (fresh)
        ds_note(notes, "note: %s: %d of %d images were not trained on: nothing is known of them",
                a->images.list, fresh, a->images.n);
    return DS_OK;
}

static int by_score(const void *a, const void *b)
{
    const ds_suspect *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->image - y->image;
}

static void rank(ds_audit *a, const ds_records *r)
{
    DS_ALLOC(a->v, r->n);
    for (size_t i = 0; i < r->n; i++)
        if (r->visits[2 * i])
            a->v[a->n++] = (ds_suspect){.image = (int)i,
                                        .proposed = (int)(r->predictions[i] & ~DS_RECORD_RIGHT),
                                        .score = -(double)r->means[2 * i]};
    qsort(a->v, (size_t)a->n, sizeof *a->v, by_score);
    while (a->flagged < a->n && a->v[a->flagged].score > 0)
        a->flagged++;
}

/* A prediction that was not the label then, and is now; or the label then, which is another now. */
static void tell_relabelled(const ds_audit *a, const ds_records *r, ds_notes *notes)
{
    int n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const int label = a->images.labels[i], known = (int)(r->predictions[i] & ~DS_RECORD_RIGHT);
        n += r->visits[2 * i] && (r->visits[2 * i + 1] ? known == label : known != label);
    }
    if (n)
        ds_note(notes,
                "warning: %s: %d images or more have other labels than in the training, and what is known "
                "of them is about those",
                a->images.list, n);
}

static int compare(ds_audit *a, const char *path, ds_error *e)
{
    ds_datafile d = a->data;
    DS_FINALLY(ds_images_clear) ds_images truth = {0};
    DS_FREED size_t *rows = DS_ALLOC(rows, (size_t)a->images.n);
    d.labels_from = DS_LIST;
    DS_TRY(ds_images_read(&d, path, true, &truth, e));
    ds_images_find(&a->images, truth.keys, (size_t)truth.n, rows);
    for (int k = 0; k < a->n; k++) {
        ds_suspect *s = &a->v[k];
        const size_t row = rows[s->image];
        if (row == (size_t)truth.n)
            return ds_fail_at(e, DS_EINPUT, path, 0,
                              "has no label of '%s', expected one for each image of %s, under the same path",
                              a->images.paths[s->image], a->images.list);
        s->wrong = truth.labels[row] != a->images.labels[s->image];
        a->wrong += s->wrong;
        a->mended += s->wrong && s->proposed == truth.labels[row];
    }
    return DS_OK;
}

static double auroc(const ds_audit *a)
{
    DS_FREED double *trust = DS_ALLOC(trust, (size_t)a->n);
    DS_FREED bool *wrong = DS_ALLOC(wrong, (size_t)a->n);
    for (int k = 0; k < a->n; k++) {
        trust[k] = -a->v[k].score;
        wrong[k] = a->v[k].wrong;
    }
    DS_FINALLY(ds_curve_clear) ds_curve c = ds_curve_of(trust, wrong, (size_t)a->n);
    return ds_areas_of(&c).auroc;
}

int ds_audit_hits(const ds_audit *a, int k)
{
    int hits = 0;
    while (k > 0)
        hits += a->v[--k].wrong;
    return hits;
}

static int audit(ds_audit *a, const ds_saved_file *f, ds_notes *notes, ds_error *e)
{
    DS_FREED size_t *rows = DS_ALLOC(rows, (size_t)a->images.n);
    DS_FINALLY(ds_records_clear) ds_records r = ds_records_new((size_t)a->images.n);
    ds_saved arrays[DS_RECORD_ARRAYS];
    ds_records_arrays(&r, arrays);
    DS_TRY(find_images(a, f, rows, notes, e));
    DS_TRY(ds_saved_follow(f, arrays, DS_RECORD_ARRAYS, rows, e));
    rank(a, &r);
    tell_relabelled(a, &r, notes);
    return a->n ? DS_OK
                : ds_fail_at(e, DS_EINPUT, f->path, 0, "no image was trained on yet, expected an epoch");
}

int ds_audit_run(ds_audit *a, const char *data, const char *cfg, const char *checkpoint, const char *truth,
                 ds_notes *notes, ds_error *e)
{
    DS_FINALLY(ds_saved_close) ds_saved_file f = {0};
    DS_TRY(read_inputs(a, data, cfg, notes, e));
    DS_TRY(ds_saved_open(&f, ds_strdup(checkpoint), "a checkpoint (BASE.ckpt of a run)", e));
    DS_TRY(check_cfg(&f, cfg, e));
    DS_TRY(audit(a, &f, notes, e));
    if (truth)
        DS_TRY(compare(a, truth, e));
    a->auroc = auroc(a);
    return DS_OK;
}

void ds_audit_clear(ds_audit *a)
{
    free(a->v);
    ds_images_clear(&a->images);
    ds_cfg_free(a->cfg);
    ds_datafile_clear(&a->data);
}
