#include "report/watch.h"
#include "base/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>

const char *const ds_watch_columns[DS_WATCH_COLUMNS] = {"confidence", "novelty"};

int ds_watch_scores(const ds_watch *w)
{
    return (w->scores[0].calib > 0) + (w->scores[1].calib > 0);
}

/* The state holds doubles alone. */
static ds_saved array_of(const ds_watch *w)
{
    return (ds_saved){"state", "F64", sizeof *w / sizeof(double), 1, (void *)w};
}

int ds_watch_write(const ds_watch *w, const char *path, ds_error *e)
{
    const ds_saved array = array_of(w);
    json_auto_t *texts = json_object();
    return ds_saved_write(path, texts, &array, 1, false, e);
}

static bool inside(double v)
{
    return v > 0 && v < 1;
}

/* A CRC-32 tells of damage: only what a later step could stumble over is looked at. */
static bool is_sound(const ds_watch *w)
{
    bool sound = inside(w->alpha) && w->run_length >= 1 && w->seed >= 1 && w->seed <= INT_MAX &&
                 (w->labelled.risk == 0 || inside(w->labelled.risk));
    for (int i = 0; i < DS_WATCH_COLUMNS; i++) {
        const ds_watch_score *v = &w->scores[i];
        if (v->calib == 0)
            continue;
        sound = sound && v->calib > 0 && v->bins >= 1 && v->bins <= DS_WATCH_BINS && v->images >= 0 &&
                v->images < 0x1p53;
        for (int k = 0; sound && k < v->bins; k++)
            sound = v->gaps[k] > 0 && v->counts[k] >= 0 && v->recent[k] >= 0;
    }
    return sound;
}

/* The lock is a file of its own: a state is replaced when written. */
int ds_watch_lock(const char *path, int *fd, ds_error *e)
{
    DS_FREED char *lock = ds_format("%s.lock", path);
    *fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*fd < 0)
        return ds_fail_at(e, DS_EIO, lock, 0, "cannot open: %s", strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return ds_fail_at(e, DS_EINPUT, path, 0, "another process watches with it, expected one at a time");
    return DS_OK;
}

int ds_watch_read(const char *path, ds_watch *w, ds_error *e)
{
    static const char wanted[] = "a state that classifier watch wrote";
    const ds_saved array = array_of(w);
    DS_FINALLY(ds_saved_close) ds_saved_file f = {0};
    DS_TRY(ds_saved_open(&f, ds_strdup(path), wanted, e));
    DS_TRY(ds_saved_read(&f, &array, e));
    return is_sound(w) ? DS_OK : ds_fail_at(e, DS_EINPUT, path, 0, "is damaged, expected %s", wanted);
}

static bool alarmed(const ds_evidence *v)
{
    return v->e_at > 0 || v->s_at > 0;
}

bool ds_watch_alarmed(const ds_watch *w)
{
    return alarmed(&w->labelled.evidence) || alarmed(&w->scores[0].evidence) ||
           alarmed(&w->scores[1].evidence);
}

static void put_limit(FILE *f, const char *name, double value, double limit, double at)
{
    fprintf(f, "  %-14s %.4g, alarm at %.4g", name, value, limit);
    if (at > 0)
        fprintf(f, ": reached after image %.0f", at);
    putc('\n', f);
}

static void put_evidence(FILE *f, const ds_evidence *v, const ds_watch *w, int shares)
{
    put_limit(f, "E (ever)", exp(v->log_e), shares / w->alpha, v->e_at);
    put_limit(f, "S (late)", v->s, shares * w->run_length, v->s_at);
}

static void put_risk(FILE *f, const ds_watch *w)
{
    const ds_watch_risk *r = &w->labelled;
    fprintf(f, "%-16s %.0f accepted, %.0f of them wrong", "labelled images", r->images, r->wrong);
    if (r->images > 0)
        fprintf(f, " (%.2f %%)", 100 * r->wrong / r->images);
    fprintf(f, ", promised: at most %g %%\n", 100 * r->risk);
    put_evidence(f, &r->evidence, w, 1);
    fprintf(f, "%-16s %s\n", "promise", alarmed(&r->evidence) ? "BROKEN" : "no evidence against it");
}

void ds_watch_text(FILE *f, const ds_watch *w)
{
    bool changed = false;
    if (w->labelled.risk > 0)
        put_risk(f, w);
    for (int i = 0; i < DS_WATCH_COLUMNS; i++) {
        const ds_watch_score *v = &w->scores[i];
        if (v->calib == 0)
            continue;
        fprintf(f, "%-16s of %.0f images, against %.0f of the calibration\n", ds_watch_columns[i], v->images,
                v->calib);
        put_evidence(f, &v->evidence, w, ds_watch_scores(w));
        changed = changed || alarmed(&v->evidence);
    }
    if (ds_watch_scores(w))
        fprintf(f, "%-16s %s\n", "change",
                changed ? "YES; this is no proof of harm, nor would none be of its absence: labels tell"
                        : "no evidence of any; what leaves the scores as they are goes unnoticed");
}
