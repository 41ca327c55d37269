/* classifier import idx|cifar10|cifar100|folders: images of other formats and places become lists and a .data
 * file. */
#include "base/file.h"
#include "cli/cmd_import.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "data/image.h"

#include <limits.h>

typedef struct import_state {
    ds_import setup;
    ds_texts test, split;
    ds_split *splits; /* what `split` says; owned, the names in there */
} import_state;

#define DS_STATE import_state
#define OPT_TEST(unit_, help_) OPT_TEXTS("test", test, help_, .unit = unit_)
#define OPT_UNTRUSTED                      \
    OPT_FLAG("untrusted", setup.untrusted, \
             "unpack in a process without rights: a hostile archive is an error")
#define OPT_NAMES(help_) OPT_TEXT("names", setup.names, help_, .unit = "FILE")
/* The last rows of every table. */
#define OPT_REST(what_)                                                                                \
    OPT_TEXTS("split", split, DS_SPLIT_HELP, .unit = "NAME=COUNT|NAME=N%…"),                           \
        OPT_INT("seed", setup.seed, "decides which images a split takes", .def = "1", .max = INT_MAX), \
        OPT_TEXT("out", setup.out, "folder for " what_ " and DIR.data (required)", .unit = "DIR"), OPT_END

const ds_option ds_import_idx_options[] = {
    OPT_TEST("IMAGES LABELS", "archives of the test images"),
    OPT_NAMES("names of the classes, one a line; otherwise they are called 0, 1, …"),
    OPT_UNTRUSTED,
    OPT_REST("the images, the lists"),
};

#define CIFAR_NAMES "names of the classes, one a line, instead of those in the archive"

const ds_option ds_import_cifar_options[] = {
    OPT_NAMES(CIFAR_NAMES),
    OPT_UNTRUSTED,
    OPT_REST("the images, the lists"),
};

const ds_option ds_import_folders_options[] = {
    OPT_TEST("DIR", "folder of the test images, with the same class folders"),
    OPT_REST("the lists, the images of an archive"),
};

typedef struct kind {
    const char *word;
    const ds_option *options;
    ds_import_kind import;
    int operands;      /* as many words follow -test */
    const char *usage; /* the operands */
} kind;

static const kind kinds[] = {
    {"idx", ds_import_idx_options, DS_IDX, 2, "IMAGES LABELS"},
    {"cifar10", ds_import_cifar_options, DS_CIFAR10, 1, "DIR|FILE.tar.gz"},
    {"cifar100", ds_import_cifar_options, DS_CIFAR100, 1, "DIR|FILE.tar.gz"},
    {"folders", ds_import_folders_options, DS_FOLDERS, 1, "DIR|ARCHIVE"},
};

/* ---- flags with several words ---- */

static bool is_flag(const char *word, const char *name)
{
    return word[0] == '-' && strcmp(word + (word[1] == '-' ? 2 : 1), name) == 0;
}

int ds_import_spread(int argc, char **argv, int test_words, char **out)
{
    int n = 0, i = 0;
    while (i < argc) {
        char *flag = argv[i];
        out[n++] = argv[i++];
        if (strcmp(flag, "--") == 0)
            break;
        bool split = is_flag(flag, "split"), test = is_flag(flag, "test");
        if ((!split && !test) || i == argc)
            continue;
        out[n++] = argv[i++];
        for (int more = 1; i < argc && argv[i][0] != '-'; more++) {
            if (split ? !strchr(argv[i], '=') : more == test_words)
                break;
            out[n++] = flag;
            out[n++] = argv[i++];
        }
    }
    while (i < argc)
        out[n++] = argv[i++];
    return n;
}

static int parse(const kind *k, ds_words *w, int argc, char **argv, ds_error *e)
{
    const import_state *state = w->state;
    DS_FREED char **words = DS_ALLOC(words, 2 * (size_t)argc);
    DS_TRY(ds_words_read(w, ds_import_spread(argc, argv, k->operands, words), words, k->operands, e));
    if (w->n < k->operands)
        return ds_fail(e, DS_EUSAGE, "%d argument%s given, expected import %s %s -out DIR", w->n,
                       w->n == 1 ? "" : "s", k->word, k->usage);
    if (state->test.n != 0 && state->test.n != k->operands)
        return ds_fail(e, DS_EUSAGE, "-test with %d argument%s, expected -test %s", state->test.n,
                       state->test.n == 1 ? "" : "s", k->usage);
    if (!state->setup.out || !*state->setup.out)
        return ds_fail(e, DS_EUSAGE, "no -out, expected -out DIR, the folder to write to");
    return DS_OK;
}

int ds_split_read(char *text, ds_split *split, ds_error *e)
{
    char *equals = strchr(text, '='), *percent = equals ? strchr(equals, '%') : NULL;
    bool whole = percent && !percent[1];
    double count = 0;
    if (whole)
        *percent = '\0';
    if (!equals || equals == text || !ds_parse_double(equals + 1, &count) ||
        !(whole ? count > 0 && count < 100 : count >= 1 && count <= INT_MAX && count == floor(count)))
        return ds_fail(e, DS_EUSAGE,
                       "-split %s%s, expected NAME=COUNT or NAME=SHARE%%, as in valid=2000 or valid=10%%",
                       text, whole ? "%" : "");
    *equals = '\0';
    *split = (ds_split){text, whole ? 0 : (int)count, whole ? count / 100 : 0, false};
    return DS_OK;
}

void ds_imported_print(const ds_imported *done)
{
    int all = 0;
    for (int p = 0; p < DS_PARTS; p++)
        all += done->n[p];
    printf("%d images in %d classes", all, done->classes);
    for (int p = 0; p < DS_PARTS; p++)
        if (done->n[p])
            printf("%s %s %d", p ? "," : ":", ds_part_names[p], done->n[p]);
    ds_put_line(stdout, "\n", done->data_path);
    if (done->part)
        fprintf(stderr,
                "note: '%s' is taken for a class: not every folder beside it is train, valid, calib or test "
                "with one folder a class\n",
                done->part);
    else if (done->deep)
        fputs("note: the folders taken for classes hold only folders, in which all images lie: are these the "
              "classes?\n",
              stderr);
    if (done->untrained)
        fprintf(stderr, "warning: %d of the %d classes have no image for training\n", done->untrained,
                done->classes);
    if (!done->other)
        return;
    DS_FREED char *what =
        ds_format("note: %d file%s passed over, no image by its name (" DS_IMAGE_SUFFIXES "): ", done->others,
                  done->others == 1 ? "" : "s");
    ds_put_line(stderr, what, done->other);
}

static int run(const kind *k, const ds_words *w, ds_error *e)
{
    import_state *state = w->state;
    ds_import *s = &state->setup;
    ds_imported done;
    memcpy(s->source, w->operands, (size_t)w->n * sizeof *s->source);
    DS_ALLOC(state->splits, (size_t)state->split.n);
    for (int i = 0; i < state->split.n; i++)
        DS_TRY(ds_split_read(state->split.v[i], &state->splits[i], e));
    for (int i = 0; i < state->test.n; i++)
        s->test[i] = state->test.v[i];
    if (s->test[0] && ds_path_same(s->source[0], s->test[0]))
        return ds_fail(e, DS_EUSAGE, "-test %s has the training images, expected others", s->test[0]);
    s->kind = k->import;
    s->splits = state->splits;
    s->n_splits = state->split.n;
    DS_TRY(ds_import_run(s, &done, e));
    ds_imported_print(&done);
    free(done.data_path);
    free(done.other);
    free(done.part);
    return DS_OK;
}

/* argv[0]: the word of a kind. */
int ds_cmd_import(int argc, char **argv, ds_error *e)
{
    const kind *k = kinds; /* main knows no other words */
    while (strcmp(argv[0], k->word) != 0)
        k++;
    import_state state = {0};
    DS_FINALLY(ds_words_clear) ds_words w = {.table = k->options, .state = &state};
    DS_TRY(parse(k, &w, argc - 1, argv + 1, e));
    int rc = run(k, &w, e);
    free(state.splits);
    return rc;
}
