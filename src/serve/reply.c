#include "serve/reply.h"
#include "report/fields.h"

#include <malloc.h>
#include <pthread.h>

char *ds_reply_error(const char *text)
{
    return ds_json_line(json_pack("{so}", "error", ds_json_text(text)));
}

static json_t *name_of(const struct darknet_sat_info *info, int class)
{
    return info->names ? ds_json_text(info->names[class]) : json_integer(class);
}

static json_t *probabilities(const struct darknet_sat_info *info, const struct darknet_sat_answer *a,
                             json_t *to)
{
    for (int c = 0; c < info->classes; c++)
        ds_json_append(to, ds_json_number(a->probabilities[c]));
    return to;
}

char *ds_reply_answer(const struct darknet_sat_info *info, const struct darknet_sat_answer *a)
{
    return ds_json_line(
        json_pack("{so si so sb ss so ss so so so}", "class", name_of(info, a->class_index), "index",
                  a->class_index, "probability", ds_json_number(a->probabilities[a->class_index]), "accepted",
                  a->verdict == DARKNET_SAT_ACCEPTED, "verdict", darknet_sat_verdict_text(a->verdict),
                  "confidence", ds_json_number(a->confidence), "score", info->confidence, "threshold",
                  ds_json_threshold(a->threshold), "novelty",
                  ds_json_number(isnan(info->novelty_rate) ? NAN : a->novelty), "probabilities",
                  probabilities(info, a, json_array())));
}

/* ---- the Open Inference Protocol ---- */

static const struct {
    const char *name, *type;
} outputs[] = {{"probabilities", "FP64"},
               {"class", "INT64"},
               {"confidence", "FP64"},
               {"accepted", "BOOL"},
               {"verdict", "BYTES"}};
enum { OUTPUTS = sizeof outputs / sizeof *outputs };

/* Of n images (-1: of any number). */
static json_t *tensor(const struct darknet_sat_info *info, int k, int n)
{
    json_t *shape = k ? json_pack("[i]", n) : json_pack("[ii]", n, info->classes);
    return json_pack("{ss ss so}", "name", outputs[k].name, "datatype", outputs[k].type, "shape", shape);
}

static void put_output(const struct darknet_sat_info *info, int k, const struct darknet_sat_answer *a,
                       json_t *to)
{
    if (k == 0)
        probabilities(info, a, to);
    else
        ds_json_append(to, k == 1   ? json_integer(a->class_index)
                           : k == 2 ? ds_json_number(a->confidence)
                           : k == 3 ? json_boolean(a->verdict == DARKNET_SAT_ACCEPTED)
                                    : json_string(darknet_sat_verdict_text(a->verdict)));
}

char *ds_reply_tensors(const ds_serve_setup *setup, const ds_question *q,
                       const struct darknet_sat_answer *answers)
{
    const struct darknet_sat_info *info = darknet_sat_info(setup->model);
    json_t *all = json_array();
    for (int k = 0; k < OUTPUTS; k++) {
        if (!(q->outputs >> k & 1))
            continue;
        json_t *data = json_array(), *one = tensor(info, k, q->n);
        for (int i = 0; i < q->n; i++)
            put_output(info, k, &answers[i], data);
        ds_json_append(all, one);
        if (json_object_set_new(one, "data", data))
            ds_out_of_memory();
    }
    json_t *reply = json_pack("{ss ss so}", "model_name", setup->name, "model_version", "1", "outputs", all);
    if (q->id && reply && json_object_set_new(reply, "id", ds_json_text(q->id)))
        ds_out_of_memory();
    return ds_json_line(reply);
}

char *ds_reply_model(const ds_serve_setup *setup)
{
    const struct darknet_sat_info *info = darknet_sat_info(setup->model);
    json_t *names = json_array(), *thresholds = info->thresholds ? json_array() : json_null(),
           *all = json_array();
    for (int c = 0; c < info->classes; c++)
        ds_json_append(names, name_of(info, c));
    for (int c = 0; info->thresholds && c < info->classes; c++)
        ds_json_append(thresholds, ds_json_threshold(info->thresholds[c]));
    for (int k = 0; k < OUTPUTS; k++)
        ds_json_append(all, tensor(info, k, -1));
    json_t *input = json_pack("{ss ss s[iiii]}", "name", DS_INPUT, "datatype", "FP32", "shape", -1,
                              info->channels, info->height, info->width);
    json_t *said = json_pack("{so ss so so so ss}", "classes", names, "score", info->confidence, "threshold",
                             ds_json_threshold(info->threshold), "thresholds", thresholds, "novelty_rate",
                             ds_json_number(info->novelty_rate), "backend", info->backend);
    return ds_json_line(json_pack("{ss s[s] ss s[o] so so}", "name", setup->name, "versions", "1", "platform",
                                  "darknet-sat", "inputs", input, "outputs", all, "parameters", said));
}

char *ds_reply_server(void)
{
    return ds_json_line(
        json_pack("{ss ss s[]}", "name", "darknet-sat", "version", darknet_sat_version(), "extensions"));
}

/* ---- reading ---- */

/* The numbers of `data`, nested or in a row. False: others than 0 … 1 are there, or more than `most`. */
static bool read_numbers(const json_t *data, float *to, size_t *n, size_t most)
{
    size_t i;
    json_t *v;
    json_array_foreach(data, i, v)
    {
        const double x = json_is_number(v) ? json_number_value(v) : -1;
        if (json_is_array(v) ? !read_numbers(v, to, n, most) : !(x >= 0 && x <= 1 && *n < most))
            return false;
        if (!json_is_array(v))
            to[(*n)++] = (float)x;
    }
    return true;
}

static int read_tensor(const json_t *root, size_t bytes, const struct darknet_sat_info *info, ds_question *q,
                       ds_error *e)
{
    const json_t *inputs = json_object_get(root, "inputs"), *input = json_array_get(inputs, 0);
    const json_t *shape = json_object_get(input, "shape"), *data = json_object_get(input, "data");
    const char *type = json_string_value(json_object_get(input, "datatype")),
               *name = json_string_value(json_object_get(input, "name"));
    const int sides[] = {info->channels, info->height, info->width};
    if (json_array_size(inputs) != 1 || !type || !json_is_array(shape) || !json_is_array(data) || !name ||
        strcmp(name, DS_INPUT) != 0)
        return ds_fail(e, DS_EINPUT, "expected one input, " DS_INPUT ", with datatype, shape and data");
    bool right = strcmp(type, "FP32") == 0 && json_array_size(shape) == 4;
    for (size_t i = 0; i < 3; i++)
        right &= json_integer_value(json_array_get(shape, i + 1)) == sides[i];
    const json_int_t images = json_integer_value(json_array_get(shape, 0));
    if (!right || images < 1 || images > 4096)
        return ds_fail(e, DS_EINPUT, "expected FP32 of shape [n, %d, %d, %d], n from 1 to 4096", sides[0],
                       sides[1], sides[2]);
    const size_t all = (size_t)images * (size_t)sides[0] * (size_t)sides[1] * (size_t)sides[2];
    size_t found = 0;
    if (all <= (bytes + 1) / 2) /* a number and its comma */
        DS_ALLOC(q->pixels, all);
    q->n = (int)images;
    return q->pixels && read_numbers(data, q->pixels, &found, all) && found == all
               ? DS_OK
               : ds_fail(e, DS_EINPUT, "data are not the %zu numbers from 0 to 1 that the shape says", all);
}

/* Which of them are asked for; all when none is named. */
static int read_outputs(const json_t *asked, ds_question *q, ds_error *e)
{
    size_t i;
    json_t *v;
    json_array_foreach(asked, i, v)
    {
        const char *name = json_string_value(json_object_get(v, "name"));
        int k = 0;
        while (name && k < OUTPUTS && strcmp(name, outputs[k].name) != 0)
            k++;
        if (!name || k == OUTPUTS)
            return ds_fail(e, DS_EINPUT,
                           "no output '%s', expected probabilities, class, confidence, accepted or verdict",
                           name ? name : "");
        q->outputs |= 1u << k;
    }
    q->outputs = q->outputs ? q->outputs : (1u << OUTPUTS) - 1;
    return DS_OK;
}

static int read_tree(const char *body, size_t bytes, const struct darknet_sat_info *info, ds_question *q,
                     ds_error *e)
{
    json_error_t wrong;
    json_t *root = json_loadb(body, bytes, JSON_REJECT_DUPLICATES, &wrong);
    if (!root)
        return ds_fail(e, DS_EINPUT, "no JSON: line %d: %s", wrong.line, wrong.text);
    q->id = ds_strdup(json_string_value(json_object_get(root, "id")));
    int rc = read_outputs(json_object_get(root, "outputs"), q, e);
    if (!rc)
        rc = read_tensor(root, bytes, info, q, e);
    json_decref(root);
    return rc;
}

/* A tree takes up to a hundred times the room of its text: one at a time, without many objects. */
int ds_question_read(const char *body, size_t bytes, const struct darknet_sat_info *info, ds_question *q,
                     ds_error *e)
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
    int rc = read_tree(body, bytes, info, q, e);
    if (bytes > LARGE) /* this thread's memory is not for it alone */
        malloc_trim(0);
    pthread_mutex_unlock(&one);
    return rc;
}
