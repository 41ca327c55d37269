#include "report/fields.h"

#include <errno.h>
#include <search.h>
#include <strings.h>

/* ---- rows as they come ---- */

enum { LONGEST = 1 << 20 }; /* of a row */

/* Runs once over a row and cuts it into fields in place. */
typedef struct reader {
    const char *file;
    char *p;
    int line;
    bool last; /* the field just read was the last of its row */
} reader;

static int read_field(reader *r, char **field, ds_error *e)
{
    const bool quoted = *r->p == '"';
    const int line = r->line;
    char *in = r->p + quoted, *out = *field = in;
    for (; quoted ? *in && (*in != '"' || in[1] == '"') : !strchr(",\"", *in); *out++ = *in++) {
        in += quoted && *in == '"';
        r->line += *in == '\n';
    }
    if (quoted && !*in)
        return ds_fail_at(e, DS_EINPUT, r->file, line, "a quoted field has no end, expected a closing quote");
    if (!quoted && *in == '"')
        return ds_fail_at(e, DS_EINPUT, r->file, line,
                          "a quote inside a field, expected the whole field in quotes and this one doubled");
    in += quoted;
    in += quoted && strcmp(in, "\r") == 0;
    if (*in && *in != ',')
        return ds_fail_at(e, DS_EINPUT, r->file, r->line,
                          "text after a closing quote, expected a comma or the end of the line");
    r->last = !*in;
    if (!quoted && r->last && out > *field && out[-1] == '\r')
        out--;
    r->p = in + 1;
    *out = '\0';
    return DS_OK;
}

/* The names of the header. */
static int read_names(ds_csv *c, reader *r, ds_error *e)
{
    do {
        char *field;
        DS_TRY(read_field(r, &field, e));
        DS_PUSH(c->names, c->n, ds_trim(field));
    } while (!r->last);
    DS_ALLOC(c->fields, (size_t)c->n);
    return DS_OK;
}

/* The fields of a row, without the apostrophes of `safe`. */
static int read_fields(ds_csv *c, reader *r, ds_error *e)
{
    int found = 0;
    do {
        char *field;
        DS_TRY(read_field(r, &field, e));
        if (*field == '\'' && ds_csv_is_formula(field))
            field++;
        if (found++ < c->n)
            c->fields[found - 1] = field;
    } while (!r->last);
    if (found == c->n)
        return DS_OK;
    return ds_fail_at(e, DS_EINPUT, c->file, c->line, "a row of %d field%s, expected %d as in the header",
                      found, found == 1 ? "" : "s", c->n);
}

/* The bytes up to the end of a row into c->text; *more false: there is no whole row, or a signal came. */
static int next_text(ds_csv *c, bool *more, ds_error *e)
{
    size_t n = 0;
    bool quoted = false;
    int byte;
    c->line += c->lines;
    c->lines = 0;
    errno = 0;
    while ((byte = getc_unlocked(c->f)) != EOF && (byte != '\n' || quoted)) {
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

/* The next row that is not blank. */
static int next_row(ds_csv *c, reader *r, bool *more, ds_error *e)
{
    static const char mark[] = "\xEF\xBB\xBF"; /* of UTF-8 */
    do {
        DS_TRY(next_text(c, more, e));
        const bool marked = c->line == 1 && strncmp(c->text, mark, 3) == 0;
        *r = (reader){.file = c->file, .p = c->text + (marked ? 3 : 0), .line = c->line};
    } while (*more && (!*r->p || strcmp(r->p, "\r") == 0));
    return DS_OK;
}

int ds_csv_open(ds_csv *c, const char *path, const char *expected, ds_error *e)
{
    const bool standard = strcmp(path, "-") == 0;
    bool more;
    reader r;
    *c = (ds_csv){.file = standard ? "standard input" : path, .line = 1};
    c->f = standard ? stdin : fopen(path, "rb");
    if (!c->f)
        return ds_fail_at(e, DS_EIO, path, 0, "cannot open: %s, expected a CSV file with %s", strerror(errno),
                          expected);
    DS_ALLOC(c->text, LONGEST + 1);
    DS_TRY(next_row(c, &r, &more, e));
    if (!more)
        return ds_fail_at(e, DS_EINPUT, c->file, 1, "no header, expected %s", expected);
    c->first = c->line;
    r.p = c->header = ds_strdup(r.p);
    return read_names(c, &r, e);
}

int ds_csv_find(const ds_csv *c, const char *name, const char *expected, int *at, ds_error *e)
{
    *at = -1;
    for (int i = 0; i < c->n; i++) {
        if (strcmp(c->names[i], name) != 0)
            continue;
        if (*at >= 0)
            return ds_fail_at(e, DS_EINPUT, c->file, c->first,
                              "column '%s' stands twice in the header, expected it once", name);
        *at = i;
    }
    if (*at >= 0 || !expected)
        return DS_OK;
    const char *near = ds_nearest(name, c->names, c->n);
    return ds_fail_at(e, DS_EINPUT, c->file, c->first, "no column '%s' in the header, expected %s%s%s%s",
                      name, expected, near ? " (is '" : "", near ? near : "", near ? "' meant?)" : "");
}

int ds_csv_next(ds_csv *c, bool *more, ds_error *e)
{
    reader r;
    DS_TRY(next_row(c, &r, more, e));
    return *more ? read_fields(c, &r, e) : DS_OK;
}

int ds_csv_number(const ds_csv *c, int column, double *v, ds_error *e)
{
    const char *text = c->fields[column];
    if (ds_parse_double(text, v))
        return DS_OK;
    *v = NAN;
    return strcasecmp(text + (*text == '-'), "nan") == 0
               ? DS_OK
               : ds_fail_at(e, DS_EINPUT, c->file, c->line, "%s is '%.60s', expected a number or nan",
                            c->names[column], text);
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

enum { LABEL, PREDICTION, CONFIDENCE, PATH, KNOWN };
static const char *const known[KNOWN] = {"label", "prediction", "confidence", "path"};

/* A class: its text and its place among all of them. */
typedef struct class
{
    char *name;
    int number;
} class;

/* What is read; classes are a tree of <search.h> in the natural order of their texts ("2" before "10"). */
typedef struct table {
    ds_csv in;
    int at[KNOWN]; /* columns; -1: not there, or not wanted */
    void *classes;
    const class **labels, **predictions; /* of each row; NULL: no prediction, as of a not-a-number */
} table;

static int by_name(const void *a, const void *b)
{
    const class *x = a, *y = b;
    return strverscmp(x->name, y->name);
}

static const class *find_class(void **classes, char *name)
{
    class key = {.name = name}, **found = tsearch(&key, classes, by_name);
    if (!found)
        ds_out_of_memory();
    if (*found == &key) {
        *found = ds_xmalloc(sizeof key);
        **found = (class){.name = ds_strdup(name)};
    }
    return *found;
}

static void free_class(void *c)
{
    free(((class *)c)->name);
    free(c);
}

/* Without `labelled` classes are none of its business. */
static int find_columns(table *t, bool labelled, const char *expected, ds_error *e)
{
    for (int k = 0; k < KNOWN; k++) {
        t->at[k] = -1;
        if (labelled || k == CONFIDENCE || k == PATH)
            DS_TRY(ds_csv_find(&t->in, known[k], k == PATH ? NULL : expected, &t->at[k], e));
    }
    return DS_OK;
}

static int take_row(table *t, ds_answers *a, ds_error *e)
{
    char **fields = t->in.fields;
    double confidence;
    size_t n = a->n, m = n;
    DS_TRY(ds_csv_number(&t->in, t->at[CONFIDENCE], &confidence, e));
    if (t->at[LABEL] >= 0) {
        char *label = fields[t->at[LABEL]], *prediction = fields[t->at[PREDICTION]];
        if (!*label || (!*prediction && !isnan(confidence)))
            return ds_fail_at(e, DS_EINPUT, t->in.file, t->in.line, "has no %s, expected one",
                              *label ? "prediction" : "label");
        DS_PUSH(t->labels, n, find_class(&t->classes, label));
        DS_PUSH(t->predictions, m, *prediction ? find_class(&t->classes, prediction) : NULL);
    }
    n = a->n;
    if (t->at[PATH] >= 0)
        DS_PUSH(a->paths, n, ds_strdup(fields[t->at[PATH]]));
    DS_PUSH(a->confidences, a->n, confidence);
    return DS_OK;
}

static int read_table(table *t, const char *path, bool labelled, ds_answers *a, ds_error *e)
{
    const char *expected =
        labelled ? "the columns label, prediction and confidence" : "the column confidence";
    DS_TRY(ds_csv_open(&t->in, path, expected, e));
    DS_TRY(find_columns(t, labelled, expected, e));
    for (bool more = true;;) {
        DS_TRY(ds_csv_next(&t->in, &more, e));
        if (!more)
            break;
        DS_TRY(take_row(t, a, e));
    }
    /* of no rows, too: NULL means unknown */
    a->confidences = ds_xrealloc(a->confidences, a->n, sizeof *a->confidences);
    if (t->at[PATH] >= 0)
        a->paths = ds_xrealloc(a->paths, a->n, sizeof *a->paths);
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

static void take_classes(ds_answers *a, const table *t)
{
    twalk_r(t->classes, number_class, a);
    DS_ALLOC(a->labels, a->n);
    DS_ALLOC(a->predictions, a->n);
    DS_ALLOC(a->wrong, a->n);
    for (size_t i = 0; i < a->n; i++) {
        a->labels[i] = t->labels[i]->number;
        a->predictions[i] = t->predictions[i] ? t->predictions[i]->number : -1;
        a->wrong[i] = t->labels[i] != t->predictions[i];
    }
}

int ds_report_csv_read(const char *path, bool labelled, ds_answers *a, ds_error *e)
{
    table t = {0};
    ds_answers made = {0};
    int rc = read_table(&t, path, labelled, &made, e);
    if (!rc && t.at[LABEL] >= 0)
        take_classes(&made, &t);
    if (rc) {
        ds_answers_clear(&made);
    } else {
        made.name = a->name;
        made.file = a->file ? a->file : ds_strdup(path);
        *a = made;
    }
    tdestroy(t.classes, free_class);
    free(t.labels);
    free(t.predictions);
    ds_csv_close(&t.in);
    return rc;
}
