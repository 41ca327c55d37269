#include "base/text.h"
#include "cli/reject.h"

#include <stdlib.h>
#include <string.h>

int ds_list_word_parse(const char *word, ds_list_word *w, ds_error *e)
{
    static const char mark[] = ":unlabelled";
    *w = (ds_list_word){.labelled = true};
    const char *equals = strchr(word, '=');
    size_t n = equals ? strlen(equals + 1) : 0, n_mark = sizeof mark - 1;
    if (n >= n_mark && strcmp(equals + 1 + n - n_mark, mark) == 0) {
        w->labelled = false;
        n -= n_mark;
    }
    if (!equals || equals == word || n == 0)
        return ds_fail(e, DS_EUSAGE, "-list %s, expected NAME=FILE or NAME=FILE:unlabelled", word);
    w->name = ds_strndup(word, (size_t)(equals - word));
    w->file = ds_strndup(equals + 1, n);
    return w->name && w->file ? DS_OK : ds_fail_memory(e);
}

void ds_list_word_clear(ds_list_word *w)
{
    free(w->name);
    free(w->file);
    *w = (ds_list_word){0};
}

static int check_name(const ds_gathered *g, const char *name, ds_error *e)
{
    for (int i = 0; i < g->n_lists; i++)
        if (strcmp(g->lists[i].name, name) == 0)
            return ds_fail(e, DS_EUSAGE, "-list %s=… is the second list of that name, expected another name",
                           name);
    return DS_OK;
}

/* The list takes the texts of the word. */
static int add_list(ds_gathered *g, const char *word, ds_error *e)
{
    ds_list_word w;
    int rc = ds_list_word_parse(word, &w, e);
    if (!rc)
        rc = check_name(g, w.name, e);
    if (rc) {
        ds_list_word_clear(&w);
        return rc;
    }
    g->labelled[g->n_lists] = w.labelled;
    g->lists[g->n_lists++] = (ds_answers){.name = w.name, .file = w.file};
    return DS_OK;
}

int ds_gathered_name_lists(ds_gathered *g, const char *first, const ds_texts *words, ds_error *e)
{
    DS_ZALLOC(g->lists, (size_t)words->n + 1);
    DS_ZALLOC(g->images, (size_t)words->n + 1);
    DS_ZALLOC(g->labelled, (size_t)words->n + 1);
    g->labelled[0] = true;
    g->lists[g->n_lists++] = (ds_answers){.name = ds_strdup(first)};
    int rc = DS_OK;
    for (int i = 0; i < words->n && !rc; i++)
        rc = add_list(g, words->v[i], e);
    return rc;
}

void ds_gathered_clear(ds_gathered *g)
{
    for (int i = 0; i < g->n_lists; i++)
        ds_answers_clear(&g->lists[i]);
    for (int i = 0; i < g->n_rivals; i++) {
        free(g->rivals[i].confidence);
        free(g->rivals[i].wrong);
    }
    for (int i = 0; i < g->n_lists; i++)
        ds_images_clear(&g->images[i]);
    free(g->lists);
    free(g->images);
    free(g->labelled);
    free(g->rivals);
    free((void *)g->class_figures.figures);
    free((void *)g->class_figures.confusion);
    free(g->list_figures);
    free(g->rival_figures);
    ds_curve_clear(&g->curve);
    ds_model_close(&g->model);
    *g = (ds_gathered){0};
}
