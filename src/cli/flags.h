/* The command line of one sub-command: flags by an option table, everything else operands; rows and checks
 * that several commands share. */
#pragma once

#include "base/option.h"
#include "train/model.h"

/* A command line: begin with the first three, release with ds_words_clear. */
typedef struct ds_words {
    const ds_option *table;
    void *state;        /* not owned, but what its options own is freed */
    const char *needed; /* the operands that must be there, "DATA CFG"; NULL: none */
    const char **operands;
    int n; /* of them; NULLs follow, up to as many as there may be and one more */
} ds_words;

/* Fill the state (defaults first) from argv[0 … argc-1], the words after the sub-command. "-name value",
 * "--name value" and, for a DS_FLAG, "-name"; "--" ends the flags; a single "-" is a value; a negative number
 * may follow a flag. operands: pointers into argv, `most` at most.
 * DS_EUSAGE: unknown flag (names the nearest), flag given twice (unless DS_TEXTS), missing or bad value,
 * operand too many or missing. */
int ds_words_read(ds_words *w, int argc, char **argv, int most, ds_error *e);
void ds_words_clear(ds_words *w);

/* Rows for the flags of running networks (train/model.h) in the table of a state that has them as `run`. */
#define DS_RUN_THREADS \
    OPT_INT("threads", run.threads, "threads that compute; 0: one a core", .def = "0", OPT_RANGE(0, 1024))
#define DS_RUN_BACKEND                                                                                    \
    OPT_TEXT("backend", run.backend,                                                                      \
             "who computes the layers: oneDNN, a GPU (cuda, or cuda:N), or Darknet's own code (host)",    \
             .def = DS_DEFAULT_BACKEND, .unit = "NAME"),                                                  \
        OPT_ENUM("precision", run.precision, ds_precision_flags,                                          \
                 "f32, tf32, bf16, auto (bf16 where that is fast), or cfg: as [net] says", .def = "cfg"), \
        OPT_FLAG("tune", run.tune,                                                                        \
                 "choose a GPU's convolutions by measuring; what was chosen is kept for the next run"),   \
        OPT_FLAG("v", run.verbose, "tell which layers the backend leaves to Darknet")
#define DS_RUN_MEAN                                                                                       \
    OPT_INT("views", run.views,                                                                           \
            "answer N views of each image (itself, mirrored unless flip=0, moved a little) and take the " \
            "mean; without it views= of [reject] in CFG",                                                 \
            OPT_RANGE(1, 10)),                                                                            \
        OPT_TEXT("with", run.with,                                                                        \
                 "a network more, the mean of all answers; may be given several times; without it with= " \
                 "of [reject] in CFG",                                                                    \
                 .unit = "CFG WEIGHTS")
#define DS_RUN_PROFILE OPT_FLAG("profile", run.profile, "print the time of each layer at the end")
#define DS_RUN_LOADERS                                                                                  \
    OPT_INT("loaders", run.loaders, "threads that decode images; 0: one a core, 8 at most", .def = "0", \
            OPT_RANGE(0, 256))
/* Of commands that decode images of strangers. */
#define DS_UNTRUSTED_HELP "decode the images in processes without rights: a hostile one costs itself alone"

/* The row of a command that writes a CSV, with `csv_safe` in its state. */
#define DS_CSV_SAFE                \
    OPT_FLAG("csv-safe", csv_safe, \
             "put an apostrophe before texts of the CSV that a spreadsheet would compute (= + - @ first)")

#define DS_RUN_CACHE                                                                             \
    OPT_INT("cache", cache, "memory for decoded images; auto: up to a quarter of what may be taken", \
            .def = "auto", .names = ds_cache_words, OPT_RANGE(0, 1048576), .unit = "MIB")
extern const char *const ds_cache_words[];

/* n operands came, `needed` are needed, "DATA CFG". DS_EUSAGE names the first missing one. */
int ds_check_operands(const char *needed, int n, ds_error *e);
/* The operands DATA CFG WEIGHTS, or with -from FILE (NULL: without) none. */
int ds_check_source(const char *from, const ds_run_flags *run, int n, ds_error *e);
/* In (0, 1], (0, 1), [0, 1]. */
typedef enum ds_share_kind { DS_FRACTION, DS_INSIDE, DS_PROBABILITY } ds_share_kind;
/* Such a number, or NAN for a flag that was not given. DS_EUSAGE suggests 0.8 for 80. */
int ds_check_share(const char *flag, double value, ds_share_kind kind, ds_error *e);
/* -risk and -delta: both such numbers, or neither is there. */
int ds_check_promise(double risk, double delta, ds_error *e);
