/* The folder of a report: report.html, report.json, predictions.csv and three pictures. What the files of
 * this room share for it. */
#pragma once

#include "report/report.h"

#include <jansson.h>

/* ---- page.c ---- */

/* A small PNG of the image at `path`, *n bytes of fresh memory in *png. */
typedef int ds_thumb(const char *path, unsigned char **png, size_t *n, ds_error *e);

/* What a report is made of, all the caller's. */
typedef struct ds_page {
    /* without the quality of their answers, confidences stand for probabilities if they can */
    const ds_figures *figures;
    int thumbs;    /* pictures in the page, at most */
    bool csv_safe; /* predictions.csv, as ds_report_csv_write's `safe` */
    /* NULL: no pictures */
    ds_thumb *thumb;
    const char *chart_js; /* where Chart.js is; NULL: where Debian's package puts it */
    ds_notes *notes;      /* what is missing is said here; NULL: nowhere */
} ds_page;

/* The names of the files, NULL-terminated. */
extern const char *const ds_report_files[];

/* Write the files into `dir`, which is made when it is missing; each replaces that of before when it is
 * whole. Without gnuplot or Chart.js the pictures or charts are left out, with a note. DS_EIO. */
int ds_report_folder(const char *dir, const ds_page *p, ds_error *e);

/* What a text becomes on its way into a page. */
typedef enum ds_escape {
    DS_AS_IS,
    DS_AS_HTML,   /* text, or an attribute's value in quotes */
    DS_AS_JSON,   /* JSON between <script> tags: no < > & is left */
    DS_AS_SCRIPT, /* a program between <script> tags: those and <!-- in its strings are broken up */
} ds_escape;
void ds_put_escaped(FILE *f, const char *text, ds_escape how);

typedef struct ds_slot {
    const char *name, *text;
    ds_escape how;
} ds_slot;
/* Copy `template`, with the text of a slot for each {{name}}. DS_EINPUT for a name without a slot or without
 * an end. */
int ds_template_fill(FILE *f, const char *template, const ds_slot *slots, int n, ds_error *e);

/* ---- page_data.c: what page and pictures show ---- */

enum { DS_HISTOGRAM = 20 };

typedef struct ds_bin {
    double low, high;  /* (low, high], the first also holds its low end */
    size_t n, right;   /* images */
    double confidence; /* sum */
} ds_bin;

/* The ends of `n` bins of equal width over [low, high], low < high, and no images. */
void ds_bins_make(ds_bin *bins, int n, double low, double high);
/* The bin of a confidence in [low, high], -1 for any other and NaN. */
int ds_bins_find(const ds_bin *bins, int n, double confidence);

/* How often the images of a confidence are right, and how many there are. */
typedef struct ds_page_bins {
    bool reliable; /* `reliability` holds something: there are probabilities */
    ds_bin reliability[DS_BINS];
    /* over [0, 1] when all confidences lie there, else from the least to the largest */
    ds_bin histogram[DS_HISTOGRAM];
} ds_page_bins;
ds_page_bins ds_page_bins_of(const ds_answers *a);

/* Indices of the images, surest first, NaN last; equal ones in the order of the list. Fresh memory. */
size_t *ds_page_order(const ds_answers *a);

/* Some groups of a curve: all of them for at most `all` images, else about `most`, evenly over the accepted
 * images, and with them the last one and the one that ends at `keep` accepted images. */
typedef struct ds_steps {
    size_t *group; /* n, ascending, owned */
    size_t n;
    bool thinned;
} ds_steps;
ds_steps ds_steps_of(const ds_curve *c, size_t all, size_t most, size_t keep);

enum { DS_LISTED = 1, DS_PICTURED = 2 };
/* Which images the page shows, by place in `order`: a third of `thumbs` most confident mistakes, a third
 * least confident hits, then the least confident images, DS_LISTED and DS_PICTURED; those rejected at the
 * threshold (10,000 at most) and as many mistakes and hits as a short list needs are DS_LISTED. marks: n
 * bytes, zeroed. */
void ds_gallery_mark(const ds_answers *a, double threshold, const size_t *order, int thumbs,
                     unsigned char *marks);

/* ---- page_json.c ---- */

/* RFC 4648 with padding; fresh memory. */
char *ds_base64(const void *bytes, size_t n);
/* report.json: ds_report_json's object with `reliability` and `histogram` besides. */
json_t *ds_page_figures(const ds_page *p);
/* The data of the page: {report, names, data, gallery}, see report.js. */
json_t *ds_page_json(const ds_page *p);

/* ---- suspects.c ---- */

/* An image whose label may be wrong. */
typedef struct ds_suspicion {
    const char *path, *given, *proposed;
    double score;
} ds_suspicion;
/* A page of n of them, the most suspicious first; list: where they come from. */
int ds_report_suspects(FILE *f, const char *list, const ds_suspicion *v, int n, ds_thumb *thumb, ds_error *e);

/* ---- plots.c ---- */

/* The three pictures. A missing or failing gnuplot is a note. */
void ds_page_plots(const char *dir, const ds_page *p);
