#include "train/results.h"
#include "base/file.h"
#include "base/gnuplot.h"
#include "base/text.h"
#include "train/results.gp.inc"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char header[] =
    "epoch,batch,train_loss,train_accuracy,learning_rate,alpha,valid_top1,valid_nll,valid_ece,"
    "valid_aurc,images_per_second";
enum { REALS = 9 };

/* The numbers of a row that are no counters, in the order of the header. */
static void reals_of(ds_result *r, double *v[REALS])
{
    double *all[REALS] = {&r->train_loss, &r->train_accuracy, &r->learning_rate,
                          &r->alpha,      &r->valid_top1,     &r->valid_nll,
                          &r->valid_ece,  &r->valid_aurc,     &r->images_per_second};
    memcpy(v, all, sizeof all);
}

static bool parse_real(const char *text, double *value)
{
    *value = NAN;
    return !*text || ds_parse_double(text, value);
}

static bool parse_row(char *line, ds_result *row)
{
    double *v[REALS];
    long long epoch, batch;
    char *field = strsep(&line, ",");
    if (!field || !ds_parse_int(field, &epoch) || epoch < 1 || epoch > INT_MAX)
        return false;
    if (!(field = strsep(&line, ",")) || !ds_parse_int(field, &batch) || batch < 0 || batch > LONG_MAX)
        return false;
    row->epoch = (int)epoch;
    row->batch = (long)batch;
    reals_of(row, v);
    for (int i = 0; i < REALS; i++)
        if (!(field = strsep(&line, ",")) || !parse_real(field, v[i]))
            return false;
    return !line;
}

static int append(ds_results *r, const ds_result *row, ds_error *e)
{
    ds_result *grown = realloc(r->rows, (size_t)(r->n + 1) * sizeof *grown);
    if (!grown)
        return ds_fail_memory(e);
    r->rows = grown;
    r->rows[r->n++] = *row;
    return DS_OK;
}

static int parse(ds_results *r, char *text, int keep_epochs, ds_error *e)
{
    int number = 0, rc = DS_OK;
    for (char *line; !rc && (line = strsep(&text, "\n"));) {
        ds_result row;
        number++;
        line = ds_trim(line);
        if (number == 1 ? strcmp(line, header) != 0 : *line && !parse_row(line, &row))
            return ds_fail_at(
                e, DS_EINPUT, r->path, number,
                "is no line of a results file of classifier train, expected %s; move the file away",
                number == 1 ? header : "11 fields");
        if (number > 1 && *line && row.epoch <= keep_epochs)
            rc = append(r, &row, e);
    }
    return rc;
}

int ds_results_open(ds_results *r, const char *path, int keep_epochs, ds_error *e)
{
    char *text = NULL;
    *r = (ds_results){.path = ds_strdup(path)};
    if (!r->path)
        return ds_fail_memory(e);
    if (keep_epochs <= 0 || !ds_path_exists(path))
        return DS_OK;
    int rc = ds_file_read_text(path, "a results file of classifier train", &text, e);
    if (!rc)
        rc = parse(r, text, keep_epochs, e);
    free(text);
    return rc;
}

static void write_row(ds_result row, FILE *f)
{
    double *v[REALS];
    reals_of(&row, v);
    fprintf(f, "%d,%ld", row.epoch, row.batch);
    for (int i = 0; i < REALS; i++)
        if (isfinite(*v[i]))
            fprintf(f, ",%.7g", *v[i]);
        else
            fputc(',', f);
    fputc('\n', f);
}

int ds_results_add(ds_results *r, const ds_result *row, ds_error *e)
{
    ds_writer w;
    int rc = append(r, row, e);
    if (rc || (rc = ds_writer_open(&w, r->path, e)))
        return rc;
    fprintf(w.f, "%s\n", header);
    for (int i = 0; i < r->n; i++)
        write_row(r->rows[i], w.f);
    return ds_writer_commit(&w, e);
}

void ds_results_clear(ds_results *r)
{
    free(r->path);
    free(r->rows);
    *r = (ds_results){0};
}

bool ds_result_better(const ds_result *a, const ds_result *b)
{
    if (isnan(a->valid_top1))
        return false;
    if (isnan(b->valid_top1) || a->valid_top1 != b->valid_top1)
        return isnan(b->valid_top1) || a->valid_top1 > b->valid_top1;
    return a->valid_nll < b->valid_nll;
}

int ds_results_plot(const ds_results *r, const char *path, ds_error *e)
{
    return ds_gnuplot(results_gp, r->path, path, e);
}
