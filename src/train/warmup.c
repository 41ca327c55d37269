#include "train/warmup.h"
#include "plugins/plugin.h"

/* How far the nll rises above its lowest, and what a network that guesses has of ln C. */
static const double RISE = 0.01, GUESS = 0.99;

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
                       .known = GUESS * log(classes)};
}

bool ds_warmup_epoch(ds_warmup *w, int epoch, double nll)
{
    const double mean = (w->nll + nll) / 2;
    if (w->state != DS_WARMUP_ON)
        return false;
    w->nll = nll;
    if (mean < w->lowest) {
        w->lowest = mean;
        w->at = epoch;
    }
    const bool over = w->seen && w->lowest < w->known && mean >= w->lowest + RISE;
    if (!over && epoch < w->end)
        return false;
    w->state = over ? DS_WARMUP_NLL : w->seen ? DS_WARMUP_LATEST : DS_WARMUP_EPOCHS;
    w->end = epoch < w->end ? epoch : w->end;
    return true;
}
