#include "report/report.h"
#include "base/file.h"
#include "base/text.h"
#include "report/texts.h"

#include <math.h>
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

/* Step over the byte that ends a field; then the field itself may be closed with a NUL. */
static void step_over(reader *r, char *stop)
{
    r->last = *stop != ',';
    r->line += *stop == '\n';
    r->p = stop + (*stop != '\0');
}

static int read_plain(reader *r, char **field, ds_error *e)
{
    char *stop = r->p;
    while (*stop != ',' && *stop != '\n' && *stop != '\0' && *stop != '"')
        stop++;
    if (*stop == '"')
        return ds_fail_at(e, DS_EINPUT, r->file, r->line,
                          "a quote inside a field, expected the whole field in quotes and this one doubled");
    *field = r->p;
    step_over(r, stop);
    if (r->last && stop > *field && stop[-1] == '\r')
        stop--;
    *stop = '\0';
    return DS_OK;
}

static int read_quoted(reader *r, char **field, ds_error *e)
{
    char *in = r->p + 1, *out = r->p;
    int line = r->line;
    *field = out;
    for (; *in && (*in != '"' || in[1] == '"'); in++) {
        in += *in == '"';
        r->line += *in == '\n';
        *out++ = *in;
    }
    if (!*in)
        return ds_fail_at(e, DS_EINPUT, r->file, line, "a quoted field has no end, expected a closing quote");
    in++;
    if (*in == '\r' && (in[1] == '\n' || !in[1]))
        in++;
    if (*in && *in != ',' && *in != '\n')
        return ds_fail_at(e, DS_EINPUT, r->file, r->line,
                          "text after a closing quote, expected a comma or the end of the line");
    step_over(r, in);
    *out = '\0';
    return DS_OK;
}

static int read_field(reader *r, char **field, ds_error *e)
{
    return *r->p == '"' ? read_quoted(r, field, e) : read_plain(r, field, e);
}

/* True at the start of a row, false at the end of the text. */
static bool next_row(reader *r)
{
    while (*r->p == '\n' || (*r->p == '\r' && (r->p[1] == '\n' || !r->p[1]))) {
        r->line += *r->p == '\n';
        r->p++;
    }
    return *r->p != '\0';
}

enum { LABEL, PREDICTION, CONFIDENCE, NEEDED, PATH = NEEDED, KNOWN };
static const char *const known[KNOWN] = {"label", "prediction", "confidence", "path"};

/* Where the columns stand; -1: not there, or not wanted. */
typedef struct columns {
    int at[KNOWN];
    int n;
    bool labelled; /* label and prediction are wanted */
} columns;

static bool wanted(const columns *c, int k)
{
    return c->labelled || k == CONFIDENCE || k == PATH;
}

static int note_column(const reader *r, int line, columns *c, const char *name, ds_error *e)
{
    for (int k = 0; k < KNOWN; k++) {
        if (!wanted(c, k) || strcmp(name, known[k]) != 0)
            continue;
        if (c->at[k] >= 0)
            return ds_fail_at(e, DS_EINPUT, r->file, line,
                              "column '%s' stands twice in the header, expected it once", name);
        c->at[k] = c->n;
    }
    c->n++;
    return DS_OK;
}

static const char *expected_columns(const columns *c)
{
    return c->labelled ? "the columns label, prediction and confidence" : "the column confidence";
}

static int check_columns(const reader *r, int line, const columns *c, const char *const *names, int n,
                         ds_error *e)
{
    for (int k = 0; k < NEEDED; k++) {
        if (c->at[k] >= 0 || !wanted(c, k))
            continue;
        const char *near = ds_nearest(known[k], names, n);
        return ds_fail_at(e, DS_EINPUT, r->file, line, "no column '%s' in the header, expected %s%s%s%s",
                          known[k], expected_columns(c), near ? " (is '" : "", near ? near : "",
                          near ? "' meant?)" : "");
    }
    return DS_OK;
}

static int read_header(reader *r, columns *c, ds_error *e)
{
    enum { REMEMBERED = 64 };
    const char *names[REMEMBERED];
    int rc, n = 0;
    if (!next_row(r))
        return ds_fail_at(e, DS_EINPUT, r->file, 1, "no header, expected %s", expected_columns(c));
    int line = r->line;
    do {
        char *field;
        if ((rc = read_field(r, &field, e)))
            return rc;
        field = ds_trim(field);
        if ((rc = note_column(r, line, c, field, e)))
            return rc;
        if (n < REMEMBERED)
            names[n++] = field;
    } while (!r->last);
    return check_columns(r, line, c, names, n, e);
}

static bool parse_confidence(const char *s, double *v)
{
    if (ds_parse_double(s, v))
        return true;
    *v = NAN;
    return strcasecmp(s + (*s == '-'), "nan") == 0;
}

static int put_classes(ds_csv *csv, ds_interned *texts, char *const *fields, ds_error *e)
{
    int *label = &csv->label[csv->n], *prediction = &csv->prediction[csv->n];
    int rc = ds_interned_add(texts, fields[LABEL], label, e);
    if (!rc)
        rc = ds_interned_add(texts, fields[PREDICTION], prediction, e);
    csv->wrong[csv->n] = *label != *prediction;
    return rc;
}

static int read_row(reader *r, const columns *c, ds_interned *texts, ds_csv *csv, ds_error *e)
{
    char *field, *known_fields[KNOWN] = {NULL};
    int line = r->line, n = 0;
    do {
        int rc = read_field(r, &field, e);
        if (rc)
            return rc;
        for (int k = 0; k < KNOWN; k++)
            if (c->at[k] == n)
                known_fields[k] = field;
        n++;
    } while (!r->last);
    if (n != c->n)
        return ds_fail_at(e, DS_EINPUT, r->file, line, "a row of %d field%s, expected %d as in the header", n,
                          n == 1 ? "" : "s", c->n);
    if (!parse_confidence(known_fields[CONFIDENCE], &csv->confidence[csv->n]))
        return ds_fail_at(e, DS_EINPUT, r->file, line, "confidence is '%.60s', expected a number or nan",
                          known_fields[CONFIDENCE]);
    int rc = c->labelled ? put_classes(csv, texts, known_fields, e) : DS_OK;
    if (csv->path)
        csv->path[csv->n] = known_fields[PATH];
    csv->n += !rc;
    return rc;
}

/* Room for as many rows as there are lines. */
static int make_room(ds_csv *csv, const char *rest, const columns *c, ds_error *e)
{
    size_t lines = 1;
    bool with_path = c->at[PATH] >= 0;
    for (const char *p = rest; (p = strchr(p, '\n')); p++)
        lines++;
    csv->confidence = malloc(lines * sizeof *csv->confidence);
    csv->path = with_path ? malloc(lines * sizeof *csv->path) : NULL;
    bool ok = csv->confidence && (csv->path || !with_path);
    if (ok && c->labelled) {
        csv->wrong = malloc(lines * sizeof *csv->wrong);
        csv->label = malloc(lines * sizeof *csv->label);
        csv->prediction = malloc(lines * sizeof *csv->prediction);
        ok = csv->wrong && csv->label && csv->prediction;
    }
    return ok ? DS_OK : ds_fail_memory(e);
}

/* Number the classes by their texts, whatever the order of the rows. */
static int order_classes(ds_csv *csv, ds_interned *texts, ds_error *e)
{
    int *rank, rc = ds_interned_sort(texts, &rank, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < csv->n; i++) {
        csv->label[i] = rank[csv->label[i]];
        csv->prediction[i] = rank[csv->prediction[i]];
    }
    free(rank);
    csv->classes = texts->n;
    csv->names = texts->text;
    texts->text = NULL;
    return DS_OK;
}

static int read_rows(reader *r, ds_csv *csv, bool labelled, ds_error *e)
{
    columns c = {.at = {-1, -1, -1, -1}, .labelled = labelled};
    ds_interned texts = {0};
    int rc = read_header(r, &c, e);
    if (!rc)
        rc = make_room(csv, r->p, &c, e);
    while (!rc && next_row(r))
        rc = read_row(r, &c, &texts, csv, e);
    if (!rc && labelled)
        rc = order_classes(csv, &texts, e);
    ds_interned_clear(&texts);
    return rc;
}

static int read_csv(const char *path, bool labelled, const char *what, ds_csv *csv, ds_error *e)
{
    *csv = (ds_csv){0};
    int rc = ds_file_read_text(path, what, &csv->text, e);
    if (rc)
        return rc;
    bool marked = strncmp(csv->text, "\xEF\xBB\xBF", 3) == 0;
    reader r = {.file = path, .p = csv->text + (marked ? 3 : 0), .line = 1};
    rc = read_rows(&r, csv, labelled, e);
    if (rc)
        ds_csv_clear(csv);
    return rc;
}

int ds_report_csv_read(const char *path, ds_csv *csv, ds_error *e)
{
    return read_csv(path, true, "a CSV file with the columns label, prediction and confidence", csv, e);
}

int ds_report_csv_read_unlabelled(const char *path, ds_csv *csv, ds_error *e)
{
    return read_csv(path, false, "a CSV file with the column confidence", csv, e);
}

void ds_csv_clear(ds_csv *csv)
{
    free(csv->confidence);
    free(csv->wrong);
    free(csv->label);
    free(csv->prediction);
    free(csv->names);
    free(csv->path);
    free(csv->text);
    *csv = (ds_csv){0};
}
