#include "data/lines.h"
#include "base/file.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

ds_lines ds_lines_of(char *text)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    if (strncmp(text, byte_order_mark, 3) == 0)
        text += 3;
    return (ds_lines){.rest = text};
}

char *ds_lines_next(ds_lines *l)
{
    char *line = strsep(&l->rest, "\n");
    if (!line)
        return NULL;
    l->line++;
    return ds_trim(line);
}

char *ds_path_near(const char *path, const char *beside)
{
    if (path[0] == '/' || ds_path_exists(path))
        return ds_strdup(path);
    char *dir = ds_path_dir(beside);
    char *joined = dir ? ds_path_join(dir, path) : NULL;
    free(dir);
    return joined;
}
