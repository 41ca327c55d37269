/* classifier train DATA CFG [WEIGHTS] */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/flags.h"
#include "cli/progress.h"
#include "train/train.h"

#include <limits.h>
#include <signal.h>

typedef struct flags {
    bool clear, skip_bad;
    int upto, epochs, seed, tune;
    ds_run_flags run;
} flags;

static const char *const off_on[] = {"off", "on", NULL};

#define AT(field) offsetof(flags, field)
const ds_option ds_train_options[] = {
    {"clear", DS_FLAG, AT(clear), NULL, 0, 0, NULL, NULL, NULL,
     "count images seen from 0, whatever WEIGHTS says"},
    {"upto", DS_INT, AT(upto), NULL, 1, INT_MAX, NULL, NULL, NULL,
     "read WEIGHTS for the first N layers only, the others start fresh"},
    {"epochs", DS_INT, AT(epochs), NULL, 1, 1000000, "E", NULL, NULL,
     "train E epochs instead of max_batches="},
    {"seed", DS_INT, AT(seed), "1", 0, INT_MAX, NULL, NULL, NULL,
     "of initial weights, order of images and augmentation"},
    DS_THREADS_OPTION(AT(run)),
    DS_BACKEND_OPTIONS(AT(run)),
    DS_PROFILE_OPTION(AT(run)),
    DS_LOADERS_OPTION(AT(run)),
    DS_CACHE_OPTION(AT(run)),
    {"skip-bad", DS_FLAG, AT(skip_bad), NULL, 0, 0, NULL, NULL, NULL,
     "train without images that cannot be decoded"},
    {"tune", DS_ENUM, AT(tune), "off", 0, 0, NULL, off_on, NULL,
     "measure which convolution algorithms are fastest, keep the answers in BACKUP/BASE.tune"},
    {.type = DS_END},
};
#undef AT

/* ---- Ctrl-C ---- */

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

/* ---- what is shown ---- */

typedef struct view {
    ds_notes notes;
    ds_bar bar;
} view;

static void on_bad_image(void *arg, const char *path, const char *reason)
{
    (void)arg;
    fprintf(stderr, "error: %s: %s\n", path, reason);
}

static void on_ready(void *arg, const ds_net *net, const ds_train_plan *plan)
{
    view *v = arg;
    ds_print_layers(net, stderr);
    ds_print_notes(&v->notes, stderr);
    fprintf(stderr, "%d training images, %d for validation; batches of %d, %ld of them, %d epochs",
            plan->images, plan->valid_images, plan->batch, plan->max_batches, plan->epochs);
    if (plan->seen)
        fprintf(stderr, "; going on after %llu images", (unsigned long long)plan->seen);
    fputc('\n', stderr);
    ds_bar_start(&v->bar, stdout, stderr, plan);
}

static void on_step(void *arg, const ds_train_step *step)
{
    ds_bar_step(&((view *)arg)->bar, step);
}

static void on_epoch(void *arg, const ds_result *result, bool best)
{
    ds_bar_epoch(&((view *)arg)->bar, result, best);
}

static void on_profile(void *arg, const ds_net *net, const ds_train_times *t)
{
    view *v = arg;
    ds_profile p = {.passes = t->steps,
                    .images = t->batch,
                    .total = t->total,
                    .waiting = t->waiting,
                    .update = t->update};
    ds_bar_end(&v->bar);
    ds_print_profile(net, &p, v->bar.log);
}

static void print_done(FILE *out, const ds_train_done *d)
{
    if (d->weights)
        fprintf(out, "weights: %s\n", d->weights);
    if (d->best)
        fprintf(out, "best: epoch %d, top-1 %.2f %% and nll %.4f on valid=: %s\n", d->best_result.epoch,
                100 * d->best_result.valid_top1, d->best_result.valid_nll, d->best);
}

/* ---- the command ---- */

static int run(const flags *f, const char **operands, int n, ds_error *e)
{
    view v = {0};
    ds_train_done done;
    const ds_train_setup s = {.data = operands[0],
                              .cfg = operands[1],
                              .weights = n > 2 ? operands[2] : NULL,
                              .clear = f->clear,
                              .upto = f->upto,
                              .epochs = f->epochs,
                              .seed = (uint64_t)f->seed,
                              .threads = f->run.threads,
                              .backend = ds_backend_names[f->run.backend],
                              .verbose = f->run.verbose,
                              .profile = f->run.profile,
                              .tune = f->tune != 0,
                              .loaders = f->run.loaders,
                              .cache_bytes = (size_t)f->run.cache << 20,
                              .skip_bad = f->skip_bad,
                              .interrupted = &stop,
                              .notes = &v.notes};
    const ds_train_events events = {&v, on_bad_image, on_ready, on_step, on_epoch, on_profile};
    catch_interrupts();
    int rc = ds_train(&s, &events, &done, e);
    ds_bar_end(&v.bar);
    ds_print_notes(&v.notes, stderr);
    if (!rc)
        print_done(v.bar.log, &done);
    ds_train_done_clear(&done);
    return rc;
}

int ds_cmd_train(int argc, char **argv, ds_error *e)
{
    flags f = {0};
    static const char *const words[] = {"DATA", "CFG"};
    const char *operands[3] = {0};
    int n = 0;
    int rc = ds_flags_parse(ds_train_options, &f, argc, argv, operands, 3, &n, e);
    if (!rc)
        rc = ds_check_operands(words, 2, n, e);
    if (!rc)
        rc = run(&f, operands, n, e);
    ds_option_clear(ds_train_options, &f);
    return rc;
}
