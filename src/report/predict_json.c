#include "report/fields.h"
#include "report/predict.h"

#include <math.h>
#include <stdlib.h>

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

/* A NULL member, which memory ran out for, is refused and shows in the result. */
static int put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value);
}

static json_t *top(const ds_answer_writer *to, const ds_answer *a)
{
    json_t *array = json_array();
    int bad = !array;
    for (int k = 0; k < to->top && !bad; k++) {
        json_t *o = json_object();
        bad |= json_array_append_new(array, o);
        bad |= put(o, "class", ds_json_text(to->names[a->top[k].class]));
        bad |= put(o, "probability", number(a->top[k].probability));
    }
    if (!bad)
        return array;
    json_decref(array);
    return NULL;
}

static int fill(json_t *o, const ds_answer_writer *to, const ds_answer *a)
{
    int bad = put(o, "path", ds_json_text(a->path));
    if (a->error)
        return bad | put(o, "error", ds_json_text(a->error));
    bool accepted = ds_answer_accepted(to, a);
    bad |= put(o, "answer", ds_json_text(accepted ? to->names[a->top[0].class] : NULL));
    bad |= put(o, "accepted", json_boolean(accepted));
    bad |= put(o, "confidence", number(a->confidence));
    bad |= put(o, "score", ds_json_text(to->score));
    bad |= put(o, "threshold", number(to->threshold));
    return bad | put(o, "top", top(to, a));
}

int ds_answer_json(const ds_answer_writer *to, const ds_answer *a, ds_error *e)
{
    json_t *o = json_object();
    char *line = NULL;
    if (o && !fill(o, to, a))
        line = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(o);
    if (!line)
        return ds_fail_memory(e);
    fputs(line, to->f);
    putc('\n', to->f);
    free(line);
    return DS_OK;
}
