/* Names of classes, and the labels that stand for them in folders and lists. */
#include "import/parts.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* A name as a folder and a label can be called; what a list or the shell would misread becomes '_'. */
static char *folder_name(const char *name)
{
    char *s = ds_strdup(name);
    if (*s == '.' || *s == '#' || *s == ';')
        *s = '_';
    for (char *p = s; *p; p++)
        if (*p == '/' || (unsigned char)*p < 32 || *p == 127)
            *p = '_';
    return s;
}

static bool is_taken(char **labels, int n, const char *label)
{
    for (int c = 0; c < n; c++)
        if (strcmp(labels[c], label) == 0)
            return true;
    return false;
}

/* "a_b", then "a_b_2", "a_b_3" for further classes that would be called the same. */
static char *free_label(char **labels, int n, const char *name)
{
    char *plain = folder_name(name), *label = ds_strdup(plain);
    for (int k = 2; is_taken(labels, n, label); k++) {
        free(label);
        label = ds_format("%s_%d", plain, k);
    }
    free(plain);
    return label;
}

void ds_import_label_classes(ds_import_job *job)
{
    DS_ALLOC(job->labels, (size_t)job->classes);
    for (int c = 0; c < job->classes; c++)
        job->labels[c] = free_label(job->labels, c, job->names[c]);
}
