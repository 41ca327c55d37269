/* classifier import idx|cifar10|cifar100|folders: images of other formats and places become lists and a .data file. */
#include "base/text.h"
#include "cli/flags.h"
#include "data/import.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct import_state {
    ds_texts test, split;
    char *names, *out;
    int seed;
    int labels; /* index into label_names */
} import_state;

#define SPLIT_OPTION                                                                                       \
    {                                                                                                      \
        .name = "split", .type = DS_TEXTS, .offset = offsetof(import_state, split), .unit = "NAME=COUNT…", \
        .help = "take COUNT training images, class shares kept, for the list of valid, calib or test"      \
    }
#define SEED_OPTION                                                                                         \
    {                                                                                                       \
        .name = "seed", .type = DS_INT, .offset = offsetof(import_state, seed), .def = "1", .max = INT_MAX, \
        .help = "decides which images a split takes"                                                        \
    }

#define OUT_OPTION(what)                                                                      \
    {                                                                                         \
        .name = "out", .type = DS_TEXT, .offset = offsetof(import_state, out), .unit = "DIR", \
        .help = "folder for " what " and DIR.data (required)"                                 \
    }

const ds_option ds_import_idx_options[] = {
    {.name = "test",
     .type = DS_TEXTS,
     .offset = offsetof(import_state, test),
     .unit = "IMAGES LABELS",
     .help = "archives of the test images"},
    {.name = "names",
     .type = DS_TEXT,
     .offset = offsetof(import_state, names),
     .unit = "FILE",
     .help = "names of the classes, one a line; otherwise they are called 0, 1, …"},
    SPLIT_OPTION,
    SEED_OPTION,
    OUT_OPTION("the images, the lists"),
    {.type = DS_END},
};

#define CIFAR_NAMES_OPTION                                                                         \
    {                                                                                              \
        .name = "names", .type = DS_TEXT, .offset = offsetof(import_state, names), .unit = "FILE", \
        .help = "names of the classes, one a line, instead of those in the archive"                \
    }

const ds_option ds_import_cifar10_options[] = {
    CIFAR_NAMES_OPTION, SPLIT_OPTION, SEED_OPTION, OUT_OPTION("the images, the lists"), {.type = DS_END},
};

static const char *const label_names[] = {"fine", "coarse", NULL};

const ds_option ds_import_cifar100_options[] = {
    {.name = "labels",
     .type = DS_ENUM,
     .offset = offsetof(import_state, labels),
     .def = "fine",
     .names = label_names,
     .help = "the classes: the 100 fine labels or the 20 coarse ones"},
    CIFAR_NAMES_OPTION,
    SPLIT_OPTION,
    SEED_OPTION,
    OUT_OPTION("the images, the lists"),
    {.type = DS_END},
};

const ds_option ds_import_folders_options[] = {
    {.name = "test",
     .type = DS_TEXTS,
     .offset = offsetof(import_state, test),
     .unit = "DIR",
     .help = "folder of the test images, with the same class folders"},
    SPLIT_OPTION,
    SEED_OPTION,
    OUT_OPTION("the lists"),
    {.type = DS_END},
};

/* One import. */
typedef struct kind {
    const char *word;
    const ds_option *options;
    int operands;      /* as many words follow -test */
    const char *usage; /* the operands */
    bool has_test;     /* the archive has test images of its own */
    int (*run)(const import_state *state, const char **operands, const ds_split *splits, ds_imported *done,
               ds_error *e);
} kind;

/* ---- flags with several words ---- */

static bool is_flag(const char *word, const char *name)
{
    return word[0] == '-' && strcmp(word + (word[1] == '-' ? 2 : 1), name) == 0;
}

/* One flag takes one value: "-split a=1 b=2" becomes "-split a=1 -split b=2", "-test A B" becomes "-test A
 * -test B". `out` has room for 2 * argc words; returns how many there are. */
static int spread(int argc, char **argv, int test_words, char **out)
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

static int parse(const kind *k, import_state *state, int argc, char **argv, const char **operands,
                 ds_error *e)
{
    char **words = calloc(2 * (size_t)argc + 1, sizeof *words);
    if (!words)
        return ds_fail_memory(e);
    int found = 0, n = spread(argc, argv, k->operands, words);
    int rc = ds_flags_parse(k->options, state, n, words, operands, k->operands, &found, e);
    free(words);
    if (rc)
        return rc;
    if (found < k->operands)
        return ds_fail(e, DS_EUSAGE, "%d argument%s given, expected import %s %s -out DIR", found,
                       found == 1 ? "" : "s", k->word, k->usage);
    if (state->test.n != 0 && state->test.n != k->operands)
        return ds_fail(e, DS_EUSAGE, "-test with %d argument%s, expected -test %s", state->test.n,
                       state->test.n == 1 ? "" : "s", k->usage);
    if (!state->out || !*state->out)
        return ds_fail(e, DS_EUSAGE, "no -out, expected -out DIR, the folder to write to");
    return DS_OK;
}

/* "valid=2000" in place; the name stays inside the text. */
static int parse_split(char *text, ds_split *split, ds_error *e)
{
    char *equals = strchr(text, '=');
    long long count;
    if (!equals || equals == text || !ds_parse_int(equals + 1, &count) || count < 1 || count > INT_MAX)
        return ds_fail(e, DS_EUSAGE, "-split %s, expected NAME=COUNT with a count from 1, as in valid=2000",
                       text);
    *equals = '\0';
    *split = (ds_split){text, (int)count};
    return DS_OK;
}

/* Fresh array of as many splits as there are texts. */
static int parse_splits(ds_texts *texts, ds_split **splits, ds_error *e)
{
    *splits = calloc((size_t)texts->n + 1, sizeof **splits);
    int rc = *splits ? DS_OK : ds_fail_memory(e);
    for (int i = 0; i < texts->n && !rc; i++)
        rc = parse_split(texts->v[i], &(*splits)[i], e);
    return rc;
}

/* ---- the command ---- */

static void print_done(const ds_imported *done, const ds_split *splits, int n_splits, bool own_test)
{
    printf("%d images in %d classes: train %d", done->n, done->classes, done->train);
    for (int i = 0; i < n_splits; i++)
        printf(", %s %d", splits[i].name, splits[i].count);
    if (own_test)
        printf(", test %d", done->test);
    printf("\n%s\n", done->data_path);
}

static int run_idx(const import_state *state, const char **operands, const ds_split *splits,
                   ds_imported *done, ds_error *e)
{
    bool test = state->test.n > 0;
    const ds_import_idx setup = {.images = operands[0],
                                 .labels = operands[1],
                                 .test_images = test ? state->test.v[0] : NULL,
                                 .test_labels = test ? state->test.v[1] : NULL,
                                 .names = state->names,
                                 .splits = splits,
                                 .n_splits = state->split.n,
                                 .seed = (uint64_t)state->seed,
                                 .out = state->out};
    return ds_import_idx_run(&setup, done, e);
}

static int run_folders(const import_state *state, const char **operands, const ds_split *splits,
                       ds_imported *done, ds_error *e)
{
    const ds_import_folders setup = {.dir = operands[0],
                                     .test_dir = state->test.n ? state->test.v[0] : NULL,
                                     .splits = splits,
                                     .n_splits = state->split.n,
                                     .seed = (uint64_t)state->seed,
                                     .out = state->out};
    return ds_import_folders_run(&setup, done, e);
}

static int run_cifar(ds_cifar cifar, const import_state *state, const char *source, const ds_split *splits,
                     ds_imported *done, ds_error *e)
{
    const ds_import_cifar setup = {.kind = cifar,
                                   .source = source,
                                   .names = state->names,
                                   .splits = splits,
                                   .n_splits = state->split.n,
                                   .seed = (uint64_t)state->seed,
                                   .out = state->out};
    return ds_import_cifar_run(&setup, done, e);
}

static int run_cifar10(const import_state *state, const char **operands, const ds_split *splits,
                       ds_imported *done, ds_error *e)
{
    return run_cifar(DS_CIFAR10, state, operands[0], splits, done, e);
}

static int run_cifar100(const import_state *state, const char **operands, const ds_split *splits,
                        ds_imported *done, ds_error *e)
{
    ds_cifar cifar = state->labels ? DS_CIFAR100_COARSE : DS_CIFAR100_FINE;
    return run_cifar(cifar, state, operands[0], splits, done, e);
}

static const kind kinds[] = {
    {"idx", ds_import_idx_options, 2, "IMAGES LABELS", false, run_idx},
    {"cifar10", ds_import_cifar10_options, 1, "DIR|FILE.tar.gz", true, run_cifar10},
    {"cifar100", ds_import_cifar100_options, 1, "DIR|FILE.tar.gz", true, run_cifar100},
    {"folders", ds_import_folders_options, 1, "DIR", false, run_folders},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static int import(const kind *k, int argc, char **argv, ds_error *e)
{
    import_state state = {0};
    const char *operands[2];
    ds_split *splits = NULL;
    ds_imported done = {0};
    int rc = parse(k, &state, argc, argv, operands, e);
    if (!rc)
        rc = parse_splits(&state.split, &splits, e);
    if (!rc)
        rc = k->run(&state, operands, splits, &done, e);
    if (!rc)
        print_done(&done, splits, state.split.n, k->has_test || state.test.n > 0);
    free(done.data_path);
    free(splits);
    ds_option_clear(k->options, &state);
    return rc;
}

/* argv[0]: the word of a kind. */
int ds_cmd_import(int argc, char **argv, ds_error *e)
{
    for (int k = 0; k < N_KINDS && argc > 0; k++)
        if (strcmp(argv[0], kinds[k].word) == 0)
            return import(&kinds[k], argc - 1, argv + 1, e);
    return ds_fail(e, DS_EUSAGE, "import of nothing known, expected idx, cifar10, cifar100 or folders");
}
