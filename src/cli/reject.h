/* The pieces of `classifier reject`: flags, answers of a network or a CSV, figures, places for results. */
#ifndef DS_CLI_REJECT_H
#define DS_CLI_REJECT_H

#include "base/file.h"
#include "cli/common.h"
#include "report/report.h"
#include "select/select.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct ds_reject_flags {
    double threshold, coverage, risk, delta; /* NAN: not given */
    int confidence;                          /* -1: that of [reject] */
    int bootstrap;                           /* replicates, -1: not given */
    int seed;
    bool classes;
    char *json, *csv, *from, *report;
    int thumbs; /* pictures in the report's page, at most */
    ds_texts lists, compare;
    ds_run_flags run;
} ds_reject_flags;

/* Another program's answers, in the order of the first list. */
typedef struct ds_rival {
    const char *file; /* as on the command line */
    double *confidence;
    bool *wrong; /* owned */
} ds_rival;

/* All that the command found. Zero-initialise; release with ds_gathered_clear. */
typedef struct ds_gathered {
    ds_answers *lists; /* n_lists; the first is the one that the report is about, the others those of -list */
    ds_images *images; /* n_lists, of a network */
    bool *labelled;    /* n_lists */
    int n_lists;
    ds_rival *rivals; /* n_rivals, those of -compare */
    int n_rivals;

    /* of a network alone */
    ds_model model;
    ds_score score;
    const char *list_key; /* "test", "valid"; NULL: from a CSV */
    const char *weights;  /* as on the command line */
    double own;           /* threshold of [reject] for this score, NAN: none */

    /* made by ds_gathered_figures */
    ds_curve curve;
    ds_report report; /* points into all this */
    ds_report_classes class_figures;
    ds_report_list *list_figures;
    ds_report_rival *rival_figures;
    ds_report_control control; /* of -risk */
} ds_gathered;

void ds_gathered_clear(ds_gathered *g);

/* ---- reject_lists.c ---- */

/* -list NAME=FILE[:unlabelled] */
typedef struct ds_list_word {
    char *name, *file; /* owned */
    bool labelled;
} ds_list_word;
/* DS_EUSAGE for another form. Release with ds_list_word_clear. */
int ds_list_word_parse(const char *word, ds_list_word *w, ds_error *e);
void ds_list_word_clear(ds_list_word *w);
/* Make g->lists: an empty one named `first`, then those of the flag -list with name, file and labelled set. DS_EUSAGE
 * for a wrong or doubled name. */
int ds_gathered_name_lists(ds_gathered *g, const char *first, const ds_texts *words, ds_error *e);

/* ---- reject_network.c, reject_csv.c: fill g->lists, names, classes and what the source knows besides ---- */

/* Opens everything; images and labels of all lists are known afterwards, their answers not. */
int ds_gathered_open(ds_gathered *g, const ds_reject_flags *s, const ds_model_files *files, ds_error *e);
/* One pass over each list. */
int ds_gathered_evaluate(ds_gathered *g, const ds_reject_flags *s, ds_error *e);

/* Read -from and the CSV files of -list. */
int ds_gathered_read(ds_gathered *g, const ds_reject_flags *s, ds_error *e);

/* ---- reject_compare.c ---- */

/* Read the CSV files of -compare and bring them into the order of the first list, whose images and labels are known.
 * DS_EINPUT when images or labels differ. */
int ds_gathered_rivals(ds_gathered *g, const ds_texts *files, ds_error *e);

/* ---- reject_figures.c ---- */

/* The threshold that the flags ask for, and all figures at it: g->report. DS_ENOMEM. */
int ds_gathered_figures(ds_gathered *g, const ds_reject_flags *s, ds_error *e);

/* ---- reject_places.c: where results go ---- */

/* Open before the pass over the images: an unwritable place is found early. Zero-initialise. */
typedef struct ds_places {
    ds_writer json, csv;
} ds_places;
/* DS_EUSAGE when a result would replace the file `input` (NULL: none), which it is made from. */
int ds_places_keep(const ds_reject_flags *s, const char *input, ds_error *e);
/* The same for every file that the .data file names. */
int ds_places_keep_data(const ds_reject_flags *s, const ds_datafile *d, ds_error *e);
int ds_places_open(ds_places *p, const ds_reject_flags *s, ds_error *e);
/* Table, JSON, CSV. What goes to standard output for a program is alone there. */
int ds_places_write(ds_places *p, const ds_reject_flags *s, const ds_gathered *g, ds_error *e);
void ds_places_abort(ds_places *p);

/* ---- reject_page.c ---- */

/* Write the folder of -report, if asked, and say where it is. */
int ds_gathered_page(const ds_gathered *g, const ds_reject_flags *s, ds_error *e);

#endif
