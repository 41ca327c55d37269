#include "cli/flags.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* "-x" and "--x" are flags; "-" alone stands for standard input or output. */
static bool looks_like_flag(const char *word)
{
    return word[0] == '-' && word[1];
}

/* A word that can be the value of a flag: not another flag, but a negative number may be one. */
static bool can_be_value(const char *word)
{
    double number;
    return !looks_like_flag(word) || ds_parse_double(word, &number);
}

static int unknown_flag(const ds_option *table, const char *word, const char *name, ds_error *e)
{
    const char *near = ds_option_nearest(table, name);
    if (near)
        return ds_fail(e, DS_EUSAGE, "unknown flag '%s', did you mean '-%s'?", word, near);
    return ds_fail(e, DS_EUSAGE, "unknown flag '%s', expected %s", word,
                   table->type == DS_END ? "none here" : "one of the flags of this command");
}

static int missing_value(const ds_option *o, ds_error *e)
{
    char *expected = ds_option_describe(o);
    int rc = ds_fail(e, DS_EUSAGE, "-%s without a value, expected %s%s%s", o->name,
                     expected ? expected : "a value", o->unit ? ", " : "", o->unit ? o->unit : "");
    free(expected);
    return rc;
}

/* The table's message says "name=value, expected …"; on the command line the user wrote "-name value". */
static int store(const ds_option *o, void *state, const char *value, ds_error *e)
{
    ds_error inner = {0};
    int rc = ds_option_set(o, state, value, NULL, 0, &inner);
    if (!rc)
        return DS_OK;
    if (rc == DS_ENOMEM)
        return ds_fail_memory(e);
    const char *comma = strstr(inner.text, ", expected ");
    return ds_fail(e, DS_EUSAGE, "-%s %s%s", o->name, value, comma ? comma : ", expected another value");
}

/* Where the parser stands. */
typedef struct cursor {
    const ds_option *table;
    void *state;
    bool *given; /* by place in the table */
    int argc, i;
    char **argv;
} cursor;

static int take_flag(cursor *c, ds_error *e)
{
    const char *word = c->argv[c->i++], *name = word + (word[1] == '-' ? 2 : 1);
    const ds_option *o = ds_option_find(c->table, name);
    if (!o)
        return unknown_flag(c->table, word, name, e);
    if (c->given[o - c->table] && o->type != DS_TEXTS)
        return ds_fail(e, DS_EUSAGE, "-%s given twice, expected it once", o->name);
    c->given[o - c->table] = true;
    if (o->type == DS_FLAG)
        return store(o, c->state, "1", e);
    if (c->i == c->argc || !can_be_value(c->argv[c->i]))
        return missing_value(o, e);
    return store(o, c->state, c->argv[c->i++], e);
}

static int take_words(cursor *c, const char **operands, int max_operands, int *n_operands, ds_error *e)
{
    bool flags = true;
    int rc = DS_OK;
    while (c->i < c->argc && !rc) {
        const char *word = c->argv[c->i];
        if (flags && strcmp(word, "--") == 0) {
            flags = false;
            c->i++;
        } else if (flags && looks_like_flag(word)) {
            rc = take_flag(c, e);
        } else if (*n_operands == max_operands) {
            rc = ds_fail(e, DS_EUSAGE, "unexpected argument '%s', expected at most %d", word, max_operands);
        } else {
            operands[(*n_operands)++] = word;
            c->i++;
        }
    }
    return rc;
}

static size_t length_of(const ds_option *table)
{
    size_t n = 0;
    while (table[n].type != DS_END)
        n++;
    return n;
}

int ds_flags_parse(const ds_option *table, void *state, int argc, char **argv, const char **operands,
                   int max_operands, int *n_operands, ds_error *e)
{
    *n_operands = 0;
    ds_option_defaults(table, state);
    cursor c = {table, state, calloc(length_of(table) + 1, sizeof *c.given), argc, 0, argv};
    int rc = c.given ? take_words(&c, operands, max_operands, n_operands, e) : ds_fail_memory(e);
    free(c.given);
    return rc;
}
