/* classifier audit DATA CFG CHECKPOINT: which labels of train= are likely to be wrong. */
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/place.h"
#include "cli/print.h"
#include "data/image.h"
#include "data/lines.h"
#include "report/fields.h"
#include "report/page.h"
#include "train/audit.h"

#include <limits.h>

typedef struct audit_flags {
    char *truth, *csv, *report, *out;
    bool csv_safe, relabel;
    int worst, thumbs;
} audit_flags;

#define DS_STATE audit_flags
const ds_option ds_audit_options[] = {
    OPT_TEXT("truth", truth, "right labels, PATH<tab>LABEL: tell how many suspicions are right", .unit = "F"),
    OPT_INT("worst", worst, "count the K most suspicious images; without it those of positive scores",
            .unit = "K", OPT_RANGE(1, INT_MAX)),
    OPT_TEXT("csv", csv, "write a line an image to F, the most suspicious first; -: standard output",
             .unit = "F"),
    DS_CSV_SAFE,
    OPT_TEXT("report", report, "write suspects.html, pictures of the worst, into the folder DIR",
             .unit = "DIR"),
    OPT_INT("thumbs", thumbs, "images to show in it, at most", .def = "200", OPT_RANGE(1, 100000)),
    OPT_TEXT("out", out, "write a list to train with again, PATH<tab>LABEL, without the worst",
             .unit = "LIST"),
    OPT_FLAG("relabel", relabel, "of -out: with the proposed labels for the worst instead"),
    OPT_END,
};

typedef struct found {
    ds_audit audit;
    int worst; /* that count */
    ds_notes notes;
    ds_outputs outputs;
    FILE *csv, *list, *page;
    char *page_path, *text;
    const char **listed; /* paths as the list has them, in `text` */
} found;

static int check_flags(const audit_flags *s, ds_error *e)
{
    if (s->relabel && !s->out)
        return ds_fail(e, DS_EUSAGE, "-relabel without -out, expected -out LIST");
    if (s->csv_safe && !s->csv)
        return ds_fail(e, DS_EUSAGE, "-csv-safe without a CSV, expected -csv F");
    return DS_OK;
}

static int read_listed(found *g, ds_error *e)
{
    const ds_images *images = &g->audit.images;
    DS_TRY(ds_file_read_text(images->list, "a list of images", &g->text, e));
    ds_lines lines = ds_lines_of(g->text);
    char *line;
    DS_ZALLOC(g->listed, (size_t)images->n);
    for (int i = 0; i < images->n && (line = ds_lines_next(&lines));)
        if (lines.line == images->lines[i]) {
            if (g->audit.data.labels_from == DS_LIST)
                ds_line_label(line);
            g->listed[i++] = line;
        }
    return DS_OK;
}

/* Nothing is opened that the results are made from. */
static int open_places(found *g, const audit_flags *s, const char *const *operands, ds_error *e)
{
    ds_outputs *o = &g->outputs;
    const ds_images *images = &g->audit.images;
    const char *const files[] = {operands[0], operands[1], operands[2], s->truth};
    if (s->report)
        g->page_path = ds_path_join(s->report, "suspects.html");
    DS_TRY(ds_outputs_add(o, "csv", s->csv, &g->csv, e));
    DS_TRY(ds_outputs_add(o, "out", s->out, &g->list, e));
    DS_TRY(ds_outputs_add(o, "report", g->page_path, &g->page, e));
    DS_TRY(ds_outputs_keep(o, files, sizeof files / sizeof *files, e));
    DS_TRY(ds_outputs_keep_listed(o, &g->audit.data, e));
    DS_TRY(ds_outputs_keep(o, (const char *const *)images->paths, (size_t)images->n, e));
    DS_TRY(s->report ? ds_make_dirs(s->report, e) : DS_OK);
    return ds_outputs_open(o, e);
}

static void write_csv(const found *g, bool safe)
{
    const ds_audit *a = &g->audit;
    fputs("path,given,proposed,score\n", g->csv);
    for (int k = 0; k < a->n; k++) {
        const ds_suspect *s = &a->v[k];
        const char *const texts[] = {g->listed[s->image], a->data.labels[a->images.labels[s->image]],
                                     a->data.labels[s->proposed]};
        for (int i = 0; i < 3; i++) {
            ds_csv_put_field(g->csv, texts[i], safe);
            putc(',', g->csv);
        }
        ds_csv_put_number(g->csv, s->score);
        putc('\n', g->csv);
    }
}

/* In the order of train=; images that were not trained on stay. */
static void write_list(const found *g, bool relabel)
{
    const ds_audit *a = &g->audit;
    DS_FREED const ds_suspect **worst = DS_ZALLOC(worst, (size_t)a->images.n);
    for (int k = 0; k < g->worst; k++)
        worst[a->v[k].image] = &a->v[k];
    for (int i = 0; i < a->images.n; i++)
        if (!worst[i] || relabel)
            ds_print_labelled(g->list, a->images.paths[i],
                              a->data.labels[worst[i] ? worst[i]->proposed : a->images.labels[i]]);
}

static int write_page(const found *g, int most, ds_error *e)
{
    const ds_audit *a = &g->audit;
    const int n = g->worst < most ? g->worst : most;
    DS_FREED ds_suspicion *v = DS_ALLOC(v, (size_t)n);
    for (int k = 0; k < n; k++) {
        const ds_suspect *s = &a->v[k];
        v[k] = (ds_suspicion){a->images.paths[s->image], a->data.names[a->images.labels[s->image]],
                              a->data.names[s->proposed], s->score};
    }
    return ds_report_suspects(g->page, a->images.list, v, n, ds_thumb_png, e);
}

static double percent(int part, int whole)
{
    return whole ? 100. * part / whole : 0;
}

static void print(const found *g, bool truth)
{
    const ds_audit *a = &g->audit;
    const int hits = ds_audit_hits(a, g->worst), k = g->worst;
    ds_put_line(stdout, "list             ", a->images.list);
    printf("images           %d that were trained on\n", a->n);
    printf("suspicious       %d (%.2f %%)\n", k, percent(k, a->n));
    if (!truth)
        return;
    printf("wrong labels     %d (%.2f %%)\n", a->wrong, percent(a->wrong, a->n));
    printf("AUROC            %.6f\n", a->auroc);
    printf("precision        %.2f %% of the %d suspicious ones are wrong (%d)\n", percent(hits, k), k, hits);
    printf("recall           %.2f %% of the wrong ones are among them\n", percent(hits, a->wrong));
    printf("proposals        %.2f %% of the wrong ones would get their right label\n",
           percent(a->mended, a->wrong));
}

static int write_results(found *g, const audit_flags *s, ds_error *e)
{
    if (s->csv)
        write_csv(g, s->csv_safe);
    if (s->out)
        write_list(g, s->relabel);
    if (s->report)
        DS_TRY(write_page(g, s->thumbs, e));
    DS_TRY(ds_outputs_commit(&g->outputs, e));
    if (!ds_is_stdout(s->csv) && !ds_is_stdout(s->out))
        print(g, s->truth != NULL);
    if (s->out && !ds_is_stdout(s->out))
        ds_put_line(stderr, s->relabel ? "relabelled list: " : "list without them: ", s->out);
    if (s->report)
        ds_put_line(stderr, "report: ", g->page_path);
    return DS_OK;
}

static int audit(found *g, const audit_flags *s, const char *const *files, ds_error *e)
{
    int rc = ds_audit_run(&g->audit, files[0], files[1], files[2], s->truth, &g->notes, e);
    ds_print_notes(&g->notes, stderr);
    DS_TRY(rc);
    if (s->worst > g->audit.n)
        return ds_fail(e, DS_EUSAGE, "-worst %d, expected at most %d, the images that were trained on",
                       s->worst, g->audit.n);
    g->worst = s->worst ? s->worst : g->audit.flagged;
    DS_TRY(s->out ? ds_check_labelled(&g->audit.data, e) : DS_OK);
    DS_TRY(read_listed(g, e));
    DS_TRY(open_places(g, s, files, e));
    return write_results(g, s, e);
}

static void clear(found *g)
{
    ds_outputs_clear(&g->outputs);
    ds_notes_clear(&g->notes);
    ds_audit_clear(&g->audit);
    free(g->page_path);
    free(g->text);
    free(g->listed);
}

int ds_cmd_audit(int argc, char **argv, ds_error *e)
{
    audit_flags s = {0};
    DS_FINALLY(ds_words_clear)
    ds_words w = {.table = ds_audit_options, .state = &s, .needed = "DATA CFG CHECKPOINT"};
    DS_FINALLY(clear) found g = {0};
    DS_TRY(ds_words_read(&w, argc, argv, 3, e));
    DS_TRY(check_flags(&s, e));
    return audit(&g, &s, w.operands, e);
}
