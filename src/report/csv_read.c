#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "report/fields.h"

#include <math.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Runs once over the text and cuts it into fields in place; the text ends in its only NUL. */
typedef struct reader {
    const char *file;
    char *p;
    int line;
    bool last; /* the field just read was the last of its row */
} reader;

static bool ends_line(const char *p)
{
    return *p == '\n' || *p == '\0';
}

static bool ends_plain(const char *p)
{
    return *p == ',' || *p == '"' || ends_line(p);
}

static bool ends_quoted(const char *p)
{
    return *p == '\0' || (*p == '"' && p[1] != '"');
}

static int read_field(reader *r, char **field, ds_error *e)
{
    const bool quoted = *r->p == '"';
    const int line = r->line;
    char *in = r->p + quoted, *out = *field = in;
    for (; quoted ? !ends_quoted(in) : !ends_plain(in); *out++ = *in++) {
        in += quoted && *in == '"';
        r->line += *in == '\n';
    }
    if (quoted && !*in)
        return ds_fail_at(e, DS_EINPUT, r->file, line, "a quoted field has no end, expected a closing quote");
    if (!quoted && *in == '"')
        return ds_fail_at(e, DS_EINPUT, r->file, line,
                          "a quote inside a field, expected the whole field in quotes and this one doubled");
    in += quoted;
    if (quoted && *in == '\r' && ends_line(in + 1))
        in++;
    if (!ends_line(in) && *in != ',')
        return ds_fail_at(e, DS_EINPUT, r->file, r->line,
                          "text after a closing quote, expected a comma or the end of the line");
    if (!quoted && ends_line(in) && out > *field && out[-1] == '\r')
        out--;
    r->last = *in != ',';
    r->line += *in == '\n';
    r->p = in + (*in != '\0');
    *out = '\0';
    return DS_OK;
}

/* True at the start of a row, false at the end of the text. */
static bool next_row(reader *r)
{
    while (*r->p == '\n' || (*r->p == '\r' && ends_line(r->p + 1))) {
        r->line += *r->p == '\n';
        r->p++;
    }
    return *r->p != '\0';
}

/* ---- the header ---- */

enum { LABEL, PREDICTION, CONFIDENCE, PATH, KNOWN };
static const char *const known[KNOWN] = {"label", "prediction", "confidence", "path"};

typedef struct columns {
    bool labelled;        /* label and prediction are wanted */
    const char *expected; /* for messages */
    const char **names;   /* n */
    int n, at[KNOWN];     /* where the known ones stand; -1: not there, or not wanted */
} columns;

static int find_column(const reader *r, int line, columns *c, int k, ds_error *e)
{
    c->at[k] = -1;
    if (!c->labelled && (k == LABEL || k == PREDICTION))
        return DS_OK;
    for (int i = 0; i < c->n; i++) {
        if (strcmp(c->names[i], known[k]) != 0)
            continue;
        if (c->at[k] >= 0)
            return ds_fail_at(e, DS_EINPUT, r->file, line,
                              "column '%s' stands twice in the header, expected it once", known[k]);
        c->at[k] = i;
    }
    if (c->at[k] >= 0 || k == PATH)
        return DS_OK;
    const char *near = ds_nearest(known[k], c->names, c->n);
    return ds_fail_at(e, DS_EINPUT, r->file, line, "no column '%s' in the header, expected %s%s%s%s",
                      known[k], c->expected, near ? " (is '" : "", near ? near : "", near ? "' meant?)" : "");
}

static int read_header(reader *r, columns *c, ds_error *e)
{
    if (!next_row(r))
        return ds_fail_at(e, DS_EINPUT, r->file, 1, "no header, expected %s", c->expected);
    const int line = r->line;
    do {
        char *field;
        DS_TRY(read_field(r, &field, e));
        DS_PUSH(c->names, c->n, ds_trim(field));
    } while (!r->last);
    for (int k = 0; k < KNOWN; k++)
        DS_TRY(find_column(r, line, c, k, e));
    return DS_OK;
}

/* ---- the rows ---- */

/* A class: its text and its place among all of them. */
typedef struct class
{
    const char *name;
    int number;
} class;

typedef struct row {
    const char *path;
    double confidence;
    const class *label, *prediction; /* prediction NULL: none, as of an answer that is not-a-number */
} row;

/* What is read; classes are a tree of <search.h> in the natural order of their texts ("2" before "10"). */
typedef struct table {
    columns columns;
    row *rows; /* n */
    size_t n;
    void *classes;
} table;

static int by_name(const void *a, const void *b)
{
    const class *x = a, *y = b;
    return strverscmp(x->name, y->name);
}

static const class *find_class(void **classes, const char *name)
{
    class key = {.name = name}, **found = tsearch(&key, classes, by_name);
    if (!found)
        ds_out_of_memory();
    if (*found == &key) {
        *found = ds_xmalloc(sizeof key);
        **found = key;
    }
    return *found;
}

static bool parse_confidence(const char *s, double *v)
{
    if (ds_parse_double(s, v))
        return true;
    *v = NAN;
    return strcasecmp(s + (*s == '-'), "nan") == 0;
}

static int read_row(reader *r, table *t, ds_error *e)
{
    const columns *c = &t->columns;
    char *field, *fields[KNOWN] = {NULL};
    const int line = r->line;
    int n = 0;
    do {
        DS_TRY(read_field(r, &field, e));
        for (int k = 0; k < KNOWN; k++)
            if (c->at[k] == n)
                fields[k] = field;
        n++;
    } while (!r->last);
    if (n != c->n)
        return ds_fail_at(e, DS_EINPUT, r->file, line, "a row of %d field%s, expected %d as in the header", n,
                          n == 1 ? "" : "s", c->n);
    for (int k = 0; k < KNOWN; k++)
        if (fields[k] && *fields[k] == '\'' && ds_csv_is_formula(fields[k]))
            fields[k]++;
    row made = {.path = fields[PATH]};
    if (!parse_confidence(fields[CONFIDENCE], &made.confidence))
        return ds_fail_at(e, DS_EINPUT, r->file, line, "confidence is '%.60s', expected a number or nan",
                          fields[CONFIDENCE]);
    if (c->labelled) {
        made.label = find_class(&t->classes, fields[LABEL]);
        bool right = strcmp(fields[LABEL], fields[PREDICTION]) == 0;
        if (right || *fields[PREDICTION] || !isnan(made.confidence))
            made.prediction = right ? made.label : find_class(&t->classes, fields[PREDICTION]);
    }
    DS_PUSH(t->rows, t->n, made);
    return DS_OK;
}

static void number_class(const void *node, VISIT visit, void *arg)
{
    class *c = *(class *const *)node;
    ds_answers *a = arg;
    if (visit != postorder && visit != leaf) /* each is met in order once so */
        return;
    c->number = a->classes;
    DS_PUSH(a->names, a->classes, ds_strdup(c->name));
}

static void take_rows(ds_answers *a, const table *t)
{
    twalk_r(t->classes, number_class, a);
    a->n = t->n;
    DS_ALLOC(a->confidences, t->n);
    if (t->columns.at[PATH] >= 0)
        DS_ALLOC(a->paths, t->n);
    if (t->columns.labelled) {
        DS_ALLOC(a->labels, t->n);
        DS_ALLOC(a->predictions, t->n);
        DS_ALLOC(a->wrong, t->n);
    }
    for (size_t i = 0; i < t->n; i++) {
        const row *r = &t->rows[i];
        a->confidences[i] = r->confidence;
        if (a->paths)
            a->paths[i] = ds_strdup(r->path);
        if (!a->labels)
            continue;
        a->labels[i] = r->label->number;
        a->predictions[i] = r->prediction ? r->prediction->number : -1;
        a->wrong[i] = r->label != r->prediction;
    }
}

static int read_table(reader *r, table *t, ds_error *e)
{
    DS_TRY(read_header(r, &t->columns, e));
    while (next_row(r))
        DS_TRY(read_row(r, t, e));
    return DS_OK;
}

int ds_report_csv_read(const char *path, bool labelled, ds_answers *a, ds_error *e)
{
    table t = {.columns = {.labelled = labelled,
                           .expected = labelled ? "the columns label, prediction and confidence"
                                                : "the column confidence"}};
    char *text, *what = ds_format("a CSV file with %s", t.columns.expected);
    int rc = ds_file_read_text(path, what, &text, e);
    free(what);
    DS_TRY(rc);
    bool marked = strncmp(text, "\xEF\xBB\xBF", 3) == 0;
    reader r = {.file = path, .p = text + (marked ? 3 : 0), .line = 1};
    rc = read_table(&r, &t, e);
    if (!rc)
        take_rows(a, &t);
    if (!rc && !a->file)
        a->file = ds_strdup(path);
    tdestroy(t.classes, free);
    free(t.columns.names);
    free(t.rows);
    free(text);
    return rc;
}
