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

/* The network; weights; JSON. */
enum { RESULTS = 3 };

/* PATH and PATH.onnx mean the same. None is opened before all are known to be none of the files that are
 * read. */
static int open_results(ds_outputs *o, FILE **f, const export_flags *s, const ds_words *w, ds_error *e)
{
    static const char *const suffixes[][RESULTS] = {
        [EXPORT_CFG] = {".cfg", ".weights", ".json"}, [EXPORT_ONNX] = {".onnx", NULL, ".json"}};
    const char *const *suffix = suffixes[s->format];
    const size_t n = strlen(s->out), own = strlen(suffix[0]);
    const size_t base = n > own && strcmp(s->out + n - own, suffix[0]) == 0 ? n - own : n;
    struct stat st;
    if (base == 0 || s->out[base - 1] == '/' ||
        (stat(s->out, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return ds_fail(e, DS_EUSAGE, "-out %s, expected a file's name", *s->out ? s->out : "''");
    for (int i = 0; i < RESULTS; i++) {
        DS_FREED char *path = suffix[i] ? ds_format("%.*s%s", (int)base, s->out, suffix[i]) : NULL;
        DS_TRY(ds_outputs_add(o, "out", path, &f[i], e));
    }
    DS_TRY(ds_outputs_keep(o, w->operands, (size_t)w->n, e));
    return ds_outputs_open(o, e);
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

static int export(const ds_model *m, const export_flags *s, const ds_words *w, ds_error *e)
{
    DS_FINALLY(ds_outputs_clear) ds_outputs o = {0};
    const ds_datafile *d = &m->data;
    const char *const *all = (const char *const *)d->names;
    DS_FREED char *names = all ? ds_json_line(ds_json_texts(all, (size_t)d->classes)) : NULL;
    FILE *f[RESULTS];
    const ds_export x = {m->cfg, m->net, ds_net_get_reject(m->net), names};
    DS_TRY(open_results(&o, f, s, w, e));
    DS_TRY(s->format == EXPORT_CFG ? ds_export_cfg(&x, f[0], f[1], e) : ds_export_onnx(&x, f[0], e));
    ds_export_json(&x, formats[s->format], f[2]);
    DS_TRY(ds_outputs_commit(&o, e));
    for (int i = 0; i < o.n; i++)
        ds_put_line(stdout, "", o.v[i].path);
    return DS_OK;
}

int ds_cmd_export(int argc, char **argv, ds_error *e)
{
    export_flags s = {0};
    DS_FINALLY(ds_words_clear)
    ds_words w = {.table = ds_export_options, .state = &s, .needed = "CFG WEIGHTS"};
    DS_FINALLY(ds_model_close) ds_model m = {.batch = 1};
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
    return export(&m, &s, &w, e);
}
