#include "train/warmup.h"
#include "plugins/plugin.h"

#include <math.h>

/* Epochs without a new low, and what a network that guesses has of ln C. */
enum { PATIENCE = 2 };
static const double GUESS = 0.99;

const char *const ds_warmup_names[] = {"none", "on", "epochs", "nll", "latest", NULL};

ds_warmup ds_warmup_begin(int asked, int epochs, int classes)
{
    const bool seen = asked == DS_WARMUP_AUTO;
    const int end = seen ? (int)(epochs * 3LL / 5) : asked;
    const ds_warmup_state none = seen ? DS_WARMUP_LATEST : DS_WARMUP_NONE;
    return (ds_warmup){.state = end ? DS_WARMUP_ON : none,
                       .end = end,
                       .seen = seen,
                       .lowest = INFINITY,
                       .nll = NAN,
                       .gap = NAN,
                       .known = GUESS * log(classes)};
}

bool ds_warmup_epoch(ds_warmup *w, int epoch, double nll, double loss)
{
    const double mean = (w->nll + nll) / 2, gap = (w->gap + nll - loss) / 2;
    if (w->state != DS_WARMUP_ON)
        return false;
    w->nll = nll;
    w->gap = nll - loss;
    if (mean < w->lowest) {
        w->lowest = mean;
        w->at = epoch;
    }
    const bool over = w->seen && w->at && epoch - w->at >= PATIENCE && gap >= 0 && w->lowest < w->known;
    if (!over && epoch < w->end)
        return false;
    w->state = over ? DS_WARMUP_NLL : w->seen ? DS_WARMUP_LATEST : DS_WARMUP_EPOCHS;
    w->end = epoch < w->end ? epoch : w->end;
    return true;
}
