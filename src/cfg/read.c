#include "cfg/sections.h"

#include "base/file.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

typedef struct reader {
    ds_cfg *cfg;
    int line, capacity, room; /* room: allocated pairs of the section that is open */
    ds_error *e;
} reader;

/* Copy `n` bytes without blanks, tabs and carriage returns: the host drops blanks inside a line too. */
static char *squeeze(const char *from, size_t n)
{
    char *copy = malloc(n + 1), *to = copy;
    for (size_t i = 0; copy && i < n; i++)
        if (!strchr(" \t\r", from[i]) || !from[i])
            *to++ = from[i];
    if (copy)
        *to = '\0';
    return copy;
}

static int open_section(reader *r, const char *line)
{
    ds_cfg *cfg = r->cfg;
    size_t n = strlen(line);
    const char *close = strchr(line, ']');
    if (!close)
        return ds_fail_at(r->e, DS_EINPUT, cfg->path, r->line,
                          "unterminated section '%.80s', expected '[name]'", line);
    if (close != line + n - 1 || n == 2)
        return ds_fail_at(r->e, DS_EINPUT, cfg->path, r->line,
                          "cannot read '%.80s', expected '[name]' alone on its line", line);
    if (cfg->n == r->capacity) {
        int grown = r->capacity ? 2 * r->capacity : 32;
        ds_section *sections = realloc(cfg->sections, (size_t)grown * sizeof *sections);
        if (!sections)
            return ds_fail_memory(r->e);
        cfg->sections = sections;
        r->capacity = grown;
    }
    char *name = ds_strndup(line + 1, n - 2);
    if (!name)
        return ds_fail_memory(r->e);
    cfg->sections[cfg->n++] = (ds_section){.name = name, .line = r->line};
    r->room = 0;
    return DS_OK;
}

static int append_pair(reader *r, ds_section *s, const char *line, size_t split)
{
    if (s->n == r->room) {
        int grown = r->room ? 2 * r->room : 8;
        ds_pair *pairs = realloc(s->pairs, (size_t)grown * sizeof *pairs);
        if (!pairs)
            return ds_fail_memory(r->e);
        s->pairs = pairs;
        r->room = grown;
    }
    ds_pair p = {ds_strndup(line, split), ds_strdup(line + split + 1), r->line};
    if (!p.key || !p.value) {
        free(p.key);
        free(p.value);
        return ds_fail_memory(r->e);
    }
    s->pairs[s->n++] = p;
    return DS_OK;
}

static int read_pair(reader *r, const char *line)
{
    ds_cfg *cfg = r->cfg;
    size_t split = strcspn(line, "=");
    if (!line[split] || split == 0)
        return ds_fail_at(r->e, DS_EINPUT, cfg->path, r->line,
                          "cannot read '%.80s', expected '[section]' or 'key=value'", line);
    if (cfg->n == 0)
        return ds_fail_at(r->e, DS_EINPUT, cfg->path, r->line,
                          "key '%.*s' before any section, expected [net] first",
                          (int)(split < 80 ? split : 80), line);
    if (!line[split + 1])
        return ds_fail_at(r->e, DS_EINPUT, cfg->path, r->line,
                          "key '%.*s' has no value, expected 'key=value'", (int)(split < 80 ? split : 80),
                          line);
    return append_pair(r, &cfg->sections[cfg->n - 1], line, split);
}

static int read_line(reader *r, const char *from, size_t n)
{
    char *line = squeeze(from, n);
    if (!line)
        return ds_fail_memory(r->e);
    int rc = DS_OK;
    bool comment = line[0] == '#' || line[0] == ';';
    if (!comment && strchr(line, '#'))
        rc = ds_fail_at(r->e, DS_EINPUT, r->cfg->path, r->line,
                        "a '#' behind '%.*s', expected comments on lines of their own",
                        (int)strcspn(line, "#"), line);
    else if (line[0] == '[')
        rc = open_section(r, line);
    else if (line[0] && !comment)
        rc = read_pair(r, line);
    free(line);
    return rc;
}

int ds_cfg_read_sections(ds_cfg *cfg, const char *text, ds_error *e)
{
    reader r = {.cfg = cfg, .e = e};
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    int rc = DS_OK;
    while (*text && !rc) {
        size_t n = strcspn(text, "\n");
        r.line++;
        rc = read_line(&r, text, n);
        text += n + (text[n] == '\n');
    }
    if (!rc && cfg->n == 0)
        rc = ds_fail_at(e, DS_EINPUT, cfg->path, 0,
                        "has no sections, expected a network that begins with [net]");
    return rc;
}

void ds_section_drop(ds_section *s, int i)
{
    free(s->pairs[i].key);
    free(s->pairs[i].value);
    memmove(s->pairs + i, s->pairs + i + 1, (size_t)(s->n - i - 1) * sizeof *s->pairs);
    s->n--;
}

int ds_cfg_parse(const char *text, const char *path, ds_cfg **out, ds_notes *notes, ds_error *e)
{
    *out = NULL;
    ds_cfg *cfg = calloc(1, sizeof *cfg);
    if (!cfg || !(cfg->path = ds_strdup(path))) {
        free(cfg);
        return ds_fail_memory(e);
    }
    int rc = ds_cfg_read_sections(cfg, text, e);
    if (!rc)
        rc = ds_cfg_check_sections(cfg, notes, e);
    if (!rc)
        rc = ds_cfg_read_shapes(cfg, e);
    if (rc)
        ds_cfg_free(cfg);
    else
        *out = cfg;
    return rc;
}

int ds_cfg_read(const char *path, ds_cfg **cfg, ds_notes *notes, ds_error *e)
{
    char *text;
    *cfg = NULL;
    int rc = ds_file_read_text(path, "a network .cfg", &text, e);
    if (rc)
        return rc;
    rc = ds_cfg_parse(text, path, cfg, notes, e);
    free(text);
    return rc;
}

void ds_cfg_free(ds_cfg *cfg)
{
    if (!cfg)
        return;
    for (int i = 0; i < cfg->n; i++) {
        ds_section *s = &cfg->sections[i];
        while (s->n)
            ds_section_drop(s, s->n - 1);
        free(s->pairs);
        free(s->name);
    }
    ds_cfg_clear_net(&cfg->net);
    free(cfg->sections);
    free(cfg->shapes);
    free(cfg->path);
    free(cfg);
}
