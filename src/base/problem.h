/* Where many things can be wrong at once, all of them are told: an error that collects. A step that the work
 * can go on after is `DS_TRY(ds_keep(e, step))`; a reader that has such steps ends with
 * `return ds_failed_since(e, before)`, and so fails as any other function does. */
#pragma once

#include "base/error.h"

typedef enum ds_severity { DS_ERROR, DS_WARNING, DS_NOTE } ds_severity;
extern const char *const ds_severity_names[]; /* "error", "warning", "note" */

typedef struct ds_problem {
    ds_severity severity;
    const char *kind; /* ds_problems.kind when it came; NULL: none was said */
    char *file;       /* owned; empty and `line` 0 where they say nothing */
    int line;
    char *text;        /* owned */
    int number, group; /* in the order in which they came; of the first that differs in line and text alone */
} ds_problem;

/* Zero-initialise; an error collects here once its `all` points to it. */
typedef struct ds_problems {
    ds_problem *v; /* n */
    int n;
    int count[DS_NOTE + 1]; /* of each severity */
    const char *kind;       /* of those that come now, a constant text */
} ds_problems;

/* file, text: fresh memory, which is taken over. */
void ds_problem_put(ds_problems *p, ds_severity severity, char *file, int line, char *text);
#define ds_problem_add(p, severity, file, line, ...) \
    ds_problem_put(p, severity, ds_strdup(file), line, ds_format(__VA_ARGS__))
/* The notes, which are gone then; the place is what stands before the first ":N: ". */
void ds_problems_take(ds_problems *p, ds_notes *notes);
/* Group by group, by their lines: readers go over a file several times. */
void ds_problems_sort(ds_problems *p);
/* Sorted, a line each, as ds_error_print; of a large group the first ones and how many more there are. */
void ds_problems_print(ds_problems *p, FILE *out);
void ds_problems_clear(ds_problems *p);

/* Does `e` (may be NULL) collect? */
bool ds_collects(const ds_error *e);
/* rc: of a step that filled `e` if it failed. Where `e` collects the failure is kept, once, and the answer is
 * DS_OK; else it is rc. */
int ds_keep(ds_error *e, int rc);
/* Failures kept so far. */
int ds_failures(const ds_error *e);
/* DS_OK when there are no more failures than `before`, else the code of the last one. */
int ds_failed_since(ds_error *e, int before);
