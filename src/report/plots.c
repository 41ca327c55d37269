#include "report/page.h"
#include "base/file.h"
#include "base/gnuplot.h"
#include "report/report.gp.inc"

enum { POINTS = 2000 };

static void put_curve(FILE *f, const ds_curve *c, const ds_cut *chosen)
{
    ds_steps s = ds_steps_of(c, POINTS, POINTS, chosen->accepted);
    fputs("$curve << EOD\n", f);
    for (size_t i = 0; i < s.n; i++) {
        size_t g = s.group[i];
        fprintf(f, "%.9g %.9g\n", (double)c->accepted[g] / (double)c->n,
                (double)c->errors[g] / (double)c->accepted[g]);
    }
    free(s.group);
    fputs("EOD\n$chosen << EOD\n", f);
    if (!isnan(chosen->threshold) && chosen->accepted)
        fprintf(f, "%.9g %.9g\n", chosen->coverage, chosen->risk);
    fputs("EOD\n", f);
}

/* Returns whether there are images in the bins. */
static bool put_bins(FILE *f, const char *name, const ds_bin *bins, int n)
{
    size_t images = 0;
    fprintf(f, "$%s << EOD\n", name);
    for (int i = 0; i < n; i++) {
        const ds_bin *b = &bins[i];
        images += b->n;
        ds_interval right = ds_rate_interval(b->right, b->n, DS_LEVEL);
        fprintf(f, "%.9g %.9g %zu %zu %.9g %.9g\n", b->low, b->high, b->n, b->right, right.low, right.high);
    }
    fputs("EOD\n", f);
    return images > 0;
}

void ds_page_plots(const char *dir, const ds_page *p)
{
    const ds_page_bins b = ds_page_bins_of(p->figures->answers);
    const ds_curve *c = &p->figures->curve;
    DS_FREED char *data = NULL;
    FILE *f = ds_memstream(&data, NULL);
    put_curve(f, c, &p->figures->chosen);
    /* gnuplot stops at a plot without a point */
    const struct {
        const char *name;
        bool there;
    } pictures[] = {{"risk_coverage", c->groups > 0},
                    {"reliability", put_bins(f, "reliability", b.reliability, DS_BINS)},
                    {"histogram", put_bins(f, "histogram", b.histogram, DS_HISTOGRAM)}};
    fclose(f);
    ds_error why = {0};
    for (int i = 0; i < 3 && !why.code; i++) {
        if (!pictures[i].there)
            continue;
        DS_FREED char *script = ds_format("%spicture = '%s'\n%s", data, pictures[i].name, report_gp);
        DS_FREED char *path = ds_format("%s/%s.png", dir, pictures[i].name);
        ds_gnuplot(script, NULL, path, &why);
    }
    if (why.code)
        ds_note(p->notes, "note: %s", why.text);
}
