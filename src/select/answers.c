#include "select/answers.h"

#include <stdlib.h>

static void free_texts(char **texts, size_t n)
{
    for (size_t i = 0; texts && i < n; i++)
        free(texts[i]);
    free(texts);
}

void ds_answers_clear(ds_answers *a)
{
    free_texts(a->paths, a->n);
    free_texts(a->names, (size_t)a->classes);
    free(a->name);
    free(a->file);
    free(a->labels);
    free(a->predictions);
    free(a->confidences);
    free(a->wrong);
    *a = (ds_answers){0};
}

const char *ds_answers_path(const ds_answers *a, size_t i)
{
    return a->paths ? a->paths[i] : "";
}
