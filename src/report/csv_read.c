#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "report/fields.h"

#include <errno.h>
#include <math.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char mark[] = "\xEF\xBB\xBF"; /* of UTF-8 */

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

/* The names of the header, parts of the text; DS_PUSHed to `names`. */
static int read_names(reader *r, const char ***names, int *n, ds_error *e)
{
    do {
        char *field;
        DS_TRY(read_field(r, &field, e));
        DS_PUSH(*names, *n, ds_trim(field));
    } while (!r->last);
    return DS_OK;
}

/* A row into fields[n], without the apostrophes of `safe`. */
static int read_fields(reader *r, char **fields, int n, ds_error *e)
{
    const int line = r->line;
    int found = 0;
    do {
        char *field;
        DS_TRY(read_field(r, &field, e));
        if (*field == '\'' && ds_csv_is_formula(field))
            field++;
        if (found < n)
            fields[found] = field;
        found++;
    } while (!r->last);
    if (found == n)
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, r->file, line, "a row of %d field%s, expected %d as in the header", found,
                      found == 1 ? "" : "s", n);
}

/* Where `name` stands among n names, in *at; -1: nowhere. */
static int find_name(const char *file, int line, const char *const *names, int n, const char *name, int *at,
                     ds_error *e)
{
    *at = -1;
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        if (*at >= 0)
            return ds_fail_at(e, DS_EINPUT, file, line,
                              "column '%s' stands twice in the header, expected it once", name);
        *at = i;
    }
    return DS_OK;
}

static int no_column(const char *file, int line, const char *const *names, int n, const char *name,
                     const char *expected, ds_error *e)
{
    const char *near = ds_nearest(name, names, n);
    return ds_fail_at(e, DS_EINPUT, file, line, "no column '%s' in the header, expected %s%s%s%s", name,
                      expected, near ? " (is '" : "", near ? near : "", near ? "' meant?)" : "");
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
    DS_TRY(find_name(r->file, line, c->names, c->n, known[k], &c->at[k], e));
    if (c->at[k] >= 0 || k == PATH)
        return DS_OK;
    return no_column(r->file, line, c->names, c->n, known[k], c->expected, e);
}

static int read_header(reader *r, columns *c, ds_error *e)
{
    if (!next_row(r))
        return ds_fail_at(e, DS_EINPUT, r->file, 1, "no header, expected %s", c->expected);
    const int line = r->line;
    DS_TRY(read_names(r, &c->names, &c->n, e));
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
    char **fields; /* of a row */
    row *rows;     /* n */
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

bool ds_csv_parse_number(const char *s, double *v)
{
    if (ds_parse_double(s, v))
        return true;
    *v = NAN;
    return strcasecmp(s + (*s == '-'), "nan") == 0;
}

static int read_row(reader *r, table *t, ds_error *e)
{
    const columns *c = &t->columns;
    char *fields[KNOWN] = {NULL};
    const int line = r->line;
    DS_TRY(read_fields(r, t->fields, c->n, e));
    for (int k = 0; k < KNOWN; k++)
        if (c->at[k] >= 0)
            fields[k] = t->fields[c->at[k]];
    row made = {.path = fields[PATH]};
    if (!ds_csv_parse_number(fields[CONFIDENCE], &made.confidence))
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
    DS_ALLOC(t->fields, (size_t)t->columns.n);
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
    bool marked = strncmp(text, mark, 3) == 0;
    reader r = {.file = path, .p = text + (marked ? 3 : 0), .line = 1};
    rc = read_table(&r, &t, e);
    if (!rc)
        take_rows(a, &t);
    if (!rc && !a->file)
        a->file = ds_strdup(path);
    tdestroy(t.classes, free);
    free(t.columns.names);
    free(t.fields);
    free(t.rows);
    free(text);
    return rc;
}

/* ---- rows as they come ---- */

enum { LONGEST = 1 << 20 }; /* of a row */

/* The bytes up to the end of a row into c->text; *more false: there is no whole row, or a signal came. */
static int next_text(ds_csv *c, bool *more, ds_error *e)
{
    size_t n = 0;
    bool quoted = false;
    int byte;
    c->line += c->lines;
    c->lines = 0;
    errno = 0;
    while ((byte = getc(c->f)) != EOF && (byte != '\n' || quoted)) {
        if (n == LONGEST || byte == '\0')
            return ds_fail_at(e, DS_EINPUT, c->file, c->line, "%s, expected a row of a CSV file",
                              byte ? "has more than 1048576 bytes" : "a 0 byte");
        quoted ^= byte == '"';
        c->lines += byte == '\n';
        c->text[n++] = (char)byte;
    }
    if (ferror(c->f) && errno != EINTR)
        return ds_fail_at(e, DS_EIO, c->file, 0, "cannot read: %s", strerror(errno));
    *more = !ferror(c->f) && (n > 0 || byte == '\n');
    c->lines += byte == '\n';
    c->text[n] = '\0';
    return DS_OK;
}

/* The next row that is not blank, as text. */
static int next_text_row(ds_csv *c, reader *r, bool *more, ds_error *e)
{
    do {
        DS_TRY(next_text(c, more, e));
        const bool marked = c->line == 1 && strncmp(c->text, mark, 3) == 0;
        *r = (reader){.file = c->file, .p = c->text + (marked ? 3 : 0), .line = c->line};
    } while (*more && !next_row(r));
    return DS_OK;
}

static int begin_rows(ds_csv *c, const char *expected, ds_error *e)
{
    bool more;
    reader r;
    DS_TRY(next_text_row(c, &r, &more, e));
    if (!more)
        return ds_fail_at(e, DS_EINPUT, c->file, 1, "no header, expected %s", expected);
    r.p = c->header = ds_strdup(r.p);
    DS_TRY(read_names(&r, &c->names, &c->n, e));
    DS_ALLOC(c->fields, (size_t)c->n);
    return DS_OK;
}

int ds_csv_open(ds_csv *c, const char *path, const char *expected, ds_error *e)
{
    const bool standard = strcmp(path, "-") == 0;
    *c = (ds_csv){.file = standard ? "standard input" : path, .line = 1};
    c->f = standard ? stdin : fopen(path, "rb");
    if (!c->f)
        return ds_fail_at(e, DS_EIO, path, 0, "cannot open: %s, expected a CSV file with %s", strerror(errno),
                          expected);
    DS_ALLOC(c->text, LONGEST + 1);
    return begin_rows(c, expected, e);
}

int ds_csv_find(const ds_csv *c, const char *name, const char *expected, int *at, ds_error *e)
{
    DS_TRY(find_name(c->file, 1, c->names, c->n, name, at, e));
    return *at >= 0 || !expected ? DS_OK : no_column(c->file, 1, c->names, c->n, name, expected, e);
}

int ds_csv_next(ds_csv *c, bool *more, ds_error *e)
{
    reader r;
    DS_TRY(next_text_row(c, &r, more, e));
    return *more ? read_fields(&r, c->fields, c->n, e) : DS_OK;
}

void ds_csv_close(ds_csv *c)
{
    if (c->f && c->f != stdin)
        fclose(c->f);
    free(c->text);
    free(c->header);
    free(c->names);
    free(c->fields);
    *c = (ds_csv){0};
}
