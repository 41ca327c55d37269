#include "data/entries.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const extensions[] = {".png", ".jpg", ".jpeg", ".bmp", ".tga",
                                         ".ppm", ".pgm", ".gif",  ".psd"};

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

int ds_entries_read(const char *dir, const char *what, ds_entries *list, ds_error *e)
{
    *list = (ds_entries){0};
    int n = scandir(dir, &list->v, is_visible, by_bytes);
    if (n < 0) {
        list->v = NULL;
        return ds_fail_at(e, DS_EIO, dir, 0, "cannot read the folder: %s, expected %s", strerror(errno),
                          what);
    }
    list->n = n;
    return DS_OK;
}

void ds_entries_release(ds_entries *list)
{
    for (int i = 0; i < list->n; i++)
        free(list->v[i]);
    free(list->v);
    *list = (ds_entries){0};
}

bool ds_is_image_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (size_t k = 0; dot && k < sizeof extensions / sizeof *extensions; k++)
        if (strcasecmp(dot, extensions[k]) == 0)
            return true;
    return false;
}
