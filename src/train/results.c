#include "train/results.h"
#include "base/file.h"
#include "base/gnuplot.h"
#include "cfg/cfg.h"
#include "train/results.gp.inc"

static const char header[] =
    "epoch,batch,precision,warmup,train_loss,train_accuracy,learning_rate,alpha,valid_top1,"
    "valid_nll,valid_ece,valid_aurc,"
    "valid_balanced,valid_worst,valid_worst_class,images_per_second";
/* The fields of its columns behind these four. */
#define AT(field) offsetof(ds_result, field)
static const size_t reals[] = {AT(train_loss),  AT(train_accuracy),    AT(learning_rate),
                               AT(alpha),       AT(valid_top1),        AT(valid_nll),
                               AT(valid_ece),   AT(valid_aurc),        AT(valid_balanced),
                               AT(valid_worst), AT(valid_worst_class), AT(images_per_second)};
enum { REALS = sizeof reals / sizeof *reals };

static double *real_of(ds_result *r, int i)
{
    return (double *)((char *)r + reals[i]);
}

/* Epoch, batch, precision and warm-up, then numbers, some of them empty. */
static bool is_row(const char *line)
{
    int epoch, end = 0, commas = 0;
    long batch;
    char precision[8], warmup[8];
    if (sscanf(line, "%d,%ld,%7[^,],%7[^,],%n", &epoch, &batch, precision, warmup, &end) != 4 ||
        ds_word_index(ds_precision_names, -1, precision) < 0 ||
        ds_word_index(ds_warmup_names, -1, warmup) < 0)
        return false;
    for (line += end; *line && strchr("0123456789+-.e,", *line); line++)
        commas += *line == ',';
    return !*line && commas == REALS - 1;
}

static void append(ds_results *r, ds_result row)
{
    fprintf(r->table, "%d,%ld,%s,%s", row.epoch, row.batch, ds_precision_names[row.precision],
            ds_warmup_names[row.warmup]);
    for (int i = 0; i < REALS; i++)
        fprintf(r->table, isfinite(*real_of(&row, i)) ? ",%.7g" : ",", *real_of(&row, i));
    fputc('\n', r->table);
    r->n++;
}

static int parse(ds_results *r, char *text, int keep, ds_error *e)
{
    char *line;
    for (int number = 1; (line = strsep(&text, "\n")); number++) {
        line = ds_trim(line);
        if (number == 1 ? strcmp(line, header) != 0 : *line && !is_row(line))
            return ds_fail_at(
                e, DS_EINPUT, r->path, number,
                "is no line of a results file of classifier train, expected %s; move the file away",
                number == 1 ? header : "16 fields");
        if (number > 1 && *line && r->n < keep) {
            fprintf(r->table, "%s\n", line);
            r->n++;
        }
    }
    return DS_OK;
}

int ds_results_open(ds_results *r, const char *path, int keep, ds_error *e)
{
    DS_FREED char *text = NULL;
    *r = (ds_results){.path = ds_strdup(path)};
    r->table = ds_memstream(&r->text, &r->size);
    fprintf(r->table, "%s\n", header);
    if (keep <= 0 || !ds_path_exists(path))
        return DS_OK;
    DS_TRY(ds_file_read_text(path, "a results file of classifier train", &text, e));
    return parse(r, text, keep, e);
}

int ds_results_add(ds_results *r, const ds_result *row, ds_error *e)
{
    ds_writer w;
    append(r, *row);
    fflush(r->table);
    DS_TRY(ds_writer_open(&w, r->path, e));
    fwrite(r->text, 1, r->size, w.f);
    return ds_writer_commit(&w, e);
}

void ds_results_clear(ds_results *r)
{
    if (r->table)
        fclose(r->table);
    free(r->path);
    free(r->text);
    *r = (ds_results){0};
}

/* Higher is better. */
static double merit(const ds_result *r, ds_best by)
{
    const double merits[] = {[DS_BEST_BALANCED] = r->valid_balanced,
                             [DS_BEST_TOP1] = r->valid_top1,
                             [DS_BEST_NLL] = -r->valid_nll,
                             [DS_BEST_AURC] = -r->valid_aurc};
    return merits[by];
}

bool ds_result_better(const ds_result *a, const ds_result *b, ds_best by)
{
    const double x = merit(a, by), y = merit(b, by);
    if (x == y)
        return a->valid_nll < b->valid_nll;
    return isnan(y) ? !isnan(x) : x > y;
}

int ds_results_plot(const ds_results *r, const char *path, ds_error *e)
{
    return ds_gnuplot(results_gp, r->path, path, e);
}
