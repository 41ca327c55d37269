#include "data/paths.h"

#include "data/image.h"
#include "data/lines.h"

#include <errno.h>
#include <fts.h>
#include <sys/stat.h>

struct ds_paths {
    ds_paths_setup setup;
    int operand, list; /* whose turn it is */
    FTS *folder;       /* the operand at hand, NULL: none or no folder */
    bool found;        /* something came of the folder or list at hand */
    ds_feed *feeds;    /* n_lists */
    ds_near near;      /* of the list at hand */
    size_t given;      /* in all parts */
};

static void give(ds_path *next, char *path)
{
    next->kind = DS_PATH_FOUND;
    next->path = path;
}

static int by_bytes(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void give_unreadable(ds_path *next, const char *dir, int reason)
{
    ds_fail_at(&next->error, DS_EIO, dir, 0, "cannot read the folder: %s, expected a folder of images",
               strerror(reason));
    give(next, ds_strdup(dir));
}

static void step_operand(ds_paths *p, ds_path *next)
{
    struct stat st;
    const char *path = p->setup.operands[p->operand++];
    if (p->setup.files || stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        give(next, ds_strdup(path));
        return;
    }
    DS_FREED char *root = ds_strdup(path);
    p->folder = fts_open((char *const[]){root, NULL}, FTS_LOGICAL | FTS_NOCHDIR, by_bytes);
    if (!p->folder)
        give_unreadable(next, path, errno);
}

static void leave_folder(ds_paths *p, ds_path *next, int reason)
{
    const char *dir = p->setup.operands[p->operand - 1];
    fts_close(p->folder);
    p->folder = NULL;
    if (reason) {
        give_unreadable(next, dir, reason);
    } else if (!p->found) {
        ds_fail_at(&next->error, DS_EINPUT, dir, 0, "no images there, expected " DS_IMAGE_SUFFIXES " files");
        give(next, ds_strdup(dir));
    }
    p->found = false;
}

/* One step through the folder at hand; `next` stays empty where nothing came of it. A link that leads nowhere
 * counts by its name, so that it is missed. */
static void step_folder(ds_paths *p, ds_path *next)
{
    FTSENT *f = fts_read(p->folder);
    if (!f) {
        leave_folder(p, next, errno);
        return;
    }
    if (f->fts_level > FTS_ROOTLEVEL && f->fts_name[0] == '.') {
        fts_set(p->folder, f, FTS_SKIP);
    } else if (f->fts_info == FTS_DNR || f->fts_info == FTS_ERR) {
        give_unreadable(next, f->fts_path, f->fts_errno);
    } else if (f->fts_info == FTS_DC) {
        ds_fail_at(&next->error, DS_EINPUT, f->fts_path, 0,
                   "is a link to a folder that holds it, expected none");
        give(next, ds_strdup(f->fts_path));
    } else if (f->fts_info == FTS_F || f->fts_info == FTS_DEFAULT || f->fts_info == FTS_SLNONE ||
               f->fts_info == FTS_NS) {
        if (ds_is_image_name(f->fts_name))
            give(next, ds_strdup(f->fts_path));
    }
    p->found = p->found || next->kind == DS_PATH_FOUND;
}

static int end_list(ds_paths *p, ds_error *e)
{
    const char *name = p->feeds[p->list++].name;
    if (!p->found)
        return ds_fail_at(e, DS_EINPUT, name, 0, "has no images, expected a path a line");
    p->found = false;
    return DS_OK;
}

static int step_list(ds_paths *p, int milliseconds, ds_path *next, ds_error *e)
{
    const char *list = p->setup.lists[p->list];
    char *line;
    bool later;
    if (p->near.file != list) {
        free(p->near.dir);
        p->near = ds_near_of(list, p->setup.notes);
    }
    DS_TRY(ds_feed_next(&p->feeds[p->list], milliseconds, &line, &later, e));
    if (later)
        next->kind = DS_PATH_LATER;
    if (!line)
        return later ? DS_OK : end_list(p, e);
    if (p->setup.labelled)
        ds_line_label(line);
    if (*line) {
        give(next, ds_near_find(&p->near, line));
        p->found = true;
    }
    return DS_OK;
}

/* A path of another part is forgotten. */
static void keep_own(ds_paths *p, ds_path *next)
{
    const ds_paths_setup *s = &p->setup;
    if (next->kind != DS_PATH_FOUND || !s->parts)
        return;
    if (p->given++ / (size_t)s->block % (size_t)s->parts == (size_t)s->part)
        return;
    free(next->path);
    *next = (ds_path){.kind = DS_PATH_END};
}

int ds_paths_next(ds_paths *p, int milliseconds, ds_path *next, ds_error *e)
{
    *next = (ds_path){.kind = DS_PATH_END};
    while (next->kind == DS_PATH_END) {
        if (p->folder)
            step_folder(p, next);
        else if (p->operand < p->setup.n_operands)
            step_operand(p, next);
        else if (p->list < p->setup.n_lists)
            DS_TRY(step_list(p, milliseconds, next, e));
        else
            break;
        keep_own(p, next);
    }
    return DS_OK;
}

int ds_paths_new(const ds_paths_setup *s, ds_paths **paths, ds_error *e)
{
    int rc = DS_OK;
    ds_paths *p = DS_ZALLOC(p, 1);
    p->setup = *s;
    DS_ZALLOC(p->feeds, (size_t)s->n_lists + 1);
    for (int i = 0; i < s->n_lists && !rc; i++)
        rc = ds_feed_open(&p->feeds[i], s->lists[i], e);
    if (rc)
        ds_paths_free(p);
    *paths = rc ? NULL : p;
    return rc;
}

void ds_paths_free(ds_paths *p)
{
    if (!p)
        return;
    if (p->folder)
        fts_close(p->folder);
    for (int i = 0; i < p->setup.n_lists; i++)
        ds_feed_close(&p->feeds[i]);
    free(p->feeds);
    free(p->near.dir);
    free(p);
}
