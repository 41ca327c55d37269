#include "base/file.h"
#include "base/problem.h"
#include "data/data.h"
#include "data/image.h"
#include "data/labels.h"
#include "data/lines.h"

#include <omp.h>
#include <limits.h>

/* ---- the label of a path ---- */

static int refuse(const ds_datafile *d, const char *path, const ds_matches *m, ds_error *e)
{
    static const char *const wanted[] = {
        [DS_SUBSTRING] = "exactly one label in the path (labels_from=substring)",
        [DS_DIRECTORY] = "the name of its folder to be a label (labels_from=directory)",
        [DS_FILENAME] = "the file name to be a label or to end in _LABEL, exactly one (labels_from=filename)",
        [DS_LIST] = "PATH<tab>LABEL with one of the labels (labels_from=list)"};
    if (m->count == 0)
        return ds_fail(e, DS_EINPUT, "image '%s' has none of the %d labels (%s%s), expected %s", path,
                       d->classes, d->labels[0], d->classes > 1 ? ", …" : "", wanted[d->labels_from]);
    DS_FREED char *names = NULL;
    FILE *f = ds_memstream(&names, NULL);
    for (int i = 0; i < m->count && i < DS_MATCHES; i++)
        fprintf(f, "%s%.60s", i ? ", " : "", d->labels[m->label[i]]);
    fputs(m->count > DS_MATCHES ? ", …" : "", f);
    fclose(f);
    return ds_fail(e, DS_EINPUT, "image '%s' has %d labels (%s), expected %s", path, m->count, names,
                   wanted[d->labels_from]);
}

static void match_directory(const ds_label_index *x, const char *path, ds_matches *m)
{
    const char *end = strrchr(path, '/');
    const char *name = end;
    while (name && name > path && name[-1] != '/')
        name--;
    if (name)
        ds_matches_add(m, ds_label_index_find(x, name, (size_t)(end - name)));
}

static void match_filename(const ds_label_index *x, const char *path, ds_matches *m)
{
    const char *name = ds_path_base(path), *dot = strrchr(name, '.');
    const char *end = dot && dot > name ? dot : name + strlen(name);
    ds_matches_add(m, ds_label_index_find(x, name, (size_t)(end - name)));
    for (const char *p = name; p < end; p++)
        if (*p == '_')
            ds_matches_add(m, ds_label_index_find(x, p + 1, (size_t)(end - p - 1)));
}

int ds_label_of(const ds_datafile *d, const char *path, int *label, ds_error *e)
{
    ds_matches m = {0};
    if (d->labels_from == DS_SUBSTRING)
        ds_label_index_search(d->index, path, &m);
    else if (d->labels_from == DS_DIRECTORY)
        match_directory(d->index, path, &m);
    else if (d->labels_from == DS_FILENAME)
        match_filename(d->index, path, &m);
    if (m.count != 1)
        return refuse(d, path, &m, e);
    *label = m.label[0];
    return DS_OK;
}

static int find_label(const ds_datafile *d, const char *path, const char *text, int *label, ds_error *e)
{
    if (!text)
        return ds_fail(e, DS_EINPUT, "'%s' has no label, expected PATH<tab>LABEL (labels_from=list)", path);
    *label = ds_label_index_find(d->index, text, strlen(text));
    if (*label >= 0)
        return DS_OK;
    const char *near = ds_nearest(text, (const char *const *)d->labels, d->classes);
    return ds_fail(e, DS_EINPUT, "image '%s' has the label '%s', expected one of the %d labels%s%s%s", path,
                   text, d->classes, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* A label in the path is looked for in what the list says, not in the folder that it stands in; only the
 * parent folder of a bare file name has to come from there. */
static int add_image(const ds_datafile *d, bool labelled, ds_images *images, ds_near *near, char *line,
                     int number, ds_error *e)
{
    int label = -1, rc = DS_OK;
    char *text = d->labels_from == DS_LIST ? ds_line_label(line) : NULL;
    char *path = ds_near_find(near, line);
    if (strlen(line) >= PATH_MAX) /* labels are looked for at each byte and for each length */
        rc = ds_fail(e, DS_EINPUT, "a path of %zu bytes, expected at most %d", strlen(line), PATH_MAX - 1);
    else if (labelled && d->labels_from == DS_LIST)
        rc = find_label(d, line, text, &label, e);
    else if (labelled)
        rc = ds_label_of(d, d->labels_from == DS_DIRECTORY ? path : line, &label, e);
    int n = images->n, keys = n, lines = n;
    DS_PUSH(images->labels, n, label);
    DS_PUSH(images->keys, keys, ds_hash(DS_HASH, line, strlen(line)));
    DS_PUSH(images->lines, lines, number);
    DS_PUSH(images->paths, images->n, path);
    return rc;
}

static int read_lines(const ds_datafile *d, bool labelled, ds_images *images, ds_near *near, char *text,
                      ds_error *e)
{
    const int before = ds_failures(e);
    ds_lines lines = ds_lines_of(text);
    char *line;
    while ((line = ds_lines_next(&lines))) {
        int rc = *line ? add_image(d, labelled, images, near, line, lines.line, e) : DS_OK;
        if (rc && e) {
            snprintf(e->file, sizeof e->file, "%s", images->list);
            e->line = lines.line;
        }
        DS_TRY(ds_keep(e, rc));
    }
    return images->n ? ds_failed_since(e, before)
                     : ds_fail_at(e, DS_EINPUT, images->list, 0, "has no images, expected one path a line");
}

int ds_images_read(const ds_datafile *d, const char *list, bool labelled, ds_images *images, ds_error *e)
{
    DS_FREED char *text = NULL;
    ds_near near = ds_near_of(list, d->notes);
    *images = (ds_images){.list = realpath(list, NULL)};
    images->list = images->list ? images->list : ds_strdup(list);
    int rc = ds_file_read_text(images->list, "a list of images, one path a line", &text, e);
    if (!rc)
        rc = read_lines(d, labelled, images, &near, text, e);
    free(near.dir);
    if (rc && !ds_collects(e))
        ds_images_clear(images);
    return rc;
}

static void probe(const char *path, const ds_probe_setup *s, ds_probe *found)
{
    DS_FINALLY(ds_image_clear) ds_image im = {0};
    ds_error e = {0};
    if (ds_image_read_by(s->decoder, path, s->channels, &im, &e))
        found->reason = ds_strdup(e.text);
    else
        *found = (ds_probe){.w = im.w, .h = im.h, .channels = im.file_channels};
}

int ds_images_probe(const ds_images *images, const ds_probe_setup *s, ds_probe *found)
{
    int bad = 0, done = 0;
#pragma omp parallel for schedule(dynamic) num_threads(s->threads) reduction(+ : bad)
    for (int i = 0; i < images->n; i++) {
        probe(images->paths[i], s, &found[i]);
        bad += found[i].reason != NULL;
        int so_far = __atomic_add_fetch(&done, 1, __ATOMIC_RELAXED);
        if (s->tick && omp_get_thread_num() == 0)
            s->tick(s->arg, so_far);
    }
    return bad;
}

void ds_probe_free(ds_probe *found, int n)
{
    for (int i = 0; found && i < n; i++)
        free(found[i].reason);
    free(found);
}

int ds_probe_tell(const ds_images *images, const ds_probe *found, ds_error *e)
{
    const int before = ds_failures(e);
    for (int i = 0; i < images->n; i++)
        if (found[i].reason)
            DS_TRY(ds_keep(e, ds_fail_at(e, DS_EINPUT, images->list, images->lines[i], "image '%s': %s",
                                         images->paths[i], found[i].reason)));
    return ds_failed_since(e, before);
}

/* Image i of `from` behind the n of `to`, whose arrays have room. */
static void put(const ds_images *from, int i, ds_images *to, int *n)
{
    to->paths[*n] = from->paths[i];
    to->keys[*n] = from->keys[i];
    to->lines[*n] = from->lines[i];
    to->labels[(*n)++] = from->labels[i];
}

void ds_images_move(ds_images *from, const bool *which, ds_images *to)
{
    const size_t room = (size_t)(from->n + to->n);
    int kept = 0;
    to->list = to->list ? to->list : ds_strdup(from->list);
    to->paths = ds_xrealloc(to->paths, room, sizeof *to->paths);
    to->keys = ds_xrealloc(to->keys, room, sizeof *to->keys);
    to->lines = ds_xrealloc(to->lines, room, sizeof *to->lines);
    to->labels = ds_xrealloc(to->labels, room, sizeof *to->labels);
    for (int i = 0; i < from->n; i++)
        put(from, i, which[i] ? to : from, which[i] ? &to->n : &kept);
    from->n = kept;
}

void ds_images_drop(ds_images *images, const ds_probe *found)
{
    DS_FINALLY(ds_images_clear) ds_images bad = {0};
    DS_FREED bool *which = DS_ALLOC(which, (size_t)images->n);
    for (int i = 0; i < images->n; i++)
        which[i] = found[i].reason != NULL;
    ds_images_move(images, which, &bad);
}

int *ds_images_count(const ds_datafile *d, const ds_images *images, ds_notes *notes)
{
    char names[400] = "";
    int *counts, empty = 0;
    DS_ZALLOC(counts, (size_t)d->classes);
    for (int i = 0; i < images->n; i++)
        if (images->labels[i] >= 0)
            counts[images->labels[i]]++;
    for (int k = 0; k < d->classes; k++) {
        size_t used = strlen(names);
        if (counts[k] == 0)
            snprintf(names + used, sizeof names - used, "%s%s", empty++ ? ", " : "", d->labels[k]);
    }
    if (empty)
        ds_note(notes, "warning: %s: has no image of %d of the %d classes (%s%s)", images->list, empty,
                d->classes, names, strlen(names) + 1 < sizeof names ? "" : " …");
    return counts;
}

void ds_images_clear(ds_images *images)
{
    ds_free_texts(images->paths, images->n);
    free(images->labels);
    free(images->keys);
    free(images->lines);
    free(images->list);
    *images = (ds_images){0};
}
