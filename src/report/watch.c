#include "report/watch.h"
#include "base/file.h"
#include "base/memory.h"
#include "report/fields.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

const char *const ds_watch_columns[DS_WATCH_COLUMNS] = {"confidence", "novelty"};

int ds_watch_scores(const ds_watch *w)
{
    return (w->scores[0].calib > 0) + (w->scores[1].calib > 0);
}

/* ---- the file ---- */

/* A member of a struct that holds doubles alone. */
typedef struct member {
    const char *name;
    size_t at;
    int n;
} member;
#define MEMBER(type, name_, what)                                                         \
    {                                                                                     \
        name_, offsetof(type, what), (int)(sizeof(((type *)NULL)->what) / sizeof(double)) \
    }

static const member of_state[] = {
    MEMBER(ds_watch, "alpha", alpha),
    MEMBER(ds_watch, "run_length", run_length),
    MEMBER(ds_watch, "seed", seed),
    {0},
};
static const member of_risk[] = {
    MEMBER(ds_watch_risk, "risk", risk),          MEMBER(ds_watch_risk, "images", images),
    MEMBER(ds_watch_risk, "wrong", wrong),        MEMBER(ds_watch_risk, "log_e", evidence.log_e),
    MEMBER(ds_watch_risk, "s", evidence.s),       MEMBER(ds_watch_risk, "e_at", evidence.e_at),
    MEMBER(ds_watch_risk, "s_at", evidence.s_at), {0},
};

static const member of_score[] = {
    MEMBER(ds_watch_score, "calib", calib),
    MEMBER(ds_watch_score, "bins", bins),
    MEMBER(ds_watch_score, "images", images),
    MEMBER(ds_watch_score, "bound", bound),
    MEMBER(ds_watch_score, "tie", tie),
    MEMBER(ds_watch_score, "gaps", gaps),
    MEMBER(ds_watch_score, "counts", counts),
    MEMBER(ds_watch_score, "recent", recent),
    MEMBER(ds_watch_score, "log_bets", log_e),
    MEMBER(ds_watch_score, "s_bets", s),
    MEMBER(ds_watch_score, "log_e", evidence.log_e),
    MEMBER(ds_watch_score, "s", evidence.s),
    MEMBER(ds_watch_score, "e_at", evidence.e_at),
    MEMBER(ds_watch_score, "s_at", evidence.s_at),
    {0},
};

/* What of a state there may be. */
static const struct part {
    const char *name;
    const member *members;
    size_t at;
} parts[] = {{"labelled", of_risk, offsetof(ds_watch, labelled)},
             {"confidence", of_score, offsetof(ds_watch, scores[DS_WATCH_CONFIDENCE])},
             {"novelty", of_score, offsetof(ds_watch, scores[DS_WATCH_NOVELTY])}};
enum { PARTS = sizeof parts / sizeof *parts };

static json_t *pack(const member *m, const void *from)
{
    json_t *object = json_object();
    for (; m->name; m++) {
        const double *v = (const double *)((const char *)from + m->at);
        json_t *numbers = json_array();
        for (int i = 0; i < m->n; i++)
            if (json_array_append_new(numbers, json_real(v[i])))
                ds_out_of_memory();
        if (json_object_set_new(object, m->name, numbers))
            ds_out_of_memory();
    }
    return object;
}

static bool unpack(const member *m, const json_t *object, void *to)
{
    for (; m->name; m++) {
        double *v = (double *)((char *)to + m->at);
        const json_t *numbers = json_object_get(object, m->name);
        if (json_array_size(numbers) != (size_t)m->n)
            return false;
        for (int i = 0; i < m->n; i++) {
            const json_t *number = json_array_get(numbers, (size_t)i);
            if (!json_is_real(number))
                return false;
            v[i] = json_real_value(number);
        }
    }
    return true;
}

static json_int_t crc_of(const json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    if (!text)
        ds_out_of_memory();
    const json_int_t crc = (json_int_t)crc32(0, (const Bytef *)text, (uInt)strlen(text));
    free(text);
    return crc;
}

void ds_watch_write(FILE *f, const ds_watch *w)
{
    json_t *object = pack(of_state, w);
    for (int i = 0; i < PARTS; i++) {
        const double *part = (const double *)((const char *)w + parts[i].at);
        if (*part > 0 && json_object_set_new(object, parts[i].name, pack(parts[i].members, part)))
            ds_out_of_memory();
    }
    if (json_object_set_new(object, "crc", json_integer(crc_of(object))))
        ds_out_of_memory();
    ds_json_write(f, object, JSON_INDENT(1));
}

static bool inside(double v)
{
    return v > 0 && v < 1;
}

/* The numbers of a state have the CRC-32 that they were written with: only what a later step could stumble
 * over is looked at. */
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

static bool take(json_t *object, ds_watch *w)
{
    const json_t *crc = json_object_get(object, "crc");
    const json_int_t written = json_is_integer(crc) ? json_integer_value(crc) : -1;
    json_object_del(object, "crc");
    bool taken = written == crc_of(object) && unpack(of_state, object, w);
    for (int i = 0; i < PARTS; i++) {
        const json_t *part = json_object_get(object, parts[i].name);
        taken = taken && (!part || unpack(parts[i].members, part, (char *)w + parts[i].at));
    }
    return taken && is_sound(w);
}

int ds_watch_read(const char *path, ds_watch *w, ds_error *e)
{
    static const char wanted[] = "a state that classifier watch wrote";
    char *text;
    *w = (ds_watch){0};
    DS_TRY(ds_file_read_text(path, wanted, &text, e));
    json_t *object = json_loads(text, 0, NULL);
    const bool taken = json_is_object(object) && take(object, w);
    json_decref(object);
    free(text);
    return taken ? DS_OK : ds_fail_at(e, DS_EINPUT, path, 0, "is damaged, expected %s", wanted);
}

/* ---- words ---- */

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
