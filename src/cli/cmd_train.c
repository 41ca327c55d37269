/* classifier train DATA CFG [WEIGHTS] */
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/progress.h"
#include "train/train.h"

#include <limits.h>
#include <signal.h>

typedef struct flags {
    bool clear, skip_bad;
    int upto, epochs, seed, cache;
    ds_run_flags run;
} flags;

#define DS_STATE flags
const ds_option ds_train_options[] = {
    OPT_FLAG("clear", clear, "count images seen from 0, whatever WEIGHTS says"),
    OPT_INT("upto", upto, "read WEIGHTS for the first N layers only, the others start fresh",
            OPT_RANGE(1, INT_MAX)),
    OPT_INT("epochs", epochs, "train E epochs instead of max_batches=", .unit = "E", OPT_RANGE(1, 1000000)),
    OPT_INT("seed", seed, "of initial weights, order of images and augmentation", .def = "1",
            OPT_RANGE(0, INT_MAX)),
    DS_RUN_THREADS,
    DS_RUN_BACKEND,
    DS_RUN_PROFILE,
    DS_RUN_LOADERS,
    OPT_INT("cache", cache, "memory for decoded images", .def = "512", OPT_RANGE(0, 1048576), .unit = "MIB"),
    OPT_FLAG("skip-bad", skip_bad, "train without images that cannot be decoded"),
    OPT_END,
};

/* A handler can reach nothing but a variable of the program: the one exception to "no global state". */
static volatile sig_atomic_t stop;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

/* The second Ctrl-C ends the program at once. */
static void catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)(SA_RESTART | SA_RESETHAND)};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

static int run(const flags *f, const char **operands, ds_error *e)
{
    ds_progress_view view = {0};
    const ds_train_events events = ds_progress_events(&view);
    const ds_train_setup s = {.data = operands[0],
                              .cfg = operands[1],
                              .weights = operands[2],
                              .clear = f->clear,
                              .upto = f->upto,
                              .epochs = f->epochs,
                              .seed = (uint64_t)f->seed,
                              .threads = f->run.threads,
                              .backend = ds_backend_names[f->run.backend],
                              .verbose = f->run.verbose,
                              .profile = f->run.profile,
                              .loaders = f->run.loaders,
                              .cache_bytes = (size_t)f->cache << 20,
                              .skip_bad = f->skip_bad,
                              .interrupted = &stop,
                              .notes = &view.notes};
    catch_interrupts();
    int rc = ds_train(&s, &events, e);
    ds_progress_end(&view);
    return rc;
}

int ds_cmd_train(int argc, char **argv, ds_error *e)
{
    static const char *const words[] = {"DATA", "CFG"};
    flags f = {0};
    const char *operands[3] = {0};
    int n = 0;
    int rc = ds_flags_parse(ds_train_options, &f, argc, argv, operands, 3, &n, e);
    if (!rc)
        rc = ds_check_operands(words, 2, n, e);
    if (!rc)
        rc = run(&f, operands, e);
    ds_option_clear(ds_train_options, &f);
    return rc;
}
