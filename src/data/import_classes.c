/* Names of classes, and the labels that stand for them in folders and lists. */
#include "data/import_parts.h"

#include "base/file.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

int ds_import_number_classes(ds_import *im, int classes, ds_error *e)
{
    if (!(im->names = calloc((size_t)classes, sizeof *im->names)))
        return ds_fail_memory(e);
    for (; im->classes < classes; im->classes++)
        if (!(im->names[im->classes] = ds_format("%d", im->classes)))
            return ds_fail_memory(e);
    return DS_OK;
}

static int add_name(ds_import *im, const char *name, ds_error *e)
{
    char **grown = realloc(im->names, (size_t)(im->classes + 1) * sizeof *grown);
    if (!grown)
        return ds_fail_memory(e);
    im->names = grown;
    if (!(grown[im->classes] = ds_strdup(name)))
        return ds_fail_memory(e);
    im->classes++;
    return DS_OK;
}

/* Blank lines only at the end, since one further up would shift the numbers. */
int ds_import_take_names(ds_import *im, char *text, const char *path, ds_error *e)
{
    char *line;
    int rc = DS_OK, number = 0, blank = 0;
    bool marked = strncmp(text, "\xef\xbb\xbf", 3) == 0; /* byte order mark */
    for (char *rest = text + (marked ? 3 : 0); !rc && (line = strsep(&rest, "\n"));) {
        number++;
        line = ds_trim(line);
        if (!*line)
            blank = blank ? blank : number;
        else if (blank)
            rc = ds_fail_at(e, DS_EINPUT, path, blank, "blank line, expected the name of class %d",
                            im->classes);
        else
            rc = add_name(im, line, e);
    }
    return rc;
}

int ds_import_read_names(ds_import *im, const char *path, ds_error *e)
{
    char *text;
    int rc = ds_file_read_text(path, "a file of class names", &text, e);
    if (rc)
        return rc;
    rc = ds_import_take_names(im, text, path, e);
    free(text);
    return rc;
}

/* A name as a folder and a label can be called; what a list or the shell would misread becomes '_'. */
static char *folder_name(const char *name)
{
    char *s = ds_strdup(name);
    if (s && (*s == '.' || *s == '#' || *s == ';'))
        *s = '_';
    for (char *p = s; p && *p; p++)
        if (*p == '/' || (unsigned char)*p < 32 || *p == 127)
            *p = '_';
    return s;
}

static bool is_taken(const ds_import *im, int class, const char *label)
{
    for (int c = 0; c < class; c++)
        if (strcmp(im->labels[c], label) == 0)
            return true;
    return false;
}

/* "a_b", then "a_b_2", "a_b_3" for further classes that would be called the same. */
static int label_class(ds_import *im, int class, ds_error *e)
{
    char *plain = folder_name(im->names[class]), *label = ds_strdup(plain);
    for (int k = 2; label && is_taken(im, class, label); k++) {
        free(label);
        label = ds_format("%s_%d", plain, k);
    }
    free(plain);
    im->labels[class] = label;
    return label ? DS_OK : ds_fail_memory(e);
}

int ds_import_label_classes(ds_import *im, ds_error *e)
{
    if (!(im->labels = calloc((size_t)im->classes, sizeof *im->labels)))
        return ds_fail_memory(e);
    int rc = DS_OK;
    for (int c = 0; c < im->classes && !rc; c++)
        rc = label_class(im, c, e);
    return rc;
}
