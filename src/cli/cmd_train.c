/* classifier train DATA CFG [WEIGHTS] */
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/flags.h"
#include "cli/progress.h"
#include "cli/together.h"

#include <errno.h>
#include <limits.h>

typedef struct flags {
    ds_train_setup setup;
    int cache;
    ds_run_flags run;
} flags;

#define DS_STATE flags
const ds_option ds_train_options[] = {
    OPT_FLAG("clear", setup.clear, "count images seen from 0, whatever WEIGHTS says"),
    OPT_INT("upto", setup.upto, "read WEIGHTS for the first N layers only, the others start fresh",
            OPT_RANGE(1, INT_MAX)),
    OPT_INT("epochs", setup.epochs, "train E epochs instead of max_batches=", .unit = "E",
            OPT_RANGE(1, 1000000)),
    OPT_FLAG("resume", setup.resume,
             "go on with the newest run of CFG (or -name), with its seed and -epochs; begin one where there "
             "is none"),
    OPT_TEXT("name", setup.name, "folder of the run inside backup= instead of BASE-1, BASE-2, ...",
             .unit = "NAME"),
    OPT_FLAG("exist-ok", setup.exist_ok, "begin again in the newest run's folder instead of a new one"),
    OPT_REAL("save-every", setup.save_minutes,
             "minutes between checkpoints inside an epoch; 0: at its end alone", .def = "10",
             .unit = "MINUTES", OPT_RANGE(0, 1e6)),
    OPT_INT("save-period", setup.save_period, "keep BASE_<epoch>.weights every N epochs; 0: of none",
            .def = "0", OPT_RANGE(0, INT_MAX)),
    OPT_ENUM("best", setup.best, ds_best_names,
             "what valid= chooses the best weights by; auto: as best= of DATA says", .def = "auto"),
    OPT_INT("patience", setup.patience, "end after N epochs without a better result on valid=; 0: never",
            .def = "0", OPT_RANGE(0, INT_MAX)),
    OPT_INT("seed", setup.seed, "of initial weights, order of images and augmentation", .def = "1",
            OPT_RANGE(0, INT_MAX)),
    DS_RUN_THREADS,
    DS_RUN_BACKEND,
    DS_RUN_PROFILE,
    DS_RUN_LOADERS,
    DS_RUN_CACHE,
    OPT_FLAG("skip-bad", setup.skip_bad, "train without images that cannot be decoded"),
    OPT_END,
};

/* Does the word belong to a run's beginning or name alone? Its value goes with it. */
static bool is_of_beginning(const char *word, bool *value)
{
    const char *flag = *word == '-' ? word + strspn(word, "-") : "";
    *value = strcmp(flag, "name") == 0;
    return *value || strcmp(flag, "exist-ok") == 0 || strcmp(flag, "resume") == 0;
}

/* The command in fresh memory; again: without what chooses a run. */
static char *command_of(int argc, char **argv, bool again)
{
    char *text;
    FILE *f = ds_memstream(&text, NULL);
    ds_put_word(f, program_invocation_name);
    fputs(" classifier train", f);
    for (int i = 0; i < argc; i++) {
        bool value, left_out = is_of_beginning(argv[i], &value) && again;
        i += left_out && value;
        if (left_out)
            continue;
        fputc(' ', f);
        ds_put_word(f, argv[i]);
    }
    fclose(f);
    return text;
}

static int run(flags *f, const char **operands, const char *command, const char *again, ds_error *e)
{
    ds_progress_view view = {0};
    ds_ranks *ranks = ds_together();
    const bool first = ds_together_first();
    const ds_train_events events = first ? ds_progress_events(&view) : (ds_train_events){0};
    ds_train_setup *s = &f->setup;
    f->run.threads = ds_together_threads(f->run.threads);
    s->ranks = ranks;
    s->data = operands[0];
    s->cfg = operands[1];
    s->weights = operands[2];
    s->net = ds_net_setup_of(&f->run);
    s->profile = f->run.profile;
    s->loaders = f->run.loaders;
    s->cache_bytes = ds_together_cache(f->cache);
    s->command = command;
    s->again = again;
    s->program = "darknet-sat " DS_VERSION;
    s->interrupted = &ds_interrupted;
    s->notes = first ? &view.notes : NULL;
    ds_catch_interrupts(true);
    int rc = ds_train(s, &events, e);
    if (first)
        ds_progress_end(&view);
    return ds_code_of_signal(rc, e);
}

int ds_cmd_train(int argc, char **argv, ds_error *e)
{
    flags f = {0};
    DS_FINALLY(ds_words_clear) ds_words w = {.table = ds_train_options, .state = &f, .needed = "DATA CFG"};
    DS_TRY(ds_words_read(&w, argc, argv, 3, e));
    DS_FREED char *command = command_of(argc, argv, false), *again = command_of(argc, argv, true);
    return run(&f, w.operands, command, again, e);
}
