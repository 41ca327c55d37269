/* What a command found, as a table for people, as JSON for programs, as a CSV of the images; and that CSV
 * read again. Nothing here computes figures: they come from src/select. What a stream could not take shows
 * when its owner flushes it. */
#pragma once

#include "select/figures.h"

/* ---- table.c, json.c ---- */

/* The fractions that both ask for. */
enum { DS_REPORT_COVERAGES = 7, DS_REPORT_RISKS = 4 };
extern const double ds_report_coverages[DS_REPORT_COVERAGES];
extern const double ds_report_risks[DS_REPORT_RISKS];

/* A name and its text on a line; no text: no line. */
void ds_report_line(FILE *f, const char *name, const char *text);
/* For people. Rates in percent, thresholds with the fewest digits that give the same number again. */
void ds_report_text(FILE *f, const ds_figures *r);

/* One object; undefined, unknown, infinite and what was not asked for are null. In every text a byte that is
 * not UTF-8 becomes U+FFFD and its two hexadecimal digits, and U+FFFD itself the three of its bytes, so that
 * every name is got back.
 *   n accuracy coverage reject_rate risk threshold aurc eaurc augrc auroc unknown_rate nll brier ece
 *   confidence model
 *   risk_at_coverage   array of {coverage accepted risk threshold}
 *   coverage_at_risk   array of {risk coverage reject_rate threshold accepted}
 *   conventions        {aurc eaurc augrc auroc ece}: a sentence each
 *   intervals          {level replicates seed accuracy reject_rate unknown_rate risk aurc eaurc augrc auroc}:
 *                      [low, high] each; areas null without bootstrap (replicates 0)
 *   risk_control       {risk delta feasible feasible_risk}; the threshold was chosen on these images
 *   classes            array of {name n accuracy accepted reject_rate risk intervals {accuracy reject_rate
 *                      risk} accepted_as wrong_as threshold}; accepted_as: images accepted as that class,
 *                      wrong_as: those of them that are of another. null when unknown or more than
 *                      DS_MOST_CLASSES
 *   confusion          array of rows, one a label in the order of `classes`: accepted images by prediction,
 *                      then rejected
 *   lists              array of {name file labelled n accepted coverage reject_rate accuracy risk auroc
 *                      unknown_rate intervals {accuracy reject_rate risk}}; auroc: the images of the
 *                      report against those of the list
 *   compare            array of {file other {accuracy aurc eaurc augrc auroc coverage risk} coverage risk
 *                      difference {accuracy risk aurc eaurc augrc auroc} intervals {the same} p_aurc};
 *                      difference: this minus other; coverage, risk: at the coverage of the threshold, whole
 *                      groups of equal confidence */
void ds_report_json(FILE *f, const ds_figures *r);

/* ---- csv.c ---- */

/* Header path,label,prediction,confidence,accepted,verdict, with p-values novelty too, and a line an image;
 * RFC 4180 quoting, lines end in a newline, confidence with 17 digits or nan (of unknown images too),
 * accepted (at the threshold) 0 or 1, verdict accepted, unsure or unknown; of an answer that is not-a-number
 * the prediction is empty. safe: an apostrophe before texts that a spreadsheet would compute, which begin
 * with = + - @ tab or CR (behind apostrophes, if any). */
void ds_report_csv_write(FILE *f, const ds_answers *a, double threshold, bool safe);

/* ---- csv_read.c ---- */

/* Read such a CSV into `a`, which is zeroed but for its name and file, and unchanged on failure. Columns
 * are found by the header, in any order: label, prediction, confidence and, when there, path; others are
 * ignored. Without `labelled` confidence alone is needed, label and prediction are ignored. Classes are
 * the distinct texts of both columns in natural order ("2" before "10"), but for an empty prediction of
 * confidence nan. A UTF-8 mark, CRLF, blank lines and quoted fields with newlines are read, the apostrophe of
 * `safe` is taken off; no rows below the header give n = 0. DS_EINPUT with file:line for a missing or doubled
 * column, a row of another length, wrong quotes, a confidence that is neither a finite number nor nan, an
 * empty file or one with NUL bytes; DS_EIO. */
int ds_report_csv_read(const char *path, bool labelled, ds_answers *a, ds_error *e);

/* The same syntax row by row as it comes, in constant memory: 1 MiB a row at most. */
typedef struct ds_csv {
    const char *file; /* for messages; the caller's path, which outlives this, or "standard input" */
    FILE *f;
    int line, lines, first; /* where the row begins, and how many lines it has; where the header is */
    char *text, *header;
    const char **names; /* n, of the columns */
    char **fields;      /* n, of the row; valid until the next one */
    int n;
} ds_csv;
/* "-": standard input. expected: "the column confidence". Close on failure too. */
int ds_csv_open(ds_csv *c, const char *path, const char *expected, ds_error *e);
/* Where a column stands, in *at; when there is none -1, or an error if one is `expected` (NULL: not). */
int ds_csv_find(const ds_csv *c, const char *name, const char *expected, int *at, ds_error *e);
/* *more false: no whole row came before the end, or before a signal that interrupted reading. */
int ds_csv_next(ds_csv *c, bool *more, ds_error *e);
void ds_csv_close(ds_csv *c);
/* The number in a column of the row, finite or nan with or without a sign. */
int ds_csv_number(const ds_csv *c, int column, double *v, ds_error *e);
