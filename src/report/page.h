/* The folder of a report: report.html, report.json, predictions.csv and three pictures. What the files of this
 * room share for it. */
#ifndef DS_REPORT_PAGE_H
#define DS_REPORT_PAGE_H

#include "base/error.h"
#include "report/report.h"
#include "select/select.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* ---- folder.c ---- */

/* What a report is made of, all the caller's. */
typedef struct ds_page {
    const ds_report *report;
    const ds_answers
        *answers; /* of the report; without their quality, confidences stand for probabilities if they can */
    int thumbs;   /* pictures in the page, at most */
    const char *chart_js; /* where Chart.js is; NULL: where Debian's package puts it */
} ds_page;

/* The names of the files, NULL-terminated. */
extern const char *const ds_report_files[];

/* Write the files into `dir`, which is made when it is missing; each replaces that of before when it is whole. Without
 * gnuplot or Chart.js the pictures or charts are left out, with a note. DS_EIO, DS_ENOMEM. */
int ds_report_folder(const char *dir, const ds_page *p, ds_notes *notes, ds_error *e);

/* ---- bins.c ---- */

typedef struct ds_bin {
    double low, high;  /* (low, high], the first also holds its low end */
    size_t n, right;   /* images */
    double confidence; /* sum */
} ds_bin;

enum { DS_HISTOGRAM = 20 };

/* The ends of `n` bins of equal width over [low, high], low < high, and no images. */
void ds_bins_make(ds_bin *bins, int n, double low, double high);
/* The bin of a confidence in [low, high], -1 for any other and NaN. */
int ds_bins_find(const ds_bin *bins, int n, double confidence);
/* Count the images; those outside of the bins are left out. */
void ds_bins_add(ds_bin *bins, int n, const ds_answers *a);

/* How often the images of a confidence are right, and how many there are. */
typedef struct ds_page_bins {
    bool reliable; /* `reliability` holds something: there are probabilities */
    ds_bin reliability[DS_BINS];
    ds_bin histogram
        [DS_HISTOGRAM]; /* over [0, 1] when all confidences lie there, else from the least to the largest */
} ds_page_bins;
ds_page_bins ds_page_bins_of(const ds_page *p);

/* ---- order.c ---- */

/* Indices of the images, surest first, NaN last; equal ones in the order of the list. Fresh memory. */
size_t *ds_page_order(const ds_answers *a);

/* Some groups of a curve: all of them for at most `all` images, else about `most`, evenly over the accepted images, and
 * with them the last one and the one that ends at `keep` accepted images. */
typedef struct ds_steps {
    size_t *group; /* n, ascending, owned */
    size_t n;
    bool thinned;
} ds_steps;
int ds_steps_make(const ds_curve *c, size_t all, size_t most, size_t keep, ds_steps *s, ds_error *e);

/* ---- gallery.c ---- */

enum { DS_LISTED = 1, DS_PICTURED = 2 };
/* Which images the page shows, by place in `order`: a third of `thumbs` most confident mistakes, a third least
 * confident hits, then the least confident images, DS_LISTED and DS_PICTURED; the rejected ones (10,000 at most)
 * and as many mistakes and hits as a short list needs are DS_LISTED. marks: n bytes, zeroed. */
void ds_gallery_mark(const ds_answers *a, double threshold, const size_t *order, int thumbs,
                     unsigned char *marks);

/* ---- thumb.c ---- */

/* The image at `path` as a data: URI, at most 96 pixels a side: the file's own bytes when they are few. Fresh memory in
 * *uri. DS_EIO, DS_EINPUT: no regular file, or none that can be decoded; DS_ENOMEM. */
int ds_thumb_make(const char *path, char **uri, ds_error *e);

/* ---- escape.c ---- */

/* Fresh memory, NULL when there is none; RFC 4648 with padding. */
char *ds_base64(const void *bytes, size_t n);

/* What a text becomes on its way into a page. */
typedef enum ds_escape {
    DS_AS_IS,
    DS_AS_HTML, /* text, or an attribute's value in quotes */
    DS_AS_JSON, /* JSON between <script> tags: no < > & is left */
    DS_AS_SCRIPT, /* a program between <script> tags: its </script and <!-- are broken up, which strings survive */
} ds_escape;
void ds_put_escaped(FILE *f, const char *text, ds_escape how);

/* ---- template.c ---- */

typedef struct ds_slot {
    const char *name, *text;
    ds_escape how;
} ds_slot;
/* Copy `template`, with the text of a slot for each {{name}}. DS_EINPUT for a name without a slot or without an end. */
int ds_template_fill(FILE *f, const char *template, const ds_slot *slots, int n, ds_error *e);

/* ---- page.c, page_json.c ---- */

/* The data of the page: {report, names, data, gallery}, see report.js. Fresh text in *json. DS_ENOMEM. */
int ds_page_json(const ds_page *p, const ds_page_bins *b, char **json, ds_error *e);
/* report.json: ds_report_json's object with `reliability` and `histogram` besides. */
int ds_page_figures(FILE *f, const ds_page *p, const ds_page_bins *b, ds_error *e);
/* report.html. */
int ds_page_html(FILE *f, const ds_page *p, const ds_page_bins *b, ds_notes *notes, ds_error *e);

/* ---- plots.c ---- */

/* The three pictures. A missing or failing gnuplot is a note. */
int ds_page_plots(const char *dir, const ds_page *p, const ds_page_bins *b, ds_notes *notes, ds_error *e);

#endif
