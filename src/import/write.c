/* The folder that an import writes to: PNG files in a folder a class, lists, label files, the .data file. */
#include "import/parts.h"

#include "base/file.h"
#include "data/data.h"
#include "data/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_WORDS "# written by classifier "
#define UNPACKING "images.part" /* what an archive holds, before that is all there */

/* DIR/NAMEENDING, fresh memory. */
static char *path_in(const ds_import_job *job, const char *name, const char *ending)
{
    DS_FREED char *file = ds_format("%s%s", name, ending);
    return ds_path_join(job->setup->out, file);
}

/* Is `path` a .data file of ours? Someone else's is not to be lost. */
static bool is_ours(const char *path)
{
    DS_FREED char *text = NULL;
    ds_file_read_text(path, "", &text, NULL);
    return text && strncmp(text, FIRST_WORDS, strlen(FIRST_WORDS)) == 0;
}

static int check_empty(const ds_import_job *job, ds_error *e)
{
    const char *dir = job->setup->out;
    DIR *d = opendir(dir);
    if (!d)
        return ds_fail_at(e, DS_EIO, dir, 0, "cannot read the folder: %s", strerror(errno));
    int n = 0;
    for (struct dirent *x; (x = readdir(d));)
        n += strcmp(x->d_name, UNPACKING) != 0;
    closedir(d);
    if (n <= 2) /* "." and ".." */
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, dir, 0,
                      "is not empty, expected a new folder, an empty one, or one of an earlier import (with "
                      "its %s)",
                      ds_path_base(job->data_path));
}

/* A folder of ours, not a link that leads to another's. */
static int make_folder(const char *path, ds_error *e)
{
    struct stat st;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') /* behind it a link would be followed */
        n--;
    DS_FREED char *name = ds_strndup(path, n);
    if (lstat(name, &st) == 0 && S_ISLNK(st.st_mode))
        return ds_fail_at(e, DS_EINPUT, path, 0, "is a link, expected a folder or a name that is free");
    return ds_make_dirs(path, e);
}

bool ds_import_is_inside(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* `whole`: the folder without links. The images of folders stay as they are. */
static int check_sources(const ds_import *s, const char *whole, ds_error *e)
{
    const char *const files[] = {s->names, s->source[0], s->source[1], s->test[0], s->test[1]};
    char path[PATH_MAX];
    for (int i = 0; i < 5 && s->kind != DS_FOLDERS; i++)
        if (files[i] && realpath(files[i], path) && ds_import_is_inside(path, whole))
            return ds_fail_at(e, DS_EINPUT, files[i], 0,
                              "lies in '%s', which is written, expected a file elsewhere", whole);
    return DS_OK;
}

static int remove_file(const char *path, ds_error *e)
{
    if (unlink(path) && errno != ENOENT)
        return ds_fail_at(e, DS_EIO, path, 0, "cannot remove: %s", strerror(errno));
    return DS_OK;
}

/* A file may have been edited since: it is kept under the name in *moved. */
static int move_file(const char *path, char **moved, bool *kept, ds_error *e)
{
    struct stat st;
    if (lstat(path, &st) || !S_ISREG(st.st_mode))
        return remove_file(path, e);
    DS_FREED char *old = ds_path_spare(path);
    *kept = ds_path_exists(old);
    if (*kept ? unlink(path) : rename(path, old))
        return ds_fail_at(e, DS_EIO, path, 0, "cannot rename: %s", strerror(errno));
    *moved = old;
    old = NULL;
    return DS_OK;
}

/* The k-th file of an import beside its images, the first of them being the .data file. Fresh memory. */
enum { FILES = 7 };
static char *file_of(const ds_import_job *job, int k)
{
    static const char *const files[FILES] = {NULL,        "train.list", "valid.list", "calib.list",
                                             "test.list", "labels",     "names"};
    return k ? path_in(job, files[k], "") : ds_strdup(job->data_path);
}

/* A link for one of the files goes with them. */
int ds_import_remove_earlier(ds_import_job *job, ds_error *e)
{
    for (int k = 0; k < FILES; k++) {
        DS_FREED char *path = file_of(job, k);
        DS_TRY(move_file(path, &job->moved[k], &job->kept[k], e));
    }
    return DS_OK;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static void remove_folder(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* In another folder, without a .data file of before, the mark stays, which makes the folder ours. */
void ds_import_put_back(ds_import_job *job)
{
    if (job->images)
        remove_folder(job->images);
    for (int k = 0; k < FILES; k++) {
        DS_FREED char *path = file_of(job, k);
        if (job->kept[k])
            unlink(path);
        if (job->moved[k] && (!job->kept[k] || link(job->moved[k], path)))
            rename(job->moved[k], path);
        else if (job->fresh)
            unlink(path);
    }
    if (job->fresh || (job->data_path && ds_path_exists(job->data_path)))
        unlink(job->mark);
    if (job->fresh)
        rmdir(job->setup->out);
}

int ds_import_open_folder(ds_import_job *job, ds_error *e)
{
    const char *dir = job->setup->out;
    char whole[PATH_MAX];
    DS_TRY(make_folder(dir, e));
    if (!realpath(dir, whole) || (job->lock = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return ds_fail_at(e, DS_EIO, dir, 0, "cannot open the folder: %s", strerror(errno));
    if (flock(job->lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return ds_fail_at(e, DS_EIO, dir, 0, "another process imports into it, expected its end");
    DS_TRY(check_sources(job->setup, whole, e));
    const char *base = ds_path_base(whole);
    job->data_path = path_in(job, *base ? base : "images", ".data");
    job->mark = path_in(job, ".import_unfinished", "");
    if (!is_ours(job->data_path) && !ds_path_exists(job->mark)) {
        DS_TRY(check_empty(job, e));
        job->fresh = true;
    }
    int fd = open(job->mark, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    return fd >= 0 && close(fd) == 0
               ? DS_OK
               : ds_fail_at(e, DS_EIO, dir, 0, "cannot write there: %s", strerror(errno));
}

static int no_folder(const ds_import_job *job, ds_error *e)
{
    return ds_fail_at(e, DS_EIO, job->setup->out, 0, "cannot make a folder there: %s", strerror(errno));
}

int ds_import_begin_images(ds_import_job *job, ds_error *e)
{
    DS_FREED char *path = path_in(job, UNPACKING, "");
    remove_folder(path); /* of one that was killed */
    job->images = mkdir(path, 0777) ? NULL : realpath(path, NULL);
    return job->images ? DS_OK : no_folder(job, e);
}

/* images, images-2, …: lists of before name the files of before. */
int ds_import_end_images(ds_import_job *job, ds_error *e)
{
    DS_FREED char *dir = ds_path_dir(job->images), *name = ds_strdup("images"),
                  *path = ds_path_join(dir, name);
    for (int i = 2; mkdir(path, 0777); i++) {
        if (errno != EEXIST)
            return no_folder(job, e);
        free(name);
        free(path);
        path = ds_path_join(dir, name = ds_format("images-%d", i));
    }
    if (rename(job->images, path))
        return no_folder(job, e);
    free(job->images);
    job->images = path;
    path = NULL;
    return DS_OK;
}

static int make_folders(const ds_import_job *job, const char *part, ds_error *e)
{
    DS_FREED char *path = path_in(job, part, "");
    DS_TRY(make_folder(path, e));
    for (int c = 0; c < job->classes; c++) {
        DS_FREED char *folder = ds_path_join(path, job->labels[c]);
        DS_TRY(make_folder(folder, e));
    }
    return DS_OK;
}

/* Not written beside its final name as other files are: the lists that make it count come last. A link in its
 * place goes. */
static int write_file(const char *path, const unsigned char *bytes, size_t n, ds_error *e)
{
    unlink(path);
    FILE *f = fopen(path, "wbxe");
    bool whole = f && fwrite(bytes, 1, n, f) == n;
    if (f && fclose(f))
        whole = false;
    return whole ? DS_OK : ds_fail_at(e, DS_EIO, path, 0, "cannot write: %s", strerror(errno));
}

static int write_images(const ds_import_job *job, ds_import_set *set, const char *part, ds_error *e)
{
    size_t area = (size_t)set->w * (size_t)set->h, n;
    DS_FREED unsigned char *px = ds_xmalloc(area * (size_t)set->c);
    DS_TRY(make_folders(job, part, e));
    for (int i = 0; i < set->n; i++) {
        set->paths[i] = ds_format("%s/%s/%06d.png", part, job->labels[set->labels[i]], i);
        DS_FREED char *path = path_in(job, set->paths[i], "");
        for (size_t k = 0, c = (size_t)set->c; k < area * c; k++) /* planes become pixels */
            px[k] = set->pixels[i][k % c * area + k / c];
        DS_FREED unsigned char *png = ds_png_encode(px, set->w, set->h, set->c, &n);
        DS_TRY(write_file(path, png, n, e));
    }
    return DS_OK;
}

/* One call for all, since one for each would take minutes. */
int ds_import_sync(const ds_import_job *job, ds_error *e)
{
    const char *dir = job->setup->out;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ds_fail_at(e, DS_EIO, dir, 0, "cannot open: %s", strerror(errno));
    int problem = syncfs(fd) ? errno : 0;
    close(fd);
    return problem ? ds_fail_at(e, DS_EIO, dir, 0, "cannot write: %s", strerror(problem)) : DS_OK;
}

int ds_import_write_images(ds_import_job *job, ds_error *e)
{
    for (int p = 0; p < DS_PARTS; p++)
        if (job->sets[p].n)
            DS_TRY(write_images(job, &job->sets[p], ds_part_names[p], e));
    return ds_import_sync(job, e);
}

static int open_file(const ds_import_job *job, const char *name, const char *ending, ds_writer *w,
                     ds_error *e)
{
    DS_FREED char *path = path_in(job, name, ending);
    return ds_writer_open(w, path, e);
}

static int write_texts(const ds_import_job *job, const char *name, char **texts, ds_error *e)
{
    ds_writer w;
    DS_TRY(open_file(job, name, "", &w, e));
    for (int c = 0; c < job->classes; c++)
        fprintf(w.f, "%s\n", texts[c]);
    return ds_writer_commit(&w, e);
}

/* The images of `set` that are in the split `which`; part NULL: all. */
static int write_list(const ds_import_job *job, const char *key, const ds_import_set *set, const int *part,
                      int which, ds_error *e)
{
    ds_writer w;
    DS_TRY(open_file(job, key, ".list", &w, e));
    DS_FREED char *own = job->images ? ds_path_dir(job->images) : NULL; /* files in it move with it */
    for (int i = 0; i < set->n; i++)
        if (!part || part[i] == which)
            fprintf(w.f, "%s%s%s\n",
                    set->paths[i] + (own && ds_import_is_inside(set->paths[i], own) ? strlen(own) + 1 : 0),
                    job->labels_in_lists ? "\t" : "",
                    job->labels_in_lists ? job->labels[set->labels[i]] : "");
    return ds_writer_commit(&w, e);
}

static int write_data(const ds_import_job *job, ds_error *e)
{
    ds_writer w;
    DS_TRY(ds_writer_open(&w, job->data_path, e));
    fprintf(w.f, FIRST_WORDS "%s\nclasses=%d\n", job->setup->command ? job->setup->command : "import",
            job->classes);
    for (int p = 0; p < DS_PARTS; p++)
        if (job->sets[p].n || (p > 0 && job->splits[p - 1].count))
            fprintf(w.f, "%s=%s.list\n", ds_part_names[p], ds_part_names[p]);
    fprintf(w.f, "labels=labels\n%slabels_from=%s\nbackup=backup\ntop=%d\n",
            job->names ? "names=names\n" : "", job->labels_in_lists ? "list" : "directory",
            job->classes < 5 ? job->classes : 5);
    return ds_writer_commit(&w, e);
}

/* A list must share no image with another: those that are the same go together, for training if one of them
 * is. */
static void keep_together(ds_import_job *job)
{
    const ds_import_set *train = &job->sets[DS_PART_TRAIN];
    const ds_images all = {.n = train->n, .paths = train->paths};
    DS_FREED ds_same *same = NULL;
    const int n = ds_images_same(&all, 1, 2, &same);
    for (int i = 0, end; i < n; i = end) {
        int part = job->part[same[i].image];
        end = ds_same_end(same, n, i);
        for (int k = i; k < end; k++)
            part = job->part[same[k].image] < part ? job->part[same[k].image] : part;
        for (int k = i; k < end; k++)
            job->part[same[k].image] = part;
    }
    for (int p = 0; p < DS_PARTS - 1; p++)
        job->splits[p].count = 0;
    for (int i = 0; i < train->n; i++)
        if (job->part[i] >= 0)
            job->splits[job->part[i]].count++;
}

/* Classes of which training has none. */
static int without_images(const ds_import_job *job)
{
    const ds_import_set *train = &job->sets[DS_PART_TRAIN];
    DS_FREED bool *seen = ds_xcalloc((size_t)job->classes, sizeof *seen);
    int n = job->classes;
    for (int i = 0; i < train->n; i++)
        if (job->part[i] < 0 && !seen[train->labels[i]]) {
            seen[train->labels[i]] = true;
            n--;
        }
    return n;
}

void ds_import_share_out(ds_import_job *job)
{
    const ds_import_set *train = &job->sets[DS_PART_TRAIN];
    DS_ALLOC(job->part, (size_t)train->n);
    ds_split_stratified(train->labels, train->n, job->classes, job->splits, DS_PARTS - 1,
                        (uint64_t)job->setup->seed, job->part);
    if (job->setup->together && job->setup->kind == DS_FOLDERS)
        keep_together(job);
    job->untrained = without_images(job);
}

int ds_import_write_lists(ds_import_job *job, ds_error *e)
{
    const ds_import_set *train = &job->sets[DS_PART_TRAIN];
    DS_TRY(write_texts(job, "labels", job->labels, e));
    if (job->names)
        DS_TRY(write_texts(job, "names", job->names, e));
    for (int p = 0; p < DS_PARTS; p++)
        if (p && job->sets[p].n)
            DS_TRY(write_list(job, ds_part_names[p], &job->sets[p], NULL, 0, e));
        else if (!p || job->splits[p - 1].count)
            DS_TRY(write_list(job, ds_part_names[p], train, job->part, p - 1, e));
    DS_TRY(write_data(job, e));
    return remove_file(job->mark, e);
}
