#include "cli/flags.h"

/* "-x" and "--x" are flags; "-" alone stands for standard input or output. */
static bool looks_like_flag(const char *word)
{
    return word[0] == '-' && word[1];
}

static int unknown_flag(const ds_option *table, const char *word, const char *name, ds_error *e)
{
    const char *near = ds_option_nearest(table, name);
    if (near)
        return ds_fail(e, DS_EUSAGE, "unknown flag '%s', did you mean '-%s'?", word, near);
    return ds_fail(e, DS_EUSAGE, "unknown flag '%s', expected %s", word,
                   table->type == DS_END ? "none here" : "one of the flags of this command");
}

/* The table's message says "name=value, expected …"; on the command line the user wrote "-name value". */
static int store(const ds_option *o, void *state, const char *value, ds_error *e)
{
    ds_error inner = {0};
    if (!ds_option_set(o, state, value, NULL, 0, &inner))
        return DS_OK;
    const char *comma = strstr(inner.text, ", expected ");
    return ds_fail(e, DS_EUSAGE, "-%s %s%s", o->name, value, comma ? comma : ", expected another value");
}

/* Where the parser stands. */
typedef struct cursor {
    ds_words *words;
    bool *given; /* by place in the table */
    int argc, i;
    char **argv;
} cursor;

static int take_flag(cursor *c, ds_error *e)
{
    const ds_option *table = c->words->table;
    const char *word = c->argv[c->i++], *name = word + (word[1] == '-' ? 2 : 1);
    const ds_option *o = ds_option_find(table, name);
    if (!o)
        return unknown_flag(table, word, name, e);
    if (c->given[o - table] && o->type != DS_TEXTS && ds_option_values(o) < 2)
        return ds_fail(e, DS_EUSAGE, "-%s given twice, expected it once", o->name);
    c->given[o - table] = true;
    if (o->type == DS_FLAG)
        return store(o, c->words->state, "1", e);
    for (int left = ds_option_values(o); left > 0; left--) {
        double number; /* a negative one is no flag */
        DS_FREED char *expected = ds_option_describe(o);
        if (c->i == c->argc || (looks_like_flag(c->argv[c->i]) && !ds_parse_double(c->argv[c->i], &number)))
            return ds_fail(e, DS_EUSAGE, "-%s without a value, expected %s%s%s", o->name, expected,
                           o->unit ? ", " : "", o->unit ? o->unit : "");
        DS_TRY(store(o, c->words->state, c->argv[c->i++], e));
    }
    return DS_OK;
}

static int take_words(cursor *c, int most, ds_error *e)
{
    ds_words *w = c->words;
    bool flags = true;
    while (c->i < c->argc) {
        const char *word = c->argv[c->i];
        if (flags && looks_like_flag(word) && strcmp(word, "--") != 0) {
            DS_TRY(take_flag(c, e));
            continue;
        }
        c->i++;
        if (flags && strcmp(word, "--") == 0)
            flags = false;
        else if (w->n < most)
            w->operands[w->n++] = word;
        else
            return ds_fail(e, DS_EUSAGE, "unexpected argument '%s', expected at most %d", word, most);
    }
    return DS_OK;
}

int ds_words_read(ds_words *w, int argc, char **argv, int most, ds_error *e)
{
    size_t n = 0;
    ds_option_defaults(w->table, w->state);
    DS_ZALLOC(w->operands, (size_t)most + 1);
    while (w->table[n].type != DS_END)
        n++;
    DS_FREED bool *given = DS_ZALLOC(given, n);
    cursor c = {.words = w, .given = given, .argc = argc, .argv = argv};
    DS_TRY(take_words(&c, most, e));
    return w->needed ? ds_check_operands(w->needed, w->n, e) : DS_OK;
}

void ds_words_clear(ds_words *w)
{
    ds_option_clear(w->table, w->state);
    free(w->operands);
}

int ds_check_operands(const char *needed, int n, ds_error *e)
{
    const char *missing = needed;
    for (; n > 0 && *missing; n--) {
        missing += strcspn(missing, " ");
        missing += strspn(missing, " ");
    }
    return *missing ? ds_fail(e, DS_EUSAGE, "%.*s is missing, expected %s", (int)strcspn(missing, " "),
                              missing, needed)
                    : DS_OK;
}

int ds_check_source(const char *from, const ds_run_flags *run, int n, ds_error *e)
{
    if (!from)
        return ds_check_operands("DATA CFG WEIGHTS", n, e);
    if (run->views || run->with)
        return ds_fail(e, DS_EUSAGE,
                       "-from and -%s, expected one of the two: the file holds answers, no network",
                       run->views ? "views" : "with");
    return n ? ds_fail(e, DS_EUSAGE, "-from %s and DATA CFG WEIGHTS, expected one of the two", from) : DS_OK;
}

int ds_check_share(const char *flag, double value, ds_share_kind kind, ds_error *e)
{
    static const struct {
        bool zero, one;
        const char *expected;
    } kinds[] = {[DS_FRACTION] = {false, true, "a fraction in (0, 1]"},
                 [DS_INSIDE] = {false, false, "a fraction above 0 and below 1"},
                 [DS_PROBABILITY] = {true, true, "a probability in [0, 1]"}};
    const char *between = strchr(flag, '=') ? "" : " ", *expected = kinds[kind].expected;
    if (isnan(value) || (value > 0 && value < 1) || (value == 0 && kinds[kind].zero) ||
        (value == 1 && kinds[kind].one))
        return DS_OK;
    if (value > 1 && value <= 100)
        return ds_fail(e, DS_EUSAGE, "-%s%s%g, expected %s; did you mean %g?", flag, between, value, expected,
                       value / 100);
    return ds_fail(e, DS_EUSAGE, "-%s%s%g, expected %s", flag, between, value, expected);
}

int ds_check_promise(double risk, double delta, ds_error *e)
{
    if (isnan(risk) != isnan(delta))
        return ds_fail(e, DS_EUSAGE, "%s, expected both or none",
                       isnan(risk) ? "-delta without -risk" : "-risk without -delta");
    DS_TRY(ds_check_share("risk", risk, DS_INSIDE, e));
    return ds_check_share("delta", delta, DS_INSIDE, e);
}
