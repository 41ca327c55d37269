/* The program: one table of commands drives dispatch, help and suggestions. Errors are printed here and
 * nowhere else. */
#include "base/problem.h"
#include "cli/commands.h"
#include "cli/help.txt.inc"
#include "cli/place.h"
#include "cli/together.h"
#include "data/data.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

typedef struct command {
    const char *words;
    int keep;                                       /* of the words, the last ones that `run` gets too */
    int (*run)(int argc, char **argv, ds_error *e); /* NULL: a group of commands */
    const ds_option *options;
    const char *synopsis; /* operands */
    const char *help;     /* one line; more in help.txt */
} command;

static const command commands[] = {
    {.words = "classifier"},
    {"classifier new", 0, ds_cmd_new, ds_new_options, "FOLDER|ARCHIVE",
     "from pictures in a folder a class to lists, a .data file, a fitting .cfg, and what to do next"},
    {"classifier check", 0, ds_cmd_check, ds_check_options, "DATA CFG [WEIGHTS]",
     "all that is wrong with the files of a training, before it begins"},
    {"classifier train", 0, ds_cmd_train, ds_train_options, "DATA CFG [WEIGHTS]",
     "train a network; validates after each epoch when valid= is given"},
    {"classifier valid", 0, ds_cmd_valid, ds_valid_options, "DATA CFG WEIGHTS",
     "accuracy, nll and calibration error on the images of valid="},
    {"classifier predict", 0, ds_cmd_predict, ds_predict_options,
     "DATA CFG WEIGHTS IMAGE|FOLDER... [-list F]", "classes of images, each accepted or REJECTED"},
    {"classifier reject", 0, ds_cmd_reject, ds_reject_options, "DATA CFG WEIGHTS | -from FILE.csv",
     "what rejecting unsure images of test= (or valid=) costs and gains"},
    {"classifier calibrate", 0, ds_cmd_calibrate, ds_calibrate_options, "DATA CFG WEIGHTS | -from FILE.csv",
     "find the threshold of [reject] on the images of calib=, with a guarantee"},
    {"classifier watch", 0, ds_cmd_watch, ds_watch_options, "-state F [PREDICTIONS.csv]",
     "does the promise of a threshold still hold? An alarm when it does not"},
    {"classifier serve", 0, ds_cmd_serve, ds_serve_options, "[DATA] CFG WEIGHTS",
     "answers over HTTP: images as files or as tensors, and a page to drop them on"},
    {"classifier noise", 0, ds_cmd_noise, ds_noise_options, "DATA -rate R -out LIST",
     "a list with wrong labels, to try what they do, and the truth"},
    {"classifier audit", 0, ds_cmd_audit, ds_audit_options, "DATA CFG CHECKPOINT",
     "which labels of train= are likely to be wrong, by what a training has seen"},
    {"classifier export", 0, ds_cmd_export, ds_export_options, "[DATA] CFG WEIGHTS -out PATH",
     "write a trained network for other programs, as ONNX or as a stock cfg"},
    {.words = "classifier import"},
    {"classifier import idx", 1, ds_cmd_import, ds_import_idx_options, "IMAGES LABELS",
     "turn MNIST-style archives into folders of PNG files with lists and a .data file"},
    {"classifier import cifar10", 1, ds_cmd_import, ds_import_cifar_options, "DIR|FILE.tar.gz",
     "turn the binary version of CIFAR-10 into PNG files, lists and a .data file"},
    {"classifier import cifar100", 1, ds_cmd_import, ds_import_cifar_options, "DIR|FILE.tar.gz",
     "turn the binary version of CIFAR-100 (fine labels) into PNG files, lists and a .data file"},
    {"classifier import folders", 1, ds_cmd_import, ds_import_folders_options, "DIR|ARCHIVE",
     "make lists and a .data file for existing folders, one a class, or a .zip or .tar of them"},
    {"layers", 0, ds_cmd_layers, ds_layers_options, "[NAME]",
     "the layers that this program adds to Darknet; with a NAME its options"},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

/* How many words of argv are those of the command, which all are there; 0: they are not. */
static int matched(const command *c, int argc, char **argv)
{
    int n = 0;
    for (const char *p = c->words; *p; p += strspn(p, " ")) {
        size_t length = strcspn(p, " ");
        if (n == argc || strlen(argv[n]) != length || strncmp(argv[n], p, length) != 0)
            return 0;
        p += length;
        n++;
    }
    return n;
}

/* The command, or group of commands, with the most words that argv begins with, or NULL; *depth: how many. */
static const command *find_command(int argc, char **argv, int *depth)
{
    const command *found = NULL;
    *depth = 0;
    for (int i = 0; i < N_COMMANDS; i++) {
        int n = matched(&commands[i], argc, argv);
        if (n <= *depth)
            continue;
        *depth = n;
        found = &commands[i];
    }
    return found;
}

/* The words of a command behind those of the group (NULL: all), or NULL when it is none of its commands. */
static const char *words_in(const command *c, const command *group)
{
    size_t n = group ? strlen(group->words) : 0;
    if (group && (strncmp(c->words, group->words, n) != 0 || c->words[n] != ' '))
        return NULL;
    return c->words + (group ? n + 1 : 0);
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-help") == 0 || strcmp(word, "-h") == 0;
}

static bool asks_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (is_help(argv[i]))
            return true;
    return false;
}

static void print_commands(const command *group, FILE *out)
{
    fputs("commands:\n", out);
    for (int i = 0; i < N_COMMANDS; i++)
        if (commands[i].run && words_in(&commands[i], group))
            fprintf(out, "  %-26s %s\n", commands[i].words, commands[i].help);
}

static void print_usage(FILE *out)
{
    fprintf(out, "usage: %s COMMAND [arguments] [flags]\n\n", program_invocation_name);
    print_commands(NULL, out);
    fputs("\n`COMMAND --help` tells more, --version the version; -plugin FILE.so before COMMAND adds "
          "a layer.\nOther commands of Darknet (detector, rnn, ...) are run by /usr/bin/darknet.\n"
          "Status: 0 done, 1 bad input or failed run, 2 wrong usage, 3 no feasible threshold, 4 alarm of "
          "watch,\n130 stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP, 141 output that nobody reads.\n",
          out);
}

static void print_group(const command *group, FILE *out)
{
    fprintf(out, "usage: %s %s COMMAND [arguments] [flags]\n\n", program_invocation_name, group->words);
    print_commands(group, out);
    if (strchr(group->words, ' '))
        return;
    fputs("\nkeys of a .data file (files lie in its folder, else in the current one; backup= there):\n", out);
    ds_option_print(ds_datafile_options, "", out);
}

/* What help.txt says of the command. */
static void print_more(const command *c, FILE *out)
{
    DS_FREED char *heading = ds_format("\n# %s\n", c->words);
    const char *text = strstr(help_txt, heading);
    if (!text)
        return;
    text += strlen(heading);
    const char *next = strstr(text, "\n# ");
    fprintf(out, "\n%.*s", next ? (int)(next - text) : (int)strlen(text), text);
}

static void print_command(const command *c, FILE *out)
{
    fprintf(out, "usage: %s %s %s [flags]\n\n%s\n\nflags:\n", program_invocation_name, c->words, c->synopsis,
            c->help);
    ds_option_print(c->options, "-", out);
    print_more(c, out);
}

/* ---- words that are no command ---- */

/* `word` (NULL: nothing) stands where a command of the group (NULL: any) should. */
static int no_command(const command *group, const char *word, ds_error *e)
{
    const char *all[2 * N_COMMANDS + 64], *near = NULL;
    int n = 0;
    char list[256] = "";
    for (int i = 0; i < N_COMMANDS; i++) {
        const char *next = words_in(&commands[i], group);
        if (!next || strchr(next, ' '))
            continue;
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s", n ? ", " : "", next);
        all[n++] = next;
    }
    for (int i = 0; !group && ds_host_words[i] && i < 64; i++)
        all[n++] = ds_host_words[i];
    if (!word) {
        const char *space = strrchr(group->words, ' ');
        return ds_fail(e, DS_EUSAGE, "'%s' without a command, expected one of: %s",
                       space ? space + 1 : group->words, list);
    }
    const int own = n; /* behind them those of `classifier`, without that word */
    for (int i = 0; !group && i < N_COMMANDS; i++)
        all[n++] = words_in(&commands[i], &commands[0]);
    near = ds_nearest(word, all, n);
    for (int i = own; i < n; i++)
        if (near && all[i] == near)
            return ds_fail(e, DS_EUSAGE, "unknown command '%s', did you mean 'classifier %s'?", word, near);
    if (near)
        return ds_fail(e, DS_EUSAGE, "unknown command '%s', did you mean '%s'?", word, near);
    return ds_fail(e, DS_EUSAGE, "unknown command '%s', expected one of: %s", word, list);
}

/* argv: the words behind those of the group. */
static int run_group(const command *group, int argc, char **argv, ds_error *e)
{
    if (argc && is_help(argv[0])) {
        print_group(group, stdout);
        return DS_OK;
    }
    const char *near = argc && !strchr(group->words, ' ') ? ds_host_classifier_word(argv[0]) : NULL;
    if (near)
        return ds_fail(e, DS_EUSAGE,
                       "'%s %s' is a command of stock Darknet that is not here, did you mean '%s %s'?",
                       group->words, argv[0], group->words, near);
    return no_command(group, argc ? argv[0] : NULL, e);
}

/* Do several ranks share its work? */
static bool is_shared(const command *c)
{
    return c->run == ds_cmd_train || c->run == ds_cmd_valid || c->run == ds_cmd_reject ||
           c->run == ds_cmd_calibrate || c->run == ds_cmd_predict;
}

static int run_command(const command *c, int argc, char **argv, ds_error *e)
{
    if (!c->run)
        return run_group(c, argc, argv, e);
    if (asks_help(argc, argv)) {
        print_command(c, stdout);
        return DS_OK;
    }
    if (!is_shared(c))
        DS_TRY(ds_together_alone(c->words, e));
    return c->run(argc + c->keep, argv - c->keep, e);
}

static int run(int argc, char **argv, ds_error *e)
{
    DS_TRY(ds_together_begin(argc, argv, e));
    while (argc > 1 && (strcmp(argv[1], "-plugin") == 0 || strcmp(argv[1], "--plugin") == 0)) {
        if (argc == 2)
            return ds_fail(e, DS_EUSAGE, "-plugin without a value, expected FILE.so");
        DS_TRY(ds_ranks_compare_files(ds_together(), (const char *const *)&argv[2], 1, e));
        DS_TRY(ds_open_plugin(argv[2], e));
        argv[2] = argv[0];
        argv += 2;
        argc -= 2;
    }
    if (argc == 1)
        return ds_fail(e, DS_EUSAGE, "no command, expected one of those that follow");
    if (is_help(argv[1]) || strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return DS_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-version") == 0) {
        puts("darknet-sat " DS_VERSION);
        return DS_OK;
    }
    if (ds_word_index(ds_host_words, -1, argv[1]) >= 0) {
        DS_TRY(ds_together_alone(argv[1], e));
        return ds_forward(argc, argv, e);
    }
    int depth;
    const command *c = find_command(argc - 1, argv + 1, &depth);
    int rc = c ? run_command(c, argc - 1 - depth, argv + 1 + depth, e) : no_command(NULL, argv[1], e);
    if (rc == DS_EUSAGE) { /* says where the right usage is written, in the same message */
        size_t at = strlen(e->text);
        snprintf(e->text + at, sizeof e->text - at, " (see '%s %s%s--help')", program_invocation_name,
                 c ? c->words : "", c ? " " : "");
    }
    return rc;
}

/* A file opened later must not become standard output because that was closed; writing there has to fail. */
static void fill_standard_files(void)
{
    for (int fd = 0; fd < 3; fd++)
        /* cppcheck-suppress leakReturnValNotUsed ; it stays open */
        if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", O_RDONLY) < 0)
            return;
}

/* Compute threads that wait should sleep soon: spinning on, as OpenMP does by default, takes the cores
 * from the loader's threads and makes a busy machine several times slower; sleeping at once makes many
 * short passes slower by some percent. 20,000 turns cost neither. OpenMP reads its environment before
 * main, hence the second start. */
static void let_threads_sleep(char **argv)
{
    if (!getenv("OMP_WAIT_POLICY") && !getenv("GOMP_SPINCOUNT") && setenv("GOMP_SPINCOUNT", "20000", 1) == 0)
        execv("/proc/self/exe", argv);
}

static void tell(ds_problems *all, int rc, const ds_error *e)
{
    const ds_ranks *r = ds_together();
    if (r && r->rank)
        fprintf(stderr, "rank %d on %s: ", r->rank, r->host);
    ds_problems_print(all, stderr);
    if (rc && rc != DS_EPIPE && !e->kept)
        ds_error_print(e, stderr);
}

int main(int argc, char **argv)
{
    ds_problems all = {0};
    ds_error e = {.all = &all};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "classifier") == 0)
            let_threads_sleep(argv);
    prctl(PR_SET_NAME, program_invocation_short_name); /* the second start is one of "exe" */
    fill_standard_files();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);              /* a limit of sizes is an error of writing */
    setvbuf(stderr, NULL, _IOLBF, BUFSIZ); /* a message is one write */
    int rc = run(argc, argv, &e);
    if (!rc)
        rc = ds_flush_output(&e);
    if (ds_together_tells(rc))
        tell(&all, rc, &e);
    ds_problems_clear(&all);
    ds_together_end(rc);
    if (argc == 1 && ds_together_first()) {
        fputc('\n', stderr);
        print_usage(stderr);
    }
    return ds_error_status(rc);
}
