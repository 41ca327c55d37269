/* classifier train DATA CFG [WEIGHTS] */
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/flags.h"
#include "cli/print.h"
#include "cli/together.h"
#include "train/train.h"

#include <errno.h>
#include <limits.h>
#include <sys/ioctl.h>

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

/* ---- what the run shows: the host's line a batch, or a bar on a terminal; a line an epoch; notes ---- */

typedef struct view {
    ds_notes notes; /* of the run, printed when there is a place for them */
    FILE *log;      /* epochs; the same as for batches on a terminal, so that lines do not cut into the bar */
    bool terminal;
    double drawn; /* when, seconds of the monotonic clock */
    bool on_line; /* the bar stands on the current line */
    ds_train_plan plan;
} view;

static int columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20 ? 80 : size.ws_col;
}

/* "1:02:03" or "2:03" */
static void write_time(char *text, size_t n, double seconds)
{
    long s = seconds > 0 && seconds < 1e9 ? lround(seconds) : 0;
    if (s >= 3600)
        snprintf(text, n, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, n, "%ld:%02ld", s / 60, s % 60);
}

/* Where the target stands: its alpha, or how much of the warm-up is over. */
static void write_target(char *text, size_t n, const ds_train_plan *plan, const ds_train_step *s)
{
    text[0] = '\0';
    if (s->warming && plan->warmup_epochs == DS_WARMUP_AUTO)
        snprintf(text, n, " warm-up");
    else if (s->warming)
        snprintf(text, n, " warm-up %.0f%%", fmin(100, 100 * s->position / plan->warmup_epochs));
    else if (!isnan(s->alpha))
        snprintf(text, n, " alpha %.3f", s->alpha);
}

/* The figures, and a bar in what the line has left. */
static void draw(view *v, const ds_train_step *s)
{
    enum { WIDEST = 30, NARROWEST = 3 };
    static const char full[] = "##############################", empty[] = "------------------------------";
    char target[32], left[32], line[256];
    write_target(target, sizeof target, &v->plan, s);
    write_time(left, sizeof left, s->seconds_left);
    int n = snprintf(line, sizeof line, "epoch %d/%d batch %ld/%ld loss %.3f acc %.1f%%%s %.0f img/s %s left",
                     s->epoch + 1, v->plan.epochs, s->batch, v->plan.max_batches, s->average,
                     100 * s->accuracy, target, s->images_per_second, left);
    int width = columns() - 1, room = width - n - 3, bar = room < WIDEST ? room : WIDEST;
    if (bar >= NARROWEST) {
        int done = (int)(fmin(1, (double)s->batch / (double)v->plan.max_batches) * bar);
        printf("\r[%.*s%.*s] %s\033[K", done, full, bar - done, empty, line);
    } else
        printf("\r%.*s\033[K", width, line);
    fflush(stdout);
    v->on_line = true;
}

static void leave_line(view *v, const char *how)
{
    if (v->on_line)
        fputs(how, stdout);
    v->on_line = false;
    fflush(stdout);
}

static void end_view(view *v)
{
    leave_line(v, "\n");
    ds_print_notes(&v->notes, stderr);
}

/* ---- what the run tells ---- */

static void on_ready(void *arg, const ds_net *net, const ds_train_plan *plan)
{
    view *v = arg;
    v->plan = *plan;
    ds_print_layers(net, stderr);
    ds_print_notes(&v->notes, stderr);
    ds_put_line(stderr, "train=", plan->train);
    if (plan->valid)
        ds_put_line(stderr, "valid=", plan->valid);
    fprintf(stderr, "%d training images, %d for validation; batches of %d, %ld of them, %d epochs",
            plan->images, plan->valid_images, plan->batch, plan->max_batches, plan->epochs);
    if (plan->ranks > 1) {
        const ds_history h = ds_net_history(net);
        const double history = (double)h.row * plan->images * (h.wide ? 8 : 4);
        fprintf(stderr, "; ranks %d, each with %.0f MiB, %.1f MiB of it history of images", plan->ranks,
                (double)ds_net_memory(net) / (1 << 20), h.values ? history / (1 << 20) : 0);
    }
    if (plan->seen)
        fprintf(stderr, "; going on after %llu images", (unsigned long long)plan->seen);
    fputc('\n', stderr);
}

static void on_step(void *arg, const ds_train_step *s)
{
    view *v = arg;
    if (!v->terminal) {
        printf("%ld, %.3f: %f, %f avg, %f rate, %lf seconds, %llu images\n", s->batch, s->position, s->loss,
               s->average, s->rate, s->seconds, (unsigned long long)s->seen);
        fflush(stdout);
        return;
    }
    double t = ds_now();
    if (t - v->drawn < 0.1 && s->batch < v->plan.max_batches)
        return;
    v->drawn = t;
    draw(v, s);
}

static void put_valid(const view *v, const ds_result *r)
{
    fprintf(v->log, "; valid top-1 %.2f %%, balanced %.2f %%, worst %.2f %% (", 100 * r->valid_top1,
            100 * r->valid_balanced, 100 * r->valid_worst);
    ds_put_name(v->log, v->plan.names[(int)r->valid_worst_class], 0);
    fprintf(v->log, "), nll %.4f, ece %.4f, aurc %.5f", r->valid_nll, r->valid_ece, r->valid_aurc);
}

static void on_epoch(void *arg, const ds_result *r, bool best)
{
    view *v = arg;
    leave_line(v, "\r\033[K");
    fprintf(v->log, "epoch %d: loss %.4f, training accuracy %.2f %%", r->epoch, r->train_loss,
            100 * r->train_accuracy);
    if (!isnan(r->valid_top1))
        put_valid(v, r);
    fprintf(v->log, "; %.0f images/s%s%s\n", r->images_per_second,
            r->warmup == DS_WARMUP_ON ? "; warm-up" : "", best ? "; best so far" : "");
    fflush(v->log);
    ds_print_notes(&v->notes, stderr);
}

static void on_profile(void *arg, const ds_net *net, const ds_times *times)
{
    view *v = arg;
    leave_line(v, "\n");
    ds_print_profile(net, times, v->log);
}

static void on_done(void *arg, const char *weights, const char *best, const ds_result *result)
{
    view *v = arg;
    end_view(v);
    ds_put_line(v->log, "weights: ", weights);
    if (!best)
        return;
    fprintf(v->log, "best: epoch %d, ", result->epoch);
    if (v->plan.best == DS_BEST_BALANCED)
        fprintf(v->log, "balanced accuracy %.2f %%, ", 100 * result->valid_balanced);
    else if (v->plan.best == DS_BEST_AURC)
        fprintf(v->log, "aurc %.5f, ", result->valid_aurc);
    fprintf(v->log, "top-1 %.2f %% and nll %.4f on valid=: ", 100 * result->valid_top1, result->valid_nll);
    ds_put_line(v->log, "", best);
}

/* ---- the command ---- */

static int run(flags *f, const char **operands, const char *command, const char *again, ds_error *e)
{
    const bool first = ds_together_first(), terminal = ds_together_terminal();
    view v = {.terminal = terminal, .log = terminal ? stdout : stderr};
    const ds_train_events events = {&v, on_ready, on_step, on_epoch, on_profile, on_done}, none = {0};
    ds_train_setup *s = &f->setup;
    f->run.threads = ds_together_threads(f->run.threads);
    s->ranks = ds_together();
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
    s->notes = first ? &v.notes : NULL;
    ds_catch_interrupts(true);
    int rc = ds_train(s, first ? &events : &none, e);
    if (first)
        end_view(&v);
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
