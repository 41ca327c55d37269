/* Writing keys into the text of a cfg: the person's own lines stay as they are. */
#include "cfg/cfg.h"

typedef struct editor {
    FILE *out;
    char *written; /* what went into `out` so far, n_written bytes, after fflush */
    size_t n_written;
    const char *line_end;
    const ds_cfg *cfg;
    const ds_edit *edits; /* n */
    int n;
    int comment_from; /* line; 0: nowhere */
} editor;

/* End a line that has no line ending yet. */
static void end_line(editor *d)
{
    fflush(d->out);
    if (d->n_written && d->written[d->n_written - 1] != '\n')
        fputs(d->line_end, d->out);
}

/* That an edit is about; NULL: one that is yet to be made. */
static const ds_section *section_of(const editor *d, const ds_edit *x)
{
    return x->section < d->cfg->n ? &d->cfg->sections[x->section] : NULL;
}

static int last_line(const ds_section *s)
{
    return s->n ? s->pairs[s->n - 1].line : s->line;
}

/* Those that their section does not hold yet, if it ends in this line (0: if it is yet to be made). */
static void write_new_keys(editor *d, int line)
{
    for (int i = 0; i < d->n; i++) {
        const ds_edit *x = &d->edits[i];
        const ds_section *s = section_of(d, x);
        if (!x->value || (s ? last_line(s) : 0) != line || (s && ds_section_get(s, x->key)))
            continue;
        end_line(d);
        fprintf(d->out, "%s=%s%s", x->key, x->value, d->line_end);
    }
}

/* What is asked of the key, or of the section, that stands in this line, or NULL. */
static const ds_edit *edit_of_line(const editor *d, int line)
{
    for (const ds_edit *x = d->edits; x < d->edits + d->n; x++) {
        const ds_section *s = section_of(d, x);
        if (!s || line < s->line || line > last_line(s))
            continue;
        if (!x->key || (ds_section_get(s, x->key) && ds_section_line(s, x->key) == line))
            return x;
    }
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
    const ds_edit *x = edit_of_line(d, number);
    if (x && x->value) {
        write_replaced(d, line, n, x->value);
    } else if (!x) {
        bool comment = d->comment_from && number >= d->comment_from;
        if (comment && !is_blank(line) && !strchr("#;", line[strspn(line, " \t\r")]))
            fputs("# ", d->out);
        fwrite(line, 1, n, d->out);
    }
    write_new_keys(d, number);
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
    for (int i = 0; i < d->n; i++)
        if (!section_of(d, &d->edits[i])) {
            end_line(d);
            fprintf(d->out, "%s[reject]%s", is_blank(last) ? "" : d->line_end, d->line_end);
            write_new_keys(d, 0);
            return;
        }
}

static int edit(editor *d, const char *text, char **edited, ds_error *e)
{
    DS_FINALLY(ds_cfg_free_at) ds_cfg *made = NULL;
    const char *first_end = strchr(text, '\n');
    d->line_end = first_end && first_end > text && first_end[-1] == '\r' ? "\r\n" : "\n";
    d->out = ds_memstream(&d->written, &d->n_written);
    write_all(d, text);
    fclose(d->out);
    DS_FREED char *written = d->written;
    DS_TRY(ds_cfg_parse(written, d->cfg->path, &made, NULL, e)); /* what is written must be a network too */
    *edited = written;
    written = NULL;
    return DS_OK;
}

int ds_cfg_edit(const ds_cfg *cfg, const char *text, const ds_edit *edits, int n, char **edited, ds_error *e)
{
    editor d = {.cfg = cfg, .edits = edits, .n = n};
    *edited = NULL;
    return edit(&d, text, edited, e);
}

int ds_cfg_edit_reject(const char *text, const char *path, const ds_pair *pairs, int n, char **edited,
                       ds_error *e)
{
    DS_FINALLY(ds_cfg_free_at) ds_cfg *cfg = NULL;
    *edited = NULL;
    DS_TRY(ds_cfg_parse(text, path, &cfg, NULL, e));
    const int reject = ds_cfg_reject(cfg), cost = ds_cfg_cost(cfg);
    DS_FREED ds_edit *edits = DS_ALLOC(edits, (size_t)n);
    for (int i = 0; i < n; i++)
        edits[i] = (ds_edit){reject >= 0 ? reject + 1 : cfg->n, pairs[i].key, pairs[i].value};
    editor d = {.cfg = cfg, .edits = edits, .n = n};
    if (reject < 0 && cost >= 0 && cost + 2 < cfg->n)
        d.comment_from = cfg->sections[cfg->n - 1].line;
    return edit(&d, text, edited, e);
}
