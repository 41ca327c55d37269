/* The folder of a run, BACKUP/BASE-1, -2, …, and the links of BACKUP to the files of the newest. */
#include "base/file.h"
#include "train/job.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

char *ds_job_path(const ds_job *job, const char *suffix)
{
    return ds_format("%s/%s%s", job->folder, job->base, suffix);
}

static char *link_path(const ds_job *job, const char *suffix)
{
    return ds_format("%s/%s%s", job->data.backup, job->base, suffix);
}

static int lock(ds_job *job, ds_error *e)
{
    if (!ds_job_first(job))
        return DS_OK;
    job->lock = open(job->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (job->lock >= 0 && (flock(job->lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK))
        return DS_OK; /* some file systems have no locks */
    return ds_fail_at(e, DS_EINPUT, job->folder, 0,
                      "%s, expected a folder of one run (-name NAME takes another)",
                      job->lock < 0 ? strerror(errno) : "another run writes there");
}

/* Leads to the folder of the run that began last. */
static char *newest_path(const ds_job *job)
{
    return ds_format("%s/.%s.newest", job->data.backup, job->base);
}

/* What a link leads to, fresh memory; NULL: nothing. */
static char *target_of(const char *path)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    return n > 0 ? ds_strndup(target, (size_t)n) : NULL;
}

/* The folder inside backup= of the run that began last, fresh memory; NULL: none. */
static char *newest(const ds_job *job)
{
    DS_FREED char *path = newest_path(job), *mark = target_of(path);
    if (mark && !strchr(mark, '/') && ds_path_exists(path)) {
        char *folder = mark;
        mark = NULL;
        return folder;
    }
    DS_FREED char *checkpoint = link_path(job, ".ckpt"), *target = target_of(checkpoint);
    return target ? ds_path_dir(target) : NULL;
}

/* From here on this run is the newest, wherever it is killed. */
static void mark_newest(const ds_job *job)
{
    DS_FREED char *path = newest_path(job), *fresh = ds_format("%s~", path);
    unlink(fresh);
    if (symlink(ds_path_base(job->folder), fresh) || rename(fresh, path))
        unlink(fresh);
}

int ds_folder_find(ds_job *job, ds_error *e)
{
    DS_FREED char *name = job->setup.name ? ds_strdup(job->setup.name) : newest(job);
    job->folder = name ? ds_path_join(job->data.backup, name) : NULL;
    if (job->folder && ds_path_exists(job->folder))
        return lock(job, e);
    free(job->folder);
    job->folder = NULL;
    return DS_OK;
}

/* BASE-1, BASE-2, …, or NAME, NAME-2, …: the first that is free. */
static int make(ds_job *job, ds_error *e)
{
    const char *name = job->setup.name, *stem = name ? name : job->base;
    bool made = false;
    errno = EEXIST;
    for (int i = 1; !made && errno == EEXIST; i++) {
        free(job->folder);
        job->folder = name && i == 1 ? ds_path_join(job->data.backup, name)
                                     : ds_format("%s/%s-%d", job->data.backup, stem, i);
        made = mkdir(job->folder, 0777) == 0;
    }
    return made ? lock(job, e)
                : ds_fail_at(e, DS_EIO, job->folder, 0, "cannot create directory: %s", strerror(errno));
}

/* ---- what it says of itself ---- */

static int write_text(const ds_job *job, const char *name, const char *text, ds_error *e)
{
    ds_writer w;
    DS_FREED char *path = ds_path_join(job->folder, name);
    DS_TRY(ds_writer_open(&w, path, e));
    fputs(text, w.f);
    return ds_writer_commit(&w, e);
}

/* A .data file whose names of files hold from every folder; `text` is split. */
static char *with_whole_paths(const ds_datafile *d, char *text)
{
    char *copy, *line, path[PATH_MAX];
    size_t size;
    FILE *f = ds_memstream(&copy, &size);
    while ((line = strsep(&text, "\n"))) {
        const char *word = line + strspn(line, " \t");
        DS_FREED char *key = ds_strndup(word, strcspn(word, "= \t"));
        const ds_option *o = ds_option_find(ds_datafile_options, key);
        const ptrdiff_t i = o ? o - ds_datafile_options : DS_DATA_FILES;
        if (i < DS_DATA_FILES && d->files[i] && realpath(d->files[i], path))
            fprintf(f, "%s=%s\n", key, path);
        else if (*line || text)
            fprintf(f, "%s\n", line);
    }
    fclose(f);
    return copy;
}

/* run.txt: a paragraph each time that the run begins or goes on. */
static int describe(const ds_job *job, ds_error *e)
{
    const ds_train_setup *s = &job->setup;
    DS_FREED char *path = ds_path_join(job->folder, "run.txt"), *before = NULL;
    time_t now = time(NULL);
    struct utsname host = {0};
    uname(&host);
    DS_FREED char *computed = ds_job_computed(job);
    if (job->resumed)
        ds_file_read_text(path, "run.txt", &before, NULL);
    DS_FREED char *text =
        ds_format("%sbegun    %safter %llu images\ncommand  %s\nprogram  %s\nbackend  %s\nhost     %s "
                  "%s %s\nseed     %d\n\n",
                  before ? before : "", ctime_r(&now, (char[32]){0}), (unsigned long long)job->seen,
                  s->command ? s->command : "", s->program ? s->program : "", computed, host.sysname,
                  host.release, host.machine, s->seed);
    return write_text(job, "run.txt", text, e);
}

/* What a run that begins again in its folder must not go on from. */
static void forget_checkpoints(const ds_job *job)
{
    DS_FREED char *path = ds_job_path(job, ".ckpt"), *old = ds_job_path(job, ".ckpt.1");
    unlink(old);
    unlink(path);
}

/* A run that begins again in its folder must not write over the weights that it begins from. */
static int keep_weights(const ds_job *job, ds_error *e)
{
    const char *weights = job->setup.weights;
    DS_FREED char *whole = weights ? realpath(weights, NULL) : NULL;
    DS_FREED char *own = whole ? ds_path_join(job->folder, ds_path_base(whole)) : NULL;
    if (own && !job->resumed && ds_path_same(own, whole))
        return ds_fail(e, DS_EUSAGE, "-exist-ok would overwrite %s, which the run begins from: expected none",
                       weights);
    return DS_OK;
}

int ds_folder_begin(ds_job *job, ds_error *e)
{
    DS_FREED char *text = NULL, *whole = NULL;
    if (!ds_job_first(job)) {
        job->folder = job->folder ? job->folder : ds_strdup(job->data.backup);
        return DS_OK;
    }
    DS_TRY(ds_make_dirs(job->data.backup, e));
    if (!job->folder && job->setup.exist_ok)
        DS_TRY(ds_folder_find(job, e));
    if (job->folder && !job->resumed)
        ds_note(job->setup.notes, "note: begins again in %s: what the run before wrote there is replaced",
                job->folder);
    DS_TRY(job->folder ? keep_weights(job, e) : make(job, e));
    mark_newest(job);
    if (!job->resumed)
        forget_checkpoints(job);
    DS_TRY(describe(job, e));
    if (job->resumed)
        return DS_OK;
    DS_TRY(write_text(job, ds_path_base(job->setup.cfg), job->cfg_text, e));
    DS_TRY(ds_file_read_text(job->setup.data, "a .data file", &text, e));
    whole = with_whole_paths(&job->data, text);
    return write_text(job, ds_path_base(job->setup.data), whole, e);
}

static const char *const linked[] = {".ckpt",        ".backup", "_best.weights", ".weights", "_results.csv",
                                     "_results.png", NULL};

int ds_folder_check_name(const ds_job *job, ds_error *e)
{
    const char *name = job->setup.name;
    size_t n = strlen(job->base);
    if (name && strncmp(name, job->base, n) == 0 && ds_word_index(linked, -1, name + n) >= 0)
        return ds_fail(e, DS_EUSAGE, "-name %s is the name of a link beside the run, expected another", name);
    return DS_OK;
}

/* A file that stands there from before runs had folders is not ours to lose: it gets another name. */
static bool move_away(const ds_job *job, const char *path)
{
    struct stat st;
    if (lstat(path, &st) || S_ISLNK(st.st_mode))
        return true;
    if (S_ISDIR(st.st_mode))
        return false;
    DS_FREED char *old = ds_path_spare(path);
    bool moved = rename(path, old) == 0;
    if (moved)
        ds_note(job->setup.notes, "note: %s becomes a link; the file that it was is now %s", path, old);
    return moved;
}

void ds_folder_link(ds_job *job, const char *suffix)
{
    const int i = ds_word_index(linked, -1, suffix);
    if (i < 0 || job->linked >> i & 1 || !ds_job_first(job))
        return;
    job->linked |= 1u << i;
    DS_FREED char *owner =
        i ? newest(job) : NULL; /* of two runs at once the one that began last has all links */
    if (owner && strcmp(owner, ds_path_base(job->folder)) != 0)
        return;
    DS_FREED char *path = link_path(job, suffix);
    DS_FREED char *fresh = ds_format("%s/.%s%s.link", job->data.backup, job->base, suffix);
    DS_FREED char *target = ds_format("%s/%s%s", ds_path_base(job->folder), job->base, suffix);
    unlink(fresh);
    if (!move_away(job, path) || symlink(target, fresh) || rename(fresh, path)) {
        ds_note(job->setup.notes, "note: %s cannot become a link to %s: %s", path, target, strerror(errno));
        unlink(fresh);
    }
}
