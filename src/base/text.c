#include "base/memory.h"

#include <errno.h>
#include <stdarg.h>

bool ds_parse_int(const char *s, long long *value)
{
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (end == s || *end || errno || s[0] == ' ' || s[0] == '\t')
        return false;
    *value = v;
    return true;
}

bool ds_parse_double(const char *s, double *value)
{
    if (!s[0] || strspn(s, "+-.0123456789eE") != strlen(s))
        return false;
    char *end;
    double v = strtod(s, &end);
    if (end == s || *end || !isfinite(v))
        return false;
    *value = v;
    return true;
}

const char *ds_number_text(double value, char text[DS_NUMBER_TEXT])
{
    char shortest[DS_NUMBER_TEXT];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(shortest, sizeof shortest, "%.*g", digits, value);
        if (strtod(shortest, NULL) == value)
            break;
    }
    return memcpy(text, shortest, sizeof shortest);
}

int ds_ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Levenshtein distance with a cap on the length of either word. */
static int edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    size_t na = strlen(a), nb = strlen(b);
    if (na > LONGEST || nb > LONGEST)
        return LONGEST;
    int row[LONGEST + 1];
    for (size_t j = 0; j <= nb; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

const char *ds_nearest(const char *word, const char *const *words, int n)
{
    const char *best = NULL;
    const size_t length = strlen(word);
    int distance = length < 3 ? 2 : length < 7 ? 3 : 4;
    for (int i = 0; i < n; i++) {
        int d = words[i] ? edit_distance(word, words[i]) : distance;
        if (d < distance) {
            distance = d;
            best = words[i];
        }
    }
    return best;
}

int ds_word_index(const char *const *words, int n, const char *word)
{
    for (int i = 0; i != n && words[i]; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

bool ds_has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = words; n && (p = strstr(p, word)); p++)
        if ((p == words || p[-1] == '|') && (p[n] == '|' || !p[n]))
            return true;
    return false;
}

char *ds_trim(char *s)
{
    static const char blank[] = " \t\r\n";
    s += strspn(s, blank);
    size_t n = strlen(s);
    while (n && strchr(blank, s[n - 1]))
        n--;
    s[n] = '\0';
    return s;
}

int ds_letter(const char *s, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)s;
    int n = *p < 0x80 ? 1 : *p < 0xC0 ? 0 : *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : *p < 0xF8 ? 4 : 0;
    *code = n > 1 ? *p & (0x7Fu >> n) : *p;
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        *code = *code << 6 | (p[i] & 0x3F);
    }
    return *code < least[n] || *code > 0x10FFFF || (*code & ~0x7FFu) == 0xD800 ? 0 : n;
}

/* ASCII's and Latin-1's control characters; separators of lines; overrides of the direction of writing. */
static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x2028 && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069);
}

int ds_put_name(FILE *f, const char *text, int width)
{
    static const char known[] = "\nn\tt\rr";
    int columns = 0;
    uint32_t code;
    for (int n; *text; text += n) {
        const char *letter = strchr(known, *text);
        char shown[8];
        n = ds_letter(text, &code);
        if (n && !is_control(code)) {
            snprintf(shown, sizeof shown, "%.*s", n, text);
            columns++;
        } else { /* byte by byte: what follows is no letter's beginning */
            n = 1;
            columns += letter ? snprintf(shown, sizeof shown, "\\%c", letter[1])
                              : snprintf(shown, sizeof shown, "\\x%02x", (unsigned char)*text);
        }
        if (f)
            fputs(shown, f);
    }
    if (f && columns < width)
        fprintf(f, "%*s", width - columns, "");
    return columns;
}

void ds_put_line(FILE *f, const char *what, const char *text)
{
    fputs(what, f);
    ds_put_name(f, text, 0);
    putc('\n', f);
}

void ds_put_word(FILE *f, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+,:=@%-";
    if (*word && word[strspn(word, plain)] == '\0') {
        fputs(word, f);
        return;
    }
    fputc('\'', f);
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, f);
    fputc('\'', f);
}

uint64_t ds_hash(uint64_t h, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
    return h;
}

char *ds_strdup(const char *s)
{
    return s ? ds_strndup(s, strlen(s)) : NULL;
}

char *ds_strndup(const char *s, size_t n)
{
    if (!s)
        return NULL;
    n = strnlen(s, n);
    char *copy = ds_xmalloc(n + 1);
    copy[n] = '\0';
    return memcpy(copy, s, n);
}

void ds_free_texts(char **texts, size_t n)
{
    for (size_t i = 0; texts && i < n; i++)
        free(texts[i]);
    free(texts);
}

char *ds_format(const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        ds_out_of_memory();
    va_end(args);
    return text;
}

FILE *ds_memstream(char **text, size_t *size)
{
    static _Thread_local size_t unasked;
    FILE *f = open_memstream(text, size ? size : &unasked);
    if (!f)
        ds_out_of_memory();
    return f;
}
