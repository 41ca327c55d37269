#include "report/page.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

char *ds_base64(const void *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes;
    char *text = malloc((n + 2) / 3 * 4 + 1), *out = text;
    if (!text)
        return NULL;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        v |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
        v |= i + 2 < n ? p[i + 2] : 0;
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
        *out++ = i + 2 < n ? digits[v & 63] : '=';
    }
    *out = '\0';
    return text;
}

/* What stands for the character at `s`; NULL: itself. */
static const char *as_html(const char *s)
{
    switch (*s) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    }
    return NULL;
}

static const char *as_json(const char *s)
{
    switch (*s) {
    case '<':
        return "\\u003c";
    case '>':
        return "\\u003e";
    case '&':
        return "\\u0026";
    }
    return NULL;
}

static const char *as_script(const char *s)
{
    bool ends = strncasecmp(s, "</script", 8) == 0, comments = strncmp(s, "<!--", 4) == 0;
    return ends || comments || strncasecmp(s, "<script", 7) == 0 ? "\\x3c" : NULL;
}

void ds_put_escaped(FILE *f, const char *text, ds_escape how)
{
    static const char *(*const replacement[])(const char *) = {NULL, as_html, as_json, as_script};
    if (how == DS_AS_IS) {
        fputs(text, f);
        return;
    }
    for (const char *s = text; *s; s++) {
        const char *r = replacement[how](s);
        if (r)
            fputs(r, f);
        else
            putc(*s, f);
    }
}
