#include "base/error.h"

#include <stdarg.h>

int ds_fail_at(ds_error *e, ds_err code, const char *file, int line, const char *format, ...)
{
    va_list args;
    if (!e)
        return code;
    e->code = code;
    e->line = line;
    e->kept = false;
    snprintf(e->file, sizeof e->file, "%s", file ? file : "");
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    return code;
}

int ds_error_pass(ds_error *to, const ds_error *from)
{
    return ds_fail_at(to, from->code, from->file, from->line, "%s", from->text);
}

void ds_put_message(FILE *out, const char *severity, const char *file, int line, const char *text)
{
    fprintf(out, "%s: ", severity);
    ds_put_name(out, file, 0);
    if (file[0] && line > 0)
        fprintf(out, ":%d", line);
    ds_put_line(out, file[0] ? ": " : "", text);
}

void ds_error_print(const ds_error *e, FILE *out)
{
    ds_put_message(out, "error", e->file, e->line, e->text);
}

int ds_error_status(int code)
{
    switch (code) {
    case DS_OK:
        return 0;
#define DS_ERR_STATUS(name, value, status) \
    case name:                             \
        return status;
        DS_ERRORS(DS_ERR_STATUS)
#undef DS_ERR_STATUS
    }
    return 1;
}

void ds_note_text(ds_notes *notes, char *text)
{
    bool known = !notes;
    for (int i = 0; !known && i < notes->n; i++)
        known = strcmp(notes->text[i], text) == 0;
    if (known)
        free(text);
    else
        DS_PUSH(notes->text, notes->n, text);
}

void ds_notes_clear(ds_notes *notes)
{
    ds_free_texts(notes->text, notes->n);
    *notes = (ds_notes){0};
}
