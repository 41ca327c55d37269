#include "data/paths.h"
#include "base/clock.h"

#include "base/file.h"
#include "base/text.h"
#include "data/entries.h"
#include "data/feed.h"
#include "data/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A folder whose entries are being gone through, and the one that holds it. */
typedef struct level {
    struct level *up;
    char *dir;
    ds_entries entries;
    int at;
    dev_t device;
    ino_t inode;
} level;

/* What was looked at ahead of its turn. */
typedef struct ahead {
    struct ahead *next;
    ds_path path;
    int rc;
    ds_error error;
} ahead;

struct ds_paths {
    ds_paths_setup setup;
    int operand, list; /* whose turn it is */
    level *level;      /* the folder at hand, NULL: none */
    bool found;        /* something came of the operand at hand */
    bool list_found;   /* and of the list */
    ds_feed *feeds;    /* n_lists */
    ahead *first, **last;
};

/* ---- folders ---- */

static int give(ds_path *next, ds_path_kind kind, char *path, ds_error *e)
{
    if (!path)
        return ds_fail_memory(e);
    next->kind = kind;
    next->path = path;
    return DS_OK;
}

static void leave_folder(ds_paths *p)
{
    level *l = p->level;
    p->level = l->up;
    ds_entries_release(&l->entries);
    free(l->dir);
    free(l);
}

static bool is_loop(const ds_paths *p, const struct stat *st)
{
    for (const level *l = p->level; l; l = l->up)
        if (l->device == st->st_dev && l->inode == st->st_ino)
            return true;
    return false;
}

/* Takes over `dir`; what is wrong with the folder is given as a path of its own. */
static int enter_folder(ds_paths *p, char *dir, const struct stat *st, ds_path *next, ds_error *e)
{
    int rc = DS_OK;
    level *l = calloc(1, sizeof *l);
    if (!l) {
        free(dir);
        return ds_fail_memory(e);
    }
    if (is_loop(p, st))
        rc =
            ds_fail_at(&next->error, DS_EINPUT, dir, 0, "is a link to a folder that holds it, expected none");
    else
        rc = ds_entries_read(dir, "a folder of images", &l->entries, &next->error);
    if (rc) {
        free(l);
        p->found = true;
        return give(next, DS_PATH_BAD, dir, e);
    }
    l->up = p->level;
    l->dir = dir;
    l->device = st->st_dev;
    l->inode = st->st_ino;
    p->level = l;
    return DS_OK;
}

/* Takes over `path`. A link that leads nowhere counts by its name, so that it is missed. */
static int take_entry(ds_paths *p, char *path, ds_path *next, ds_error *e)
{
    struct stat st;
    bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return enter_folder(p, path, &st, next, e);
    if ((!there || S_ISREG(st.st_mode)) && ds_is_image_name(path)) {
        p->found = true;
        return give(next, DS_PATH_FOUND, path, e);
    }
    free(path);
    return DS_OK;
}

/* One step through the folder at hand; `next` stays empty where nothing came of it. */
static int step_folder(ds_paths *p, ds_path *next, ds_error *e)
{
    level *l = p->level;
    if (l->at < l->entries.n) {
        char *path = ds_path_join(l->dir, l->entries.v[l->at++]->d_name);
        return path ? take_entry(p, path, next, e) : ds_fail_memory(e);
    }
    bool empty = !l->up && !p->found;
    char *dir = empty ? ds_strdup(l->dir) : NULL;
    leave_folder(p);
    if (!empty)
        return DS_OK;
    ds_fail_at(&next->error, DS_EINPUT, dir, 0, "no images there, expected " DS_IMAGE_SUFFIXES " files");
    return give(next, DS_PATH_BAD, dir, e);
}

static int step_operand(ds_paths *p, ds_path *next, ds_error *e)
{
    struct stat st;
    char *path = ds_strdup(p->setup.operands[p->operand++]);
    p->found = false;
    if (path && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return enter_folder(p, path, &st, next, e);
    return give(next, DS_PATH_FOUND, path, e);
}

/* ---- lists ---- */

static int end_list(ds_paths *p, ds_error *e)
{
    ds_feed *f = &p->feeds[p->list++];
    bool empty = !p->list_found;
    p->list_found = false;
    return empty ? ds_fail_at(e, DS_EINPUT, f->name, 0, "has no images, expected a path a line") : DS_OK;
}

static int step_list(ds_paths *p, ds_path *next, ds_error *e)
{
    ds_feed *f = &p->feeds[p->list];
    const char *list = p->setup.lists[p->list];
    char *line;
    bool later;
    int rc = ds_feed_next(f, &line, &later, e);
    if (rc)
        return rc;
    if (later)
        next->kind = DS_PATH_LATER;
    if (!line)
        return later ? DS_OK : end_list(p, e);
    char *tab = p->setup.labelled ? strrchr(line, '\t') : NULL;
    if (tab) {
        *tab = '\0';
        ds_trim(line);
    }
    if (!*line)
        return DS_OK;
    p->list_found = true;
    bool standard = strcmp(list, "-") == 0;
    return give(next, DS_PATH_FOUND, standard ? ds_strdup(line) : ds_path_near(line, list), e);
}

/* ---- all of them ---- */

static int find_next(ds_paths *p, ds_path *next, ds_error *e)
{
    int rc = DS_OK;
    *next = (ds_path){DS_PATH_END};
    while (!rc && next->kind == DS_PATH_END) {
        if (p->level)
            rc = step_folder(p, next, e);
        else if (p->operand < p->setup.n_operands)
            rc = step_operand(p, next, e);
        else if (p->list == p->setup.n_lists)
            break;
        else
            rc = step_list(p, next, e);
    }
    return rc;
}

int ds_paths_next(ds_paths *p, ds_path *next, ds_error *e)
{
    ahead *a = p->first;
    if (!a)
        return find_next(p, next, e);
    *next = a->path;
    int rc = a->rc;
    if (rc && e)
        *e = a->error;
    if (!(p->first = a->next))
        p->last = &p->first;
    free(a);
    return rc;
}

void ds_paths_wait(ds_paths *p, int wake)
{
    if (!p->first && p->list < p->setup.n_lists)
        ds_feed_wait(&p->feeds[p->list], wake, -1);
}

/* A path, an error or the end is kept for its turn; NULL: nothing came in time. */
static int keep_next(ds_paths *p, double until, ahead **kept, ds_error *e)
{
    double left = 0;
    ahead *a = calloc(1, sizeof *a);
    *kept = NULL;
    if (!a)
        return ds_fail_memory(e);
    while (!(a->rc = find_next(p, &a->path, &a->error)) && a->path.kind == DS_PATH_LATER &&
           (left = until - 1e3 * ds_now()) > 0)
        ds_feed_wait(&p->feeds[p->list], -1, (int)left + 1);
    if (!a->rc && a->path.kind == DS_PATH_LATER) {
        free(a);
        return DS_OK;
    }
    *p->last = a;
    p->last = &a->next;
    *kept = a;
    return DS_OK;
}

int ds_paths_ahead(ds_paths *p, int most, int milliseconds, int *n, bool *all, ds_error *e)
{
    double until = 1e3 * ds_now() + milliseconds;
    *n = 0;
    *all = false;
    while (*n <= most && !*all) {
        ahead *a;
        int rc = keep_next(p, until, &a, e);
        if (rc || !a)
            return rc;
        *all = a->rc || a->path.kind == DS_PATH_END;
        *n += !*all;
    }
    if (*n > most)
        *n = most;
    return DS_OK;
}

int ds_paths_new(const ds_paths_setup *s, ds_paths **paths, ds_error *e)
{
    int rc = DS_OK;
    *paths = NULL;
    ds_paths *p = calloc(1, sizeof *p);
    if (!p)
        return ds_fail_memory(e);
    p->setup = *s;
    p->last = &p->first;
    p->feeds = calloc((size_t)s->n_lists + 1, sizeof *p->feeds);
    if (!p->feeds)
        rc = ds_fail_memory(e);
    for (int i = 0; i < s->n_lists && !rc; i++)
        rc = ds_feed_open(&p->feeds[i], s->lists[i], e);
    if (rc)
        ds_paths_free(p);
    else
        *paths = p;
    return rc;
}

void ds_paths_free(ds_paths *p)
{
    if (!p)
        return;
    while (p->level)
        leave_folder(p);
    while (p->first) {
        ahead *a = p->first;
        p->first = a->next;
        free(a->path.path);
        free(a);
    }
    for (int i = 0; p->feeds && i < p->setup.n_lists; i++)
        ds_feed_close(&p->feeds[i]);
    free(p->feeds);
    free(p);
}
