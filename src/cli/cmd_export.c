/* `classifier export`: a trained network for other programs. */
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/place.h"
#include "cli/print.h"
#include "export/export.h"
#include "report/fields.h"
#include "train/model.h"

typedef struct export_flags {
    int format;
    char *out;
} export_flags;

typedef enum export_format { EXPORT_CFG, EXPORT_ONNX } export_format;
static const char *const formats[] = {[EXPORT_CFG] = "cfg", [EXPORT_ONNX] = "onnx", NULL};

#define DS_STATE export_flags
const ds_option ds_export_options[] = {
    OPT_ENUM("format", format, formats,
             "cfg: PATH.cfg and PATH.weights for stock Darknet and OpenCV; onnx: PATH, or PATH.onnx",
             .def = "onnx"),
    OPT_TEXT("out", out, "where to; PATH.json says what goes in and comes out", .unit = "PATH"),
    OPT_END,
};

typedef struct results {
    ds_place at[3]; /* the network; weights; JSON */
    ds_outputs all;
} results;

static void results_close(results *r)
{
    for (int i = 0; i < 3; i++)
        ds_place_abort(&r->at[i]);
    ds_outputs_clear(&r->all);
}

/* PATH and PATH.onnx mean the same. None is opened before all are known to be none of the files that are
 * read. */
static int results_open(results *r, const export_flags *s, const char *const *files, int n_files, ds_error *e)
{
    static const char *const suffixes[][3] = {
        [EXPORT_CFG] = {".cfg", ".weights", ".json"}, [EXPORT_ONNX] = {".onnx", NULL, ".json"}};
    const char *const *suffix = suffixes[s->format];
    const size_t n = strlen(s->out), own = strlen(suffix[0]);
    const size_t base = n > own && strcmp(s->out + n - own, suffix[0]) == 0 ? n - own : n;
    struct stat st;
    if (base == 0 || s->out[base - 1] == '/' ||
        (stat(s->out, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return ds_fail(e, DS_EUSAGE, "-out %s, expected a file's name", *s->out ? s->out : "''");
    for (int i = 0; i < 3; i++) {
        DS_FREED char *path = suffix[i] ? ds_format("%.*s%s", (int)base, s->out, suffix[i]) : NULL;
        DS_TRY(ds_outputs_add(&r->all, "out", path, e));
    }
    DS_TRY(ds_outputs_keep(&r->all, files, n_files, e));
    for (int i = 0, k = 0; i < 3; i++)
        if (suffix[i])
            DS_TRY(ds_place_open(&r->at[i], r->all.v[k++].path, e));
    return DS_OK;
}

static int check(const ds_model *m, ds_error *e)
{
    const ds_section *s = &m->cfg->sections[ds_cfg_reject(m->cfg) + 1];
    const char *key = ds_section_get(s, "novelty") ? "novelty"
                      : m->all.n > 1               ? "with"
                      : m->all.views > 1           ? "views"
                                                   : NULL;
    return key ? ds_fail_at(e, DS_EINPUT, m->cfg->path, ds_section_line(s, key),
                            "%s= cannot be exported, expected a [reject] without it", key)
               : DS_OK;
}

/* A JSON array; NULL without DATA. */
static char *names_of(const ds_model *m)
{
    json_auto_t *names = json_array();
    for (int c = 0; m->data.names && c < m->data.classes; c++)
        if (json_array_append_new(names, ds_json_text(m->data.names[c])))
            ds_out_of_memory();
    return m->data.names ? json_dumps(names, JSON_COMPACT) : NULL;
}

static int export(ds_model *m, const export_flags *s, results *r, ds_error *e)
{
    DS_FREED char *names = names_of(m);
    const ds_export x = {m->cfg, m->net, ds_net_get_reject(m->net), names};
    DS_TRY(s->format == EXPORT_CFG ? ds_export_cfg(&x, r->at[0].f, r->at[1].f, e)
                                   : ds_export_onnx(&x, r->at[0].f, e));
    ds_export_json(&x, formats[s->format], r->at[2].f);
    for (int i = 0; i < 3; i++)
        DS_TRY(ds_place_commit(&r->at[i], e));
    for (int i = 0; i < r->all.n; i++)
        ds_put_line(stdout, "", r->all.v[i].path);
    return DS_OK;
}

int ds_cmd_export(int argc, char **argv, ds_error *e)
{
    export_flags s = {0};
    DS_FINALLY(ds_words_clear)
    ds_words w = {.table = ds_export_options, .state = &s, .needed = "CFG WEIGHTS"};
    DS_FINALLY(ds_model_close) ds_model m = {.batch = 1};
    DS_FINALLY(results_close) results r = {0};
    DS_TRY(ds_words_read(&w, argc, argv, 3, e));
    if (!s.out)
        return ds_fail(e, DS_EUSAGE, "-out is missing, expected -out PATH");
    /* features: novelty= need not be read to be refused */
    const ds_run_flags flags = {.precision = 1 + DS_F32, .features = true};
    const char *const files[] = {w.n == 3 ? w.operands[0] : NULL, w.operands[w.n - 2], w.operands[w.n - 1]};
    int rc = ds_model_open(&m, files, DS_NO_LIST, &flags, NULL, e);
    if (!rc)
        ds_model_tell_threshold(&m);
    ds_print_notes(&m.notes, stderr);
    DS_TRY(rc);
    DS_TRY(check(&m, e));
    DS_TRY(results_open(&r, &s, w.operands, w.n, e));
    return export(&m, &s, &r, e);
}
