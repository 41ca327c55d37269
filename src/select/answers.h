/* What a network, or another program, answered to the images of one list: filled by one pass over the list or from a
 * CSV, read by figures, calibration, comparison and everything that is written. */
#ifndef DS_SELECT_ANSWERS_H
#define DS_SELECT_ANSWERS_H

#include "select/select.h"

#include <stdbool.h>
#include <stddef.h>

/* Zero-initialise; owns all that it points to; release with ds_answers_clear. */
typedef struct ds_answers {
    char *name, *file;   /* what the list is called beside others, and where it is; NULL: unknown */
    size_t n;            /* images */
    char **paths;        /* n; NULL: unknown */
    int *labels;         /* n, 0 … classes-1; NULL: unlabelled */
    int *predictions;    /* n, 0 … classes-1; NULL: unknown (unlabelled answers of a CSV) */
    double *confidences; /* n; NAN: none, never accepted */
    bool *wrong;         /* n: is the prediction another class than the label? NULL: unlabelled */
    char **names;        /* of the classes */
    int classes;
    ds_quality quality; /* of the class probabilities; n = 0: there are none */
} ds_answers;

void ds_answers_clear(ds_answers *a);
/* The path of an image, "" when it is unknown. */
const char *ds_answers_path(const ds_answers *a, size_t i);

#endif
