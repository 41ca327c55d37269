/* The answers of `classifier predict`, image by image, for people and for programs. */
#pragma once

#include "select/select.h"

typedef struct ds_ranked {
    int class;          /* index into the names */
    double probability; /* NAN: the network gave none */
} ds_ranked;

/* One image; the caller's. */
typedef struct ds_answer {
    const char *path;
    const char *error;    /* why there is no answer; NULL: there is one */
    const ds_ranked *top; /* the surest classes, that of the answer first */
    double confidence;
    double threshold; /* NAN: all but NaN are accepted */
    double novelty;   /* p-value, where the writer has a rate for it */
    ds_verdict verdict;
} ds_answer;

typedef enum ds_answer_format {
    /* The path, then, indented, classes with percentages and the verdict, or the error. */
    DS_ANSWER_TEXT,
    /* Header path,answer,accepted,confidence,error,verdict,novelty,class_1,probability_1,…, without novelty
     * where there are no p-values; the answer is empty where the image is rejected; verdict: accepted,
     * unsure or unknown; RFC 4180 quoting, lines end in a newline, all digits of numbers. */
    DS_ANSWER_CSV,
    /* An object a line: path answer accepted verdict confidence score threshold novelty, top: an array of
     * class and probability; or path and error. The answer is null where the image is rejected. */
    DS_ANSWER_JSONL,
} ds_answer_format;
extern const char *const ds_answer_format_names[]; /* NULL ends them */

/* Where answers go and what all of them share; the caller's. What f could not take shows at the next
 * flush. */
typedef struct ds_answer_writer {
    FILE *f;
    int format;               /* ds_answer_format */
    const char *const *names; /* of the classes */
    int top;                  /* classes an answer, >= 1 */
    bool csv_safe;            /* as ds_report_csv_write's `safe` */
    const char *score;        /* name of the confidence */
    bool by_class;            /* each class has a threshold of its own */
    double novelty_rate;      /* an image whose p-value is below is unknown; NAN: there are none */
} ds_answer_writer;

/* What comes before the first answer. */
void ds_answer_begin(const ds_answer_writer *to);
void ds_answer_put(const ds_answer_writer *to, const ds_answer *a);
