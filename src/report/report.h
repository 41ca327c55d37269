/* What a command found, as a table for people, as JSON for programs, as a CSV of the images; and that CSV
 * read again. Nothing here computes figures: they come from src/select. */
#ifndef DS_REPORT_H
#define DS_REPORT_H

#include "base/error.h"
#include "select/answers.h"
#include "select/select.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* ---- report.c ---- */

/* Confidence level of all intervals. */
#define DS_REPORT_LEVEL 0.95
/* More classes than this have no figures of their own (ImageNet's 1,000 do). */
enum { DS_REPORT_CLASSES = 1000 };

/* A rate and its exact interval; NAN: undefined. */
typedef struct ds_rate {
    double value;
    ds_interval interval;
} ds_rate;

/* The rates of a list or a class; accuracy is of all its images, risk of the accepted ones. */
typedef struct ds_rates {
    ds_rate accuracy, reject, risk;
} ds_rates;
/* Without labels accuracy and risk are undefined. */
ds_rates ds_rates_of(const ds_class_figures *figures, bool labelled);

/* The figures of each class at the chosen threshold. */
typedef struct ds_report_classes {
    int n;                           /* at most DS_REPORT_CLASSES */
    const char *const *names;        /* n */
    const ds_class_figures *figures; /* n */
    const size_t *confusion;         /* n x (n + 1), see ds_class_figures_of */
} ds_report_classes;

/* Another list of images at the chosen threshold. */
typedef struct ds_report_list {
    const char *name, *file;
    bool labelled;
    ds_class_figures figures;
    double auroc; /* the report's images against these: P(the former is surer) */
} ds_report_list;

/* Another program's answers for the images of the report; differences are the report's minus the other's. */
typedef struct ds_report_rival {
    const char *file;
    ds_paired areas; /* interval.replicates 0: no intervals */
    double accuracy; /* the other's */
    ds_areas other;  /* the other's */
    /* both at the coverage of the chosen threshold; whole groups, so that `its` may accept more */
    ds_cut mine, its;
    ds_interval risk; /* of mine.risk - its.risk */
} ds_report_rival;

/* A threshold that was chosen by -risk and -delta. */
typedef struct ds_report_control {
    double risk, delta;
    ds_guarantee found;
} ds_report_control;

/* Texts, the curve and what is pointed to belong to the caller and must outlive the report. NAN: unknown or undefined. */
typedef struct ds_report {
    const ds_curve *curve;
    ds_areas areas;
    ds_cut chosen;                    /* threshold NAN: none was set */
    double accuracy;                  /* share of all images that are right */
    double nll, brier, ece;           /* NAN without probabilities */
    const char *confidence;           /* name of the score; NULL: unknown */
    const char *model;                /* weights or cfg; NULL: unknown */
    const char *list;                 /* where the images come from; NULL: not shown */
    const char *threshold_note;       /* shown behind the threshold, e.g. "from the cfg"; NULL: nothing */
    bool chose_best;                  /* the list also chose the best weights */
    ds_rates rates;                   /* at `chosen` */
    ds_bootstrap boot;                /* intervals of the areas; replicates 0: none */
    int seed;                         /* of the bootstrap */
    const char *name;                 /* what the images are called beside other lists; NULL: "images" */
    const ds_report_control *control; /* NULL: -risk was not asked for */
    const ds_report_classes *classes; /* NULL: unknown or too many */
    bool show_classes;                /* in the table too */
    const ds_report_list *lists;      /* n_lists */
    const ds_report_rival *rivals;    /* n_rivals */
    int n_lists, n_rivals;
} ds_report;

/* The report of a curve cut at `chosen`: accuracy, areas and rates filled, quality NAN, no bootstrap, pointers NULL. Set
 * the rest afterwards. */
ds_report ds_report_of(const ds_curve *curve, ds_cut chosen);

/* The fractions that the tables ask for. */
enum { DS_REPORT_COVERAGES = 7, DS_REPORT_RISKS = 4 };
extern const double ds_report_coverages[DS_REPORT_COVERAGES];
extern const double ds_report_risks[DS_REPORT_RISKS];

/* 1 - coverage, without its rounding; NAN for no images. */
double ds_reject_rate(const ds_report *r, const ds_cut *cut);

/* Flush `f`; DS_EIO when that or an earlier write failed. */
int ds_report_flush(FILE *f, ds_error *e);

/* ---- table.c, json.c ---- */

/* For people. Rates in percent, thresholds with the fewest digits that give the same number again. DS_EIO. */
int ds_report_text(FILE *f, const ds_report *r, ds_error *e);

/* One object; undefined, unknown, infinite and what was not asked for are null. Bytes that are not UTF-8 in a text
 * become '?'. DS_EIO, DS_ENOMEM.
 *   n accuracy coverage reject_rate risk threshold aurc eaurc augrc auroc nll brier ece confidence model
 *   risk_at_coverage   array of {coverage accepted risk threshold}
 *   coverage_at_risk   array of {risk coverage reject_rate threshold accepted}
 *   conventions        {aurc eaurc augrc auroc ece}: a sentence each
 *   intervals          {level replicates seed accuracy reject_rate risk aurc eaurc augrc auroc}: [low, high] each; areas
 *                      null without bootstrap (replicates 0)
 *   risk_control       {risk delta feasible feasible_risk}; the threshold was chosen on these images
 *   classes            array of {name n accuracy accepted reject_rate risk intervals {accuracy reject_rate risk}}; null
 *                      when unknown or more than DS_REPORT_CLASSES
 *   confusion          array of rows, one a label in the order of `classes`: accepted images by prediction, then rejected
 *   lists              array of {name file labelled n accepted coverage reject_rate accuracy risk auroc intervals
 *                      {accuracy reject_rate risk}}; auroc: the images of the report against those of the list
 *   compare            array of {file other {accuracy aurc eaurc augrc auroc coverage risk} coverage risk difference
 *                      {accuracy risk aurc eaurc augrc auroc} intervals {the same} p_aurc}; difference: this minus other;
 *                      coverage, risk: at the coverage of the threshold, whole groups of equal confidence */
int ds_report_json(FILE *f, const ds_report *r, ds_error *e);

/* ---- csv.c ---- */

/* Header path,label,prediction,confidence,accepted and a line an image; RFC 4180 quoting, lines end in a
 * newline, confidence with 17 digits or nan, accepted (at the threshold) 0 or 1. DS_EIO. */
int ds_report_csv_write(FILE *f, const ds_answers *a, double threshold, ds_error *e);

/* ---- csv_read.c ---- */

/* Read such a CSV as answers with `file`. Columns are found by the header, in any order: label, prediction, confidence
 * and, when there, path; others are ignored. Without `labelled` confidence alone is needed, label and prediction are
 * ignored. Classes are the distinct texts of both columns in natural order ("2" before "10"). A UTF-8 mark, CRLF, blank
 * lines and quoted fields with newlines are read; no rows below the header give n = 0. DS_EINPUT with file:line for a
 * missing or doubled column, a row of another length, wrong quotes, a confidence that is neither a finite number nor
 * nan, an empty file or one with NUL bytes; DS_EIO. On failure the answers are empty. */
int ds_report_csv_read(const char *path, bool labelled, ds_answers *a, ds_error *e);

/* ---- match.c ---- */

/* What two lists of paths do not share. */
typedef struct ds_path_match {
    size_t missing, extra;                   /* paths of a that b lacks, and the other way round */
    const char *first_missing, *first_extra; /* by row; NULL: none */
} ds_path_match;

/* Where the paths of `a` stand in `b`: order[i] is the row of b for row i of a (untouched where b has none). A path
 * that is there k times in both is matched k times, in the order of the rows. O(n log n), O(n) when the order is the
 * same. DS_ENOMEM. */
int ds_match_paths(char *const *a, size_t n_a, char *const *b, size_t n_b, size_t *order, ds_path_match *m,
                   ds_error *e);

#endif
