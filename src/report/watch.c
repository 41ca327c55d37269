#include "report/watch.h"
#include "base/file.h"
#include "base/memory.h"
#include "report/fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

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
    {0},
};
static const member of_risk[] = {
    MEMBER(ds_watch_risk, "risk", risk),          MEMBER(ds_watch_risk, "images", images),
    MEMBER(ds_watch_risk, "wrong", wrong),        MEMBER(ds_watch_risk, "log_e", evidence.log_e),
    MEMBER(ds_watch_risk, "s", evidence.s),       MEMBER(ds_watch_risk, "e_at", evidence.e_at),
    MEMBER(ds_watch_risk, "s_at", evidence.s_at), {0},
};

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
    if (json_object_set_new(object, "labelled", pack(of_risk, &w->labelled)) ||
        json_object_set_new(object, "crc", json_integer(crc_of(object))))
        ds_out_of_memory();
    ds_json_write(f, object, JSON_INDENT(1));
}

static bool inside(double v)
{
    return v > 0 && v < 1;
}

static bool is_sound(const ds_watch *w)
{
    const ds_watch_risk *r = &w->labelled;
    return inside(w->alpha) && w->run_length >= 1 && (r->risk == 0 || inside(r->risk)) && r->wrong >= 0 &&
           r->wrong <= r->images && r->evidence.s >= 0;
}

static bool take(json_t *object, ds_watch *w)
{
    const json_t *crc = json_object_get(object, "crc");
    const json_int_t written = json_is_integer(crc) ? json_integer_value(crc) : -1;
    json_object_del(object, "crc");
    return written == crc_of(object) && unpack(of_state, object, w) &&
           unpack(of_risk, json_object_get(object, "labelled"), &w->labelled) && is_sound(w);
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
    return alarmed(&w->labelled.evidence);
}

static void put_limit(FILE *f, const char *name, double value, double limit, double at)
{
    fprintf(f, "  %-14s %.4g, alarm at %.4g%s", name, value, limit, at > 0 ? ": reached after image " : "\n");
    if (at > 0)
        fprintf(f, "%.0f\n", at);
}

static void put_evidence(FILE *f, const ds_evidence *v, const ds_watch *w)
{
    put_limit(f, "E (ever)", exp(v->log_e), 1 / w->alpha, v->e_at);
    put_limit(f, "S (late)", v->s, w->run_length, v->s_at);
}

void ds_watch_text(FILE *f, const ds_watch *w)
{
    const ds_watch_risk *r = &w->labelled;
    if (r->risk > 0) {
        fprintf(f, "%-16s %.0f accepted, %.0f of them wrong", "labelled images", r->images, r->wrong);
        if (r->images > 0)
            fprintf(f, " (%.2f %%)", 100 * r->wrong / r->images);
        fprintf(f, ", promised: at most %g %%\n", 100 * r->risk);
        put_evidence(f, &r->evidence, w);
        fprintf(f, "%-16s %s\n", "promise", alarmed(&r->evidence) ? "BROKEN" : "no evidence against it");
    }
}
