#include "train/warmup.h"
#include "plugins/plugin.h"

#include <math.h>

/* Epochs without a lower mean. */
enum { PATIENCE = 2 };

const char *const ds_warmup_names[] = {"none", "on", "epochs", "nll", "latest", NULL};

ds_warmup ds_warmup_begin(int asked, int epochs)
{
    const bool seen = asked == DS_WARMUP_AUTO;
    const int end = seen ? epochs / 2 : asked;
    return (ds_warmup){.state = end    ? DS_WARMUP_ON
                                : seen ? DS_WARMUP_LATEST
                                       : DS_WARMUP_NONE,
                       .end = end,
                       .seen = seen,
                       .last = NAN,
                       .lowest = INFINITY};
}

bool ds_warmup_epoch(ds_warmup *w, int epoch, double nll)
{
    const double mean = (w->last + nll) / 2;
    if (w->state != DS_WARMUP_ON)
        return false;
    w->last = nll;
    if (mean < w->lowest) {
        w->lowest = mean;
        w->at = epoch;
    }
    const bool rises = w->seen && w->at && epoch - w->at >= PATIENCE;
    if (!rises && epoch < w->end)
        return false;
    w->state = rises ? DS_WARMUP_NLL : w->seen ? DS_WARMUP_LATEST : DS_WARMUP_EPOCHS;
    w->end = epoch < w->end ? epoch : w->end;
    return true;
}
