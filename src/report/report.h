/* What a command found, as a table for people, as JSON for programs, as a CSV of the images; and that CSV
 * read again. Nothing here computes figures: they come from src/select. */
#ifndef DS_REPORT_H
#define DS_REPORT_H

#include "base/error.h"
#include "select/select.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* ---- report.c ---- */

/* Texts and the curve belong to the caller and must outlive the report. NAN: unknown or undefined. */
typedef struct ds_report {
    const ds_curve *curve;
    ds_areas areas;
    ds_cut chosen;              /* threshold NAN: none was set */
    double accuracy;            /* share of all images that are right */
    double nll, brier, ece;     /* NAN without probabilities */
    const char *confidence;     /* name of the score; NULL: unknown */
    const char *model;          /* weights or cfg; NULL: unknown */
    const char *list;           /* where the images come from; NULL: not shown */
    const char *threshold_note; /* shown behind the threshold, e.g. "from the cfg"; NULL: nothing */
    bool chose_best;            /* the list also chose the best weights */
} ds_report;

/* The report of a curve cut at `chosen`: accuracy and areas filled, quality NAN, texts NULL. Set the rest
 * afterwards. */
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

/* One object: n accuracy coverage reject_rate risk threshold aurc eaurc augrc auroc nll brier ece confidence
 * model, the arrays risk_at_coverage and coverage_at_risk, the object conventions. Undefined, unknown and
 * infinite are null. Bytes that are not UTF-8 in a text become '?'. DS_EIO, DS_ENOMEM. */
int ds_report_json(FILE *f, const ds_report *r, ds_error *e);

/* ---- csv.c ---- */

/* The answer for one image. */
typedef struct ds_prediction {
    const char *path;
    int label, prediction; /* indices into the names */
    double confidence;
} ds_prediction;

/* The rows of `classifier reject`, all arrays the caller's. */
typedef struct ds_selection {
    const ds_prediction *rows; /* n */
    size_t n;
    const char *const *names; /* of the classes */
    double threshold;         /* NAN: all but NaN accepted */
} ds_selection;

/* Header path,label,prediction,confidence,accepted and a line an image; RFC 4180 quoting, lines end in a
 * newline, confidence with 17 digits or nan, accepted 0 or 1. DS_EIO. */
int ds_report_csv_write(FILE *f, const ds_selection *s, ds_error *e);

/* ---- csv_read.c ---- */

/* What the metrics need of such a CSV. Zero-initialise; release with ds_csv_clear. */
typedef struct ds_csv {
    size_t n;
    double *confidence; /* n */
    bool *wrong;        /* n: label and prediction differ as text */
    char **path;        /* n; NULL when the file has no such column */
    char *text;         /* what the paths point into */
} ds_csv;

/* Columns are found by the header, in any order: label, prediction, confidence and, when there, path; others
 * are ignored. A UTF-8 mark, CRLF, blank lines and quoted fields with newlines are read; no rows below the
 * header give n = 0. DS_EINPUT with file:line for a missing or doubled column, a row of another length, wrong
 * quotes, a confidence that is neither a finite number nor nan, an empty file or one with NUL bytes; DS_EIO;
 * DS_ENOMEM. On failure `csv` is empty. */
int ds_report_csv_read(const char *path, ds_csv *csv, ds_error *e);
void ds_csv_clear(ds_csv *csv);

#endif
