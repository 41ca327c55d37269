/* The page of `classifier audit`: the most suspicious images with their labels and what is proposed. */
#include "base/file.h"
#include "report/page.h"
#include "report/report.css.inc"
#include "report/suspects.html.inc"

/* A name in the page: control characters are shown, and it is no HTML. */
static void put_text(FILE *f, const char *text)
{
    DS_FREED char *shown = NULL;
    FILE *memory = ds_memstream(&shown, NULL);
    ds_put_name(memory, text, 0);
    fclose(memory);
    ds_put_escaped(f, shown, DS_AS_HTML);
}

static void put_item(FILE *f, const ds_suspicion *s, ds_thumb *thumb)
{
    DS_FREED unsigned char *png = NULL;
    size_t n;
    ds_error why = {0};
    fputs("<figure>", f);
    if (thumb(s->path, &png, &n, &why)) {
        put_text(f, why.text);
    } else {
        DS_FREED char *digits = ds_base64(png, n);
        fprintf(f, "<img alt=\"\" src=\"data:image/png;base64,%s\">", digits);
    }
    fputs("<figcaption><b>", f);
    put_text(f, s->given);
    fputs("</b> &rarr; <b>", f);
    put_text(f, s->proposed);
    fprintf(f, "</b><br>%.4g<br><small>", s->score);
    put_text(f, s->path);
    fputs("</small></figcaption></figure>\n", f);
}

int ds_report_suspects(FILE *f, const char *list, const ds_suspicion *v, int n, ds_thumb *thumb, ds_error *e)
{
    DS_FREED char *items = NULL, *count = ds_format("%d", n);
    FILE *memory = ds_memstream(&items, NULL);
    for (int i = 0; i < n; i++)
        put_item(memory, &v[i], thumb);
    fclose(memory);
    const ds_slot slots[] = {{"style", report_css, DS_AS_IS},
                             {"count", count, DS_AS_IS},
                             {"list", list, DS_AS_HTML},
                             {"items", items, DS_AS_IS}};
    return ds_template_fill(f, suspects_html, slots, sizeof slots / sizeof *slots, e);
}
