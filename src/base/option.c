#include "base/option.h"
#include "base/problem.h"

#include <assert.h>
#include <limits.h>

/* Room for the field of any type: where a value goes that is only checked. */
typedef union any {
    bool flag;
    int integer;
    double real;
    char *text;
    ds_numbers numbers;
    ds_texts texts;
} any;

/* Word for the value in help, and what is expected of it. */
static const struct {
    const char *word, *kind;
} types[] = {
    [DS_FLAG] = {"", "flag"},
    [DS_BOOL] = {"TEXT", "0 or 1"},
    [DS_INT] = {"N", "an integer"},
    [DS_REAL] = {"X", "a number"},
    [DS_ENUM] = {"NAME", ""},
    [DS_TEXT] = {"TEXT", "text"},
    [DS_REALS] = {"TEXT", "numbers with commas"},
    [DS_INTS] = {"TEXT", "whole numbers with commas"},
    [DS_TEXTS] = {"TEXT", "text"},
};

static void *field(const ds_option *o, void *state)
{
    return state && o->offset != DS_UNSTORED ? (char *)state + o->offset : NULL;
}

/* Free what a field owns. */
static void clear(const ds_option *o, void *target)
{
    if (o->type == DS_TEXT) {
        free(*(char **)target);
        *(char **)target = NULL;
    } else if (o->type == DS_REALS || o->type == DS_INTS) {
        free(((ds_numbers *)target)->v);
        *(ds_numbers *)target = (ds_numbers){0};
    } else if (o->type == DS_TEXTS) {
        ds_texts *t = target;
        ds_free_texts(t->v, t->n);
        *t = (ds_texts){0};
    }
}

static bool limited(const ds_option *o)
{
    return o->min != 0 || o->max != 0;
}

static bool in_range(const ds_option *o, double v)
{
    return !limited(o) || (v >= o->min && v <= o->max);
}

static bool set_int(const ds_option *o, int *target, const char *value)
{
    long long v;
    const int word = o->names ? ds_word_index(o->names, -1, value) : -1;
    if (word >= 0) {
        *target = -1 - word;
        return true;
    }
    if (!ds_parse_int(value, &v) || v < INT_MIN || v > INT_MAX || !in_range(o, (double)v))
        return false;
    *target = (int)v;
    return true;
}

/* "1,2,3" into fresh numbers; blanks around a number are allowed. */
static bool set_numbers(const ds_option *o, ds_numbers *target, const char *value)
{
    DS_FREED char *copy = ds_strdup(value);
    char *rest = copy, *word;
    ds_numbers fresh = {0};
    bool ok = true;
    while (ok && (word = strsep(&rest, ","))) {
        double v = 0;
        word = ds_trim(word);
        ok = ds_parse_double(word, &v) && in_range(o, v) &&
             (o->type == DS_REALS || (v == floor(v) && fabs(v) <= INT_MAX));
        if (o->min == -HUGE_VAL && (strcmp(word, "inf") == 0 || strcmp(word, "-inf") == 0)) {
            v = *word == '-' ? -INFINITY : INFINITY;
            ok = true;
        }
        DS_PUSH(fresh.v, fresh.n, v);
    }
    free(ok ? target->v : fresh.v);
    if (ok)
        *target = fresh;
    return ok;
}

int ds_option_values(const ds_option *o)
{
    return o->type == DS_FLAG ? 0 : o->type == DS_TEXT && o->unit && strchr(o->unit, ' ') ? 2 : 1;
}

static bool set(const ds_option *o, void *target, const char *value)
{
    ds_texts *texts = target;
    double *real = target;
    char *text;
    int word;
    switch (o->type) {
    case DS_FLAG:
    case DS_BOOL:
        return (*(bool *)target = strcmp(value, "1") == 0) || strcmp(value, "0") == 0;
    case DS_INT:
        return set_int(o, target, value);
    case DS_REAL:
        return ds_parse_double(value, real) && in_range(o, *real);
    case DS_REALS:
    case DS_INTS:
        return set_numbers(o, target, value);
    case DS_ENUM:
        word = ds_word_index(o->names, -1, value);
        if (word >= 0) /* else what follows a refused value would use it as an index */
            *(int *)target = word;
        return word >= 0;
    case DS_TEXT:
        text = ds_option_values(o) > 1 && *(char **)target ? ds_format("%s,%s", *(char **)target, value)
                                                           : ds_strdup(value);
        clear(o, target);
        *(char **)target = text;
        return true;
    case DS_TEXTS:
        DS_PUSH(texts->v, texts->n, ds_strdup(value));
        return true;
    case DS_END:
        break;
    }
    return false;
}

static int bad_value(const ds_option *o, const char *value, const char *file, int line, ds_error *e)
{
    int n = 0;
    while (o->names && o->names[n])
        n++;
    const char *near = ds_nearest(value, o->names, n);
    DS_FREED char *expected = ds_option_describe(o);
    const char *below =
        o->type == DS_INT && strlen(value) > 9 && (!limited(o) || o->max >= INT_MAX) ? " below 2^31" : "";
    return ds_fail_at(e, DS_EINPUT, file, line, "%s=%.80s%s, expected %s%s%s%s%s", o->name, value,
                      strlen(value) > 80 ? "…" : "", expected, below, near ? "; did you mean '" : "",
                      near ? near : "", near ? "'?" : "");
}

int ds_option_set(const ds_option *o, void *state, const char *value, const char *file, int line, ds_error *e)
{
    any checked = {0};
    void *target = field(o, state);
    bool ok = set(o, &checked, value);
    clear(o, &checked);
    if (ok && target)
        set(o, target, value);
    return ok ? DS_OK : bad_value(o, value, file, line, e);
}

void ds_option_defaults(const ds_option *table, void *state)
{
    for (const ds_option *o = table; o->type != DS_END; o++) {
        void *target = field(o, state);
        if (target && o->def && !set(o, target, o->def))
            assert(!"a default that its own row refuses");
        if (target && !o->def && o->type == DS_REAL)
            *(double *)target = NAN;
        if (target && !o->def && o->type == DS_ENUM)
            *(int *)target = -1;
    }
}

const ds_option *ds_option_find(const ds_option *table, const char *name)
{
    for (const ds_option *o = table; o->type != DS_END; o++)
        if (strcmp(o->name, name) == 0)
            return o;
    return NULL;
}

const char *ds_option_nearest(const ds_option *table, const char *word)
{
    const char *names[128] = {0};
    int n = 0;
    for (const ds_option *o = table; o->type != DS_END && n < 128; o++)
        names[n++] = o->name;
    return ds_nearest(word, names, n);
}

const ds_pair *ds_pair_find(const ds_pair *pairs, int n, const char *key)
{
    for (int i = 0; i < n; i++)
        if (strcmp(pairs[i].key, key) == 0)
            return &pairs[i];
    return NULL;
}

/* What ds_option_fill fills from. */
typedef struct source {
    const ds_option *table;
    const ds_pair *pairs;
    int n;
    const char *place, *file;
} source;

static int check_when(const source *s, const ds_option *o, int line, ds_error *e)
{
    if (!o->when)
        return DS_OK;
    DS_FREED char *key = ds_strndup(o->when, strcspn(o->when, "="));
    const ds_pair *pair = ds_pair_find(s->pairs, s->n, key);
    const ds_option *chooser = ds_option_find(s->table, key);
    const char *value = pair ? pair->value : chooser && chooser->def ? chooser->def : "";
    if (ds_has_word(o->when + strlen(key) + 1, value))
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, s->file, line, "%s key '%s' goes with %s, but %s is %s", s->place,
                      o->name, o->when, key, value);
}

static int check_duplicate(const source *s, int i, ds_error *e)
{
    const ds_pair *first = ds_pair_find(s->pairs, i, s->pairs[i].key);
    if (!first)
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, s->file, s->pairs[i].line,
                      "duplicate key '%s' in %s, expected it once (first in line %d)", s->pairs[i].key,
                      s->place, first->line);
}

static int unknown_key(const source *s, const ds_pair *pair, ds_error *e)
{
    const char *near = ds_option_nearest(s->table, pair->key);
    return ds_fail_at(e, DS_EINPUT, s->file, pair->line, "unknown key '%s' in %s%s%s%s", pair->key, s->place,
                      near ? ", did you mean '" : ", expected one of its keys", near ? near : "",
                      near ? "'?" : "");
}

static int fill_one(const source *s, void *state, int i, ds_error *e)
{
    const ds_pair *pair = &s->pairs[i];
    const ds_option *o = ds_option_find(s->table, pair->key);
    if (!o)
        return unknown_key(s, pair, e);
    DS_TRY(check_duplicate(s, i, e));
    DS_TRY(check_when(s, o, pair->line, e));
    return ds_option_set(o, state, pair->value, s->file, pair->line, e);
}

int ds_option_fill(const ds_option *table, void *state, const ds_pair *pairs, int n, const char *place,
                   const char *file, ds_error *e)
{
    const int before = ds_failures(e);
    source s = {table, pairs, n, place, file};
    ds_option_defaults(table, state);
    for (int i = 0; i < n; i++)
        DS_TRY(ds_keep(e, fill_one(&s, state, i, e)));
    return ds_failed_since(e, before);
}

void ds_option_clear(const ds_option *table, void *state)
{
    for (const ds_option *o = table; o->type != DS_END; o++)
        if (field(o, state))
            clear(o, field(o, state));
}

char *ds_option_describe(const ds_option *o)
{
    char *text;
    FILE *out = ds_memstream(&text, NULL);
    fputs(types[o->type].kind, out);
    for (int i = 0; o->type == DS_ENUM && o->names[i]; i++)
        fprintf(out, "%s%s", i ? "|" : "", o->names[i]);
    if (limited(o) && o->min == -HUGE_VAL)
        fputs(", inf or -inf", out);
    else if (limited(o))
        fprintf(out, " from %.9g", o->min);
    if (limited(o) && o->max < (o->type == DS_INT ? INT_MAX : HUGE_VAL))
        fprintf(out, " to %.9g", o->max);
    for (int i = 0; o->type == DS_INT && o->names && o->names[i]; i++)
        fprintf(out, " or %s", o->names[i]);
    fclose(out);
    return text;
}

void ds_option_print(const ds_option *table, const char *prefix, FILE *out)
{
    for (const ds_option *o = table; o->type != DS_END; o++) {
        const char *between = o->type == DS_FLAG ? "" : prefix[0] ? " " : "=";
        const char *def = o->def ? o->def : "";
        bool plain = o->type == DS_FLAG || o->type == DS_TEXT || o->type == DS_TEXTS;
        DS_FREED char *what = ds_option_describe(o),
                      *left = ds_format("%s%s%s%s", prefix, o->name, between,
                                        o->unit ? o->unit : types[o->type].word);
        fprintf(out, "  %-24s %s", left, o->help);
        if (!plain)
            fprintf(out, " (%s%s%s)", what, o->def ? ", default " : "", def);
        else if (o->def)
            fprintf(out, " (default %s)", def);
        if (o->when)
            fprintf(out, " [%s]", o->when);
        fputc('\n', out);
    }
}
