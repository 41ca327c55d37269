/* Names of classes, and the labels that stand for them in folders and lists. */
#include "data/import_parts.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* Blank lines only at the end, since one further up would shift the numbers. */
int ds_import_take_names(ds_import_job *job, char *text, const char *path, ds_error *e)
{
    job->classes_path = path;
    char *line;
    int number = 0, blank = 0;
    bool marked = strncmp(text, "\xef\xbb\xbf", 3) == 0; /* byte order mark */
    for (char *rest = text + (marked ? 3 : 0); (line = strsep(&rest, "\n"));) {
        number++;
        line = ds_trim(line);
        if (!*line)
            blank = blank ? blank : number;
        else if (blank)
            return ds_fail_at(e, DS_EINPUT, path, blank, "blank line, expected the name of class %d",
                              job->classes);
        else
            DS_PUSH(job->names, job->classes, ds_strdup(line));
    }
    return DS_OK;
}

int ds_import_read_names(ds_import_job *job, const char *path, ds_error *e)
{
    char *text;
    DS_TRY(ds_file_read_text(path, "a file of class names", &text, e));
    int rc = ds_import_take_names(job, text, path, e);
    free(text);
    return rc;
}

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
