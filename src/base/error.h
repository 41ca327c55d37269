/* Errors and notes: library code returns a code and fills a text; src/cli alone prints and exits. */
#pragma once

#include "base/memory.h"

/* Every error code, its value, and the exit status of a command that ends with it. */
#define DS_ERRORS(X)                                                                  \
    X(DS_EINPUT, -1, 1)       /* a file or value of the user is wrong */              \
    X(DS_EUSAGE, -2, 2)       /* the command line is wrong */                         \
    X(DS_EINFEASIBLE, -3, 3)  /* no threshold keeps the promise */                    \
    X(DS_EINTERRUPT, -4, 130) /* stopped by Ctrl-C after saving */                    \
    X(DS_EIO, -5, 1)          /* reading or writing failed */                         \
    X(DS_ENOMEM, -6, 1)       /* out of memory */                                     \
    X(DS_EHOST, -7, 1)        /* libdarknet.so is missing or refused */               \
    X(DS_ENUMERIC, -8, 1)     /* not-a-number loss */                                 \
    X(DS_ETERMINATE, -9, 143) /* as DS_EINTERRUPT, by SIGTERM */                      \
    X(DS_EHANGUP, -10, 129)   /* as DS_EINTERRUPT, by SIGHUP */                       \
    X(DS_EPIPE, -11, 141)     /* the reader of standard output is gone: no message */ \
    X(DS_EALARM, -12, 4)      /* a promise is not kept any more */

typedef enum ds_err {
    DS_OK = 0,
#define DS_ERR_ENUM(name, value, status) name = value,
    DS_ERRORS(DS_ERR_ENUM)
#undef DS_ERR_ENUM
} ds_err;

/* One failure. `file` is empty and `line` 0 where they say nothing. Zero-initialise. */
typedef struct ds_error {
    ds_err code;
    int line;
    char file[512];
    char text[1536];
    struct ds_problems *all; /* NULL, or where failures go that the work can go on after: see problem.h */
    bool kept;               /* this one is there already */
} ds_error;

/* Fill `e` (may be NULL) and return `code`, so that a caller can `return ds_fail_at(...)`; `file` NULL,
 * `line` 0: none. */
DS_PUBLIC int ds_fail_at(ds_error *e, ds_err code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* The same without a place. */
#define ds_fail(e, code, ...) ds_fail_at(e, code, NULL, 0, __VA_ARGS__)
/* What `from` says into `to` (may be NULL), which collects where it did before. Returns its code. */
int ds_error_pass(ds_error *to, const ds_error *from);
/* Do a step; return from the calling function with its code when it failed. */
#define DS_TRY(step)          \
    do {                      \
        int failed_ = (step); \
        if (failed_)          \
            return failed_;   \
    } while (0)

/* `SEVERITY: file:line: text` and a newline, by ds_put_name: a message is one line. */
void ds_put_message(FILE *out, const char *severity, const char *file, int line, const char *text);
void ds_error_print(const ds_error *e, FILE *out);
/* Exit status that belongs to a code. */
int ds_error_status(int code);

/* Remarks that are no errors; the command line shows them. Zero-initialise; release with ds_notes_clear. */
typedef struct ds_notes {
    char **text; /* n texts, owned; each begins with "note: " or "warning: " */
    int n;
} ds_notes;

/* Add a text that is not there yet; `notes` may be NULL (then nothing happens). */
#define ds_note(notes, ...) ds_note_text(notes, ds_format(__VA_ARGS__))
/* The same, of fresh memory, which is taken over. */
DS_PUBLIC void ds_note_text(ds_notes *notes, char *text);
void ds_notes_clear(ds_notes *notes);
