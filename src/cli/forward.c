/* Words that belong to stock Darknet: they are handed to its own program, which knows nothing of our
 * sections. */
#include "cli/commands.h"

#include "base/file.h"
#include "base/text.h"
#include "cfg/cfg.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOST_PROGRAM "/usr/bin/darknet"

const char *const ds_host_words[] = {
    "average",   "yolo",     "super",     "lsd",         "detector",   "detect",    "cifar",   "go",  "rnn",
    "coco",      "classify", "regressor", "isegmenter",  "segmenter",  "art",       "tag",     "3d",  "test",
    "nightmare", "rgbgr",    "reset",     "denormalize", "statistics", "normalize", "rescale", "ops", "speed",
    "oneoff",    "oneoff2",  "print",     "partial",     "visualize",  "mkimg",     "imtest",  NULL};

const char *ds_host_classifier_word(const char *word)
{
    static const char *const pairs[][2] = {
        {"validcrop", "valid"}, {"validmulti", "valid"}, {"valid10", "valid"},  {"validfull", "valid"},
        {"demo", "predict"},    {"test", "predict"},     {"label", "predict"},  {"try", "predict"},
        {"fout", "predict"},    {"gun", "predict"},      {"threat", "predict"}, {"csv", "reject"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (strcmp(word, pairs[i][0]) == 0)
            return pairs[i][1];
    return NULL;
}

/* The plugin whose section stands in `line` and that stock Darknet does not know, or NULL. */
static const ds_layer *plugin_of_line(char *line)
{
    char *word = ds_trim(line);
    size_t n = strlen(word);
    if (n < 3 || word[0] != '[' || word[n - 1] != ']')
        return NULL;
    word[n - 1] = '\0';
    return ds_section_plugin(word + 1);
}

/* Plugin section in the text file `path`, or NULL; *line gets its line. Other files do not matter here. */
static const ds_layer *plugin_of_file(const char *path, int *line)
{
    enum { LONGEST_CFG = 4 << 20 }; /* weights and videos are not worth reading */
    struct stat s;
    char *text = NULL, *rest, *next;
    if (stat(path, &s) || !S_ISREG(s.st_mode) || s.st_size > LONGEST_CFG ||
        ds_file_read_text(path, "a cfg file", &text, NULL))
        return NULL;
    const ds_layer *found = NULL;
    rest = text;
    for (*line = 0; !found && (next = strsep(&rest, "\n"));) {
        ++*line;
        found = plugin_of_line(next);
    }
    free(text);
    return found;
}

int ds_forward(int argc, char **argv, ds_error *e)
{
    for (int i = 2, line; i < argc; i++) {
        const ds_layer *layer = plugin_of_file(argv[i], &line);
        if (layer)
            return ds_fail_at(
                e, DS_EINPUT, argv[i], line,
                "'%s' is run by stock Darknet, which does not know [%s], expected a cfg without it", argv[1],
                layer->name);
    }
    signal(SIGPIPE, SIG_DFL);
    execv(HOST_PROGRAM, argv);
    if (errno == ENOENT)
        return ds_fail(e, DS_EHOST, "%s is missing, '%s' needs it: install Debian's package darknet",
                       HOST_PROGRAM, argv[1]);
    return ds_fail(e, DS_EHOST, "%s: %s", HOST_PROGRAM, strerror(errno));
}
