/* Writing the keys of [reject] into the text of a cfg: the person's own lines stay as they are. */
#include "cfg/cfg.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

typedef struct editor {
    FILE *out;
    const char *line_end;
    const ds_section *reject; /* NULL: there is none yet */
    const ds_pair *pairs;     /* what it is to hold */
    int n;
    int new_keys_below; /* line; 0: at the end, in a section of their own */
    int comment_from;   /* line; 0: nowhere */
} editor;

/* One line of the text: n bytes, and its line ending behind them. */
typedef struct text_line {
    const char *text;
    size_t n, end;
    int number;
} text_line;

static bool is_in_section(const editor *d, const char *key)
{
    return d->reject && ds_section_get(d->reject, key);
}

static void write_key(const editor *d, const ds_pair *p)
{
    fprintf(d->out, "%s=%s%s", p->key, p->value, d->line_end);
}

static bool is_new(const editor *d, const ds_pair *p)
{
    return p->value && !is_in_section(d, p->key);
}

static bool has_new_keys(const editor *d)
{
    for (int i = 0; i < d->n; i++)
        if (is_new(d, &d->pairs[i]))
            return true;
    return false;
}

static void write_new_keys(const editor *d)
{
    for (int i = 0; i < d->n; i++)
        if (is_new(d, &d->pairs[i]))
            write_key(d, &d->pairs[i]);
}

/* What is asked of the key that stands in this line of [reject], or NULL. */
static const ds_pair *pair_of_line(const editor *d, int line)
{
    for (int i = 0; d->reject && i < d->reject->n; i++)
        for (int k = 0; d->reject->pairs[i].line == line && k < d->n; k++)
            if (strcmp(d->reject->pairs[i].key, d->pairs[k].key) == 0)
                return &d->pairs[k];
    return NULL;
}

/* Only the value changes: blanks around it, and the line ending, stay. */
static void write_replaced(const editor *d, const text_line *l, const char *value)
{
    size_t from = strcspn(l->text, "=") + 1, to = l->n;
    from += strspn(l->text + from, " \t");
    while (to > from && strchr(" \t\r", l->text[to - 1]))
        to--;
    fwrite(l->text, 1, from, d->out);
    fputs(value, d->out);
    fwrite(l->text + to, 1, l->n + l->end - to, d->out);
}

static void write_line(const editor *d, const text_line *l)
{
    const ds_pair *p = pair_of_line(d, l->number);
    size_t blanks = strspn(l->text, " \t\r");
    if (p && p->value) {
        write_replaced(d, l, p->value);
    } else if (!p) {
        if (d->comment_from && l->number >= d->comment_from && blanks < l->n &&
            !strchr("#;", l->text[blanks]))
            fputs("# ", d->out);
        fwrite(l->text, 1, l->n + l->end, d->out);
    }
    if (l->number != d->new_keys_below || !has_new_keys(d))
        return;
    if (!l->end && !(p && !p->value))
        fputs(d->line_end, d->out);
    write_new_keys(d);
}

/* last: the text's last line, which may lack its line ending. */
static void write_section(const editor *d, const text_line *last)
{
    if (!last->end)
        fputs(d->line_end, d->out);
    if (strspn(last->text, " \t\r") < last->n)
        fputs(d->line_end, d->out);
    fprintf(d->out, "[reject]%s", d->line_end);
    write_new_keys(d);
}

static void write_all(const editor *d, const char *text)
{
    text_line l = {.text = text};
    while (*l.text) {
        l.n = strcspn(l.text, "\n");
        l.end = l.text[l.n] == '\n';
        l.number++;
        write_line(d, &l);
        if (!l.text[l.n + l.end])
            break;
        l.text += l.n + l.end;
    }
    if (!d->reject)
        write_section(d, &l);
}

/* Where the edits go in this network. */
static editor plan(const ds_cfg *cfg, const char *text, const ds_pair *pairs, int n)
{
    editor d = {.pairs = pairs, .n = n};
    const char *first_end = strchr(text, '\n');
    d.line_end = first_end && first_end > text && first_end[-1] == '\r' ? "\r\n" : "\n";
    int reject, cost = ds_cfg_cost(cfg, &reject);
    const ds_section *last = &cfg->sections[cfg->n - 1];
    if (reject >= 0) {
        d.reject = &cfg->sections[reject + 1];
        d.new_keys_below = d.reject->n ? d.reject->pairs[d.reject->n - 1].line : d.reject->line;
    } else if (cost >= 0 && cost + 2 < cfg->n) {
        d.comment_from = last->line;
    }
    return d;
}

/* Read again: what is written must be a network too. */
static int check_edited(const char *text, const char *path, ds_error *e)
{
    ds_cfg *cfg;
    int rc = ds_cfg_parse(text, path, &cfg, NULL, e);
    ds_cfg_free(cfg);
    return rc;
}

int ds_cfg_edit_reject(const char *text, const char *path, const ds_pair *pairs, int n, char **edited,
                       ds_error *e)
{
    size_t size;
    ds_cfg *cfg;
    *edited = NULL;
    int rc = ds_cfg_parse(text, path, &cfg, NULL, e);
    if (rc)
        return rc;
    editor d = plan(cfg, text, pairs, n);
    bool ok = (d.out = open_memstream(edited, &size)) != NULL;
    if (ok) {
        write_all(&d, text);
        ok = !ferror(d.out);
        ok = fclose(d.out) == 0 && ok;
    }
    ds_cfg_free(cfg);
    rc = ok ? check_edited(*edited, path, e) : ds_fail_memory(e);
    if (rc) {
        free(*edited);
        *edited = NULL;
    }
    return rc;
}
