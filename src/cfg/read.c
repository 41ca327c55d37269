/* Text to sections, and what a section holds. */
#include "cfg/sections.h"

const char *ds_section_get(const ds_section *s, const char *key)
{
    const ds_pair *p = ds_pair_find(s->pairs, s->n, key);
    return p ? p->value : NULL;
}

int ds_section_line(const ds_section *s, const char *key)
{
    const ds_pair *p = ds_pair_find(s->pairs, s->n, key);
    return p ? p->line : s->line;
}

const char *ds_section_kind(const ds_section *s)
{
    return s->kind ? s->kind->name : s->name;
}

bool ds_section_is(const ds_section *s, const char *kind)
{
    return strcmp(ds_section_kind(s), kind) == 0;
}

bool ds_section_has_role(const ds_section *s, ds_role role)
{
    return s->plugin && s->plugin->role == role;
}

void ds_section_drop(ds_section *s, int i)
{
    free(s->pairs[i].key);
    free(s->pairs[i].value);
    s->n--;
    memmove(s->pairs + i, s->pairs + i + 1, (size_t)(s->n - i) * sizeof *s->pairs);
}

typedef struct reader {
    ds_cfg *cfg;
    int line;
    ds_error *e;
} reader;

/* `n` bytes without blanks, tabs and carriage returns: the host drops blanks inside a line too. */
static char *squeeze(const char *from, size_t n)
{
    char *copy = ds_xmalloc(n + 1), *to = copy;
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r", from[i]))
            *to++ = from[i];
    *to = '\0';
    return copy;
}

static int open_section(const reader *r, const char *line)
{
    ds_cfg *cfg = r->cfg;
    size_t n = strlen(line);
    const char *close = strchr(line, ']');
    const bool broken = close != line + n - 1 || n == 2;
    ds_section s = {.name = ds_strndup(line + 1, broken ? n : n - 2), .line = r->line, .broken = broken};
    DS_PUSH(cfg->sections, cfg->n, s);
    if (!close)
        return ds_fail_at(r->e, DS_EINPUT, cfg->path, r->line,
                          "unterminated section '%.80s', expected '[name]'", line);
    if (broken)
        return ds_fail_at(r->e, DS_EINPUT, cfg->path, r->line,
                          "cannot read '%.80s', expected '[name]' alone on its line", line);
    return DS_OK;
}

static int read_pair(const reader *r, const char *line)
{
    ds_cfg *cfg = r->cfg;
    size_t split = strcspn(line, "=");
    int shown = (int)(split < 80 ? split : 80);
    if (!line[split] || split == 0)
        return ds_fail_at(r->e, DS_EINPUT, cfg->path, r->line,
                          "cannot read '%.80s', expected '[section]' or 'key=value'", line);
    if (cfg->n == 0)
        return ds_fail_at(r->e, DS_EINPUT, cfg->path, r->line,
                          "key '%.*s' before any section, expected [net] first", shown, line);
    if (!line[split + 1])
        return ds_fail_at(r->e, DS_EINPUT, cfg->path, r->line,
                          "key '%.*s' has no value, expected 'key=value'", shown, line);
    ds_section *s = &cfg->sections[cfg->n - 1];
    ds_pair p = {ds_strndup(line, split), ds_strdup(line + split + 1), r->line};
    DS_PUSH(s->pairs, s->n, p);
    return DS_OK;
}

static int read_line(const reader *r, const char *line)
{
    if (!line[0] || line[0] == '#' || line[0] == ';')
        return DS_OK;
    if (strchr(line, '#'))
        return ds_fail_at(r->e, DS_EINPUT, r->cfg->path, r->line,
                          "a '#' behind '%.*s', expected comments on lines of their own",
                          (int)strcspn(line, "#"), line);
    return line[0] == '[' ? open_section(r, line) : read_pair(r, line);
}

int ds_cfg_read_sections(ds_cfg *cfg, const char *text, ds_error *e)
{
    const int before = ds_failures(e);
    reader r = {.cfg = cfg, .e = e};
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    while (*text) {
        size_t n = strcspn(text, "\n");
        DS_FREED char *line = squeeze(text, n);
        r.line++;
        int rc = read_line(&r, line);
        if (rc && cfg->n == 0) /* no cfg: the other lines would be as wrong */
            return rc;
        if (rc)
            cfg->sections[cfg->n - 1].broken = true;
        DS_TRY(ds_keep(e, rc));
        text += n + (text[n] == '\n');
    }
    if (cfg->n == 0)
        return ds_fail_at(e, DS_EINPUT, cfg->path, 0,
                          "has no sections, expected a network that begins with [net]");
    return ds_failed_since(e, before);
}
