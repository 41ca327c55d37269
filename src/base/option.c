#include "base/option.h"
#include "base/text.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool limited(const ds_option *o)
{
    return o->min != 0 || o->max != 0;
}

static void *field(const ds_option *o, void *state)
{
    return state && o->offset != DS_UNSTORED ? (char *)state + o->offset : NULL;
}

/* ---- one value ---- */

static int bad_value(const ds_option *o, const char *value, const char *file, int line, ds_error *e)
{
    char *expected = ds_option_describe(o);
    int rc = ds_fail_at(e, DS_EINPUT, file, line, "%s=%.80s%s, expected %s", o->name, value,
                        strlen(value) > 80 ? "…" : "", expected);
    free(expected);
    return rc;
}

static bool in_range(const ds_option *o, double v)
{
    return !limited(o) || (v >= o->min && v <= o->max);
}

static bool set_int(const ds_option *o, void *target, const char *value)
{
    long long v;
    if (!ds_parse_int(value, &v) || v < INT_MIN || v > INT_MAX || !in_range(o, (double)v))
        return false;
    if (target)
        *(int *)target = (int)v;
    return true;
}

static bool set_real(const ds_option *o, void *target, const char *value)
{
    double v;
    if (!ds_parse_double(value, &v) || !in_range(o, v))
        return false;
    if (target)
        *(double *)target = v;
    return true;
}

static bool set_bool(void *target, const char *value)
{
    if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
        return false;
    if (target)
        *(bool *)target = value[0] == '1';
    return true;
}

static int set_enum(const ds_option *o, void *target, const char *value, const char *file, int line,
                    ds_error *e)
{
    int n = 0;
    for (; o->names[n]; n++) {
        if (strcmp(o->names[n], value) != 0)
            continue;
        if (target)
            *(int *)target = n;
        return DS_OK;
    }
    const char *near = ds_nearest(value, o->names, n);
    char *expected = ds_option_describe(o);
    int rc = ds_fail_at(e, DS_EINPUT, file, line, "%s=%s, expected %s%s%s%s", o->name, value, expected,
                        near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    free(expected);
    return rc;
}

static void set_text(char **target, const char *value)
{
    if (!target)
        return;
    free(*target);
    *target = ds_strdup(value);
}

static void add_text(ds_texts *t, const char *value)
{
    if (t)
        DS_PUSH(t->v, t->n, ds_strdup(value));
}

/* "1,2,3" into fresh numbers; blanks around a number are allowed. */
static bool parse_reals(const ds_option *o, const char *value, ds_numbers *out)
{
    char *copy = ds_strdup(value), *rest = copy, *word;
    *out = (ds_numbers){0};
    bool ok = true;
    while (ok && (word = strsep(&rest, ","))) {
        double v = 0;
        ok = ds_parse_double(ds_trim(word), &v) && in_range(o, v);
        DS_PUSH(out->v, out->n, v);
    }
    free(copy);
    if (!ok) {
        free(out->v);
        *out = (ds_numbers){0};
    }
    return ok;
}

static bool set_reals(const ds_option *o, ds_numbers *target, const char *value)
{
    ds_numbers v;
    if (!parse_reals(o, value, &v))
        return false;
    if (target) {
        free(target->v);
        *target = v;
    } else {
        free(v.v);
    }
    return true;
}

int ds_option_set(const ds_option *o, void *state, const char *value, const char *file, int line, ds_error *e)
{
    void *target = field(o, state);
    bool ok = true;
    switch (o->type) {
    case DS_FLAG:
    case DS_BOOL:
        ok = set_bool(target, value);
        break;
    case DS_INT:
        ok = set_int(o, target, value);
        break;
    case DS_REAL:
        ok = set_real(o, target, value);
        break;
    case DS_REALS:
        ok = set_reals(o, target, value);
        break;
    case DS_ENUM:
        return set_enum(o, target, value, file, line, e);
    case DS_TEXT:
        set_text(target, value);
        break;
    case DS_TEXTS:
        add_text(target, value);
        break;
    case DS_END:
        break;
    }
    return ok ? DS_OK : bad_value(o, value, file, line, e);
}

/* ---- a whole table ---- */

int ds_option_defaults(const ds_option *table, void *state, ds_error *e)
{
    for (const ds_option *o = table; o->type != DS_END; o++) {
        void *target = field(o, state);
        int rc = DS_OK;
        if (o->def)
            rc = ds_option_set(o, state, o->def, "default", 0, e);
        else if (target && o->type == DS_REAL)
            *(double *)target = NAN;
        if (rc)
            return rc;
    }
    return DS_OK;
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
    const char *names[128];
    int n = 0;
    for (const ds_option *o = table; o->type != DS_END && n < 128; o++)
        names[n++] = o->name;
    return ds_nearest(word, names, n);
}

/* Value that a key has: from the pairs, else its default. */
static const char *effective(const ds_option *table, const char *key, size_t length, const ds_pair *pairs,
                             int n)
{
    for (int i = 0; i < n; i++)
        if (strncmp(pairs[i].key, key, length) == 0 && !pairs[i].key[length])
            return pairs[i].value;
    for (const ds_option *o = table; o->type != DS_END; o++)
        if (strncmp(o->name, key, length) == 0 && !o->name[length])
            return o->def ? o->def : "";
    return "";
}

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = words; (p = strstr(p, word)); p++)
        if ((p == words || p[-1] == '|') && (p[n] == '|' || !p[n]))
            return true;
    return false;
}

static int check_when(const ds_option *table, const ds_option *o, const ds_pair *pairs, int n, int i,
                      const char *place, const char *file, ds_error *e)
{
    if (!o->when)
        return DS_OK;
    size_t length = strcspn(o->when, "=");
    const char *value = effective(table, o->when, length, pairs, n);
    if (has_word(o->when + length + 1, value))
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, file, pairs[i].line, "%s key '%s' goes with %s, but %.*s is %s", place,
                      o->name, o->when, (int)length, o->when, value);
}

static int check_duplicate(const ds_pair *pairs, int i, const char *place, const char *file, ds_error *e)
{
    for (int j = 0; j < i; j++)
        if (strcmp(pairs[i].key, pairs[j].key) == 0)
            return ds_fail_at(e, DS_EINPUT, file, pairs[i].line,
                              "duplicate key '%s' in %s, expected it once (first in line %d)", pairs[i].key,
                              place, pairs[j].line);
    return DS_OK;
}

int ds_option_fill(const ds_option *table, void *state, const ds_pair *pairs, int n, const char *place,
                   const char *file, ds_error *e)
{
    int rc = ds_option_defaults(table, state, e);
    for (int i = 0; i < n && !rc; i++) {
        const ds_option *o = ds_option_find(table, pairs[i].key);
        if (!o) {
            const char *near = ds_option_nearest(table, pairs[i].key);
            return ds_fail_at(e, DS_EINPUT, file, pairs[i].line, "unknown key '%s' in %s%s%s%s", pairs[i].key,
                              place, near ? ", did you mean '" : ", expected one of its keys",
                              near ? near : "", near ? "'?" : "");
        }
        if (!(rc = check_duplicate(pairs, i, place, file, e)) &&
            !(rc = check_when(table, o, pairs, n, i, place, file, e)))
            rc = ds_option_set(o, state, pairs[i].value, file, pairs[i].line, e);
    }
    return rc;
}

void ds_option_clear(const ds_option *table, void *state)
{
    for (const ds_option *o = table; o->type != DS_END; o++) {
        void *target = field(o, state);
        if (!target)
            continue;
        if (o->type == DS_TEXT) {
            free(*(char **)target);
            *(char **)target = NULL;
        } else if (o->type == DS_REALS) {
            free(((ds_numbers *)target)->v);
            *(ds_numbers *)target = (ds_numbers){0};
        } else if (o->type == DS_TEXTS) {
            ds_texts *t = target;
            for (int i = 0; i < t->n; i++)
                free(t->v[i]);
            free(t->v);
            *t = (ds_texts){0};
        }
    }
}

/* ---- help ---- */

static void describe_names(const ds_option *o, FILE *out)
{
    for (int i = 0; o->names[i]; i++)
        fprintf(out, "%s%s", i ? "|" : "", o->names[i]);
}

static void describe_range(const ds_option *o, FILE *out)
{
    if (!limited(o))
        return;
    bool low = o->min > (o->type == DS_INT ? INT_MIN : -HUGE_VAL);
    bool high = o->max < (o->type == DS_INT ? INT_MAX : HUGE_VAL);
    if (low && high)
        fprintf(out, " from %.9g to %.9g", o->min, o->max);
    else if (low)
        fprintf(out, " from %.9g", o->min);
    else if (high)
        fprintf(out, " up to %.9g", o->max);
}

char *ds_option_describe(const ds_option *o)
{
    static const char *const kinds[] = {
        [DS_END] = "",          [DS_FLAG] = "flag", [DS_BOOL] = "0 or 1", [DS_INT] = "an integer",
        [DS_REAL] = "a number", [DS_ENUM] = "",     [DS_TEXT] = "text",   [DS_REALS] = "numbers with commas",
        [DS_TEXTS] = "text",
    };
    char *text = NULL;
    size_t size = 0;
    FILE *out = ds_memstream(&text, &size);
    if (o->type == DS_ENUM)
        describe_names(o, out);
    fputs(kinds[o->type], out);
    describe_range(o, out);
    fclose(out);
    return text;
}

static const char *value_word(const ds_option *o)
{
    if (o->type == DS_FLAG)
        return "";
    if (o->unit)
        return o->unit;
    switch (o->type) {
    case DS_INT:
        return "N";
    case DS_REAL:
        return "X";
    case DS_ENUM:
        return "NAME";
    default:
        return "TEXT";
    }
}

void ds_option_print(const ds_option *table, const char *prefix, FILE *out)
{
    for (const ds_option *o = table; o->type != DS_END; o++) {
        char *what = ds_option_describe(o);
        const char *between = o->type == DS_FLAG ? "" : prefix[0] ? " " : "=";
        char *left = ds_format("%s%s%s%s", prefix, o->name, between, value_word(o));
        fprintf(out, "  %-24s %s", left, o->help);
        if (o->type != DS_FLAG && *what && o->type != DS_TEXT && o->type != DS_TEXTS)
            fprintf(out, " (%s%s%s)", what, o->def ? ", default " : "", o->def ? o->def : "");
        else if (o->def)
            fprintf(out, " (default %s)", o->def);
        if (o->when)
            fprintf(out, " [%s]", o->when);
        fputc('\n', out);
        free(what);
        free(left);
    }
}
