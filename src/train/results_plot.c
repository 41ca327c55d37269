#include "report/gnuplot.h"
#include "train/results.h"

#include <math.h>
#include <stddef.h>

/* A line of a panel; columns are offsets in ds_result. */
typedef struct series {
    size_t column;
    const char *title, *style;
} series;

typedef struct panel {
    const char *title, *range;
    series lines[2];
} panel;

#define TRAINING "lc rgb '#1f5fa8' pt 7 ps .7 lw 2"
#define VALIDATION "lc rgb '#b34700' pt 4 ps .9 lw 2 dt 2"
static const panel panels[] = {
    {"loss",
     "set yrange [0:*]",
     {{offsetof(ds_result, train_loss), "training", TRAINING},
      {offsetof(ds_result, valid_nll), "validation", VALIDATION}}},
    {"accuracy",
     "set yrange [*:1]",
     {{offsetof(ds_result, train_accuracy), "training", TRAINING},
      {offsetof(ds_result, valid_top1), "validation", VALIDATION}}},
    {"learning rate", "set yrange [0:*]", {{offsetof(ds_result, learning_rate), NULL, TRAINING}, {0}}},
    {"alpha", "set yrange [0:*]", {{offsetof(ds_result, alpha), NULL, TRAINING}, {0}}},
};
enum { PANELS = sizeof panels / sizeof *panels };

static double value_of(const ds_result *row, const series *s)
{
    return *(const double *)((const char *)row + s->column);
}

/* gnuplot stops at a plot without a point. */
static bool has_points(const ds_results *r, const series *s)
{
    for (int i = 0; i < r->n && s->style; i++)
        if (isfinite(value_of(&r->rows[i], s)))
            return true;
    return false;
}

static void put_data(FILE *f, const ds_results *r, const series *s, int p, int line)
{
    fprintf(f, "$d%d%d << EOD\n", p, line);
    for (int i = 0; i < r->n; i++)
        if (isfinite(value_of(&r->rows[i], s)))
            fprintf(f, "%d %.9g\n", r->rows[i].epoch, value_of(&r->rows[i], s));
    fputs("EOD\n", f);
}

static void put_panel(FILE *f, const ds_results *r, int p)
{
    const panel *own = &panels[p];
    const char *before = "plot ";
    fprintf(f, "set ylabel '%s'\n%s\n", own->title, own->range);
    for (int line = 0; line < 2; line++) {
        const series *s = &own->lines[line];
        if (!has_points(r, s))
            continue;
        fprintf(f, "%s$d%d%d with linespoints %s %s%s%s", before, p, line, s->style,
                s->title ? "title '" : "notitle", s->title ? s->title : "", s->title ? "'" : "");
        before = ", ";
    }
    fputc('\n', f);
}

static bool is_shown(const ds_results *r, int p)
{
    return has_points(r, &panels[p].lines[0]) || has_points(r, &panels[p].lines[1]);
}

static void put_script(FILE *f, const ds_results *r)
{
    for (int p = 0; p < PANELS; p++)
        for (int line = 0; line < 2; line++)
            if (has_points(r, &panels[p].lines[line]))
                put_data(f, r, &panels[p].lines[line], p, line);
    fprintf(f, "set xrange [%d-.5:%d+.5]\nset xlabel 'epoch'\n", r->rows[0].epoch, r->rows[r->n - 1].epoch);
    if (r->rows[r->n - 1].epoch - r->rows[0].epoch < 12)
        fputs("set xtics 1\n", f);
    fputs("set key outside top center horizontal\nset multiplot layout 2,2\n", f);
    for (int p = 0; p < PANELS; p++)
        if (is_shown(r, p))
            put_panel(f, r, p);
    fputs("unset multiplot\n", f);
}

int ds_results_plot(const ds_results *r, const char *path, ds_error *e)
{
    ds_gnuplot g = {0};
    bool any = false;
    for (int p = 0; p < PANELS; p++)
        any = any || is_shown(r, p);
    if (!any)
        return DS_OK;
    int rc = ds_gnuplot_open(&g, 1000, 700, e);
    if (rc)
        return rc;
    put_script(g.f, r);
    return ds_gnuplot_draw(&g, path, e);
}
