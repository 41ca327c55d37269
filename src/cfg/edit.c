/* Writing the keys of [reject] into the text of a cfg: the person's own lines stay as they are. */
#include "cfg/cfg.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

typedef struct editor {
    FILE *out;
    char *written; /* what went into `out` so far, n_written bytes, after fflush */
    size_t n_written;
    const char *line_end;
    const ds_section *reject; /* NULL: there is none yet */
    const ds_pair *pairs;     /* n: what it is to hold */
    int n;
    int new_keys_below; /* line; 0: at the end, in a section of their own */
    int comment_from;   /* line; 0: nowhere */
} editor;

/* End a line that has no line ending yet. */
static void end_line(editor *d)
{
    fflush(d->out);
    if (d->n_written && d->written[d->n_written - 1] != '\n')
        fputs(d->line_end, d->out);
}

/* Those that the section does not hold yet. */
static void write_new_keys(editor *d)
{
    for (int i = 0; i < d->n; i++) {
        const ds_pair *p = &d->pairs[i];
        if (!p->value || (d->reject && ds_section_get(d->reject, p->key)))
            continue;
        end_line(d);
        fprintf(d->out, "%s=%s%s", p->key, p->value, d->line_end);
    }
}

/* What is asked of the key that stands in this line of [reject], or NULL. */
static const ds_pair *pair_of_line(const editor *d, int line)
{
    for (int k = 0; d->reject && k < d->n; k++)
        if (ds_section_get(d->reject, d->pairs[k].key) && ds_section_line(d->reject, d->pairs[k].key) == line)
            return &d->pairs[k];
    return NULL;
}

/* Only the value changes: blanks around it, and the line ending, stay. */
static void write_replaced(const editor *d, const char *line, size_t n, const char *value)
{
    size_t from = strcspn(line, "=") + 1, to = n;
    from += strspn(line + from, " \t");
    while (to > from && strchr(" \t\r\n", line[to - 1]))
        to--;
    fprintf(d->out, "%.*s%s%.*s", (int)from, line, value, (int)(n - to), line + to);
}

static bool is_blank(const char *line)
{
    return strchr("\n", line[strspn(line, " \t\r")]);
}

/* n bytes, with the line ending. */
static void write_line(editor *d, const char *line, size_t n, int number)
{
    const ds_pair *p = pair_of_line(d, number);
    if (p && p->value) {
        write_replaced(d, line, n, p->value);
    } else if (!p) {
        bool comment = d->comment_from && number >= d->comment_from;
        if (comment && !is_blank(line) && !strchr("#;", line[strspn(line, " \t\r")]))
            fputs("# ", d->out);
        fwrite(line, 1, n, d->out);
    }
    if (number == d->new_keys_below)
        write_new_keys(d);
}

static void write_all(editor *d, const char *text)
{
    const char *last = text;
    for (int number = 1; *text; number++) {
        size_t n = strcspn(text, "\n");
        n += text[n] == '\n';
        last = text;
        write_line(d, text, n, number);
        text += n;
    }
    if (d->reject)
        return;
    end_line(d);
    fprintf(d->out, "%s[reject]%s", is_blank(last) ? "" : d->line_end, d->line_end);
    write_new_keys(d);
}

/* Where the edits go in this network. */
static editor plan(const ds_cfg *cfg, const char *text, const ds_pair *pairs, int n)
{
    editor d = {.pairs = pairs, .n = n};
    const char *first_end = strchr(text, '\n');
    d.line_end = first_end && first_end > text && first_end[-1] == '\r' ? "\r\n" : "\n";
    const int reject = ds_cfg_reject(cfg), cost = ds_cfg_cost(cfg);
    if (reject >= 0) {
        d.reject = &cfg->sections[reject + 1];
        d.new_keys_below = d.reject->n ? d.reject->pairs[d.reject->n - 1].line : d.reject->line;
    } else if (cost >= 0 && cost + 2 < cfg->n) {
        d.comment_from = cfg->sections[cfg->n - 1].line;
    }
    return d;
}

static void free_cfg(ds_cfg **cfg)
{
    ds_cfg_free(*cfg);
}

int ds_cfg_edit_reject(const char *text, const char *path, const ds_pair *pairs, int n, char **edited,
                       ds_error *e)
{
    DS_FINALLY(free_cfg) ds_cfg *cfg = NULL, *made = NULL;
    *edited = NULL;
    DS_TRY(ds_cfg_parse(text, path, &cfg, NULL, e));
    editor d = plan(cfg, text, pairs, n);
    d.out = ds_memstream(&d.written, &d.n_written);
    write_all(&d, text);
    fclose(d.out);
    DS_FREED char *written = d.written;
    DS_TRY(ds_cfg_parse(written, path, &made, NULL, e)); /* what is written must be a network too */
    *edited = written;
    written = NULL;
    return DS_OK;
}
