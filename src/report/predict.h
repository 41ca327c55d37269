/* The answers of `classifier predict`, image by image, for people and for programs. */
#ifndef DS_REPORT_PREDICT_H
#define DS_REPORT_PREDICT_H

#include "base/error.h"

#include <stdbool.h>
#include <stdio.h>

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
} ds_answer;

/* Where answers go and what all of them share; the caller's. */
typedef struct ds_answer_writer {
    FILE *f;
    const char *const *names; /* of the classes */
    int top;                  /* classes an answer, >= 1 */
    const char *score;        /* name of the confidence */
    double threshold;         /* NAN: all but NaN are accepted */
} ds_answer_writer;

bool ds_answer_accepted(const ds_answer_writer *to, const ds_answer *a);

/* One way to write them. What f could not take shows at the next flush (ds_report_flush). */
typedef struct ds_answer_format {
    void (*begin)(const ds_answer_writer *to); /* NULL: nothing comes first */
    int (*put)(const ds_answer_writer *to, const ds_answer *a, ds_error *e);
} ds_answer_format;

/* In the order of ds_answer_format_names, which NULL ends: "text", "csv", "jsonl". */
extern const ds_answer_format ds_answer_formats[];
extern const char *const ds_answer_format_names[];

/* predict_text.c: the path, then, indented, classes with percentages and the verdict, or the error. */
int ds_answer_text(const ds_answer_writer *to, const ds_answer *a, ds_error *e);
/* predict_csv.c: header path,answer,accepted,confidence,error,class_1,probability_1,…; the answer is empty where the image
 * is rejected; RFC 4180 quoting, lines end in a newline, all digits of numbers. */
void ds_answer_csv_begin(const ds_answer_writer *to);
int ds_answer_csv(const ds_answer_writer *to, const ds_answer *a, ds_error *e);
/* predict_json.c: an object a line: path answer accepted confidence score threshold, top: an array of class and
 * probability; or path and error. The answer is null where the image is rejected. */
int ds_answer_json(const ds_answer_writer *to, const ds_answer *a, ds_error *e);

#endif
