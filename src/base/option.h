/* Option tables: one table of a section, a sub-command or a .data file drives parsing, defaults, range
 * checks, messages and help. */
#pragma once

#include "base/error.h"

typedef enum ds_option_type {
    DS_END,   /* closes a table */
    DS_FLAG,  /* bool field; on the command line it takes no value */
    DS_BOOL,  /* bool field; 0 or 1 */
    DS_INT,   /* int field */
    DS_REAL,  /* double field */
    DS_ENUM,  /* int field: index into names */
    DS_TEXT,  /* char * field, owned by the state */
    DS_REALS, /* ds_numbers field: comma-separated numbers */
    DS_INTS,  /* ds_numbers field: comma-separated whole numbers */
    DS_TEXTS, /* ds_texts field: may be given several times (command line only) */
} ds_option_type;

typedef struct ds_numbers {
    double *v; /* n numbers, owned */
    int n;
} ds_numbers;

typedef struct ds_texts {
    char **v; /* n texts, owned */
    int n;
} ds_texts;

typedef struct ds_option {
    const char *name;
    ds_option_type type;
    size_t offset;            /* of the field in the state */
    const char *def;          /* default as a user would write it; NULL: none (zero; NAN for a DS_REAL, -1
                               * for a DS_ENUM) */
    double min, max;          /* inclusive, of each number; both 0: no limit; max HUGE_VAL: none above;
                               * min -HUGE_VAL: DS_REALS take inf and -inf too */
    const char *unit;         /* word for the value in help ("F", "epochs"); NULL: by its type. A DS_TEXT
                               * of two ("CFG WEIGHTS"): a flag that may be given several times; all its
                               * values become one text with commas */
    const char *const *names; /* DS_ENUM: the words, NULL-terminated; DS_INT: words for -1, -2, … or NULL */
    const char *when;         /* "target=ema|abstain": allowed only then; NULL: always */
    const char *help;         /* one line, lower case, no full stop */
} ds_option;

/* The rows of a table. Before it stands whose fields they are, `#define DS_STATE sat_state`; what differs
 * from "no default, no limit" follows as designated initialisers:
 *   OPT_REAL("amount", amount, "share that all classes get", .def = "0.1", OPT_RANGE(0, 0.99)),
 *   OPT_ENUM("target", target, target_names, "what the gradient is taken against", .def = "blend"),
 *   OPT_CHECK(DS_TEXT, "tree", "file of a class tree"),
 *   OPT_END, */
#define OPT_ROW(type_, name_, offset_, help_, ...)                                          \
    {                                                                                       \
        .name = (name_), .type = (type_), .offset = (offset_), .help = (help_), __VA_ARGS__ \
    }
#define OPT_AT(field_) offsetof(DS_STATE, field_)
#define OPT_FLAG(name_, field_, help_) OPT_ROW(DS_FLAG, name_, OPT_AT(field_), help_, )
#define OPT_BOOL(name_, field_, ...) OPT_ROW(DS_BOOL, name_, OPT_AT(field_), __VA_ARGS__, )
#define OPT_INT(name_, field_, ...) OPT_ROW(DS_INT, name_, OPT_AT(field_), __VA_ARGS__, )
#define OPT_REAL(name_, field_, ...) OPT_ROW(DS_REAL, name_, OPT_AT(field_), __VA_ARGS__, )
#define OPT_INTS(name_, field_, ...) OPT_ROW(DS_INTS, name_, OPT_AT(field_), __VA_ARGS__, )
#define OPT_REALS(name_, field_, ...) OPT_ROW(DS_REALS, name_, OPT_AT(field_), __VA_ARGS__, )
#define OPT_TEXT(name_, field_, ...) OPT_ROW(DS_TEXT, name_, OPT_AT(field_), __VA_ARGS__, )
#define OPT_TEXTS(name_, field_, ...) OPT_ROW(DS_TEXTS, name_, OPT_AT(field_), __VA_ARGS__, )
#define OPT_ENUM(name_, field_, words_, ...) \
    OPT_ROW(DS_ENUM, name_, OPT_AT(field_), __VA_ARGS__, .names = (words_))
/* A key whose value is checked but not stored. */
#define OPT_CHECK(type_, name_, ...) OPT_ROW(type_, name_, DS_UNSTORED, __VA_ARGS__, )
#define DS_UNSTORED ((size_t)-1)
#define OPT_RANGE(low_, high_) .min = (low_), .max = (high_)
#define OPT_FROM(low_) OPT_RANGE(low_, HUGE_VAL)
#define OPT_END        \
    {                  \
        .type = DS_END \
    }

/* A key as it stands in a file or on the command line. */
typedef struct ds_pair {
    char *key, *value;
    int line;
} ds_pair;

/* The first of n pairs with that key, or NULL. */
const ds_pair *ds_pair_find(const ds_pair *pairs, int n, const char *key);

/* Zeroed state in (NULL: nothing happens), defaults out. */
void ds_option_defaults(const ds_option *table, void *state);

/* The option of that name, or NULL. */
const ds_option *ds_option_find(const ds_option *table, const char *name);

/* Check `value` and store it, if it is right (state NULL: check only). The message has file:line, name, value
 * and what was expected. */
int ds_option_set(const ds_option *o, void *state, const char *value, const char *file, int line,
                  ds_error *e);

/* Fill `state` (defaults first; NULL: check only) from the pairs of one section or file; `place` is how
 * messages name that: "[sat]" or ".data". Errors: unknown key (names the nearest), duplicate key (names
 * the first line), bad value, a key whose `when` does not hold. */
int ds_option_fill(const ds_option *table, void *state, const ds_pair *pairs, int n, const char *place,
                   const char *file, ds_error *e);

/* The nearest option name to `word`, or NULL. */
const char *ds_option_nearest(const ds_option *table, const char *word);

/* Free what the options of a table own inside `state`. */
void ds_option_clear(const ds_option *table, void *state);

/* "an integer from 1 to 100". Fresh memory. */
char *ds_option_describe(const ds_option *o);

/* How many values a flag takes at once. */
int ds_option_values(const ds_option *o);

/* Help as aligned lines; `prefix` is "" for keys and "-" for flags. */
void ds_option_print(const ds_option *table, const char *prefix, FILE *out);
