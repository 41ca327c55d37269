#include "train/warmup.h"
#include "plugins/plugin.h"

#include <math.h>

const char *const ds_warmup_names[] = {"none", "on", "epochs", "gap", "latest", NULL};

ds_warmup ds_warmup_begin(int asked, int epochs)
{
    const bool seen = asked == DS_WARMUP_AUTO;
    const int end = seen ? (int)(epochs * 3LL / 5) : asked;
    const ds_warmup_state none = seen ? DS_WARMUP_LATEST : DS_WARMUP_NONE;
    return (ds_warmup){.state = end ? DS_WARMUP_ON : none, .end = end, .seen = seen, .gap = NAN};
}

bool ds_warmup_epoch(ds_warmup *w, int epoch, double gap)
{
    const bool wide = w->seen && (w->gap + gap) / 2 >= DS_WARMUP_MOST_GAP;
    if (w->state != DS_WARMUP_ON)
        return false;
    w->gap = gap;
    if (!wide && epoch < w->end)
        return false;
    w->state = wide ? DS_WARMUP_GAP : w->seen ? DS_WARMUP_LATEST : DS_WARMUP_EPOCHS;
    w->end = epoch < w->end ? epoch : w->end;
    return true;
}
