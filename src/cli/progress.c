#include "cli/progress.h"
#include "base/clock.h"
#include "cli/print.h"
#include "cli/together.h"

#include <sys/ioctl.h>

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
static void draw(ds_progress_view *v, const ds_train_step *s)
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

static void leave_line(ds_progress_view *v, const char *how)
{
    if (v->on_line)
        fputs(how, stdout);
    v->on_line = false;
    fflush(stdout);
}

/* ---- what the run tells ---- */

static void on_ready(void *arg, const ds_net *net, const ds_train_plan *plan)
{
    ds_progress_view *v = arg;
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
    ds_progress_view *v = arg;
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

static void put_valid(const ds_progress_view *v, const ds_result *r)
{
    fprintf(v->log, "; valid top-1 %.2f %%, balanced %.2f %%, worst %.2f %% (", 100 * r->valid_top1,
            100 * r->valid_balanced, 100 * r->valid_worst);
    ds_put_name(v->log, v->plan.names[(int)r->valid_worst_class], 0);
    fprintf(v->log, "), nll %.4f, ece %.4f, aurc %.5f", r->valid_nll, r->valid_ece, r->valid_aurc);
}

static void on_epoch(void *arg, const ds_result *r, bool best)
{
    ds_progress_view *v = arg;
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
    ds_progress_view *v = arg;
    leave_line(v, "\n");
    ds_print_profile(net, times, v->log);
}

static void on_done(void *arg, const char *weights, const char *best, const ds_result *result)
{
    ds_progress_view *v = arg;
    ds_progress_end(v);
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

ds_train_events ds_progress_events(ds_progress_view *v)
{
    v->terminal = ds_together_terminal();
    v->log = v->terminal ? stdout : stderr;
    return (ds_train_events){v, on_ready, on_step, on_epoch, on_profile, on_done};
}

void ds_progress_end(ds_progress_view *v)
{
    leave_line(v, "\n");
    ds_print_notes(&v->notes, stderr);
}
