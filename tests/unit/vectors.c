#include "tests/unit/vectors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ITEMS = 64 };

struct vec_file {
    FILE *f;
    char path[512], name[64];
    int line;
    char *text; /* the current line */
    size_t capacity;
    vec_item items[MAX_ITEMS];
    int n;
};

static void die(const vec_file *f, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

static void die(const vec_file *f, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s:%d: case '%s': ", f->path, f->line, f->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

vec_file *vec_open(const char *file)
{
    const char *folder = getenv("DS_VECTORS");
    vec_file *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    snprintf(f->path, sizeof f->path, "%s/%s", folder && *folder ? folder : "tests/vectors", file);
    f->f = fopen(f->path, "r");
    if (!f->f)
        die(f, "cannot open, expected a file of reference vectors");
    return f;
}

static void forget(vec_file *f)
{
    for (int i = 0; i < f->n; i++)
        free(f->items[i].v);
    f->n = 0;
}

/* "6x10" or "4"; the end of the text is the "=". */
static void read_shape(const vec_file *f, const char *shape, vec_item *item)
{
    char *end;
    long rows = strtol(shape, &end, 10), cols = *end == 'x' ? strtol(end + 1, &end, 10) : 1;
    if (*end || rows < 1 || cols < 1 || rows * cols > 100000000)
        die(f, "item '%s' has shape '%s', expected N or NxM", item->name, shape);
    item->rows = (int)rows;
    item->cols = (int)cols;
    item->n = (int)(rows * cols);
}

static void read_numbers(const vec_file *f, char *text, bool scalar, vec_item *item)
{
    item->v = malloc((size_t)item->n * sizeof *item->v);
    if (!item->v)
        die(f, "out of memory");
    for (int i = 0; i < item->n; i++) {
        char *end;
        item->v[i] = strtod(text, &end);
        if (end == text && !scalar)
            die(f, "item '%s' has %d numbers, expected %d", item->name, i, item->n);
        text = end;
    }
    if (!scalar && *text)
        die(f, "item '%s' has more than %d numbers", item->name, item->n);
}

static void read_item(vec_file *f, char *line)
{
    char *equal = strstr(line, " = ");
    if (f->n == MAX_ITEMS || !equal)
        die(f, "expected 'NAME = value', at most %d a case", MAX_ITEMS);
    *equal = '\0';
    char *values = equal + 3, *shape = strchr(line, ' ');
    if (shape)
        *shape++ = '\0';
    vec_item *item = &f->items[f->n++];
    *item = (vec_item){.n = 1, .rows = 1, .cols = 1};
    snprintf(item->name, sizeof item->name, "%s", line);
    if (shape)
        read_shape(f, shape, item);
    else
        snprintf(item->word, sizeof item->word, "%s", values);
    read_numbers(f, values, !shape, item);
}

/* Without its newline; NULL at the end of the file. */
static char *next_line(vec_file *f)
{
    ssize_t n = getline(&f->text, &f->capacity, f->f);
    if (n < 0)
        return NULL;
    f->line++;
    f->text[strcspn(f->text, "\r\n")] = '\0';
    return f->text;
}

bool vec_next(vec_file *f)
{
    char *line;
    forget(f);
    do
        if (!(line = next_line(f)))
            return false;
    while (!*line || *line == '#');
    if (strncmp(line, "case ", 5) != 0)
        die(f, "expected 'case NAME'");
    snprintf(f->name, sizeof f->name, "%s", line + 5);
    while ((line = next_line(f)) && strcmp(line, "end") != 0)
        read_item(f, line);
    if (!line)
        die(f, "no 'end'");
    return true;
}

const char *vec_case(const vec_file *f)
{
    return f->name;
}

const vec_item *vec_find(const vec_file *f, const char *name)
{
    for (int i = 0; i < f->n; i++)
        if (strcmp(f->items[i].name, name) == 0)
            return &f->items[i];
    return NULL;
}

const vec_item *vec_get(const vec_file *f, const char *name)
{
    const vec_item *item = vec_find(f, name);
    if (!item)
        die(f, "no item '%s'", name);
    return item;
}

double vec_number(const vec_file *f, const char *name)
{
    const vec_item *item = vec_get(f, name);
    char *end = NULL;
    if (item->word[0])
        strtod(item->word, &end);
    if (!end || *end || end == item->word)
        die(f, "item '%s' is no number", name);
    return item->v[0];
}

float *vec_floats(const vec_file *f, const char *name)
{
    const vec_item *item = vec_get(f, name);
    float *v = malloc((size_t)item->n * sizeof *v);
    if (!v)
        die(f, "out of memory");
    for (int i = 0; i < item->n; i++)
        v[i] = (float)item->v[i];
    return v;
}

void vec_close(vec_file *f)
{
    forget(f);
    fclose(f->f);
    free(f->text);
    free(f);
}
