/* `calibrate -per-class` and `-risk NAME=R`: a promise for each class, kept by a threshold of its own. */
#pragma once

#include "base/option.h"
#include "select/answers.h"

/* Zero-initialise; release with ds_per_class_clear. */
typedef struct ds_per_class {
    double risk;                /* of all classes that no NAME=R names; NAN: none */
    bool named;                 /* there is a NAME=R */
    ds_class_promise *promises; /* classes */
    double *thresholds;         /* classes */
    char *text;                 /* the same as [reject] has them */
} ds_per_class;

/* Read -risk R and NAME=R; a NULL: all but the names is checked. DS_EUSAGE. */
int ds_per_class_read(ds_per_class *p, const ds_texts *risks, const ds_answers *a, ds_error *e);
/* Keep the promises; `a` gets the thresholds, which are p's. DS_EINFEASIBLE: no class has one. */
int ds_per_class_find(ds_per_class *p, double delta, ds_answers *a, ds_error *e);
void ds_per_class_clear(ds_per_class *p);
