#include "serve/reply.h"
#include "base/memory.h"
#include "report/fields.h"

#include <jansson.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Of fresh memory; the JSON is released. */
static char *text_of(json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (!text)
        ds_out_of_memory();
    json_decref(json);
    return text;
}

static void append(json_t *array, json_t *v)
{
    if (json_array_append_new(array, v))
        ds_out_of_memory();
}

char *ds_reply_error(const char *text)
{
    return text_of(json_pack("{so}", "error", ds_json_text(text)));
}

static json_t *name_of(const struct darknet_sat_info *info, int class)
{
    return info->names ? ds_json_text(info->names[class]) : json_integer(class);
}

static json_t *probabilities(const struct darknet_sat_info *info, const struct darknet_sat_answer *a,
                             json_t *to)
{
    for (int c = 0; c < info->classes; c++)
        append(to, ds_json_number(a->probabilities[c]));
    return to;
}

char *ds_reply_answer(const struct darknet_sat_info *info, const struct darknet_sat_answer *a)
{
    return text_of(json_pack(
        "{so si so sb ss so ss so so so}", "class", name_of(info, a->class_index), "index", a->class_index,
        "probability", ds_json_number(a->probabilities[a->class_index]), "accepted",
        a->verdict == DARKNET_SAT_ACCEPTED, "verdict", darknet_sat_verdict_text(a->verdict), "confidence",
        ds_json_number(a->confidence), "score", info->confidence, "threshold", ds_json_number(a->threshold),
        "novelty", ds_json_number(isnan(info->novelty_rate) ? NAN : a->novelty), "probabilities",
        probabilities(info, a, json_array())));
}

static json_t *tensor(const char *name, const char *type, int n, int columns, json_t *data)
{
    json_t *shape = columns ? json_pack("[ii]", n, columns) : json_pack("[i]", n);
    return json_pack("{ss ss so so}", "name", name, "datatype", type, "shape", shape, "data", data);
}

char *ds_reply_tensors(const ds_serve_setup *setup, const char *id, const struct darknet_sat_answer *answers,
                       int n)
{
    const struct darknet_sat_info *info = darknet_sat_info(setup->model);
    json_t *p = json_array(), *class = json_array(), *confidence = json_array(), *accepted = json_array(),
           *verdict = json_array();
    for (int i = 0; i < n; i++) {
        probabilities(info, &answers[i], p);
        append(class, json_integer(answers[i].class_index));
        append(confidence, ds_json_number(answers[i].confidence));
        append(accepted, json_boolean(answers[i].verdict == DARKNET_SAT_ACCEPTED));
        append(verdict, json_string(darknet_sat_verdict_text(answers[i].verdict)));
    }
    json_t *outputs =
        json_pack("[ooooo]", tensor("probabilities", "FP64", n, info->classes, p),
                  tensor("class", "INT64", n, 0, class), tensor("confidence", "FP64", n, 0, confidence),
                  tensor("accepted", "BOOL", n, 0, accepted), tensor("verdict", "BYTES", n, 0, verdict));
    json_t *reply =
        json_pack("{ss ss so}", "model_name", setup->name, "model_version", "1", "outputs", outputs);
    if (id && reply && json_object_set_new(reply, "id", ds_json_text(id)))
        ds_out_of_memory();
    return text_of(reply);
}

static json_t *described(const char *name, const char *type, json_t *shape)
{
    return json_pack("{ss ss so}", "name", name, "datatype", type, "shape", shape);
}

char *ds_reply_model(const ds_serve_setup *setup)
{
    const struct darknet_sat_info *info = darknet_sat_info(setup->model);
    json_t *names = json_array(), *thresholds = info->thresholds ? json_array() : json_null();
    for (int c = 0; c < info->classes; c++)
        append(names, name_of(info, c));
    for (int c = 0; info->thresholds && c < info->classes; c++)
        append(thresholds, ds_json_number(info->thresholds[c]));
    json_t *inputs =
        json_pack("[o]", described("images", "FP32",
                                   json_pack("[iiii]", -1, info->channels, info->height, info->width)));
    json_t *outputs =
        json_pack("[ooooo]", described("probabilities", "FP64", json_pack("[ii]", -1, info->classes)),
                  described("class", "INT64", json_pack("[i]", -1)),
                  described("confidence", "FP64", json_pack("[i]", -1)),
                  described("accepted", "BOOL", json_pack("[i]", -1)),
                  described("verdict", "BYTES", json_pack("[i]", -1)));
    return text_of(json_pack("{ss s[s] ss so so s{so ss so so so ss}}", "name", setup->name, "versions", "1",
                             "platform", "darknet-sat", "inputs", inputs, "outputs", outputs, "parameters",
                             "classes", names, "score", info->confidence, "threshold",
                             ds_json_number(info->threshold), "thresholds", thresholds, "novelty_rate",
                             ds_json_number(info->novelty_rate), "backend", info->backend));
}

char *ds_reply_server(const ds_serve_setup *setup)
{
    return text_of(json_pack("{ss ss s[]}", "name", "darknet-sat", "version", setup->version, "extensions"));
}

/* ---- reading ---- */

/* The numbers of `data`, nested or in a row. False: something else is there, or more than `most`. */
static bool read_numbers(const json_t *data, float *to, size_t *n, size_t most)
{
    size_t i;
    json_t *v;
    json_array_foreach(data, i, v) if (json_is_array(v))
    {
        if (!read_numbers(v, to, n, most))
            return false;
    }
    else if (json_is_number(v) && *n < most)
    {
        to[(*n)++] = (float)json_number_value(v);
    }
    else
    {
        return false;
    }
    return true;
}

static int read_tensor(const json_t *root, size_t bytes, const struct darknet_sat_info *info, float **pixels,
                       int *n, ds_error *e)
{
    const json_t *inputs = json_object_get(root, "inputs"), *input = json_array_get(inputs, 0);
    const json_t *shape = json_object_get(input, "shape"), *data = json_object_get(input, "data");
    const char *type = json_string_value(json_object_get(input, "datatype"));
    const int sides[] = {info->channels, info->height, info->width};
    if (json_array_size(inputs) != 1 || !type || !json_is_array(shape) || !json_is_array(data))
        return ds_fail(e, DS_EINPUT, "no inputs, expected one with datatype, shape and data");
    bool right = strcmp(type, "FP32") == 0 && json_array_size(shape) == 4;
    for (size_t i = 0; i < 3; i++)
        right &= json_integer_value(json_array_get(shape, i + 1)) == sides[i];
    const json_int_t images = json_integer_value(json_array_get(shape, 0));
    const size_t each = (size_t)sides[0] * (size_t)sides[1] * (size_t)sides[2];
    if (!right || images < 1 || images > 4096)
        return ds_fail(e, DS_EINPUT, "expected FP32 of shape [n, %d, %d, %d], n from 1 to 4096", sides[0],
                       sides[1], sides[2]);
    size_t found = 0;
    *n = (int)images;
    if ((size_t)images * each > (bytes + 1) / 2) /* a number and its comma */
        return ds_fail(e, DS_EINPUT, "data are not the %zu numbers that the shape says",
                       (size_t)images * each);
    DS_ALLOC(*pixels, (size_t)images * each);
    if (!read_numbers(data, *pixels, &found, (size_t)images * each) || found != (size_t)images * each)
        return ds_fail(e, DS_EINPUT, "data are not the %zu numbers that the shape says",
                       (size_t)images * each);
    return DS_OK;
}

static int read_tree(const char *body, size_t bytes, const struct darknet_sat_info *info, char **id,
                     float **pixels, int *n, ds_error *e)
{
    json_error_t wrong;
    json_t *root = json_loadb(body, bytes, JSON_REJECT_DUPLICATES, &wrong);
    if (!root)
        return ds_fail(e, DS_EINPUT, "no JSON: line %d: %s", wrong.line, wrong.text);
    int rc = read_tensor(root, bytes, info, pixels, n, e);
    *id = rc ? NULL : ds_strdup(json_string_value(json_object_get(root, "id")));
    json_decref(root);
    return rc;
}

/* A tree takes up to a hundred times the room of its text: one at a time, without many objects. */
int ds_request_read(const char *body, size_t bytes, const struct darknet_sat_info *info, char **id,
                    float **pixels, int *n, ds_error *e)
{
    enum { MOST_OBJECTS = 1000, LARGE = 1 << 20 };
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    size_t objects = 0, arrays = 0;
    for (size_t i = 0; i < bytes; i++) {
        objects += body[i] == '{';
        arrays += body[i] == '[';
    }
    if (bytes == 0)
        return ds_fail(e, DS_EINPUT, "no body, expected JSON");
    if (objects > MOST_OBJECTS || arrays > MOST_OBJECTS + bytes / 8)
        return ds_fail(e, DS_EINPUT, "%zu objects and %zu arrays in %zu bytes, expected tensors", objects,
                       arrays, bytes);
    pthread_mutex_lock(&one);
    int rc = read_tree(body, bytes, info, id, pixels, n, e);
    if (bytes > LARGE) /* this thread's memory is not for it alone */
        malloc_trim(0);
    pthread_mutex_unlock(&one);
    return rc;
}
