/* What the host side and the commands want to know of a [reject] section. */
#ifndef DS_REJECT_H
#define DS_REJECT_H

#include "select/select.h"

/* The score that a state of [reject] ranks by and its threshold (NAN: none). */
void ds_reject_get(const void *state, ds_score *score, double *threshold);

#endif
