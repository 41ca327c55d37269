/* Words that belong to stock Darknet: they are handed to its own program, which knows nothing of our
 * sections. */
#include "cli/commands.h"

#include "cfg/cfg.h"

#include <errno.h>
#include <signal.h>
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

int ds_forward(int argc, char **argv, ds_error *e)
{
    for (int i = 2, line; i < argc; i++) {
        const ds_layer *layer = ds_cfg_file_plugin(argv[i], &line);
        if (layer)
            return ds_fail_at(
                e, DS_EINPUT, argv[i], line,
                "'%s' is run by stock Darknet, which does not know [%s], expected a cfg without it", argv[1],
                layer->name);
    }
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    execv(HOST_PROGRAM, argv);
    if (errno == ENOENT)
        return ds_fail(e, DS_EHOST, "%s is missing, '%s' needs it: install Debian's package darknet",
                       HOST_PROGRAM, argv[1]);
    return ds_fail(e, DS_EHOST, "%s: %s", HOST_PROGRAM, strerror(errno));
}
