#include "report/page.h"
#include "base/file.h"
#include "base/gnuplot.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>

enum { WIDTH = 900, HEIGHT = 600, POINTS = 2000 };

/* What all three are drawn from. */
typedef struct source {
    const ds_page *p;
    const ds_page_bins *b;
} source;

static int draw_curve(FILE *f, const source *s, ds_error *e)
{
    const ds_curve *c = s->p->report->curve;
    const ds_cut *cut = &s->p->report->chosen;
    ds_steps steps;
    int rc = ds_steps_make(c, POINTS, POINTS, cut->accepted, &steps, e);
    if (rc)
        return rc;
    fputs("$curve << EOD\n", f);
    for (size_t i = 0; i < steps.n; i++) {
        size_t g = steps.group[i];
        fprintf(f, "%.9g %.9g\n", (double)c->accepted[g] / (double)c->n,
                (double)c->errors[g] / (double)c->accepted[g]);
    }
    free(steps.group);
    bool marked = !isnan(cut->threshold) && cut->accepted;
    fprintf(f, "EOD\n$chosen << EOD\n%.9g %.9g\nEOD\n", marked ? cut->coverage : 0, marked ? cut->risk : 0);
    fputs("set xlabel 'coverage: share of images accepted'\nset ylabel 'risk: share of errors among them'\n"
          "set xrange [0:1]\nset yrange [0:*]\n"
          "plot $curve with lines lw 2.5 lc rgb '#1f5fa8' title 'risk at coverage'",
          f);
    if (marked)
        fputs(", $chosen with points pt 7 ps 2 lc rgb '#b34700' title 'threshold of this report'", f);
    fputc('\n', f);
    return DS_OK;
}

static int draw_reliability(FILE *f, const source *s, ds_error *e)
{
    (void)e;
    fputs("$bins << EOD\n", f);
    for (int i = 0; i < DS_BINS; i++) {
        const ds_bin *b = &s->b->reliability[i];
        if (b->n)
            fprintf(f, "%.9g %.9g %.9g\n", (b->low + b->high) / 2, (double)b->right / (double)b->n,
                    b->high - b->low);
    }
    fputs("EOD\nset xlabel 'confidence'\nset ylabel 'accuracy'\nset xrange [0:1]\nset yrange [0:1]\n"
          "set style fill solid .75 border lc rgb '#ffffff'\n"
          "plot $bins using 1:2:3 with boxes lc rgb '#1f5fa8' title 'share of right answers', "
          "x with lines dt 2 lw 2 lc rgb '#202020' title 'perfectly calibrated'\n",
          f);
    return DS_OK;
}

static int draw_histogram(FILE *f, const source *s, ds_error *e)
{
    (void)e;
    fputs("$bins << EOD\n", f);
    for (int i = 0; i < DS_HISTOGRAM; i++) {
        const ds_bin *b = &s->b->histogram[i];
        fprintf(f, "%.9g %zu %zu %.9g\n", (b->low + b->high) / 2, b->n, b->n - b->right, b->high - b->low);
    }
    fputs("EOD\nset xlabel 'confidence'\nset ylabel 'images'\nset yrange [0:*]\n", f);
    fprintf(f, "set xrange [%.9g:%.9g]\n", s->b->histogram[0].low, s->b->histogram[DS_HISTOGRAM - 1].high);
    fputs(
        "plot $bins using 1:2:4 with boxes fs solid .75 border lc rgb '#ffffff' lc rgb '#1f5fa8' title "
        "'right', "
        "$bins using 1:3:4 with boxes fs pattern 4 border lc rgb '#b34700' lc rgb '#b34700' title 'wrong'\n",
        f);
    return DS_OK;
}

static int draw(const char *dir, const char *name, const source *s,
                int (*put)(FILE *, const source *, ds_error *), ds_error *e)
{
    char *path = ds_path_join(dir, name), *script;
    size_t size;
    FILE *f = ds_memstream(&script, &size);
    fprintf(f, "set terminal pngcairo size %d,%d background rgb 'white'\n", WIDTH, HEIGHT);
    int rc = put(f, s, e);
    fclose(f);
    if (!rc)
        rc = ds_gnuplot(script, NULL, path, e);
    free(script);
    free(path);
    return rc;
}

/* gnuplot stops at a plot without a point. */
static bool has_images(const ds_bin *bins, int n)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += bins[i].n;
    return sum > 0;
}

int ds_page_plots(const char *dir, const ds_page *p, const ds_page_bins *b, ds_notes *notes, ds_error *e)
{
    const source s = {p, b};
    ds_error why = {0};
    int rc = DS_OK;
    if (p->report->curve->groups)
        rc = draw(dir, "risk_coverage.png", &s, draw_curve, &why);
    if (!rc && has_images(b->reliability, DS_BINS))
        rc = draw(dir, "reliability.png", &s, draw_reliability, &why);
    if (!rc && has_images(b->histogram, DS_HISTOGRAM))
        rc = draw(dir, "histogram.png", &s, draw_histogram, &why);
    if (rc == DS_ENOMEM)
        return ds_fail_memory(e);
    if (rc)
        ds_note(notes, "note: %s", why.text);
    return DS_OK;
}
