/* `calibrate -per-class` and `-risk NAME=R`: a promise for each class, kept by a threshold of its own. */
#ifndef DS_CLI_PER_CLASS_H
#define DS_CLI_PER_CLASS_H

#include "base/option.h"
#include "select/answers.h"

/* Zero-initialise; release with ds_per_class_clear. */
typedef struct ds_per_class {
    ds_class_promise *promises; /* classes */
    double *thresholds;         /* classes, for [reject] */
    int classes;
    char *text; /* the thresholds as thresholds= has them */
} ds_per_class;

/* What the texts of -risk say: R, which goes to *risk, and NAME=R, which ask for promises by class.
 * DS_EUSAGE. */
int ds_per_class_risks(const ds_texts *risks, double *risk, bool *named, ds_error *e);
/* Promises of `risk` (NAN: none) for the classes that no text of `risks` names; `a` gets their thresholds,
 * which `p` keeps. DS_EUSAGE: a name that is none of its classes. DS_EINFEASIBLE: no class has a
 * threshold. */
int ds_per_class_find(ds_per_class *p, const ds_texts *risks, double risk, double delta, ds_answers *a,
                      ds_error *e);
void ds_per_class_clear(ds_per_class *p);

#endif
