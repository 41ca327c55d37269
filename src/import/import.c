#include "import/parts.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const ds_part_names[DS_PARTS] = {"train", "valid", "calib", "test"};

/* Which part a split is for. */
static int find_part(const char *name, int *part, ds_error *e)
{
    if (strcmp(name, "train") == 0)
        return ds_fail(e, DS_EUSAGE,
                       "split 'train', expected valid, calib or test: train keeps what they leave");
    for (*part = DS_PART_VALID; *part < DS_PARTS; ++*part)
        if (strcmp(name, ds_part_names[*part]) == 0)
            return DS_OK;
    const char *near = ds_nearest(name, ds_part_names + 1, DS_PARTS - 1);
    return ds_fail(e, DS_EUSAGE, "unknown split '%s', expected valid, calib or test%s%s%s", name,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int take_split(ds_import_job *job, const ds_split *split, ds_error *e)
{
    int part, most = job->sets[DS_PART_TRAIN].n;
    DS_TRY(find_part(split->name, &part, e));
    ds_split *taken = &job->splits[part - 1];
    if (job->sets[part].n && split->optional)
        return DS_OK;
    if (job->sets[part].n)
        return ds_fail(e, DS_EUSAGE, "split '%s' besides %simages of the source, expected only one of them",
                       split->name, part == DS_PART_TEST ? "-test or such " : "such ");
    if (taken->count)
        return ds_fail(e, DS_EUSAGE, "split '%s' given twice, expected it once", split->name);
    *taken = *split;
    if (!taken->count)
        taken->count = split->share * most < 1 ? 1 : (int)lround(split->share * most);
    return DS_OK;
}

/* Do the names of the splits fit, and is at least one image left for training? */
static int take_splits(ds_import_job *job, ds_error *e)
{
    const ds_import *s = job->setup;
    int n = job->sets[DS_PART_TRAIN].n;
    long long sum = 0;
    for (int k = 0; k < s->n_splits; k++)
        DS_TRY(take_split(job, &s->splits[k], e));
    for (int k = 0; k < DS_PARTS - 1; k++)
        sum += job->splits[k].count;
    if (sum >= n)
        return ds_fail(e, DS_EINPUT,
                       "the splits take %lld images, expected fewer than the %d training images", sum, n);
    return DS_OK;
}

/* ---- labels of classes, which have names ---- */

/* As a folder can be called; what a list or the shell would misread becomes '_'. Then "a_b", and "a_b_2",
 * "a_b_3" for further classes that would be called the same. */
static char *free_label(char **labels, int n, const char *name)
{
    DS_FREED char *plain = ds_strdup(name);
    char *label;
    if (*plain == '.' || *plain == '#' || *plain == ';')
        *plain = '_';
    for (char *p = plain; *p; p++)
        if (*p == '/' || (unsigned char)*p < 32 || *p == 127)
            *p = '_';
    label = ds_strdup(plain);
    for (int k = 2; ds_word_index((const char *const *)labels, n, label) >= 0; k++) {
        free(label);
        label = ds_format("%s_%d", plain, k);
    }
    return label;
}

void ds_import_add(ds_import_set *set, const unsigned char *pixels, char *path, int label)
{
    int n = set->n;
    DS_PUSH(set->labels, n, label);
    n = set->n;
    DS_PUSH(set->pixels, n, pixels);
    DS_PUSH(set->paths, set->n, path);
}

int ds_import_add_pixels(const ds_import_job *job, ds_import_set *set, const unsigned char *pixels, int label,
                         int i, const char *path, ds_error *e)
{
    if (label >= job->classes)
        return ds_fail_at(e, DS_EINPUT, path, 0, "label %d of image %d, expected 0 … %d: %s has %d classes",
                          label, i, job->classes - 1, job->classes_path, job->classes);
    ds_import_add(set, pixels, NULL, label);
    return DS_OK;
}

static void release(ds_import_job *job)
{
    for (int i = 0; i < DS_IMPORT_FILES; i++) {
        free(job->files[i].path);
        free(job->files[i].bytes);
    }
    for (ds_import_set *set = job->sets; set < job->sets + DS_PARTS; set++) {
        ds_free_texts(set->paths, set->n);
        free(set->labels);
        free(set->pixels);
    }
    ds_free_texts(job->labels, job->classes);
    ds_free_texts(job->names, job->classes);
    for (size_t k = 0; k < sizeof job->moved / sizeof *job->moved; k++)
        free(job->moved[k]);
    free(job->data_path);
    free(job->mark);
    free(job->other);
    free(job->images);
    free(job->part);
    if (job->lock >= 0)
        close(job->lock);
}

static int unpack(ds_import_job *job, ds_error *e)
{
    DS_TRY(ds_import_open_folder(job, e));
    DS_TRY(ds_import_begin_images(job, e));
    DS_TRY(ds_import_unpack(job, e));
    DS_TRY(ds_import_sync(job, e));
    return ds_import_end_images(job, e);
}

static int read_source(ds_import_job *job, ds_error *e)
{
    ds_import_kind kind = job->setup->kind;
    DS_TRY(kind == DS_IDX       ? ds_import_read_idx(job, e)
           : kind == DS_FOLDERS ? ds_import_read_folders(job, e)
                                : ds_import_read_cifar(job, e));
    DS_TRY(take_splits(job, e));
    if (job->setup->look)
        DS_TRY(job->setup->look(job->setup->arg, &job->sets[DS_PART_TRAIN], job->classes, e));
    for (int c = 0; c < job->classes && job->names; c++) {
        int n = c;
        DS_PUSH(job->labels, n, free_label(job->labels, c, job->names[c]));
    }
    return DS_OK;
}

static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
enum { STOPS = sizeof stops / sizeof *stops };
static volatile sig_atomic_t stopped;

static void note_stop(int signal)
{
    stopped = signal;
}

/* Whatever thread they come to, signals that ask to stop wait from here to let_stop. */
static void hold_stops(struct sigaction *before)
{
    const struct sigaction wait = {.sa_handler = note_stop, .sa_flags = SA_RESTART};
    stopped = 0;
    for (int i = 0; i < STOPS; i++)
        sigaction(stops[i], &wait, &before[i]);
}

static void let_stop(const struct sigaction *before)
{
    for (int i = 0; i < STOPS; i++)
        sigaction(stops[i], &before[i], NULL);
    if (stopped)
        raise(stopped);
}

static int run(ds_import_job *job, ds_error *e)
{
    const bool folders = job->setup->kind == DS_FOLDERS;
    struct stat st;
    const char *source = job->setup->source[0];
    const bool packed = folders && stat(source, &st) == 0 && !S_ISDIR(st.st_mode);
    if (packed && !S_ISREG(st.st_mode))
        return ds_fail_at(e, DS_EINPUT, source, 0,
                          "is no folder and no file, expected one folder a class, or an archive of them");
    struct sigaction before[STOPS];
    int rc = packed ? unpack(job, e) : DS_OK;
    if (!rc)
        rc = read_source(job, e);
    if (!rc && !packed)
        rc = ds_import_open_folder(job, e);
    if (!rc)
        ds_import_share_out(job);
    if (folders) /* there are the lists of before, or those of now */
        hold_stops(before);
    if (!rc)
        rc = ds_import_remove_earlier(job, e);
    if (!rc && !folders)
        rc = ds_import_write_images(job, e);
    if (!rc)
        rc = ds_import_write_lists(job, e);
    if (rc && folders) /* images of other archives have replaced those of before */
        ds_import_put_back(job);
    if (folders)
        let_stop(before);
    return rc;
}

int ds_import_run(const ds_import *s, ds_imported *done, ds_error *e)
{
    ds_import_job job = {.setup = s, .lock = -1};
    *done = (ds_imported){0};
    int rc = run(&job, e);
    if (!rc)
        *done = (ds_imported){.classes = job.classes,
                              .data_path = ds_strdup(job.data_path),
                              .others = job.others,
                              .other = ds_strdup(job.other),
                              .part = ds_strdup(ds_import_part_name(&job)),
                              .untrained = job.untrained,
                              .deep = job.labels_in_lists && !job.shallow};
    for (int p = 0; !rc && p < DS_PARTS; p++) {
        int taken = p ? job.splits[p - 1].count : 0;
        done->n[p] += job.sets[p].n + taken;
        done->n[DS_PART_TRAIN] -= taken;
    }
    release(&job);
    return rc;
}
